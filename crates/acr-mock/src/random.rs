//! Numbers that look random and that a test can repeat, and the ids that are made of them.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;
use uuid::Uuid;

/// What is added to a seed from one number to the next.
pub(crate) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64: the number of this state.
pub(crate) fn mix(state: u64) -> u64 {
    let mut x = state;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Makes the ids that name things and exchanges. They are not secrets, so the system is asked for randomness once alone.
#[derive(Debug)]
pub(crate) struct Ids(AtomicU64);

impl Ids {
    /// Ids that no other registry has.
    pub(crate) fn random() -> Self {
        let mut seed = [0; 8];
        // As for the key: without randomness from the system nothing of a registry would be safe.
        getrandom::fill(&mut seed).expect("the system gives random bytes");
        Self(AtomicU64::new(u64::from_ne_bytes(seed)))
    }

    /// An id of version 4.
    pub(crate) fn next(&self) -> Uuid {
        let state = self.0.fetch_add(STEP.wrapping_mul(2), Ordering::Relaxed);
        let (high, low) = (mix(state), mix(state.wrapping_add(STEP)));
        let bits = (u128::from(high) << 64) | u128::from(low);
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }

    /// The next id as the value of a header.
    pub(crate) fn next_value(&self) -> HeaderValue {
        let mut text = Uuid::encode_buffer();
        let text = self.next().hyphenated().encode_lower(&mut text);
        HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_ids_are_the_same_and_all_are_random_by_version() {
        let (one, other) = (Ids::random(), Ids::random());
        let ids: BTreeSet<Uuid> = (0..1000).flat_map(|_| [one.next(), other.next()]).collect();
        assert_eq!(ids.len(), 2000);
        assert!(ids.iter().all(|id| id.get_version_num() == 4));
        let text = one.next_value();
        assert_eq!(
            Uuid::parse_str(text.to_str().unwrap()).unwrap().to_string(),
            text
        );
    }
}
