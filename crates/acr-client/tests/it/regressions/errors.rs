use acr_client::models::ErrorCode;
use acr_client::{Advice, BlobSource, ErrorKind, RepositoryClient};
use acr_mock::{Fault, FaultAction, FaultResponse};
use futures_util::TryStreamExt as _;
use http::StatusCode;

use crate::regressions::support::Scene;
use crate::seeded;

fn support() -> (Scene, RepositoryClient) {
    let support = Scene::new();
    support.seed("app").image("v1").unwrap();
    let app = support.owner().repository_client("app").unwrap();
    (support, app)
}

#[test]
fn every_refusal_says_what_it_is_and_what_to_do() {
    for (refuse, kind, advice) in [
        (
            FaultResponse::too_many_requests(),
            ErrorKind::Throttled,
            Advice::RetryAfter,
        ),
        (
            FaultResponse::service_unavailable(),
            ErrorKind::Registry,
            Advice::RetryAfter,
        ),
        (
            FaultResponse::internal_server_error(),
            ErrorKind::Registry,
            Advice::RetryAfter,
        ),
        (
            FaultResponse::bad_gateway(),
            ErrorKind::Registry,
            Advice::RetryAfter,
        ),
        (
            FaultResponse::gateway_timeout(),
            ErrorKind::Registry,
            Advice::RetryAfter,
        ),
        (
            FaultResponse::invalid_token(),
            ErrorKind::Unauthorized,
            Advice::NewToken,
        ),
        (FaultResponse::denied(), ErrorKind::Denied, Advice::Never),
        (
            FaultResponse::not_found(),
            ErrorKind::NotFound,
            Advice::Never,
        ),
        (
            FaultResponse::status(StatusCode::BAD_REQUEST),
            ErrorKind::Registry,
            Advice::FixRequest,
        ),
        (
            FaultResponse::status(StatusCode::NOT_IMPLEMENTED),
            ErrorKind::Registry,
            Advice::Never,
        ),
        (
            FaultResponse::status(StatusCode::HTTP_VERSION_NOT_SUPPORTED),
            ErrorKind::Registry,
            Advice::Never,
        ),
        (
            FaultResponse::status(StatusCode::METHOD_NOT_ALLOWED),
            ErrorKind::Disallowed,
            Advice::Never,
        ),
        (
            FaultResponse::status(StatusCode::PAYLOAD_TOO_LARGE),
            ErrorKind::TooLarge,
            Advice::FixRequest,
        ),
        (
            FaultResponse::status(StatusCode::REQUEST_TIMEOUT),
            ErrorKind::Timeout,
            Advice::RetryAfter,
        ),
    ] {
        let (support, app) = support();
        let fault = Fault::on("get_manifest").then(refuse);
        support.registry.inject(fault).unwrap();
        let error = support.drive(app.get_manifest("v1")).unwrap_err();
        assert_eq!((error.kind(), error.advice()), (kind, advice), "{error}");
        assert_eq!(error.is_retryable(), advice == Advice::RetryAfter);
        assert!(error.status().is_some());
        assert_eq!(error.operation(), Some("get_manifest"));
        assert_eq!(error.repository(), Some("app"));
        assert_eq!(error.reference(), Some("v1"));
        // What may heal was tried as often as the options say, and what cannot was not.
        let sent = support.count("get_manifest");
        let expected = if advice == Advice::RetryAfter { 5 } else { 1 };
        assert_eq!(sent, expected, "{error}");
        assert_eq!(u64::from(error.attempts()), sent, "{error}");
    }
}

#[test]
fn an_error_of_the_registry_comes_with_its_code_and_the_id_to_report_it_by() {
    let (support, app) = support();
    let error = support.drive(app.get_tag_properties("v9")).unwrap_err();
    assert_eq!(error.code(), Some(&ErrorCode::TAG_UNKNOWN));
    assert_eq!(error.registry_errors().len(), 1);
    assert!(error.request_id().is_some_and(|id| id.len() == 36));
    assert_eq!(
        error.to_string(),
        "get_tag_properties app:v9: 404 Not Found: TAG_UNKNOWN: the specified tag does not exist"
    );
}

