//! [`ConnectionReset`]: no response at all.

use http::{Response, StatusCode};

use crate::Body;

/// The connection ended before a response, because a [`Fault`](super::Fault) wanted it to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mock ended the connection without a response, as a fault asked it to")]
pub struct ConnectionReset {
    _private: (),
}

impl ConnectionReset {
    pub(super) fn new() -> Self {
        Self { _private: () }
    }

    /// What stands for it where there must be a response: 502, none of the service's headers, and a body that breaks
    /// before its first byte, so that nobody can take it for one.
    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.to_string()).cut_after(0));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    }
}
