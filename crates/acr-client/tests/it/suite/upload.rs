//! Uploads step by step: locations that are kept, chunks that do not fit, and ends.

use std::time::Duration;

use acr_client::protocol::upload::UploadLocation;
use acr_client::{Advice, Digest, ErrorKind};

use crate::suite::backend::Served;

#[tokio::test]
async fn another_process_goes_on_from_a_location_that_was_kept() {
    let served = Served::new();
    let begun = served.repository("samples/app").start_upload().await;
    let mut begun = begun.unwrap();
    begun.append("first ").await.unwrap();
    let kept = begun.location().to_string();

    let app = served.repository("samples/app");
    let mut upload = app.resume_upload(kept).await.unwrap();
    assert_eq!(upload.offset(), 6);
    let digest = Digest::sha256("first second");
    upload.complete_with(&digest, "second").await.unwrap();
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
    let mut upload = app.start_upload().await.unwrap();
    let mut old = app.resume_upload(upload.state()).await.unwrap();
    upload.append("abc").await.unwrap();
    served.requests();
    old.append("abcdef").await.unwrap();
    let sent: Vec<_> = served
        .requests()
        .iter()
        .map(|line| line[..4].to_owned())
        .collect();
    assert_eq!(sent, ["PATC", "GET ", "PATC"]);
    assert_eq!(old.offset(), 6);
    old.complete(Digest::sha256("abcdef")).await.unwrap();
}

#[tokio::test]
async fn whether_one_byte_is_held_or_none_is_found_out_by_the_next_chunk() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let digest = Digest::sha256("whole");
    for (held, is_last) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut upload = app.start_upload().await.unwrap();
        if held {
            upload.append("w").await.unwrap();
        }
        let mut resumed = app.resume_upload(upload.location()).await.unwrap();
        assert_eq!(resumed.offset(), 0);
        if is_last {
            resumed.complete_with(&digest, "whole").await.unwrap();
        } else {
            resumed.append("whole").await.unwrap();
            assert_eq!(resumed.offset(), 5);
            resumed.complete(&digest).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_chunk_at_the_wrong_place_is_refused_and_the_upload_lives_on() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let mut begun = app.start_upload().await.unwrap();
    let mut upload = app.resume_upload(begun.state()).await.unwrap();
    begun.append("0123456").await.unwrap();
    let error = upload.append("abc").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Registry, "{error}");
    assert_eq!(error.operation(), Some("upload_chunk"));
    let refusal = std::error::Error::source(&error).unwrap();
    let refusal = refusal.downcast_ref::<acr_client::Error>().unwrap();
    assert_eq!(refusal.status().unwrap().as_u16(), 416, "{refusal}");
    assert_eq!(upload.offset(), 7);
    upload.append("abc").await.unwrap();
}

#[tokio::test]
async fn an_empty_chunk_is_refused_before_anything_is_sent() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let mut upload = app.start_upload().await.unwrap();
    served.requests();
    let error = upload.append("").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(served.requests().is_empty());
}

#[tokio::test]
async fn a_wrong_digest_at_the_end_is_told_and_the_right_one_still_goes() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let mut upload = app.start_upload().await.unwrap();
    upload.append("content").await.unwrap();
    let completed = upload.complete(Digest::sha256("other")).await;
    let error = completed.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
    assert_eq!(error.code().unwrap(), "DIGEST_INVALID");
    upload.complete(Digest::sha256("content")).await.unwrap();
}

#[tokio::test]
async fn an_upload_that_ended_is_not_found_and_a_new_one_is_advised() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let mut completed = app.start_upload().await.unwrap();
    let end = completed.complete_with(Digest::sha256("x"), "x").await;
    end.unwrap();
    let mut cancelled = app.start_upload().await.unwrap();
    cancelled.cancel().await.unwrap();
    let expired = app.start_upload().await.unwrap();
    served.clock.advance(Duration::from_secs(3_600));
    for mut ended in [completed, cancelled, expired] {
        for error in [
            ended.status().await.unwrap_err(),
            ended.append("x").await.unwrap_err(),
            ended.complete(Digest::sha256("x")).await.unwrap_err(),
            ended.cancel().await.unwrap_err(),
            app.resume_upload(ended.location()).await.unwrap_err(),
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
    for _ in 0..5 {
        served.clock.advance(Duration::from_secs(3_599));
        upload.append("x").await.unwrap();
    }
    upload.complete(Digest::sha256("xxxxx")).await.unwrap();
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
        let error = app.resume_upload(location).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    assert!(served.requests().is_empty());
}
