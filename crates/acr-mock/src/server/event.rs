//! What a running server tells whoever listens.

use std::error::Error;
use std::net::SocketAddr;

use http::{Method, StatusCode};

/// Something that happened in a running server: see [`AcrMockBuilder::on_event`](super::AcrMockBuilder::on_event).
///
/// No event holds a secret: paths come without their query, and headers and bodies are not told.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerEvent<'a> {
    /// A request was served; told at the head of the response, before its body goes out.
    #[non_exhaustive]
    Request {
        /// The method of the request.
        method: &'a Method,
        /// The path as it came, still percent-encoded.
        path: &'a str,
        /// The status of the response.
        status: StatusCode,
    },
    /// A client came over TCP but not through TLS: mostly one that does not trust the server's CA.
    #[non_exhaustive]
    HandshakeFailed {
        /// The client's address.
        peer: SocketAddr,
        /// What went wrong.
        error: &'a (dyn Error + 'static),
    },
    /// A connection broke: the client went away or sent no HTTP, or a [`Fault`](crate::Fault) ended it.
    #[non_exhaustive]
    ConnectionFailed {
        /// The client's address.
        peer: SocketAddr,
        /// What went wrong.
        error: &'a (dyn Error + 'static),
    },
}
