use acr_client::transport::{Body, from_fn};
use acr_client::{Credential, Digest, ErrorKind};
use acr_mock::{Fault, FaultResponse, VirtualClock};
use futures_util::FutureExt as _;
use http::{Request, Response};

use crate::regressions::support::Scene;
use crate::seeded;

#[test]
fn no_credential_reaches_the_storage() {
    let support = Scene::new();
    let blob = support
        .seed("app")
        .blob("application/octet-stream", "layer");
    for credential in [
        Credential::entra_token("any"),
        Credential::password("ci", "hunter2"),
    ] {
        let app = support.client(credential).repository_client("app").unwrap();
        // The mock's storage refuses a request with a credential, as Azure's does.
        let bytes = support.drive(async {
            app.download_blob(&blob.digest)
                .await
                .unwrap()
                .bytes(99)
                .await
        });
        assert_eq!(bytes.unwrap(), "layer");
        for seen in support.seen() {
            if !seen.line.contains("https://mock.azurecr.io/") {
                assert!(!seen.headers.contains_key("authorization"), "{}", seen.line);
                assert!(!seen.line.contains("hunter2"));
            }
        }
    }
    assert_eq!(support.registry.requests().data(), 2);
}

#[test]
fn a_storage_that_fails_is_asked_again_by_a_new_url() {
    let support = Scene::new();
    let blob = support
        .seed("app")
        .blob("application/octet-stream", "layer");
    let app = support.owner().repository_client("app").unwrap();
    let down = Fault::on_data()
        .times(2)
        .then(FaultResponse::service_unavailable());
    support.registry.inject(down).unwrap();
    let bytes = support.drive(async {
        app.download_blob(&blob.digest)
            .await
            .unwrap()
            .bytes(99)
            .await
    });
    assert_eq!(bytes.unwrap(), "layer");
    assert_eq!(support.count("get_blob"), 3);
}

#[test]
fn a_refusal_of_the_storage_says_nothing_about_the_identity() {
    let support = Scene::new();
    let blob = support
        .seed("app")
        .blob("application/octet-stream", "layer");
    let app = support.owner().repository_client("app").unwrap();
    let expired = Fault::on_data().then(FaultResponse::expired_url());
    support.registry.inject(expired).unwrap();
    let error = support.drive(app.download_blob(&blob.digest)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Registry, "{error}");
    assert!(error.to_string().contains("data.invalid"), "{error}");
    assert!(!error.to_string().contains("sig="), "{error}");
}

#[test]
fn a_blob_can_be_handed_to_another_downloader() {
    let support = Scene::new();
    let blob = support
        .seed("app")
        .blob("application/octet-stream", "layer");
    let app = support.owner().repository_client("app").unwrap();
    let location = support.drive(app.blob_url(&blob.digest)).unwrap();
    assert!(!location.is_on_registry());
    assert_eq!(support.registry.requests().data(), 0, "it is not followed");
    assert!(location.url().query().unwrap().contains("sig="));
    assert!(!format!("{location:?}").contains("sig="), "{location:?}");
    let request = Request::get(location.url()).body(String::new()).unwrap();
    let response = support.drive(support.registry.handle(request));
    assert_eq!(response.status(), 200);

    let error = support
        .drive(app.blob_url(Digest::sha256("none")))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");

    let direct = Scene::with(|builder| builder.data_redirect(false));
    let blob = direct.seed("app").blob("application/octet-stream", "layer");
    let app = direct.owner().repository_client("app").unwrap();
    let location = direct.drive(app.blob_url(&blob.digest)).unwrap();
    assert!(location.is_on_registry());
    assert_eq!(
        location.url().host(),
        Some(crate::regressions::support::HOST)
    );
}

/// A registry whose blobs are redirected by this function.
fn redirecting(
    to: impl Fn(&http::Uri) -> String + Send + Sync + 'static,
) -> acr_client::RepositoryClient {
    let transport = from_fn(move |request: Request<Body>| {
        let location = to(request.uri());
        let is_own = request.uri().host() == Some("r.example");
        assert!(is_own || !request.headers().contains_key("authorization"));
        async move {
            Response::builder()
                .status(307)
                .header("location", location)
                .body(String::new())
                .unwrap()
        }
    });
    seeded::builder("https://r.example")
        .credential(Credential::password("ci", "hunter2"))
        .transport(transport)
        .clock(VirtualClock::new())
        .build()
        .unwrap()
        .repository_client("app")
        .unwrap()
}

#[tokio::test]
async fn a_redirect_never_leads_from_https_to_http_nor_on_and_on() {
    let digest = Digest::sha256("layer");
    for (app, word) in [
        (
            redirecting(|_| "http://storage.example/x".to_owned()),
            "plain http",
        ),
        (
            redirecting(|_| "/v2/elsewhere".to_owned()),
            "more than 5 times",
        ),
        (
            redirecting(|from| match from.host() {
                Some("a.example") => "https://b.example/".to_owned(),
                _ => "https://a.example/".to_owned(),
            }),
            "more than 5 times",
        ),
    ] {
        for error in [
            app.download_blob(&digest).await.unwrap_err(),
            app.get_manifest("v1").await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
            assert!(error.to_string().contains(word), "{error}");
            assert!(error.attempts() <= 6, "{error}");
        }
    }
}

#[tokio::test]
async fn what_no_digest_vouches_for_is_not_fetched_from_elsewhere() {
    let app = redirecting(|_| "https://evil.example:8443/x".to_owned());
    let digest = Digest::sha256("x");
    for error in [
        app.get_repository_properties().await.unwrap_err(),
        app.get_tag_properties("v1").await.unwrap_err(),
        app.get_manifest_properties(&digest).await.unwrap_err(),
        app.list_tags().try_next().await.unwrap_err(),
        app.list_tag_properties().try_next().await.unwrap_err(),
        app.list_manifest_properties().try_next().await.unwrap_err(),
        app.list_referrers(&digest).try_next().await.unwrap_err(),
        app.resume_upload("/v2/app/blobs/uploads/1")
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        let text = error.to_string();
        for origin in ["https://r.example ", "https://evil.example:8443;"] {
            assert!(text.contains(origin), "{text}");
        }
        assert_eq!(
            (error.attempts(), error.status().unwrap().as_u16()),
            (1, 307)
        );
    }
}

#[tokio::test]
async fn what_changes_something_is_not_sent_elsewhere() {
    let app = redirecting(|_| "https://evil.example/x".to_owned());
    let error = app.delete_tag("v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    assert_eq!(error.attempts(), 1);
}

#[test]
fn a_redirect_within_the_registry_does_not_wait_for_the_place_of_its_own_call() {
    let transport = from_fn(|request: Request<Body>| async move {
        match request.uri().path() {
            "/moved" => Response::new("layer".to_owned()),
            _ => Response::builder()
                .status(307)
                .header("location", "/moved")
                .body(String::new())
                .unwrap(),
        }
    });
    let app = seeded::builder("https://r.example")
        .credential(Credential::anonymous())
        .transport(transport)
        .clock(VirtualClock::new())
        .limiter(acr_client::LimiterOptions {
            max_in_flight: 1,
            ..Default::default()
        })
        .build()
        .unwrap()
        .repository_client("app")
        .unwrap();
    let digest = Digest::sha256("layer");
    // Nothing has to be waited for, so all of it is done at the first poll.
    let opened = app.download_blob(&digest).now_or_never();
    let blob = opened.expect("the call waits for itself").unwrap();
    let bytes = blob.bytes(99).now_or_never().unwrap();
    assert_eq!(bytes.unwrap(), "layer");
}
