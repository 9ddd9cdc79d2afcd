//! One connection: TLS if there is any, then HTTP/1.1 until either side has enough.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{CONNECTION, HOST};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::local::Local;
use super::names::{HostError, Names};
use super::proxy::{self, Tunnel};
use super::request_body::RequestBody;
use super::timeouts::{Activity, Kept, Timed, Timeouts, UnderWay};
use super::{ServerEvent, reserved};
use crate::request_body::{self, erase};
use crate::service::Begun;
use crate::{Body, ClientAddress, ConnectionReset, Origin, Registry};

/// What serves requests.
pub(super) enum Handler {
    Registry(Registry),
    /// The authority of the registry's fake Entra ID.
    Authority(Registry),
    /// Whatever a test of the server wants.
    #[cfg(test)]
    Other(OtherHandler),
}

#[cfg(test)]
pub(super) type OtherHandler =
    Box<dyn Fn(Request<RequestBody>) -> BoxFuture<Handled> + Send + Sync>;

#[cfg(test)]
pub(super) type BoxFuture<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;

/// A response, or none: the connection is closed.
pub(super) type Handled = Result<Response<Body>, ConnectionReset>;

/// Hears of events; told on the server's thread.
pub(super) type Listener = Arc<dyn Fn(&ServerEvent<'_>) + Send + Sync>;

/// What is served at a port.
pub(super) enum Purpose {
    /// One of the origins that clients know by a name.
    Origin(Names, Handler),
    /// The local port, which has rules of its own for who may come.
    Local(Local<Service>),
}

/// What all connections of a port share.
pub(super) struct Service {
    pub(super) purpose: Purpose,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) ca_pem: Option<String>,
    pub(super) listener: Option<Listener>,
    pub(super) timeouts: Timeouts,
}

/// Bounds of a request's head. A token may hold a hundred scopes and stays well below this.
const MAX_HEAD_BYTES: usize = 128 * 1024;
const MAX_HEADERS: usize = 128;

/// How much of a response the system is asked to hold, in bytes. It says that there is room again when a good part of it has
/// gone out, and by itself it takes several MiB: a client that reads 20 kB a second would seem to take no byte for a minute.
const SEND_BUFFER: usize = 128 * 1024;

const UNKNOWN_HOST: &str = "this server is not known by that name, which over plain http anybody may have pointed at \
    it: come by localhost or an IP address, give it the name with --host NAME (in Rust: AcrMockBuilder::host), or \
    speak https\n";

const ANOTHER_HOST: &str =
    "the connection was opened to another host than the request names: open one for each\n";

/// Serves a connection until it ends, or until a while after `closing` turns true: idle connections close at once,
/// a request in progress is served first.
pub(super) async fn serve(
    service: Arc<Service>,
    stream: TcpStream,
    peer: SocketAddr,
    closing: watch::Receiver<bool>,
) {
    tune(&stream);
    let own = stream.local_addr().map_or(peer.ip(), |own| own.ip());
    let ends = Ends { peer, own };
    let Some(tls) = service.tls.clone() else {
        let tunnel = serve_http(&service, stream, ends, closing.clone()).await;
        let opened = match tunnel {
            Some(tunnel) => tunnel.open().await,
            None => None,
        };
        if let Some((service, stream)) = opened
            && let Some(tls) = &service.tls
        {
            serve_tls(&service, tls.accept(stream), ends, closing).await;
        }
        return;
    };
    serve_tls(&service, accept(&tls, stream), ends, closing).await;
}

/// Serves a connection from the TLS handshake on.
pub(super) async fn serve_tls<S>(
    service: &Arc<Service>,
    handshake: impl Future<Output = io::Result<TlsStream<S>>>,
    ends: Ends,
    mut closing: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = ends.peer;
    let accepted = tokio::select! {
        accepted = tokio::time::timeout(service.timeouts.head, handshake) => accepted,
        _ = closing.wait_for(|closing| *closing) => return,
    };
    match accepted {
        // Inside of TLS nothing is tunnelled.
        Ok(Ok(stream)) => drop(serve_http(service, stream, ends, closing).await),
        // Came and went without a word, as a probe for an open port does.
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        Ok(Err(error)) => service.tell(&ServerEvent::HandshakeFailed {
            peer,
            error: &error,
        }),
        Err(error) => service.tell(&ServerEvent::HandshakeFailed {
            peer,
            error: &error,
        }),
    }
}

