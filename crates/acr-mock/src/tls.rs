//! The certificate authority of one running server, and the certificate it gave that server.
//!
//! Both are made at start and known to nobody else: the keys never leave memory, and a client trusts exactly this
//! server by its CA. The forms are chosen for the strictest of the verifiers that will look at them (webpki,
//! OpenSSL with `VERIFY_X509_STRICT` as Python 3.13 sets it, Go, Java).

use std::error::Error;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

/// What a server needs to speak TLS, and what its clients need to trust it.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) ca_pem: String,
    pub(crate) config: Arc<ServerConfig>,
    certified: Arc<CertifiedKey>,
}

impl Identity {
    /// Makes a new CA and a certificate for `names`, which are host names and IP addresses. A CA that is `constrained` is
    /// good for these names and for loopback alone, whoever has its key.
    pub(crate) fn generate(names: &[String], constrained: bool) -> Result<Self, TlsError> {
        let (ca_pem, issuer) = authority(names, constrained)?;
        let certified = Arc::new(certify(names, &issuer)?);
        Ok(Self {
            ca_pem,
            config: config(Any(certified.clone()))?,
            certified,
        })
    }

    /// What a connection needs that was opened to this name: for another one there is no certificate.
    pub(crate) fn config_for(&self, name: &str) -> Result<Arc<ServerConfig>, TlsError> {
        config(Only {
            name: name.to_owned(),
            certified: self.certified.clone(),
        })
    }
}

fn authority(
    names: &[String],
    constrained: bool,
) -> Result<(String, Issuer<'static, KeyPair>), TlsError> {
    let ca_key = KeyPair::generate()?;
    let mut ca = params(&[], &format!("acr-mock CA {}", random_suffix()?))?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    if constrained {
        ca.name_constraints = Some(constraints(names));
    }
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    Ok((ca_pem, Issuer::new(ca, ca_key)))
}

/// A certificate for the names, with its key.
fn certify(names: &[String], issuer: &Issuer<'_, KeyPair>) -> Result<CertifiedKey, TlsError> {
    let key = KeyPair::generate()?;
    let mut leaf = params(names, "acr-mock")?;
    leaf.is_ca = IsCa::ExplicitNoCa;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let leaf = leaf.signed_by(&key, issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let certified = CertifiedKey::from_der(vec![leaf.der().clone()], key, &provider())?;
    Ok(certified)
}

pub(crate) type TlsError = Box<dyn Error + Send + Sync>;

fn config(resolver: impl ResolvesServerCert + 'static) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// It is named, never the process default: a second provider in the tree makes that one panic.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The certificate, whatever name is asked for: the client checks it.
#[derive(Debug)]
struct Any(Arc<CertifiedKey>);

impl ResolvesServerCert for Any {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

#[derive(Debug)]
struct Only {
    name: String,
    certified: Arc<CertifiedKey>,
}

impl ResolvesServerCert for Only {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Who names no host here has named it when it asked for the connection.
        let named = hello.server_name();
        let is_it = named.is_none_or(|named| named.eq_ignore_ascii_case(&self.name));
        is_it.then(|| self.certified.clone())
    }
}

/// What a CA may vouch for: these names, and loopback.
fn constraints(names: &[String]) -> NameConstraints {
    let mut permitted_subtrees = vec![
        GeneralSubtree::IpAddress(CidrSubnet::V4([127, 0, 0, 0], [255, 0, 0, 0])),
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(
            Ipv6Addr::LOCALHOST.into(),
            128,
        )),
        GeneralSubtree::DnsName("localhost".to_owned()),
    ];
    permitted_subtrees.extend(names.iter().map(|name| match name.parse::<IpAddr>() {
        Ok(address) => {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, bits))
        }
        Err(_) => GeneralSubtree::DnsName(name.clone()),
    }));
    NameConstraints {
        permitted_subtrees,
        excluded_subtrees: Vec::new(),
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
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    use super::*;

    #[test]
    fn two_servers_have_two_authorities() {
        let names = vec!["localhost".to_owned()];
        let (one, two) = (
            Identity::generate(&names, false).unwrap(),
            Identity::generate(&names, true).unwrap(),
        );
        assert!(one.ca_pem.starts_with("-----BEGIN CERTIFICATE-----"));
        assert_ne!(one.ca_pem, two.ca_pem);
    }

    #[test]
    fn a_constrained_ca_vouches_for_its_names_and_loopback_alone() {
        let own = ["myregistry.azurecr.io", "192.0.2.7"].map(str::to_owned);
        let names = [
            ("myregistry.azurecr.io", true),
            ("localhost", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("192.0.2.7", true),
            ("other.azurecr.io", false),
            ("example.com", false),
            ("192.0.2.8", false),
        ];
        for constrained in [true, false] {
            let (pem, issuer) = authority(&own, constrained).unwrap();
            let mut roots = RootCertStore::empty();
            let root = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
            roots.add(root).unwrap();
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
                .build()
                .unwrap();
            for (name, is_permitted) in names {
                let leaf = certify(&[name.to_owned()], &issuer).unwrap();
                let name = ServerName::try_from(name).unwrap();
                let verified =
                    verifier.verify_server_cert(&leaf.cert[0], &[], &name, &[], UnixTime::now());
                let expected = is_permitted || !constrained;
                assert_eq!(verified.is_ok(), expected, "{name:?} {constrained}");
            }
        }
    }

    #[test]
    fn the_private_key_shows_in_no_debug_output() {
        let identity = Identity::generate(&["localhost".to_owned()], true).unwrap();
        assert!(!format!("{identity:?}").contains("PRIVATE"));
    }
}
