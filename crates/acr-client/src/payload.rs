//! What a request carries, as often as it is sent.

use std::sync::Arc;

use bytes::Bytes;

use crate::transport::Body;

/// The body of a request, of which each attempt sends one of its own.
#[derive(Clone)]
pub(crate) enum Payload {
    Bytes(Bytes),
    Streamed(Streamed),
}

/// A body that is made anew for each attempt.
#[derive(Clone)]
pub(crate) struct Streamed {
    length: u64,
    open: Arc<dyn Fn() -> Body + Send + Sync>,
}

impl Payload {
    /// A body of so many bytes, which `open` makes for each attempt. It has to tell its length.
    pub(crate) fn streamed(length: u64, open: impl Fn() -> Body + Send + Sync + 'static) -> Self {
        Self::Streamed(Streamed {
            length,
            open: Arc::new(open),
        })
    }

    pub(crate) const fn is_empty(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Streamed(streamed) => streamed.length == 0,
        }
    }

    /// The body of one attempt.
    pub(crate) fn body(self) -> Body {
        match self {
            Self::Bytes(bytes) => Body::bytes(bytes),
            Self::Streamed(streamed) => (streamed.open)(),
        }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}