fn tune(stream: &TcpStream) {
    // Small responses go out at once; without it, delayed acknowledgements cost 40 ms each.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_send_buffer_size(SEND_BUFFER);
}

async fn accept(tls: &TlsAcceptor, mut stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [0_u8];
    // The first byte of a TLS connection is 22; that of an HTTP request is a letter.
    if stream.peek(&mut first).await? == 1 && first[0].is_ascii_alphabetic() {
        stream.write_all(HTTP_ON_TLS_PORT.as_bytes()).await?;
        stream.shutdown().await?;
        // Closed with its request unread, the connection would be reset, and the response lost.
        tokio::io::copy(
            &mut stream.take(MAX_HEAD_BYTES as u64),
            &mut tokio::io::sink(),
        )
        .await?;
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the client spoke plain http to an https port",
        ));
    }
    tls.accept(stream).await
}

const HTTP_ON_TLS_PORT: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 63\r\nConnection: close\r\n\r\n\
    this port speaks https: use https://, or start with plain http\n";

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) peer: SocketAddr,
    /// The address of this machine that it came to.
    pub(super) own: IpAddr,
}

/// Serves requests. There is a tunnel where the last of them asked for one.
pub(super) async fn serve_http<S>(
    service: &Arc<Service>,
    stream: S,
    ends: Ends,
    mut closing: watch::Receiver<bool>,
) -> Option<Tunnel<Service>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let client = Arc::new(Client {
        service: service.clone(),
        address: ClientAddress(ends.peer.ip()),
        own: ends.own,
        known: Mutex::default(),
        tunnel: Mutex::default(),
    });
    let tunnel = client.clone();
    let activity = Arc::new(Activity::default());
    let stream = Timed::new(stream, service.timeouts, activity.clone());
    let connection = http1::Builder::new()
        // The stream itself watches over the time.
        .header_read_timeout(None)
        .max_header_size(MAX_HEAD_BYTES)
        // What of a body is kept as it came keeps such a buffer alive.
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        // A client may close its side once it has sent its request, as `nc` does.
        .half_close(true)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| client.clone().response(request, activity.begin())),
        )
        .with_upgrades();
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => Some(result),
        _ = closing.wait_for(|closing| *closing) => None,
    };
    let result = match result {
        Some(result) => result,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        service.tell(&ServerEvent::ConnectionFailed {
            peer: ends.peer,
            error: &error,
        });
    }
    let mut tunnel = tunnel.tunnel.lock().unwrap_or_else(PoisonError::into_inner);
    tunnel.take()
}

/// Who is at the other end of a connection.
struct Client {
    service: Arc<Service>,
    address: ClientAddress,
    /// The address that it came to.
    own: IpAddr,
    /// The `Host` of the last request and what it means: mostly that of the next one too.
    known: Mutex<Option<(HeaderValue, Origin)>>,
    /// What the connection becomes behind this response.
    tunnel: Mutex<Option<Tunnel<Service>>>,
}

