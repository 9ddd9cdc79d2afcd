//! [`UploadUse`]: what an exchange on an open upload supposes of it.

use bytes::Bytes;

use super::supposed::{codes, pushed_bytes};
use crate::fidelity::body::Body;
use crate::fidelity::exchange::{Exchange, Request, parameter};
use crate::fidelity::mask::upload_id;
use crate::fidelity::target::Target;

/// Which of an upload's locations a request went to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Location {
    /// The one that it was handed last.
    #[default]
    Newest,
    /// One of before the bytes that are held now.
    Stale,
    /// One whose state was tampered with.
    Tampered,
}

/// A request on an upload that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadUse {
    /// The repository.
    pub repository: String,
    /// The id in the recording.
    pub id: String,
    /// How many bytes it held before the request, if that can be told.
    pub held: Option<u64>,
    /// Which location was used.
    pub location: Location,
    /// What the request does.
    pub effect: Effect,
}

/// What becomes of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// It holds so many bytes.
    Holds(u64),
    /// It has become a blob of this digest.
    Completed(String),
    /// It is gone.
    Cancelled,
}

impl UploadUse {
    /// Reads it off an exchange; `None` where no open upload is supposed.
    pub fn of(exchange: &Exchange) -> Option<Self> {
        let Target::Upload { repository, id } = &exchange.target else {
            return None;
        };
        let status = exchange.response.status;
        if matches!(status, 401 | 403 | 404) {
            return None;
        }
        let codes = codes(exchange);
        let last = exchange.response.headers.first("Range").and_then(last_byte);
        let length = request_length(&exchange.request);
        let start = exchange
            .request
            .headers
            .first("Content-Range")
            .and_then(|range| range.split('-').next()?.parse::<u64>().ok());
        let (held, effect) = match (exchange.request.method.as_str(), status) {
            ("PATCH", 202) => {
                let after = match (last, length) {
                    // Nothing and one byte look the same.
                    (Some(0), Some(0)) => Some(0),
                    (Some(last), _) => Some(last + 1),
                    (None, _) => None,
                };
                let before = match (after, length) {
                    (Some(after), Some(length)) => Some(after.saturating_sub(length)),
                    (_, _) => start,
                };
                let holds = after
                    .or_else(|| Some(before? + length?))
                    .map_or(Effect::None, Effect::Holds);
                (before, holds)
            }
            // Nothing and one byte look the same.
            ("GET", 204) => (held(last).filter(|held| *held > 0), Effect::None),
            ("PUT", 201) => {
                let digest = parameter(&exchange.request.query, "digest")
                    .or_else(|| {
                        let header = exchange.response.headers.first("Docker-Content-Digest");
                        header.map(str::to_owned)
                    })
                    .unwrap_or_default();
                (start, Effect::Completed(digest))
            }
            ("DELETE", 202 | 204) => (None, Effect::Cancelled),
            (_, 416) => (wanted_start(exchange).or(held(last)), Effect::None),
            _ => (None, Effect::None),
        };
        let location = if codes.iter().any(|code| code == "BLOB_UPLOAD_INVALID") {
            Location::Tampered
        } else if status == 416 && codes.is_empty() && last.is_some() {
            Location::Stale
        } else {
            Location::Newest
        };
        Some(Self {
            repository: repository.clone(),
            id: id.clone(),
            held,
            location,
            effect,
        })
    }

    /// The id of an upload that an exchange has opened, in the recording.
    pub fn opened(exchange: &Exchange) -> Option<(String, String)> {
        let Target::NewUpload { repository } = &exchange.target else {
            return None;
        };
        let headers = &exchange.response.headers;
        let id = headers
            .first("Docker-Upload-Uuid")
            .or_else(|| upload_id(headers.first("Location")?));
        (exchange.response.status == 202)
            .then(|| id.map(|id| (repository.clone(), id.to_owned())))
            .flatten()
    }
}

/// Why an exchange cannot be replayed, if it cannot.
pub fn skip_reason(exchange: &Exchange) -> Option<String> {
    if let Some(reason) = &exchange.skip {
        return Some(reason.clone());
    }
    let creates = exchange.response.status == 201;
    let depends = match &exchange.target {
        Target::Manifest { .. } => {
            exchange.request.method == "PUT" && creates && pushed_bytes(exchange).is_none()
        }
        Target::NewUpload { .. } => {
            creates
                && parameter(&exchange.request.query, "digest").is_some()
                && parameter(&exchange.request.query, "mount").is_none()
                && request_bytes(&exchange.request).is_none()
        }
        Target::Upload { .. } => {
            exchange.request.method == "PUT"
                && creates
                && request_bytes(&exchange.request).is_none()
        }
        _ => false,
    };
    depends.then(|| {
        "the request's bytes are unknown and the response depends on their digest".to_owned()
    })
}

