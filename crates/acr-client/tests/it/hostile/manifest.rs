use acr_client::{Digest, ErrorKind, Manifest, MediaType};
use wiremock::matchers::{any, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::hostile::{over, repository, response, seen, text};

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

async fn serving(response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(response)
        .mount(&server)
        .await;
    server
}

fn manifest(body: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body, OCI)
}

#[tokio::test]
async fn a_manifest_with_another_digest_is_refused() {
    let promised = Digest::sha256("{ }");
    let response = manifest("{}").insert_header("Docker-Content-Digest", promised.as_str());
    let server = serving(response).await;
    let error = repository(&server).get_manifest("v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{}", text(&error));

    let server = serving(manifest("{}")).await;
    let error = repository(&server).get_manifest(&promised).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch);
    assert_eq!(error.reference(), Some(promised.as_str()));
    assert_eq!(error.operation(), Some("get_manifest"));
}

#[tokio::test]
async fn a_manifest_of_5_mib_is_too_large_announced_or_not() {
    let server = serving(manifest(&" ".repeat(5 << 20))).await;
    let error = repository(&server).get_manifest("v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{}", text(&error));

    let unannounced = over(|_| {
        let parts =
            (0..5).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b' '; 1 << 20])));
        let mut response = response(200, &[("content-type", OCI)], "");
        *response.body_mut() =
            acr_client::transport::Body::stream(futures_util::stream::iter(parts));
        response
    });
    let error = unannounced.get_manifest("v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn a_manifest_cut_short_is_a_broken_transport() {
    let cut = over(|_| response(200, &[("content-type", OCI), ("content-length", "9")], "{}"));
    let error = cut.get_manifest("v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{}", text(&error));
    assert!(error.is_retryable());
}

#[tokio::test]
async fn what_is_no_manifest_is_a_protocol_error() {
    for response in [
        ResponseTemplate::new(200).set_body_raw("<html>sign in</html>", "text/html"),
        ResponseTemplate::new(200).set_body_bytes("{}"),
        manifest("{}").insert_header("Docker-Content-Digest", "sha256:short"),
        ResponseTemplate::new(204),
        ResponseTemplate::new(202).set_body_raw("{}", OCI),
    ] {
        let server = serving(response).await;
        let error = repository(&server).get_manifest("v1").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{}", text(&error));
        assert_eq!(seen(&server).await.len(), 1);
    }
}

#[tokio::test]
async fn a_manifest_that_is_redirected_in_a_circle_is_a_protocol_error() {
    let circle = ResponseTemplate::new(302).insert_header("Location", "/elsewhere");
    let server = serving(circle).await;
    let error = repository(&server).get_manifest("v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{}", text(&error));
    assert!(error.to_string().contains("more than 5 times"), "{error}");
    assert_eq!(seen(&server).await.len(), 6);
}

#[tokio::test]
async fn a_manifest_without_a_type_is_a_protocol_error() {
    let digest = Digest::sha256("{}");
    for (of_type, is_right) in [(None, false), (Some(("content-type", OCI)), true)] {
        let told = digest.clone();
        let repository = over(move |_| {
            let others = [
                ("content-length", "2"),
                ("docker-content-digest", told.as_str()),
            ];
            let headers: Vec<_> = of_type.into_iter().chain(others).collect();
            response(200, &headers, "{}")
        });
        match repository.resolve("v1").await {
            Ok(found) => assert!(is_right && found.digest == digest),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Protocol, "{}", text(&error));
                assert!(
                    !is_right && error.to_string().contains("content-type"),
                    "{error}"
                );
            }
        }
    }
}

#[tokio::test]
async fn errors_that_are_no_json_keep_their_status() {
    for (status, body, content_type, kind) in [
        (
            404,
            "404 page not found\n",
            "text/plain; charset=utf-8",
            ErrorKind::Unsupported,
        ),
        (
            404,
            "Not found",
            "application/octet-stream",
            ErrorKind::Unsupported,
        ),
        (405, "", "text/plain", ErrorKind::Unsupported),
        (403, "<Error/>", "application/xml", ErrorKind::Denied),
        (413, "", "text/html", ErrorKind::TooLarge),
        (429, "slow down", "text/plain", ErrorKind::Throttled),
        (500, "\u{0}\u{1}", "application/json", ErrorKind::Registry),
        (
            502,
            "{\"errors\":null}",
            "application/json",
            ErrorKind::Registry,
        ),
        (
            503,
            "{\"errors\":[{\"code\":7}]}",
            "application/json",
            ErrorKind::Registry,
        ),
    ] {
        let response = ResponseTemplate::new(status)
            .set_body_raw(body, content_type)
            .insert_header("X-Ms-Correlation-Request-Id", "id-1");
        let server = serving(response).await;
        let error = repository(&server).get_manifest("v1").await.unwrap_err();
        assert_eq!(error.kind(), kind, "{}", text(&error));
        assert_eq!(error.status().unwrap(), status);
        assert_eq!(error.code(), None);
        assert_eq!(error.request_id(), Some("id-1"));
        assert!(
            error.to_string().starts_with("get_manifest app:v1: "),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_error_response_without_end_is_read_in_part() {
    let repository = over(|_| {
        let endless = futures_util::stream::repeat_with(|| {
            Ok::<_, std::io::Error>(bytes::Bytes::from_static(b"no end "))
        });
        let mut response = response(500, &[], "");
        *response.body_mut() = acr_client::transport::Body::stream(endless);
        response
    });
    let error = repository.get_manifest("v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Registry, "{}", text(&error));
}

#[tokio::test]
async fn an_accepted_manifest_with_another_digest_is_a_mismatch() {
    let server = MockServer::start().await;
    let other = Digest::sha256("other");
    Mock::given(method("PUT"))
        .respond_with(
            ResponseTemplate::new(201).insert_header("Docker-Content-Digest", other.as_str()),
        )
        .mount(&server)
        .await;
    let manifest = Manifest::new("{}", MediaType::OCI_MANIFEST);
    let error = repository(&server).set_manifest("v1", &manifest).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{}", text(&error));
}

#[tokio::test]
async fn a_manifest_that_no_registry_takes_is_refused_before_it_is_sent() {
    let server = serving(ResponseTemplate::new(201)).await;
    let repository = repository(&server);
    let large = Manifest::new(vec![b' '; (4 << 20) + 1], MediaType::OCI_MANIFEST);
    let error = repository.set_manifest("v1", &large).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{}", text(&error));

    let manifest = Manifest::new("{}", MediaType::OCI_MANIFEST);
    let other = Digest::sha256("other");
    let error = repository.set_manifest(other, &manifest).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{}", text(&error));

    let untyped = Manifest::new("{}", MediaType::from("a\nb"));
    let error = repository.set_manifest("v1", &untyped).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{}", text(&error));
    assert!(seen(&server).await.is_empty());
}

#[tokio::test]
async fn malformed_names_are_refused_before_anything_is_sent() {
    let server = serving(ResponseTemplate::new(200)).await;
    let repository = repository(&server);
    for error in [
        repository.get_manifest("no blanks").await.unwrap_err(),
        repository.get_manifest("sha256:short").await.unwrap_err(),
        repository.get_tag_properties("..").await.unwrap_err(),
        repository.delete_tag("v1/../../x").await.unwrap_err(),
        repository.head_blob("sha256:").await.unwrap_err(),
        repository.download_blob("v1").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{}", text(&error));
    }
    assert!(seen(&server).await.is_empty());
}
