//! What several unit tests need.

use std::time::{Duration, SystemTime};

use acr_clock::{Clock, Sleep, VirtualClock};

/// A clock that each sleep moves to its end at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Impatient(VirtualClock);

impl Clock for Impatient {
    fn now(&self) -> SystemTime {
        self.0.now()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let clock = self.0.clone();
        Box::pin(async move { clock.advance(duration) })
    }
}
