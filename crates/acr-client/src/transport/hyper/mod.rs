//! The transport that the client uses by default.

mod builder;
mod cause;
mod connect;
mod proxy;
mod rules;
mod tls;
mod tunnel;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::header::PROXY_AUTHORIZATION;
use http::uri::Scheme;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;

pub use self::builder::{HyperTransportBuilder, HyperTransportError};
use self::connect::Connector;
pub use self::proxy::InvalidProxy;
use self::proxy::Proxy;
use self::rules::{InvalidVariable, ProxyRules};
pub use self::tls::RootCertificateError;
use self::tunnel::ProxyError;
use super::{Body, Transport, TransportError, TransportErrorKind};

type BoxError = Box<dyn StdError + Send + Sync>;

/// The default transport: hyper with a connection pool, and TLS by rustls with ring.
///
/// It speaks HTTP/1.1 and needs a tokio runtime. The root certificates are those of the platform,
/// or those that the variables `SSL_CERT_FILE` and `SSL_CERT_DIR` name instead, plus the ones given
/// to the builder. Clones share one pool. Plain `http` is possible at this level; the client
/// refuses to send credentials over it.
///
/// # Proxies
///
/// Requests go through the proxy that the environment names, unless the
/// [builder](HyperTransportBuilder) says otherwise:
///
/// | variable, or the same in lower case | meaning |
/// |---|---|
/// | `HTTPS_PROXY` | the proxy for `https`, such as `http://user:password@proxy:8080` |
/// | `HTTP_PROXY` | the proxy for plain `http` |
/// | `ALL_PROXY` | the proxy for whichever of the two has none of its own |
/// | `NO_PROXY` | hosts that are reached directly, see [`no_proxy`](HyperTransportBuilder::no_proxy) |
///
/// They are read once, by [`build`](HyperTransportBuilder::build). None is read where
/// `REQUEST_METHOD` is set, because in a CGI program whoever sends a request can set `HTTP_PROXY`.
/// `localhost` and loopback addresses are never reached through a proxy of the environment.
///
/// A proxy is spoken to by `http` or, with the same root certificates, by `https`. Where the target
/// is `https` it is asked for a connection (`CONNECT`) and sees the target's host and port, nothing
/// else. Requests to a plain `http` target it reads, and so what credentials they have. The proxy's
/// own user name and password go to the proxy alone. A variable with a value that is of no use is
/// no reason to go around the proxy: each request that is meant for it ends with
/// [`TransportErrorKind::Refused`], and so does one that the proxy refuses, unless its status says that
/// it may not do so for long (408, 429 and 5xx), which is [`TransportErrorKind::Connect`]. The client's
/// builder finds a variable of no use that is on the way to the endpoint.
#[derive(Clone)]
pub struct HyperTransport {
    client: Client<Connector, Body>,
    proxies: ProxyRules,
    /// Why no server could be trusted, if there are no root certificates at all.
    no_roots: Option<Arc<str>>,
}

impl HyperTransport {
    /// Starts building a transport.
    #[must_use]
    pub fn builder() -> HyperTransportBuilder {
        HyperTransportBuilder::default()
    }

    /// Checks whether the variables say how a URL is reached.
    pub(crate) fn check(&self, uri: &Uri) -> Result<(), InvalidVariable> {
        self.proxies.of(uri).map(|_| ())
    }

    /// The proxy that will read requests to this URL, not only pass its connection on.
    fn read_by(&self, uri: &Uri) -> Option<Proxy> {
        if uri.scheme() != Some(&Scheme::HTTP) {
            return None;
        }
        // A proxy that is of no use is found out by the connector, too.
        self.proxies.of(uri).ok().flatten().cloned()
    }
}

impl fmt::Debug for HyperTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperTransport")
            .field("proxies", &self.proxies)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for HyperTransport {
    async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let reader = self.read_by(request.uri());
        if let Some(reason) = &self.no_roots
            && (request.uri().scheme() == Some(&Scheme::HTTPS)
                || reader.as_ref().is_some_and(Proxy::is_https))
        {
            let (kind, text) = (TransportErrorKind::Untrusted, reason.to_string());
            return Err(TransportError::told(kind, text.clone(), text));
        }
        if let Some(value) = reader.as_ref().and_then(Proxy::authorization) {
            request
                .headers_mut()
                .insert(PROXY_AUTHORIZATION, value.clone());
        }
        let place = cause::place(request.uri());
        match self.client.request(request).await {
            Ok(response) => match reader {
                // No other response shows whether it is the proxy's or the target's.
                Some(proxy) if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                    let error = ProxyError::refused(&proxy, "a request", response.status());
                    Err(cause::told(error, true, ""))
                }
                _ => Ok(response
                    .map(|body| Body::new(body.map_err(|error| cause::told(error, false, ""))))),
            },
            Err(error) => {
                let is_connect = error.is_connect();
                Err(cause::told(error, is_connect, &place))
            }
        }
    }
}

#[cfg(test)]
mod tests;
