//! [`ErrorResponse`]: every way in which the registry says no, in the service's words. One constructor for each wording.

use std::net::IpAddr;

use acr_protocol::operation::JSON_UTF8;
use acr_protocol::upload::UploadProgress;
use acr_protocol::{Digest, ErrorCode, ErrorEnvelope, Reference, RegistryError, RepositoryName};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::Body;

/// A response that is not a success.
#[derive(Debug)]
pub(crate) struct ErrorResponse {
    status: StatusCode,
    content: Content,
    headers: Vec<(HeaderName, HeaderValue)>,
    kind: HeaderSet,
}

#[derive(Debug)]
enum Content {
    Envelope(ErrorEnvelope),
    Text(&'static str, &'static str),
    Page(String),
    Empty,
}

/// Which headers the service puts around a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderSet {
    /// The registry's own, after it knew who asks.
    Authorised,
    /// The registry's own, but without credentials that do.
    Unauthorised,
    /// The registry's plain 404 for what fits no grammar.
    Malformed,
    /// The proxy in front of the registry.
    Front,
}

const DISALLOWED: &str = "The operation is disallowed on this registry, repository or image. View troubleshooting steps at https://aka.ms/acr/faq/#why-does-my-pull-or-push-request-fail-with-disallowed-operation";

impl ErrorResponse {
    fn new(status: StatusCode, kind: HeaderSet, content: Content) -> Self {
        Self {
            status,
            content,
            headers: Vec::new(),
            kind,
        }
    }

    /// A refusal in the registry's form: one error with this code and message.
    pub(crate) fn json(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        let envelope = RegistryError::new(code, message).into();
        Self::new(status, HeaderSet::Authorised, Content::Envelope(envelope))
    }

    fn bad_request(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::json(StatusCode::BAD_REQUEST, code, message)
    }

    fn not_found(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::json(StatusCode::NOT_FOUND, code, message)
    }

    fn with_detail(mut self, detail: impl Into<Value>) -> Self {
        if let Content::Envelope(envelope) = &mut self.content
            && let Some(error) = envelope.errors.first_mut()
        {
            error.detail = Some(detail.into());
        }
        self
    }

    fn with_kind(self, kind: HeaderSet) -> Self {
        Self { kind, ..self }
    }

    /// A path outside the API: served in front of the registry.
    pub(crate) fn unknown_path() -> Self {
        let text = Content::Text("application/octet-stream", "Not found");
        Self::new(StatusCode::NOT_FOUND, HeaderSet::Front, text)
    }

    /// A name, tag or digest in the path that fits no grammar.
    pub(crate) fn malformed_path() -> Self {
        let text = Content::Text("text/plain; charset=utf-8", "404 page not found\n");
        Self::new(StatusCode::NOT_FOUND, HeaderSet::Malformed, text)
    }

    /// Chosen: a push to what is neither a tag nor a digest, where the profile says more than that there is no such path.
    pub(crate) fn malformed_reference(reference: &str) -> Self {
        if reference.contains(':') || reference.to_ascii_lowercase().contains("%3a") {
            return Self::invalid_parameter("digest", reference);
        }
        Self::invalid_parameter("tag", reference)
    }

    /// Chosen: what the service responds to a wrong method on a known path is not known. It comes before the challenge.
    pub(crate) fn method_not_allowed(allowed: &[Method]) -> Self {
        let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
        let message = "The operation is unsupported.";
        Self::json(
            StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::UNSUPPORTED,
            message,
        )
        .with_text(ALLOW, &names.join(", "))
    }

    /// The challenge: no credentials, or not enough of them.
    pub(crate) fn challenge(challenge: &str, detail: Value) -> Self {
        let message =
            "authentication required, visit https://aka.ms/acr/authorization for more information.";
        Self::unauthorised(message)
            .with_detail(detail)
            .with_challenge(challenge)
    }

    /// A user name or password that is wrong. The words are those that clients show; the exact body is chosen.
    pub(crate) fn invalid_login() -> Self {
        Self::unauthorised("Invalid clientid or client secret.")
    }

    fn unauthorised(message: &str) -> Self {
        Self::json(StatusCode::UNAUTHORIZED, ErrorCode::UNAUTHORIZED, message)
            .with_kind(HeaderSet::Unauthorised)
    }

