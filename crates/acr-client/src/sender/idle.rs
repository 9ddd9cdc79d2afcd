//! How long a server may be silent before each part of a body.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use acr_clock::{Clock, Sleep};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::transport::{Body, TransportError, TransportErrorKind};

/// A body that ends in an error where the next part does not come in time.
pub(super) struct Idle {
    body: Body,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    /// Runs while the server is waited for.
    silence: Option<Sleep>,
}

impl Idle {
    pub(super) fn new(body: Body, timeout: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            body,
            timeout,
            clock,
            silence: None,
        }
    }
}

impl HttpBody for Idle {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.silence = None;
            return Poll::Ready(frame);
        }
        let (clock, timeout) = (&this.clock, this.timeout);
        let silence = this.silence.get_or_insert_with(|| clock.sleep(timeout));
        ready!(silence.as_mut().poll(cx));
        let text =
            format!("the response's body stopped arriving within {timeout:?} (idle timeout)");
        let error = TransportError::told(TransportErrorKind::Timeout, text.clone(), text);
        Poll::Ready(Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
