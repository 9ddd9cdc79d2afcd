//! What a response that is not a success says.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use acr_protocol::operation::headers::{CORRELATION_REQUEST_ID, DOCKER_DISTRIBUTION_API_VERSION};
use acr_protocol::{
    Challenge, DecodeError, ErrorEnvelope, MediaType, Operation as _, OperationClass, Ping,
    RegistryError, RetryAfter, ScopeSet, one_line,
};
use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use http::response::Parts;
use http::{HeaderMap, Method, StatusCode};

use crate::error::{Error, ErrorKind, is_absence};
use crate::mask::Mask;
use crate::operation_info::OperationInfo;
use crate::response::Received;
use crate::url::origin_text;

impl Received {
    /// Builds the error of a response that is not a success of an operation, whose body was drained; without
    /// the credential that the request carried.
    pub(crate) fn into_error(self, info: &OperationInfo, now: SystemTime) -> Error {
        let mask = self.mask();
        let Self {
            head,
            body,
            method,
            url,
            is_elsewhere,
            ..
        } = self;
        let body = body.in_memory().cloned().unwrap_or_default();
        let mut errors = ErrorEnvelope::parse(&body).errors;
        // Before they are shortened, so that no half of a secret is left.
        mask.errors(&mut errors);
        // A ping counts as one, and fetches none.
        let is_for_token = info.class == OperationClass::Token && info.name != Ping::SPEC.name;
        let mut missing_scope = None;
        if head.status == StatusCode::UNAUTHORIZED && !is_for_token {
            missing_scope = lacked_scope(&head.headers, &info.scope).map(|scope| mask.text(scope));
        }
        let code = errors.first().map(|error| &error.code);
        let mut kind = ErrorKind::of_response(head.status, code, missing_scope.is_some());
        let mut text = text(head.status, &errors, &head.headers, &body, &mask);
        let is_acr_api = url.path().starts_with("/acr/");
        if is_for_token {
            kind = kind_of_token_error(head.status);
            text = format!("no token from {}: {text}", info.name);
        } else if kind == ErrorKind::Unsupported && is_bare_absence(&method, &head) {
            kind = ErrorKind::NotFound;
        } else if kind == ErrorKind::NotFound && is_acr_api && !code.is_some_and(is_absence) {
            // A registry that does not know the path says what it says of all that it does not know.
            kind = ErrorKind::Unsupported;
        }
        let id = request_id(&head.headers, &mask);
        let is_of_url = matches!(
            head.status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        );
        if is_elsewhere && (kind == ErrorKind::Unsupported || is_of_url) {
            // It says nothing about the identity, for no credential was sent there, and a storage's 404 nothing
            // about what the registry offers: it has just said that the content is there.
            let text = format!(
                "the registry keeps the content at {}, which refuses it: {}",
                origin_text(&url),
                head.status
            );
            let error = Error::new(ErrorKind::Registry, text);
            let error = error.with_response(head.status, id, None);
            return if is_of_url {
                error.of_redirect_url()
            } else {
                error
            };
        }
        if let Some(scope) = &missing_scope {
            text = format!("the permission {scope} is missing ({text})");
        } else if is_for_token {
            // Its kind says all.
        } else if kind == ErrorKind::Protocol {
            text =
                format!("the server responds with {text}, which is not a response to this request");
        } else if kind == ErrorKind::Unsupported {
            text.push_str(if is_acr_api {
                "; no ACR API here; list_tags and delete by digest work on every registry"
            } else if errors.is_empty() {
                "; no registry says so, but the server at the endpoint or a proxy before it"
            } else {
                "; the registry does not offer the operation"
            });
        }
        Error::new(kind, text)
            .with_response(head.status, id, retry_after(&head.headers, now))
            .with_registry_errors(errors)
            .with_missing_scope(missing_scope)
    }

    /// Says in an error to which response it is.
    pub(crate) fn annotate(&self, error: Error) -> Error {
        let id = request_id(&self.head.headers, &self.mask());
        error.with_response(self.head.status, id, None)
    }

