//! [`FaultResponse`]: a response that says no, in the words of wherever the request came.

use std::time::Duration;

use acr_protocol::{ErrorCode, Route};
use http::header::RETRY_AFTER;
use http::{HeaderValue, Response, StatusCode};

use super::FaultError;
use crate::error::{ErrorResponse, HeaderSet};
use crate::firewall::client_address;
use crate::registry::{self, Registry, respond, token_error};
use crate::request_context::RequestContext;
use crate::resolved_request::is_token_request;
use crate::service_headers::{with_length, with_service_headers};
use crate::{Body, data};

/// What a [`Fault`](super::Fault) responds instead of carrying a request out, in the words of the registry, of its token
/// endpoints or of the data origin, wherever the request came.
///
/// ```
/// use std::time::Duration;
/// use acr_mock::FaultResponse;
///
/// let busy = FaultResponse::too_many_requests().retry_after(2);
/// let later = FaultResponse::service_unavailable().retry_after_date(Duration::from_secs(60));
/// let teapot = FaultResponse::status(http::StatusCode::IM_A_TEAPOT);
/// # let _ = (busy, later, teapot);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultResponse {
    status: StatusCode,
    /// Whether it is the 403 of a signed URL, and not that of a firewall.
    is_for_signature: bool,
    retry_after: Option<RetryAfter>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RetryAfter {
    Seconds(u64),
    Date(Duration),
}

impl FaultResponse {
    /// Any status from 400 to 599, in the service's words where they are known for it, or chosen:
    ///
    /// | status | registry | token endpoints | data origin |
    /// |---|---|---|---|
    /// | 401 | challenge with `error="invalid_token"` | no body | |
    /// | 403 | `DENIED` of the firewall | the same | `AuthorizationFailure` |
    /// | 404 | the operation's own "not found" | plain text | `BlobNotFound` |
    /// | 405 | `REGISTRY_DISALLOWED_OPERATION` of a lock | the same | `UnsupportedHttpVerb` |
    /// | 413 | `SIZE_INVALID` (chosen) | the same | a page |
    /// | 429 | `TOOMANYREQUESTS` | the same | a page |
    /// | 500 | `UNKNOWN` (chosen) | the same | `InternalError` |
    /// | 503 | `UNAVAILABLE` (chosen) | the same | `ServerBusy` |
    /// | else | a page of HTML with the status, as proxies in front of a registry have it (chosen) | the same | the same |
    #[must_use]
    pub const fn status(status: StatusCode) -> Self {
        Self {
            status,
            is_for_signature: false,
            retry_after: None,
        }
    }

    /// 401: the token is not accepted, as after a change of keys. At the token endpoints, the credential is not.
    #[must_use]
    pub const fn invalid_token() -> Self {
        Self::status(StatusCode::UNAUTHORIZED)
    }

    /// 403: the firewall does not let the client in.
    #[must_use]
    pub const fn denied() -> Self {
        Self::status(StatusCode::FORBIDDEN)
    }

    /// 403: a signed URL whose time is over. At the data origin only.
    #[must_use]
    pub const fn expired_url() -> Self {
        Self {
            is_for_signature: true,
            ..Self::status(StatusCode::FORBIDDEN)
        }
    }

    /// 404: what the operation is about is not there.
    #[must_use]
    pub const fn not_found() -> Self {
        Self::status(StatusCode::NOT_FOUND)
    }

    /// 429: too many requests.
    #[must_use]
    pub const fn too_many_requests() -> Self {
        Self::status(StatusCode::TOO_MANY_REQUESTS)
    }

