//! Holds a response against its recording: status, each recorded header, the body to the byte.

#[cfg(test)]
mod tests;

use acr_protocol::{Digest, Route};
use acr_record::Body;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, Response};
use serde_json::Value;

use crate::fidelity::mask::{self, Rule};
use crate::fidelity::step::Step;

/// The kinds of differences: status; a recorded header that is not there, is there more or less often, or has another
/// value; the body; no response to compare.
pub const KINDS: [&str; 6] = [STATUS, NO_HEADER, HOW_OFTEN, VALUE, BODY, NO_RESPONSE];

const STATUS: &str = "status";
const NO_HEADER: &str = "no header";
const HOW_OFTEN: &str = "how often";
const VALUE: &str = "value";
const BODY: &str = "body";
pub(super) const NO_RESPONSE: &str = "no response";

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// One of [`KINDS`].
    pub kind: &'static str,
    /// Where, such as the header's name.
    pub part: String,
    /// What was recorded.
    pub recorded: String,
    /// What came.
    pub actual: String,
}

impl Difference {
    pub(super) fn new(
        kind: &'static str,
        part: &str,
        recorded: impl ToString,
        actual: impl ToString,
    ) -> Self {
        Self {
            kind,
            part: part.to_owned(),
            recorded: recorded.to_string(),
            actual: actual.to_string(),
        }
    }
}

/// What the replay knows beside the two.
#[derive(Clone, Debug, Default)]
pub(super) struct Context {
    /// Whether the response is that of the storage.
    pub(super) storage: bool,
    /// The client's request id that was sent.
    pub(super) client_id: Option<String>,
    /// Whether the content is filler, so that only its size can be compared.
    pub(super) filler: bool,
}

/// Returns all differences; none is a match.
pub(super) fn compare(
    step: &Step,
    response: &Response<Bytes>,
    context: &Context,
) -> Vec<Difference> {
    let masks = |part: &str| step.exchange.is_masked(part);
    let mut differences = Vec::new();
    if step.response.status != response.status() && !masks("response.status") {
        let actual = response.status().as_u16();
        differences.push(Difference::new(STATUS, "status", step.status(), actual));
    }
    if !masks("response.headers") {
        for name in step.response.headers.keys() {
            if !masks(&format!("response.headers.{name}")) {
                differences.extend(compare_header(step, name.as_str(), response, context));
            }
        }
    }
    if !masks("response.body") {
        differences.extend(compare_body(step, response.body(), context));
    }
    differences
}

fn compare_header(
    step: &Step,
    name: &str,
    response: &Response<Bytes>,
    context: &Context,
) -> Option<Difference> {
    let (recorded, actual) = (
        lines(&step.response.headers, name),
        lines(response.headers(), name),
    );
    let differs = |kind| {
        let (recorded, actual) = (recorded.join("\n"), actual.join("\n"));
        Some(Difference::new(kind, name, recorded, actual))
    };
    let rule = Rule::of(name, context.storage);
    let first = recorded.first().map_or("", String::as_str);
    if rule == Rule::Nothing || mask::is_of_the_recorder(name, first, step.status()) {
        return None;
    }
    if actual.is_empty() {
        return differs(NO_HEADER);
    }
    let accepts = |recorded: &str, actual: &str| match rule {
        Rule::ClientId if context.client_id.as_deref() == Some(recorded) => recorded == actual,
        rule => rule.accepts(recorded, actual, step.is_token_request()),
    };
    let joined = |lines: &[String]| [" ", ", ", ","].map(|between| lines.join(between));
    let is_same = if rule == Rule::Server {
        // One header of two words, which some recorders split.
        accepts(&joined(&recorded)[0], &joined(&actual)[0])
    } else if recorded.len() != actual.len() {
        // Some recorders join the lines of a header.
        if recorded.len() != 1 || !joined(&actual)[1..].contains(&recorded[0]) {
            return differs(HOW_OFTEN);
        }
        true
    } else {
        let mut pairs = recorded.iter().zip(&actual);
        pairs.all(|(recorded, actual)| accepts(recorded, actual))
    };
    if is_same { None } else { differs(VALUE) }
}

fn lines(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter();
    let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
    values.map(Into::into).collect()
}

