use acr_client::transport::{Body, TransportError};
use acr_client::{Credential, Digest, ErrorKind};
use bytes::Bytes;
use futures_util::stream;
use http::Response;
use wiremock::matchers::{any, header, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::hostile::{SECRET, challenge, client, over, repository, response, seen, text, token};

fn digest() -> Digest {
    Digest::sha256("content")
}

fn blob() -> String {
    format!("/v2/app/blobs/{}", digest())
}

fn content() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_bytes("content")
}

fn redirect(target: &str) -> ResponseTemplate {
    ResponseTemplate::new(307).insert_header("Location", target)
}

#[tokio::test]
async fn a_redirect_to_another_origin_loses_the_credential_and_keeps_the_range() {
    let (server, data) = (MockServer::start().await, MockServer::start().await);
    let realm = format!("{}/oauth2/token", server.uri());
    Mock::given(any())
        .respond_with(challenge(&realm, "repository:app:pull", None))
        .with_priority(9)
        .mount(&server)
        .await;
    Mock::given(path("/oauth2/token"))
        .respond_with(token())
        .mount(&server)
        .await;
    Mock::given(header("Authorization", "Bearer an access token"))
        .respond_with(redirect(&format!("{}/data?sig=1%2F2", data.uri())))
        .mount(&server)
        .await;
    Mock::given(header("Range", "bytes=3-5"))
        .respond_with(
            ResponseTemplate::new(206)
                .set_body_bytes("ten")
                .insert_header("Content-Range", "bytes 3-5/7"),
        )
        .mount(&data)
        .await;
    let client = client(&server, Credential::password("robot", SECRET));
    let repository = client.repository_client("app").unwrap();
    let part = repository.get_blob(digest(), 3..6).await.unwrap();
    assert_eq!(part.bytes(9).await.unwrap(), "ten");
    let requests = data.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].headers.get("Authorization").is_none());
    assert_eq!(requests[0].url.query(), Some("sig=1%2F2"));
}

#[tokio::test]
async fn a_redirect_within_the_registry_keeps_the_credential() {
    let server = MockServer::start().await;
    let realm = format!("{}/oauth2/token", server.uri());
    Mock::given(any())
        .respond_with(challenge(&realm, "repository:app:pull", None))
        .with_priority(9)
        .mount(&server)
        .await;
    Mock::given(path("/oauth2/token"))
        .respond_with(token())
        .mount(&server)
        .await;
    for (from, response) in [
        (blob(), redirect("/data/x")),
        ("/data/x".to_owned(), content()),
    ] {
        Mock::given(header("Authorization", "Bearer an access token"))
            .and(path(from))
            .respond_with(response)
            .mount(&server)
            .await;
    }
    let client = client(&server, Credential::password("robot", SECRET));
    let repository = client.repository_client("app").unwrap();
    let stream = repository.download_blob(digest()).await.unwrap();
    assert_eq!(stream.bytes(9).await.unwrap(), "content");
}

