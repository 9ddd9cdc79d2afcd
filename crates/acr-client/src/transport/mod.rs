//! How requests leave the client: one trait with one method.
//!
//! # Responsibilities of a transport
//!
//! A transport owns name resolution, TLS, connection pooling and connection timeouts. It gets each
//! request with its absolute URL, sends it as it is, and gives back the response as it is.
//!
//! It stops there. A transport **never retries** a request that may have reached the server, **never
//! follows a redirect** and **never adds credentials**: all three need to know what the request
//! means, and are done once, in the client. A response of any status is a success for the transport.
//! The client also bounds how long it waits for a response and for each part of its body, so a
//! transport needs no timeout for these; dropping the future or the body gives the request up.
//!
//! # Which transport
//!
//! - With the feature `hyper` (on by default) there is `HyperTransport`, and the client uses it
//!   unless another one is given. It goes through the proxies that the environment names.
//! - With the feature `reqwest`, `ReqwestTransport` takes a client of that crate.
//! - With the feature `tower`, `TowerTransport` takes a `tower_service::Service`, and
//!   `TransportService` is one, so that middleware can stand before any other transport.
//! - [`from_fn`] makes a transport of any function from a request to a response, such as the
//!   `handle` method of an in-memory registry: no socket, no runtime.
//! - The crate acr-record has a transport that records what goes through another one, without
//!   secrets, and one that responds from a recording.
//!
//! # Log and limit
//!
//! Each request carries an [`OperationContext`] in its extensions, so that
//! a transport around another one knows what a request is part of without taking URLs apart. This
//! one writes a line for each request, and has at most two requests with bytes of blobs on their
//! way, whatever is going on beside them:
//!
//! ```
//! use acr_client::transport::{Body, Transport, TransportError};
//! use acr_client::async_trait;
//! use acr_client::transport::OperationContext;
//! use http::{Request, Response};
//! use tokio::sync::Semaphore;
//!
//! #[derive(Debug)]
//! struct Careful<T> {
//!     inner: T,
//!     uploads: Semaphore,
//! }
//!
//! #[async_trait]
//! impl<T: Transport> Transport for Careful<T> {
//!     async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
//!         let context = request.extensions().get::<OperationContext>().cloned();
//!         let operation = context.as_ref().map_or("?", OperationContext::operation);
//!         let repository = context.as_ref().and_then(OperationContext::repository);
//!         // Until the registry has responded. It is never closed, so there is always a permit.
//!         let _permit = match operation {
//!             "upload_chunk" | "complete_upload" => self.uploads.acquire().await.ok(),
//!             _ => None,
//!         };
//!         let response = self.inner.send(request).await;
//!         let outcome = match &response {
//!             Ok(response) => response.status().to_string(),
//!             Err(error) => error.to_string(),
//!         };
//!         println!("{operation} {} {outcome}", repository.unwrap_or("-"));
//!         # LINES.lock().unwrap().push(format!("{operation} {} {outcome}", repository.unwrap_or("-")));
//!         response
//!     }
//! }
//! # static LINES: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use acr_client::{ContainerRegistryClient, clock::VirtualClock, transport::from_fn};
//! # let registry = acr_mock::Registry::builder().authentication(false).build();
//! # let inner = from_fn(registry.handler());
//! let client = ContainerRegistryClient::builder("https://registry.example")
//!     .transport(Careful { inner, uploads: Semaphore::new(2) })
//! #   .clock(VirtualClock::new())
//!     .build()?;
//! let repository = client.repository_client("samples/app")?;
//! repository.upload_blob("layer".to_owned()).await?;
//! # let lines = LINES.lock().unwrap();
//! # assert_eq!(lines[1], "start_upload samples/app 202 Accepted");
//! # assert_eq!(lines[2], "complete_upload samples/app 201 Created");
//! # Ok(())
//! # }
//! ```
//!
//! Two things to mind: what a transport waits for counts as the server's silence, which the client
//! bounds by its [`idle_timeout`](crate::ClientBuilder::idle_timeout); and headers and queries hold
//! credentials and signatures, which belong in no log.

mod body;
mod from_fn;
#[cfg(feature = "hyper")]
mod hyper;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "tower")]
mod tower;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::{Request, Response};

pub use self::body::Body;
pub use self::from_fn::{FromFn, IntoTransportResult, from_fn};
#[cfg(feature = "hyper")]
pub use self::hyper::{
    HyperTransport, HyperTransportBuilder, HyperTransportError, InvalidProxy, RootCertificateError,
};
#[cfg(feature = "reqwest")]
pub use self::reqwest::ReqwestTransport;
#[cfg(feature = "tower")]
pub use self::tower::{TowerTransport, TransportService};
pub use crate::context::OperationContext;
pub use crate::error::{TransportError, TransportErrorKind};

/// Sends one request and gives back the head of its response with a body still to be read.
///
/// The [module](self) says what a transport is responsible for, and what it must leave alone.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a transport",
    note = "a function from a request to a response is made one by `acr_client::transport::from_fn`",
    note = "`HyperTransport::builder()` is one after `.build()?`; clients of reqwest and services of tower are wrapped \
            in `ReqwestTransport` and `TowerTransport`, with the feature of that name"
)]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends one request; resolves at the response head.
    ///
    /// # Errors
    ///
    /// When no response head arrived. A status such as 404 or 500 is not an error here.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the request up; the server may or may not have seen it.
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError>;
}

#[async_trait]
impl<T: Transport + ?Sized> Transport for Arc<T> {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        (**self).send(request).await
    }
}
