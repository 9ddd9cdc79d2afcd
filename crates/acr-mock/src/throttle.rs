//! [`Throttle`]: how many operations of a class are let through.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use acr_protocol::{OperationClass, Timestamp};

use crate::error::ErrorResponse;

/// How many operations of a class are let through in each second, or each minute, of the registry's clock. What comes
/// beyond gets 429, until the clock's next second or minute begins.
///
/// Counted are operations whose credentials were good, and token requests; the service's own counters go the same way,
/// since it tells what is left only in those responses. The code of the response's body is that of the OCI specification, its
/// wording is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    calls: u32,
    /// In seconds.
    window: i64,
    tells_when: bool,
}

impl Throttle {
    /// Allows this many operations per second.
    #[must_use]
    pub const fn per_second(calls: u32) -> Self {
        Self {
            calls,
            window: 1,
            tells_when: false,
        }
    }

    /// Allows this many operations per minute, as the service's documentation counts reads and writes.
    #[must_use]
    pub const fn per_minute(calls: u32) -> Self {
        Self {
            window: 60,
            ..Self::per_second(calls)
        }
    }

    /// Says in `Retry-After` in how many seconds it makes sense to come again. The service has not been seen to.
    #[must_use]
    pub const fn with_retry_after(self) -> Self {
        Self {
            tells_when: true,
            ..self
        }
    }

    /// How many are let through in a second, if it is seconds that it counts in.
    pub(crate) fn calls_per_second(self) -> Option<u32> {
        (self.window == 1).then_some(self.calls)
    }
}

/// What has been let through of each class.
#[derive(Debug, Default)]
pub(crate) struct Throttles {
    settings: BTreeMap<OperationClass, Throttle>,
    counts: Mutex<BTreeMap<OperationClass, Count>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    window: i64,
    calls: u32,
}

impl Throttles {
    pub(crate) fn new(settings: BTreeMap<OperationClass, Throttle>) -> Self {
        Self {
            settings,
            counts: Mutex::default(),
        }
    }

    /// Lets an operation of this class through, if it may.
    pub(crate) fn admit(&self, class: OperationClass, now: Timestamp) -> Result<(), ErrorResponse> {
        let Some(throttle) = self.settings.get(&class) else {
            return Ok(());
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(class).or_default();
        let window = now.seconds().div_euclid(throttle.window);
        if count.window != window {
            *count = Count { window, calls: 0 };
        }
        if count.calls < throttle.calls {
            count.calls += 1;
            return Ok(());
        }
        let left = throttle.window - now.seconds().rem_euclid(throttle.window);
        Err(ErrorResponse::too_many_requests(
            throttle.tells_when.then_some(left),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttles(throttle: Throttle) -> Throttles {
        Throttles::new([(OperationClass::Delete, throttle)].into())
    }

    fn admitted(throttles: &Throttles, seconds: i64) -> usize {
        let now = Timestamp::new(seconds, 0);
        (0..10)
            .filter(|_| throttles.admit(OperationClass::Delete, now).is_ok())
            .count()
    }

    #[test]
    fn each_window_of_the_clock_lets_as_many_through() {
        let second = throttles(Throttle::per_second(3));
        assert_eq!([100, 100, 101].map(|at| admitted(&second, at)), [3, 0, 3]);
        let minute = throttles(Throttle::per_minute(3));
        assert_eq!(
            [119, 120, 179, 180].map(|at| admitted(&minute, at)),
            [3, 3, 0, 3]
        );
    }

    #[test]
    fn a_class_without_a_throttle_and_one_of_none_are_both_possible() {
        let none = throttles(Throttle::per_second(0));
        assert_eq!(admitted(&none, 100), 0);
        let now = Timestamp::new(100, 0);
        assert!((0..100).all(|_| none.admit(OperationClass::Blob, now).is_ok()));
    }
}
