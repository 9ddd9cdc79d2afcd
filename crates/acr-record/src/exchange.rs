//! [`Exchange`]: one request and its response. Its serde form is a line of a recording.

use bytes::Bytes;
use http::HeaderMap;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use crate::body::{Body, sha256};
use crate::http_form;

/// One request and its response, or the error that came instead.
///
/// Only `request` is required, and one of `response`, `error` and `skip`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Exchange {
    /// A name that is unique within the recording. May be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Where the exchange was recorded. May be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The revision of `source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The subject, such as `tag` or `upload`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<String>,
    /// The session that the exchange belongs to. Its exchanges follow each other on one registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The position in the session, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// The operation that sent the request, such as `get_manifest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The server that the request went to.
    #[serde(default, skip_serializing_if = "Origin::is_registry")]
    pub origin: Origin,
    /// The request.
    pub request: Request,
    /// The response, if there was one.
    #[serde(default)]
    pub response: Option<Response>,
    /// The error that came instead of a response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// The reason why the exchange cannot be replayed against a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<String>,
    /// Parts that differ from those on the wire and must not be compared, such as
    /// `response.headers.content-length`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mask: Vec<String>,
    /// What else supports a fact that the exchange shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// A comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The server that a request went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The registry.
    #[default]
    Registry,
    /// The storage that the registry redirects blob downloads to.
    Data,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Request {
    /// The method.
    #[serde(with = "http_form::method")]
    pub method: Method,
    /// The path as it was sent, percent-encoded.
    #[serde(deserialize_with = "http_form::path")]
    pub path: String,
    /// The query as it was sent, without `?`. May be empty.
    #[serde(default, deserialize_with = "http_form::query")]
    pub query: String,
    /// The headers. A recorder may have left some out.
    #[serde(default, with = "http_form::headers")]
    pub headers: HeaderMap,
    /// The body. Its bytes are given by [`bytes`](Self::bytes).
    #[serde(default)]
    pub body: Body,
    /// How the body ended.
    #[serde(default, skip_serializing_if = "BodyEnd::is_complete")]
    pub end: BodyEnd,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Response {
    /// The status.
    #[serde(with = "http_form::status")]
    pub status: StatusCode,
    /// The headers. A recorder may have left some out.
    #[serde(default, with = "http_form::headers")]
    pub headers: HeaderMap,
    /// The body. Its bytes are given by [`bytes`](Self::bytes).
    #[serde(default)]
    pub body: Body,
    /// How the body ended.
    #[serde(default, skip_serializing_if = "BodyEnd::is_complete")]
    pub end: BodyEnd,
}

/// How a body ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BodyEnd {
    /// With its last byte.
    #[default]
    Complete,
    /// Its reader stopped before the end.
    Unread,
    /// With an error.
    #[serde(untagged)]
    Failed(Failure),
}

/// The error of a transport.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// A description.
    #[serde(default)]
    pub message: String,
}

/// The kind of a [`Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FailureKind {
    /// No connection could be made.
    Connect,
    /// The certificate of the server is not trusted.
    Untrusted,
    /// The transport refused to send the request.
    Refused,
    /// The time was up.
    Timeout,
    /// The connection broke.
    Interrupted,
    /// The response is not valid HTTP.
    Unreadable,
    /// Anything else.
    Other,
}

impl Exchange {
    /// Creates an exchange by hand.
    ///
    /// ```
    /// use acr_record::Exchange;
    /// use http::{Request, Response};
    ///
    /// # fn main() -> Result<(), http::Error> {
    /// let request = Request::get("https://name.azurecr.io/v2/app/tags/list").body("".into())?;
    /// let response = Response::builder().status(503).body("".into())?;
    /// let exchange = Exchange::new(request, response);
    /// assert_eq!(exchange.request.headers["host"], "name.azurecr.io");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(request: http::Request<Bytes>, response: http::Response<Bytes>) -> Self {
        let (parts, body) = request.into_parts();
        let mut exchange = Self::from_parts(&parts);
        let request = &mut exchange.request;
        request.body = Body::from_bytes(body, &request.headers, false);
        let (parts, body) = response.into_parts();
        let mut response = Response::from_parts(&parts);
        response.body = Body::from_bytes(body, &response.headers, true);
        exchange.response = Some(response);
        exchange
    }

    /// Creates an exchange without bodies and without a response.
    pub(crate) fn from_parts(request: &http::request::Parts) -> Self {
        Self {
            id: String::new(),
            source: String::new(),
            commit: None,
            area: None,
            session: None,
            step: None,
            operation: None,
            origin: Origin::Registry,
            request: Request::from_parts(request),
            response: None,
            error: None,
            skip: None,
            mask: Vec::new(),
            evidence: None,
            note: None,
        }
    }

    /// Returns whether a part must not be compared, such as `response.headers.date`. Case is ignored.
    #[must_use]
    pub fn is_masked(&self, part: &str) -> bool {
        self.mask.iter().any(|mask| mask.eq_ignore_ascii_case(part))
    }
}

