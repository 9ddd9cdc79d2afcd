//! The body of a request over TCP.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

/// What the client sends; the part that nobody reads is thrown away in the background.
///
/// A registry refuses (for want of a token, say) before it looks at the body. Were the connection closed then, a client
/// that is still sending would see it reset, and might never read the answer.
#[derive(Debug)]
pub(super) struct RequestBody {
    incoming: Option<Incoming>,
    drain: bool,
}

impl RequestBody {
    pub(super) fn new(headers: &HeaderMap, incoming: Incoming) -> Self {
        // Who waits for a go-ahead and gets an answer instead does not send the body; nothing is there to drain, and
        // what came next on the connection would be taken for it.
        let waits = headers.get(EXPECT).map(HeaderValue::as_bytes);
        let waits = waits.is_some_and(|expect| expect.eq_ignore_ascii_case(b"100-continue"));
        Self {
            incoming: Some(incoming),
            drain: !waits,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // Once it is read, the go-ahead was given, and the client sends whatever it has.
        self.drain = true;
        let Some(incoming) = self.incoming.as_mut() else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(incoming).poll_frame(context);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.incoming = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let rest = self
            .incoming
            .take()
            .filter(|incoming| self.drain && !incoming.is_end_stream());
        if let (Some(rest), Ok(runtime)) = (rest, tokio::runtime::Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(DRAIN_TIME, drain(rest)));
        }
    }
}

/// How long a client may go on sending what nobody reads, before its connection is closed.
const DRAIN_TIME: Duration = Duration::from_secs(30);

async fn drain(mut rest: Incoming) {
    while let Some(Ok(_)) = rest.frame().await {}
}
