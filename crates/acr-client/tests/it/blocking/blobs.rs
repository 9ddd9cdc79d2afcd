//! Content, up and down.

use std::fs;
use std::io::{self, BufRead, Cursor, Read};

use acr_client::blocking::RepositoryClient;
use acr_client::models::Algorithm;
use acr_client::transport::Body;
use acr_client::{BlobSource, Digest, ErrorKind, UploadBlobOptions};
use http::Response;

use crate::blocking::served::{Served, inner, over};

fn content(size: usize) -> Vec<u8> {
    (0..=255).cycle().take(size).collect()
}

/// A blob that comes in parts of a few bytes.
fn in_parts(repository: &RepositoryClient) -> Digest {
    let blob = repository.upload_blob("first line\nsecond line\n".to_owned());
    blob.unwrap().digest
}

#[test]
fn a_blob_from_a_reader_comes_down_by_read_whatever_the_buffer() {
    for served in Served::both() {
        let app = served.repository("app");
        let content = content(300_001);
        let options = UploadBlobOptions {
            chunk_size: Some(100_000),
            ..Default::default()
        };
        let source = BlobSource::reader(Cursor::new(content.clone()));
        let blob = app.upload_blob_with(source, options).unwrap();
        assert_eq!(blob.digest, Digest::sha256(&content));
        assert_eq!(app.head_blob(&blob.digest).unwrap().unwrap().size, 300_001);

        for size in [1, 777, 1 << 20] {
            let mut reader = app.download_blob(&blob.digest).unwrap();
            assert_eq!(reader.digest(), &blob.digest);
            assert_eq!(reader.content_length(), Some(300_001));
            assert_eq!(reader.content_range(), None);
            let (mut all, mut buffer) = (Vec::new(), vec![0; size]);
            loop {
                match reader.read(&mut buffer).unwrap() {
                    0 => break,
                    read => all.extend_from_slice(&buffer[..read]),
                }
            }
            assert!(all == content, "by {size}");
            assert_eq!(reader.read(&mut buffer).unwrap(), 0);
        }
        let mut copied = Vec::new();
        let mut reader = app.download_blob(&blob.digest).unwrap();
        assert_eq!(io::copy(&mut reader, &mut copied).unwrap(), 300_001);
        assert!(copied == content);
    }
}

#[test]
fn a_read_into_no_buffer_takes_nothing() {
    let app = Served::in_process().repository("app");
    let mut reader = app.download_blob(in_parts(&app)).unwrap();
    assert_eq!(reader.read(&mut []).unwrap(), 0);
    assert_eq!(reader.bytes(99).unwrap(), "first line\nsecond line\n");
}

#[test]
fn lines_are_read_and_what_is_left_is_saved_written_or_kept() {
    let folder = tempfile::tempdir().unwrap();
    for served in Served::both() {
        let app = served.repository("app");
        let digest = in_parts(&app);
        let begun = || {
            let mut reader = app.download_blob(&digest).unwrap();
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            assert_eq!(line, "first line\n");
            reader
        };
        let file = folder.path().join("rest");
        assert_eq!(begun().save(&file).unwrap(), 12);
        assert_eq!(fs::read(&file).unwrap(), b"second line\n");

        let mut written = Vec::new();
        assert_eq!(begun().write_to(&mut written).unwrap(), 12);
        assert_eq!(written, b"second line\n");

        assert_eq!(begun().bytes(12).unwrap(), "second line\n");
        let error = begun().bytes(11).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);

        let mut reader = begun();
        assert_eq!(reader.try_next().unwrap().unwrap(), "second line\n");
        assert!(reader.try_next().unwrap().is_none());
    }
}

#[test]
fn a_part_of_a_blob_says_which_part_it_is() {
    for served in Served::both() {
        let app = served.repository("app");
        let part = app.get_blob(in_parts(&app), 6..10).unwrap();
        let range = part.content_range().unwrap();
        assert_eq!((range.first, range.last, range.size), (6, 9, Some(23)));
        assert_eq!(part.bytes(4).unwrap(), "line");
    }
}

