//! [`Body`]: a body in one of the forms of a recording.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A body in the form in which a recording holds it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(into = "Value", try_from = "Value")]
#[non_exhaustive]
pub enum Body {
    /// `null`: no bytes.
    #[default]
    Empty,
    /// A JSON value that is neither `null`, a text, nor an object with `sha256` and `size`: compact JSON.
    /// [`Request::bytes`](crate::Request::bytes) and [`Response::bytes`](crate::Response::bytes) know
    /// whether a newline follows.
    Json(Value),
    /// A text: these bytes.
    Text(String),
    /// An object with `sha256`, `size` and one of `text` and `base64`: these bytes, such as those of a
    /// manifest. `json` may show them again, parsed.
    Exact(Bytes),
    /// An object with `sha256` and `size` alone: the bytes are not in the recording.
    Omitted {
        /// The digest in hexadecimal digits, if it is known.
        sha256: Option<String>,
        /// The number of bytes, if it is known.
        size: Option<u64>,
    },
}

/// The form of [`Body::Exact`] and [`Body::Omitted`].
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    sha256: Option<String>,
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(skip_serializing)]
    json: Option<Value>,
}

impl Body {
    /// Returns the value of a body of JSON, in whatever form it is recorded.
    #[must_use]
    pub fn json(&self) -> Option<Value> {
        match self {
            Self::Json(value) => Some(value.clone()),
            Self::Text(text) => serde_json::from_str(text).ok(),
            Self::Exact(bytes) => serde_json::from_slice(bytes).ok(),
            Self::Empty | Self::Omitted { .. } => None,
        }
    }

    pub(crate) fn bytes(&self, headers: &HeaderMap, is_response: bool) -> Option<Bytes> {
        match self {
            Self::Empty => Some(Bytes::new()),
            Self::Json(value) => {
                let mut text = value.to_string();
                let length = headers.get(CONTENT_LENGTH);
                let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
                // Registries end JSON with a newline, clients do not.
                if match length {
                    Some(length) if is_response => length != text.len(),
                    Some(length) => length == text.len() + 1,
                    None => is_response,
                } {
                    text.push('\n');
                }
                Some(text.into())
            }
            Self::Text(text) => Some(text.clone().into()),
            Self::Exact(bytes) => Some(bytes.clone()),
            Self::Omitted { .. } => None,
        }
    }

    /// Returns a body of other bytes, whose length is set in the headers if there was one.
    pub(crate) fn replaced(bytes: Bytes, headers: &mut HeaderMap, is_response: bool) -> Self {
        if let Some(length) = headers.get_mut(CONTENT_LENGTH) {
            *length = HeaderValue::from(bytes.len());
        }
        Self::from_bytes(bytes, headers, is_response)
    }

    /// Chooses the most readable form that keeps the bytes.
    pub(crate) fn from_bytes(bytes: Bytes, headers: &HeaderMap, is_response: bool) -> Self {
        if bytes.is_empty() {
            return Self::Empty;
        }
        let content_type = headers.get(CONTENT_TYPE);
        let content_type = content_type
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let is_manifest = ["manifest", "image.index"]
            .iter()
            .any(|part| content_type.contains(part));
        if content_type.contains("json")
            && !is_manifest
            && let Ok(value) = serde_json::from_slice::<Value>(&bytes)
            && let Ok(body @ Self::Json(_)) = Self::try_from(value)
            && body.bytes(headers, is_response).as_ref() == Some(&bytes)
        {
            return body;
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) if !is_manifest => Self::Text(text.to_owned()),
            _ => Self::Exact(bytes),
        }
    }
}

impl From<Body> for Value {
    fn from(body: Body) -> Self {
        let object = match body {
            Body::Empty => return Self::Null,
            Body::Json(value) => return value,
            Body::Text(text) => return text.into(),
            Body::Omitted { sha256, size } => Object {
                sha256,
                size,
                ..Object::default()
            },
            Body::Exact(bytes) => {
                let text = std::str::from_utf8(&bytes).ok();
                Object {
                    sha256: Some(sha256(&bytes)),
                    size: Some(bytes.len() as u64),
                    text: text.map(str::to_owned),
                    base64: text.is_none().then(|| STANDARD.encode(&bytes)),
                    json: None,
                }
            }
        };
        // An object of texts and a number is always valid JSON.
        serde_json::to_value(object).unwrap_or_default()
    }
}

impl TryFrom<Value> for Body {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::Null => Ok(Self::Empty),
            Value::String(text) => Ok(Self::Text(text)),
            Value::Object(object)
                if object.contains_key("sha256") && object.contains_key("size") =>
            {
                let object = serde_json::from_value::<Object>(object.into());
                object
                    .map_err(|error| format!("body: {error}"))?
                    .into_body()
            }
            json => Ok(Self::Json(json)),
        }
    }
}

impl Object {
    fn into_body(self) -> Result<Body, String> {
        let is_hex = |c| matches!(c, b'0'..=b'9' | b'a'..=b'f');
        if let Some(hex) = &self.sha256
            && !(hex.len() == 64 && hex.bytes().all(is_hex))
        {
            return Err("body.sha256 must be 64 lower-case hexadecimal digits".to_owned());
        }
        let bytes = match (self.text, self.base64) {
            (None, None) => {
                return Ok(Body::Omitted {
                    sha256: self.sha256,
                    size: self.size,
                });
            }
            (Some(text), None) => text.into_bytes(),
            (None, Some(text)) => STANDARD
                .decode(text)
                .map_err(|error| format!("body.base64: {error}"))?,
            (Some(_), Some(_)) => return Err("body has both text and base64".to_owned()),
        };
        if self.size.is_some_and(|size| size != bytes.len() as u64) {
            return Err(format!("body.size must be {}", bytes.len()));
        }
        let actual = sha256(&bytes);
        if self.sha256.is_some_and(|sha256| sha256 != actual) {
            return Err(format!("body.sha256 must be {actual}"));
        }
        if self.json.is_some() && self.json != serde_json::from_slice(&bytes).ok() {
            return Err("body.json differs from the bytes".to_owned());
        }
        Ok(Body::Exact(bytes.into()))
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
