//! The proxy of the local port: `CONNECT` for a closed list of production names.
//!
//! It leads nowhere. Of a name that is on the list TLS is ended in this process, and the mock responds; for any other name
//! there is a refusal. No connection is opened, so that nothing that a test sends leaves the machine.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use http::uri::Authority;
use http::{Response, StatusCode, Uri};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;

use super::reserved;
use super::timeouts::Timed;
use crate::Body;

/// The names that are served, each with what serves it.
pub(super) struct Proxy<S> {
    served: BTreeMap<String, Arc<S>>,
}

impl<S> Proxy<S> {
    pub(super) fn new(served: BTreeMap<String, Arc<S>>) -> Self {
        Self { served }
    }

    /// What serves the target of a `CONNECT`, or the refusal.
    pub(super) fn service(&self, target: &Uri) -> Result<Arc<S>, Box<Response<Body>>> {
        let Some((host, port)) = host_and_port(target) else {
            let text = "CONNECT names a host and a port, such as myregistry.azurecr.io:443\n";
            return Err(Box::new(reserved::plain(StatusCode::BAD_REQUEST, text)));
        };
        let service = self.served.get(&host).filter(|_| port == HTTPS);
        service
            .cloned()
            .ok_or_else(|| Box::new(self.refusal(&format!("{host}:{port}"))))
    }

    /// The refusal of a host that is not served.
    pub(super) fn refusal(&self, host: &str) -> Response<Body> {
        let names: Vec<&str> = self.served.keys().map(String::as_str).collect();
        let text = format!(
            "{host} is not served here and nothing is passed on: the proxy of acr-mock knows the registry of --registry, and \
             with it {}, at port 443\n",
            names.join(", ")
        );
        reserved::plain(StatusCode::FORBIDDEN, text)
    }
}

/// The refusal of a mock that has no production name.
pub(super) fn no_proxy(target: &Uri) -> Response<Body> {
    let host = target.authority().map_or("this host", Authority::as_str);
    let text =
        format!("{host} is not served here: acr-mock is a proxy with --registry NAME alone\n");
    reserved::plain(StatusCode::FORBIDDEN, text)
}

const HTTPS: u16 = 443;

fn host_and_port(target: &Uri) -> Option<(String, u16)> {
    // The form of the target is `host:port` and nothing else.
    if target.scheme().is_some() || target.path_and_query().is_some() {
        return None;
    }
    let authority = target
        .authority()
        .filter(|one| !one.as_str().contains('@'))?;
    let host = authority.host();
    let port = authority.as_str().strip_prefix(host)?.strip_prefix(':')?;
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|_| is_number)?;
    let host = host.strip_suffix('.').unwrap_or(host);
    (!host.is_empty()).then(|| (host.to_ascii_lowercase(), port))
}

/// A connection that is to be handed over once `CONNECT` has its response.
pub(super) struct Tunnel<S> {
    pub(super) service: Arc<S>,
    pub(super) upgrade: OnUpgrade,
}

impl<S: Send + Sync> Tunnel<S> {
    /// What serves it, and what comes through it; `None` where the client left before it had the response.
    pub(super) async fn open(
        self,
    ) -> Option<(Arc<S>, impl AsyncRead + AsyncWrite + Unpin + Send + use<S>)> {
        let upgraded = self.upgrade.await.ok()?;
        // From here on the times of the inner connection hold, not those of the outer one.
        let parts = upgraded.downcast::<TokioIo<Timed<TcpStream>>>().ok()?;
        let (read, write) = parts.io.into_inner().into_inner().into_split();
        // A client may start TLS before it has read the response.
        let read = Cursor::new(parts.read_buf).chain(read);
        Some((self.service, tokio::io::join(read, write)))
    }
}