#[test]
fn a_failure_that_was_repeated_says_how_often() {
    let (support, app) = support();
    let down = Fault::on("get_manifest").then(FaultResponse::service_unavailable());
    support.registry.inject(down).unwrap();
    let text = support.drive(app.get_manifest("v1")).unwrap_err();
    let text = text.to_string();
    assert!(
        text.starts_with("get_manifest app:v1: 503 Service Unavailable"),
        "{text}"
    );
    assert!(text.ends_with("(tried 5 times)"), "{text}");
}

#[test]
fn what_breaks_on_the_way_is_repeated_in_the_middle_of_a_body_too() {
    for fault in [
        Fault::on("get_manifest").times(2).then(FaultAction::Reset),
        Fault::on("get_manifest")
            .times(2)
            .then(FaultAction::DropResponse),
        Fault::on("get_manifest")
            .times(2)
            .then(FaultAction::CutBody(10)),
        Fault::on("get_manifest").times(2).then(FaultAction::Hang),
        Fault::on("get_manifest")
            .times(2)
            .then(FaultAction::StallBody(10)),
    ] {
        let (support, app) = support();
        let handle = support.registry.inject(fault).unwrap();
        support.drive(app.get_manifest("v1")).unwrap();
        assert_eq!(handle.count(), 2);
    }
}

