//! Redaction: what is not named here as safe is replaced by [`REDACTED`].
//!
//! Headers, queries, token requests and their responses are redacted by these lists. Error bodies and
//! messages are kept, without the parameters of their URLs that are not safe and without the secrets
//! that have passed. Manifests, blobs and other content keep their bytes.

mod escapes;
mod jwt;
mod secrets;

use acr_client::protocol::auth::parse_basic_login;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderValue};
use serde_json::Value;

use crate::body::Body;
use crate::exchange::{BodyEnd, Exchange, Failure, Request};
use crate::{REDACTED, Response};

pub(crate) use secrets::Secrets;

/// The headers that keep their values, but for unsafe parameters of URLs in them.
const SAFE_HEADERS: &[&str] = &[
    "accept",
    "accept-ranges",
    "access-control-expose-headers",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "docker-content-digest",
    "docker-distribution-api-version",
    "docker-upload-uuid",
    "etag",
    "host",
    "last-modified",
    "link",
    "location",
    "oci-chunk-min-length",
    "oci-filters-applied",
    "oci-subject",
    "oci-tag",
    "range",
    "retry-after",
    "server",
    "strict-transport-security",
    "transfer-encoding",
    "user-agent",
    "www-authenticate",
    "x-content-type-options",
    "x-ms-blob-type",
    "x-ms-client-request-id",
    "x-ms-correlation-request-id",
    "x-ms-int-docker-content-digest",
    "x-ms-ratelimit-remaining-calls-per-second",
    "x-ms-request-id",
    "x-ms-version",
];

/// The parameters of queries and forms that keep their values.
const SAFE_PARAMETERS: &[&str] = &[
    "_nouploadcache",
    "api-version",
    "artifactType",
    "digest",
    "from",
    "grant_type",
    "last",
    "mount",
    "n",
    "orderby",
    "regid",
    "scope",
    "se",
    "service",
    "sp",
    "spr",
    "sr",
    "sv",
];

/// The members of a token response that hold a token, and those that are kept. Others are dropped.
const TOKEN_MEMBERS: &[&str] = &["access_token", "refresh_token", "token"];
const SAFE_MEMBERS: &[&str] = &["expires_in", "issued_at"];

const TOKEN_OPERATIONS: &[&str] = &[
    "exchange_entra_token",
    "request_access_token",
    "request_access_token_with_login",
];

/// The length from which the value of a header or parameter counts as a secret that is looked for
/// elsewhere. Shorter ones are likely to be ordinary words.
const MIN_VALUE: usize = 8;

/// Returns whether a request is for a token, so that its form and the response hold secrets.
pub(crate) fn is_token_request(operation: Option<&str>, path: &str) -> bool {
    operation.is_some_and(|operation| TOKEN_OPERATIONS.contains(&operation))
        || path.starts_with("/oauth2/")
}

/// Redacts the query and the headers of a request, and learns the secrets in them.
pub(crate) fn request_head(request: &mut Request, secrets: &mut Secrets) {
    request.query = query(&request.query, &mut |value| learn_value(value, secrets));
    for name in [AUTHORIZATION, PROXY_AUTHORIZATION] {
        let Some(value) = request.headers.get(name) else {
            continue;
        };
        if let Some((_, password)) = parse_basic_login(value) {
            secrets.learn_credential(password.expose());
        }
        let text = String::from_utf8_lossy(value.as_bytes());
        let (_, credential) = text.split_once(' ').unwrap_or(("", &text));
        secrets.learn_credential(credential.trim());
    }
    headers(&mut request.headers, &mut |value| {
        learn_value(value, secrets)
    });
}

fn learn_value(value: &str, secrets: &mut Secrets) {
    if value.len() >= MIN_VALUE {
        secrets.learn(value);
    }
}

/// Redacts the bodies of a token request, and the headers of the response.
pub(crate) fn exchange(exchange: &mut Exchange, is_for_token: bool, secrets: &mut Secrets) {
    if let Some(response) = &mut exchange.response {
        headers(&mut response.headers, &mut |_| {});
    }
    if is_for_token {
        token_request(exchange, secrets);
        token_response(exchange, secrets);
    }
}

