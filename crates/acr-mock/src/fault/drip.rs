//! [`Drip`]: the pace of a slow body.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use acr_clock::{Clock, Sleep};

/// Lets a few bytes pass at a time, with a pause before each.
pub(crate) struct Drip {
    bytes: usize,
    pause: Duration,
    clock: Arc<dyn Clock>,
    /// The pause in progress. The mutex is never locked: it makes the body `Sync`, as every other body is.
    sleep: Mutex<Option<Sleep>>,
}

impl Drip {
    pub(crate) fn new(bytes: usize, pause: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            bytes: bytes.max(1),
            pause,
            clock,
            sleep: Mutex::new(None),
        }
    }

    /// Waits for the end of the pause; then so many bytes may pass.
    pub(crate) fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<usize> {
        let sleep = self.sleep.get_mut().unwrap_or_else(PoisonError::into_inner);
        let pausing = sleep.get_or_insert_with(|| self.clock.sleep(self.pause));
        pausing.as_mut().poll(context).map(|()| {
            *sleep = None;
            self.bytes
        })
    }
}

impl fmt::Debug for Drip {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Drip")
            .field("bytes", &self.bytes)
            .field("pause", &self.pause)
            .finish_non_exhaustive()
    }
}
