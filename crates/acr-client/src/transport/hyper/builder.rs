use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::HyperTransport;
use super::connect::Connector;
use super::proxy::{InvalidProxy, Proxy};
use super::rules::{ProxyRules, variable};
use super::tls::{self, RootCertificateError};

/// Settings for a [`HyperTransport`].
#[derive(Clone)]
pub struct HyperTransportBuilder {
    connect_timeout: Duration,
    idle_timeout: Duration,
    pem: Vec<Vec<u8>>,
    platform_roots: bool,
    proxy: Option<Result<Proxy, InvalidProxy>>,
    no_proxy: Option<String>,
    proxy_from_env: bool,
}

impl HyperTransportBuilder {
    /// Sets how long a connection may take, from the start of the name resolution to the end of
    /// the TLS handshake, with all that a proxy adds. The default is 10 seconds.
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

    /// Sends all requests through a proxy, such as `http://user:password@proxy:8080`.
    ///
    /// It takes the place of all proxy variables of the environment, also of `NO_PROXY`, and
    /// reaches this machine's own addresses by the proxy, too. Its scheme is `http` or `https`;
    /// what has a meaning in URLs is percent-encoded in user name and password. Whether the URL is
    /// of use shows in [`build`](Self::build).
    #[must_use]
    pub fn proxy(mut self, url: impl AsRef<str>) -> Self {
        self.proxy = Some(Proxy::parse(url.as_ref()));
        self
    }

    /// Names the hosts that are reached without a proxy, as a list with commas: `example.com` with
    /// all names below it, addresses, networks such as `10.0.0.0/8`, or `*` for all.
    ///
    /// It takes the place of the variable `NO_PROXY`.
    #[must_use]
    pub fn no_proxy(mut self, hosts: impl Into<String>) -> Self {
        self.no_proxy = Some(hosts.into());
        self
    }

    /// Sets whether the environment may name proxies; [`HyperTransport`] lists the variables. The
    /// default is `true`.
    #[must_use]
    pub const fn proxy_from_env(mut self, read: bool) -> Self {
        self.proxy_from_env = read;
        self
    }

    /// Builds the transport. Opens no connection, but reads the platform's certificates.
    ///
    /// A platform whose certificates cannot be read is not an error here, because the certificates
    /// given by [`root_certificate_pem`](Self::root_certificate_pem) may be all that is needed, and
    /// plain `http` needs none. If there is none at all, each call over `https` fails and says so.
    ///
    /// # Errors
    ///
    /// When a given PEM text holds no certificate, or one that cannot be read, and when the URL
    /// given to [`proxy`](Self::proxy) is of no use.
    pub fn build(self) -> Result<HyperTransport, HyperTransportError> {
        self.build_with(variable)
    }

    /// Builds with the environment that a function shows.
    pub(super) fn build_with(
        self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<HyperTransport, HyperTransportError> {
        let no_proxy = self.no_proxy.as_deref();
        let proxies = match self.proxy {
            Some(proxy) => ProxyRules::all(proxy?, no_proxy.unwrap_or_default()),
            None if self.proxy_from_env => ProxyRules::from_lookup(variable, no_proxy),
            None => ProxyRules::none(),
        };
        let (tls, no_roots) = tls::configure(&self.pem, self.platform_roots)?;
        let connector = Connector::new(tls, proxies.clone(), self.connect_timeout);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(self.idle_timeout)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(HyperTransport {
            client,
            proxies,
            no_roots,
        })
    }
}

impl Default for HyperTransportBuilder {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(90),
            pem: Vec::new(),
            platform_roots: true,
            proxy: None,
            no_proxy: None,
            proxy_from_env: true,
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
            .field("proxy", &self.proxy)
            .field("no_proxy", &self.no_proxy)
            .field("proxy_from_env", &self.proxy_from_env)
            .finish()
    }
}

/// Why a [`HyperTransport`] cannot be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum HyperTransportError {
    /// A root certificate is of no use.
    RootCertificate(RootCertificateError),
    /// The proxy's URL is of no use.
    Proxy(InvalidProxy),
}

impl fmt::Display for HyperTransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RootCertificate(error) => error.fmt(f),
            Self::Proxy(error) => error.fmt(f),
        }
    }
}

impl StdError for HyperTransportError {
    /// The inner error speaks for itself in the text, so it is its cause that follows.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::RootCertificate(error) => error.source(),
            Self::Proxy(error) => error.source(),
        }
    }
}

impl From<RootCertificateError> for HyperTransportError {
    fn from(error: RootCertificateError) -> Self {
        Self::RootCertificate(error)
    }
}

impl From<InvalidProxy> for HyperTransportError {
    fn from(error: InvalidProxy) -> Self {
        Self::Proxy(error)
    }
}
