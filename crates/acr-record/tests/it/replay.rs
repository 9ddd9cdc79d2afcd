//! What a replay responds, and what it says of a request that it does not know.

use std::io;

use acr_client::transport::{Body, Transport, TransportError, TransportErrorKind};
use acr_record::{Body as RecordedBody, BodyEnd, Exchange, Failure, FailureKind, Replay};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use sha2::{Digest as _, Sha256};

fn recorded(
    method: &str,
    target: &str,
    body: &'static str,
    response_body: &'static str,
) -> Exchange {
    let request = Request::builder().method(method).uri(target);
    let request = request.body(body.into());
    let response = Response::builder()
        .header("content-length", response_body.len())
        .body(response_body.into());
    Exchange::new(request.unwrap(), response.unwrap())
}

fn replay(exchanges: impl IntoIterator<Item = Exchange>) -> Replay {
    Replay::new(exchanges.into_iter().collect())
}

async fn send(
    replay: &Replay,
    method: &str,
    target: &str,
    body: Body,
) -> Result<Bytes, TransportError> {
    let url = format!("https://another.example{target}");
    let request = Request::builder().method(method).uri(url);
    let request = request.header("authorization", "Bearer another").body(body);
    let response = replay.send(request.unwrap()).await?;
    Ok(response.into_body().collect().await?.to_bytes())
}

async fn get(replay: &Replay, target: &str) -> Result<Bytes, TransportError> {
    send(replay, "GET", target, Body::empty()).await
}

/// What the cause of the error says.
fn message(result: Result<Bytes, TransportError>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Other);
    std::error::Error::source(&error).unwrap().to_string()
}

#[tokio::test]
async fn each_exchange_is_played_once_in_the_order_of_its_kind() {
    let replay = replay([
        recorded("GET", "/a?n=1", "", "first"),
        recorded("GET", "/b", "", "other"),
        recorded("GET", "/a?n=1", "", "second"),
    ]);
    let one = replay.clone();
    assert_eq!(get(&one, "/a?n=1").await.unwrap(), "first");
    assert_eq!(get(&one, "/a?n=1").await.unwrap(), "second");
    let remaining = replay.remaining();
    assert_eq!(remaining.len(), 1);
    assert_eq!(remaining[0].request.path, "/b");
    let text = message(get(&one, "/a?n=1").await);
    assert_eq!(
        text,
        "the recording has no remaining response to GET /a?n=1 (all 2 that it has were played); the \
         nearest that remain:\n  2. GET /b"
    );
}

#[tokio::test]
async fn the_last_one_repeats_if_asked_for() {
    let replay = replay([
        recorded("GET", "/a", "", "first"),
        recorded("GET", "/a", "", "second"),
    ])
    .repeat(true);
    for expected in ["first", "second", "second", "second"] {
        assert_eq!(get(&replay, "/a").await.unwrap(), expected);
    }
    assert!(replay.remaining().is_empty());
    assert!(message(get(&replay, "/b").await).ends_with("; nothing remains in it"));
}

#[tokio::test]
async fn a_missing_request_is_named_with_the_nearest_and_without_secrets() {
    let replay = replay([
        recorded("GET", "/acr/v1/a", "", ""),
        recorded("GET", "/v2/a/tags/list?n=1", "", ""),
        recorded("POST", "/v2/a/tags/list", "", ""),
        recorded("GET", "/v2/b/tags/list", "", ""),
    ]);
    let text = message(get(&replay, "/v2/a/tags/list?n=2&sig=hunter2").await);
    assert_eq!(
        text,
        "the recording has no remaining response to GET /v2/a/tags/list?n=2&sig=REDACTED; the nearest that remain:\
         \n  2. GET /v2/a/tags/list?n=1\n  3. POST /v2/a/tags/list\n  4. GET /v2/b/tags/list"
    );
}

