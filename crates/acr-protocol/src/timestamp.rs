//! [`Timestamp`]: a point in time as the registry writes it.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::text::excerpt;

/// A point in time, in seconds and nanoseconds since 1970 in UTC.
///
/// Text (Display, Debug, serde) is RFC 3339 with `Z` and the zeros at the fraction's end cut off, as the service
/// writes it: `2024-01-24T06:16:24.927259Z`. Ordered by time; as text such times do not sort. It converts to and from
/// [`SystemTime`], and through that to the date crates.
///
/// ```
/// use acr_protocol::Timestamp;
/// use std::time::Duration;
/// let pushed: Timestamp = "2024-01-24T06:16:24.927259Z".parse()?;
/// assert!(pushed - Duration::from_secs(60) < pushed);
/// # Ok::<(), acr_protocol::InvalidTimestamp>(())
/// ```
// 12 bytes and not 16: a registry holds two of them with each of its tags.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(Rust, packed(4))]
pub struct Timestamp {
    seconds: i64,
    nanoseconds: u32,
}

impl Timestamp {
    /// The beginning of 1970.
    pub const UNIX_EPOCH: Self = Self {
        seconds: 0,
        nanoseconds: 0,
    };

    /// The point in time this many whole seconds after the beginning of 1970 (before it, if negative), plus nanoseconds
    /// (a full second or more is carried over). Held to the years 1 to 9999.
    #[must_use]
    pub fn new(seconds: i64, nanoseconds: u32) -> Self {
        let is_within = (YEAR_ONE..YEAR_TEN_THOUSAND).contains(&i128::from(seconds));
        if is_within && nanoseconds < 1_000_000_000 {
            return Self {
                seconds,
                nanoseconds,
            };
        }
        Self::from_nanos(i128::from(seconds) * NANOS + i128::from(nanoseconds))
    }

    /// Whole seconds since the beginning of 1970, rounded down.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds within the second.
    #[must_use]
    pub fn nanoseconds(self) -> u32 {
        self.nanoseconds
    }

    /// Units of 100 nanoseconds since the beginning of the year 1, the marker of lists in time order.
    #[must_use]
    pub fn ticks(self) -> u64 {
        let ticks =
            (i128::from(self.seconds) - YEAR_ONE) * 10_000_000 + i128::from(self.nanoseconds / 100);
        u64::try_from(ticks).unwrap_or(0)
    }

    /// The reverse of [`Timestamp::ticks`].
    #[must_use]
    pub fn from_ticks(ticks: u64) -> Self {
        Self::from_nanos(i128::from(ticks) * 100 + YEAR_ONE * NANOS)
    }

