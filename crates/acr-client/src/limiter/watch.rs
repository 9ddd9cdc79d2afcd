//! Whether a call that holds a place waits for somebody else, or for its own caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;

/// Stands between a call and its caller: notes when the call was woken, until it is polled.
///
/// The state is one number, so that a poll and a look at it from another task settle which of them
/// came first.
#[derive(Default)]
pub(super) struct Watch {
    state: AtomicU64,
    caller: AtomicWaker,
}

/// What a call does with its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// It is being polled, or waits for what will wake it.
    Waits,
    /// It was woken and not polled since, which may be a matter of a moment.
    Woken,
    /// It was woken a while ago and nobody polls it: its place is lent to others from now on.
    SetAside,
    /// Its place is lent already.
    IsAside,
}

impl Watch {
    /// Takes note of a poll, and of whom to wake. Returns whether the place was lent until now.
    pub(super) fn polled(&self, caller: &Waker) -> bool {
        // Before the state: what wakes in between is part of this poll.
        self.caller.register(caller);
        self.state.swap(WAITS, Ordering::AcqRel) == ASIDE
    }

    /// Looks whether the call should have been polled since `GRACE`.
    ///
    /// That is counted from the first look that sees it woken, since a thread that was busy with
    /// something else finds all of its calls woken long ago, and polls them now.
    pub(super) fn look(&self, now: Duration) -> Use {
        let micros = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        let next = |state: u64| match state {
            WAITS | ASIDE => None,
            WOKEN => Some(SEEN.saturating_add(micros).min(ASIDE - 1)),
            seen => ((seen - SEEN).saturating_add(GRACE_MICROS) <= micros).then_some(ASIDE),
        };
        let found = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        match found {
            Err(WAITS) => Use::Waits,
            Err(ASIDE) => Use::IsAside,
            Ok(WOKEN) | Err(_) => Use::Woken,
            Ok(_) => Use::SetAside,
        }
    }

    /// Whether the place is lent.
    pub(super) fn is_aside(&self) -> bool {
        self.state.load(Ordering::Acquire) == ASIDE
    }
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // One that was woken before stays so.
        let _ = self
            .state
            .compare_exchange(WAITS, WOKEN, Ordering::AcqRel, Ordering::Acquire);
        self.caller.wake();
    }
}

/// States: it waits; it was woken; it was woken and seen at so many microseconds; its place is lent.
const WAITS: u64 = 0;
const WOKEN: u64 = 1;
const SEEN: u64 = 2;
const ASIDE: u64 = u64::MAX;

/// How long a call may be left alone that was woken, or a turn that was given.
pub(super) const GRACE: Duration = Duration::from_millis(100);
const GRACE_MICROS: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn only_a_call_that_was_woken_and_is_not_polled_is_set_aside() {
        let watch = Arc::new(Watch::default());
        let waker = Waker::from(watch.clone());
        assert_eq!(watch.look(millis(1_000_000)), Use::Waits);
        waker.wake_by_ref();
        // However long ago it was woken.
        assert_eq!(watch.look(millis(2_000_000)), Use::Woken);
        waker.wake_by_ref();
        assert_eq!(watch.look(millis(2_000_099)), Use::Woken);
        assert!(!watch.polled(Waker::noop()));
        assert_eq!(watch.look(millis(2_000_200)), Use::Waits);
        waker.wake_by_ref();
        assert_eq!(watch.look(millis(2_000_300)), Use::Woken);
        assert_eq!(watch.look(millis(2_000_400)), Use::SetAside);
        assert_eq!(watch.look(millis(2_000_500)), Use::IsAside);
        waker.wake_by_ref();
        assert!(watch.is_aside() && watch.polled(Waker::noop()) && !watch.is_aside());
    }

    #[test]
    fn the_end_of_time_is_no_trouble() {
        let watch = Arc::new(Watch::default());
        Waker::from(watch.clone()).wake();
        assert_eq!(watch.look(Duration::MAX), Use::Woken);
        assert_eq!(watch.look(Duration::MAX), Use::SetAside);
        assert!(watch.polled(Waker::noop()));
    }
}
