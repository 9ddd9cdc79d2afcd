//! What becomes of a request that a fault has struck.

use std::future::Future;

use acr_protocol::upload::{ChunkRange, UploadChunk, UploadLocation};
use acr_protocol::{Deletion, ErrorCode, RepositoryName, Route};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, LOCATION, RETRY_AFTER};
use http::{HeaderValue, Method, Response, StatusCode};

use super::action::{FaultAction, FaultResponse, RetryAfter, Words};
use crate::body::{Body, Drip};
use crate::data;
use crate::error::{ErrorResponse, HeaderSet};
use crate::firewall::client_address;
use crate::registry::Registry;
use crate::request_body::{self, RequestBody, Unread};
use crate::request_context::RequestContext;
use crate::resolved_request::{ResolvedRequest, is_token_request};
use crate::response::{refuse, respond, token_error, with_length, with_service_headers};
use crate::serve::Serve as _;

impl Registry {
    /// An operation that was struck.
    pub(crate) async fn apply_fault(
        &self,
        action: FaultAction,
        call: &RequestContext,
        mut resolved: ResolvedRequest,
        body: RequestBody,
    ) -> Result<Response<Body>, ConnectionReset> {
        match action {
            FaultAction::Respond(fault) => Ok(self.refuse_instead(fault, call, &resolved.route)),
            FaultAction::LoseUpload => {
                self.drop_upload(&resolved.route);
                Ok(refuse(call, ErrorResponse::upload_unknown()))
            }
            FaultAction::CorruptUpload => {
                self.drop_upload(&resolved.route);
                Ok(refuse(call, ErrorResponse::upload_invalid()))
            }
            FaultAction::ResetAfterTaking(bytes) => {
                let taken = request_body::read_first(body, bytes, self.quota()).await;
                if resolved.is_allowed() {
                    self.keep(call, resolved.route, taken).await;
                }
                Err(ConnectionReset::new())
            }
            FaultAction::RefuseBodyOver(most) | FaultAction::ResetBodyOver(most) => {
                let refuses = matches!(action, FaultAction::RefuseBodyOver(_));
                match request_body::read_chunks(body, most, self.quota(), None).await {
                    Ok(chunks) => {
                        let body = request_body::erase(Body::from_chunks(chunks));
                        Ok(self.execute(call, resolved, body).await)
                    }
                    Err(Unread::TooLarge) if !refuses => Err(ConnectionReset::new()),
                    Err(unread) => Ok(refuse(call, unread.into())),
                }
            }
            FaultAction::RedirectToSelf => {
                let response = redirect_to_self(call);
                let kind = HeaderSet::Authorised;
                Ok(with_service_headers(call, kind, None, response))
            }
            action => {
                if let (FaultAction::IgnoreRange, Route::GetBlob(operation)) =
                    (action, &mut resolved.route)
                {
                    operation.range = None;
                }
                self.alter_response(action, call, self.execute(call, resolved, body))
                    .await
            }
        }
    }

    /// A request to the data origin that was struck.
    pub(crate) async fn apply_data_fault(
        &self,
        action: FaultAction,
        call: &mut RequestContext,
    ) -> Result<Response<Body>, ConnectionReset> {
        match action {
            FaultAction::Respond(fault) => Ok(self.refuse_data(fault, call)),
            FaultAction::RedirectToSelf => {
                let response = redirect_to_self(call);
                Ok(data::versioned(call, response))
            }
            action => {
                if action == FaultAction::IgnoreRange {
                    call.ignore_range();
                }
                let call = &*call;
                self.alter_response(action, call, async { self.get_data(call) })
                    .await
            }
        }
    }

