//! [`RecordedExchange`]: one request and what came of it.

use std::fmt;

use acr_protocol::Digest;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};

use crate::transport::{TransportError, TransportErrorKind};

/// A request and its answer, or why there was none.
///
/// `Debug` shows no header, no query and no body.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct RecordedExchange {
    /// The name of the operation that the request was part of, such as `get_manifest`.
    pub operation: Option<String>,
    /// Whether the request left the registry's host: to where a blob was redirected.
    pub to_data: bool,
    /// What was sent.
    pub request: RecordedRequest,
    /// What was answered, or why nothing was.
    pub outcome: Result<RecordedResponse, RecordedError>,
    /// Parts that differ from those on the wire, such as `response.headers.content-length`, so that
    /// nobody may compare them.
    pub mask: Vec<String>,
}

/// What was sent.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct RecordedRequest {
    /// The method.
    pub method: Method,
    /// The path, as it was written.
    pub path: String,
    /// The query without its `?`; may be empty.
    pub query: String,
    /// The headers; `Host` among them where the URL named a host.
    pub headers: HeaderMap,
    /// The body.
    pub body: RecordedBody,
    /// How the body ended.
    pub end: BodyEnd,
}

/// What was answered.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct RecordedResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: RecordedBody,
    /// How the body ended.
    pub end: BodyEnd,
}

/// What is kept of a body.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordedBody {
    /// These bytes, which may be none.
    Bytes(Bytes),
    /// Not the bytes, because they were too many.
    Digest {
        /// Their digest, unless the body did not come to its end.
        digest: Option<Digest>,
        /// How many they were, unless the body did not come to its end.
        size: Option<u64>,
    },
}

/// How a body ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum BodyEnd {
    /// With its last byte.
    #[default]
    Complete,
    /// Whoever read it read no further.
    Unread,
    /// It broke off.
    Broken(RecordedError),
}

/// Why there was no answer, or not all of it, as far as another such error can be made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedError {
    /// What went wrong.
    pub kind: TransportErrorKind,
    /// What happened, in words.
    pub message: String,
}

impl RecordedExchange {
    /// Makes an exchange by hand.
    ///
    /// ```
    /// use acr_client::transport::record::{RecordedExchange, Recording, Replay};
    /// use http::{Request, Response};
    ///
    /// # fn main() -> Result<(), http::Error> {
    /// let request = Request::get("https://name.azurecr.io/v2/app/tags/list").body("".into())?;
    /// let answer = Response::builder().status(503).body("".into())?;
    /// let recording = Recording::from_iter([RecordedExchange::new(request, answer)]);
    /// let transport = Replay::new(recording);
    /// # let _ = transport;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(request: Request<Bytes>, response: Response<Bytes>) -> Self {
        let (parts, body) = request.into_parts();
        let mut request = RecordedRequest::of(&parts);
        request.body = RecordedBody::Bytes(body);
        let (parts, body) = response.into_parts();
        let mut response = RecordedResponse::of(&parts);
        response.body = RecordedBody::Bytes(body);
        Self::with(request, Ok(response))
    }

    pub(super) const fn with(
        request: RecordedRequest,
        outcome: Result<RecordedResponse, RecordedError>,
    ) -> Self {
        Self {
            operation: None,
            to_data: false,
            request,
            outcome,
            mask: Vec::new(),
        }
    }

    /// Takes note that a part differs from that on the wire.
    pub(super) fn mask(&mut self, part: impl Into<String>) {
        let part = part.into();
        if !self.mask.contains(&part) {
            self.mask.push(part);
        }
    }

    pub(super) fn is_masked(&self, part: &str) -> bool {
        self.mask.iter().any(|mask| mask.eq_ignore_ascii_case(part))
    }
}

impl RecordedRequest {
    /// The head of a request, with a body of nothing.
    pub(super) fn of(parts: &http::request::Parts) -> Self {
        let mut headers = parts.headers.clone();
        if let Some(authority) = parts.uri.authority() {
            // A user and password in a URL are no part of the host.
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
            body: RecordedBody::default(),
            end: BodyEnd::Complete,
        }
    }

