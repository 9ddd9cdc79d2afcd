//! Blobs of every size, up from every source and down to every sink.

use std::io::{self, Cursor};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use acr_client::clock::VirtualClock;
use acr_client::models::{Algorithm, ByteRange};
use acr_client::transport::{Body, from_fn};
use acr_client::{BlobSource, Credential, Digest, ErrorKind, RepositoryClient, UploadBlobOptions};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::Request;

use crate::seeded;
use crate::suite::backend::Served;

const CHUNK: usize = 64 * 1024;

/// Bytes that are different at every place where a chunk might be misplaced.
fn content(size: usize) -> Bytes {
    (0..size)
        .map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8)
        .collect()
}

fn in_chunks_of(chunk_size: usize) -> UploadBlobOptions {
    UploadBlobOptions {
        chunk_size: Some(chunk_size as u64),
        skip_existing: Some(false),
        ..Default::default()
    }
}

async fn down(app: &RepositoryClient, digest: &Digest) -> Bytes {
    app.download_blob(digest)
        .await
        .unwrap()
        .bytes(1 << 25)
        .await
        .unwrap()
}

#[tokio::test]
async fn blobs_of_every_size_come_back_as_they_went() {
    let served = Served::new();
    let app = served.repository("samples/app");
    // The first request of all is challenged.
    app.start_upload().await.unwrap();
    for size in [
        0,
        1,
        2,
        CHUNK - 1,
        CHUNK,
        CHUNK + 1,
        2 * CHUNK,
        7 * CHUNK,
        7 * CHUNK + 1,
        (9 << 20) + 1,
    ] {
        let content = content(size);
        served.requests();
        let blob = app.upload_blob_with(&content, in_chunks_of(CHUNK)).await;
        let blob = blob.unwrap();
        assert_eq!(
            (blob.size, &blob.digest),
            (size as u64, &Digest::sha256(&content))
        );
        // The start, and each chunk once: the last goes with the end.
        let requests = served.requests();
        let uploads = requests
            .iter()
            .filter(|request| request.contains("/blobs/uploads/"))
            .count();
        assert_eq!(uploads, 1 + size.div_ceil(CHUNK).max(1), "{size}");
        assert!(down(&app, &blob.digest).await == content, "{size}");
        let found = app.head_blob(&blob.digest).await.unwrap().unwrap();
        assert_eq!(found.size, size as u64);
    }
}

#[tokio::test]
async fn chunks_of_one_byte_do_too() {
    // The registry's range cannot tell one byte from none.
    let served = Served::new();
    let app = served.repository("samples/app");
    let blob = app.upload_blob_with(b"some bytes", in_chunks_of(1)).await;
    let blob = blob.unwrap();
    assert_eq!(down(&app, &blob.digest).await, "some bytes");
}

#[tokio::test]
async fn a_chunk_size_of_0_is_refused_before_anything_is_sent() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let error = app.upload_blob_with(b"x", in_chunks_of(0)).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(served.requests().is_empty());
}

#[tokio::test]
async fn every_source_gives_the_same_blob() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let content = content(3 * CHUNK + 7);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer");
    std::fs::write(&path, &content).unwrap();
    // Pieces that fit no chunk.
    let pieces: Vec<io::Result<Bytes>> = content
        .chunks(1_000)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    let sources: [BlobSource; 7] = [
        (&content).into(),
        content.clone().into(),
        content.to_vec().into(),
        (&*content).into(),
        path.as_path().into(),
        BlobSource::reader(Halting(Cursor::new(content.clone()), false)),
        BlobSource::stream(futures_util::stream::iter(pieces)),
    ];
    for (at, source) in sources.into_iter().enumerate() {
        let blob = app.upload_blob_with(source, in_chunks_of(CHUNK)).await;
        let blob = blob.unwrap();
        assert_eq!(
            (blob.digest, blob.size),
            (Digest::sha256(&content), content.len() as u64),
            "{at}"
        );
    }
    let text = app.upload_blob("text".to_owned()).await.unwrap();
    assert_eq!(text.digest, Digest::sha256("text"));
}

/// Gives a few bytes at a time, and is interrupted before each.
struct Halting(Cursor<Bytes>, bool);

impl io::Read for Halting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let most = buffer.len().min(777);
        self.0.read(&mut buffer[..most])
    }
}

