//! The rate that a class keeps to after the registry has refused a call of it.

/// A rate found by trying: halved when a call is refused, a little higher with each that is not.
///
/// All rates are in calls per second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    rate: f64,
    /// What was being sent when a call was refused last.
    refused: f64,
    /// The most that was ever refused since this limit is there.
    most_refused: f64,
}

impl Limit {
    /// Begins at half of what was being sent.
    ///
    /// Half, because a refusal says that it was too much and not by how much; with halves even a
    /// storm of a hundred times the limit is over after a few refusals.
    pub(super) fn new(sent: u32) -> Self {
        let sent = f64::from(sent.max(1));
        Self {
            rate: (sent / 2.0).max(LEAST),
            refused: sent,
            most_refused: sent,
        }
    }

    pub(super) fn rate(self) -> f64 {
        self.rate
    }

    /// Another call was refused, when so many had been sent within a second.
    ///
    /// That is taken for at least half of the rate: one call after a pause says little about what
    /// is allowed, so no refusal leaves less than a quarter. And for at most the rate, or calls
    /// from before the last halving would be counted in.
    pub(super) fn halve(&mut self, sent: u32) {
        let sent = f64::from(sent).clamp(self.rate / 2.0, self.rate);
        self.rate = (sent / 2.0).max(LEAST);
        self.refused = sent;
        self.most_refused = self.most_refused.max(sent);
    }

    /// A call was let through, when so many had been sent within a second.
    ///
    /// It adds its share of what a second of such calls is to add. That is an eighth of the rate
    /// that was refused last, so a halving is made good in about four seconds; but near the refused
    /// rate it is a sixty-fourth, because there the next refusal is close, and what comes between
    /// two refusals is the gain.
    pub(super) fn grow(&mut self, sent: u32) {
        // A rate that is not used is not proved by what goes through.
        if f64::from(sent) < self.rate / 2.0 {
            return;
        }
        let is_near = (self.refused * 0.875..self.refused * 1.25).contains(&self.rate);
        let by_second = if is_near {
            (self.refused / 64.0).max(0.125)
        } else {
            (self.refused / 8.0).max(0.25)
        };
        self.rate += by_second / self.rate;
    }

    /// Whether the rate is so far above all that was refused that the limit is gone: the registry
    /// was enlarged, or somebody else has stopped.
    pub(super) fn is_outgrown(self) -> bool {
        self.rate > self.most_refused * 2.0
    }
}

/// One call a second. The smallest limits known are 100 calls in a minute and 8 in a second, and
/// without any calls nothing would be learned any more.
const LEAST: f64 = 1.0;

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of full use until the rate is above this.
    fn seconds_until(limit: &mut Limit, rate: f64) -> f64 {
        let mut seconds = 0.0;
        while limit.rate() < rate {
            seconds += 1.0 / limit.rate();
            limit.grow(u32::MAX);
            assert!(seconds < 1000.0, "{limit:?}");
        }
        seconds
    }

    #[test]
    fn a_refusal_leaves_half_of_what_was_sent() {
        assert_eq!(Limit::new(64).rate(), 32.0);
        let mut limit = Limit::new(64);
        limit.halve(20);
        assert_eq!(limit.rate(), 10.0);
    }

    #[test]
    fn no_refusal_leaves_less_than_a_quarter_or_more_than_half() {
        for (sent, left) in [(0, 8.0), (1, 8.0), (24, 12.0), (32, 16.0), (1000, 16.0)] {
            let mut limit = Limit::new(64);
            limit.halve(sent);
            assert_eq!(limit.rate(), left, "{sent}");
        }
    }

    #[test]
    fn a_call_a_second_is_always_left() {
        for sent in [0, 1, 2] {
            assert_eq!(Limit::new(sent).rate(), 1.0);
        }
        let mut limit = Limit::new(64);
        for _ in 0..100 {
            limit.halve(1);
        }
        assert_eq!(limit.rate(), 1.0);
    }

    #[test]
    fn what_was_halved_is_back_in_seconds_and_then_rises_slowly() {
        for sent in [9, 64, 1000] {
            let mut limit = Limit::new(sent);
            let refused = f64::from(sent);
            let quick = seconds_until(&mut limit, refused * 0.875);
            assert!((2.0..5.0).contains(&quick), "{sent}: {quick}");
            let slow = seconds_until(&mut limit, refused);
            assert!((6.0..10.0).contains(&slow), "{sent}: {slow}");
        }
    }

    #[test]
    fn the_lowest_rate_is_no_trap() {
        let mut limit = Limit::new(64);
        for _ in 0..100 {
            limit.halve(1);
        }
        let seconds = seconds_until(&mut limit, 8.0);
        assert!(seconds < 60.0, "{seconds}");
    }

    #[test]
    fn a_limit_that_nothing_confirms_is_outgrown() {
        let mut limit = Limit::new(64);
        limit.halve(10);
        seconds_until(&mut limit, 127.0);
        assert!(
            !limit.is_outgrown(),
            "what counts is the most that was refused"
        );
        seconds_until(&mut limit, 129.0);
        assert!(limit.is_outgrown());
    }

    #[test]
    fn a_rate_that_is_not_used_does_not_grow() {
        let mut limit = Limit::new(64);
        limit.grow(15);
        assert_eq!(limit.rate(), 32.0);
        limit.grow(16);
        assert!(limit.rate() > 32.0);
    }
}
