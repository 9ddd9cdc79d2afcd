//! The certificate of an application: its thumbprints, and whether something was signed with its key.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use webpki::EndEntityCert;
use webpki::ring::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256_LEGACY_KEY};

/// A certificate with an RSA key, as PEM, without its private key.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    pem: String,
    der: CertificateDer<'static>,
}

/// The text is not a certificate of an RSA key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no certificate that an application can sign in with: {reason}; give one of an RSA key, as PEM"
)]
pub struct InvalidCertificate {
    reason: String,
}

impl Certificate {
    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    ///
    /// [`InvalidCertificate`] where there is none, or where it is malformed.
    pub fn new(pem: impl Into<String>) -> Result<Self, InvalidCertificate> {
        let pem = pem.into();
        let failed = |reason: String| InvalidCertificate { reason };
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| failed(error.to_string()))?;
        EndEntityCert::try_from(&der).map_err(|error| failed(error.to_string()))?;
        Ok(Self { pem, der })
    }

    /// Whether a JWT names this certificate by `x5t`, which is its SHA-1 in base64url, or by `x5t#S256`. Which of them a
    /// library of Microsoft writes depends on its version.
    pub(super) fn is_named(&self, sha1: Option<&str>, sha256: Option<&str>) -> bool {
        let is = |algorithm, named: Option<&str>| {
            let own = URL_SAFE_NO_PAD.encode(digest::digest(algorithm, &self.der));
            named.map(|named| own == named.trim_end_matches('='))
        };
        let found =
            is(&digest::SHA256, sha256).or_else(|| is(&digest::SHA1_FOR_LEGACY_USE_ONLY, sha1));
        found.unwrap_or(false)
    }

    /// Whether its key has made this signature.
    pub(super) fn verifies(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &dyn SignatureVerificationAlgorithm = match algorithm {
            "RS256" => RSA_PKCS1_2048_8192_SHA256,
            "PS256" => RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
            _ => return false,
        };
        let certificate = EndEntityCert::try_from(&self.der);
        certificate.is_ok_and(|one| one.verify_signature(algorithm, message, signature).is_ok())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Certificate(SHA-256 {})",
            hex::encode(digest::digest(&digest::SHA256, &self.der))
        )
    }
}

impl Serialize for Certificate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.pem)
    }
}

impl<'de> Deserialize<'de> for Certificate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pem = String::deserialize(deserializer)?;
        Self::new(pem).map_err(serde::de::Error::custom)
    }
}
