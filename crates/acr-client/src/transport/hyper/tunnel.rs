//! `CONNECT`: a way through a proxy on which it sees nothing.

use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};

use super::BoxError;
use super::proxy::Proxy;

/// Asks the proxy at the other end of `io` for a connection to the target's host, and gives back `io` when it leads
/// there.
///
/// Not hyper-util's `Tunnel`, whose errors do not say what the proxy responded.
pub(super) async fn tunnel<T>(io: T, proxy: &Proxy, target: &Uri) -> Result<T, ProxyError>
where
    T: Read + Write + Unpin,
{
    let failed = |what| ProxyError::new(proxy, what);
    let broken = |error: BoxError| failed(What::Broken(error));
    let host = target.host().unwrap_or_default();
    let authority = format!("{host}:{}", target.port_u16().unwrap_or(443));
    let mut request = Request::connect(&authority).header(HOST, &authority);
    if let Some(value) = proxy.authorization() {
        request = request.header(PROXY_AUTHORIZATION, value);
    }
    let request = request.body(Empty::<Bytes>::new());
    let request = request.map_err(|error| broken(error.into()))?;

    let (mut sender, mut connection) = http1::Builder::new()
        .max_buf_size(MAX_RESPONSE_SIZE)
        .handshake(io)
        .await
        .map_err(|error| broken(error.into()))?;
    let response = {
        let mut response = pin!(sender.send_request(request));
        let mut over = false;
        poll_fn(|cx| {
            // Whether it went well is told to the one who waits for the response.
            over = over || connection.poll_without_shutdown(cx).is_ready();
            response.as_mut().poll(cx)
        })
        .await
        .map_err(|error| broken(error.into()))?
    };
    if !response.status().is_success() {
        let what = format!("CONNECT {authority}");
        return Err(ProxyError::refused(proxy, &what, response.status()));
    }
    let parts = connection.into_parts();
    if parts.read_buf.is_empty() {
        Ok(parts.io)
    } else {
        // In TLS it is the client who speaks first.
        Err(failed(What::Talked))
    }
}

/// The way through a proxy did not come to be. Says which proxy, without its credentials.
#[derive(Debug)]
pub(super) struct ProxyError {
    pub(super) proxy: String,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Unreachable(BoxError),
    Broken(BoxError),
    Refused { request: String, status: StatusCode },
    Talked,
}

impl ProxyError {
    pub(super) fn unreachable(proxy: &Proxy, source: BoxError) -> Self {
        Self::new(proxy, What::Unreachable(source))
    }

    pub(super) fn refused(proxy: &Proxy, request: &str, status: StatusCode) -> Self {
        let request = request.to_owned();
        Self::new(proxy, What::Refused { request, status })
    }

    fn new(proxy: &Proxy, what: What) -> Self {
        Self {
            proxy: proxy.to_string(),
            what,
        }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxy = &self.proxy;
        match &self.what {
            What::Unreachable(_) => write!(f, "cannot connect to the proxy {proxy}"),
            What::Broken(_) => write!(f, "no response to CONNECT came from the proxy {proxy}"),
            What::Refused { request, status } => {
                write!(f, "the proxy {proxy} responded with {status} to {request}")?;
                match *status {
                    StatusCode::PROXY_AUTHENTICATION_REQUIRED => f.write_str(
                        "; it wants a user name and a password, which its URL has in front of the \
                         host: http://user:password@host:port",
                    ),
                    _ => Ok(()),
                }
            }
            What::Talked => write!(
                f,
                "the proxy {proxy} sent bytes of its own after it had opened the connection"
            ),
        }
    }
}

impl StdError for ProxyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.what {
            What::Unreachable(error) | What::Broken(error) => Some(error.as_ref()),
            What::Refused { .. } | What::Talked => None,
        }
    }
}

/// The most bytes that the head of a proxy's response may have.
const MAX_RESPONSE_SIZE: usize = 16 << 10;
