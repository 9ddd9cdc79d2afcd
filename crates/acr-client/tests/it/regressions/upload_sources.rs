use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use acr_client::transport::{Body, from_fn};
use acr_client::{BlobSource, Credential, Digest, Error, HashOn, UploadBlobOptions};
use acr_mock::{Fault, FaultAction};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode};

use crate::regressions::support::{HOST, Scene};
use crate::seeded;

const MIB: usize = 1 << 20;

fn chunks_of(chunk_size: u64) -> UploadBlobOptions {
    UploadBlobOptions {
        chunk_size: Some(chunk_size),
        ..UploadBlobOptions::default()
    }
}

/// An error of another call, by a response with nothing but this status.
fn foreign(status: StatusCode) -> io::Error {
    let transport = from_fn(move |_: Request<Body>| async move {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response
    });
    let clock = Scene::new().clock;
    let client = seeded::builder("https://from.example")
        .credential(Credential::anonymous())
        .transport(transport)
        .clock(clock.clone());
    let from = client.build().unwrap().repository_client("from").unwrap();
    let digest = Digest::sha256("layer");
    let error = clock.drive(from.download_blob(&digest)).unwrap_err();
    assert_eq!((error.status(), error.code()), (Some(status), None));
    error.into()
}

/// A stream of so many items that ends by an error, and by nothing more if it is asked again.
fn failing(items: usize, status: StatusCode) -> BlobSource {
    let items = (0..items).map(|_| Ok(Bytes::from(vec![7; 600])));
    BlobSource::stream(stream::iter(items.chain([Err(foreign(status))])))
}

/// The error of an upload whose source has failed, which is nothing that the registry has done.
#[track_caller]
fn fails_once(scene: &Scene, uploaded: Result<acr_client::Descriptor, Error>) -> Error {
    let error = uploaded.unwrap_err();
    assert!(!error.to_string().contains("anew"), "{error}");
    assert_eq!(scene.count("start_upload"), 1, "{error}");
    assert_eq!(scene.count("complete_upload"), 0, "{error}");
    assert_eq!(scene.count("cancel_upload"), 1, "{error}");
    error
}

#[test]
fn a_source_that_is_not_found_is_no_upload_that_is_lost() {
    for status in [StatusCode::NOT_FOUND, StatusCode::UNAUTHORIZED] {
        for items in [2, 7] {
            let scene = Scene::new();
            let app = scene.owner().repository_client("app").unwrap();
            let uploaded = app.upload_blob_with(failing(items, status), chunks_of(1000));
            let error = fails_once(&scene, scene.drive(uploaded));
            assert_eq!(error.status(), Some(status), "{error}");
        }
    }
}

#[test]
fn a_source_that_is_opened_again_and_not_found_is_no_upload_that_is_lost() {
    for chunk_size in [MIB as u64 + 5, 70_000] {
        let scene = Scene::new();
        let registry = scene.registry.clone();
        // The bodies go on as they are, so that they can break.
        let transport = from_fn(move |request: Request<Body>| {
            let registry = registry.clone();
            async move { registry.try_handle(request).await }
        });
        let client = seeded::builder(format!("https://{HOST}"))
            .credential(Credential::entra_token("of the owner"))
            .transport(transport)
            .clock(scene.clock.clone());
        let app = client.build().unwrap().repository_client("app").unwrap();
        let source = BlobSource::reopen(3 * MIB as u64, |at| {
            let held = Cursor::new(vec![7; 2 * MIB - at as usize]);
            Ok(Box::new(held.chain(Failing)))
        });
        let uploaded = app.upload_blob_with(source, chunks_of(chunk_size));
        let error = fails_once(&scene, scene.drive(uploaded));
        assert_eq!(error.status(), Some(StatusCode::NOT_FOUND), "{error}");
    }
}

struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(foreign(StatusCode::NOT_FOUND))
    }
}

#[test]
fn a_stream_that_has_failed_in_its_first_chunk_is_not_committed_cut_short() {
    let scene = Scene::with(|builder| builder.minimum_chunk_length(5_000));
    let app = scene.owner().repository_client("app").unwrap();
    let uploaded = app.upload_blob_with(failing(3, StatusCode::NOT_FOUND), chunks_of(1000));
    fails_once(&scene, scene.drive(uploaded));
}

