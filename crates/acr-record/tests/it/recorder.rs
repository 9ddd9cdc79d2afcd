//! What a recorder keeps, and that it changes nothing of what goes through.

use std::io;
use std::sync::Arc;

use acr_client::transport::{Body, Transport, TransportError, TransportErrorKind, from_fn};
use acr_record::{Body as RecordedBody, BodyEnd, Failure, FailureKind, Origin, Recorder};
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{Request, Response};
use http_body_util::BodyExt;
use sha2::{Digest as _, Sha256};

fn get(path: &str) -> Request<Body> {
    post(path, Body::empty())
}

fn post(path: &str, body: Body) -> Request<Body> {
    let url = format!("https://r.example{path}");
    Request::post(url).body(body).unwrap()
}

/// A body of these parts, the last of which may be an error.
fn parts(parts: &[Result<&'static str, &'static str>]) -> Body {
    let parts: Vec<_> = parts
        .iter()
        .map(|part| part.map(Bytes::from).map_err(io::Error::other))
        .collect();
    Body::stream(stream::iter(parts))
}

/// Responds with the body of the request.
fn echo() -> Recorder {
    Recorder::new(from_fn(|request: Request<Body>| {
        std::future::ready(Response::new(request.into_body()))
    }))
}

/// Responds with this body.
fn responding(body: impl Fn() -> Body + Send + Sync + 'static) -> Recorder {
    Recorder::new(from_fn(move |_| std::future::ready(Response::new(body()))))
}

async fn read(response: Response<Body>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

/// The body of the first response.
fn recorded(recorder: &Recorder) -> (RecordedBody, BodyEnd) {
    let recording = recorder.recording();
    let response = recording.exchanges()[0].response.as_ref().unwrap();
    (response.body.clone(), response.end.clone())
}

fn sha256(bytes: &[u8]) -> Option<String> {
    Some(hex::encode(Sha256::digest(bytes)))
}

#[tokio::test]
async fn exchanges_are_in_the_order_of_their_requests_once_they_are_read() {
    let recorder = echo();
    let first = recorder.send(post("/1", "one".into())).await.unwrap();
    let second = recorder.send(post("/2", "two".into())).await.unwrap();
    assert_eq!(read(second).await, "two");
    assert_eq!(read(first).await, "one");
    let recording = recorder.recording();
    let lines: Vec<_> = recording
        .exchanges()
        .iter()
        .map(|exchange| {
            (
                exchange.id.as_str(),
                exchange.step,
                exchange.request.path.as_str(),
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            ("recorded-0001-exchange", Some(1), "/1"),
            ("recorded-0002-exchange", Some(2), "/2")
        ]
    );
    assert_eq!(recording.registry(), Some("r.example"));
}

#[tokio::test]
async fn each_part_of_a_body_goes_through_as_soon_as_it_is_there() {
    let recorder = responding(|| {
        Body::stream(stream::unfold(0, |count| async move {
            match count {
                0 => Some((Ok::<_, io::Error>(Bytes::from("ab")), 1)),
                _ => std::future::pending().await,
            }
        }))
    });
    let mut body = recorder.send(get("/")).await.unwrap().into_body();
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "ab");
    assert!(body.frame().now_or_never().is_none());
    assert!(recorder.recording().exchanges().is_empty());
    drop(body);
    assert_eq!(
        recorded(&recorder),
        (RecordedBody::Text("ab".into()), BodyEnd::Unread)
    );
    assert!(recorder.recording().exchanges()[0].is_masked("response.body"));
}

#[tokio::test]
async fn beyond_the_limit_only_the_digest_is_kept() {
    for (limit, expected) in [
        (6, RecordedBody::Text("abcdef".into())),
        (
            5,
            RecordedBody::Omitted {
                sha256: sha256(b"abcdef"),
                size: Some(6),
            },
        ),
    ] {
        let recorder = responding(|| parts(&[Ok("abc"), Ok(""), Ok("def")])).body_limit(limit);
        assert_eq!(read(recorder.send(get("/")).await.unwrap()).await, "abcdef");
        assert_eq!(recorded(&recorder), (expected, BodyEnd::Complete));
    }
}

#[tokio::test]
async fn a_full_recording_takes_no_further_request() {
    let recorder = echo().size_limit(4000);
    read(recorder.send(post("/1", "a".into())).await.unwrap()).await;
    let body = "b".repeat(2000);
    read(recorder.send(post("/2", body.into())).await.unwrap()).await;
    let error = recorder.send(get("/3")).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Other);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "the recording has reached its limit of 4000 bytes");
    assert_eq!(recorder.recording().exchanges().len(), 2);
}

#[tokio::test]
async fn a_part_has_no_digest() {
    let recorder = responding(|| parts(&[Ok("abc"), Ok("def")])).body_limit(2);
    let mut body = recorder.send(get("/")).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    let omitted = RecordedBody::Omitted {
        sha256: None,
        size: None,
    };
    assert_eq!(recorded(&recorder), (omitted, BodyEnd::Unread));
}

#[tokio::test]
async fn a_body_that_fails_is_kept_as_far_as_it_came() {
    let recorder = responding(|| parts(&[Ok("abc"), Err("gone")]));
    let body = recorder.send(get("/")).await.unwrap().into_body();
    let error = body.collect().await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Interrupted);
    let failure = Failure::new(FailureKind::Interrupted, "gone");
    assert_eq!(
        recorded(&recorder),
        (RecordedBody::Text("abc".into()), BodyEnd::Failed(failure))
    );
}