    /// 500: something failed behind the registry.
    #[must_use]
    pub const fn internal_server_error() -> Self {
        Self::status(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// 502: the registry is not there for the proxy in front of it.
    #[must_use]
    pub const fn bad_gateway() -> Self {
        Self::status(StatusCode::BAD_GATEWAY)
    }

    /// 503: the registry is not ready, or storage is busy.
    #[must_use]
    pub const fn service_unavailable() -> Self {
        Self::status(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// 504: the registry is too slow for the proxy in front of it.
    #[must_use]
    pub const fn gateway_timeout() -> Self {
        Self::status(StatusCode::GATEWAY_TIMEOUT)
    }

    /// Says in `Retry-After` in how many seconds to come again.
    #[must_use]
    pub const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(RetryAfter::Seconds(seconds));
        self
    }

    /// Says in `Retry-After` when to come again, as an HTTP date: so much later than now, by the registry's clock, in whole
    /// seconds.
    #[must_use]
    pub const fn retry_after_date(mut self, delay: Duration) -> Self {
        self.retry_after = Some(RetryAfter::Date(delay));
        self
    }

    /// Whether it can be said there.
    pub(super) fn check(
        self,
        at_data: bool,
        unfit: impl Fn(&'static str) -> FaultError,
    ) -> Result<(), FaultError> {
        let status = self.status;
        if !status.is_client_error() && !status.is_server_error() {
            return Err(FaultError::Status { status });
        }
        if self.is_for_signature && !at_data {
            return Err(unfit("signed URL"));
        }
        if status == StatusCode::UNAUTHORIZED && at_data {
            return Err(unfit("token"));
        }
        Ok(())
    }

    fn with_retry_after(
        self,
        call: &RequestContext,
        mut response: Response<Body>,
    ) -> Response<Body> {
        let value = match self.retry_after {
            None => None,
            Some(RetryAfter::Seconds(seconds)) => Some(HeaderValue::from(seconds)),
            Some(RetryAfter::Date(delay)) => data::date(call.now() + delay),
        };
        if let Some(value) = value {
            response.headers_mut().insert(RETRY_AFTER, value);
        }
        response
    }
}

impl Registry {
    /// The response of the registry or of its token endpoints.
    pub(super) fn refuse_instead(
        &self,
        refuse: FaultResponse,
        call: &RequestContext,
        route: &Route,
    ) -> Response<Body> {
        let is_token = is_token_request(route);
        if is_token && refuse.status == StatusCode::UNAUTHORIZED {
            return refuse.with_retry_after(call, with_length(call, self.refuse_silently(call)));
        }
        let response = match self.refusal(refuse.status, call, route) {
            Ok(response) => with_service_headers(call, HeaderSet::Authorised, None, response),
            Err(refusal) if is_token => token_error(call, refusal),
            Err(refusal) => registry::refuse(call, refusal),
        };
        refuse.with_retry_after(call, response)
    }

    /// The response of the data origin.
    pub(super) fn refuse_data(
        &self,
        refuse: FaultResponse,
        call: &RequestContext,
    ) -> Response<Body> {
        let response = match refuse.status {
            StatusCode::FORBIDDEN if refuse.is_for_signature => data::not_signed(call),
            status => data::failure(call, status),
        };
        refuse.with_retry_after(call, data::versioned(call, response))
    }

    /// The status in the registry's words. A delete that finds nothing has a response of its own.
    fn refusal(
        &self,
        status: StatusCode,
        call: &RequestContext,
        route: &Route,
    ) -> Result<Response<Body>, ErrorResponse> {
        Err(match status {
            StatusCode::UNAUTHORIZED => {
                let needed = self.settings().profile.scope(route);
                self.challenge(call, &needed, Some("invalid_token"))
            }
            StatusCode::FORBIDDEN => ErrorResponse::not_allowed_access(client_address(call), None),
            StatusCode::NOT_FOUND => return not_found(route),
            StatusCode::METHOD_NOT_ALLOWED => ErrorResponse::disallowed(),
            StatusCode::PAYLOAD_TOO_LARGE => ErrorResponse::body_too_large(),
            StatusCode::TOO_MANY_REQUESTS => ErrorResponse::too_many_requests(None),
            // Chosen: code and wording of the distribution's own registry.
            StatusCode::INTERNAL_SERVER_ERROR => {
                ErrorResponse::failed(status, ErrorCode::UNKNOWN, "unknown error")
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                let code = ErrorCode::from("UNAVAILABLE");
                ErrorResponse::failed(status, code, "service unavailable")
            }
            status => ErrorResponse::page(status),
        })
    }
}

/// What the operation says where its object is not there.
fn not_found(route: &Route) -> Result<Response<Body>, ErrorResponse> {
    Err(match route {
        Route::DeleteRepository(operation) => return Ok(respond(operation, &None)),
        Route::DeleteTag(operation) => return Ok(respond(operation, &false)),
        Route::DeleteManifest(operation) => return Ok(respond(operation, &false)),
        Route::DeleteBlob(operation) => return Ok(respond(operation, &false)),
        Route::GetManifest(operation) => {
            ErrorResponse::manifest_not_found(&operation.repository, &operation.reference)
        }
        Route::HeadManifest(operation) => {
            ErrorResponse::manifest_not_found(&operation.repository, &operation.reference)
        }
        Route::GetManifestProperties(_) | Route::UpdateManifestProperties(_) => {
            ErrorResponse::manifest_unknown()
        }
        Route::GetTagProperties(_) | Route::UpdateTagProperties(_) => ErrorResponse::tag_unknown(),
        Route::GetBlob(operation) => ErrorResponse::blob_not_found(&operation.digest),
        Route::HeadBlob(operation) => ErrorResponse::blob_not_found(&operation.digest),
        Route::GetUploadStatus(_)
        | Route::UploadChunk(_)
        | Route::CompleteUpload(_)
        | Route::CancelUpload(_) => ErrorResponse::upload_unknown(),
        // A registry from before OCI 1.1 has no such path.
        Route::ListReferrers(_) => ErrorResponse::malformed_path(),
        route => match route.repository() {
            Some(repository) => ErrorResponse::repository_not_found(repository),
            None => ErrorResponse::unknown_path(),
        },
    })
}
