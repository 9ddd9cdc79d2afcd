//! One request to one server: the idle timeout, and bodies that are read whole.

mod progress;
mod rate;

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use acr_clock::{Clock, Sleep};
use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use http::header::{CONTENT_LENGTH, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body_util::BodyExt;
use tracing::Instrument as _;

use self::progress::Progress;
use self::rate::UNPOLLED;
pub(crate) use self::rate::{MinRate, Pace, Paced};
use crate::context::OperationContext;
use crate::error::{Error, ErrorKind};
use crate::trace;
use crate::transport::{Body, Transport, TransportError};

/// The transport with the clock beside it: what every request goes through, also those for tokens.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long a server may be silent: before the head of its response, and before each part of the
    /// body.
    pub(crate) idle_timeout: Duration,
    /// How long a body that is read whole may take, beside a second for each 64 KiB of it.
    pub(crate) body_timeout: Duration,
    /// How fast a body has to arrive that the caller reads.
    pub(crate) min_rate: Option<MinRate>,
    pub(crate) user_agent: HeaderValue,
}

impl Wire {
    /// Sends a request with an absolute URL; resolves at the head of the response.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
        context: OperationContext,
    ) -> Result<Response<Body>, Error> {
        let span = trace::attempt(&request, &context);
        // Awaited where it is made, because a future that is named first has its room twice.
        let sent = self
            .send_within(request, context)
            .instrument(span.clone())
            .await;
        trace::served(&span, &sent);
        sent
    }

    async fn send_within(
        &self,
        mut request: Request<Bytes>,
        context: OperationContext,
    ) -> Result<Response<Body>, Error> {
        let target = Target::of(&request);
        request
            .headers_mut()
            .entry(USER_AGENT)
            .or_insert_with(|| self.user_agent.clone());
        request.extensions_mut().insert(context);
        let progress = Progress::default();
        let mut work = self
            .transport
            .send(request.map(|body| progress.meter(body)));
        loop {
            let before = progress.count();
            work = match select(work, self.clock.sleep(self.idle_timeout)).await {
                Either::Left((sent, _)) => return sent.map_err(|error| target.failed(error)),
                Either::Right(((), _)) if progress.count() == before => {
                    return Err(self.silent(&format!("{target}: no response")));
                }
                Either::Right(((), work)) => work,
            };
        }
    }

    /// Reads the next part of a body; `None` at its end. Trailers are passed over.
    pub(crate) async fn next(&self, body: &mut Body) -> Result<Option<Bytes>, Error> {
        loop {
            match self.within(body.frame()).await {
                Some(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Some(Err(error))) => return Err(error.into()),
                Some(None) => return Ok(None),
                None => return Err(self.silent("the response's body stopped arriving")),
            }
        }
    }

    /// Measures a body that the caller reads, if it has to arrive at some rate.
    pub(crate) fn pace(&self) -> Option<Pace> {
        let rate = self.min_rate?;
        Some(Pace::new(rate, self.clock.clone()))
    }

    /// Reads a whole body of at most `limit` bytes, within the time that a body of its size may take.
    pub(crate) async fn read(
        &self,
        headers: &HeaderMap,
        mut body: Body,
        limit: usize,
    ) -> Result<Bytes, Error> {
        let announced = content_length(headers);
        if announced.is_some_and(|length| length > limit as u64) {
            return Err(too_large(limit));
        }
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        // Most bodies are there at once, and need no alarm.
        let mut alarm = None;
        let mut granted = Duration::ZERO;
        loop {
            let next = pin!(self.next(&mut body));
            let late = poll_fn(|cx| {
                let set = || self.alarm(self.body_timeout);
                let (sleep, end) = alarm.get_or_insert_with(set);
                sleep.as_mut().poll(cx).map(|()| *end)
            });
            let data = match select(next, late).await {
                Either::Left((next, _)) => next?,
                Either::Right((end, _)) => {
                    let received = first.len() + all.len();
                    let earned = Duration::from_secs((received / PER_SECOND) as u64);
                    let mut more = earned.saturating_sub(granted);
                    granted = earned;
                    // Where nobody polled the call, it is not the server that was late.
                    let since = end.and_then(|end| self.clock.elapsed().checked_sub(end));
                    if since.is_some_and(|since| since > UNPOLLED) {
                        more = self.body_timeout;
                    }
                    if more.is_zero() {
                        return Err(self.drips(received));
                    }
                    alarm = Some(self.alarm(more));
                    continue;
                }
            };
            let Some(data) = data else {
                break;
            };
            if first.len() + all.len() + data.len() > limit {
                return Err(too_large(limit));
            }
            // Most bodies come in one part, which is then not copied.
            if first.is_empty() && all.is_empty() {
                first = data;
            } else {
                if all.is_empty() {
                    all.extend_from_slice(&std::mem::take(&mut first));
                }
                all.extend_from_slice(&data);
            }
        }
        let all = if all.is_empty() { first } else { all.freeze() };
        check_length(announced, all.len() as u64)?;
        Ok(all)
    }

    /// The same for a body that is a line or two, with one idle timeout for all of it: whoever needs it
    /// is not to wait for days for a server that sends a byte now and then.
    pub(crate) async fn read_at_once(
        &self,
        headers: &HeaderMap,
        body: Body,
        limit: usize,
    ) -> Result<Bytes, Error> {
        let read = pin!(self.read(headers, body, limit));
        match self.within(read).await {
            Some(read) => read,
            None => Err(self.silent("the response's body did not end")),
        }
    }

    /// Reads the beginning of the body of an error response; one that breaks, or is not over within
    /// the idle timeout, is as good as its beginning, because the status is the news.
    pub(crate) async fn read_beginning(&self, mut body: Body, limit: usize) -> Bytes {
        let mut all = BytesMut::new();
        // One timeout for all of it: a server that sends a byte now and then could hold up for days
        // a call whose outcome is known.
        let mut over = self.clock.sleep(self.idle_timeout);
        while all.len() < limit {
            let Either::Left((Some(Ok(frame)), _)) = select(body.frame(), &mut over).await else {
                break;
            };
            if let Ok(data) = frame.into_data() {
                let room = limit - all.len();
                all.extend_from_slice(&data[..data.len().min(room)]);
            }
        }
        all.freeze()
    }

    /// Does the work within the idle timeout, or gives `None`.
    async fn within<F: Future + Unpin>(&self, work: F) -> Option<F::Output> {
        match select(work, self.clock.sleep(self.idle_timeout)).await {
            Either::Left((output, _)) => Some(output),
            Either::Right(((), _)) => None,
        }
    }

    /// A sleep, and when it is to end; `None` where no clock will ever say so.
    fn alarm(&self, time: Duration) -> (Sleep, Option<Duration>) {
        (
            self.clock.sleep(time),
            self.clock.elapsed().checked_add(time),
        )
    }

    fn drips(&self, received: usize) -> Error {
        let text = format!(
            "of the response's body only {received} bytes arrived within {:?} and a second for each \
             {} KiB, which body_timeout allows",
            self.body_timeout,
            PER_SECOND >> 10
        );
        Error::new(ErrorKind::Timeout, text)
    }

    fn silent(&self, what: &str) -> Error {
        let text = format!("{what} within {:?}", self.idle_timeout);
        Error::new(ErrorKind::Timeout, text)
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("transport", &self.transport)
            .field("clock", &self.clock)
            .field("idle_timeout", &self.idle_timeout)
            .finish_non_exhaustive()
    }
}

