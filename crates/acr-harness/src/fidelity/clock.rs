//! The clock of a replay: it stands at the time of the recording, step by step, in either direction.

use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use acr_mock::{Clock, Sleep};

/// A clock that is set.
#[derive(Clone, Debug)]
pub struct ReplayClock(Arc<Mutex<SystemTime>>);

impl ReplayClock {
    /// A clock that stands at this time.
    pub fn at(time: SystemTime) -> Self {
        Self(Arc::new(Mutex::new(time)))
    }

    /// Sets it.
    pub fn set(&self, time: SystemTime) {
        *self.lock() = time;
    }

    fn lock(&self) -> MutexGuard<'_, SystemTime> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ReplayClock {
    fn now(&self) -> SystemTime {
        *self.lock()
    }

    fn elapsed(&self) -> Duration {
        let since = self.lock().duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap_or_default()
    }

    /// Ends at once: in a replay nobody waits.
    fn sleep(&self, duration: Duration) -> Sleep {
        let mut time = self.lock();
        *time = time.checked_add(duration).unwrap_or(*time);
        Box::pin(ready(()))
    }
}
