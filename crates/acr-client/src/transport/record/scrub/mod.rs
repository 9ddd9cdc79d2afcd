//! Takes the secrets out of an exchange: where they have their place, and wherever else they turn up.

mod escapes;
mod jwt;
mod places;
mod secrets;

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue, Uri};
use serde_json::Value;

pub(crate) use self::escapes::unescape;
pub(crate) use self::places::is_secret_name;
pub(crate) use self::secrets::{REDACTED, Secrets};
use crate::transport::record::exchange::{
    BodyEnd, RecordedBody, RecordedError, RecordedExchange, RecordedRequest, RecordedResponse,
};

/// Takes out what a request's head shows, before anything of it is kept.
pub(crate) fn head(url: &Uri, request: &mut RecordedRequest, secrets: &mut Secrets) {
    places::user_of(url, secrets);
    request_head(request, secrets);
}

fn request_head(request: &mut RecordedRequest, secrets: &mut Secrets) {
    if let Some(query) = places::pairs(&request.query, secrets) {
        request.query = query;
    }
    headers(&mut request.headers, secrets, |_| {});
}

/// Takes out what the head of an answer shows, before its body is there.
pub(crate) fn answer_head(exchange: &mut RecordedExchange, secrets: &mut Secrets) {
    let mut masks = Vec::new();
    if let Ok(response) = &mut exchange.outcome {
        headers(&mut response.headers, secrets, |name| masks.push(name));
    }
    for mask in masks {
        exchange.mask(mask);
    }
}

/// Takes out everything.
pub(crate) fn exchange(exchange: &mut RecordedExchange, secrets: &mut Secrets) {
    let is_for_token = is_for_token(exchange.operation.as_deref(), &exchange.request.path);
    request_head(&mut exchange.request, secrets);
    answer_head(exchange, secrets);
    if is_for_token {
        let request = &mut exchange.request;
        if request_for_token(&mut request.body, &request.end, secrets) {
            exchange.mask("request.body");
        }
    }
    let mut masks = Vec::new();
    match &mut exchange.outcome {
        Ok(response) => {
            if answer(response, is_for_token, secrets) {
                masks.push("response.body".to_owned());
            }
            if response.end != BodyEnd::Complete {
                masks.push("response.body".to_owned());
            }
            if let BodyEnd::Broken(error) = &mut response.end {
                words(error, secrets);
            }
        }
        Err(error) => words(error, secrets),
    }
    if let BodyEnd::Broken(error) = &mut exchange.request.end {
        words(error, secrets);
    }
    for mask in masks {
        exchange.mask(mask);
    }
    known(exchange, secrets);
}

/// Takes out what is known by now, wherever it is.
pub(crate) fn known(exchange: &mut RecordedExchange, secrets: &Secrets) {
    let mut masks = Vec::new();
    let request = &mut exchange.request;
    for text in [&mut request.path, &mut request.query] {
        if let Some(cleaned) = secrets.replace_in_text(text) {
            *text = cleaned;
        }
    }
    known_headers(&mut request.headers, secrets, |_| {});
    if known_body(&mut request.body, &mut request.end, secrets) {
        masks.push("request.body".to_owned());
    }
    match &mut exchange.outcome {
        Ok(response) => {
            known_headers(&mut response.headers, secrets, |name| masks.push(name));
            if known_body(&mut response.body, &mut response.end, secrets) {
                masks.push("response.body".to_owned());
            }
        }
        Err(error) => known_words(error, secrets),
    }
    for mask in masks {
        exchange.mask(mask);
    }
}

/// Whether a request asks for a token, so that its form and its answer are full of secrets. Not every
/// token server has ACR's paths.
pub(crate) fn is_for_token(operation: Option<&str>, path: &str) -> bool {
    operation.is_some_and(|operation| TOKEN_OPERATIONS.contains(&operation))
        || path.starts_with("/oauth2/")
        || path.ends_with("/token") && !path.starts_with("/v2/") && !path.starts_with("/acr/")
}

/// Returns whether the body has changed.
fn request_for_token(body: &mut RecordedBody, end: &BodyEnd, secrets: &mut Secrets) -> bool {
    let Some(bytes) = known_bytes(body) else {
        return true;
    };
    let is_whole = *end == BodyEnd::Complete;
    let cleaned = match std::str::from_utf8(&bytes) {
        Ok(text) if text.trim_start().starts_with(['{', '[']) => {
            json(text, secrets).unwrap_or_else(|| Some(REDACTED.to_owned()))
        }
        // In a form nothing else can stand.
        Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            places::pairs(text, secrets)
        }
        _ => Some(REDACTED.to_owned()),
    };
    // What was cut off may end in the middle of a name.
    let cleaned = cleaned.or((!is_whole && !bytes.is_empty()).then(|| REDACTED.to_owned()));
    replace(body, cleaned)
}