fn compare_body(step: &Step, actual: &Bytes, context: &Context) -> Option<Difference> {
    let response = &step.response;
    let is_known = !step.exchange.is_masked("response.headers.Content-Length");
    let length = step.header("Content-Length").filter(|_| is_known);
    let length = length.and_then(|length| length.parse::<u64>().ok());
    let is_head = step.exchange.request.method == http::Method::HEAD;
    let (is_same, recorded) = match &response.body {
        _ if is_head => (actual.is_empty(), String::new()),
        Body::Empty | Body::Omitted { .. } => {
            let (size, digest) = match &response.body {
                Body::Omitted { sha256, size } => (size.or(length), sha256.as_deref()),
                _ if matches!(step.status(), 204 | 304) => (Some(0), None),
                // A type or a coding says that there was a body, which the recorder dropped.
                _ => (
                    length.or((!is_dropped(&response.headers)).then_some(0)),
                    None,
                ),
            };
            let is_same = |digest| context.filler || digest == Digest::sha256(actual).hex();
            let is_size = size == Some(actual.len() as u64);
            let is_same = size.is_none() || is_size && digest.is_none_or(is_same);
            (is_same, format!("({size:?} bytes, sha256 {digest:?})"))
        }
        Body::Json(value) => {
            let compact = value.to_string().len() as u64;
            let newline = match length {
                Some(length) if length == compact => false,
                Some(length) if length == compact + 1 => true,
                _ => !matches!(step.route, Some(Route::Ping(_))) || step.status() >= 300,
            };
            let line = json_line(value, newline);
            (
                line == *actual || same_json(step, value, newline, actual),
                line,
            )
        }
        text => {
            // A response with a token the recorder has written anew: with or without the newline.
            let token = text
                .json()
                .filter(|_| step.is_token_request() && step.succeeds());
            let same_token = |value: &Value| {
                [true, false]
                    .iter()
                    .any(|newline| same_json(step, value, *newline, actual))
            };
            let bytes = response.bytes().unwrap_or_default();
            let is_same =
                token.map_or_else(|| same_bytes(&bytes, actual), |token| same_token(&token));
            (is_same, shown(&bytes))
        }
    };
    (!is_same).then(|| Difference::new(BODY, "body", recorded, shown(actual)))
}

fn is_dropped(headers: &HeaderMap) -> bool {
    [CONTENT_TYPE, TRANSFER_ENCODING, CONTENT_LENGTH]
        .iter()
        .any(|name| headers.contains_key(name))
}

/// Compact JSON, nearly always with a newline: how the service writes its own documents.
fn json_line(value: &Value, newline: bool) -> String {
    match newline {
        true => format!("{value}\n"),
        false => value.to_string(),
    }
}

/// Whether the bytes are the same, but for what may differ within a text.
fn same_bytes(recorded: &[u8], actual: &[u8]) -> bool {
    if recorded == actual {
        return true;
    }
    match (std::str::from_utf8(recorded), std::str::from_utf8(actual)) {
        (Ok(recorded), Ok(actual)) => mask::same_value(recorded, actual),
        _ => false,
    }
}

/// Whether the actual bytes are the JSON value in the service's form, but for tokens, masks and placeholders.
fn same_json(step: &Step, recorded: &Value, newline: bool, actual: &[u8]) -> bool {
    let mut recorded = recorded.clone();
    let Ok(mut value) = serde_json::from_slice::<Value>(actual) else {
        return false;
    };
    if json_line(&value, newline).as_bytes() != actual {
        return false;
    }
    let masked = step.exchange.mask.iter().filter_map(|path| {
        let (begin, rest) = path.split_at_checked("response.body".len())?;
        begin.eq_ignore_ascii_case("response.body").then_some(rest)
    });
    let tokens = ["access_token", "refresh_token"]
        .into_iter()
        .filter(|name| {
            let is_text = |value: &Value| value[name].as_str().is_some_and(|text| !text.is_empty());
            step.is_token_request() && is_text(&recorded) && is_text(&value)
        })
        .collect::<Vec<_>>();
    for path in masked.chain(tokens) {
        mask::clear(&mut recorded, path);
        mask::clear(&mut value, path);
    }
    let (recorded, value) = (recorded.to_string(), value.to_string());
    mask::same_value(&recorded, &value)
}

/// A body for people.
fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok("") => "(none)".to_owned(),
        Ok(text) => text.to_owned(),
        Err(_) => format!(
            "({} bytes with sha256 {})",
            bytes.len(),
            Digest::sha256(bytes).hex()
        ),
    }
}