    /// The error of a response with a good status whose content is nonsense.
    pub(crate) fn undecodable(&self, error: DecodeError) -> Error {
        let (kind, text) = match error {
            DecodeError::Digest(mismatch) => (ErrorKind::DigestMismatch, mismatch.to_string()),
            other => (ErrorKind::Protocol, other.to_string()),
        };
        self.annotate(Error::new(kind, self.mask().text(text)))
    }
}

/// The permission that is missing, where a challenge says that this is why it was not met.
fn lacked_scope(headers: &HeaderMap, scope: &ScopeSet) -> Option<String> {
    let challenges = Challenge::from_headers(headers);
    let challenge = challenges.iter().find(|challenge| challenge.is_bearer())?;
    let asked = challenge.scope().unwrap_or_default();
    let asked = if asked.is_empty() { scope } else { &asked };
    (challenge.error() == Some("insufficient_scope")).then(|| asked.to_string())
}

/// The kind of a token server's error. Not that of the status as such: a token server that is not
/// there is no missing repository, and a delete must not take it for one.
fn kind_of_token_error(status: StatusCode) -> ErrorKind {
    match status {
        // Docker's token servers respond to a wrong password with 400 or 403 now and then; ACR's 403 is
        // a firewall or an identity without a role.
        StatusCode::UNAUTHORIZED | StatusCode::BAD_REQUEST => ErrorKind::Unauthorized,
        StatusCode::FORBIDDEN => ErrorKind::Denied,
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::Throttled,
        status if status.is_server_error() => ErrorKind::Registry,
        _ => ErrorKind::Protocol,
    }
}

/// Whether a 404 without a body says that something is not there: that of a `HEAD`, where the header of
/// the registry's protocol marks it as a registry's.
///
/// Azure, distribution, ECR, GHCR, Docker Hub and Google's send it. JSON marks nothing, for gateways
/// refuse in JSON too. A registry without the header, such as zot or `crane registry serve`, is asked
/// once more by a `GET`, whose body has a code; so is whoever else responds like it.
fn is_bare_absence(method: &Method, head: &Parts) -> bool {
    *method == Method::HEAD
        && head.status == StatusCode::NOT_FOUND
        && head.headers.contains_key(DOCKER_DISTRIBUTION_API_VERSION)
}

/// The status and the registry's words. Other bodies are not repeated, only what they claim to be:
/// it tells a registry from another kind of server.
fn text(
    status: StatusCode,
    errors: &[RegistryError],
    headers: &HeaderMap,
    body: &[u8],
    mask: &Mask,
) -> String {
    let mut text = status.as_str().to_owned();
    if let Some(reason) = status.canonical_reason() {
        let _ = write!(text, " {reason}");
    }
    match errors {
        [] if body.is_empty() => {}
        [] => {
            let of = body_is(headers, mask);
            let _ = write!(text, " (with a body {of}, no registry's error)");
        }
        [first, rest @ ..] => {
            let _ = write!(text, ": {}", excerpt(&first.to_string()));
            if !rest.is_empty() {
                let _ = write!(text, " (and {} more)", rest.len());
            }
        }
    }
    text
}

/// What a body claims to be: `of text/html`, or that it does not say.
fn body_is(headers: &HeaderMap, mask: &Mask) -> String {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return "without a Content-Type".to_owned();
    };
    match value.to_str().map(MediaType::from_content_type) {
        Ok(of) if of.as_str().is_empty() => "with an empty Content-Type".to_owned(),
        Ok(of) => format!("of {}", excerpt(&mask.text(of.as_str()))),
        Err(_) => "with a Content-Type that is not text".to_owned(),
    }
}

fn request_id(headers: &HeaderMap, mask: &Mask) -> Option<String> {
    let id = headers.get(CORRELATION_REQUEST_ID)?.to_str().ok()?;
    Some(excerpt(&mask.text(id)))
}