/// Returns whether the body has changed beyond what a placeholder tells.
fn answer(response: &mut RecordedResponse, is_for_token: bool, secrets: &mut Secrets) -> bool {
    let cut = response.end != BodyEnd::Complete;
    let is_success = response.status.is_success();
    if is_for_token {
        let Some(bytes) = known_bytes(&mut response.body) else {
            return true;
        };
        if bytes.is_empty() {
            return false;
        }
        let text = std::str::from_utf8(&bytes).ok();
        match text.and_then(|text| json(text, secrets)) {
            Some(cleaned) => {
                replace(&mut response.body, cleaned);
            }
            // Nobody knows where in it the token is.
            None if is_success => return replace(&mut response.body, Some(REDACTED.to_owned())),
            None => {}
        }
    }
    if !is_success && response.headers.contains_key(CONTENT_ENCODING) {
        // Whatever is in it cannot be seen.
        let has_some = response.body.size() != Some(0);
        return replace(&mut response.body, has_some.then(|| REDACTED.to_owned()));
    }
    // Content keeps its bytes, because they must fit its digest, unless a known secret is in it.
    if is_success {
        return false;
    }
    let RecordedBody::Bytes(bytes) = &response.body else {
        return false;
    };
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Some(text.into()),
        Err(_) if cut => Some(String::from_utf8_lossy(bytes)),
        Err(_) => None,
    };
    let cleaned = text.and_then(|text| places::text(&text, cut, secrets));
    replace(&mut response.body, cleaned);
    false
}

/// The bytes of a body that is full of secrets. Of one that was too long to be kept even the digest
/// goes: a short secret could be found by trying.
fn known_bytes(body: &mut RecordedBody) -> Option<Bytes> {
    match body {
        RecordedBody::Bytes(bytes) => Some(bytes.clone()),
        RecordedBody::Digest { digest, .. } => {
            *digest = None;
            None
        }
    }
}

/// JSON without its secrets: `None` if it is none, `Some(None)` if nothing was in it.
fn json(text: &str, secrets: &mut Secrets) -> Option<Option<String>> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    let changed = places::json(&mut value, secrets);
    let cleaned = value.to_string();
    // What was written in another way may hold a member twice, of which the last alone was read.
    if !changed && cleaned == text.trim_end() {
        return Some(None);
    }
    let newline = if text.ends_with('\n') { "\n" } else { "" };
    Some(Some(cleaned + newline))
}

fn replace(body: &mut RecordedBody, cleaned: Option<String>) -> bool {
    let changed = cleaned.is_some();
    if let Some(cleaned) = cleaned {
        *body = RecordedBody::Bytes(cleaned.into());
    }
    changed
}

/// Tells the path of each header that has changed beyond what a placeholder tells.
fn headers(headers: &mut HeaderMap, secrets: &mut Secrets, mut changed: impl FnMut(String)) {
    for (name, value) in headers.iter_mut() {
        if let Some(hidden) = places::header(name, value, secrets) {
            *value = hidden;
            changed(format!("response.headers.{name}"));
        }
        let Ok(text) = value.to_str() else { continue };
        let cleaned = places::text(text, false, secrets);
        if let Some(cleaned) = cleaned.and_then(|text| HeaderValue::try_from(text).ok()) {
            *value = cleaned;
        }
    }
}

fn known_headers(headers: &mut HeaderMap, secrets: &Secrets, mut changed: impl FnMut(String)) {
    for (name, value) in headers.iter_mut() {
        let Some(cleaned) = secrets.replace_in_bytes(value.as_bytes(), false) else {
            continue;
        };
        *value = HeaderValue::from_bytes(&cleaned)
            .unwrap_or_else(|_| HeaderValue::from_static(REDACTED));
        changed(format!("response.headers.{name}"));
    }
}

fn known_body(body: &mut RecordedBody, end: &mut BodyEnd, secrets: &Secrets) -> bool {
    if let BodyEnd::Broken(error) = end {
        known_words(error, secrets);
    }
    let RecordedBody::Bytes(bytes) = body else {
        return false;
    };
    let cut = *end != BodyEnd::Complete;
    let cleaned = secrets.replace_in_bytes(bytes, cut);
    let changed = cleaned.is_some();
    if let Some(cleaned) = cleaned {
        *bytes = cleaned.into();
    }
    changed
}

fn words(error: &mut RecordedError, secrets: &mut Secrets) {
    if let Some(cleaned) = places::text(&error.message, false, secrets) {
        error.message = cleaned;
    }
    known_words(error, secrets);
}

fn known_words(error: &mut RecordedError, secrets: &Secrets) {
    if let Some(cleaned) = secrets.replace_in_text(&error.message) {
        error.message = cleaned;
    }
}

const TOKEN_OPERATIONS: &[&str] = &[
    "exchange_entra_token",
    "request_access_token",
    "request_access_token_with_login",
];

#[cfg(test)]
mod tests;
