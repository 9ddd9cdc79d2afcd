//! Uploads step by step: locations that are kept, chunks that do not fit, and ends.

use std::time::Duration;

use acr_client::{Advice, Digest, ErrorKind, UploadLocation};

use crate::suite::backend::Served;

#[tokio::test]
async fn another_process_goes_on_from_a_location_that_was_kept() {
    let served = Served::new();
    let begun = served
        .repository("samples/app")
        .start_upload()
        .await
        .unwrap();
    let half = served
        .repository("samples/app")
        .upload_chunk(&begun.location, 0, "first ")
        .await
        .unwrap();
    let kept = half.location.to_string();

    let app = served.repository("samples/app");
    let location = UploadLocation::new(kept).unwrap();
    let status = app.get_upload_status(&location).await.unwrap();
    let offset = status.last_byte.unwrap() + 1;
    assert_eq!(offset, 6);
    let digest = Digest::sha256("first second");
    app.complete_upload_with(&status.location, &digest, offset, "second")
        .await
        .unwrap();
    assert_eq!(
        app.download_blob(&digest)
            .await
            .unwrap()
            .bytes(100)
            .await
            .unwrap(),
        "first second"
    );
}

#[tokio::test]
async fn an_old_location_is_refused_and_the_status_says_where_to_go_on() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let begun = app.start_upload().await.unwrap();
    app.upload_chunk(&begun.location, 0, "abc").await.unwrap();
    let error = app
        .upload_chunk(&begun.location, 0, "abc")
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.status().unwrap().as_u16()),
        (ErrorKind::Registry, 416),
        "{error}"
    );
    // Without a body there is no code.
    assert_eq!(error.code(), None);
    let status = app.get_upload_status(&begun.location).await.unwrap();
    assert_eq!(status.last_byte, Some(2));
    app.upload_chunk(&status.location, 3, "def").await.unwrap();
}

#[tokio::test]
async fn a_chunk_at_the_wrong_place_is_refused_and_the_upload_lives_on() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let begun = app.start_upload().await.unwrap();
    let error = app
        .upload_chunk(&begun.location, 7, "abc")
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.status().unwrap().as_u16()),
        (ErrorKind::Registry, 416),
        "{error}"
    );
    assert_eq!(error.code().unwrap(), "BLOB_UPLOAD_RANGE_INVALID");
    app.upload_chunk(&begun.location, 0, "abc").await.unwrap();
}

#[tokio::test]
async fn an_empty_chunk_is_refused_before_anything_is_sent() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let begun = app.start_upload().await.unwrap();
    served.requests();
    let error = app.upload_chunk(&begun.location, 0, "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(served.requests().is_empty());
}

#[tokio::test]
async fn a_wrong_digest_at_the_end_is_told_and_the_right_one_still_goes() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let begun = app.start_upload().await.unwrap();
    let held = app
        .upload_chunk(&begun.location, 0, "content")
        .await
        .unwrap();
    let error = app
        .complete_upload(&held.location, Digest::sha256("other"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
    assert_eq!(error.code().unwrap(), "DIGEST_INVALID");
    app.complete_upload(&held.location, Digest::sha256("content"))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_upload_that_ended_is_not_found_and_a_new_one_is_advised() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let completed = app.start_upload().await.unwrap();
    app.complete_upload_with(&completed.location, Digest::sha256("x"), 0, "x")
        .await
        .unwrap();
    let cancelled = app.start_upload().await.unwrap();
    app.cancel_upload(&cancelled.location).await.unwrap();
    let expired = app.start_upload().await.unwrap();
    served.clock.advance(Duration::from_secs(3_600));
    for ended in [completed, cancelled, expired] {
        for error in [
            app.get_upload_status(&ended.location).await.unwrap_err(),
            app.upload_chunk(&ended.location, 0, "x").await.unwrap_err(),
            app.complete_upload(&ended.location, Digest::sha256("x"))
                .await
                .unwrap_err(),
            app.cancel_upload(&ended.location).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            assert_eq!(error.advice(), Advice::NewSession);
        }
    }
}

#[tokio::test]
async fn each_byte_puts_the_end_off() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let mut upload = app.start_upload().await.unwrap();
    for offset in 0..5 {
        served.clock.advance(Duration::from_secs(3_599));
        upload = app
            .upload_chunk(&upload.location, offset, "x")
            .await
            .unwrap();
    }
    app.complete_upload(&upload.location, Digest::sha256("xxxxx"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_location_elsewhere_gets_no_credential() {
    let served = Served::new();
    let app = served.repository("samples/app");
    app.start_upload().await.unwrap();
    served.requests();
    for elsewhere in [
        "https://elsewhere.example/v2/samples/app/blobs/uploads/1?_state=x",
        "http://mock.azurecr.io/v2/samples/app/blobs/uploads/1?_state=x",
        "//elsewhere.example/v2/samples/app/blobs/uploads/1",
    ] {
        let Ok(location) = UploadLocation::new(elsewhere) else {
            continue;
        };
        let error = app.upload_chunk(&location, 0, "x").await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Protocol | ErrorKind::InvalidInput),
            "{error}"
        );
    }
    assert!(served.requests().is_empty());
}
