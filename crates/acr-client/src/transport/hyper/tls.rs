use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// A root certificate given to
/// [`root_certificate_pem`](super::HyperTransportBuilder::root_certificate_pem) is of no use.
#[derive(Debug)]
pub struct RootCertificateError {
    index: usize,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    Empty,
    Pem(rustls_pki_types::pem::Error),
    Tls(rustls::Error),
}

impl RootCertificateError {
    /// Returns which of the given PEM texts it is, counted from 0.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }
}

impl fmt::Display for RootCertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "root certificate PEM number {}: ", self.index + 1)?;
        f.write_str(match self.reason {
            Reason::Empty => {
                "no certificate in it; expected a text with -----BEGIN CERTIFICATE-----"
            }
            Reason::Pem(_) => "not readable as PEM",
            Reason::Tls(_) => "not usable as a root certificate",
        })
    }
}

impl StdError for RootCertificateError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.reason {
            Reason::Empty => None,
            Reason::Pem(error) => Some(error),
            Reason::Tls(error) => Some(error),
        }
    }
}

/// TLS that trusts the given certificates and, if asked to, the platform's; beside it why no server
/// can be trusted, if there is no certificate at all.
pub(super) fn configure(
    pem: &[Vec<u8>],
    platform_roots: bool,
) -> Result<(ClientConfig, Option<Arc<str>>), RootCertificateError> {
    let mut roots = RootCertStore::empty();
    for (index, pem) in pem.iter().enumerate() {
        add_pem(&mut roots, pem).map_err(|reason| RootCertificateError { index, reason })?;
    }
    let mut load_errors = Vec::new();
    if platform_roots {
        let loaded = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(loaded.certs);
        load_errors = loaded.errors;
    }
    let no_roots = roots.is_empty().then(|| no_roots_text(&load_errors));

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| RootCertificateError {
            index: 0,
            reason: Reason::Tls(error),
        })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((tls, no_roots))
}

fn add_pem(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), Reason> {
    let mut count = 0_usize;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots
            .add(certificate.map_err(Reason::Pem)?)
            .map_err(Reason::Tls)?;
        count += 1;
    }
    if count == 0 {
        return Err(Reason::Empty);
    }
    Ok(())
}

fn no_roots_text(load_errors: &[rustls_native_certs::Error]) -> Arc<str> {
    let mut text = String::from(
        "no root certificates to trust a server by: install the platform's (package \
         ca-certificates), name a file in SSL_CERT_FILE, or give one to \
         HyperTransportBuilder::root_certificate_pem",
    );
    for error in load_errors {
        text.push_str("; ");
        text.push_str(&error.to_string());
    }
    text.into()
}
