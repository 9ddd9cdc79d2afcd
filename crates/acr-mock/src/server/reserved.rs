//! `/_mock/`: the mock's own paths, which no registry has. They need no token and respond on both origins.

use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};

use crate::Body;

pub(super) const PREFIX: &str = "/_mock/";

/// The response to a request below [`PREFIX`].
///
/// `GET /_mock/health` says that the server is up; `GET /_mock/ca.pem` is the CA to trust, 404 over plain http.
pub(super) fn response(method: &Method, path: &str, ca_pem: Option<&str>) -> Response<Body> {
    let found = match path.strip_prefix(PREFIX) {
        Some("health") => Some(("application/json", health())),
        Some("ca.pem") => ca_pem.map(|pem| ("application/x-pem-file", pem.to_owned())),
        _ => None,
    };
    let Some((media_type, text)) = found else {
        return plain(
            StatusCode::NOT_FOUND,
            "the mock has no such path of its own\n",
        );
    };
    if method != Method::GET && method != Method::HEAD {
        let mut response = plain(
            StatusCode::METHOD_NOT_ALLOWED,
            "the mock's own paths are read with GET\n",
        );
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let length = text.len();
    let mut response = Response::new(if method == Method::HEAD {
        Body::empty()
    } else {
        text.into()
    });
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}

/// A response of the server's own that is not a registry response: a status and one line.
pub(super) fn plain(status: StatusCode, line: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(line.into());
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

fn health() -> String {
    serde_json::json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ca_is_not_found_over_plain_http() {
        assert_eq!(
            response(&Method::GET, "/_mock/ca.pem", None).status(),
            StatusCode::NOT_FOUND
        );
        assert_eq!(
            response(&Method::GET, "/_mock/ca.pem", Some("PEM")).status(),
            StatusCode::OK
        );
    }

    #[test]
    fn a_head_has_the_length_of_the_get() {
        let (get, head) = (
            response(&Method::GET, "/_mock/health", None),
            response(&Method::HEAD, "/_mock/health", None),
        );
        assert_eq!(get.headers(), head.headers());
        assert_eq!(head.body().remaining(), 0);
        assert_eq!(
            get.headers()[CONTENT_LENGTH],
            get.body().remaining().to_string()
        );
    }

    #[test]
    fn only_reading_is_allowed_and_only_of_known_paths() {
        assert_eq!(
            response(&Method::POST, "/_mock/health", None).status(),
            StatusCode::METHOD_NOT_ALLOWED
        );
        for path in ["/_mock/", "/_mock/healthy", "/_mock/health/"] {
            assert_eq!(
                response(&Method::GET, path, None).status(),
                StatusCode::NOT_FOUND
            );
        }
    }
}
