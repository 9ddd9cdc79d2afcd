//! Digests over streams: [`Digester`] computes one chunk by chunk, [`Verifier`] holds the outcome against what was promised.
//!
//! A digester's state can be saved and restored, so that an upload that was interrupted goes on where the registry
//! stopped, without reading the source again.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;
use sha2::digest::common::hazmat::{SerializableState, SerializedState};

use crate::digest::{Algorithm, Digest};

/// Computes a digest over bytes that arrive in pieces.
///
/// ```
/// use acr_protocol::{Digest, Digester};
/// let mut digester = Digester::sha256();
/// digester.update(b"Sample ");
/// digester.update(b"layer");
/// assert_eq!(digester.finish(), Digest::sha256(b"Sample layer"));
/// ```
#[derive(Clone)]
pub struct Digester {
    hash: Hash,
    bytes: u64,
}

#[derive(Clone)]
enum Hash {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

impl Digester {
    /// Begins a sha256 digest.
    #[must_use]
    pub fn sha256() -> Self {
        Self {
            hash: Hash::Sha256(sha2::Sha256::new()),
            bytes: 0,
        }
    }

    /// Begins a sha512 digest.
    #[must_use]
    pub fn sha512() -> Self {
        Self {
            hash: Hash::Sha512(sha2::Sha512::new()),
            bytes: 0,
        }
    }

    /// Begins a digest by this algorithm, or `None` where it can only be carried, not computed.
    #[must_use]
    pub fn new(algorithm: &Algorithm) -> Option<Self> {
        match *algorithm {
            Algorithm::SHA256 => Some(Self::sha256()),
            Algorithm::SHA512 => Some(Self::sha512()),
            _ => None,
        }
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.bytes += bytes.len() as u64;
        match &mut self.hash {
            Hash::Sha256(hash) => hash.update(bytes),
            Hash::Sha512(hash) => hash.update(bytes),
        }
    }

    /// How many bytes were taken in so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.hash {
            Hash::Sha256(_) => Algorithm::SHA256,
            Hash::Sha512(_) => Algorithm::SHA512,
        }
    }

    /// The digest of everything taken in.
    #[must_use]
    pub fn finish(self) -> Digest {
        match self.hash {
            Hash::Sha256(hash) => Digest::from_hash("sha256", &hash.finalize()),
            Hash::Sha512(hash) => Digest::from_hash("sha512", &hash.finalize()),
        }
    }

    /// The state as bytes, for [`Digester::restore`]. It holds up to one block of the content in clear.
    ///
    /// The form is stable within a minor version of this crate.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let (algorithm, state) = match &self.hash {
            Hash::Sha256(hash) => (1, hash.serialize().to_vec()),
            Hash::Sha512(hash) => (2, hash.serialize().to_vec()),
        };
        let mut saved = vec![STATE_VERSION, algorithm];
        saved.extend_from_slice(&self.bytes.to_be_bytes());
        saved.extend_from_slice(&state);
        let check = checksum(&saved);
        saved.extend_from_slice(&check);
        saved
    }

    /// The digester that [`Digester::save`] wrote down.
    ///
    /// # Errors
    /// [`InvalidState`]: the bytes are not such a state, are damaged, or are of another version.
    pub fn restore(saved: &[u8]) -> Result<Self, InvalidState> {
        let (saved, check) = saved
            .split_last_chunk::<CHECKSUM_BYTES>()
            .ok_or(InvalidState)?;
        if checksum(saved) != *check {
            return Err(InvalidState);
        }
        let [STATE_VERSION, algorithm, rest @ ..] = saved else {
            return Err(InvalidState);
        };
        let (count, state) = rest.split_first_chunk::<8>().ok_or(InvalidState)?;
        let bytes = u64::from_be_bytes(*count);
        // The state has its own count, of whole blocks, behind the chaining values. The two must agree, and the number
        // of bits must fit the 64 of sha256's padding: `sha2` relies on it.
        let blocks = match algorithm {
            1 if bytes < 1 << 61 => (32, u128::from(bytes / 64), 8),
            2 => (64, u128::from(bytes / 128), 16),
            _ => return Err(InvalidState),
        };
        let (start, blocks, width) = blocks;
        if state.get(start..start + width) != Some(&blocks.to_le_bytes()[..width]) {
            return Err(InvalidState);
        }
        let hash = match algorithm {
            1 => Hash::Sha256(restore(state)?),
            _ => Hash::Sha512(restore(state)?),
        };
        Ok(Self { hash, bytes })
    }
}

/// As the text of [`Digester::save`], in hexadecimal.
impl Serialize for Digester {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.save()))
    }
}

impl<'de> Deserialize<'de> for Digester {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let saved = hex::decode(text).map_err(|_| serde::de::Error::custom(InvalidState))?;
        Self::restore(&saved).map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digester")
            .field("algorithm", &self.algorithm())
            .field("bytes", &self.bytes)
            .finish()
    }
}

/// Holds a stream of bytes against the digest that was promised.
#[derive(Clone, Debug)]
pub struct Verifier {
    expected: Digest,
    digester: Digester,
}

