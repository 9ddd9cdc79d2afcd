//! Holds a response against its recording: status, each recorded header, the body to the byte.

use serde_json::Value;

use super::body::{Body, json_line, sha256};
use super::exchange::Exchange;
use super::mask::{self, Rule};
use super::pattern::fits;
use super::raw_http::RawResponse;
use super::target::Target;

/// In what a response differs from its recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The status.
    Status,
    /// A recorded header is not there.
    HeaderMissing,
    /// A header is there more or less often.
    HeaderCount,
    /// A header has another value.
    HeaderValue,
    /// The body.
    Body,
    /// There is no response to compare.
    NoAnswer,
}

impl Kind {
    /// All kinds, in the order of the report.
    pub const ALL: [Self; 6] = [
        Self::Status,
        Self::HeaderMissing,
        Self::HeaderCount,
        Self::HeaderValue,
        Self::Body,
        Self::NoAnswer,
    ];

    /// The kind in a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::HeaderMissing => "no header",
            Self::HeaderCount => "how often",
            Self::HeaderValue => "value",
            Self::Body => "body",
            Self::NoAnswer => "no response",
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What kind.
    pub kind: Kind,
    /// Where, such as the header's name.
    pub part: String,
    /// What was recorded.
    pub recorded: String,
    /// What was served.
    pub actual: String,
}

/// What the replay knows beside the two.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The login server of the replay.
    pub login_server: String,
    /// Whether the response came from the data origin.
    pub storage: bool,
    /// The client's request id that was sent.
    pub client_id: Option<String>,
    /// The id of the upload that the request was sent to.
    pub upload_id: Option<String>,
    /// Whether the content is filler, so that only its size can be compared.
    pub filler: bool,
}

/// All differences; none is a match.
pub fn compare(exchange: &Exchange, respond: &RawResponse, context: &Context) -> Vec<Difference> {
    let mut differences = Vec::new();
    if exchange.response.status != respond.status && !exchange.masks("response.status") {
        differences.push(Difference {
            kind: Kind::Status,
            part: "status".to_owned(),
            recorded: exchange.response.status.to_string(),
            actual: respond.status.to_string(),
        });
    }
    if !exchange.masks("response.headers") {
        for (name, recorded) in exchange.response.headers.iter() {
            if !exchange.masks(&format!("response.headers.{name}")) {
                differences.extend(compare_header(exchange, name, recorded, respond, context));
            }
        }
    }
    if !exchange.masks("response.body") {
        differences.extend(compare_body(exchange, respond, context));
    }
    differences
}

fn compare_header(
    exchange: &Exchange,
    name: &str,
    recorded: &[String],
    respond: &RawResponse,
    context: &Context,
) -> Option<Difference> {
    let actual = respond.all(name);
    let differs = |kind| {
        Some(Difference {
            kind,
            part: name.to_owned(),
            recorded: recorded.join("\n"),
            actual: actual.join("\n"),
        })
    };
    let rule = Rule::of(name, context.storage);
    let first = recorded.first().map(String::as_str).unwrap_or_default();
    if rule == Rule::Nothing || mask::is_of_the_recorder(name, first, exchange.response.status) {
        return None;
    }
    if actual.is_empty() {
        return differs(Kind::HeaderMissing);
    }
    if rule == Rule::Server {
        // One header of two words, which some recorders split.
        let same = mask::same_server(&recorded.join(" "), &actual.join(" "));
        return (!same).then(|| differs(Kind::HeaderValue))?;
    }
    if recorded.len() != actual.len() {
        // Some recorders join the lines of a header.
        let joined =
            recorded.len() == 1 && [", ", ","].iter().any(|comma| first == actual.join(comma));
        return (!joined).then(|| differs(Kind::HeaderCount))?;
    }
    let same = recorded.iter().zip(&actual).all(|(recorded, actual)| {
        let is_token = exchange.target.is_oauth();
        match rule {
            Rule::Presence => !actual.is_empty(),
            Rule::Id => same_id(name, recorded, actual, context),
            Rule::ClientId if context.client_id.as_ref() == Some(recorded) => recorded == actual,
            Rule::ClientId => recorded.is_empty() == actual.is_empty(),
            Rule::Rate => mask::same_rate(recorded, actual, is_token),
            Rule::Nothing | Rule::Server => true,
            Rule::Value if name.eq_ignore_ascii_case("www-authenticate") => {
                let recorded = mask::challenge(recorded, &context.login_server);
                mask::same_value(&recorded, actual)
            }
            Rule::Value if name.eq_ignore_ascii_case("location") => {
                same_location(recorded, actual, context)
            }
            Rule::Value if name.eq_ignore_ascii_case("content-length") => {
                same_length(exchange, recorded, actual, respond)
            }
            Rule::Value => mask::same_value(recorded, actual),
        }
    });
    (!same).then(|| differs(Kind::HeaderValue))?
}

fn same_id(name: &str, recorded: &str, actual: &str, context: &Context) -> bool {
    if name.eq_ignore_ascii_case("docker-upload-uuid")
        && let Some(id) = &context.upload_id
    {
        return actual == id;
    }
    mask::same_id(recorded, actual)
}

/// Whether two lengths are the same; those of redirects, but for their signatures, whose length depends on how many of
/// their characters a URL must escape.
fn same_length(exchange: &Exchange, recorded: &str, actual: &str, respond: &RawResponse) -> bool {
    let rest = |length: &str, location: Option<&str>| {
        let signature = mask::signature(location?)?;
        length.parse::<usize>().ok()?.checked_sub(signature.len())
    };
    let locations = respond.all("Location");
    let rests = rest(recorded, exchange.response.headers.first("Location"))
        .zip(rest(actual, locations.first().copied()));
    rests.map_or(recorded == actual, |(recorded, actual)| recorded == actual)
}

