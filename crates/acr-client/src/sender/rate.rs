//! The least rate at which a body has to arrive that the caller reads.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use acr_clock::{Clock, Sleep};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::transport::{Body, TransportError, TransportErrorKind};

/// How many bytes have to arrive in how much time of waiting for the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MinRate {
    pub(crate) bytes_per_second: u64,
    pub(crate) window: Duration,
}

impl MinRate {
    pub(super) fn bytes_of_a_window(self) -> u64 {
        let per_window =
            u128::from(self.bytes_per_second).saturating_mul(self.window.as_millis()) / 1000;
        u64::try_from(per_window).unwrap_or(u64::MAX)
    }

    /// What is told of a body that arrives more slowly.
    fn broken(self) -> String {
        format!(
            "the body arrives at less than {} bytes per second over {:?}, the least rate that \
             min_stream_rate asks for",
            self.bytes_per_second, self.window
        )
    }
}

/// A body that ends in an error where it arrives too slowly. Time counts while the server is waited for, not
/// while the caller does something else.
pub(super) struct Paced {
    body: Body,
    rate: MinRate,
    clock: Arc<dyn Clock>,
    /// Of this window: what has arrived, and how long it was waited for.
    bytes: u64,
    waited: Duration,
    waiting: Option<Waiting>,
}

/// Since when the server is waited for, and the end of the window.
struct Waiting {
    since: Duration,
    end: Sleep,
}

impl Paced {
    pub(super) fn new(body: Body, rate: MinRate, clock: Arc<dyn Clock>) -> Self {
        Self {
            body,
            rate,
            clock,
            bytes: 0,
            waited: Duration::ZERO,
            waiting: None,
        }
    }

    /// Takes note of bytes that have arrived. A window with enough of them is over.
    fn arrived(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if let Some(waiting) = self.waiting.take() {
            self.waited += self.clock.elapsed().saturating_sub(waiting.since);
        }
        // One that is far beyond its window was not waited for: its caller did something else.
        let is_old = self.waited > self.rate.window.saturating_add(UNPOLLED);
        if is_old || self.bytes >= self.rate.bytes_of_a_window() {
            self.bytes = 0;
            self.waited = Duration::ZERO;
        }
    }

    /// Is ready when a window has passed in waiting, and less has arrived than has to.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (clock, window, waited) = (&self.clock, self.rate.window, self.waited);
        let waiting = self.waiting.get_or_insert_with(|| Waiting {
            since: clock.elapsed(),
            end: clock.sleep(window.saturating_sub(waited)),
        });
        waiting.end.as_mut().poll(cx)
    }
}

/// The cause of a body's end that arrives too slowly: what has come until then is not to its credit.
#[derive(Debug)]
pub(crate) struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body arrives too slowly")
    }
}

impl std::error::Error for TooSlow {}

/// By how much an alarm is late only where nobody polls the task that has set it.
pub(super) const UNPOLLED: Duration = Duration::from_secs(1);

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            ready!(this.poll_late(cx));
            let text = this.rate.broken();
            let error = TransportError::told(TransportErrorKind::Timeout, text, TooSlow);
            return Poll::Ready(Some(Err(error)));
        };
        if let Some(Ok(frame)) = &frame {
            this.arrived(frame.data_ref().map_or(0, Bytes::len));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
