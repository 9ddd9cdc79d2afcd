//! Whether a request's body is still on its way: a large chunk over a slow line is not silence.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::transport::{Body, TransportError};

/// Counts the pieces of a body that a transport has taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<AtomicU64>);

impl Progress {
    /// How many pieces were taken so far.
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The body in pieces that are counted. A small one stays as it is.
    pub(super) fn meter(&self, body: Bytes) -> Body {
        if body.len() <= PIECE {
            return Body::bytes(body);
        }
        Body::new(Metered {
            rest: body,
            progress: self.clone(),
        })
    }
}

struct Metered {
    rest: Bytes,
    progress: Progress,
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        self.progress.0.fetch_add(1, Ordering::Relaxed);
        let length = PIECE.min(self.rest.len());
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// Small enough that a slow line takes one within any sensible timeout, in bytes.
pub(super) const PIECE: usize = 64 << 10;
