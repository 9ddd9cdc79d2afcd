use std::cell::Cell;
use std::error::Error as StdError;
use std::future::{Ready, ready};
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use acr_client::transport::{
    Body, TowerTransport, Transport, TransportError, TransportErrorKind, TransportService, from_fn,
};
use acr_client::{ContainerRegistryClient, Credential, Digest};
use acr_mock::{Registry, VirtualClock};
use http::{HeaderValue, Request, Response};
use tower_service::Service;

use crate::seeded;
use crate::transports::text;

/// A layer that is ready at the second time of asking, one clone at a time, and marks each request. It can be sent but
/// not shared.
struct Marked<S> {
    inner: S,
    asked: u32,
    ready: bool,
    calls: Arc<AtomicU32>,
    unshared: PhantomData<Cell<()>>,
}

impl<S> Marked<S> {
    fn new(inner: S) -> Self {
        Self {
            inner,
            asked: 0,
            ready: false,
            calls: Arc::default(),
            unshared: PhantomData,
        }
    }
}

impl<S: Clone> Clone for Marked<S> {
    /// Readiness is not inherited.
    fn clone(&self) -> Self {
        Self {
            calls: self.calls.clone(),
            ..Self::new(self.inner.clone())
        }
    }
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Marked<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.asked += 1;
        if self.asked < 2 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.ready = true;
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> S::Future {
        assert!(self.ready, "called without having said it is ready");
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mark = HeaderValue::from_static("blue");
        request.headers_mut().insert("x-team", mark);
        self.inner.call(request)
    }
}

/// The registry as a service: its responses have a body of the mock's own type.
#[derive(Clone)]
struct Mock(Registry);

impl Service<Request<Body>> for Mock {
    type Response = Response<acr_mock::Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let response = self.0.handle(request);
        Box::pin(async move { Ok(response.await) })
    }
}

/// A service that fails: when it is asked whether it is ready, or when it is called.
#[derive(Clone)]
struct Failing<F> {
    ready: bool,
    error: F,
}

impl<F, E> Service<Request<Body>> for Failing<F>
where
    F: Fn() -> E,
{
    type Response = Response<Body>;
    type Error = E;
    type Future = Ready<Result<Response<Body>, E>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(if self.ready {
            Ok(())
        } else {
            Err((self.error)())
        })
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Err((self.error)()))
    }
}

fn client(transport: impl Transport) -> ContainerRegistryClient {
    seeded::builder("https://mock.azurecr.io")
        .credential(Credential::entra_token("any"))
        .transport(transport)
        .clock(VirtualClock::new())
        .build()
        .unwrap()
}

async fn push_and_pull(transport: impl Transport) {
    let client = client(transport);
    let repository = client.repository_client("app").unwrap();
    let blob = repository.upload_blob("layer".to_owned()).await.unwrap();
    assert_eq!(blob.digest, Digest::sha256("layer"));
    let stream = repository.download_blob(&blob.digest).await.unwrap();
    assert_eq!(stream.bytes(100).await.unwrap(), "layer");
}

fn request() -> Request<Body> {
    Request::get("https://mock.azurecr.io/v2/")
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn the_clone_that_said_it_is_ready_is_the_one_that_is_called() {
    let service = Marked::new(Mock(Registry::new()));
    let calls = service.calls.clone();
    push_and_pull(TowerTransport::new(service)).await;
    // More than the uploads' and the download's own: also those that sign in.
    assert!(calls.load(Ordering::Relaxed) > 5);
}

#[tokio::test]
async fn a_layer_stands_before_any_transport() {
    let registry = Registry::new();
    let inner = from_fn(move |request: Request<Body>| {
        assert_eq!(request.headers()["x-team"], "blue");
        registry.handle(request)
    });
    let stack = Marked::new(TransportService::new(inner));
    push_and_pull(TowerTransport::new(stack)).await;
}

#[tokio::test]
async fn a_shared_transport_is_a_service_too() {
    let refused = from_fn(|_| async {
        let error = TransportError::new(TransportErrorKind::Connect, "refused");
        Err::<Response<Body>, _>(error)
    });
    let shared: Arc<dyn Transport> = Arc::new(refused);
    let transport = TowerTransport::new(Marked::new(TransportService::from(shared)));
    let error = transport.clone().send(request()).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Connect);
    assert_eq!(StdError::source(&error).unwrap().to_string(), "refused");
}

#[tokio::test]
async fn an_error_keeps_the_kind_that_it_has_at_any_depth() {
    type BoxError = Box<dyn StdError + Send + Sync>;
    fn timeout() -> TransportError {
        TransportError::new(TransportErrorKind::Timeout, "too slow")
    }
    async fn kind<E>(error: fn() -> E) -> TransportErrorKind
    where
        E: Into<BoxError> + Send + 'static,
    {
        let mut kinds = Vec::new();
        for ready in [false, true] {
            let transport = TowerTransport::new(Failing { ready, error });
            let error = transport.send(request()).await.unwrap_err();
            assert!(text(&error).contains("too slow"), "{}", text(&error));
            kinds.push(error.kind());
        }
        assert_eq!(kinds[0], kinds[1]);
        kinds[0]
    }
    assert_eq!(kind(timeout).await, TransportErrorKind::Timeout);
    assert_eq!(
        kind(|| BoxError::from(timeout())).await,
        TransportErrorKind::Timeout
    );
    assert_eq!(
        kind(|| io::Error::other(timeout())).await,
        TransportErrorKind::Timeout
    );
    assert_eq!(
        kind(|| io::Error::other("too slow")).await,
        TransportErrorKind::Interrupted
    );
}

#[test]
fn debug_names_the_service_and_does_not_ask_it() {
    let transport = TowerTransport::new(Mock(Registry::new()));
    let text = format!("{transport:?}");
    assert!(
        text.starts_with("TowerTransport(\"") && text.ends_with("Mock\")"),
        "{text}"
    );
}