fn same_location(recorded: &str, actual: &str, context: &Context) -> bool {
    let same_upload = match (mask::upload_id(recorded), mask::upload_id(actual)) {
        (Some(_), Some(actual)) => context.upload_id.as_deref().is_none_or(|id| id == actual),
        (None, None) => true,
        _ => false,
    };
    let recorded = mask::without_upload_id(recorded);
    same_upload && mask::same_value(&recorded, &mask::without_upload_id(actual))
}

/// What the recording says of the body.
#[derive(Debug, PartialEq)]
enum Expected {
    Nothing,
    Bytes(Vec<u8>),
    Json(Value, bool),
    /// An respond with a token, which the recorder has written anew: with or without the newline.
    Token(Value),
    Size(u64, Option<String>),
    Anything,
}

fn expected(exchange: &Exchange) -> Expected {
    let response = &exchange.response;
    let length = response
        .headers
        .first("Content-Length")
        .filter(|_| !exchange.masks("response.headers.Content-Length"))
        .and_then(|length| length.parse::<u64>().ok());
    if exchange.request.method == "HEAD" {
        return Expected::Nothing;
    }
    match &response.body {
        Body::None if matches!(response.status, 204 | 304) => Expected::Nothing,
        Body::None => match length {
            Some(0) => Expected::Nothing,
            Some(length) => Expected::Size(length, None),
            // A type or a coding says that there was a body, which the recorder dropped.
            None if response.headers.has("Content-Type")
                || response.headers.has("Transfer-Encoding")
                || response.headers.has("Content-Length") =>
            {
                Expected::Anything
            }
            None => Expected::Nothing,
        },
        Body::Bytes(bytes) => match response.body.json() {
            Some(value) if exchange.target.is_oauth() && exchange.succeeds() => {
                Expected::Token(value)
            }
            _ => Expected::Bytes(bytes.to_vec()),
        },
        Body::Unknown { sha256, size } => match size.or(length) {
            Some(size) => Expected::Size(size, sha256.clone()),
            None => Expected::Anything,
        },
        Body::Json(value) => {
            let compact = value.to_string().len() as u64;
            let newline = match length {
                Some(length) if length == compact => false,
                Some(length) if length == compact + 1 => true,
                _ => exchange.target != Target::Ping || response.status >= 300,
            };
            Expected::Json(value.clone(), newline)
        }
    }
}

fn compare_body(
    exchange: &Exchange,
    respond: &RawResponse,
    context: &Context,
) -> Option<Difference> {
    let differs = |recorded: String| {
        Some(Difference {
            kind: Kind::Body,
            part: "body".to_owned(),
            recorded,
            actual: shown(&respond.body),
        })
    };
    match expected(exchange) {
        Expected::Anything => None,
        Expected::Nothing if respond.body.is_empty() => None,
        Expected::Nothing => differs("(none)".to_owned()),
        Expected::Bytes(bytes) if same_bytes(&bytes, &respond.body) => None,
        Expected::Bytes(bytes) => differs(shown(&bytes)),
        Expected::Token(value) => {
            let same = [true, false].into_iter().any(|newline| {
                let value = value.clone();
                same_json(exchange, value, newline, &respond.body)
            });
            (!same).then(|| differs(value.to_string()))?
        }
        Expected::Size(size, digest) => {
            let same_digest = digest
                .as_deref()
                .is_none_or(|digest| context.filler || digest == sha256(&respond.body));
            if respond.body.len() as u64 == size && same_digest {
                return None;
            }
            let digest = digest.map(|digest| format!(" with sha256 {digest}"));
            differs(format!("({size} bytes{})", digest.unwrap_or_default()))
        }
        Expected::Json(value, newline) => {
            let mut line = json_line(&value).to_vec();
            if !newline {
                line.pop();
            }
            if line == respond.body || same_json(exchange, value, newline, &respond.body) {
                return None;
            }
            differs(shown(&line))
        }
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
fn same_json(exchange: &Exchange, mut recorded: Value, newline: bool, actual: &[u8]) -> bool {
    let Ok(mut value) = serde_json::from_slice::<Value>(actual) else {
        return false;
    };
    let mut line = json_line(&value).to_vec();
    if !newline {
        line.pop();
    }
    if line != actual {
        return false;
    }
    let masked = exchange.mask.iter().filter_map(|path| {
        let (begin, rest) = path.split_at_checked("response.body".len())?;
        begin.eq_ignore_ascii_case("response.body").then_some(rest)
    });
    let tokens = ["access_token", "refresh_token"]
        .into_iter()
        .filter(|name| {
            let is_text = |value: &Value| value[name].as_str().is_some_and(|text| !text.is_empty());
            exchange.target.is_oauth() && is_text(&recorded) && is_text(&value)
        })
        .collect::<Vec<_>>();
    for path in masked.chain(tokens) {
        mask::clear(&mut recorded, path);
        mask::clear(&mut value, path);
    }
    let (recorded, value) = (recorded.to_string(), value.to_string());
    recorded == value || fits(&mask::steady(&recorded), &mask::steady(&value))
}

/// A body for people.
fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok("") => "(none)".to_owned(),
        Ok(text) => text.to_owned(),
        Err(_) => format!("({} bytes with sha256 {})", bytes.len(), sha256(bytes)),
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