impl Origin {
    /// Returns whether it is the registry.
    #[must_use]
    pub fn is_registry(&self) -> bool {
        *self == Self::Registry
    }
}

impl Request {
    fn from_parts(parts: &http::request::Parts) -> Self {
        let mut headers = parts.headers.clone();
        if let Some(authority) = parts.uri.authority() {
            // A user and password in the URL are not part of the host.
            let host = authority.as_str().rsplit('@').next().unwrap_or_default();
            if let Ok(host) = host.parse() {
                headers.entry(http::header::HOST).or_insert(host);
            }
        }
        Self {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers,
            body: Body::Empty,
            end: BodyEnd::Complete,
        }
    }

    /// Returns the path with the query.
    #[must_use]
    pub fn target(&self) -> String {
        match self.query.as_str() {
            "" => self.path.clone(),
            query => format!("{}?{query}", self.path),
        }
    }

    /// Returns the value of the header `Host`.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.headers.get(http::header::HOST)?.to_str().ok()
    }

    /// Returns the bytes of the body; `None` if they are not in the recording. JSON is compact.
    #[must_use]
    pub fn bytes(&self) -> Option<Bytes> {
        self.body.bytes(&self.headers, false)
    }

    /// Returns the number of bytes of the body, if it is known.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        match &self.body {
            Body::Omitted { size, .. } => *size,
            _ => Some(self.bytes()?.len() as u64),
        }
    }

    /// Returns the sha256 digest of the body in hexadecimal digits, if it is known.
    #[must_use]
    pub fn sha256(&self) -> Option<String> {
        match &self.body {
            Body::Omitted { sha256, .. } => sha256.clone(),
            _ => Some(sha256(&self.bytes()?)),
        }
    }

    /// Replaces the body, and the value of `Content-Length` if it is there.
    pub fn set_body(&mut self, bytes: impl Into<Bytes>) {
        self.body = Body::replaced(bytes.into(), &mut self.headers, false);
    }

    /// Returns the request with a body. Its URL is the path and query.
    ///
    /// # Errors
    ///
    /// The path or query is not valid in a URL.
    pub fn to_http<B>(&self, body: B) -> Result<http::Request<B>, http::Error> {
        let mut request = http::Request::builder()
            .method(self.method.clone())
            .uri(self.target())
            .body(body)?;
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }
}

impl Response {
    pub(crate) fn from_parts(parts: &http::response::Parts) -> Self {
        Self {
            status: parts.status,
            headers: parts.headers.clone(),
            body: Body::Empty,
            end: BodyEnd::Complete,
        }
    }

    /// Returns the bytes of the body; `None` if they are not in the recording. JSON is compact, with a
    /// newline at its end unless `Content-Length` says that there is none.
    #[must_use]
    pub fn bytes(&self) -> Option<Bytes> {
        self.body.bytes(&self.headers, true)
    }

    /// Returns the number of bytes of the body, if it is known.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        match &self.body {
            Body::Omitted { size, .. } => *size,
            _ => Some(self.bytes()?.len() as u64),
        }
    }

    /// Returns the sha256 digest of the body in hexadecimal digits, if it is known.
    #[must_use]
    pub fn sha256(&self) -> Option<String> {
        match &self.body {
            Body::Omitted { sha256, .. } => sha256.clone(),
            _ => Some(sha256(&self.bytes()?)),
        }
    }

    /// Replaces the body, and the value of `Content-Length` if it is there.
    pub fn set_body(&mut self, bytes: impl Into<Bytes>) {
        self.body = Body::replaced(bytes.into(), &mut self.headers, true);
    }

    /// Returns the response with a body.
    pub fn to_http<B>(&self, body: B) -> http::Response<B> {
        let mut response = http::Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }
}

impl BodyEnd {
    /// Returns whether the body ended with its last byte.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        *self == Self::Complete
    }
}

impl Failure {
    /// Creates a failure.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}
