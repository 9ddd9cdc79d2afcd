//! How requests leave the client: one trait with one method.
//!
//! # Responsibilities of a transport
//!
//! A transport owns name resolution, TLS, connection pooling and connection timeouts. It gets each
//! request with its absolute URL, sends it as it is, and gives back the answer as it is.
//!
//! It stops there. A transport **never retries** a request that may have reached the server, **never
//! follows a redirect** and **never adds credentials**: all three need to know what the request
//! means, and are done once, in the client. An answer of any status is a success for the transport.
//! The client also bounds how long it waits for an answer and for each part of its body, so a
//! transport needs no timeout for these; dropping the future or the body gives the request up.
//!
//! Each request carries an [`OperationContext`](crate::OperationContext) in its extensions, for
//! transports that log or count without taking URLs apart.
//!
//! With the feature `hyper` (on by default) there is `HyperTransport`, and the client uses it
//! unless another one is given. [`from_fn`] makes a transport of any function from a request to a
//! response, such as the `handle` method of an in-memory registry: no socket, no runtime.
//! [`record`] keeps what goes through a transport, and answers from what was kept.

mod body;
mod from_fn;
#[cfg(feature = "hyper")]
mod hyper;
pub mod record;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::{Request, Response};

pub use self::body::Body;
pub use self::from_fn::{FromFn, IntoTransportResult, from_fn};
#[cfg(feature = "hyper")]
pub use self::hyper::{HyperTransport, HyperTransportBuilder, RootCertificateError};

/// Sends one request and gives back the head of its response with a body still to be read.
///
/// The [module](self) says what a transport is responsible for, and what it must leave alone.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends one request; resolves at the response head.
    ///
    /// # Errors
    ///
    /// When no response head arrived. A status such as 404 or 500 is no error here.
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

/// Why a transport brought no response, or not all of its body.
pub struct TransportError {
    kind: TransportErrorKind,
    source: Box<dyn StdError + Send + Sync>,
}

/// What went wrong on the way, as far as it decides whether the request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// No connection came to be: name resolution, TCP, TLS, or a timeout of these. The server has
    /// not seen the request.
    Connect,
    /// The server was silent for too long. It may have seen the request.
    Timeout,
    /// The connection broke after the request was begun, or the body ended early. The server may
    /// have seen the request.
    Interrupted,
    /// Anything else, such as a request that cannot be put on the wire.
    Other,
}

impl TransportError {
    /// Creates an error of the given kind; the source says what happened.
    pub fn new(
        kind: TransportErrorKind,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            source: source.into(),
        }
    }

    /// Returns what went wrong.
    #[must_use]
    pub const fn kind(&self) -> TransportErrorKind {
        self.kind
    }

    pub(crate) fn into_source(self) -> Box<dyn StdError + Send + Sync> {
        self.source
    }

    /// Wraps a foreign error, and hands back one that is a `TransportError` already.
    fn from_boxed(
        kind: TransportErrorKind,
        error: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        match error.into().downcast::<Self>() {
            Ok(same) => *same,
            Err(source) => Self { kind, source },
        }
    }
}

impl fmt::Debug for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportError")
            .field("kind", &self.kind)
            .field("source", &self.source)
            .finish()
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            TransportErrorKind::Connect => "cannot connect to the server",
            TransportErrorKind::Timeout => "the server was silent for too long",
            TransportErrorKind::Interrupted => "the connection broke",
            TransportErrorKind::Other => "the request could not be sent",
        })
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.source.as_ref())
    }
}