/// Redacts the texts that are kept: first the secrets that have passed by now, wherever they are
/// repeated, then the parameters of URLs.
pub(crate) fn texts(exchange: &mut Exchange, secrets: &Secrets) {
    let text = |text: &str| urls(&secrets.mask(text));
    let request = &mut exchange.request;
    request.path = secrets.mask(&request.path);
    request.query = secrets.mask(&request.query);
    let response = exchange.response.as_mut();
    let response = response.map(|response| &mut response.headers);
    for headers in [Some(&mut request.headers), response] {
        for value in headers.into_iter().flat_map(HeaderMap::values_mut) {
            set_text(value, &text(&String::from_utf8_lossy(value.as_bytes())));
        }
    }
    let body = exchange.response.as_ref().and_then(error_body);
    exchange.replace_response(body.map(|body| text(&body)));
    for failure in failures(exchange) {
        failure.message = text(&failure.message);
    }
}

/// Redacts a query or form: `name=value` with `&` between. `learn` is given the replaced values.
pub(crate) fn query(text: &str, learn: &mut dyn FnMut(&str)) -> String {
    let pairs = text.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        // A fragment may follow the query.
        if pair.is_empty() || is_safe_parameter(name) && !value.contains('#') {
            return pair.to_owned();
        }
        if !pair.contains('=') {
            return REDACTED.to_owned();
        }
        for (_, value) in form_urlencoded::parse(pair.as_bytes()) {
            learn(&value);
        }
        match value {
            "" => pair.to_owned(),
            _ => format!("{name}={REDACTED}"),
        }
    });
    pairs.collect::<Vec<_>>().join("&")
}

pub(crate) fn is_safe_parameter(name: &str) -> bool {
    SAFE_PARAMETERS.contains(&name)
}

/// Redacts the queries, fragments and users of the URLs in a text.
fn urls(text: &str) -> String {
    let words = text.split_inclusive([' ', '\t', '\r', '\n', '"', '\'', '<', '>']);
    let words = words.map(|word| {
        let Some(at) = word.find(['?', '#']) else {
            return user(word);
        };
        let end = word.trim_end_matches(|c: char| c.is_whitespace() || "\"'<>".contains(c));
        let (before, parameters) = (&word[..at], end.get(at + 1..).unwrap_or_default());
        // JSON may write `&` as `\u0026`.
        let parameters = query(&parameters.replace("\\u0026", "&"), &mut |_| {});
        let behind = &word[end.len().max(at + 1)..];
        format!("{}{}{parameters}{behind}", user(before), &word[at..=at])
    });
    words.collect()
}

/// Redacts the user and password in a URL.
fn user(url: &str) -> String {
    let Some(start) = url.find("://").map(|at| at + 3) else {
        return url.to_owned();
    };
    let end = url[start..].find('/').map_or(url.len(), |at| start + at);
    match url[start..end].rfind('@') {
        Some(at) => format!("{}{REDACTED}{}", &url[..start], &url[start + at..]),
        None => url.to_owned(),
    }
}

fn headers(headers: &mut HeaderMap, learn: &mut dyn FnMut(&str)) {
    for (name, value) in headers.iter_mut() {
        let text = String::from_utf8_lossy(value.as_bytes());
        let redacted = match *name {
            AUTHORIZATION | PROXY_AUTHORIZATION => match text.split_once(' ') {
                Some((scheme, _)) => format!("{scheme} {REDACTED}"),
                None => REDACTED.to_owned(),
            },
            _ if SAFE_HEADERS.contains(&name.as_str()) && !value.is_sensitive() => continue,
            _ => {
                learn(&text);
                REDACTED.to_owned()
            }
        };
        set_text(value, &redacted);
    }
}

fn set_text(value: &mut HeaderValue, text: &str) {
    if value.as_bytes() != text.as_bytes() {
        *value = HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(REDACTED));
    }
}

