//! Files that make clients trust the mock beside whom they trust anyway.

use std::collections::BTreeSet;
use std::fmt::Write as _;
#[cfg(feature = "cli")]
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// The certificates of those whom clients of this machine trust.
#[derive(Debug, Default)]
pub(super) struct Roots(BTreeSet<Vec<u8>>);

impl Roots {
    /// Those of the system, by its own variables too, so that what another program has added stays.
    ///
    /// What cannot be read is left out: a system without roots trusts the mock alone.
    pub(super) fn of_system() -> Self {
        let found = rustls_native_certs::load_native_certs().certs;
        Self(found.into_iter().map(|one| one.to_vec()).collect())
    }

    /// Adds those of a PEM file, if there is one.
    pub(super) fn add_file(&mut self, path: &Path) {
        if let Ok(pem) = std::fs::read(path) {
            self.add(&pem);
        }
    }

    /// Adds those of a PEM text.
    pub(super) fn add(&mut self, pem: &[u8]) {
        let found = CertificateDer::pem_slice_iter(pem).flatten();
        self.0.extend(found.map(|one| one.to_vec()));
    }

    /// One PEM text.
    pub(super) fn pem(&self) -> String {
        let mut text = String::new();
        for der in &self.0 {
            text.push_str("-----BEGIN CERTIFICATE-----\n");
            let base64 = STANDARD.encode(der);
            for line in base64.as_bytes().chunks(64) {
                // Base64 is ASCII, and a text takes whatever is written to it.
                let _ = writeln!(text, "{}", String::from_utf8_lossy(line));
            }
            text.push_str("-----END CERTIFICATE-----\n");
        }
        text
    }

    /// A PKCS#12 store for Java, whose entries it takes for trusted ones, under this password.
    #[cfg(feature = "cli")]
    pub(super) fn java_store(&self, password: &str) -> io::Result<Vec<u8>> {
        use p12_keystore::{Certificate, KeyStore, KeyStoreEntry};
        let mut store = KeyStore::new();
        for (number, der) in self.0.iter().enumerate() {
            // One of the system that this crate cannot read is no reason to trust nobody.
            if let Ok(certificate) = Certificate::from_der(der) {
                store.add_entry(
                    &format!("root-{number}"),
                    KeyStoreEntry::Certificate(certificate),
                );
            }
        }
        // A secret would be none: it only has to be there. The few iterations are for the start's sake.
        let writer = store
            .writer(password)
            .encryption_iterations(1)
            .mac_iterations(1);
        writer.write().map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Identity;

    #[test]
    fn a_bundle_has_each_root_once() {
        let names = ["localhost".to_owned()];
        let [one, two] = [(), ()].map(|()| Identity::generate(&names, false).unwrap().ca_pem);
        let mut roots = Roots::default();
        for pem in [&one, &two, &one] {
            roots.add(pem.as_bytes());
        }
        roots.add(b"no certificate");
        let pem = roots.pem();
        assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), 2);
        let mut again = Roots::default();
        again.add(pem.as_bytes());
        assert_eq!(again.0, roots.0);
    }
}
