//! The certificate authority of one running server, and the certificate it gave that server.
//!
//! Both are made at start and known to nobody else: the keys never leave memory, and a client trusts exactly this
//! server by its CA. The forms are chosen for the strictest of the verifiers that will look at them (webpki,
//! OpenSSL with `VERIFY_X509_STRICT` as Python 3.13 sets it, Go, Java).

use std::error::Error;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};

/// What a server needs to speak TLS, and what its clients need to trust it.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) ca_pem: String,
    pub(crate) config: Arc<ServerConfig>,
}

impl Identity {
    /// Makes a new CA and a certificate for `names`, which are host names and IP addresses.
    pub(crate) fn generate(names: &[String]) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let ca_key = KeyPair::generate()?;
        let mut ca = params(&[], &format!("acr-mock CA {}", random_suffix()?))?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_pem = ca.self_signed(&ca_key)?.pem();
        let issuer = Issuer::new(ca, ca_key);

        let key = KeyPair::generate()?;
        let mut leaf = params(names, "acr-mock")?;
        leaf.is_ca = IsCa::ExplicitNoCa;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let leaf = leaf.signed_by(&key, &issuer)?;

        // The provider is named, never the process default: a second provider in the tree makes that one panic.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            ca_pem,
            config: Arc::new(config),
        })
    }
}

fn params(names: &[String], common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    let now = OffsetDateTime::now_utc();
    // A day back, for clients whose clock is behind; a year is under every verifier's limit.
    params.not_before = now - Duration::DAY;
    params.not_after = now + Duration::days(365);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    Ok(params)
}

/// Sets the CAs of two servers apart: verifiers look an issuer up by its name.
fn random_suffix() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_servers_have_two_authorities() {
        let names = vec!["localhost".to_owned()];
        let (one, two) = (
            Identity::generate(&names).unwrap(),
            Identity::generate(&names).unwrap(),
        );
        assert!(one.ca_pem.starts_with("-----BEGIN CERTIFICATE-----"));
        assert_ne!(one.ca_pem, two.ca_pem);
    }

    #[test]
    fn the_private_key_shows_in_no_debug_output() {
        let identity = Identity::generate(&["localhost".to_owned()]).unwrap();
        assert!(!format!("{identity:?}").contains("PRIVATE"));
    }
}