#[test]
fn content_that_was_damaged_on_the_way_is_an_error_and_never_content() {
    let (support, app) = support();
    let fault = Fault::on("get_manifest").then(FaultAction::FlipByte(3));
    support.registry.inject(fault).unwrap();
    let error = support.drive(app.get_manifest("v1")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
}

#[test]
fn a_change_whose_response_was_lost_is_repeated_where_that_does_no_harm() {
    let (support, app) = support();
    support.drive(async {
        let lost = |operation: &str| {
            let fault = Fault::on(operation)
                .times(1)
                .then(FaultAction::DropResponse);
            support.registry.inject(fault).unwrap()
        };
        let manifest = app.get_manifest("v1").await.unwrap();
        let set = lost("set_manifest");
        app.set_manifest("v2", &manifest).await.unwrap();
        let deleted = lost("delete_tag");
        // It is gone by the second time: 404, which is success.
        app.delete_tag("v2").await.unwrap();
        let locked = lost("update_tag_properties");
        let locks = acr_client::ChangeableAttributes::LOCKED;
        app.update_tag_properties("v1", locks).await.unwrap();
        for handle in [set, deleted, locked] {
            assert_eq!(handle.count(), 1);
        }
    });
}

#[test]
fn a_chunk_whose_response_was_lost_is_not_sent_twice() {
    for fault in [
        Fault::on("upload_chunk")
            .after(1)
            .times(1)
            .then(FaultAction::DropResponse),
        Fault::on("upload_chunk")
            .after(1)
            .times(1)
            .then(FaultAction::Reset),
        Fault::on("upload_chunk")
            .after(1)
            .times(1)
            .then(FaultAction::ResetAfterTaking(300)),
        Fault::on("upload_chunk")
            .after(1)
            .times(2)
            .then(FaultResponse::service_unavailable()),
        Fault::on("upload_chunk")
            .after(1)
            .times(1)
            .then(FaultResponse::too_many_requests()),
        Fault::on("complete_upload")
            .times(1)
            .then(FaultAction::DropResponse),
        Fault::on("complete_upload")
            .times(1)
            .then(FaultAction::Reset),
        Fault::on("complete_upload")
            .times(2)
            .then(FaultResponse::service_unavailable()),
        Fault::on("complete_upload")
            .times(1)
            .then(FaultAction::ResetAfterTaking(100)),
        Fault::on("start_upload")
            .times(2)
            .then(FaultAction::DropResponse),
        Fault::on("get_upload_status")
            .times(2)
            .then(FaultAction::Reset),
    ] {
        let (support, app) = support();
        let shown = format!("{fault:?}");
        support.registry.inject(fault).unwrap();
        let content: Vec<u8> = (0..5000_u32).map(|at| at as u8).collect();
        let options = acr_client::UploadBlobOptions {
            chunk_size: Some(1000),
            ..Default::default()
        };
        let blob = support.drive(app.upload_blob_with(content.clone(), options));
        let blob = blob.unwrap_or_else(|error| panic!("{shown}: {error}"));
        let bytes = support.drive(async {
            let stream = app.download_blob(&blob.digest).await.unwrap();
            stream.bytes(9999).await.unwrap()
        });
        assert_eq!(bytes, content, "{shown}");
    }
}

#[test]
fn an_upload_that_the_registry_has_lost_advises_a_new_one_where_the_source_is_read_once() {
    for fault in [
        Fault::on("upload_chunk")
            .after(1)
            .times(1)
            .then(FaultAction::LoseUpload),
        Fault::on("upload_chunk")
            .after(1)
            .times(1)
            .then(FaultAction::CorruptUpload),
    ] {
        let (support, app) = support();
        support.registry.inject(fault).unwrap();
        let options = acr_client::UploadBlobOptions {
            chunk_size: Some(1000),
            ..Default::default()
        };
        let source = BlobSource::reader(std::io::Cursor::new(vec![7; 5000]));
        let uploaded = support.drive(app.upload_blob_with(source, options));
        let error = uploaded.unwrap_err();
        assert_eq!(error.advice(), Advice::NewSession, "{error}");
        assert!(error.to_string().contains("read only once"), "{error}");
    }
}

#[test]
fn a_response_that_breaks_off_keeps_its_status_and_the_id_to_report_it_by() {
    let (support, app) = support();
    let fault = Fault::on("get_manifest").then(FaultAction::CutBody(10));
    support.registry.inject(fault).unwrap();
    let error = support.drive(app.get_manifest("v1")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
    assert_eq!(error.status(), Some(StatusCode::OK));
    assert!(error.request_id().is_some_and(|id| id.len() == 36));
}

#[test]
fn a_deadline_does_not_hide_what_went_wrong_before_it() {
    let support = Scene::new();
    support.seed("app").image("v1").unwrap();
    let client = support
        .builder(acr_client::Credential::password("ci", "hunter2"))
        .retry(acr_client::RetryOptions {
            deadline: Some(std::time::Duration::from_secs(5)),
            ..seeded::retry()
        })
        .build()
        .unwrap();
    let app = client.repository_client("app").unwrap();
    let down = Fault::on("get_manifest")
        .times(1)
        .then(FaultResponse::service_unavailable());
    support.registry.inject(down).unwrap();
    let silent = Fault::on("get_manifest").then(FaultAction::Hang);
    support.registry.inject(silent).unwrap();
    let error = support.drive(app.get_manifest("v1")).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("deadline") && text.contains("503"), "{text}");
    let before = std::error::Error::source(&error).unwrap();
    let before = before.downcast_ref::<acr_client::Error>().unwrap();
    assert_eq!(before.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
    assert!(before.request_id().is_some());
}

#[test]
fn a_broken_download_that_an_upload_reads_from_keeps_its_kind_and_advice() {
    let (support, app) = support();
    let content = vec![7; 5000];
    let blob = support.drive(app.upload_blob(content)).unwrap();
    let copy = support.owner().repository_client("copy").unwrap();
    let work = async {
        let download = app.download_blob(&blob.digest).await.unwrap();
        let source = download.map_err(std::io::Error::from);
        copy.upload_blob(BlobSource::stream(source)).await
    };
    let cut = Fault::on_data().then(FaultAction::CutBody(0));
    support.registry.inject(cut).unwrap();
    let error = support.drive(work).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
    assert!(error.is_retryable());
    let text = error.to_string();
    for word in ["upload_blob copy", "the source of the blob", "get_blob app"] {
        assert!(text.contains(word), "{text}");
    }
}
