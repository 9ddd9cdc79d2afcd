use acr_clock::VirtualClock;
use acr_protocol::{OperationClass, ScopeSet};
use futures_util::stream;

use super::*;
use crate::call_options::CallOptions;
use crate::retry::RetryOptions;
use crate::testing::Impatient;
use crate::transport::{TransportError, TransportErrorKind, from_fn};

/// A sender over a function, whose clock never lets a timeout pass.
fn sender(transport: impl Transport) -> Sender {
    with_clock(transport, VirtualClock::new())
}

/// The same, but whose clock lets every timeout pass at once.
fn impatient(transport: impl Transport) -> Sender {
    with_clock(transport, Impatient::default())
}

fn with_clock(transport: impl Transport, clock: impl Clock) -> Sender {
    let clock: Arc<dyn Clock> = Arc::new(clock);
    Sender {
        transport: Arc::new(transport),
        retry: RetryPolicy::new(RetryOptions::none(), clock.clone()),
        limiter: Limiter::new(clock.clone(), None),
        clock,
        idle_timeout: Duration::from_secs(60),
        body_timeout: Duration::from_secs(60),
        min_rate: None,
        user_agent: HeaderValue::from_static("test"),
    }
}

async fn send(
    sender: &Sender,
    request: Request<impl Into<Payload> + Send>,
) -> Result<Received, Error> {
    let info = OperationInfo::new("get_blob", OperationClass::Blob, ScopeSet::default());
    let attempts = sender.retry.begin(false, &CallOptions::default());
    sender.send(request, &info, None, &attempts).await
}

/// How much is kept of the body of an error response.
async fn beginning(sender: &Sender) -> usize {
    let mut response = send(sender, request()).await.unwrap();
    sender
        .drain(
            &mut response,
            &sender.retry.begin(false, &CallOptions::default()),
        )
        .await;
    response.body.in_memory().unwrap().len()
}

fn request() -> Request<Bytes> {
    Request::get("https://r.example:8443/v2/a/blobs/x?sig=secret")
        .body(Bytes::new())
        .unwrap()
}

/// A transport that takes one piece of a body each time it is polled, at most this many.
fn slow(pieces: usize) -> impl Transport {
    from_fn(move |request: Request<Body>| async move {
        let mut body = request.into_body();
        let mut size = 0;
        for _ in 0..pieces {
            match body.frame().await {
                Some(frame) => size += frame.unwrap().into_data().unwrap().len(),
                None => return Response::new(size.to_string()),
            }
            yield_now().await;
        }
        std::future::pending().await
    })
}