impl Client {
    /// The origins as the sender of this request sees them.
    fn origin(&self, names: &Names, request: &Request<Incoming>) -> Result<Origin, HostError> {
        let mut hosts = request.headers().get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next(), request.uri().authority()) {
            (Some(host), None, None) => Some(host),
            _ => None,
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((name, origin)) if Some(name) == host => return Ok(origin.clone()),
            _ => {}
        }
        let (uri, version) = (request.uri(), request.version());
        let origin = names.origin(uri, version, request.headers())?;
        if let Some(host) = host {
            // A copy: the value would keep the buffer of the whole head.
            let host = HeaderValue::from_bytes(host.as_bytes());
            *known = host.ok().zip(Some(origin.clone()));
        }
        Ok(origin)
    }

    /// The response to a request for a tunnel.
    fn connected(&self, local: &Local<Service>, mut request: Request<Incoming>) -> Response<Body> {
        let Some(proxy) = &local.proxy else {
            return proxy::no_proxy(request.uri());
        };
        match proxy.service(request.uri()) {
            Ok(service) => {
                let upgrade = hyper::upgrade::on(&mut request);
                let mut tunnel = self.tunnel.lock().unwrap_or_else(PoisonError::into_inner);
                *tunnel = Some(Tunnel { service, upgrade });
                Response::new(Body::empty())
            }
            Err(refusal) => *refusal,
        }
    }

    /// The response of what is served at this port.
    async fn routed(&self, request: Request<Incoming>, in_progress: &UnderWay) -> Handled {
        let service = &self.service;
        let (names, handler) = match &service.purpose {
            Purpose::Origin(names, handler) => (names, handler),
            Purpose::Local(local) if request.method() == Method::CONNECT => {
                return Ok(self.connected(local, request));
            }
            Purpose::Local(local) => return Ok(local.response(&request.into_parts().0, self.own)),
        };
        let path = request.uri().path();
        Ok(match self.origin(names, &request) {
            Ok(_) if path.starts_with(reserved::PREFIX) => {
                reserved::response(request.method(), path, service.ca_pem.as_deref())
            }
            Ok(origin) => {
                let (parts, body) = request.into_parts();
                let timeout = service.timeouts.body;
                let body = RequestBody::new(&parts.headers, body, in_progress, timeout);
                let came = (origin, self.address);
                handler.response(parts, body, came).await?
            }
            Err(HostError::Malformed) => {
                reserved::plain(StatusCode::BAD_REQUEST, "the request names no valid host\n")
            }
            Err(HostError::Another) => {
                reserved::plain(StatusCode::MISDIRECTED_REQUEST, ANOTHER_HOST)
            }
            Err(HostError::Unknown) => {
                reserved::plain(StatusCode::MISDIRECTED_REQUEST, UNKNOWN_HOST)
            }
        })
    }

    async fn response(
        self: Arc<Self>,
        request: Request<Incoming>,
        in_progress: UnderWay,
    ) -> Result<Response<Kept<Body>>, ConnectionReset> {
        let service = &self.service;
        let method = request.method().clone();
        let uri = request.uri().clone();
        // A tunnel has a host in its place.
        let path = uri.authority().filter(|_| method == Method::CONNECT);
        let path = path.map_or(uri.path(), Authority::as_str);
        let version = request.version();
        let closes = asks_to_close(request.headers());
        let response = self.routed(request, &in_progress).await?;
        let mut response = match in_progress.fell_silent() {
            // Whatever was made of it was made of half a body.
            true => reserved::plain(StatusCode::REQUEST_TIMEOUT, "the body fell silent\n"),
            false => response,
        };
        // The service says so in every response of a connection that stays open.
        if in_progress.fell_silent() {
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        } else if !closes && version == Version::HTTP_11 && method != Method::CONNECT {
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        }
        service.tell(&ServerEvent::Request {
            method: &method,
            path,
            status: response.status(),
        });
        Ok(response.map(|body| Kept::new(body, in_progress)))
    }
}

impl Handler {
    async fn response(
        &self,
        head: request::Parts,
        body: RequestBody,
        came: (Origin, ClientAddress),
    ) -> Handled {
        match self {
            Self::Registry(registry) => match registry.begin(head, Some(came)) {
                Begun::Done(response) => Ok(response),
                // In a box, so that a connection needs room for it only while it lasts.
                Begun::Waiting(waiting) => {
                    Box::pin(registry.clone().finish(*waiting, erase(body))).await
                }
            },
            Self::Authority(registry) => {
                let limit = registry.settings().limits.body;
                let body = request_body::read(erase(body), limit, None).await.ok();
                let base = came.0.base_url();
                Ok(registry.entra().authority(&head, body.as_ref(), &base))
            }
            #[cfg(test)]
            Self::Other(handler) => {
                let mut request = Request::from_parts(head, body);
                request.extensions_mut().insert(came.0);
                request.extensions_mut().insert(came.1);
                handler(request).await
            }
        }
    }
}

impl Service {
    fn tell(&self, event: &ServerEvent<'_>) {
        if let Some(listener) = &self.listener {
            listener(event);
        }
    }
}

/// Whether the client wants the connection to end with this response.
fn asks_to_close(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONNECTION).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|word| word.trim().eq_ignore_ascii_case("close"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_system_holds_so_little_of_a_response_that_a_slow_reader_is_seen_to_read() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        let _context = runtime.enter();
        let stream = TcpStream::from_std(stream).unwrap();
        tune(&stream);
        // Linux takes twice what it is asked for, to have room for its own records.
        let held = SockRef::from(&stream).send_buffer_size().unwrap();
        assert!(held <= 2 * SEND_BUFFER, "{held}");
    }
}
