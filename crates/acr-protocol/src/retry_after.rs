//! [`RetryAfter`]: when a refused request is worth sending again.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Timestamp;

/// The header `Retry-After` of a 429 or 503 (RFC 9110 section 10.2.3): how long to wait, or until when.
///
/// What it means now is [`RetryAfter::delay`], which takes the time, as this crate has no clock. Display writes the
/// header's value.
///
/// ```
/// use acr_protocol::{RetryAfter, Timestamp};
/// use std::time::Duration;
/// let now: Timestamp = "1994-11-06T08:49:00Z".parse()?;
/// let date = RetryAfter::parse("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
/// assert_eq!(date.delay(now), Duration::from_secs(37));
/// assert_eq!(RetryAfter::parse("120").unwrap().delay(now), Duration::from_secs(120));
/// assert_eq!(RetryAfter::parse("soon"), None);
/// # Ok::<(), acr_protocol::InvalidTimestamp>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryAfter {
    /// Wait this long, counted from when the response came. On the wire it is whole seconds; a fraction is rounded up.
    Delay(Duration),
    /// Wait until then. On the wire it is whole seconds; a fraction is rounded up.
    At(Timestamp),
}

impl RetryAfter {
    /// The longest delay, 2^31 seconds (68 years): what RFC 9111 section 1.2.2 lets a number stand for that is too
    /// large, and little enough to be added to any clock's time.
    pub const MAX_DELAY: Duration = Duration::from_secs(1 << 31);

    /// Reads the header's value: a number of seconds, or a date in one of the three forms of RFC 9110 section 5.6.7, of
    /// the years 1970 to 9999. `None` is for anything else, which a client passes over as if the header were missing.
    ///
    /// A number above [`RetryAfter::MAX_DELAY`] is held to it, however many digits it has. A year of two digits, which
    /// the second form has, is one of 1970 to 2069.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t']);
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // Digits fail to be a number only by being too many.
            let seconds = text.parse().unwrap_or(u64::MAX);
            return Some(Self::Delay(
                Duration::from_secs(seconds).min(Self::MAX_DELAY),
            ));
        }
        let date = httpdate::parse_http_date(text).ok()?;
        Some(Self::At(Timestamp::from(date)))
    }

    /// How long to wait from `now` on: nothing if the date has passed, and at most [`RetryAfter::MAX_DELAY`].
    #[must_use]
    pub fn delay(self, now: Timestamp) -> Duration {
        let delay = match self {
            Self::Delay(delay) => delay,
            Self::At(time) => time.saturating_duration_since(now),
        };
        delay.min(Self::MAX_DELAY)
    }
}

/// The header's value: seconds, or a date such as `Sun, 06 Nov 1994 08:49:37 GMT`. A date before 1970, which the header
/// cannot tell from any other past one, is written as the beginning of 1970.
impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay(delay) => {
                let delay = (*delay).min(Self::MAX_DELAY);
                let up = u64::from(delay.subsec_nanos() > 0);
                f.pad(&(delay.as_secs() + up).to_string())
            }
            Self::At(time) => {
                let up = i64::from(time.nanoseconds() > 0);
                let seconds = (time.seconds() + up).clamp(0, LAST_SECOND);
                let date = UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs());
                f.pad(&httpdate::fmt_http_date(date))
            }
        }
    }
}

impl From<Duration> for RetryAfter {
    fn from(delay: Duration) -> Self {
        Self::Delay(delay)
    }
}

impl From<Timestamp> for RetryAfter {
    fn from(time: Timestamp) -> Self {
        Self::At(time)
    }
}

impl From<SystemTime> for RetryAfter {
    fn from(time: SystemTime) -> Self {
        Self::At(Timestamp::from(time))
    }
}

/// The last second of the year 9999, in seconds since 1970.
const LAST_SECOND: i64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> RetryAfter {
        RetryAfter::At(text.parse().unwrap())
    }

    fn seconds(seconds: u64) -> RetryAfter {
        RetryAfter::Delay(Duration::from_secs(seconds))
    }

    #[test]
    fn the_three_forms_of_a_date_are_one_time() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            " Sun, 06 Nov 1994 08:49:37 GMT\t",
        ] {
            assert_eq!(
                RetryAfter::parse(text),
                Some(at("1994-11-06T08:49:37Z")),
                "{text}"
            );
        }
    }

    #[test]
    fn seconds_are_read_and_large_numbers_are_held() {
        for (text, expected) in [
            ("0", 0),
            ("120", 120),
            (" 7\t", 7),
            ("007", 7),
            ("2147483647", (1 << 31) - 1),
            ("2147483649", 1 << 31),
            ("18446744073709551616", 1 << 31),
            (&*"9".repeat(300), 1 << 31),
        ] {
            assert_eq!(RetryAfter::parse(text), Some(seconds(expected)), "{text}");
        }
    }

    #[test]
    fn what_is_neither_is_no_value() {
        for text in [
            "",
            " ",
            "soon",
            "-1",
            "+1",
            "1.5",
            "1e3",
            "12 0",
            "１２",
            "0x10",
            "1994-11-06T08:49:37Z",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(RetryAfter::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_year_of_two_digits_is_of_1970_to_2069() {
        for (text, year) in [
            ("Thursday, 01-Jan-70 00:00:00 GMT", "1970"),
            ("Tuesday, 01-Jan-69 00:00:00 GMT", "2069"),
        ] {
            let expected = at(&format!("{year}-01-01T00:00:00Z"));
            assert_eq!(RetryAfter::parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_delay_is_from_now_and_a_past_date_is_no_delay() {
        let now: Timestamp = "1994-11-06T08:49:30.5Z".parse().unwrap();
        for (value, expected) in [
            (seconds(3), Duration::from_secs(3)),
            (at("1994-11-06T08:49:37Z"), Duration::from_millis(6500)),
            (at("1994-11-06T08:49:30.5Z"), Duration::ZERO),
            (at("1994-11-06T08:49:30Z"), Duration::ZERO),
            (at("0001-01-01T00:00:00Z"), Duration::ZERO),
            (at("9999-12-31T23:59:59Z"), RetryAfter::MAX_DELAY),
            (RetryAfter::Delay(Duration::MAX), RetryAfter::MAX_DELAY),
        ] {
            assert_eq!(value.delay(now), expected, "{value:?}");
        }
    }

    #[test]
    fn text_rounds_up_so_that_nobody_comes_too_early() {
        for (value, expected) in [
            (seconds(120), "120"),
            (RetryAfter::Delay(Duration::from_millis(1)), "1"),
            (RetryAfter::Delay(Duration::MAX), "2147483648"),
            (at("1994-11-06T08:49:37Z"), "Sun, 06 Nov 1994 08:49:37 GMT"),
            (
                at("1994-11-06T08:49:36.000000001Z"),
                "Sun, 06 Nov 1994 08:49:37 GMT",
            ),
            (
                at("9999-12-31T23:59:59.999999999Z"),
                "Fri, 31 Dec 9999 23:59:59 GMT",
            ),
            (at("1969-07-20T20:17:40Z"), "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] {
            assert_eq!(value.to_string(), expected);
        }
        assert_eq!(format!("{:>4}|", seconds(7)), "   7|");
    }
}