    /// Lets a request be carried out, if it is to be at all, and does harm to its response.
    async fn alter_response(
        &self,
        action: FaultAction,
        call: &RequestContext,
        carried_out: impl Future<Output = Response<Body>> + Send,
    ) -> Result<Response<Body>, ConnectionReset> {
        if action == FaultAction::Reset {
            return Err(ConnectionReset::new());
        }
        let response = carried_out.await;
        let clock = &self.settings().clock;
        Ok(match action {
            FaultAction::DropResponse => return Err(ConnectionReset::new()),
            FaultAction::Hang => std::future::pending().await,
            FaultAction::DelayResponse(delay) => {
                clock.sleep(delay).await;
                response
            }
            FaultAction::CutBody(bytes) => response.map(|body| body.cut_after(bytes)),
            FaultAction::StallBody(bytes) => response.map(|body| body.stall_after(bytes)),
            FaultAction::ExtendBody(bytes) => extend(response, bytes),
            FaultAction::AnnounceLength(length) => announce(call, response, length),
            FaultAction::ChangeEtag => {
                let mut response = response;
                if let Some(etag) = response.headers_mut().get_mut(ETAG) {
                    *etag = HeaderValue::from_static("\"0x8DFFFFFFFFFFFFF\"");
                }
                response
            }
            FaultAction::FlipByte(offset) => response.map(|body| body.flip_byte(offset)),
            FaultAction::SlowBody { bytes, pause } => {
                response.map(|body| body.drip(Drip::new(bytes, pause, clock.clone())))
            }
            // Done before, or never aimed here.
            FaultAction::Reset
            | FaultAction::Respond(_)
            | FaultAction::ResetAfterTaking(_)
            | FaultAction::RefuseBodyOver(_)
            | FaultAction::ResetBodyOver(_)
            | FaultAction::IgnoreRange
            | FaultAction::RedirectToSelf
            | FaultAction::LoseUpload
            | FaultAction::CorruptUpload => response,
        })
    }

    fn drop_upload(&self, route: &Route) {
        if let Some((repository, location)) = open_upload(route) {
            self.store().take_upload(repository, location.uuid());
        }
    }

    /// Keeps what came of a chunk before the connection ended.
    async fn keep(&self, call: &RequestContext, route: Route, taken: Vec<Bytes>) {
        let (repository, location, range) = match route {
            Route::UploadChunk(chunk) => (chunk.repository, chunk.location, chunk.range),
            Route::CompleteUpload(last) => (last.repository, last.location, last.range),
            _ => return,
        };
        let length = taken.iter().map(|bytes| bytes.len() as u64).sum();
        // The range said where the chunk would end; it ends where it was cut.
        let cut = range.filter(|range| range.length() > length);
        let range = cut
            .and_then(|range| ChunkRange::new(range.first, length))
            .or(range);
        let chunk = UploadChunk {
            repository,
            location,
            range,
        };
        let body = request_body::erase(Body::from_chunks(taken));
        // A refusal would be lost like every other response.
        let _lost = chunk.serve(self, call, body).await;
    }

    /// The response of the registry or of its token endpoints.
    pub(super) fn refuse_instead(
        &self,
        fault: FaultResponse,
        call: &RequestContext,
        route: &Route,
    ) -> Response<Body> {
        let is_token = is_token_request(route);
        if is_token && fault.status == StatusCode::UNAUTHORIZED {
            return fault.with_retry_after(call, with_length(call, self.refuse_silently(call)));
        }
        let response = match self.refusal(fault, call, route) {
            Ok(response) => with_service_headers(call, HeaderSet::Authorised, None, response),
            Err(refusal) if is_token => token_error(call, refusal),
            Err(refusal) => refuse(call, refusal),
        };
        fault.with_retry_after(call, response)
    }

    /// The response of the data origin.
    pub(super) fn refuse_data(
        &self,
        fault: FaultResponse,
        call: &RequestContext,
    ) -> Response<Body> {
        let response = match fault.status {
            StatusCode::FORBIDDEN if fault.words == Words::ExpiredUrl => data::not_signed(call),
            status => data::failure(call, status),
        };
        fault.with_retry_after(call, data::versioned(call, response))
    }

