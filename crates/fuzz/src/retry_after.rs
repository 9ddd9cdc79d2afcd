use std::time::Duration;

use acr_protocol::{RetryAfter, Timestamp};

/// `Retry-After`: what is read is written and read back, and a delay is never longer than its bound nor shorter than
/// what a date in the future asks for.
pub fn retry_after(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Some(value) = RetryAfter::parse(&text) else {
        return;
    };
    assert_eq!(RetryAfter::parse(&value.to_string()), Some(value));
    for now in NOW.map(|seconds| Timestamp::new(seconds, 5)) {
        let delay = value.delay(now);
        assert!(delay <= RetryAfter::MAX_DELAY);
        match value {
            RetryAfter::Delay(asked) => assert_eq!(delay, asked),
            RetryAfter::At(time) if time <= now => assert_eq!(delay, Duration::ZERO),
            RetryAfter::At(time) => {
                assert!(now + delay == time || delay == RetryAfter::MAX_DELAY);
            }
        }
    }
    match value {
        RetryAfter::Delay(delay) => assert_eq!(delay.subsec_nanos(), 0),
        RetryAfter::At(time) => {
            assert!(time >= Timestamp::UNIX_EPOCH && time.nanoseconds() == 0);
        }
    }
}

/// The beginnings of the years 1, 1970, 2024 and the end of all.
const NOW: [i64; 4] = [-62_135_596_800, 0, 1_704_067_200, 253_402_300_799];