#[test]
fn a_damaged_blob_is_an_error_at_its_end_and_stays_one() {
    let app = over(|_| Response::new(Body::bytes("damaged")));
    let digest = Digest::sha256("content");
    let mut reader = app.download_blob(&digest).unwrap();
    let mut all = Vec::new();
    let error = reader.read_to_end(&mut all).unwrap_err();
    assert_eq!(all, b"damaged");
    for error in [error, reader.read(&mut [0]).unwrap_err()] {
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(inner(&error).kind(), ErrorKind::DigestMismatch);
        assert_eq!(inner(&error).reference(), Some(digest.as_str()));
    }
    assert_eq!(
        reader.try_next().unwrap_err().kind(),
        ErrorKind::DigestMismatch
    );
    let error = reader.write_to(io::sink()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch);
}

#[test]
fn a_damaged_blob_is_neither_saved_nor_given_as_bytes() {
    let app = over(|_| Response::new(Body::bytes("damaged")));
    let digest = Digest::sha256("content");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("layer");
    fs::write(&file, "old").unwrap();
    let error = app.download_blob(&digest).unwrap().save(&file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch);
    assert_eq!(fs::read(&file).unwrap(), b"old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    let reader = app.download_blob(&digest).unwrap();
    let error = reader.bytes(99).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch);
}

#[test]
fn a_blob_is_copied_from_one_registry_to_another_by_its_reader() {
    for (from, to) in Served::both()
        .into_iter()
        .zip([Served::over_tls(), Served::in_process()])
    {
        let content = content(300_001);
        let blob = from.repository("app").upload_blob(&content).unwrap();
        let reader = from.repository("app").download_blob(&blob.digest).unwrap();
        let options = UploadBlobOptions {
            chunk_size: Some(100_000),
            ..Default::default()
        };
        let copy = to
            .repository("copy")
            .upload_blob_with(BlobSource::reader(reader), options);
        assert_eq!(copy.unwrap(), blob);
    }
}

#[test]
fn a_reader_that_fails_fails_the_upload_that_reads_from_it() {
    let damaged = over(|_| Response::new(Body::bytes("damaged")));
    let reader = damaged.download_blob(Digest::sha256("content")).unwrap();
    let served = Served::in_process();
    let app = served.repository("app");
    let error = app.upload_blob(BlobSource::reader(reader)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
    assert!(
        error.to_string().contains("the source of the blob"),
        "{error}"
    );
    assert_eq!(app.head_blob(Digest::sha256("damaged")).unwrap(), None);
}

#[test]
fn an_upload_goes_step_by_step_and_is_given_up() {
    for served in Served::both() {
        let app = served.repository("app");
        let mut half = app.start_upload().unwrap();
        half.append("half ").unwrap();
        assert_eq!((half.status().unwrap(), half.offset()), (5, 5));
        let mut half = app.resume_upload(half.state()).unwrap();
        let digest = Digest::sha256("half whole");
        let completed = half.complete_with(&digest, "whole");
        assert_eq!(completed.unwrap(), digest);

        let mut whole = app.start_upload().unwrap();
        whole.append("another").unwrap();
        let another = Digest::sha256("another");
        assert_eq!(whole.complete(&another).unwrap(), another);

        let mut upload = app.start_upload().unwrap();
        assert_eq!(upload.minimum_chunk(), None);
        upload.cancel().unwrap();
        let error = upload.status().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}

#[test]
fn a_blob_is_mounted_and_deleted() {
    for served in Served::both() {
        let (app, other) = (served.repository("app"), served.repository("other"));
        let options = UploadBlobOptions {
            algorithm: Algorithm::SHA512,
            ..Default::default()
        };
        let digest = app.upload_blob_with(b"layer", options).unwrap().digest;
        let mounted = other.mount_blob(&digest, "app").unwrap();
        assert!(mounted.is_none(), "{mounted:?}");
        assert!(app.delete_blob(&digest).unwrap());
        assert!(!app.delete_blob(&digest).unwrap());
        let reader = other.download_blob(&digest).unwrap();
        assert_eq!(reader.bytes(5).unwrap(), "layer");
    }
}