/// The bytes of a request, if they are known; a recorder may have dropped them.
pub fn request_bytes(request: &Request) -> Option<Bytes> {
    match &request.body {
        Body::Bytes(bytes) => Some(bytes.clone()),
        Body::Json(value) => Some(value.to_string().into()),
        Body::Unknown { size, .. } if *size == Some(0) => Some(Bytes::new()),
        Body::Unknown { .. } => None,
        Body::None => match request_length(request) {
            Some(0) | None => Some(Bytes::new()),
            Some(_) => None,
        },
    }
}

/// How many bytes a request has.
pub fn request_length(request: &Request) -> Option<u64> {
    let stated = request.headers.first("Content-Length");
    let stated = stated.and_then(|length| length.parse().ok());
    match &request.body {
        Body::Bytes(bytes) => Some(bytes.len() as u64),
        Body::Json(value) => Some(value.to_string().len() as u64),
        Body::Unknown { size, .. } => size.or(stated).or(ranged(request)),
        Body::None => stated.or(ranged(request)).or(Some(0)),
    }
}

/// How many bytes the request's `Content-Range` spans.
fn ranged(request: &Request) -> Option<u64> {
    let range = request.headers.first("Content-Range")?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
    last.checked_sub(first).map(|length| length + 1)
}

/// The last byte of a `Range` such as `0-21`.
fn last_byte(range: &str) -> Option<u64> {
    let range = range.trim_start_matches("bytes=");
    range.split_once('-')?.1.parse().ok()
}

/// How much an upload holds whose `Range` ends with this byte. `0-0` is said of an empty one.
fn held(last: Option<u64>) -> Option<u64> {
    last.map(|last| if last == 0 { 0 } else { last + 1 })
}

/// Where the chunk should have begun, as the refusal says.
fn wanted_start(exchange: &Exchange) -> Option<u64> {
    let body = exchange.response.body.json()?;
    let reason = body["errors"][0]["detail"]["Reason"].as_str()?;
    let (_, number) = reason.rsplit_once("should start at ")?;
    number.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn used(method: &str, headers: Value, body: Value, response: Value) -> Option<UploadUse> {
        let line = json!({
            "request": {
                "method": method, "path": "/v2/a/blobs/uploads/1", "query": "_state=REDACTED&digest=sha256%3Aab",
                "headers": headers, "body": body
            },
            "response": response
        });
        UploadUse::of(&Exchange::read("f:1", &line.to_string()).expect("a line"))
    }

    #[test]
    fn what_was_held_before_a_chunk_follows_from_its_answer() {
        let chunk = used(
            "PATCH",
            json!({"Content-Range": "214-428"}),
            json!({"sha256": null, "size": 215}),
            json!({"status": 202, "headers": {"Range": "0-428"}}),
        );
        let chunk = chunk.expect("a use");
        assert_eq!((chunk.held, chunk.effect), (Some(214), Effect::Holds(429)));
        let first = used(
            "PATCH",
            json!({}),
            json!("x"),
            json!({"status": 202, "headers": {"Range": "0-0"}}),
        );
        assert_eq!(first.expect("a use").held, Some(0));
        let unknown = used(
            "PATCH",
            json!({"Content-Range": "5-6"}),
            json!("xy"),
            json!({"status": 202}),
        );
        let unknown = unknown.expect("a use");
        assert_eq!((unknown.held, unknown.effect), (Some(5), Effect::Holds(7)));
    }

    #[test]
    fn a_refused_chunk_tells_what_is_held_and_which_location_it_went_to() {
        let stale = used(
            "PATCH",
            json!({}),
            json!("x"),
            json!({"status": 416, "headers": {"Range": "0-21", "Content-Length": "0"}}),
        );
        let stale = stale.expect("a use");
        assert_eq!((stale.held, stale.location), (Some(22), Location::Stale));
        let reason = "out of order chunk: content range should start at 7";
        let early = used(
            "PATCH",
            json!({}),
            json!("x"),
            json!({"status": 416, "body": {"errors": [
                {"code": "BLOB_UPLOAD_RANGE_INVALID", "detail": {"Reason": reason}}
            ]}}),
        );
        let early = early.expect("a use");
        assert_eq!((early.held, early.location), (Some(7), Location::Newest));
    }

    #[test]
    fn no_upload_is_supposed_where_none_is_known_or_asked_for() {
        for status in [401, 403, 404] {
            assert_eq!(
                used("GET", json!({}), json!(null), json!({"status": status})),
                None
            );
        }
        let completed = used("PUT", json!({}), json!(null), json!({"status": 201})).expect("a use");
        assert_eq!(completed.effect, Effect::Completed("sha256:ab".to_owned()));
    }
}