/// Redacts the form of a token request.
fn token_request(exchange: &mut Exchange, secrets: &mut Secrets) {
    let request = &mut exchange.request;
    let redacted = match &mut request.body {
        Body::Empty => return,
        Body::Omitted { sha256, .. } => {
            // A short secret could be found by trying.
            *sha256 = None;
            return;
        }
        Body::Text(form) if request.end.is_complete() && is_form(form) => {
            query(form, &mut |value| secrets.learn_credential(value))
        }
        _ => REDACTED.to_owned(),
    };
    if request.bytes().as_deref() != Some(redacted.as_bytes()) {
        request.set_body(redacted);
        exchange.add_mask("request.body");
    }
}

fn is_form(text: &str) -> bool {
    text.contains('=') && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Replaces a token response by one with tokens of the same life.
fn token_response(exchange: &mut Exchange, secrets: &mut Secrets) {
    let response = exchange.response.as_mut();
    let Some(response) = response.filter(|response| response.status.is_success()) else {
        return;
    };
    if let Body::Omitted { sha256, .. } = &mut response.body {
        *sha256 = None;
        return;
    }
    let Some(bytes) = response.bytes().filter(|bytes| !bytes.is_empty()) else {
        return;
    };
    let value = serde_json::from_slice(&bytes).ok();
    let Some(Value::Object(mut members)) = value.filter(|_| response.end.is_complete()) else {
        exchange.add_mask("response.body");
        exchange.replace_response(Some(REDACTED.to_owned()));
        return;
    };
    let count = members.len();
    members.retain(|name, _| {
        TOKEN_MEMBERS.contains(&name.as_str()) || SAFE_MEMBERS.contains(&name.as_str())
    });
    let has_dropped = members.len() < count;
    for (name, value) in &mut members {
        if let (Value::String(token), true) = (&*value, TOKEN_MEMBERS.contains(&name.as_str())) {
            secrets.learn_credential(token);
            *value = jwt::stand_in(token).into();
        }
    }
    let newline = if bytes.ends_with(b"\n") { "\n" } else { "" };
    let text = Value::Object(members).to_string() + newline;
    exchange.replace_response(Some(text));
    if has_dropped {
        exchange.add_mask("response.body");
    }
}

/// Returns the body of an error or redirect, or a placeholder for one that cannot be read as a whole.
fn error_body(response: &Response) -> Option<String> {
    if response.status.is_success() {
        return None;
    }
    let bytes = response.bytes().filter(|bytes| !bytes.is_empty())?;
    let is_whole = response.end.is_complete() && !response.headers.contains_key(CONTENT_ENCODING);
    let text = String::from_utf8(bytes.to_vec()).ok();
    Some(
        text.filter(|_| is_whole)
            .unwrap_or_else(|| REDACTED.to_owned()),
    )
}

/// The errors of an exchange.
fn failures(exchange: &mut Exchange) -> impl Iterator<Item = &mut Failure> {
    let end = exchange.response.as_mut().map(|response| &mut response.end);
    let ends = [Some(&mut exchange.request.end), end];
    let ends = ends.into_iter().flatten().filter_map(|end| match end {
        BodyEnd::Failed(failure) => Some(failure),
        BodyEnd::Complete | BodyEnd::Unread => None,
    });
    ends.chain(&mut exchange.error)
}

impl Exchange {
    fn add_mask(&mut self, part: &str) {
        if !self.is_masked(part) {
            self.mask.push(part.to_owned());
        }
    }

    /// Replaces the body of the response.
    fn replace_response(&mut self, text: Option<String>) {
        let (Some(response), Some(text)) = (&mut self.response, text) else {
            return;
        };
        let before = response.bytes();
        if before.as_deref() == Some(text.as_bytes()) {
            return;
        }
        let has_length = response.headers.contains_key(http::header::CONTENT_LENGTH);
        let is_longer_or_shorter = before.map(|bytes| bytes.len()) != Some(text.len());
        response.set_body(text);
        if has_length && is_longer_or_shorter {
            self.add_mask("response.headers.content-length");
        }
    }
}

#[cfg(test)]
mod tests;
