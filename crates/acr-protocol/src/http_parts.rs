//! Pieces of requests and responses that several operations share.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header, response};
use serde::Serialize;

use crate::digest::Digest;
use crate::error::{DecodeError, InvalidRequest};
use crate::media_type::MediaType;
use crate::paging::PageToken;
use crate::verify::DigestMismatch;

/// Names of headers that the `http` crate has no constant for.
pub mod headers {
    use http::HeaderName;

    /// The digest of the content, on manifests and at the end of an upload.
    pub const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
    /// The protocol that a registry speaks: `registry/2.0`.
    pub const DOCKER_DISTRIBUTION_API_VERSION: HeaderName =
        HeaderName::from_static("docker-distribution-api-version");
    /// The id of an upload.
    pub const DOCKER_UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
    /// The digest that a deleted tag pointed at.
    pub const INT_DOCKER_CONTENT_DIGEST: HeaderName =
        HeaderName::from_static("x-ms-int-docker-content-digest");
    /// The subject that a registry took note of at a push.
    pub const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
    /// The filters that a referrers list has applied.
    pub const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
    /// A tag that a push by digest has set.
    pub const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
    /// The smallest chunk, in bytes, that an upload takes.
    pub const OCI_CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");
    /// The id by which the service's operators find an exchange.
    pub const CORRELATION_REQUEST_ID: HeaderName =
        HeaderName::from_static("x-ms-correlation-request-id");
    /// The id that the client chose for its request; the service sends it back.
    pub const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
    /// The service's id of a request.
    pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
    /// How many calls of the class are left in this second.
    pub const RATE_LIMIT_REMAINING: HeaderName =
        HeaderName::from_static("x-ms-ratelimit-remaining-calls-per-second");
}

/// The content type of the registry's own JSON responses.
pub const JSON_UTF8: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
/// The query parameter of `/acr/v1` and `/oauth2`. The service responds the same without it.
pub const API_VERSION: (&str, &str) = ("api-version", "2021-07-01");

pub(crate) const OCTET_STREAM: HeaderValue = HeaderValue::from_static("application/octet-stream");

pub(crate) fn json_request(
    request: http::request::Builder,
    body: &impl Serialize,
) -> Result<Request<Bytes>, InvalidRequest> {
    let body = serde_json::to_vec(body)?.into();
    Ok(request
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)?)
}

/// A response with a compact JSON body and the newline that the service puts behind it.
pub(crate) fn json_response(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    let mut text = serde_json::to_vec(body).unwrap_or_default();
    text.push(b'\n');
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, JSON_UTF8);
    response
}

/// A page of a list, with the link to the next one.
pub(crate) fn page_response(body: &impl Serialize, next: Option<&PageToken>) -> Response<Bytes> {
    let mut response = json_response(StatusCode::OK, body);
    if let Some(link) = next.and_then(PageToken::to_link) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

pub(crate) fn empty_response(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

pub(crate) fn insert(response: &mut Response<Bytes>, name: HeaderName, value: &str) {
    // Values are validated texts; one that is not a valid header value is omitted.
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}

pub(crate) fn insert_length(response: &mut Response<Bytes>, length: u64) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
}

/// The announced length, in bytes.
pub(crate) fn required_length(headers: &HeaderMap) -> Result<u64, DecodeError> {
    let name = header::CONTENT_LENGTH;
    let value = headers
        .get(&name)
        .ok_or_else(|| DecodeError::MissingHeader(name.clone()))?;
    let length = value.to_str().ok().and_then(number);
    length.ok_or_else(|| DecodeError::header(name, value, "not a number of bytes"))
}

pub(crate) fn text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, DecodeError> {
    let value = headers.get(name).map(|value| {
        let text = value.to_str().map(str::to_owned);
        text.map_err(|error| DecodeError::header(name.clone(), value, error))
    });
    value.transpose()
}

pub(crate) fn required_text(headers: &HeaderMap, name: &HeaderName) -> Result<String, DecodeError> {
    text(headers, name)?.ok_or_else(|| DecodeError::MissingHeader(name.clone()))
}

/// The media type of what is served. One that is empty says no more than none, and is told apart from
/// it.
pub(crate) fn required_media_type(headers: &HeaderMap) -> Result<MediaType, DecodeError> {
    let value = required_text(headers, &header::CONTENT_TYPE)?;
    let media_type = MediaType::from_content_type(&value);
    if media_type.as_str().is_empty() {
        return Err(DecodeError::Header {
            name: header::CONTENT_TYPE,
            value,
            reason: "it is empty".to_owned(),
        });
    }
    Ok(media_type)
}

/// The content digest in the header, where there is one.
pub(crate) fn content_digest(headers: &HeaderMap) -> Result<Option<Digest>, DecodeError> {
    let name = headers::DOCKER_CONTENT_DIGEST;
    let digest = text(headers, &name)?.map(|text| {
        Digest::new(text).map_err(|error| DecodeError::header(name.clone(), &headers[&name], error))
    });
    digest.transpose()
}

/// Holds the digest that the header promises against the one that is meant; one of another algorithm says nothing.
pub(crate) fn check_digest(
    headers: &HeaderMap,
    expected: &Digest,
    bytes: u64,
) -> Result<(), DecodeError> {
    match content_digest(headers)? {
        Some(actual) if actual.algorithm() == expected.algorithm() && actual != *expected => {
            Err(DigestMismatch::new(expected.clone(), actual, bytes).into())
        }
        _ => Ok(()),
    }
}

/// Whether a response that is not the 201 that is due says that something was taken: by its address or its digest.
/// A portal on the way responds to everything with 200.
pub(crate) fn check_taken(head: &response::Parts) -> Result<(), DecodeError> {
    let names = |name| head.headers.contains_key(name);
    if head.status == StatusCode::CREATED
        || names(&header::LOCATION)
        || names(&headers::DOCKER_CONTENT_DIGEST)
    {
        return Ok(());
    }
    Err(DecodeError::MissingHeader(header::LOCATION))
}

pub(crate) fn number(text: &str) -> Option<u64> {
    // `parse` alone would take a sign.
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}