    /// The time from `earlier` to this one; nothing if it is later.
    #[must_use]
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        let nanos = self.nanos() - earlier.nanos();
        if nanos <= 0 {
            return Duration::ZERO;
        }
        Duration::new(
            u64::try_from(nanos / NANOS).unwrap_or(u64::MAX),
            u32::try_from(nanos % NANOS).unwrap_or(0),
        )
    }

    /// The length of the longest text, in bytes.
    pub const MAX_TEXT: usize = "0000-00-00T00:00:00.000000000Z".len();

    /// Writes the text into a buffer, for who writes many of them: neither an allocation nor a formatter is needed.
    ///
    /// ```
    /// let time = acr_protocol::Timestamp::UNIX_EPOCH;
    /// assert_eq!(time.encode(&mut [0; acr_protocol::Timestamp::MAX_TEXT]), "1970-01-01T00:00:00Z");
    /// ```
    #[must_use]
    pub fn encode(self, text: &mut [u8; Self::MAX_TEXT]) -> &str {
        // The constructors hold the value to the years 1 to 9999, so nothing here is out of bounds.
        let days = self.seconds.div_euclid(DAY);
        let second = self.seconds.rem_euclid(DAY);
        let (year, month, day) = date(days);
        let (hour, minute) = (second / 3600, second / 60 % 60);
        text.copy_from_slice(b"0000-00-00T00:00:00.000000000Z");
        for (at, number) in [
            (0, year / 100),
            (2, year % 100),
            (5, month),
            (8, day),
            (11, hour),
            (14, minute),
            (17, second % 60),
        ] {
            [text[at], text[at + 1]] = two_digits(number);
        }
        let end = self.encode_fraction(text);
        text[end] = b'Z';
        // All of it is ASCII.
        std::str::from_utf8(&text[..=end]).unwrap_or_default()
    }

    /// Writes the fraction of the second, and gives where its last digit that is not zero ends.
    fn encode_fraction(self, text: &mut [u8; Self::MAX_TEXT]) -> usize {
        if self.nanoseconds == 0 {
            return 19;
        }
        let mut rest = i64::from(self.nanoseconds) * 10;
        for at in [28, 26, 24, 22, 20] {
            let digits = two_digits(rest % 100);
            text[at] = digits[0];
            // The tenth digit is one of our own, in the place of the `Z`.
            text[at + 1] = digits[1];
            rest /= 100;
        }
        let fraction = text[20..29].iter().rposition(|&digit| digit != b'0');
        fraction.map_or(19, |last| 21 + last)
    }

    fn nanos(self) -> i128 {
        i128::from(self.seconds) * NANOS + i128::from(self.nanoseconds)
    }

    fn from_nanos(nanos: i128) -> Self {
        let nanos = nanos.clamp(YEAR_ONE * NANOS, YEAR_TEN_THOUSAND * NANOS - 1);
        Self {
            seconds: i64::try_from(nanos.div_euclid(NANOS)).unwrap_or(i64::MAX),
            nanoseconds: u32::try_from(nanos.rem_euclid(NANOS)).unwrap_or(0),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.encode(&mut [0; Self::MAX_TEXT]))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|error| InvalidTimestamp {
            text: excerpt(text),
            reason: error.to_string(),
        })?;
        Ok(Self::from_nanos(time.unix_timestamp_nanos()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.encode(&mut [0; Self::MAX_TEXT]))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => {
                let seconds = i64::try_from(after.as_secs()).unwrap_or(i64::MAX);
                Self::new(seconds, after.subsec_nanos())
            }
            Err(before) => Self::UNIX_EPOCH - before.duration(),
        }
    }
}

/// Exact where the platform's clock can tell the time. A time that it cannot hold (on Windows, one before 1601, such as
/// the year 1 that stands for "never") becomes the beginning of 1970, rather than a panic.
impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        let whole = Duration::from_secs(time.seconds.unsigned_abs());
        let nanos = Duration::from_nanos(u64::from(time.nanoseconds));
        let exact = if time.seconds >= 0 {
            UNIX_EPOCH.checked_add(whole)
        } else {
            UNIX_EPOCH.checked_sub(whole)
        };
        exact
            .and_then(|exact| exact.checked_add(nanos))
            .unwrap_or(UNIX_EPOCH)
    }
}

impl PartialEq<SystemTime> for Timestamp {
    fn eq(&self, other: &SystemTime) -> bool {
        *self == Self::from(*other)
    }
}

impl PartialOrd<SystemTime> for Timestamp {
    fn partial_cmp(&self, other: &SystemTime) -> Option<std::cmp::Ordering> {
        Some(self.cmp(&Self::from(*other)))
    }
}

impl PartialEq<Timestamp> for SystemTime {
    fn eq(&self, other: &Timestamp) -> bool {
        other == self
    }
}

impl PartialOrd<Timestamp> for SystemTime {
    fn partial_cmp(&self, other: &Timestamp) -> Option<std::cmp::Ordering> {
        Some(Timestamp::from(*self).cmp(other))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self::from_nanos(
            self.nanos()
                .saturating_add(i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)),
        )
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self::from_nanos(
            self.nanos()
                .saturating_sub(i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)),
        )
    }
}

/// The text is not an RFC 3339 time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a time such as \"2024-01-24T06:16:24.927259Z\": {reason}")]
pub struct InvalidTimestamp {
    text: String,
    reason: String,
}