#[tokio::test]
async fn strict_bodies_compares_them() {
    let exchanges = || {
        let mut form = recorded("POST", "/form", "token=REDACTED", "hidden");
        form.mask.push("request.body".to_owned());
        let mut cut = recorded("POST", "/cut", "ab", "cut");
        cut.request.end = BodyEnd::Unread;
        let one = recorded("PUT", "/a", "one", "to one");
        [one, recorded("PUT", "/a", "two", "to two"), form, cut]
    };
    let lax = replay(exchanges());
    assert_eq!(
        send(&lax, "PUT", "/a", "two".into()).await.unwrap(),
        "to one"
    );
    let strict = replay(exchanges()).strict_bodies(true);
    let two = stream::iter(["t", "wo"].map(|part| Ok::<_, io::Error>(Bytes::from(part))));
    assert_eq!(
        send(&strict, "PUT", "/a", Body::stream(two)).await.unwrap(),
        "to two"
    );
    let text = message(send(&strict, "PUT", "/a", "two".into()).await);
    assert!(text.contains("(all 1 that it has were played)"), "{text}");
    let text = message(send(&strict, "PUT", "/a", "three".into()).await);
    assert!(text.contains("with this body, only with others"), "{text}");
    for (path, expected) in [("/form", "hidden"), ("/cut", "cut")] {
        assert_eq!(
            send(&strict, "POST", path, "any".into()).await.unwrap(),
            expected
        );
    }
}

#[tokio::test]
async fn an_error_is_one_of_its_kind_again() {
    let error = Failure::new(FailureKind::Timeout, "too slow");
    let mut failed = recorded("GET", "/failed", "", "");
    (failed.response, failed.error) = (None, Some(error.clone()));
    let mut broken = recorded("GET", "/broken", "", "abc");
    broken.response.as_mut().unwrap().end = BodyEnd::Failed(error);
    let replay = replay([failed, broken]);
    for path in ["/failed", "/broken"] {
        let error = get(&replay, path).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Timeout);
        assert_eq!(
            std::error::Error::source(&error).unwrap().to_string(),
            "too slow"
        );
    }
}

#[tokio::test]
async fn an_unread_body_gives_what_there_is_and_ends_in_an_error() {
    let mut unread = recorded("GET", "/a", "", "abc");
    unread.response.as_mut().unwrap().end = BodyEnd::Unread;
    let replay = replay([unread]);
    let request = Request::get("/a").body(Body::empty()).unwrap();
    let mut body = replay.send(request).await.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "abc");
    let error = body.frame().await.unwrap().unwrap_err();
    assert!(
        format!("{error:?}").contains("the recording ends here"),
        "{error:?}"
    );
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_body_that_was_not_kept_can_be_given() {
    let exchange = || {
        let mut exchange = recorded("GET", "/a", "", "");
        exchange.response.as_mut().unwrap().body = RecordedBody::Omitted {
            sha256: Some(hex::encode(Sha256::digest(b"layer"))),
            size: Some(5),
        };
        exchange
    };
    let text = message(get(&replay([exchange()]), "/a").await);
    assert!(text.contains("only the digest"), "{text}");
    let given = replay([exchange()]).content("another").content("layer");
    assert_eq!(get(&given, "/a").await.unwrap(), "layer");
}

#[tokio::test]
async fn a_head_has_the_length_but_no_body() {
    let mut exchange = recorded("HEAD", "/a", "", "");
    let response = exchange.response.as_mut().unwrap();
    response.headers.insert("content-length", 527.into());
    let replay = replay([exchange]);
    let request = Request::head("/a").body(Body::empty()).unwrap();
    let response = replay.send(request).await.unwrap();
    assert_eq!(response.headers()["content-length"], "527");
    assert!(response.body().is_end_stream());
}

#[tokio::test]
async fn an_edited_body_has_its_own_length() {
    let mut exchange = recorded("GET", "/a", "", "abc");
    exchange.response.as_mut().unwrap().body = RecordedBody::Text("abcd".into());
    let replay = replay([exchange]);
    let request = Request::get("/a").body(Body::empty()).unwrap();
    let response = replay.send(request).await.unwrap();
    assert_eq!(response.headers()["content-length"], "4");
}

#[tokio::test]
async fn a_request_whose_body_breaks_is_not_played() {
    let replay = replay([recorded("PUT", "/a", "", "")]);
    let broken = stream::iter([Err::<Bytes, _>(io::Error::other("gone"))]);
    let error = send(&replay, "PUT", "/a", Body::stream(broken))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Interrupted);
    assert_eq!(replay.remaining().len(), 1);
}

#[test]
fn debug_counts() {
    let replay = replay([recorded("GET", "/a?token=hunter2", "hunter2", "hunter2")]);
    let text = format!("{replay:?}");
    assert!(
        text.contains("remaining: 1") && !text.contains("hunter2"),
        "{text}"
    );
}