    /// The status in the registry's words. A delete that finds nothing has a response of its own.
    fn refusal(
        &self,
        fault: FaultResponse,
        call: &RequestContext,
        route: &Route,
    ) -> Result<Response<Body>, ErrorResponse> {
        Err(match fault.status {
            StatusCode::UNAUTHORIZED => {
                let needed = self.settings().profile.scope(route);
                self.challenge(call, &needed, Some("invalid_token"))
            }
            StatusCode::FORBIDDEN => ErrorResponse::not_allowed_access(client_address(call)),
            StatusCode::NOT_FOUND => return not_found(route),
            StatusCode::METHOD_NOT_ALLOWED => ErrorResponse::disallowed(),
            StatusCode::PAYLOAD_TOO_LARGE => ErrorResponse::body_too_large(),
            StatusCode::RANGE_NOT_SATISFIABLE => {
                let Some((repository, location)) = open_upload(route) else {
                    return Err(ErrorResponse::page(fault.status));
                };
                let range = call.headers().get(CONTENT_RANGE);
                let range = range.and_then(|range| range.to_str().ok());
                let is_usual = fault.words == Words::Usual;
                let range = is_usual.then(|| range.unwrap_or_default());
                self.refuse_position(repository, location, range)
            }
            StatusCode::TOO_MANY_REQUESTS => ErrorResponse::too_many_requests(None),
            // Chosen: code and wording of the distribution's own registry.
            StatusCode::INTERNAL_SERVER_ERROR => {
                ErrorResponse::json(fault.status, ErrorCode::UNKNOWN, "unknown error")
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                let code = ErrorCode::from("UNAVAILABLE");
                ErrorResponse::json(fault.status, code, "service unavailable")
            }
            status => ErrorResponse::page(status),
        })
    }
}

impl FaultResponse {
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

/// The upload that a request is about.
fn open_upload(route: &Route) -> Option<(&RepositoryName, &UploadLocation)> {
    match route {
        Route::UploadChunk(operation) => Some((&operation.repository, &operation.location)),
        Route::GetUploadStatus(operation) => Some((&operation.repository, &operation.location)),
        Route::CompleteUpload(operation) => Some((&operation.repository, &operation.location)),
        Route::CancelUpload(operation) => Some((&operation.repository, &operation.location)),
        _ => None,
    }
}

/// 307 to the URL that was asked for.
fn redirect_to_self(call: &RequestContext) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    let path = call
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    if let Ok(location) = HeaderValue::try_from(format!("{}{path}", call.origin().base_url())) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// A response with zeros behind its body.
fn extend(response: Response<Body>, bytes: u64) -> Response<Body> {
    if response.body().remaining() == 0 {
        return response;
    }
    let mut response = response.map(|body| body.extend(bytes));
    let length = response.body().remaining();
    if let Some(announced) = response.headers_mut().get_mut(CONTENT_LENGTH) {
        *announced = HeaderValue::from(length);
    }
    response
}

/// A response that says of its body that it is so long.
fn announce(call: &RequestContext, mut response: Response<Body>, length: u64) -> Response<Body> {
    let is_head = call.method() == Method::HEAD;
    if !is_head && response.body().remaining() == 0 {
        return response;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    match is_head {
        true => response,
        false => response.map(|body| body.announced_as(length)),
    }
}

/// What the operation says where its object is not there.
fn not_found(route: &Route) -> Result<Response<Body>, ErrorResponse> {
    Err(match route {
        Route::DeleteRepository(operation) => return Ok(respond(operation, &Deletion::NotFound)),
        Route::DeleteTag(operation) => return Ok(respond(operation, &Deletion::NotFound)),
        Route::DeleteManifest(operation) => return Ok(respond(operation, &Deletion::NotFound)),
        Route::DeleteBlob(operation) => return Ok(respond(operation, &Deletion::NotFound)),
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

/// The connection ended before a response, because a [`Fault`](super::Fault) wanted it to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mock ended the connection without a response, as a fault demands")]
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
