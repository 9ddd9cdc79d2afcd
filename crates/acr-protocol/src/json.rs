//! JSON as Go's decoder takes it, because registries are written in Go, and read each other's JSON with it: `null` is
//! the empty value of whatever it stands for, and a member that is absent too, so that `{}` is an empty list.
//!
//! Chosen: names of members are taken as they are spelled, though Go's decoder passes over their case, for no registry has
//! been seen to write others; and a body that is `null` as a whole is not a list. What is sent is strict.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::error::{DecodeError, ErrorEnvelope};
use crate::text::excerpt;

/// Reads a body.
pub(crate) fn from_json<T: DeserializeOwned>(
    expected: &'static str,
    body: &[u8],
) -> Result<T, DecodeError> {
    refuse_errors(expected, body)?;
    serde_json::from_slice(body).map_err(DecodeError::json(expected))
}

/// Refuses the errors of a registry, or of what stands before it, in a response whose status is a success: for want of
/// members that have to be there they would be read as an empty list.
pub(crate) fn refuse_errors(expected: &'static str, body: &[u8]) -> Result<(), DecodeError> {
    // Nothing else that is read begins like it, so the rest is looked at only where they are likely.
    let object = body.trim_ascii_start().strip_prefix(b"{");
    if !object.is_some_and(|body| body.trim_ascii_start().starts_with(br#""errors""#)) {
        return Ok(());
    }
    let errors = ErrorEnvelope::parse(body).errors;
    errors.first().map_or(Ok(()), |error| {
        Err(DecodeError::Body {
            expected,
            reason: excerpt(&format!("it is an error, {error}")),
        })
    })
}

/// The same for a body that holds a secret: the error says where it is malformed, but repeats nothing of it.
pub(crate) fn from_secret_json<T: DeserializeOwned>(
    expected: &'static str,
    body: &[u8],
) -> Result<T, DecodeError> {
    serde_json::from_slice(body).map_err(|error| DecodeError::Body {
        expected,
        reason: format!(
            "malformed at line {} column {}",
            error.line(),
            error.column()
        ),
    })
}

/// `null` where a list, a map, a text or a number belongs means: none. With `default` beside it, so does its absence.
pub(crate) fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A map of texts, of which each may be `null`.
pub(crate) fn texts<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let texts: BTreeMap<String, Option<String>> = null_is_default(deserializer)?;
    let texts = texts.into_iter();
    Ok(texts
        .map(|(key, text)| (key, text.unwrap_or_default()))
        .collect())
}

/// Keeps `null` apart from a missing member.
pub(crate) fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// `{"name": null}`-style serialisation of an empty list.
pub(crate) fn empty_is_null<S: Serializer, T: Serialize>(
    items: &[T],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if items.is_empty() {
        serializer.serialize_none()
    } else {
        serializer.collect_seq(items)
    }
}
