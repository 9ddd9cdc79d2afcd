//! How many calls the last second had.

use std::time::Duration;

/// Counts the calls of the last second.
///
/// It keeps counts of sixteenths of a second, so its size does not depend on how many calls there
/// are. What it takes for a second is a second and up to a sixteenth.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// From the oldest part to the newest.
    counts: [u32; PARTS],
    /// Which part of all time the newest is.
    newest: u64,
}

impl Recent {
    /// Counts a call, and says how many the last second had with it.
    pub(super) fn add(&mut self, now: Duration) -> u32 {
        self.move_on(now);
        let newest = &mut self.counts[PARTS - 1];
        *newest = newest.saturating_add(1);
        self.total()
    }

    /// Takes the latest call out of the count, since it was not sent after all.
    pub(super) fn take_back(&mut self) {
        let latest = self.counts.iter_mut().rev().find(|count| **count > 0);
        if let Some(count) = latest {
            *count -= 1;
        }
    }

    /// When the last second will have less than so many calls; it may be over already.
    pub(super) fn falls_below(&mut self, most: u32, now: Duration) -> Duration {
        self.move_on(now);
        let mut total = self.total();
        let mut left = Duration::ZERO;
        for (index, count) in (1..).zip(self.counts) {
            if total < most {
                break;
            }
            total = total.saturating_sub(count);
            left = start_of(self.newest.saturating_add(index));
        }
        left
    }

    fn total(&self) -> u32 {
        let sum = |sum: u32, count: &u32| sum.saturating_add(*count);
        self.counts.iter().fold(0, sum)
    }

    fn move_on(&mut self, now: Duration) {
        let newest = u64::try_from(now.as_nanos() / PART.as_nanos()).unwrap_or(u64::MAX);
        let parts = newest.saturating_sub(self.newest);
        let parts = usize::try_from(parts).map_or(PARTS, |parts| parts.min(PARTS));
        self.counts.rotate_left(parts % PARTS);
        self.counts[PARTS - parts..].fill(0);
        self.newest = self.newest.max(newest);
    }
}

fn start_of(part: u64) -> Duration {
    Duration::from_micros(part.saturating_mul(62_500))
}

/// A sixteenth of a second.
const PART: Duration = Duration::from_micros(62_500);
/// A whole second, and the part that has begun.
const PARTS: usize = 17;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_call_counts_for_a_second_and_at_most_a_sixteenth_more() {
        let mut recent = Recent::default();
        assert_eq!(recent.add(at(100)), 1);
        assert_eq!(recent.add(at(100)), 2);
        assert_eq!(recent.add(at(1099)), 3);
        assert_eq!(recent.add(at(1163)), 2);
        assert_eq!(recent.add(at(60_000)), 1);
    }

    #[test]
    fn it_tells_when_there_is_room_again() {
        let mut recent = Recent::default();
        for millis in [0, 0, 500, 990] {
            recent.add(at(millis));
        }
        for most in 1..=5 {
            let when = recent.falls_below(most, at(990));
            // Room there is then, and was not a moment before.
            let count = |recent: &mut Recent, moment| {
                recent.move_on(moment);
                recent.total()
            };
            let mut copy = Recent { ..recent };
            if when > Duration::ZERO {
                assert!(count(&mut copy, when - at(1)) >= most, "{most}");
            }
            assert!(count(&mut copy, when) < most, "{most}");
        }
        assert_eq!(recent.falls_below(5, at(990)), Duration::ZERO);
        assert_eq!(
            recent.falls_below(4, at(990)),
            Duration::from_micros(1_062_500)
        );
    }

    #[test]
    fn a_call_that_is_taken_back_does_not_count() {
        let mut recent = Recent::default();
        recent.take_back();
        recent.add(at(0));
        recent.add(at(100));
        recent.take_back();
        recent.take_back();
        assert_eq!(recent.add(at(200)), 1);
    }

    #[test]
    fn the_end_of_time_is_no_trouble() {
        let mut recent = Recent::default();
        recent.add(Duration::MAX);
        assert_eq!(recent.add(Duration::MAX), 2);
        recent.falls_below(1, Duration::MAX);
        // A time before the newest counts as the newest.
        assert_eq!(recent.add(Duration::ZERO), 3);
    }
}
