//! Connections: directly or through a proxy, with TLS where the target wants it, within one timeout.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

use super::BoxError;
use super::rules::ProxyRules;
use super::tunnel::{ProxyError, tunnel};

/// A connector with one timeout around everything: hyper's own covers TCP, not proxies and TLS.
#[derive(Clone)]
pub(super) struct Connector {
    inner: HttpsConnector<Route>,
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(tls: ClientConfig, proxies: ProxyRules, timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let route = Route {
            tcp: tcp.clone(),
            to_proxy: over_tls(tls.clone(), tcp),
            proxies,
        };
        Self {
            inner: over_tls(tls, route),
            timeout,
        }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<Stream>;
    type Error = BoxError;
    type Future = Connecting<Self::Response>;

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

type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Opens the way to a target, on which its TLS is then spoken.
#[derive(Clone)]
struct Route {
    tcp: HttpConnector,
    to_proxy: HttpsConnector<HttpConnector>,
    proxies: ProxyRules,
}

impl Service<Uri> for Route {
    type Response = Stream;
    type Error = BoxError;
    type Future = Connecting<Stream>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self.tcp.poll_ready(cx) {
            Poll::Ready(Ok(())) => self.to_proxy.poll_ready(cx),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let proxy = match self.proxies.of(&target) {
            Ok(proxy) => proxy.cloned(),
            Err(error) => return Box::pin(std::future::ready(Err(error.into()))),
        };
        let Some(proxy) = proxy else {
            let connecting = self.tcp.call(target);
            return Box::pin(async move { Ok(Stream::to_target(connecting.await?.into())) });
        };
        let connecting = self.to_proxy.call(proxy.uri().clone());
        Box::pin(async move {
            let io = connecting
                .await
                .map_err(|error| ProxyError::unreachable(&proxy, error))?;
            if target.scheme() == Some(&Scheme::HTTPS) {
                let io = tunnel(io, &proxy, &target).await?;
                Ok(Stream::to_target(io))
            } else {
                Ok(Stream::to_proxy(io))
            }
        })
    }
}

/// A connection to a target or a proxy, before the target's TLS.
pub(super) struct Stream {
    io: MaybeHttpsStream<TokioIo<TcpStream>>,
    /// Whether a proxy reads the requests, which then have the absolute form.
    ///
    /// That is so for plain http only. A tunnel would do there too, but proxies commonly open one to port 443 alone.
    read_by_proxy: bool,
}

impl Stream {
    const fn to_target(io: MaybeHttpsStream<TokioIo<TcpStream>>) -> Self {
        Self {
            io,
            read_by_proxy: false,
        }
    }

    const fn to_proxy(io: MaybeHttpsStream<TokioIo<TcpStream>>) -> Self {
        Self {
            io,
            read_by_proxy: true,
        }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.io.connected().proxy(self.read_by_proxy)
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}

fn over_tls<T>(tls: ClientConfig, connector: T) -> HttpsConnector<T> {
    HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector)
}
