//! Values, their text, the same values; and of arbitrary text nothing that a type's documentation rules out.

mod support;

use std::time::Duration;

use acr_protocol::{RetryAfter, Timestamp};
use proptest::prelude::*;

use support::*;

fn retry_after() -> impl Strategy<Value = RetryAfter> {
    prop_oneof![
        any::<Duration>().prop_map(RetryAfter::Delay),
        (0..10_000_u64, any::<u32>())
            .prop_map(|(seconds, part)| Duration::new(seconds, part % 1_000_000_000))
            .prop_map(RetryAfter::Delay),
        timestamp().prop_map(RetryAfter::At),
    ]
}

/// Texts near to what `Retry-After` may hold.
fn retry_after_text() -> impl Strategy<Value = String> {
    prop_oneof![
        odd_text(),
        "[ \t]{0,2}[0-9]{0,24}[ \t]{0,2}",
        "[-+]?[0-9]{1,4}[.e]?[0-9]{0,3}",
        "(Mon|Sun|Nov), [0-9]{2} (Jan|Nov|nov|13) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} (GMT|UTC)",
        "(Sunday|Monday|Sun), [0-3][0-9]-(Jan|Nov|nov)-[0-9]{2} [0-2][0-9]:[0-5][0-9]:[0-5][0-9] GMT",
        "(Mon|Sun|Nov) (Jan|Nov|nov|13) [ 0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9] [0-9]{4}",
        // Real dates, with the day of the week that is theirs.
        timestamp().prop_map(|time| RetryAfter::At(time).to_string()),
    ]
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn a_retry_after_keeps_its_meaning_through_its_text(value in retry_after(), now in timestamp()) {
        let text = value.to_string();
        let read = RetryAfter::parse(&text);
        prop_assert!(read.is_some(), "{:?} is written as {:?}, which cannot be read", value, text);
        let read = read.unwrap_or(value);
        prop_assert_eq!(read.to_string(), text);
        // Nobody comes back earlier than was asked, and nobody more than a second later.
        let now = now.max(Timestamp::UNIX_EPOCH);
        let last_second = Timestamp::new(253_402_300_799, 0);
        if !matches!(value, RetryAfter::At(time) if time > last_second) {
            prop_assert!(read.delay(now) >= value.delay(now));
            prop_assert!(read.delay(now) - value.delay(now) < Duration::from_secs(1));
        }
    }

    #[test]
    fn a_delay_is_never_beyond_what_a_clock_can_add(value in retry_after(), now in timestamp()) {
        let delay = value.delay(now);
        prop_assert!(delay <= RetryAfter::MAX_DELAY);
        match value {
            RetryAfter::At(time) if time <= now => prop_assert_eq!(delay, Duration::ZERO),
            RetryAfter::At(time) => prop_assert!(delay == RetryAfter::MAX_DELAY || now + delay == time),
            RetryAfter::Delay(asked) => prop_assert_eq!(delay, asked.min(RetryAfter::MAX_DELAY)),
        }
    }

    #[test]
    fn any_text_is_a_retry_after_that_can_be_written_or_none(text in retry_after_text()) {
        let Some(value) = RetryAfter::parse(&text) else { return Ok(()) };
        prop_assert_eq!(RetryAfter::parse(&value.to_string()), Some(value));
        match value {
            RetryAfter::Delay(delay) => {
                prop_assert!(delay <= RetryAfter::MAX_DELAY && delay.subsec_nanos() == 0);
                prop_assert!(text.trim().bytes().all(|byte| byte.is_ascii_digit()));
            }
            RetryAfter::At(time) => {
                prop_assert!(time >= Timestamp::UNIX_EPOCH && time.nanoseconds() == 0);
                prop_assert!(text.contains("GMT") || text.trim().len() == "Sun Nov  6 08:49:37 1994".len());
            }
        }
    }
}