/// Reads `Retry-After`: how long to wait from now on. A date is held against the response's own `Date`
/// where there is one, since the clocks may differ.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let read = |name| RetryAfter::parse(headers.get(name)?.to_str().ok()?);
    let asked = read(RETRY_AFTER)?;
    let now = match read(DATE) {
        Some(RetryAfter::At(date)) => date,
        _ => now.into(),
    };
    Some(asked.delay(now))
}

/// How much of an error response's body is read, in bytes. A manifest with a hundred missing blobs
/// stays below it.
pub(crate) const MAX_ERROR_BODY: usize = 64 << 10;

/// The beginning of a server's text in one line, fit for a log.
fn excerpt(text: &str) -> String {
    const MAX_CHARS: usize = 500;
    one_line(text).chars().take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Response, Uri};

    use super::*;
    use crate::transport::Body;

    /// The error of a response to a request for the properties of a tag.
    fn told(head: &Parts, body: &[u8]) -> Error {
        error_of(
            OperationClass::MetadataRead,
            Method::GET,
            PROPERTIES,
            head,
            body,
        )
    }

    fn error_of(
        class: OperationClass,
        method: Method,
        url: &'static str,
        head: &Parts,
        body: &[u8],
    ) -> Error {
        let response = Received {
            head: head.clone(),
            body: Body::bytes(body.to_vec()),
            method,
            url: Uri::from_static(url),
            is_elsewhere: url.contains("storage"),
            sent: None,
            secrets: Mask::default(),
            permit: None,
        };
        let info = OperationInfo::new("operation", class, ScopeSet::default());
        response.into_error(&info, now())
    }

    const PROPERTIES: &str = "https://r.example/acr/v1/app/_tags/v1";
    const MANIFEST: &str = "https://r.example/v2/app/manifests/v1";

    /// A hundred seconds into 1970.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(100)
    }

    fn head(status: u16, headers: &[(&'static str, &'static str)]) -> Parts {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_registry_s_error_is_told_in_its_words() {
        let head = head(
            404,
            &[
                ("x-ms-correlation-request-id", "id-1"),
                ("retry-after", "7"),
            ],
        );
        let body =
            br#"{"errors":[{"code":"TAG_UNKNOWN","message":"the specified tag does not exist"}]}"#;
        let error = told(&head, body);
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(
            error.to_string(),
            "404 Not Found: TAG_UNKNOWN: the specified tag does not exist"
        );
        assert_eq!(error.request_id(), Some("id-1"));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
    }

    #[test]
    fn a_registry_without_azures_api_is_told_from_a_tag_that_is_missing() {
        let envelope = |code: &str| format!(r#"{{"errors":[{{"code":"{code}","message":""}}]}}"#);
        for (status, body) in [
            (404, "<html>blocked by gateway</html>".to_owned()),
            (404, String::new()),
            (404, "404 page not found\n".to_owned()),
            (404, envelope("UNSUPPORTED")),
            (404, envelope("NOT_FOUND")),
            (405, envelope("METHOD_UNKNOWN")),
            (405, String::new()),
        ] {
            let error = told(&head(status, &[]), body.as_bytes());
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{body}");
            let hint = "no ACR API here; list_tags and delete by digest work on every registry";
            assert!(error.to_string().ends_with(hint), "{error}");
        }
    }

    #[test]
    fn a_head_s_404_is_a_registry_s_by_the_header_of_the_protocol_alone() {
        let json = ("content-type", "application/json");
        for (method, headers, kind) in [
            (
                &Method::HEAD,
                &[("docker-distribution-api-version", "registry/2.0")][..],
                ErrorKind::NotFound,
            ),
            (&Method::HEAD, &[json], ErrorKind::Unsupported),
            (&Method::HEAD, &[], ErrorKind::Unsupported),
            (
                &Method::GET,
                &[("docker-distribution-api-version", "registry/2.0")],
                ErrorKind::Unsupported,
            ),
        ] {
            let head = head(404, headers);
            let class = OperationClass::Manifest;
            let error = error_of(class, method.clone(), MANIFEST, &head, b"");
            assert_eq!(error.kind(), kind, "{method} {headers:?}");
        }
    }

    #[test]
    fn a_missing_right_is_named() {
        let challenge =
            r#"Bearer realm="x",error="insufficient_scope",scope="repository:app:delete""#;
        let error = told(&head(401, &[("www-authenticate", challenge)]), b"");
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert_eq!(error.missing_scope(), Some("repository:app:delete"));
        assert_eq!(
            error.to_string(),
            "the permission repository:app:delete is missing (401 Unauthorized)"
        );
    }

    #[test]
    fn a_missing_token_server_is_no_missing_repository() {
        for status in [404, 405, 302, 204] {
            let head = head(status, &[]);
            let error = error_of(OperationClass::Token, Method::POST, MANIFEST, &head, b"");
            assert_eq!(error.kind(), ErrorKind::Protocol);
        }
    }

    #[test]
    fn what_a_storage_says_is_nothing_about_the_identity_or_the_registry() {
        let url = "https://storage.example/blob?sig=secret";
        for (status, kind) in [
            (401, ErrorKind::Registry),
            (403, ErrorKind::Registry),
            (404, ErrorKind::Registry),
            (429, ErrorKind::Throttled),
        ] {
            let head = head(status, &[]);
            let error = error_of(OperationClass::Blob, Method::GET, url, &head, b"");
            assert_eq!(error.kind(), kind);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_body_that_is_no_error_is_not_repeated() {
        let error = told(
            &head(502, &[("content-type", "text/html; charset=utf-8")]),
            b"<html>token=secret</html>",
        );
        assert_eq!(
            error.to_string(),
            "502 Bad Gateway (with a body of text/html, no registry's error)"
        );
    }

    #[test]
    fn a_content_type_that_is_empty_or_absent_is_called_that() {
        for (headers, expected) in [
            (&[][..], "without a Content-Type"),
            (&[("content-type", "")], "with an empty Content-Type"),
            (
                &[("content-type", " ; charset=utf-8")],
                "with an empty Content-Type",
            ),
            (
                &[("content-type", "ä")],
                "with a Content-Type that is not text",
            ),
            (&[("content-type", "text/html;x")], "of text/html"),
        ] {
            let head = head(502, headers);
            let error = told(&head, b"oops");
            assert_eq!(
                error.to_string(),
                format!("502 Bad Gateway (with a body {expected}, no registry's error)")
            );
        }
    }

    #[test]
    fn marks_of_direction_in_a_server_s_text_stay_out_of_the_error() {
        let body =
            "{\"errors\":[{\"code\":\"A\u{202e}\",\"message\":\"b\u{2066}c\u{2028}d\u{9b}e\"}]}";
        let head = head(
            400,
            &[
                ("x-ms-correlation-request-id", "id-1"),
                ("content-type", "text/\u{202e}x"),
            ],
        );
        let error = told(&head, body.as_bytes());
        assert_eq!(error.to_string(), "400 Bad Request: A : b c d e");
    }

    #[test]
    fn a_server_s_text_stays_in_one_line_and_short() {
        let message = "x\\n".repeat(5000);
        let body = format!(r#"{{"errors":[{{"code":"A","message":"{message}"}}]}}"#);
        let error = told(&head(400, &[]), body.as_bytes());
        let text = error.to_string();
        assert!(text.len() < 600 && !text.contains('\n'), "{text}");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_server_s_own_clock() {
        let date = "Thu, 01 Jan 1970 00:02:00 GMT";
        for (after, date, expected) in [
            ("7", None, Some(7)),
            (date, None, Some(20)),
            (date, Some("Thu, 01 Jan 1970 00:01:59 GMT"), Some(1)),
            (date, Some("Thu, 01 Jan 1970 00:03:00 GMT"), Some(0)),
            (date, Some("nonsense"), Some(20)),
            ("soon", None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(after).unwrap());
            if let Some(date) = date {
                headers.insert(DATE, HeaderValue::from_static(date));
            }
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(&headers, now()), expected, "{after} {date:?}");
        }
    }
}
