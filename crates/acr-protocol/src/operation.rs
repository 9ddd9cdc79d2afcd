//! What every operation says of itself ([`Describe`]) and how it goes to the wire and back ([`Operation`]).

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header,
    response,
};
use serde::Serialize;

use crate::auth::ScopeSet;
use crate::error::DecodeError;
use crate::media_type::MediaType;
use crate::reference::RepositoryName;

/// What an operation says of itself, whether its bodies are small or streamed.
pub trait Describe {
    /// The operation's one name, the same in every crate: `list_tag_properties`.
    const NAME: &'static str;
    /// The class that the service's limits count it under.
    const CLASS: OperationClass;
    /// Whether doing it twice does no harm: the outcome is that of doing it once, for all that anybody would notice.
    const IDEMPOTENT: bool;

    /// The scopes that a token needs for it. Empty where any valid token will do.
    fn scope(&self) -> ScopeSet;

    /// The repository that it works on, if it is one.
    fn repository(&self) -> Option<&RepositoryName> {
        None
    }
}

/// An operation whose response is small enough to be held whole.
///
/// `request` and `decode` are the client's half, `respond` the server's; [`crate::Route::parse`] is the inverse of `request`.
pub trait Operation: Describe {
    /// What the operation gives.
    type Output;

    /// The statuses that may mean success, exactly. That of a refusal is among them where it may say that there was
    /// nothing to do, which [`Operation::decode`] reads from its body.
    const SUCCESS: &'static [StatusCode];

    /// The request: method, path and query, headers and body. The caller adds scheme, authority and credentials.
    fn request(&self) -> Request<Bytes>;

    /// Reads the response.
    ///
    /// # Errors
    /// [`DecodeError::Status`] where the status is none of [`Operation::SUCCESS`], or a refusal that says no more than
    /// that; another kind where the response is not of the operation's form.
    fn decode(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError>;

    /// The response that a registry gives with this outcome: status, the headers that belong to the operation, body.
    fn respond(&self, output: &Self::Output) -> Response<Bytes>;
}

/// The class of an operation: the service limits each class by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum OperationClass {
    /// Exchanges and token requests, and the ping.
    Token,
    /// Reading properties and lists.
    MetadataRead,
    /// Changing properties.
    MetadataWrite,
    /// Getting and setting manifests.
    Manifest,
    /// Listing referrers, which is limited far more tightly than the rest.
    Referrers,
    /// Getting and uploading blobs.
    Blob,
    /// Deletes of every kind.
    Delete,
}

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

pub(crate) fn empty_request(method: Method, uri: Uri) -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    request
}

pub(crate) fn json_request(method: Method, uri: Uri, body: &impl Serialize) -> Request<Bytes> {
    let mut request = empty_request(method, uri);
    // The wire types of this crate serialise by construction; an empty body would be refused by the server.
    *request.body_mut() = serde_json::to_vec(body)
        .map(Bytes::from)
        .unwrap_or_default();
    request.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    request
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

pub(crate) fn empty_response(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

pub(crate) fn insert(response: &mut Response<Bytes>, name: HeaderName, value: &str) {
    // Values are texts that were validated; one that cannot be a header value is left out rather than sent maimed.
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}

pub(crate) fn check_status(
    head: &response::Parts,
    success: &[StatusCode],
) -> Result<(), DecodeError> {
    if success.contains(&head.status) {
        Ok(())
    } else {
        Err(DecodeError::Status(head.status))
    }
}

/// The announced length, in bytes.
pub(crate) fn required_length(headers: &HeaderMap) -> Result<u64, DecodeError> {
    let name = header::CONTENT_LENGTH;
    let value = headers
        .get(&name)
        .ok_or_else(|| DecodeError::MissingHeader(name.clone()))?;
    let length = value.to_str().ok().and_then(crate::blob::number);
    length.ok_or_else(|| DecodeError::header(name, value, "not a number of bytes"))
}

pub(crate) fn text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, DecodeError> {
    headers
        .get(name)
        .map_or(Ok(None), |value| match value.to_str() {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(error) => Err(DecodeError::header(name.clone(), value, error)),
        })
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
pub(crate) fn content_digest(
    headers: &HeaderMap,
) -> Result<Option<crate::digest::Digest>, DecodeError> {
    let name = headers::DOCKER_CONTENT_DIGEST;
    headers.get(&name).map_or(Ok(None), |value| {
        let text = value
            .to_str()
            .map_err(|error| DecodeError::header(name.clone(), value, error))?;
        crate::digest::Digest::new(text)
            .map(Some)
            .map_err(|error| DecodeError::header(name.clone(), value, error))
    })
}

pub(crate) fn insert_link(
    mut response: Response<Bytes>,
    next: Option<&crate::paging::PageToken>,
) -> Response<Bytes> {
    if let Some(link) = next.and_then(crate::paging::PageToken::to_link) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}
