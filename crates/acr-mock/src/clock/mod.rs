//! Time as the registry sees it: stamps, token lives, upload expiry, delays.
//!
//! The registry takes time from nowhere else, so a test that holds its [`VirtualClock`] decides how late it is.

mod system;
mod timers;
mod virtual_clock;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

pub use self::system::SystemClock;
pub use self::virtual_clock::{ClockHold, VirtualClock};

/// Tells the time and waits: [`SystemClock`] for real, [`VirtualClock`] in tests.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now. It may stand still between two calls; it does not go back.
    fn now(&self) -> SystemTime;

    /// Waits until `duration` has passed on this clock, counted from this call.
    ///
    /// The future does not borrow the clock, needs no runtime, and may be dropped at any time. A duration that
    /// leads past the end of time never ends.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}