/// Year, month and day of a day since the beginning of 1970, by the proleptic Gregorian calendar.
fn date(days: i64) -> (i64, i64, i64) {
    // Counted from 1 March of the year 0, so that a leap day is a year's last and 400 years are one cycle.
    let days = days + 719_468;
    let (cycle, day) = (days.div_euclid(CYCLE), days.rem_euclid(CYCLE));
    let year = (day - day / 1_460 + day / 36_524 - day / (CYCLE - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // The months from March on: 153 days in every five.
    let month = (5 * day + 2) / 153;
    let of_month = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = cycle * 400 + year + i64::from(month <= 2);
    (year, month, of_month)
}

/// The two digits of a number below 100.
fn two_digits(number: i64) -> [u8; 2] {
    let number = u8::try_from(number).unwrap_or(0);
    [b'0' + number / 10 % 10, b'0' + number % 10]
}

/// Days in 400 years, and seconds in a day.
const CYCLE: i64 = 146_097;
const DAY: i64 = 86_400;
const NANOS: i128 = 1_000_000_000;
/// The beginning of the year 1, in seconds since 1970.
const YEAR_ONE: i128 = -62_135_596_800;
/// The end of the year 9999, in seconds since 1970.
const YEAR_TEN_THOUSAND: i128 = 253_402_300_800;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_no_zeros_at_the_end_of_its_fraction() {
        for text in [
            "2024-01-24T06:16:24.927259Z",
            "2022-12-13T07:16:43.0532031Z",
            "2023-02-15T08:59:14Z",
            "1969-12-31T23:59:59.5Z",
            "0001-01-01T00:00:00Z",
        ] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(time.to_string(), text);
        }
        assert_eq!(
            "2024-01-24T07:16:24.9200+01:00"
                .parse::<Timestamp>()
                .unwrap()
                .to_string(),
            "2024-01-24T06:16:24.92Z"
        );
    }

    #[test]
    fn a_text_written_by_hand_is_that_of_the_time_library() {
        // Every 9973rd hour of all years, which meets each day of the calendar's cycle, and each length of a fraction.
        let (first, end) = (YEAR_ONE as i64, YEAR_TEN_THOUSAND as i64);
        let mut nanoseconds = 1;
        for seconds in (first..end).step_by(9973 * 3600 + 61).chain([end - 1]) {
            let time = Timestamp::new(seconds, nanoseconds % 1_000_000_000);
            let expected = OffsetDateTime::from_unix_timestamp_nanos(time.nanos())
                .unwrap()
                .format(&Rfc3339)
                .unwrap();
            assert_eq!(time.to_string(), expected);
            nanoseconds = nanoseconds.wrapping_mul(10) + u32::from(nanoseconds > 900_000_000);
        }
        for nanoseconds in [0, 1, 10, 100_000_000, 999_999_999, 120_000] {
            let time = Timestamp::new(951_782_399, nanoseconds);
            let expected = OffsetDateTime::from_unix_timestamp_nanos(time.nanos()).unwrap();
            assert_eq!(time.to_string(), expected.format(&Rfc3339).unwrap());
        }
    }

    #[test]
    fn malformed_times_are_refused() {
        for text in [
            "",
            "yesterday",
            "2024-01-24",
            "2024-13-01T00:00:00Z",
            "2024-01-24T06:16:24",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn order_is_by_time_where_text_would_mislead() {
        let (early, late): (Timestamp, Timestamp) = (
            "2024-01-24T06:16:24.92Z".parse().unwrap(),
            "2024-01-24T06:16:24.925Z".parse().unwrap(),
        );
        assert!(early < late && early.to_string() > late.to_string());
        assert_eq!(
            late.saturating_duration_since(early),
            Duration::from_millis(5)
        );
        assert_eq!(early.saturating_duration_since(late), Duration::ZERO);
    }

    #[test]
    fn ticks_are_those_of_the_recorded_marker() {
        // The wire reference's marker `639039224611470601` of a list in time order.
        let time = Timestamp::from_ticks(639_039_224_611_470_601);
        assert_eq!(time.ticks(), 639_039_224_611_470_601);
        assert_eq!(time.to_string().len(), "2026-01-01T00:00:00.1470601Z".len());
        assert!(time.to_string().ends_with(".1470601Z"), "{time}");
    }

    #[test]
    fn it_converts_to_and_from_system_time() {
        for text in ["1969-12-31T23:59:59.5Z", "2024-01-24T06:16:24.927259Z"] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(Timestamp::from(SystemTime::from(time)), time);
            assert!(time == SystemTime::from(time));
            assert!(SystemTime::from(time) == time && SystemTime::from(time) <= time);
        }
    }

    #[test]
    fn arithmetic_stays_within_what_can_be_written() {
        let time = Timestamp::UNIX_EPOCH;
        assert_eq!(
            (time + Duration::MAX).to_string(),
            "9999-12-31T23:59:59.999999999Z"
        );
        assert_eq!((time - Duration::MAX).to_string(), "0001-01-01T00:00:00Z");
        assert_eq!(
            (time + Duration::from_millis(1500) - Duration::from_secs(2)).to_string(),
            "1969-12-31T23:59:59.5Z"
        );
    }
}
