//! Whether a request's body is still on its way: a large chunk over a slow line is not silence.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::payload::Payload;
use crate::transport::{Body, TransportError};

/// Counts the pieces of a body that a transport has taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    taken: AtomicU64,
    /// Whether it is the source of the body that is waited for, and not the server.
    is_waiting: AtomicBool,
}

impl Progress {
    /// How many pieces were taken so far.
    pub(super) fn count(&self) -> u64 {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// Whether the body waits for where its bytes come from.
    pub(super) fn is_waiting(&self) -> bool {
        self.0.is_waiting.load(Ordering::Relaxed)
    }

    /// The body in pieces that are counted. A small one stays as it is.
    pub(super) fn meter(&self, payload: Payload) -> Body {
        match payload {
            Payload::Bytes(bytes) if bytes.len() <= PIECE => Body::bytes(bytes),
            other => Body::new(Metered {
                body: other.body(),
                rest: Bytes::new(),
                progress: self.clone(),
            }),
        }
    }
}

struct Metered {
    body: Body,
    /// What is left of the frame that has come last.
    rest: Bytes,
    progress: Progress,
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let this = &mut *self;
        while this.rest.is_empty() {
            let frame = Pin::new(&mut this.body).poll_frame(cx);
            let progress = &this.progress.0;
            progress
                .is_waiting
                .store(frame.is_pending(), Ordering::Relaxed);
            match frame {
                Poll::Ready(Some(Ok(frame))) => this.rest = frame.into_data().unwrap_or_default(),
                other => return other,
            }
        }
        this.progress.0.taken.fetch_add(1, Ordering::Relaxed);
        let length = PIECE.min(this.rest.len());
        Poll::Ready(Some(Ok(Frame::data(this.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        match self.body.content_length() {
            Some(length) => SizeHint::with_exact(rest + length),
            None => SizeHint::default(),
        }
    }
}

impl Drop for Metered {
    /// A body that was given up waits for nothing.
    fn drop(&mut self) {
        self.progress.0.is_waiting.store(false, Ordering::Relaxed);
    }
}

/// Small enough that a slow line takes one within any sensible timeout, in bytes.
pub(super) const PIECE: usize = 64 << 10;
