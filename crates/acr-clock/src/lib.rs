#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod system;
mod timers;
#[cfg(feature = "tokio")]
mod tokio;
mod virtual_clock;

// The example names the crate as its users do.
#[cfg(test)]
extern crate self as acr_clock;
#[cfg(test)]
#[path = "../examples/virtual_time.rs"]
mod example;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use self::system::SystemClock;
#[cfg(feature = "tokio")]
pub use self::tokio::TokioClock;
pub use self::virtual_clock::VirtualClock;

/// The future that [`Clock::sleep`] returns.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tells the time and waits.
///
/// Implementations decide what time is; who uses a clock takes time from nowhere else.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a clock",
    note = "pass `SystemClock`, `TokioClock` (feature `tokio`), a `VirtualClock`, or implement `Clock`"
)]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the wall-clock time, to compare with dates from elsewhere.
    ///
    /// It may jump in either direction, when somebody sets the machine's clock.
    fn now(&self) -> SystemTime;

    /// Returns the time since an origin of this clock's choice, to measure durations.
    ///
    /// It may stand still between two calls, but never goes back.
    fn elapsed(&self) -> Duration;

    /// Returns a future that ends when `duration` has passed, counted from this call.
    ///
    /// The future does not borrow the clock, and may be dropped at any time. One that leads past the end of time
    /// never ends.
    fn sleep(&self, duration: Duration) -> Sleep;

    /// Keeps a clock that moves by itself from moving until the guard is dropped.
    ///
    /// [`VirtualClock::drive`] jumps to the next sleep when nothing is left to do. Work that it cannot see, such as
    /// that of another thread, holds the clock meanwhile. By default, and for real time, this does nothing.
    fn hold(&self) -> ClockHold {
        ClockHold::default()
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> SystemTime {
        (**self).now()
    }

    fn elapsed(&self) -> Duration {
        (**self).elapsed()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        (**self).sleep(duration)
    }

    fn hold(&self) -> ClockHold {
        (**self).hold()
    }
}

/// Holds a clock until it is dropped: see [`Clock::hold`].
#[must_use = "the clock is held only as long as the guard lives"]
#[derive(Default)]
pub struct ClockHold(Option<Box<dyn Send>>);

impl ClockHold {
    /// Wraps the guard of a clock that can be held. The default is a guard that holds nothing.
    pub fn new(guard: impl Send + 'static) -> Self {
        Self(Some(Box::new(guard)))
    }
}

impl fmt::Debug for ClockHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClockHold").field(&self.0.is_some()).finish()
    }
}
