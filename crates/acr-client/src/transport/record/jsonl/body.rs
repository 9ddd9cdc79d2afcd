//! Bodies as text.

use acr_protocol::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::transport::record::exchange::RecordedBody;

/// Where a body stands, as far as it decides how JSON looks on the wire.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) headers: &'a HeaderMap,
    /// Whether compact JSON is followed by a newline, if `Content-Length` says nothing.
    pub(super) newline: bool,
}

pub(super) fn write(body: &RecordedBody, place: Place<'_>) -> Value {
    let bytes = match body {
        RecordedBody::Bytes(bytes) => bytes,
        RecordedBody::Digest { digest, size } => {
            return json!({"sha256": digest.as_ref().map(Digest::hex), "size": size});
        }
    };
    if bytes.is_empty() {
        return Value::Null;
    }
    let content_type = place.headers.get(CONTENT_TYPE);
    let content_type = content_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    // A manifest's bytes are its identity.
    let is_manifest = ["manifest", "image.index"]
        .iter()
        .any(|part| content_type.contains(part));
    if content_type.contains("json")
        && !is_manifest
        && let Ok(value) = serde_json::from_slice(bytes)
        && is_taken_for_json(&value)
        && place.bytes_of(&value) == bytes
    {
        return value;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !is_manifest => text.into(),
        Ok(text) => exact(bytes, "text", text),
        Err(_) => exact(bytes, "base64", &STANDARD.encode(bytes)),
    }
}

fn exact(bytes: &[u8], form: &str, text: &str) -> Value {
    json!({"sha256": Digest::sha256(bytes).hex(), "size": bytes.len(), form: text})
}

pub(super) fn read(value: &Value, place: Place<'_>) -> Result<RecordedBody, String> {
    let bytes = match value {
        Value::Null => Bytes::new(),
        Value::String(text) => text.clone().into(),
        value if is_taken_for_json(value) => place.bytes_of(value),
        value => match exact_bytes(value)? {
            Some(bytes) => bytes,
            None => {
                return Ok(RecordedBody::Digest {
                    digest: digest_of(value)?,
                    size: size_of(value)?,
                });
            }
        },
    };
    Ok(RecordedBody::Bytes(bytes))
}

fn exact_bytes(value: &Value) -> Result<Option<Bytes>, String> {
    let bytes: Bytes = match (&value["text"], &value["base64"]) {
        (Value::String(text), _) => text.clone().into(),
        (_, Value::String(text)) => {
            let bytes = STANDARD.decode(text);
            bytes
                .map_err(|error| format!("body.base64: {error}"))?
                .into()
        }
        _ => return Ok(None),
    };
    if size_of(value)?.is_some_and(|size| size != bytes.len() as u64) {
        return Err(format!(
            "body.size is not that of its {} bytes",
            bytes.len()
        ));
    }
    let actual = Digest::sha256(&bytes);
    match digest_of(value)? {
        Some(digest) if digest != actual => Err(format!(
            "body.sha256 is not that of its bytes, {}",
            actual.hex()
        )),
        _ => Ok(Some(bytes)),
    }
}

fn digest_of(value: &Value) -> Result<Option<Digest>, String> {
    match &value["sha256"] {
        Value::Null => Ok(None),
        Value::String(hex) => {
            let digest = format!("sha256:{}", hex.trim_start_matches("sha256:")).parse();
            digest
                .map(Some)
                .map_err(|error| format!("body.sha256: {error}"))
        }
        _ => Err("body.sha256 is no text".to_owned()),
    }
}

fn size_of(value: &Value) -> Result<Option<u64>, String> {
    match &value["size"] {
        Value::Null => Ok(None),
        size => size
            .as_u64()
            .map(Some)
            .ok_or("body.size is no number of bytes".to_owned()),
    }
}

/// Whether a value is the body itself. An object with a digest and a size tells of one.
fn is_taken_for_json(value: &Value) -> bool {
    match value {
        Value::Null | Value::String(_) => false,
        Value::Object(object) => !(object.contains_key("sha256") && object.contains_key("size")),
        _ => true,
    }
}

impl Place<'_> {
    fn bytes_of(self, value: &Value) -> Bytes {
        let mut text = value.to_string();
        let length = self.headers.get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        let newline = match length {
            Some(length) if length == text.len() => false,
            Some(length) if length == text.len() + 1 => true,
            _ => self.newline,
        };
        if newline {
            text.push('\n');
        }
        text.into()
    }
}