#[test]
fn a_source_that_can_be_read_once_is_sent_where_it_could_be_asked_for_by_its_digest_alone() {
    let scene = Scene::new();
    let client = scene.owner();
    let [from, app] = ["base", "app"].map(|name| client.repository_client(name).unwrap());
    let content = vec![7; 5000];
    for (skip_existing, mount_from) in [
        (Some(true), None),
        (None, Some(from.name().clone())),
        (Some(true), Some(from.name().clone())),
    ] {
        for is_stream in [false, true] {
            let source = match is_stream {
                true => BlobSource::stream(stream::iter([Ok(Bytes::from(content.clone()))])),
                false => BlobSource::reader(Cursor::new(content.clone())),
            };
            let options = UploadBlobOptions {
                skip_existing,
                mount_from: mount_from.clone(),
                ..chunks_of(1000)
            };
            let blob = scene.drive(app.upload_blob_with(source, options)).unwrap();
            assert_eq!(blob.digest, Digest::sha256(&content));
        }
    }
    assert_eq!(scene.count("head_blob") + scene.count("mount_blob"), 0);
}

/// A reader that counts how often it is read.
struct Counting(Arc<AtomicUsize>);

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.fetch_add(1, Ordering::SeqCst);
        buffer.fill(7);
        Ok(buffer.len())
    }
}

#[test]
fn of_a_blob_that_is_there_no_byte_is_read_from_a_pipe() {
    let scene = Scene::new();
    let app = scene.owner().repository_client("app").unwrap();
    let blob = scene.drive(app.upload_blob(b"layer")).unwrap();
    let reads = Arc::new(AtomicUsize::new(0));
    let options = UploadBlobOptions {
        digest: Some(blob.digest.clone()),
        hash_on: HashOn::Thread,
        ..UploadBlobOptions::default()
    };
    let source = BlobSource::reader(Counting(reads.clone()));
    let found = scene.drive(app.upload_blob_with(source, options)).unwrap();
    assert_eq!(found.digest, blob.digest);
    // Nothing holds the counter but this, once whatever has read it is gone.
    while Arc::strong_count(&reads) > 1 {
        std::thread::yield_now();
    }
    assert_eq!(reads.load(Ordering::SeqCst), 0);
}

#[test]
fn a_registry_that_takes_small_requests_has_a_source_opened_no_more_often_than_it_is_refused() {
    let scene = Scene::new();
    let app = scene.owner().repository_client("app").unwrap();
    let limit = 3 * MIB as u64 / 2;
    for step in ["upload_chunk", "complete_upload"] {
        let refuse = FaultAction::RefuseBodyOver(limit);
        scene.registry.inject(Fault::on(step).then(refuse)).unwrap();
    }
    let (length, opened) = (24 * MIB, Arc::new(AtomicUsize::new(0)));
    let counter = opened.clone();
    let source = BlobSource::reopen(length as u64, move |at| {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Cursor::new(vec![7; length - at as usize])))
    });
    let blob = scene.drive(app.upload_blob(source)).unwrap();
    assert_eq!(blob.digest, Digest::sha256(vec![7; length]));
    // 24, 12, 6 and 3 MiB are refused; the others have 1.5 MiB.
    let refused = scene.count("upload_chunk") + scene.count("complete_upload") - 16;
    let opened = opened.load(Ordering::SeqCst) as u64;
    assert!(opened <= refused + 3, "{opened} times, {refused} refused");
}

#[test]
fn a_folder_in_the_place_of_a_file_is_named_and_nothing_is_sent() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let app = scene.owner().repository_client("app").unwrap();
    let error = scene.drive(app.upload_blob(folder.path())).unwrap_err();
    assert_eq!(error.kind(), acr_client::ErrorKind::Io);
    let name = folder.path().display().to_string();
    assert!(error.to_string().contains(&name), "{error}");
    assert!(scene.seen().is_empty(), "{:?}", scene.seen());
}
