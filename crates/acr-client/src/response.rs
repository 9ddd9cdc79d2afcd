//! The response to a request.

use http::response::Parts;
use http::{HeaderValue, Method, Uri};

use crate::limiter::Permit;
use crate::mask::Mask;
use crate::transport::Body;

/// The response to a request: its head is there, its body is still to be read.
pub(crate) struct Received {
    pub(crate) head: Parts,
    pub(crate) body: Body,
    /// The request line sent to the URL that responded.
    pub(crate) method: Method,
    /// The URL that responded.
    pub(crate) url: Uri,
    /// Whether that is not the registry, but where a response has led.
    pub(crate) is_elsewhere: bool,
    /// What the request carried as `Authorization`, which no error may repeat.
    pub(crate) sent: Option<HeaderValue>,
    /// What else it carried that no error may repeat.
    pub(crate) secrets: Mask,
    /// The call's place among those in flight, until the body is read.
    pub(crate) permit: Option<Permit>,
}

impl Received {
    /// A copy of a response whose body was drained.
    pub(crate) fn keep(&self) -> Self {
        Self {
            head: self.head.clone(),
            body: self.body.try_clone().unwrap_or_default(),
            method: self.method.clone(),
            url: self.url.clone(),
            is_elsewhere: self.is_elsewhere,
            sent: self.sent.clone(),
            secrets: self.secrets.clone(),
            permit: None,
        }
    }

    /// What errors of this response must not repeat.
    pub(crate) fn mask(&self) -> Mask {
        Mask::of_header(self.sent.as_ref()).and(&self.secrets)
    }
}