    /// The host that it went to, with the port if the URL named one.
    pub(super) fn host(&self) -> Option<&str> {
        self.headers.get(http::header::HOST)?.to_str().ok()
    }
}

impl RecordedResponse {
    /// The head of an answer, with a body of nothing.
    pub(super) fn of(parts: &http::response::Parts) -> Self {
        Self {
            status: parts.status,
            headers: parts.headers.clone(),
            body: RecordedBody::default(),
            end: BodyEnd::Complete,
        }
    }
}

impl RecordedBody {
    /// Returns the bytes, if they were kept.
    #[must_use]
    pub const fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Digest { .. } => None,
        }
    }

    /// Returns the sha256 digest, if it is known.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Self::Bytes(bytes) => Some(Digest::sha256(bytes)),
            Self::Digest { digest, .. } => digest.clone(),
        }
    }

    /// Returns the number of bytes, if it is known.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Digest { size, .. } => *size,
        }
    }
}

impl RecordedError {
    /// Makes an error of a kind; the message says what happened.
    pub fn new(kind: TransportErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// What an error says, with all that it says of its causes.
    pub(super) fn of(error: &TransportError) -> Self {
        let mut message = String::new();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            let text = cause.to_string();
            // A cause may name its own cause already.
            if !message.ends_with(&text) {
                if !message.is_empty() {
                    message.push_str(": ");
                }
                message.push_str(&text);
            }
            source = cause.source();
        }
        Self::new(error.kind(), message)
    }

    pub(super) fn to_transport_error(&self) -> TransportError {
        TransportError::new(self.kind, self.message.clone())
    }
}

impl Default for RecordedBody {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}

impl fmt::Debug for RecordedExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedExchange")
            .field("operation", &self.operation)
            .field("to_data", &self.to_data)
            .field("request", &self.request)
            .field("outcome", &self.outcome)
            .field("mask", &self.mask)
            .finish()
    }
}

impl fmt::Debug for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("body", &self.body)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RecordedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedResponse")
            .field("status", &self.status)
            .field("body", &self.body)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RecordedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Bytes(_) => "bytes",
            Self::Digest { .. } => "digest",
        };
        f.debug_struct("RecordedBody")
            .field("kind", &kind)
            .field("size", &self.size())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn the_host_stands_among_the_headers_without_a_user() {
        for (url, host) in [
            ("https://r.example:8443/v2/?a=b", Some("r.example:8443")),
            ("https://user:hunter2@r.example/v2/?a=b", Some("r.example")),
            ("/v2/?a=b", None),
        ] {
            let (parts, ()) = Request::get(url).body(()).unwrap().into_parts();
            let request = RecordedRequest::of(&parts);
            assert_eq!(request.host(), host, "{url}");
            assert_eq!((&*request.path, &*request.query), ("/v2/", "a=b"));
        }
    }

    #[test]
    fn an_error_says_what_its_causes_say_and_becomes_one_of_its_kind() {
        let cause = TransportError::new(TransportErrorKind::Connect, io::Error::other("refused"));
        let error = TransportError::new(TransportErrorKind::Timeout, cause);
        let recorded = RecordedError::of(&error);
        assert_eq!(recorded.message, "cannot connect to the server: refused");
        let again = recorded.to_transport_error();
        assert_eq!(again.kind(), TransportErrorKind::Timeout);
        assert_eq!(RecordedError::of(&again), recorded);
    }

    #[test]
    fn debug_shows_neither_header_nor_query_nor_body() {
        let request = Request::post("https://r.example/v2/?sig=hunter2")
            .header("authorization", "hunter2")
            .body("hunter2".into())
            .unwrap();
        let response = Response::builder()
            .header("location", "hunter2")
            .body("hunter2".into())
            .unwrap();
        let text = format!("{:?}", RecordedExchange::new(request, response));
        assert!(text.contains("/v2/") && text.contains("200"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
