//! The transport that the client uses by default.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use http::uri::Scheme;
use http::{Request, Response, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tower_service::Service;

use super::{Body, Transport, TransportError, TransportErrorKind};

type BoxError = Box<dyn StdError + Send + Sync>;

/// The default transport: hyper with a connection pool, and TLS by rustls with ring.
///
/// It speaks HTTP/1.1 and needs a tokio runtime. The root certificates are those of the platform,
/// or those that the variables `SSL_CERT_FILE` and `SSL_CERT_DIR` name instead, plus the ones given
/// to the builder. Clones share one pool. Plain `http` is possible at this level; the client
/// refuses to send credentials over it.
#[derive(Clone)]
pub struct HyperTransport {
    client: Client<TimedConnector, Body>,
    /// Why no server could be trusted, if there are no root certificates at all.
    no_roots: Option<Arc<str>>,
}

impl HyperTransport {
    /// Starts building a transport.
    #[must_use]
    pub fn builder() -> HyperTransportBuilder {
        HyperTransportBuilder::default()
    }
}

impl fmt::Debug for HyperTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperTransport").finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for HyperTransport {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        if let Some(reason) = &self.no_roots
            && request.uri().scheme() == Some(&Scheme::HTTPS)
        {
            return Err(TransportError::new(
                TransportErrorKind::Connect,
                reason.to_string(),
            ));
        }
        match self.client.request(request).await {
            Ok(response) => Ok(response.map(|body| Body::new(Classified(body)))),
            Err(error) => {
                let kind = if error.is_connect() {
                    TransportErrorKind::Connect
                } else {
                    classify(&error)
                };
                Err(TransportError::new(kind, error))
            }
        }
    }
}

/// Settings for a [`HyperTransport`].
#[derive(Clone)]
pub struct HyperTransportBuilder {
    connect_timeout: Duration,
    idle_timeout: Duration,
    pem: Vec<Vec<u8>>,
    platform_roots: bool,
}

impl HyperTransportBuilder {
    /// Sets how long a connection may take, from the start of the name resolution to the end of
    /// the TLS handshake. The default is 10 seconds.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long an unused connection stays open. The default is 90 seconds.
    #[must_use]
    pub const fn pool_idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Trusts the root certificates in `pem` in addition to the others.
    ///
    /// `pem` is the content of a PEM file with one or more certificates. Whether it can be read
    /// shows in [`build`](Self::build). May be called more than once.
    #[must_use]
    pub fn root_certificate_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.pem.push(pem.into());
        self
    }

    /// Sets whether the platform's root certificates are trusted. The default is `true`; with
    /// `false` only those given by [`root_certificate_pem`](Self::root_certificate_pem) are.
    #[must_use]
    pub const fn platform_roots(mut self, trusted: bool) -> Self {
        self.platform_roots = trusted;
        self
    }

    /// Builds the transport. Opens no connection, but reads the platform's certificates.
    ///
    /// A platform whose certificates cannot be read is no error here, because the certificates
    /// given by [`root_certificate_pem`](Self::root_certificate_pem) may be all that is needed, and
    /// plain `http` needs none. If there is none at all, each call over `https` fails and says so.
    ///
    /// # Errors
    ///
    /// When a given PEM text holds no certificate, or one that cannot be read.
    pub fn build(self) -> Result<HyperTransport, RootCertificateError> {
        let mut roots = RootCertStore::empty();
        for (index, pem) in self.pem.iter().enumerate() {
            add_pem(&mut roots, pem).map_err(|reason| RootCertificateError { index, reason })?;
        }
        let mut load_errors = Vec::new();
        if self.platform_roots {
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

        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = TimedConnector {
            inner: hyper_rustls::HttpsConnectorBuilder::new()
                .with_tls_config(tls)
                .https_or_http()
                .enable_http1()
                .wrap_connector(tcp),
            timeout: self.connect_timeout,
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(self.idle_timeout)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(HyperTransport { client, no_roots })
    }
}

impl Default for HyperTransportBuilder {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(90),
            pem: Vec::new(),
            platform_roots: true,
        }
    }
}

impl fmt::Debug for HyperTransportBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperTransportBuilder")
            .field("connect_timeout", &self.connect_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("root_certificate_pem", &self.pem.len())
            .field("platform_roots", &self.platform_roots)
            .finish()
    }
}

/// A root certificate given to [`HyperTransportBuilder::root_certificate_pem`] is of no use.
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
         ca-certificates), name a file in SSL_CERT_FILE, or give one to root_certificate_pem",
    );
    for error in load_errors {
        text.push_str("; ");
        text.push_str(&error.to_string());
    }
    text.into()
}

/// Tells by the chain of sources whether the server was silent or the connection broke.
fn classify(error: &(dyn StdError + 'static)) -> TransportErrorKind {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<TransportError>() {
            return error.kind();
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            if error.is_timeout() {
                return TransportErrorKind::Timeout;
            }
            if error.is_incomplete_message()
                || error.is_canceled()
                || error.is_closed()
                || error.is_body_write_aborted()
            {
                return TransportErrorKind::Interrupted;
            }
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return match error.kind() {
                io::ErrorKind::TimedOut => TransportErrorKind::Timeout,
                _ => TransportErrorKind::Interrupted,
            };
        }
        cause = error.source();
    }
    TransportErrorKind::Other
}

/// A response body whose errors say whether the connection broke.
struct Classified(hyper::body::Incoming);

impl http_body::Body for Classified {
    type Data = bytes::Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, TransportError>>> {
        Pin::new(&mut self.0).poll_frame(cx).map(|frame| {
            frame.map(|frame| frame.map_err(|error| TransportError::new(classify(&error), error)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.size_hint()
    }
}

/// A connector with one timeout around everything: hyper's own covers TCP, not the TLS handshake.
#[derive(Clone)]
struct TimedConnector {
    inner: HttpsConnector<HttpConnector>,
    timeout: Duration,
}

impl Service<Uri> for TimedConnector {
    type Response = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let timeout = self.timeout;
        let connecting = self.inner.call(uri);
        Box::pin(async move {
            match tokio::time::timeout(timeout, connecting).await {
                Ok(result) => result,
                Err(_) => Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("connecting took longer than {timeout:?}"),
                )
                .into()),
            }
        })
    }
}

#[cfg(test)]
mod tests;