#[tokio::test]
async fn a_source_that_fails_is_an_error_of_its_own_and_leaves_no_blob() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let missing = app.upload_blob(std::path::Path::new("/nowhere/at/all"));
    let missing = missing.await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Io, "{missing}");
    assert!(
        served.requests().is_empty(),
        "a file that is missing costs nothing"
    );

    let pieces = [
        Ok(content(CHUNK)),
        Err(io::Error::other("the disk is gone")),
    ];
    let source = BlobSource::stream(futures_util::stream::iter(pieces));
    let error = app.upload_blob_with(source, in_chunks_of(1_000)).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert_eq!(error.operation(), Some("upload_blob"));
    let found = app.head_blob(Digest::sha256(content(CHUNK))).await;
    assert_eq!(found.unwrap(), None);
}

#[tokio::test]
async fn every_sink_gets_the_same_bytes() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let content = content(5 * CHUNK + 3);
    let blob = app.upload_blob_with(&content, in_chunks_of(CHUNK)).await;
    let blob = blob.unwrap();
    let open = || app.download_blob(&blob.digest);

    assert_eq!(
        open().await.unwrap().content_length(),
        Some(content.len() as u64)
    );
    assert!(open().await.unwrap().bytes(content.len()).await.unwrap() == content);

    let mut written = Vec::new();
    let count = open().await.unwrap().write_to(&mut written).await.unwrap();
    assert!(count == content.len() as u64 && written == content);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer");
    assert_eq!(
        open().await.unwrap().save(&path).await.unwrap(),
        content.len() as u64
    );
    assert!(std::fs::read(&path).unwrap() == content);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "no partial file is left"
    );

    let mut streamed = Vec::new();
    let mut stream = open().await.unwrap();
    while let Some(bytes) = stream.try_next().await.unwrap() {
        streamed.extend_from_slice(&bytes);
    }
    assert!(streamed == content);
    let pieces: Vec<Bytes> = open().await.unwrap().try_collect().await.unwrap();
    assert!(pieces.concat() == content);
}

#[tokio::test]
async fn a_sink_that_fails_is_an_error_of_its_own() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let blob = app.upload_blob(b"content").await.unwrap();
    let open = || app.download_blob(&blob.digest);
    // A bound of bytes, a writer that is full, a folder that is missing.
    let error = open().await.unwrap().bytes(6).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    let mut full = [0_u8; 3];
    let error = open().await.unwrap().write_to(&mut full[..]).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    let folder = tempfile::tempdir().unwrap();
    let error = open().await.unwrap().save(folder.path().join("no/where"));
    let error = error.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
}

#[tokio::test]
async fn ranges_of_every_kind_are_cut_out() {
    for redirect in [true, false] {
        let served = Served::on(crate::suite::backend::Backend::InProcess, |builder| {
            builder.data_redirect(redirect)
        });
        let app = served.repository("samples/app");
        let content = content(CHUNK);
        let blob = app.upload_blob_with(&content, in_chunks_of(1_000)).await;
        let blob = blob.unwrap();
        let end = CHUNK as u64 - 1;
        for (range, first, last) in [
            (ByteRange::FromTo(0, 0), 0, 0),
            (ByteRange::FromTo(999, 2_001), 999, 2_001),
            (ByteRange::FromTo(end, end), end, end),
            (ByteRange::FromTo(end - 5, end + 500), end - 5, end),
            (ByteRange::FromTo(0, u64::MAX), 0, end),
            (ByteRange::From(0), 0, end),
            (ByteRange::From(end), end, end),
            (ByteRange::Last(1), end, end),
            (ByteRange::Last(u64::MAX), 0, end),
        ] {
            let part = app.get_blob(&blob.digest, range).await.unwrap();
            let given = part.content_range().unwrap();
            assert_eq!(
                (given.first, given.last, given.size),
                (first, last, Some(CHUNK as u64)),
                "{range}"
            );
            let bytes = part.bytes(CHUNK).await.unwrap();
            assert!(bytes == content[first as usize..=last as usize], "{range}");
        }
        for range in [
            ByteRange::From(end + 1),
            ByteRange::FromTo(1 << 40, u64::MAX),
        ] {
            let error = app.get_blob(&blob.digest, range).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.status().unwrap().as_u16()),
                (ErrorKind::Registry, 416),
                "{range}"
            );
        }
    }
}