impl Verifier {
    /// Begins to verify against `expected`.
    ///
    /// # Errors
    /// [`UnsupportedAlgorithm`]: the digest is of an algorithm that cannot be computed here.
    pub fn new(expected: Digest) -> Result<Self, UnsupportedAlgorithm> {
        let digester = Digester::new(&expected.algorithm())
            .ok_or_else(|| UnsupportedAlgorithm(expected.algorithm()))?;
        Ok(Self { expected, digester })
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.digester.update(bytes);
    }

    /// How many bytes were taken in so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.digester.bytes()
    }

    /// The digest that the bytes must have.
    #[must_use]
    pub fn expected(&self) -> &Digest {
        &self.expected
    }

    /// Ends the stream: the number of bytes where they are the promised ones.
    ///
    /// # Errors
    /// [`DigestMismatch`] with both digests.
    pub fn finish(self) -> Result<u64, DigestMismatch> {
        let bytes = self.digester.bytes();
        let actual = self.digester.finish();
        if actual == self.expected {
            Ok(bytes)
        } else {
            Err(DigestMismatch {
                expected: self.expected,
                actual,
                bytes,
            })
        }
    }
}

/// The content is not what its address promised: it was damaged, exchanged or cut on the way.
#[doc(alias = "DigestValidationError")]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content has the digest {actual} ({bytes} bytes), expected {expected}")]
#[non_exhaustive]
pub struct DigestMismatch {
    /// What was asked for.
    pub expected: Digest,
    /// What the bytes have.
    pub actual: Digest,
    /// How many bytes there were.
    pub bytes: u64,
}

impl DigestMismatch {
    /// A mismatch found by other means than a [`Verifier`].
    #[must_use]
    pub fn new(expected: Digest, actual: Digest, bytes: u64) -> Self {
        Self {
            expected,
            actual,
            bytes,
        }
    }
}

/// Digests of this algorithm can be carried but not computed here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("digests by {0} cannot be computed; only sha256 and sha512 can")]
pub struct UnsupportedAlgorithm(pub Algorithm);

/// The bytes are not a saved state of a [`Digester`] of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a saved digester state of this version")]
pub struct InvalidState;

const STATE_VERSION: u8 = 1;
/// Enough to notice a file that was cut or damaged; it is not protection against a forger.
const CHECKSUM_BYTES: usize = 8;

fn checksum(saved: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut check = [0; CHECKSUM_BYTES];
    check.copy_from_slice(&sha2::Sha256::digest(saved)[..CHECKSUM_BYTES]);
    check
}

fn restore<H: SerializableState>(state: &[u8]) -> Result<H, InvalidState> {
    let state = SerializedState::<H>::try_from(state).map_err(|_| InvalidState)?;
    H::deserialize(&state).map_err(|_| InvalidState)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_digester_goes_on_where_the_saved_one_stopped() {
        for algorithm in [Algorithm::SHA256, Algorithm::SHA512] {
            for cut in [0, 1, 63, 64, 65, 127, 128, 129, 300] {
                let content: Vec<u8> = (0..=255).cycle().take(400).collect();
                let mut first = Digester::new(&algorithm).unwrap();
                first.update(&content[..cut]);
                let mut second = Digester::restore(&first.save()).unwrap();
                let text = serde_json::to_string(&first).unwrap();
                let third: Digester = serde_json::from_str(&text).unwrap();
                assert_eq!(third.finish(), second.clone().finish());
                assert_eq!(second.bytes(), cut as u64);
                second.update(&content[cut..]);
                assert_eq!(Some(second.finish()), Digest::of(&algorithm, &content));
            }
        }
    }

    #[test]
    fn a_damaged_state_is_refused() {
        for algorithm in [Algorithm::SHA256, Algorithm::SHA512] {
            let mut digester = Digester::new(&algorithm).unwrap();
            digester.update([7; 1000]);
            let saved = digester.save();
            for cut in 0..saved.len() {
                assert_eq!(Digester::restore(&saved[..cut]).unwrap_err(), InvalidState);
            }
            for place in 0..saved.len() {
                let mut damaged = saved.clone();
                damaged[place] ^= 1;
                assert_eq!(Digester::restore(&damaged).unwrap_err(), InvalidState);
            }
        }
    }

    #[test]
    fn a_forged_count_is_refused() {
        for algorithm in [Algorithm::SHA256, Algorithm::SHA512] {
            let saved = Digester::new(&algorithm).unwrap().save();
            let (state, _) = saved.split_at(saved.len() - CHECKSUM_BYTES);
            let start = if algorithm == Algorithm::SHA256 {
                10 + 32
            } else {
                10 + 64
            };
            for places in [2..10, start..start + 8] {
                let mut forged = state.to_vec();
                forged[places].fill(0xff);
                forged.extend(checksum(&forged));
                assert_eq!(Digester::restore(&forged).unwrap_err(), InvalidState);
            }
        }
    }

    #[test]
    fn a_verifier_says_what_it_found_instead() {
        let mut verifier = Verifier::new(Digest::sha256(b"promised")).unwrap();
        verifier.update(b"given");
        let error = verifier.finish().unwrap_err();
        assert_eq!((error.actual, error.bytes), (Digest::sha256(b"given"), 5));
    }
}