async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_still_on_its_way_is_no_silence() {
    let body = Bytes::from(vec![0; 10 * progress::PIECE + 1]);
    let put = || request().map(|_| body.clone());
    let sender = impatient(slow(99));
    let response = send(&sender, put()).await.unwrap();
    let size = sender.read_body(&HeaderMap::new(), response.body, 99).await;
    assert_eq!(size.unwrap(), body.len().to_string());

    let error = send(&impatient(slow(3)), put()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_source_that_is_waited_for_is_not_the_silence_of_the_server() {
    let slow_source = || {
        Body::stream(stream::once(async {
            for _ in 0..9 {
                yield_now().await;
            }
            Ok::<_, TransportError>(Bytes::from("layer"))
        }))
    };
    let put = request().map(|_| Payload::streamed(5, slow_source));
    let sender = impatient(slow(99));
    let response = send(&sender, put).await.unwrap();
    let size = sender.read_body(&HeaderMap::new(), response.body, 99).await;
    assert_eq!(size.unwrap(), "5");
}

#[test]
fn a_body_in_pieces_keeps_its_length() {
    let body = Progress::default().meter(Bytes::from(vec![0; 2 * progress::PIECE]).into());
    assert_eq!(body.content_length(), Some(2 * progress::PIECE as u64));
}

fn chunks(parts: &[&'static str]) -> Body {
    let parts: Vec<_> = parts
        .iter()
        .map(|part| Ok::<_, TransportError>(Bytes::from(*part)))
        .collect();
    Body::stream(stream::iter(parts))
}

fn nothing() -> Sender {
    sender(from_fn(|_| async { Response::new(Body::empty()) }))
}

#[tokio::test]
async fn a_silent_server_ends_in_a_timeout_that_names_the_url_without_its_query() {
    let silent = from_fn(|_| std::future::pending::<Response<Body>>());
    let sent = send(&impatient(silent), request()).await;
    let error = sent.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(
        error.to_string(),
        "GET https://r.example:8443/v2/a/blobs/x: no response within 60s (idle timeout)"
    );
}

#[tokio::test]
async fn a_body_that_stops_ends_in_a_timeout() {
    let stuck = from_fn(|_| async {
        let never = stream::pending::<Result<Bytes, TransportError>>();
        Response::new(Body::stream(never))
    });
    let sender = impatient(stuck);
    let response = send(&sender, request()).await.unwrap();
    let read = sender.read_body(&HeaderMap::new(), response.body, 9).await;
    let error = read.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the response's body stopped arriving within 60s (idle timeout)"
    );
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_transport_error_names_the_url_and_keeps_its_source() {
    let broken = from_fn(|_| async {
        Err::<Response<Body>, _>(TransportError::new(TransportErrorKind::Connect, "refused"))
    });
    let error = send(&sender(broken), request()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert_eq!(
        error.to_string(),
        "GET https://r.example:8443/v2/a/blobs/x: cannot connect to the server: refused"
    );
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "refused");
}

#[tokio::test]
async fn a_request_carries_its_context_and_the_user_agent() {
    let echo = from_fn(|request: Request<Body>| async move {
        let context = request.extensions().get::<OperationContext>().cloned();
        let agent = request.headers()[USER_AGENT].to_str().unwrap().to_owned();
        Response::new(format!("{} {agent}", context.unwrap().operation()))
    });
    let sender = sender(echo);
    let response = send(&sender, request()).await.unwrap();
    let body = sender.read_body(&HeaderMap::new(), response.body, 99).await;
    assert_eq!(body.unwrap(), "get_blob test");
}

#[tokio::test]
async fn a_body_is_joined_from_its_parts_up_to_the_limit() {
    let sender = nothing();
    let headers = HeaderMap::new();
    let all = sender
        .read_body(&headers, chunks(&["ab", "", "cd", "e"]), 5)
        .await;
    assert_eq!(all.unwrap(), "abcde");
    let error = sender.read_body(&headers, chunks(&["ab", "cd"]), 3).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn an_announced_length_over_the_limit_is_refused_before_the_body_is_read() {
    let unread = Body::stream(stream::pending::<Result<Bytes, TransportError>>());
    let headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from(6))]);
    let error = nothing().read_body(&headers, unread, 5).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_an_error() {
    let headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from(6))]);
    let error = nothing().read_body(&headers, chunks(&["abc"]), 99).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Transport);
}

#[tokio::test]
async fn of_an_error_body_the_beginning_is_enough() {
    let large = from_fn(|_| async {
        let parts = [(); 3].map(|()| Ok::<_, TransportError>(Bytes::from(vec![0; 40_000])));
        Response::new(Body::stream(stream::iter(parts)))
    });
    assert_eq!(beginning(&sender(large)).await, MAX_ERROR_BODY);
}

#[tokio::test]
async fn an_error_body_that_drips_is_not_read_for_longer_than_the_idle_timeout() {
    let clock = VirtualClock::new();
    let time = clock.clone();
    let drips = from_fn(move |_| {
        let time = time.clone();
        let drip = stream::repeat_with(|| Ok::<_, TransportError>(Bytes::from_static(b"x")));
        let drip = futures_util::StreamExt::then(drip, move |byte| {
            time.advance(Duration::from_secs(6));
            async {
                yield_now().await;
                byte
            }
        });
        async { Response::new(Body::stream(drip)) }
    });
    assert_eq!(beginning(&with_clock(drips, clock)).await, 9);
}
