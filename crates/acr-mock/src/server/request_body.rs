//! The body of a request over TCP.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::timeouts::{Timer, UnderWay};

/// What the client sends; the part that nobody reads is thrown away in the background.
///
/// A registry refuses (for want of a token, say) before it looks at the body. Were the connection closed then, a client
/// that is still sending would see it reset, and might never read the response.
#[derive(Debug)]
pub(super) struct RequestBody {
    rest: Option<Rest>,
    drain: bool,
    silence: Timer,
    /// How long it may be silent.
    timeout: Duration,
}

/// What has not come yet.
#[derive(Debug)]
struct Rest {
    incoming: Incoming,
    in_progress: UnderWay,
}

impl RequestBody {
    pub(super) fn new(
        headers: &HeaderMap,
        incoming: Incoming,
        in_progress: &UnderWay,
        timeout: Duration,
    ) -> Self {
        // Who waits for a go-ahead and gets a response instead does not send the body; nothing is there to drain, and
        // what came next on the connection would be taken for it.
        let waits = headers.get(EXPECT).map(HeaderValue::as_bytes);
        let waits = waits.is_some_and(|expect| expect.eq_ignore_ascii_case(b"100-continue"));
        let rest = (!incoming.is_end_stream()).then(|| Rest {
            incoming,
            in_progress: in_progress.clone(),
        });
        Self {
            rest,
            drain: !waits,
            silence: Timer::default(),
            timeout,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        // Once it is read, the go-ahead was given, and the client sends whatever it has.
        this.drain = true;
        let Some(rest) = this.rest.as_mut() else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(&mut rest.incoming).poll_frame(context);
        if frame.is_pending() {
            if this.silence.poll_over(context, this.timeout).is_pending() {
                return Poll::Pending;
            }
            rest.in_progress.note_silence();
            this.rest = None;
            return Poll::Ready(Some(Err("the body fell silent".into())));
        }
        this.silence.unset();
        // The end of a body of a known length is told only with the next request, so it is looked for here.
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) || rest.incoming.is_end_stream() {
            this.rest = None;
        }
        frame.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        let rest = self.rest.as_ref();
        rest.is_none_or(|rest| rest.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.as_ref();
        rest.map_or_else(|| SizeHint::with_exact(0), |rest| rest.incoming.size_hint())
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let rest = self
            .rest
            .take()
            .filter(|rest| self.drain && !rest.incoming.is_end_stream());
        if let (Some(rest), Ok(runtime)) = (rest, tokio::runtime::Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(self.timeout, drain(rest)));
        }
    }
}

/// How much of a body that nobody reads is thrown away before its connection is closed, in bytes.
pub(super) const DRAINED: u64 = 4 * 1024 * 1024;

async fn drain(mut rest: Rest) {
    let mut drained = 0;
    while drained < DRAINED
        && !rest.incoming.is_end_stream()
        && let Some(Ok(frame)) = rest.incoming.frame().await
    {
        drained += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
}
