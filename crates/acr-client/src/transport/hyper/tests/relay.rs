//! A proxy for tests: it leads every name to the same port of this machine, and remembers what it read.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub(super) struct Relay {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Relay {
    /// A proxy that does what it is asked.
    pub(super) async fn start() -> Self {
        Self::opening_with("HTTP/1.1 200 x\r\n\r\n").await
    }

    /// The same with a response to `CONNECT` of its own.
    pub(super) async fn opening_with(response: &'static str) -> Self {
        Self::start_with(Manner::Opening(response), None).await
    }

    /// A proxy that reads the head of a request, responds with these bytes and hangs up.
    pub(super) async fn serving(response: &'static str) -> Self {
        Self::start_with(Manner::Responding(response), None).await
    }

    /// Either of them behind TLS, by a name; beside it the certificate to trust.
    pub(super) async fn over_tls(name: &str, manner: Manner) -> (Self, String) {
        let identity = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![identity.cert.der().clone()], PrivateKeyDer::Pkcs8(key))
            .unwrap();
        let relay = Self::start_with(manner, Some(Arc::new(config))).await;
        (relay, identity.cert.pem())
    }

    async fn start_with(manner: Manner, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = seen.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (notes, tls) = (notes.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(socket, manner, notes).await,
                        Some(tls) => {
                            if let Ok(socket) = TlsAcceptor::from(tls).accept(socket).await {
                                serve(socket, manner, notes).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, seen }
    }

    /// Where it is, as `host:port`.
    pub(super) fn authority(&self) -> String {
        self.address.to_string()
    }

    pub(super) const fn port(&self) -> u16 {
        self.address.port()
    }

    /// All that clients have sent, whether it was for the proxy or for somebody behind it.
    pub(super) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }
}

/// What a request is met with.
#[derive(Clone, Copy)]
pub(super) enum Manner {
    /// This response and no more.
    Responding(&'static str),
    /// What it asks for; where that is a connection, after this response.
    Opening(&'static str),
}

async fn serve<S>(mut client: S, manner: Manner, notes: Arc<Mutex<Vec<u8>>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(head) = read_head(&mut client).await else {
        return;
    };
    notes.lock().unwrap().extend_from_slice(head.as_bytes());
    let opening = match manner {
        Manner::Opening(opening) => opening,
        Manner::Responding(response) => {
            let _ = client.write_all(response.as_bytes()).await;
            let _ = client.shutdown().await;
            return;
        }
    };
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port_of_target(&head)))
        .await
        .unwrap();
    if head.starts_with("CONNECT ") {
        client.write_all(opening.as_bytes()).await.unwrap();
    } else {
        server
            .write_all(for_target(&head).as_bytes())
            .await
            .unwrap();
    }

    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_server, mut to_server) = server.split();
    let up = async {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
            notes.lock().unwrap().extend_from_slice(&buffer[..count]);
            if to_server.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
        let _ = to_server.shutdown().await;
    };
    let down = async {
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
        let _ = to_client.shutdown().await;
    };
    futures_util::future::join(up, down).await;
}

/// The head of a request, or `None` if the client hangs up.
async fn read_head(client: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

fn port_of_target(head: &str) -> u16 {
    let target = head.split(' ').nth(1).unwrap();
    let uri: http::Uri = target.parse().unwrap();
    uri.port_u16().unwrap()
}

/// The head as a proxy sends it on: without what is for the proxy alone.
fn for_target(head: &str) -> String {
    head.split_inclusive("\r\n")
        .filter(|line| !line.to_ascii_lowercase().starts_with("proxy-"))
        .collect()
}
