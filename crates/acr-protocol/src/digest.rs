//! [`Digest`]: the content address of a blob or a manifest, and the [`Algorithm`] in front of its colon.
//!
//! Computing and checking digests over streams is the business of [`crate::verify`].

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use sha2::Digest as _;

use crate::text::text_traits;

/// A content address, `algorithm:encoded`, such as `sha256:2cf2…`.
///
/// `sha256` and `sha512` are held to their exact form (64 or 128 lower-case hexadecimal digits); another
/// algorithm is held to the grammar of the OCI image specification and can be carried but not computed.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest(Arc<str>);

impl Digest {
    /// Checks the text `algorithm:encoded`.
    ///
    /// # Errors
    /// [`InvalidDigest`] names the part that is wrong.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidDigest> {
        let text = text.as_ref();
        check(text).map_err(|reason| InvalidDigest {
            text: crate::text::excerpt(text),
            reason,
        })?;
        Ok(Self(Arc::from(text)))
    }

    /// The sha256 digest of these bytes.
    #[must_use]
    pub fn sha256(bytes: impl AsRef<[u8]>) -> Self {
        Self::from_hash("sha256", &sha2::Sha256::digest(bytes))
    }

    /// The sha512 digest of these bytes.
    #[must_use]
    pub fn sha512(bytes: impl AsRef<[u8]>) -> Self {
        Self::from_hash("sha512", &sha2::Sha512::digest(bytes))
    }

    /// The digest of these bytes by this algorithm, or `None` where the algorithm can only be carried.
    #[must_use]
    pub fn of(algorithm: &Algorithm, bytes: impl AsRef<[u8]>) -> Option<Self> {
        match *algorithm {
            Algorithm::SHA256 => Some(Self::sha256(bytes)),
            Algorithm::SHA512 => Some(Self::sha512(bytes)),
            _ => None,
        }
    }

    /// Whether these bytes are the content of this address. `None` where the algorithm cannot be computed here.
    #[must_use]
    pub fn matches(&self, bytes: impl AsRef<[u8]>) -> Option<bool> {
        Self::of(&self.algorithm(), bytes).map(|actual| actual == *self)
    }

    /// The text `algorithm:encoded`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The algorithm: what stands before the colon.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        Algorithm::from_text(self.split().0)
    }

    /// The encoded hash: what stands behind the colon, hexadecimal for sha256 and sha512. Fit for a file name.
    #[must_use]
    pub fn hex(&self) -> &str {
        self.split().1
    }

    pub(crate) fn from_hash(algorithm: &str, hash: &[u8]) -> Self {
        Self(Arc::from(format!("{algorithm}:{}", hex::encode(hash))))
    }

    fn split(&self) -> (&str, &str) {
        self.0.split_once(':').unwrap_or((&self.0, ""))
    }
}

text_traits!(Digest);

impl std::str::FromStr for Digest {
    type Err = InvalidDigest;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<&str> for Digest {
    type Error = InvalidDigest;
    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl TryFrom<&String> for Digest {
    type Error = InvalidDigest;
    fn try_from(text: &String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<&Self> for Digest {
    fn from(other: &Self) -> Self {
        other.clone()
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(text).map_err(serde::de::Error::custom)
    }
}

/// A digest algorithm. Open: an algorithm that this crate cannot compute is kept by name. The default is sha256.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Algorithm(Kind);

#[derive(Clone, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Sha256,
    Sha512,
    Other(Box<str>),
}

impl Algorithm {
    /// `sha256`, which every registry speaks.
    pub const SHA256: Self = Self(Kind::Sha256);
    /// `sha512`, the second registered algorithm of the OCI image specification.
    pub const SHA512: Self = Self(Kind::Sha512);

    /// The name as it stands before the colon of a digest.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Kind::Sha256 => "sha256",
            Kind::Sha512 => "sha512",
            Kind::Other(name) => name,
        }
    }

    /// Whether digests of this algorithm can be computed here.
    #[must_use]
    pub fn is_supported(&self) -> bool {
        !matches!(self.0, Kind::Other(_))
    }

    fn from_text(text: &str) -> Self {
        match text {
            "sha256" => Self::SHA256,
            "sha512" => Self::SHA512,
            other => Self(Kind::Other(Box::from(other))),
        }
    }
}

text_traits!(Algorithm);

/// The text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidDigest {
    text: String,
    reason: &'static str,
}

impl fmt::Display for InvalidDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a digest such as \"sha256:…\": {}",
            self.text, self.reason
        )
    }
}

impl std::error::Error for InvalidDigest {}

fn check(text: &str) -> Result<(), &'static str> {
    let (algorithm, encoded) = text
        .split_once(':')
        .ok_or("there is no colon between algorithm and hash")?;
    let hex_digits = match algorithm {
        "sha256" => Some(64),
        "sha512" => Some(128),
        _ => None,
    };
    if let Some(expected) = hex_digits {
        if encoded.len() != expected {
            return Err("the hash does not have the length of its algorithm");
        }
        if !encoded
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        {
            return Err("the hash holds something other than lower-case hexadecimal digits");
        }
        return Ok(());
    }
    let component = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    if !algorithm.split(['+', '.', '_', '-']).all(component) {
        return Err("the algorithm is not of lower-case letters and digits joined by + . _ -");
    }
    if encoded.is_empty() || encoded.len() > 512 {
        return Err("the hash is empty or longer than 512 characters");
    }
    if !encoded
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'=' | b'_' | b'-'))
    {
        return Err("the hash holds something other than letters, digits, = _ -");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_digest_of_nothing_is_the_known_one() {
        assert_eq!(Digest::sha256(b""), Digest::new(EMPTY).unwrap());
        assert_eq!(Digest::sha512(b"").hex().len(), 128);
        assert!(Digest::sha512(b"").hex().starts_with("cf83e1357eefb8bd"));
    }

    #[test]
    fn algorithm_and_hex_are_the_two_sides_of_the_colon() {
        let digest = Digest::new(EMPTY).unwrap();
        assert_eq!(digest.algorithm(), Algorithm::SHA256);
        assert_eq!(digest.hex(), &EMPTY[7..]);
        assert_eq!(digest.matches(b""), Some(true));
        assert_eq!(digest.matches(b"x"), Some(false));
    }

    #[test]
    fn an_algorithm_of_another_kind_is_carried_but_not_computed() {
        let digest = Digest::new("blake3+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g").unwrap();
        assert_eq!(digest.algorithm().as_str(), "blake3+b64u");
        assert!(!digest.algorithm().is_supported());
        assert_eq!(digest.matches(b""), None);
    }

    #[test]
    fn malformed_digests_are_refused_with_the_reason() {
        for text in [
            "",
            "sha256",
            "sha256:",
            "sha256:totallywrong",
            "sha256:00000000",
            ":abc",
            "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
            "SHA256:abc",
            "md5:",
            "md5:a b",
            "md5:../x",
            "a..b:c",
        ] {
            let error = Digest::new(text).unwrap_err();
            assert!(error.to_string().contains("is not a digest"), "{error}");
        }
    }
}