    /// Most failures of the token endpoints: 401 without a body or a challenge.
    pub(crate) fn token_refused() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            HeaderSet::Unauthorised,
            Content::Empty,
        )
    }

    /// An Entra token that does not hold: an envelope of its own form (see `oauth`).
    pub(crate) fn entra_token_refused(message: &str) -> Self {
        Self::unauthorised(message)
    }

    /// An identity without a role on the registry.
    pub(crate) fn no_permissions() -> Self {
        let message = "retrieving permissions failed";
        Self::json(StatusCode::FORBIDDEN, ErrorCode::DENIED, message)
    }

    /// An unknown repository, where it is read, changed or listed.
    pub(crate) fn repository_not_found(name: &RepositoryName) -> Self {
        let message = format!("repository \"{name}\" is not found");
        Self::not_found(ErrorCode::NAME_UNKNOWN, message)
    }

    /// An unknown tag in the metadata API.
    pub(crate) fn tag_unknown() -> Self {
        Self::not_found(ErrorCode::TAG_UNKNOWN, "the specified tag does not exist")
    }

    /// An unknown manifest in the metadata API.
    pub(crate) fn manifest_unknown() -> Self {
        Self::not_found(ErrorCode::MANIFEST_UNKNOWN, "manifest unknown")
    }

    /// An unknown manifest in the OCI API.
    pub(crate) fn manifest_not_found(repository: &RepositoryName, reference: &Reference) -> Self {
        let (message, detail) = match reference {
            Reference::Tag(tag) => (
                format!("manifest tagged by \"{tag}\" is not found"),
                json!({ "Tag": tag }),
            ),
            Reference::Digest(digest) => (
                format!("manifest {digest} is not found"),
                json!({ "Name": repository, "Revision": digest }),
            ),
        };
        Self::not_found(ErrorCode::MANIFEST_UNKNOWN, message).with_detail(detail)
    }

    /// An unknown blob, where it is read.
    pub(crate) fn blob_not_found(digest: &Digest) -> Self {
        Self::not_found(ErrorCode::BLOB_UNKNOWN, "blob unknown to registry")
            .with_detail(digest.as_str())
            .with_header(CACHE_CONTROL, HeaderValue::from_static("no-cache"))
    }

    /// A manifest can only be deleted by digest.
    pub(crate) fn delete_by_tag() -> Self {
        let message = "A manifest can only be deleted by digest.";
        Self::json(
            StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::UNSUPPORTED,
            message,
        )
    }

    /// A lock forbids it.
    pub(crate) fn disallowed() -> Self {
        let code = ErrorCode::REGISTRY_DISALLOWED_OPERATION;
        Self::json(StatusCode::METHOD_NOT_ALLOWED, code, DISALLOWED).with_detail(json!({}))
    }

    /// The registry holds as much as it may. The code is documented for a registry over its storage, and stands for locks
    /// otherwise; the detail is chosen.
    pub(crate) fn registry_full(most: u64) -> Self {
        let reason = format!("the registry is full: it may hold at most {most} bytes of content");
        Self::disallowed().with_detail(json!({ "Reason": reason }))
    }

    /// A manifest that is not well-formed, or not of the type it came with.
    pub(crate) fn manifest_invalid() -> Self {
        Self::bad_request(ErrorCode::MANIFEST_INVALID, "manifest invalid")
            .with_detail(json!({ "Reason": {} }))
    }

    /// Chosen: how the service refuses a manifest over its bound is not known.
    pub(crate) fn manifest_too_large() -> Self {
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            ..Self::manifest_invalid()
        }
    }

    /// A request body over what its operation can need. Chosen.
    pub(crate) fn body_too_large() -> Self {
        let message = "the request body is too large";
        Self::json(
            StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::SIZE_INVALID,
            message,
        )
    }

    /// A head over the bound. Chosen, in the form of what is served in front of the registry.
    pub(crate) fn head_too_large() -> Self {
        let message = "the head of the request is too large\n";
        let text = Content::Text("text/plain; charset=utf-8", message);
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            HeaderSet::Front,
            text,
        )
    }

    /// More than there may be in a time, or at once. The code is that of the OCI specification, the message is chosen.
    pub(crate) fn too_many_requests(retry_after: Option<i64>) -> Self {
        let (status, code) = (StatusCode::TOO_MANY_REQUESTS, ErrorCode::TOOMANYREQUESTS);
        let refusal = Self::json(status, code, "too many requests");
        match retry_after {
            Some(seconds) => refusal.with_header(RETRY_AFTER, HeaderValue::from(seconds)),
            None => refusal,
        }
    }

    /// Chosen: a status that the registry has no words for, as a proxy in front of it says it.
    pub(crate) fn page(status: StatusCode) -> Self {
        let page = format!(
            "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n</body>\r\n</html>\r\n"
        );
        Self::new(status, HeaderSet::Front, Content::Page(page))
    }

    /// The firewall's word to a client that it does not let in.
    pub(crate) fn not_allowed_access(client: IpAddr) -> Self {
        let message = format!(
            "client with IP '{client}' is not allowed access. Refer https://aka.ms/acr/firewall to grant access."
        );
        Self::json(StatusCode::FORBIDDEN, ErrorCode::DENIED, message)
            .with_kind(HeaderSet::Unauthorised)
    }

    /// Chosen: a chunk behind one that was shorter than the registry allows for any but the last.
    pub(crate) fn chunk_too_short(minimum: u64) -> Self {
        let message =
            format!("the chunk before was shorter than {minimum} bytes, so it must be the last");
        Self::bad_request(ErrorCode::SIZE_INVALID, message)
    }

    /// Blobs, or children of an index, that the repository does not hold: one error for each.
    pub(crate) fn content_missing<'a>(digests: impl IntoIterator<Item = &'a Digest>) -> Self {
        let (status, kind) = (StatusCode::BAD_REQUEST, HeaderSet::Authorised);
        let message = "blob unknown to registry";
        let error = |digest: &Digest| {
            RegistryError::new(ErrorCode::MANIFEST_BLOB_UNKNOWN, message)
                .with_detail(digest.as_str())
        };
        let errors = digests.into_iter().map(error).collect();
        Self::new(status, kind, Content::Envelope(ErrorEnvelope { errors }))
    }

    /// A digest that is malformed, missing or not that of the content.
    pub(crate) fn digest_invalid(detail: impl Into<Value>) -> Self {
        let message = "provided digest did not match uploaded content";
        Self::bad_request(ErrorCode::DIGEST_INVALID, message).with_detail(detail)
    }

    /// A chunk that was sent to an old location: no body, but the upload's true state in the headers.
    pub(crate) fn stale_location(progress: &UploadProgress) -> Self {
        let (head, _) = progress.respond_stale().into_parts();
        let headers = head.headers.iter();
        Self {
            headers: headers
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            ..Self::new(head.status, HeaderSet::Authorised, Content::Empty)
        }
    }

    /// Chosen: an upload that is not there, or no longer.
    pub(crate) fn upload_unknown() -> Self {
        let message = "blob upload unknown to registry";
        Self::not_found(ErrorCode::BLOB_UPLOAD_UNKNOWN, message)
    }

    /// Chosen: an upload's location whose state was tampered with.
    pub(crate) fn upload_invalid() -> Self {
        Self::bad_request(ErrorCode::BLOB_UPLOAD_INVALID, "blob upload invalid")
    }

    /// A chunk's `Content-Range` that is malformed or out of order.
    pub(crate) fn range_invalid(range: &str, reason: &str) -> Self {
        let code = ErrorCode::BLOB_UPLOAD_RANGE_INVALID;
        let message = "blob upload range invalid";
        Self::json(StatusCode::RANGE_NOT_SATISFIABLE, code, message)
            .with_detail(json!({ "Range": range, "Reason": reason }))
    }

    /// A chunk that begins where the upload does not end.
    pub(crate) fn out_of_order(range: &str, offset: u64) -> Self {
        let reason = format!("out of order chunk: content range should start at {offset}");
        Self::range_invalid(range, &reason)
    }

    /// Chosen: a body that is not as long as announced.
    pub(crate) fn size_invalid() -> Self {
        let message = "provided length did not match content length";
        Self::bad_request(ErrorCode::SIZE_INVALID, message)
    }

    /// Chosen: a query parameter that is no number or no digest.
    pub(crate) fn invalid_parameter(parameter: &str, value: &str) -> Self {
        let (code, message) = match parameter {
            "digest" | "mount" => return Self::digest_invalid("digest parsing failed"),
            "n" => (
                ErrorCode::PAGINATION_NUMBER_INVALID,
                "invalid number of results requested",
            ),
            "from" => (ErrorCode::NAME_INVALID, "invalid repository name"),
            _ => (ErrorCode::TAG_INVALID, "manifest tag did not match URI"),
        };
        Self::bad_request(code, message).with_detail(json!({ parameter: value }))
    }

    /// Chosen: a body that is not the JSON of its operation.
    pub(crate) fn invalid_body(reason: &str) -> Self {
        Self::bad_request(ErrorCode::UNSUPPORTED, "the request body is malformed")
            .with_detail(reason)
    }

    pub(crate) fn with_challenge(self, challenge: &str) -> Self {
        self.with_text(WWW_AUTHENTICATE, challenge)
    }

    fn with_text(self, name: HeaderName, text: &str) -> Self {
        match HeaderValue::try_from(text) {
            Ok(value) => self.with_header(name, value),
            Err(_) => self,
        }
    }

    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn errors(&self) -> &[RegistryError] {
        match &self.content {
            Content::Envelope(envelope) => &envelope.errors,
            _ => &[],
        }
    }

    pub(crate) fn kind(&self) -> HeaderSet {
        self.kind
    }

    /// The response without the headers that the service puts around every one.
    pub(crate) fn into_response(self) -> Response<Body> {
        let (content_type, body) = match self.content {
            Content::Envelope(envelope) => {
                let mut text = serde_json::to_string(&envelope).unwrap_or_default();
                text.push('\n');
                (Some(JSON_UTF8), Body::from(text))
            }
            Content::Text(content_type, text) => (
                Some(HeaderValue::from_static(content_type)),
                Body::from(text),
            ),
            Content::Page(page) => (
                Some(HeaderValue::from_static("text/html")),
                Body::from(page),
            ),
            Content::Empty => (None, Body::empty()),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        if let Some(content_type) = content_type {
            response.headers_mut().insert(CONTENT_TYPE, content_type);
        }
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

impl std::fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.status)?;
        self.errors()
            .iter()
            .try_for_each(|error| write!(f, ", {error}"))
    }
}
