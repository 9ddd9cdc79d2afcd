use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use reqwest::redirect::Policy;

use super::{Body, Transport, TransportError, TransportErrorKind};
use crate::error::decisive;
use crate::error::transport::kind_within;

/// A transport over a client of the crate `reqwest`, with its TLS, its proxies and its settings.
///
/// For programs that have such a client already, or need what it can do, such as another TLS or
/// HTTP/2. It needs a tokio runtime. This crate's feature `reqwest` turns on none of reqwest's TLS
/// features: a program that does not depend on reqwest with one of them reaches plain `http` alone.
/// With default features off there is no default clock either; the example takes the system's.
///
/// ```
/// use std::time::Duration;
///
/// use acr_client::transport::ReqwestTransport;
/// use acr_client::{ContainerRegistryClient, Credential, clock::SystemClock};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let settings = reqwest::Client::builder().connect_timeout(Duration::from_secs(10));
/// let client = ContainerRegistryClient::builder("https://name.azurecr.io")
///     .credential(Credential::password("robot", "its password"))
///     .transport(ReqwestTransport::from_builder(settings)?)
///     .clock(SystemClock)
///     .build()?;
/// # Ok(())
/// # }
/// # example().unwrap();
/// ```
///
/// What cannot heal, such as a certificate that is not trusted, is known by reqwest's words alone; what
/// has others is tried again before the client gives up.
///
/// # What to set
///
/// `connect_timeout` has no default in reqwest and should have a value. `timeout` is for a whole
/// response with its body, and so ends each download that takes longer; acr-client's own
/// [`idle_timeout`](crate::ClientBuilder::idle_timeout) bounds the silence instead. Default headers
/// are sent to every server that a request leads to, also to where the data of blobs is, so a
/// credential must not be among them. By itself reqwest sends `Accept: */*` where the registry's
/// client asks for nothing in particular, and nothing else.
#[derive(Clone)]
pub struct ReqwestTransport {
    client: reqwest::Client,
}

impl ReqwestTransport {
    /// Builds a client that leaves to the registry's client what is done there.
    ///
    /// Whatever the builder says, it follows no redirects, sends no request twice, tells no server
    /// where it was led from (`Referer`), and unpacks no bodies, because a blob's digest is that of
    /// its bytes as they are sent.
    ///
    /// # Errors
    ///
    /// When reqwest cannot build the client, such as for a TLS that cannot be set up.
    pub fn from_builder(builder: reqwest::ClientBuilder) -> Result<Self, reqwest::Error> {
        let client = builder
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .build()?;
        Ok(Self { client })
    }

    /// Takes a client that is at hand, and shares its connections.
    ///
    /// It must have been built with [`Policy::none()`](reqwest::redirect::Policy::none): a client
    /// that follows redirects by itself takes from the registry's client what it has to verify, and
    /// can carry headers to where they do not belong. That cannot be seen beforehand, so it is
    /// checked with each response: one that came by a redirect is an error. A client that repeats
    /// requests by a policy of its own, unpacks bodies or adds credentials cannot be told at all;
    /// [`from_builder`](Self::from_builder) leaves nothing to chance.
    #[must_use]
    pub const fn new(client: reqwest::Client) -> Self {
        Self { client }
    }
}

impl fmt::Debug for ReqwestTransport {
    /// Without the client, whose default headers may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestTransport").finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for ReqwestTransport {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let request = request.map(|body| reqwest::Body::wrap(Unshared(Mutex::new(body))));
        let request = reqwest::Request::try_from(request).map_err(failed)?;
        let url = request.url().clone();
        let response = self.client.execute(request).await.map_err(failed)?;
        if *response.url() != url {
            return Err(TransportError::new(
                TransportErrorKind::Other,
                FOLLOWS_REDIRECTS,
            ));
        }
        let response = Response::<reqwest::Body>::from(response);
        Ok(response.map(|body| Body::new(body.map_err(failed))))
    }
}

/// A body as reqwest asks for it: it wants to share between threads what only one of them reads.
struct Unshared(Mutex<Body>);

impl HttpBody for Unshared {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let body = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        Pin::new(body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body.size_hint()
    }
}

/// Tells the kind of an error, and takes the URL out of it, whose query may be a signature.
fn failed(error: reqwest::Error) -> TransportError {
    let error = error.without_url();
    if error.is_redirect() {
        return TransportError::new(TransportErrorKind::Other, FOLLOWS_REDIRECTS);
    }
    let (kind, text) = classify(&error);
    TransportError::told(kind, text, error)
}

/// The kind of an error, and what to tell. Which TLS it has, and what its proxy responded, reqwest does
/// not show but in words, so what cannot heal is known by them.
fn classify(error: &reqwest::Error) -> (TransportErrorKind, String) {
    let root = decisive(error);
    // First of all what a body of our own has said.
    if let Some(kind) = kind_within(error) {
        return (kind, root);
    }
    let says = |words: &[&str]| words.iter().any(|word| root.contains(word));
    if error.is_connect() {
        if says(UNTRUSTED) {
            let text = format!(
                "the certificate of the server is not trusted ({root}); where it should be, give its \
                 root to the reqwest client"
            );
            return (TransportErrorKind::Untrusted, text);
        }
        if says(REFUSED) {
            let text = format!("the proxy refuses the connection: {root}");
            return (TransportErrorKind::Refused, text);
        }
        let text = format!("cannot connect to the server: {root}");
        return (TransportErrorKind::Connect, text);
    }
    if error.is_timeout() {
        let text = format!("the server was silent for too long: {root}");
        return (TransportErrorKind::Timeout, text);
    }
    if says(UNREADABLE) {
        let text = format!("the response is not HTTP: {root}");
        return (TransportErrorKind::Unreadable, text);
    }
    if error.is_request() || error.is_body() || error.is_decode() {
        let text = format!("the connection broke: {root}");
        return (TransportErrorKind::Interrupted, text);
    }
    let text = format!("the request could not be sent: {root}");
    (TransportErrorKind::Other, text)
}

/// What rustls and openssl say of a certificate, and rustls of a server that speaks no TLS.
const UNTRUSTED: &[&str] = &[
    "invalid peer certificate",
    "certificate verify failed",
    "received corrupt message",
];
/// What hyper-util says of a proxy that wants a login.
const REFUSED: &[&str] = &["proxy authorization required"];
/// What hyper says of a response that is none.
const UNREADABLE: &[&str] = &[
    "invalid HTTP",
    "message head is too large",
    "invalid chunk",
    "Invalid chunk",
];

const FOLLOWS_REDIRECTS: &str = "the reqwest client follows redirects by itself, which the registry's client has to do; \
     build it with redirect(Policy::none()), or with ReqwestTransport::from_builder";