#[tokio::test]
async fn a_circle_of_redirects_ends_after_five() {
    for target in ["/data", "."] {
        let server = MockServer::start().await;
        Mock::given(any())
            .respond_with(redirect(target))
            .mount(&server)
            .await;
        let error = repository(&server).download_blob(digest()).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{}", text(&error));
        assert_eq!(seen(&server).await.len(), 6);
    }
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_not_followed() {
    let repository = over(|request| {
        assert_eq!(
            request.uri().scheme_str(),
            Some("https"),
            "{}",
            request.uri()
        );
        response(
            307,
            &[("location", "http://data.example/x?sig=hunter2")],
            "",
        )
    });
    let error = repository.download_blob(digest()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(text(&error).contains("http://data.example"), "{error}");
}

#[tokio::test]
async fn a_redirect_to_nowhere_is_a_protocol_error() {
    for location in [
        None,
        Some("ftp://x/?sig=hunter2"),
        Some("https://u:hunter2@x/"),
        Some("https://[/"),
    ] {
        let repository = over(move |_| {
            let headers: Vec<_> = location.iter().map(|to| ("location", *to)).collect();
            response(307, &headers, "")
        });
        let error = repository.download_blob(digest()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{}", text(&error));
        text(&error);
    }
}

#[tokio::test]
async fn a_refusal_by_the_data_origin_says_nothing_about_the_identity() {
    for status in [401, 403] {
        let (server, data) = (MockServer::start().await, MockServer::start().await);
        let target = format!("{}/data?sig={SECRET}", data.uri());
        Mock::given(any())
            .respond_with(redirect(&target))
            .mount(&server)
            .await;
        let refused = ResponseTemplate::new(status)
            .insert_header("WWW-Authenticate", "Bearer realm=\"https://evil.example\"")
            .set_body_raw("<Error/>", "application/xml");
        Mock::given(any()).respond_with(refused).mount(&data).await;
        let client = client(&server, Credential::password("robot", SECRET));
        let repository = client.repository_client("app").unwrap();
        let error = repository.download_blob(digest()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Registry, "{}", text(&error));
        assert!(text(&error).contains(&data.uri()), "{error}");
        assert_eq!(seen(&data).await.len(), 1);
    }
}

#[tokio::test]
async fn a_blob_with_another_digest_is_refused_and_no_file_is_left() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_bytes("CONTENT"))
        .mount(&server)
        .await;
    let repository = repository(&server);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("layer");
    let stream = repository.download_blob(digest()).await.unwrap();
    let error = stream.save(&file).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{}", text(&error));
    assert_eq!(error.reference(), Some(digest().as_str()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

    let mut stream = repository.download_blob(digest()).await.unwrap();
    assert_eq!(stream.try_next().await.unwrap().unwrap(), "CONTENT");
    let error = stream.try_next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch);
    assert!(stream.try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_blob_cut_short_is_a_broken_transport() {
    let repository = over(|_| response(200, &[("content-length", "7")], "cont"));
    let stream = repository.download_blob(digest()).await.unwrap();
    let error = stream.write_to(Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{}", text(&error));
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_blob_larger_than_the_caller_takes_is_refused() {
    let repository = over(|_| response(200, &[], "content"));
    let stream = repository.download_blob(digest()).await.unwrap();
    let error = stream.bytes(6).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{}", text(&error));
}

#[tokio::test]
async fn another_range_than_the_one_asked_for_is_a_protocol_error() {
    let responses: [fn() -> Response<acr_client::transport::Body>; 5] = [
        || response(200, &[], "content"),
        || response(206, &[], "ten"),
        || response(206, &[("content-range", "bytes 0-2/7")], "con"),
        || response(206, &[("content-range", "bytes x")], "ten"),
        || {
            response(
                206,
                &[("content-range", "bytes 3-5/7"), ("content-length", "4")],
                "tent",
            )
        },
    ];
    for response in responses {
        let repository = over(move |_| response());
        let error = repository.get_blob(digest(), 3..6).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{}", text(&error));
    }
    let repository = over(|_| response(206, &[("content-range", "bytes 3-5/7")], "ten"));
    let error = repository.download_blob(digest()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{}", text(&error));
    let repository = over(|_| response(206, &[("content-range", "bytes 3-5/7")], "tenor"));
    let stream = repository.get_blob(digest(), 3..6).await.unwrap();
    let error = stream.bytes(9).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{}", text(&error));
}

#[tokio::test]
async fn a_range_up_to_the_largest_number_is_a_body_cut_short() {
    let all = [("content-range", "bytes 0-18446744073709551615/*")];
    let repository = over(move |_| response(206, &all, "content"));
    let stream = repository.get_blob(digest(), 0..).await;
    let error = stream.unwrap().bytes(9).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{}", text(&error));
}

#[tokio::test]
async fn a_digest_that_cannot_be_verified_is_refused_before_anything_is_sent() {
    let server = MockServer::start().await;
    let repository = repository(&server);
    let error = repository.download_blob("md5:d41d8cd98f00b204").await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{}", text(&error));
    assert!(seen(&server).await.is_empty());
}

#[tokio::test]
async fn a_head_of_another_blob_is_a_mismatch() {
    let other = Digest::sha256("other");
    let repository = over(move |_| {
        let headers = [
            ("content-length", "7"),
            ("docker-content-digest", other.as_str()),
        ];
        response(200, &headers, "")
    });
    let error = repository.head_blob(digest()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{}", text(&error));
    let error = over(|_| response(200, &[], "")).head_blob(digest()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{}", text(&error));
}

#[tokio::test]
async fn a_body_that_goes_on_behind_its_announced_end_is_given_up() {
    for (status, headers, range) in [
        (200, [("content-length", "7"), ("x-none", "")], None),
        (
            206,
            [("content-range", "bytes 0-6/9"), ("x-none", "")],
            Some(0..7),
        ),
    ] {
        let repository = over(move |_| {
            // It never ends.
            let piece = || Ok::<_, TransportError>(Bytes::from_static(b"cont"));
            let endless = Body::stream(stream::repeat_with(piece));
            response(status, &headers, "").map(|_| endless)
        });
        let blob = match range {
            None => repository.download_blob(digest()).await,
            Some(range) => repository.get_blob(digest(), range).await,
        };
        let blob = blob.unwrap();
        let error = blob.write_to(std::io::sink()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
        assert!(text(&error).contains("more than the 7 bytes"), "{error}");
    }
}
