//! Responses: what an operation or an error says, and the headers that the service puts around it.

use acr_protocol::Operation;
use acr_protocol::operation::headers::{
    CLIENT_REQUEST_ID, CORRELATION_REQUEST_ID, DOCKER_DISTRIBUTION_API_VERSION,
    RATE_LIMIT_REMAINING, REQUEST_ID,
};
use http::header::{
    ACCESS_CONTROL_EXPOSE_HEADERS, CONTENT_LENGTH, SERVER as SERVER_NAME,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Response, StatusCode};

use crate::Body;
use crate::error::{ErrorResponse, HeaderSet};
use crate::request_context::RequestContext;

/// What the service calls itself since 2024; `openresty` before.
pub(crate) const SERVER: HeaderValue = HeaderValue::from_static("AzureContainerRegistry");
pub(crate) const TRANSPORT_SECURITY: HeaderValue =
    HeaderValue::from_static("max-age=31536000; includeSubDomains");
const EXPOSED: [HeaderValue; 4] = [
    HeaderValue::from_static("Docker-Content-Digest"),
    HeaderValue::from_static("WWW-Authenticate"),
    HeaderValue::from_static("Link"),
    HeaderValue::from_static("X-Ms-Correlation-Request-Id"),
];
/// Metadata over this many bytes comes chunked, without a length: the buffer of the service's web server.
const CHUNKED_OVER: u64 = 2048;

/// The response of an operation that has gone well.
pub(crate) fn respond<O: Operation>(operation: &O, output: &O::Output) -> Response<Body> {
    operation.respond(output).map(Body::from)
}

/// The response that says no, with what the registry puts around it.
pub(crate) fn refuse(call: &RequestContext, refusal: ErrorResponse) -> Response<Body> {
    with_service_headers(call, refusal.kind(), None, refusal.into_response())
}

/// The same at the token endpoints.
pub(crate) fn token_error(call: &RequestContext, refusal: ErrorResponse) -> Response<Body> {
    with_length(call, with_token_headers(call, refusal.into_response()))
}

/// Puts the few headers of the token endpoints around a response, but for its length.
pub(crate) fn with_token_headers(
    call: &RequestContext,
    mut response: Response<Body>,
) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(SERVER_NAME, SERVER);
    headers.insert(STRICT_TRANSPORT_SECURITY, TRANSPORT_SECURITY);
    headers.insert(CORRELATION_REQUEST_ID, call.ids().next_value());
    response
}

/// Puts the registry's headers around a response of `/v2` or `/acr/v1`.
pub(crate) fn with_service_headers(
    call: &RequestContext,
    kind: HeaderSet,
    deletes_left: Option<HeaderValue>,
    mut response: Response<Body>,
) -> Response<Body> {
    if kind == HeaderSet::Front {
        let headers = response.headers_mut();
        headers.insert(SERVER_NAME, SERVER);
        headers.insert(STRICT_TRANSPORT_SECURITY, TRANSPORT_SECURITY);
        return with_length(call, response);
    }
    let is_redirect = response.status() == StatusCode::TEMPORARY_REDIRECT;
    let metadata = call.uri().path().starts_with("/acr/");
    let headers = response.headers_mut();
    // Room for all that is put around, so that the map grows once.
    headers.reserve(16);
    if kind != HeaderSet::Malformed {
        for name in EXPOSED {
            headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, name);
        }
    }
    headers.insert(
        DOCKER_DISTRIBUTION_API_VERSION,
        HeaderValue::from_static("registry/2.0"),
    );
    headers.insert(SERVER_NAME, SERVER);
    headers.append(STRICT_TRANSPORT_SECURITY, TRANSPORT_SECURITY);
    headers.append(STRICT_TRANSPORT_SECURITY, TRANSPORT_SECURITY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CORRELATION_REQUEST_ID, call.ids().next_value());
    // The client's id comes back with every authorised response of the OCI API but a redirect, and with deletes of metadata.
    let echoes = if metadata {
        call.method() == Method::DELETE
    } else {
        !is_redirect
    };
    if kind == HeaderSet::Authorised && echoes {
        let id = call
            .headers()
            .get(CLIENT_REQUEST_ID)
            .cloned()
            .unwrap_or(HeaderValue::from_static(""));
        headers.insert(CLIENT_REQUEST_ID, id);
        headers.insert(REQUEST_ID, call.ids().next_value());
    }
    if let (Some(left), HeaderSet::Authorised, &Method::DELETE) =
        (deletes_left, kind, call.method())
    {
        headers.insert(RATE_LIMIT_REMAINING, left);
    }
    if metadata
        && http_body::Body::size_hint(response.body())
            .exact()
            .is_some_and(|length| length > CHUNKED_OVER)
    {
        return response.map(Body::chunked);
    }
    with_length(call, response)
}

/// Says the body's length in a header, and leaves the body away where the request was a HEAD.
pub(crate) fn with_length(call: &RequestContext, mut response: Response<Body>) -> Response<Body> {
    let length = http_body::Body::size_hint(response.body()).exact();
    let is_head = call.method() == Method::HEAD;
    if let Some(length) = length
        && response.status() != StatusCode::NO_CONTENT
        && !response.headers().contains_key(CONTENT_LENGTH)
    {
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if is_head {
        response.map(|_| Body::empty())
    } else {
        response
    }
}