/// For how many bytes of a body one more second is granted. Slower than any line that lists are read on,
/// and 8 MiB of them add two minutes.
const PER_SECOND: usize = 64 << 10;

/// The method and the URL of a request for a person to read: without the query, which may hold
/// signatures and tokens.
pub(crate) struct Target(Method, Uri);

impl Target {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        Self(request.method().clone(), request.uri().clone())
    }
}

impl Target {
    /// The URL alone.
    pub(crate) fn url(&self) -> impl fmt::Display {
        WithoutQuery(&self.1)
    }

    fn failed(&self, error: TransportError) -> Error {
        let text = format!("{self}: {error}");
        Error::of_transport(error, text)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.url())
    }
}

struct WithoutQuery<'a>(&'a Uri);

impl fmt::Display for WithoutQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(scheme), Some(host)) = (self.0.scheme_str(), self.0.host()) {
            write!(f, "{scheme}://{host}")?;
            if let Some(port) = self.0.port() {
                write!(f, ":{port}")?;
            }
        }
        f.write_str(self.0.path())
    }
}

/// The announced length of a body in bytes, where there is one that can be read.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Notices a body that ended early: not every transport does.
pub(crate) fn check_length(announced: Option<u64>, actual: u64) -> Result<(), Error> {
    match announced {
        Some(announced) if announced != actual => Err(Error::new(
            ErrorKind::Transport,
            format!("the response's body ended after {actual} of {announced} bytes"),
        )),
        _ => Ok(()),
    }
}

fn too_large(limit: usize) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!("the response's body is larger than {limit} bytes"),
    )
}

#[cfg(test)]
mod tests {
    use acr_clock::VirtualClock;
    use futures_util::stream;

    use super::*;
    use crate::testing::Impatient;
    use crate::transport::{TransportErrorKind, from_fn};

