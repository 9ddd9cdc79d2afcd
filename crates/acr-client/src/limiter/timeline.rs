//! Time as the limiter counts it.

use std::time::{Duration, SystemTime};

/// Turns a clock that people may set into time that only goes on.
///
/// A limit is about how much time passes, not about what time it is. If the limiter stored times of
/// day, a clock that is set back by an hour would close a class for an hour.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    last: Option<SystemTime>,
    elapsed: Duration,
}

impl Timeline {
    /// How much time has passed since the first look at the clock.
    pub(super) fn at(&mut self, now: SystemTime) -> Duration {
        match self.last.map(|last| now.duration_since(last)) {
            None => self.last = Some(now),
            Some(Ok(passed)) => {
                self.elapsed = self.elapsed.saturating_add(passed);
                self.last = Some(now);
            }
            // The clock was set back: it counts on from there.
            Some(Err(back)) if back.duration() > JITTER => self.last = Some(now),
            // Another thread has read the clock a moment later, and was here a moment earlier.
            Some(Err(_)) => {}
        }
        self.elapsed
    }

    /// Takes it that so much time has passed, since a sleep until then is over.
    ///
    /// What waits and what tells the time may be two clocks. Whoever waited for a moment must not
    /// have to wait for it again because the other clock is not there yet.
    pub(super) fn reach(&mut self, moment: Duration) {
        self.elapsed = self.elapsed.max(moment);
    }
}

/// How long it takes until a second of the clock is over.
pub(super) fn rest_of_the_second(now: SystemTime) -> Duration {
    const SECOND: Duration = Duration::from_secs(1);
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    // Before 1970 the clock is wrong anyway: a whole second is never too short.
    since.map_or(SECOND, |since| {
        SECOND - Duration::from_nanos(since.subsec_nanos().into())
    })
}

/// A step back by less than this is no step, only two threads that met.
const JITTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_clock_that_is_set_back_stops_no_time() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.at(START + HOUR * 9), Duration::ZERO);
        assert_eq!(timeline.at(START + HOUR * 10), HOUR);
        assert_eq!(timeline.at(START + HOUR * 2), HOUR);
        assert_eq!(timeline.at(START + HOUR * 3), HOUR * 2);
    }

    #[test]
    fn looks_that_overtake_each_other_count_no_time_twice() {
        let mut timeline = Timeline::default();
        let millis = |millis| START + Duration::from_millis(millis);
        timeline.at(millis(1000));
        timeline.at(millis(1020));
        assert_eq!(timeline.at(millis(1010)), Duration::from_millis(20));
        assert_eq!(timeline.at(millis(1030)), Duration::from_millis(30));
    }

    #[test]
    fn a_sleep_that_is_over_counts_although_the_clock_stands() {
        let mut timeline = Timeline::default();
        timeline.at(START);
        timeline.reach(HOUR);
        assert_eq!(timeline.at(START), HOUR);
        timeline.reach(HOUR / 2);
        assert_eq!(timeline.at(START), HOUR);
    }

    #[test]
    fn the_rest_of_a_second_is_never_nothing() {
        for (millis, rest) in [(5000, 1000), (5001, 999), (5999, 1)] {
            let now = START + Duration::from_millis(millis);
            assert_eq!(rest_of_the_second(now), Duration::from_millis(rest));
        }
        assert_eq!(rest_of_the_second(START - HOUR), Duration::from_secs(1));
    }
}
