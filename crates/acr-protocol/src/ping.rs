//! The ping: is there a registry, and are the credentials any good?

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode, Uri, response};

use crate::auth::ScopeSet;
use crate::error::DecodeError;
use crate::operation::{Describe, JSON_UTF8, Operation, OperationClass, bare, check_status};

/// Asks whether the registry is there and takes the credentials: `GET /v2/`. Any valid token will do.
#[doc(alias = "CheckDockerV2Support")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ping;

impl Describe for Ping {
    const NAME: &'static str = "ping";
    const CLASS: OperationClass = OperationClass::Token;
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        ScopeSet::new()
    }
}

impl Operation for Ping {
    type Output = ();
    const SUCCESS: &'static [StatusCode] = &[StatusCode::OK];

    fn request(&self) -> Request<Bytes> {
        bare(Method::GET, Uri::from_static("/v2/"))
    }

    fn decode(&self, head: &response::Parts, _body: Bytes) -> Result<Self::Output, DecodeError> {
        check_status(head, Self::SUCCESS)
    }

    /// The one JSON answer of the service without a newline at its end.
    fn respond(&self, _output: &Self::Output) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from_static(b"{}"));
        response.headers_mut().insert(CONTENT_TYPE, JSON_UTF8);
        response
    }
}