    /// A wire over a function, whose clock never lets a timeout pass.
    fn wire(transport: impl Transport) -> Wire {
        Wire {
            transport: Arc::new(transport),
            clock: Arc::new(VirtualClock::new()),
            idle_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(60),
            min_rate: None,
            user_agent: HeaderValue::from_static("test"),
        }
    }

    /// The same, but whose clock lets every timeout pass at once.
    fn impatient(transport: impl Transport) -> Wire {
        Wire {
            clock: Arc::new(Impatient::default()),
            ..wire(transport)
        }
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
        let wire = impatient(slow(99));
        let response = wire.send(put(), context()).await.unwrap();
        let size = wire.read(&HeaderMap::new(), response.into_body(), 99).await;
        assert_eq!(size.unwrap(), body.len().to_string());

        let error = impatient(slow(3)).send(put(), context()).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Timeout);
    }

    #[test]
    fn a_body_in_pieces_keeps_its_length() {
        let body = Progress::default().meter(vec![0; 2 * progress::PIECE].into());
        assert_eq!(body.content_length(), Some(2 * progress::PIECE as u64));
    }

    fn context() -> OperationContext {
        OperationContext::new("get_blob", None, 1)
    }

    fn chunks(parts: &[&'static str]) -> Body {
        let parts: Vec<_> = parts
            .iter()
            .map(|part| Ok::<_, TransportError>(Bytes::from(*part)))
            .collect();
        Body::stream(stream::iter(parts))
    }

    fn nothing() -> Wire {
        wire(from_fn(|_| async { Response::new(Body::empty()) }))
    }

    #[tokio::test]
    async fn a_silent_server_ends_in_a_timeout_that_names_the_url_without_its_query() {
        let silent = from_fn(|_| std::future::pending::<Response<Body>>());
        let error = impatient(silent)
            .send(request(), context())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(
            error.to_string(),
            "GET https://r.example:8443/v2/a/blobs/x: no response within 60s"
        );
    }

    #[tokio::test]
    async fn a_body_that_stops_ends_in_a_timeout() {
        let mut stuck = Body::stream(stream::pending::<Result<Bytes, TransportError>>());
        let wire = impatient(from_fn(|_| async { Response::new(Body::empty()) }));
        let error = wire.next(&mut stuck).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
    }

    #[tokio::test]
    async fn a_transport_error_names_the_url_and_keeps_its_source() {
        let broken = from_fn(|_| async {
            Err::<Response<Body>, _>(TransportError::new(TransportErrorKind::Connect, "refused"))
        });
        let error = wire(broken).send(request(), context()).await.unwrap_err();
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
        let wire = wire(echo);
        let response = wire.send(request(), context()).await.unwrap();
        let body = wire.read(&HeaderMap::new(), response.into_body(), 99).await;
        assert_eq!(body.unwrap(), "get_blob test");
    }

    #[tokio::test]
    async fn a_body_is_joined_from_its_parts_up_to_the_limit() {
        let wire = nothing();
        let headers = HeaderMap::new();
        let all = wire.read(&headers, chunks(&["ab", "", "cd", "e"]), 5).await;
        assert_eq!(all.unwrap(), "abcde");
        let error = wire.read(&headers, chunks(&["ab", "cd"]), 3).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::TooLarge);
    }

    #[tokio::test]
    async fn an_announced_length_over_the_limit_is_refused_before_the_body_is_read() {
        let unread = Body::stream(stream::pending::<Result<Bytes, TransportError>>());
        let headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from(6))]);
        let error = nothing().read(&headers, unread, 5).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }

    #[tokio::test]
    async fn a_body_shorter_than_announced_is_an_error() {
        let headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from(6))]);
        let error = nothing().read(&headers, chunks(&["abc"]), 99).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Transport);
    }

    #[tokio::test]
    async fn of_an_error_body_the_beginning_is_enough() {
        let beginning = nothing().read_beginning(chunks(&["abc", "def"]), 4).await;
        assert_eq!(beginning, "abcd");
    }

    #[tokio::test]
    async fn an_error_body_that_drips_is_not_read_for_longer_than_the_idle_timeout() {
        let clock = VirtualClock::new();
        let wire = Wire {
            clock: Arc::new(clock.clone()),
            ..nothing()
        };
        let drip = stream::repeat_with(|| Ok::<_, TransportError>(Bytes::from_static(b"x")));
        let drip = futures_util::StreamExt::then(drip, move |byte| {
            clock.advance(Duration::from_secs(6));
            async {
                yield_now().await;
                byte
            }
        });
        let beginning = wire.read_beginning(Body::stream(drip), 1000).await;
        assert_eq!(beginning.len(), 9);
    }
}
