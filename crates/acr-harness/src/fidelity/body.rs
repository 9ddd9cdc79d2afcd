//! [`Body`]: a body as an exchange file writes it down.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What is known of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// There was none, or the recorder dropped it.
    #[default]
    None,
    /// A JSON value: compact on the wire, nearly always with a newline behind it.
    Json(Value),
    /// These very bytes.
    Bytes(Bytes),
    /// Other bytes of this size will do.
    Unknown {
        /// The digest in hex, if it is known.
        sha256: Option<String>,
        /// How many bytes it has, if that is known.
        size: Option<u64>,
    },
}

impl Body {
    /// Reads one of the forms.
    pub(super) fn read(value: Option<&Value>) -> Result<Self, String> {
        match value {
            None | Some(Value::Null) => Ok(Self::None),
            Some(Value::String(text)) => Ok(Self::Bytes(Bytes::copy_from_slice(text.as_bytes()))),
            Some(Value::Object(object))
                if object.contains_key("sha256") && object.contains_key("size") =>
            {
                let sha256 = match &object["sha256"] {
                    Value::Null => None,
                    Value::String(hex) => Some(hex.trim_start_matches("sha256:").to_owned()),
                    _ => return Err("body.sha256 is no text".to_owned()),
                };
                let size = match &object["size"] {
                    Value::Null => None,
                    size => Some(size.as_u64().ok_or("body.size is no number of bytes")?),
                };
                let bytes = match (object.get("text"), object.get("base64")) {
                    (Some(Value::String(text)), _) => Some(Bytes::copy_from_slice(text.as_bytes())),
                    (_, Some(Value::String(text))) => Some(Bytes::from(
                        STANDARD
                            .decode(text)
                            .map_err(|error| format!("body.base64: {error}"))?,
                    )),
                    _ => None,
                };
                match bytes {
                    None => Ok(Self::Unknown { sha256, size }),
                    Some(bytes) => {
                        check(&bytes, sha256.as_deref(), size)?;
                        Ok(Self::Bytes(bytes))
                    }
                }
            }
            Some(json) => Ok(Self::Json(json.clone())),
        }
    }

    /// The JSON value, also of bytes that are some.
    pub fn json(&self) -> Option<Value> {
        match self {
            Self::Json(value) => Some(value.clone()),
            Self::Bytes(bytes) => serde_json::from_slice(bytes).ok(),
            Self::None | Self::Unknown { .. } => None,
        }
    }

    /// The text of a body of exact bytes.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

/// The digest of bytes in hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The digest of bytes as registries write it.
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

/// Compact JSON and a newline: how the service writes its own documents.
pub fn json_line(value: &Value) -> Bytes {
    format!("{value}\n").into()
}

/// The bytes of a manifest that is only known as JSON: the one of the usual ways to write JSON that has the digest.
pub fn manifest_bytes(value: &Value, digest: &str) -> Option<Bytes> {
    let compact = value.to_string();
    let mut forms = vec![compact.clone(), format!("{compact}\n")];
    for indent in ["  ", "   ", "    ", "\t"] {
        let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
        let mut text = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
        if serde::Serialize::serialize(value, &mut serializer).is_ok()
            && let Ok(text) = String::from_utf8(text)
        {
            forms.push(format!("{text}\n"));
            forms.push(text);
        }
    }
    forms
        .into_iter()
        .find(|form| digest_of(form.as_bytes()) == digest)
        .map(Bytes::from)
}

fn check(bytes: &[u8], hex: Option<&str>, size: Option<u64>) -> Result<(), String> {
    if size.is_some_and(|size| size != bytes.len() as u64) {
        return Err(format!(
            "body.size is not that of its {} bytes",
            bytes.len()
        ));
    }
    let actual = sha256(bytes);
    match hex {
        Some(hex) if hex != actual => {
            Err(format!("body.sha256 is not that of its bytes, {actual}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_form_is_read() {
        let empty = sha256(b"");
        for (form, body) in [
            (json!(null), Body::None),
            (json!("text"), Body::Bytes("text".into())),
            (json!([1]), Body::Json(json!([1]))),
            (json!({"size": 1}), Body::Json(json!({"size": 1}))),
            (
                json!({"sha256": null, "size": 3}),
                Body::Unknown {
                    sha256: None,
                    size: Some(3),
                },
            ),
            (
                json!({"sha256": "ab", "size": null}),
                Body::Unknown {
                    sha256: Some("ab".into()),
                    size: None,
                },
            ),
            (
                json!({"sha256": empty, "size": 0, "text": "", "json": null}),
                Body::Bytes(Bytes::new()),
            ),
            (
                json!({"sha256": sha256(b"hey"), "size": 3, "base64": "aGV5"}),
                Body::Bytes("hey".into()),
            ),
        ] {
            assert_eq!(Body::read(Some(&form)), Ok(body), "{form}");
        }
        assert!(Body::read(Some(&json!({"sha256": empty, "size": 1, "text": ""}))).is_err());
        assert!(Body::read(Some(&json!({"sha256": "00", "size": 0, "text": ""}))).is_err());
        assert!(Body::read(Some(&json!({"sha256": empty, "size": 0, "base64": "?"}))).is_err());
    }

    #[test]
    fn a_manifest_known_as_json_is_found_by_its_digest() {
        let value = json!({"schemaVersion": 2, "layers": []});
        let docker = "{\n   \"schemaVersion\": 2,\n   \"layers\": []\n}";
        for text in [docker, r#"{"schemaVersion":2,"layers":[]}"#] {
            let found = manifest_bytes(&value, &digest_of(text.as_bytes()));
            assert_eq!(found.as_deref(), Some(text.as_bytes()));
        }
        assert_eq!(manifest_bytes(&value, "sha256:00"), None);
    }
}