#[tokio::test]
async fn ranges_of_the_language_end_where_they_say() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let digest = app.upload_blob(b"0123456789").await.unwrap().digest;
    for (part, expected) in [
        (app.get_blob(&digest, 2..5).await, "234"),
        (app.get_blob(&digest, 7..).await, "789"),
    ] {
        assert_eq!(part.unwrap().bytes(10).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_range_of_no_byte_is_refused_before_anything_is_sent() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let digest = Digest::sha256("x");
    let reversed = std::ops::Range { start: 5, end: 4 };
    for (part, range) in [
        (app.get_blob(&digest, ByteRange::FromTo(5, 4)).await, "5-4"),
        (app.get_blob(&digest, ByteRange::Last(0)).await, "-0"),
        (app.get_blob(&digest, 5..5).await, "5..5"),
        (app.get_blob(&digest, reversed).await, "5..4"),
    ] {
        let error = part.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{range}: {error}");
        assert!(error.to_string().contains(range), "{error}");
    }
    assert!(served.requests().is_empty());
}

#[tokio::test]
async fn sha512_is_known_up_and_down() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let content = content(3 * CHUNK);
    let options = UploadBlobOptions {
        algorithm: Algorithm::SHA512,
        ..in_chunks_of(CHUNK)
    };
    let blob = app.upload_blob_with(&content, options).await.unwrap();
    assert_eq!(blob.digest, Digest::sha512(&content));
    assert!(down(&app, &blob.digest).await == content);
}

#[tokio::test]
async fn a_blob_that_is_there_already_can_be_uploaded_again() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let (first, second) = (
        app.upload_blob(b"same").await.unwrap(),
        app.upload_blob(b"same").await.unwrap(),
    );
    assert_eq!(first, second);
    assert!(app.delete_blob(&first.digest).await.unwrap());
    assert!(!app.delete_blob(&first.digest).await.unwrap());
}

#[tokio::test]
async fn a_mounted_blob_outlives_its_source() {
    let served = Served::new();
    let (source, target) = (
        served.repository("samples/source"),
        served.repository("samples/target"),
    );
    let blob = source.upload_blob(b"shared").await.unwrap();
    served.requests();
    let mounted = target.mount_blob(&blob.digest, "samples/source").await;
    let mounted = mounted.unwrap();
    assert!(mounted.is_none());
    assert!(
        served
            .requests()
            .iter()
            .filter(|request| request.contains("uploads"))
            .count()
            <= 2
    );
    assert!(source.delete_blob(&blob.digest).await.unwrap());
    assert_eq!(down(&target, &blob.digest).await, "shared");
    // What is not there opens an upload, which can be gone on with.
    let started = target.mount_blob(Digest::sha256("new"), "samples/source");
    let started = started.await.unwrap();
    let mut upload = started.expect("there was nothing to mount");
    let digest = upload.complete_with(Digest::sha256("new"), "new").await;
    let digest = digest.unwrap();
    assert_eq!(down(&target, &digest).await, "new");
}

#[tokio::test]
async fn blobs_go_up_and_down_at_once() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let work = futures_util::stream::iter(0..20).map(|at| {
        let app = app.clone();
        async move {
            let content = content(CHUNK + at * 1_000);
            let blob = app.upload_blob_with(&content, in_chunks_of(10_000)).await;
            let blob = blob.unwrap();
            down(&app, &blob.digest).await == content
        }
    });
    assert!(work.buffer_unordered(8).all(std::future::ready).await);
}

#[tokio::test]
async fn an_upload_is_gone_on_with_after_a_response_was_lost() {
    // Every third chunk arrives, but its response says that the location is old: the registry had it already.
    let served = Served::new();
    let lost = Arc::new(AtomicUsize::new(0));
    let (registry, counter) = (served.registry.clone(), lost.clone());
    let transport = from_fn(move |request: Request<Body>| {
        let (registry, counter) = (registry.clone(), counter.clone());
        async move {
            let is_chunk = request.method() == http::Method::PATCH;
            if !is_chunk || counter.fetch_add(1, Ordering::Relaxed) % 3 != 2 {
                return registry.handle(request).await.map(Body::new);
            }
            let (head, body) = request.into_parts();
            let bytes = http_body_util::BodyExt::collect(body).await.unwrap();
            let bytes = bytes.to_bytes();
            let twice = [bytes.clone(), bytes]
                .map(|bytes| Request::from_parts(head.clone(), Body::bytes(bytes)));
            let [first, second] = twice;
            registry.handle(first).await;
            registry.handle(second).await.map(Body::new)
        }
    });
    let client = seeded::builder("https://mock.azurecr.io")
        .credential(Credential::entra_token("any"))
        .transport(transport)
        .clock(VirtualClock::new())
        .build()
        .unwrap();
    let app = client.repository_client("samples/app").unwrap();
    let content = content(10 * 1_000 + 1);
    let blob = app.upload_blob_with(&content, in_chunks_of(1_000)).await;
    let blob = blob.unwrap();
    assert_eq!(blob.digest, Digest::sha256(&content));
    assert_eq!(lost.load(Ordering::Relaxed), 10, "no chunk was sent again");
    assert!(down(&app, &blob.digest).await == content);
}
