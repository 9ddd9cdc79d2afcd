//! How many calls are left in this second, as the service tells in a header. It counts; a throttle is something else.

use acr_protocol::Timestamp;
use http::HeaderValue;

/// Counts the calls of one class, anew in each second.
#[derive(Debug)]
pub(crate) struct Counter {
    per_second: f64,
    second: i64,
    calls: u32,
}

impl Counter {
    /// All deletes share one counter, which starts at 8 unless another limit holds.
    pub(crate) fn deletes(limit: Option<u32>) -> Self {
        Self {
            per_second: limit.map_or(8.0, f64::from),
            second: 0,
            calls: 0,
        }
    }

    /// The token endpoints' counter.
    pub(crate) fn tokens(limit: Option<u32>) -> Self {
        Self {
            per_second: limit.map_or(166.666_666, f64::from),
            second: 0,
            calls: 0,
        }
    }

    /// Counts a call and says what was left with it: `8.000000` for the first of a second, then one less each.
    pub(crate) fn count(&mut self, now: Timestamp) -> f64 {
        if self.second != now.seconds() {
            (self.second, self.calls) = (now.seconds(), 0);
        }
        let left = (self.per_second - f64::from(self.calls)).max(0.0);
        self.calls = self.calls.saturating_add(1);
        left
    }
}

/// A count in the deletes' form, always with six digits.
pub(crate) fn padded(left: f64) -> HeaderValue {
    HeaderValue::try_from(format!("{left:.6}")).unwrap_or(HeaderValue::from_static("0"))
}

/// A count in the token endpoints' form, without zeros at its end.
pub(crate) fn trimmed(left: f64) -> HeaderValue {
    let text = format!("{left:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_counts_down_and_a_new_second_starts_anew() {
        let mut counter = Counter::deletes(None);
        let now = Timestamp::new(100, 0);
        assert_eq!(padded(counter.count(now)), "8.000000");
        assert_eq!(padded(counter.count(now)), "7.000000");
        for _ in 0..20 {
            counter.count(now);
        }
        assert_eq!(padded(counter.count(now)), "0.000000");
        assert_eq!(padded(counter.count(Timestamp::new(101, 0))), "8.000000");
        assert_eq!(trimmed(166.5), "166.5");
    }
}
