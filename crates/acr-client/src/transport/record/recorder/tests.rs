use std::io;

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::Method;
use http_body_util::BodyExt;

use super::*;
use crate::transport::from_fn;
use crate::transport::record::exchange::{BodyEnd, RecordedBody};

fn get(path: &str) -> Request<Body> {
    let url = format!("https://r.example{path}");
    Request::get(url).body(Body::empty()).unwrap()
}

fn post(path: &str, body: Body) -> Request<Body> {
    let mut request = get(path).map(|_| body);
    *request.method_mut() = Method::POST;
    request
}

/// Gives back what it is sent.
fn echo() -> Recorder {
    Recorder::new(from_fn(|request: Request<Body>| async move {
        Response::new(request.into_body())
    }))
}

async fn read(answer: Response<Body>) -> Bytes {
    answer.into_body().collect().await.unwrap().to_bytes()
}

fn streamed(parts: &[&'static str]) -> Body {
    let parts: Vec<_> = parts
        .iter()
        .map(|part| Ok::<_, io::Error>(Bytes::from(*part)))
        .collect();
    Body::stream(stream::iter(parts))
}

#[tokio::test]
async fn exchanges_stand_in_the_order_in_which_they_began() {
    let recorder = echo();
    let first = recorder.send(get("/1")).await.unwrap();
    let second = recorder
        .send(post("/2", streamed(&["ab", "cd"])))
        .await
        .unwrap();
    assert_eq!(
        recorder.recording().exchanges().len(),
        1,
        "the second is not read yet"
    );
    assert_eq!(read(second).await, "abcd");
    assert_eq!(read(first).await, "");
    let recording = recorder.recording();
    let paths: Vec<_> = recording
        .exchanges()
        .iter()
        .map(|e| &*e.request.path)
        .collect();
    assert_eq!(paths, ["/1", "/2"]);
    let second = &recording.exchanges()[1];
    let body = RecordedBody::Bytes("abcd".into());
    assert_eq!(
        (&second.request.body, &second.request.end),
        (&body, &BodyEnd::Complete)
    );
    let answer = second.outcome.as_ref().unwrap();
    assert_eq!((&answer.body, &answer.end), (&body, &BodyEnd::Complete));
    assert_eq!(recording.registry(), Some("r.example"));
}

#[tokio::test]
async fn what_is_given_up_is_kept_as_far_as_it_came() {
    let recorder = echo();
    let mut answer = recorder
        .send(post("/1", streamed(&["ab", "cd"])))
        .await
        .unwrap();
    answer.body_mut().frame().await.unwrap().unwrap();
    drop(answer);
    let silent = Recorder::new(from_fn(|_| std::future::pending::<Response<Body>>()));
    assert!(silent.send(get("/2")).now_or_never().is_none());

    let recording = recorder.recording();
    let answer = recording.exchanges()[0].outcome.as_ref().unwrap();
    assert_eq!(answer.body, RecordedBody::Bytes("ab".into()));
    assert_eq!(answer.end, BodyEnd::Unread);
    assert!(recording.exchanges()[0].is_masked("response.body"));
    let recording = silent.recording();
    let error = recording.exchanges()[0].outcome.as_ref().unwrap_err();
    assert_eq!(error.kind, TransportErrorKind::Timeout);
}

#[tokio::test]
async fn an_error_goes_through_and_is_kept() {
    let recorder = Recorder::new(from_fn(|_| async {
        Err::<Response<Body>, _>(TransportError::new(TransportErrorKind::Connect, "refused"))
    }));
    let error = recorder.send(get("/1")).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Connect);
    let recording = recorder.recording();
    let kept = recording.exchanges()[0].outcome.as_ref().unwrap_err();
    assert_eq!(
        *kept,
        RecordedError::new(TransportErrorKind::Connect, "refused")
    );
}

#[tokio::test]
async fn a_request_s_body_that_is_not_read_is_kept_as_far_as_it_was() {
    let recorder = Recorder::new(from_fn(|request: Request<Body>| async move {
        request.into_body().frame().await;
        Response::new(Body::empty())
    }));
    let sent = recorder.send(post("/1", streamed(&["ab", "cd"]))).await;
    read(sent.unwrap()).await;
    let recording = recorder.recording();
    let request = &recording.exchanges()[0].request;
    assert_eq!(request.body, RecordedBody::Bytes("ab".into()));
    assert_eq!(request.end, BodyEnd::Unread);
}

#[tokio::test]
async fn a_body_in_memory_reaches_the_transport_as_one() {
    let recorder = Recorder::new(from_fn(|request: Request<Body>| async move {
        let again = request.body().try_clone().is_some();
        Response::new(Body::bytes(again.to_string()))
    }));
    let answer = recorder.send(post("/1", Body::bytes("abc"))).await.unwrap();
    assert_eq!(read(answer).await, "true");
}

#[tokio::test]
async fn a_long_body_is_known_by_its_digest_but_a_token_is_hidden_all_the_same() {
    let recorder = echo().body_limit(3);
    read(
        recorder
            .send(post("/1", Body::bytes("abcd")))
            .await
            .unwrap(),
    )
    .await;
    let form = Body::bytes("refresh_token=hunter2&scope=x");
    read(recorder.send(post("/oauth2/token", form)).await.unwrap()).await;
    let recording = recorder.recording();
    let long = &recording.exchanges()[0].request.body;
    assert_eq!((long.bytes(), long.size()), (None, Some(4)));
    let form = recording.exchanges()[1].request.body.bytes().unwrap();
    assert_eq!(form, "refresh_token=REDACTED&scope=x");
}

#[tokio::test]
async fn the_user_has_the_last_word_before_an_exchange_is_kept() {
    let recorder = echo()
        .secret("of-the-house")
        .scrub(|exchange| exchange.request.path = exchange.request.path.replace("REDACTED", "x"))
        .scrub(|exchange| exchange.request.path.push('y'));
    read(recorder.send(get("/of-the-house/")).await.unwrap()).await;
    assert_eq!(recorder.recording().exchanges()[0].request.path, "/x/y");
}

#[tokio::test]
async fn a_request_to_another_host_is_one_for_data_unless_it_is_for_a_token() {
    let recorder = echo();
    for url in [
        "https://r.example/v2/",
        "https://data.example/x",
        "https://auth.example/token",
    ] {
        let request = Request::get(url).body(Body::empty()).unwrap();
        read(recorder.send(request).await.unwrap()).await;
    }
    let recording = recorder.recording();
    let away: Vec<_> = recording.exchanges().iter().map(|e| e.to_data).collect();
    assert_eq!(away, [false, true, false]);
    assert_eq!(recording.registry(), Some("r.example"));
}

#[tokio::test]
async fn too_many_exchanges_are_counted() {
    let recorder = echo().keep_last(2);
    for path in ["/1", "/2", "/3"] {
        read(recorder.send(get(path)).await.unwrap()).await;
    }
    let recording = recorder.recording();
    assert_eq!((recording.exchanges().len(), recording.dropped()), (2, 1));
    assert_eq!(recording.exchanges()[0].request.path, "/2");
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let recorder = echo().secret("hunter22").scrub(|_| {});
    let request = Request::get("https://r.example/?token=hunter23").body(Body::empty());
    read(recorder.send(request.unwrap()).await.unwrap()).await;
    let text = format!("{recorder:?} {:?}", recorder.recording());
    assert!(!text.contains("hunter"), "{text}");
}