#[tokio::test]
async fn the_last_byte_of_a_known_length_is_the_end() {
    let recorder = responding(|| Body::new(http_body_util::Full::new(Bytes::from("abc"))));
    let mut body = recorder.send(get("/")).await.unwrap().into_body();
    assert_eq!(body.content_length(), Some(3));
    body.frame().await.unwrap().unwrap();
    assert_eq!(recorded(&recorder).1, BodyEnd::Complete);
}

#[tokio::test]
async fn an_error_goes_through_and_is_kept() {
    let recorder = Recorder::new(from_fn(|_| async {
        Err::<Response<Body>, _>(TransportError::new(TransportErrorKind::Connect, "refused"))
    }));
    let error = recorder.send(get("/1")).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Connect);
    let recording = recorder.recording();
    let exchange = &recording.exchanges()[0];
    assert_eq!(
        exchange.error,
        Some(Failure::new(FailureKind::Connect, "refused"))
    );
    assert!(exchange.skip.is_some());
}

#[tokio::test]
async fn a_request_that_is_given_up_is_kept() {
    let recorder = Recorder::new(from_fn(|_: Request<Body>| {
        std::future::pending::<Response<Body>>()
    }));
    assert!(recorder.send(get("/1")).now_or_never().is_none());
    let error = recorder.recording().exchanges()[0].error.clone().unwrap();
    assert_eq!(error.kind, FailureKind::Timeout);
}

#[tokio::test]
async fn a_request_body_that_is_not_read_is_kept_as_far_as_it_was() {
    let recorder = Recorder::new(from_fn(|request: Request<Body>| async move {
        request.into_body().frame().await;
        Response::new(Body::empty())
    }));
    let sent = recorder
        .send(post("/1", parts(&[Ok("ab"), Ok("cd")])))
        .await;
    read(sent.unwrap()).await;
    let recording = recorder.recording();
    let request = &recording.exchanges()[0].request;
    assert_eq!(request.body, RecordedBody::Text("ab".into()));
    assert_eq!(request.end, BodyEnd::Unread);
}

#[tokio::test]
async fn a_body_in_memory_reaches_the_transport_as_one() {
    let recorder = Recorder::new(from_fn(|request: Request<Body>| async move {
        let again = request.body().try_clone().is_some();
        Response::new(Body::bytes(again.to_string()))
    }));
    let response = recorder.send(post("/1", Body::bytes("abc"))).await.unwrap();
    assert_eq!(read(response).await, "true");
}

#[tokio::test]
async fn a_form_is_redacted_also_beyond_the_limit() {
    let recorder = echo().body_limit(3);
    read(recorder.send(post("/1", "abcd".into())).await.unwrap()).await;
    let form = "refresh_token=hunter2&scope=x";
    read(
        recorder
            .send(post("/oauth2/token", form.into()))
            .await
            .unwrap(),
    )
    .await;
    let recording = recorder.recording();
    let long = &recording.exchanges()[0].request;
    assert_eq!((long.bytes(), long.size()), (None, Some(4)));
    let form = recording.exchanges()[1].request.bytes().unwrap();
    assert_eq!(form, "refresh_token=REDACTED&scope=x");
}

#[tokio::test]
async fn the_hook_edits_a_redacted_exchange() {
    let recorder = echo().edit(|exchange| {
        assert_eq!(exchange.request.headers["x-secret"], "REDACTED");
        exchange.request.path.push_str("edited");
        exchange.response.as_mut().unwrap().set_body("other");
    });
    let mut request = post("/1/", "abc".into());
    request
        .headers_mut()
        .insert("x-secret", "hunter2".parse().unwrap());
    read(recorder.send(request).await.unwrap()).await;
    for _ in 0..2 {
        let recording = recorder.recording();
        let exchange = &recording.exchanges()[0];
        assert_eq!(exchange.request.path, "/1/edited");
        assert_eq!(
            exchange.response.as_ref().unwrap().bytes().unwrap(),
            "other"
        );
    }
}

#[tokio::test]
async fn a_request_to_another_host_is_for_data_unless_it_is_for_a_token() {
    let recorder = echo();
    for url in [
        "https://r.example/v2/",
        "https://R.example/v2/",
        "https://data.example/x",
        "https://r.example:444/x",
        "https://auth.example/oauth2/token",
    ] {
        let request = Request::get(url).body(Body::empty()).unwrap();
        read(recorder.send(request).await.unwrap()).await;
    }
    let recording = recorder.recording();
    let origins = recording.exchanges().iter().map(|exchange| exchange.origin);
    let origins: Vec<_> = origins.collect();
    use Origin::{Data, Registry};
    assert_eq!(origins, [Registry, Registry, Data, Data, Registry]);
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let recorder = Arc::new(echo());
    let request = Request::get("https://r.example/?token=hunter23").body(Body::empty());
    read(recorder.send(request.unwrap()).await.unwrap()).await;
    let text = format!("{recorder:?} {:?}", recorder.recording());
    assert!(
        text.contains("exchanges: 1") && !text.contains("hunter"),
        "{text}"
    );
}
