use std::any::type_name;
use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tower_service::Service;

use super::{Body, Transport, TransportError, TransportErrorKind};

/// A transport over a `tower_service::Service`, and so over a stack of tower's middleware.
///
/// Each request has a clone of the service to itself; the clone that said it is ready is the one
/// that is called. An error that is a [`TransportError`], or has one among its causes, keeps that
/// one's kind; another one becomes one of the kind [`TransportErrorKind::Interrupted`], of which nobody
/// knows whether the server has seen the request.
///
/// What a [transport must leave alone](super#responsibilities-of-a-transport) its middleware must,
/// too: layers that follow redirects, repeat requests, add credentials or unpack bodies have no
/// place in it.
///
/// With [`TransportService`] at the bottom, layers stand between the client and any other transport.
/// A layer of the crates `tower` and `tower-http` is written in the same way as the one here, or
/// stacked by `ServiceBuilder::new().layer(..).service(TransportService::new(..))`:
///
/// ```
/// use std::task::{Context, Poll};
///
/// use acr_client::transport::{Body, TowerTransport, TransportService, from_fn};
/// use acr_client::{ContainerRegistryClient, clock::VirtualClock};
/// use http::{HeaderValue, Request, Response};
/// use tower_service::Service;
///
/// /// Sends a header with each request.
/// #[derive(Clone)]
/// struct Marked<S>(S);
///
/// impl<S: Service<Request<Body>>> Service<Request<Body>> for Marked<S> {
///     type Response = S::Response;
///     type Error = S::Error;
///     type Future = S::Future;
///
///     fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
///         self.0.poll_ready(cx)
///     }
///
///     fn call(&mut self, mut request: Request<Body>) -> S::Future {
///         request.headers_mut().insert("x-team", HeaderValue::from_static("blue"));
///         self.0.call(request)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let transport = from_fn(|request: Request<Body>| async move {
/// #     assert_eq!(request.headers()["x-team"], "blue");
/// #     Response::new(Body::empty())
/// # });
/// let stack = Marked(TransportService::new(transport));
/// let client = ContainerRegistryClient::builder("https://registry.example")
///     .transport(TowerTransport::new(stack))
/// #   .clock(VirtualClock::new())
///     .build()?;
/// client.ping().await?;
/// # Ok(())
/// # }
/// ```
pub struct TowerTransport<S> {
    /// Cloned for each request. The mutex makes a service do that can be sent but not shared, such
    /// as tower's `BoxCloneService`.
    service: Mutex<S>,
}

impl<S> TowerTransport<S> {
    /// Makes a transport of a service.
    pub const fn new(service: S) -> Self {
        Self {
            service: Mutex::new(service),
        }
    }
}

impl<S: Clone> TowerTransport<S> {
    fn service(&self) -> S {
        let service = self.service.lock();
        service.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<S: Clone> Clone for TowerTransport<S> {
    fn clone(&self) -> Self {
        Self::new(self.service())
    }
}

impl<S> fmt::Debug for TowerTransport<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TowerTransport")
            .field(&type_name::<S>())
            .finish()
    }
}

#[async_trait]
impl<S, B> Transport for TowerTransport<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: HttpBody + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let failed = |error| TransportError::from_boxed(TransportErrorKind::Interrupted, error);
        let mut service = self.service();
        let ready = poll_fn(|cx| service.poll_ready(cx)).await;
        ready.map_err(|error| failed(error.into()))?;
        let response = service.call(request).await;
        let response = response.map_err(|error| failed(error.into()))?;
        Ok(response.map(Body::new))
    }
}

/// A `tower_service::Service` over any transport, for middleware to stand on.
///
/// [`TowerTransport`] has an example. It is always ready; clones share the transport.
#[derive(Debug)]
pub struct TransportService<T: ?Sized>(Arc<T>);

impl<T: Transport> TransportService<T> {
    /// Makes a service of a transport.
    pub fn new(transport: T) -> Self {
        Self(Arc::new(transport))
    }
}

impl<T: ?Sized> Clone for TransportService<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Transport + ?Sized> From<Arc<T>> for TransportService<T> {
    fn from(transport: Arc<T>) -> Self {
        Self(transport)
    }
}

impl<T: Transport + ?Sized> Service<Request<Body>> for TransportService<T> {
    type Response = Response<Body>;
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, TransportError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let transport = self.0.clone();
        Box::pin(async move { transport.send(request).await })
    }
}
