use std::io;

use futures_util::stream;

use super::*;
use crate::transport::record::exchange::RecordedError;

fn recorded(
    method: &str,
    target: &str,
    body: &'static str,
    answer: &'static str,
) -> RecordedExchange {
    let request = Request::builder()
        .method(method)
        .uri(target)
        .body(body.into());
    let response = Response::builder()
        .header("content-length", answer.len())
        .body(answer.into());
    RecordedExchange::new(request.unwrap(), response.unwrap())
}

fn replay(exchanges: impl IntoIterator<Item = RecordedExchange>) -> Replay {
    Replay::new(exchanges.into_iter().collect())
}

async fn send(
    replay: &Replay,
    method: &str,
    target: &str,
    body: Body,
) -> Result<Bytes, TransportError> {
    let url = format!("https://another.example{target}");
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", "Bearer another")
        .body(body);
    let answer = replay.send(request.unwrap()).await?;
    Ok(answer.into_body().collect().await?.to_bytes())
}

async fn get(replay: &Replay, target: &str) -> Result<Bytes, TransportError> {
    send(replay, "GET", target, Body::empty()).await
}

/// What an error says.
fn told(result: Result<Bytes, TransportError>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Other);
    std::error::Error::source(&error).unwrap().to_string()
}

#[tokio::test]
async fn each_exchange_is_played_once_in_the_order_of_its_kind() {
    let replay = replay([
        recorded("GET", "/a?x=1", "", "first"),
        recorded("GET", "/b", "", "other"),
        recorded("GET", "/a?x=1", "", "second"),
    ]);
    let one = replay.clone();
    assert_eq!(get(&one, "/a?x=1").await.unwrap(), "first");
    assert_eq!(get(&one, "/a?x=1").await.unwrap(), "second");
    let remaining = replay.remaining();
    assert_eq!(remaining.len(), 1);
    assert_eq!(remaining[0].request.path, "/b");
    let text = told(get(&one, "/a?x=1").await);
    assert_eq!(
        text,
        "the recording has no remaining answer to GET /a?x=1 (all 2 that it has were played); the \
         nearest remaining:\n  2. GET /b"
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
    assert!(told(get(&replay, "/b").await).ends_with("; nothing in it is remaining"));
}

#[tokio::test]
async fn what_is_missing_is_told_with_what_is_nearest_and_without_secrets() {
    let replay = replay([
        recorded("GET", "/acr/v1/a", "", ""),
        recorded("GET", "/v2/a/tags/list?n=1", "", ""),
        recorded("POST", "/v2/a/tags/list", "", ""),
        recorded("GET", "/v2/b/tags/list", "", ""),
    ]);
    let text = told(get(&replay, "/v2/a/tags/list?n=2&sig=hunter2").await);
    assert_eq!(
        text,
        "the recording has no remaining answer to GET /v2/a/tags/list?n=2; the nearest remaining:\
         \n  2. GET /v2/a/tags/list?n=1\n  3. POST /v2/a/tags/list\n  4. GET /v2/b/tags/list"
    );
}

#[tokio::test]
async fn bodies_count_if_asked_for() {
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
    let text = told(send(&strict, "PUT", "/a", "two".into()).await);
    assert!(text.contains("(all 1 that it has were played)"), "{text}");
    let text = told(send(&strict, "PUT", "/a", "three".into()).await);
    assert!(text.contains("with this body, only with others"), "{text}");
    for (path, answer) in [("/form", "hidden"), ("/cut", "cut")] {
        assert_eq!(
            send(&strict, "POST", path, "any".into()).await.unwrap(),
            answer
        );
    }
}

#[tokio::test]
async fn an_error_is_one_of_its_kind_again() {
    let error = RecordedError::new(TransportErrorKind::Timeout, "too slow");
    let mut failed = recorded("GET", "/failed", "", "");
    failed.outcome = Err(error.clone());
    let mut broken = recorded("GET", "/broken", "", "abc");
    broken.outcome.as_mut().unwrap().end = BodyEnd::Broken(error);
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
async fn a_body_that_was_not_read_to_its_end_gives_what_there_is_and_says_so() {
    let mut unread = recorded("GET", "/a", "", "abc");
    unread.outcome.as_mut().unwrap().end = BodyEnd::Unread;
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
        exchange.outcome.as_mut().unwrap().body = RecordedBody::Digest {
            digest: Some(Digest::sha256(b"layer")),
            size: Some(5),
        };
        exchange
    };
    let text = told(get(&replay([exchange()]), "/a").await);
    assert!(text.contains("only the digest"), "{text}");
    let given = replay([exchange()]).content("another").content("layer");
    assert_eq!(get(&given, "/a").await.unwrap(), "layer");
}

#[tokio::test]
async fn a_head_has_the_length_but_no_body() {
    let replay = replay([recorded("HEAD", "/a", "", "")]);
    let mut exchange = replay.recording().exchanges()[0].clone();
    let response = exchange.outcome.as_mut().unwrap();
    response.headers.insert("content-length", 527.into());
    let replay = Replay::new(Recording::from_iter([exchange]));
    let request = Request::head("/a").body(Body::empty()).unwrap();
    let answer = replay.send(request).await.unwrap();
    assert_eq!(answer.headers()["content-length"], "527");
    assert!(answer.body().is_end_stream());
}

#[tokio::test]
async fn a_body_that_a_user_has_changed_has_the_length_that_it_has() {
    let mut exchange = recorded("GET", "/a", "", "abc");
    exchange.outcome.as_mut().unwrap().body = RecordedBody::Bytes("abcd".into());
    let replay = replay([exchange]);
    let request = Request::get("/a").body(Body::empty()).unwrap();
    let answer = replay.send(request).await.unwrap();
    assert_eq!(answer.headers()["content-length"], "4");
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
