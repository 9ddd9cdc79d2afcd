use acr_protocol::ErrorEnvelope;
use serde_json::Value;

use crate::check::through_text;

/// The body of an error response, whatever it is: an error stands in an envelope or is none, has a code, can be shown, and
/// is written and read back.
pub fn error_body(data: &[u8]) {
    let envelope = ErrorEnvelope::parse(data);
    let listed = serde_json::from_slice::<Value>(data)
        .ok()
        .and_then(|body| Some(body.get("errors")?.as_array()?.len()));
    assert!(envelope.errors.len() <= listed.unwrap_or(0));
    for error in &envelope.errors {
        assert!(!error.to_string().is_empty() || error.code == "");
        assert!(error.to_string().len() <= data.len() + "UNKNOWN: ".len());
        through_text(&error.code);
    }
    let written = serde_json::to_vec(&envelope)
        .unwrap_or_else(|error| panic!("an envelope cannot be written: {error}"));
    let again = ErrorEnvelope::parse(&written);
    assert_eq!(again.errors.len(), envelope.errors.len());
    for (again, error) in again.errors.iter().zip(&envelope.errors) {
        assert_eq!(again.code, error.code);
        assert_eq!(again.message, error.message);
        assert_eq!(again.detail.is_some(), error.detail.is_some());
        if !error.detail.as_ref().is_some_and(has_a_fraction) {
            assert_eq!(again.detail, error.detail);
        }
    }
}

/// Fractions are read to their last digit but one, so that such a number may change when it is written.
fn has_a_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(values) => values.iter().any(has_a_fraction),
        Value::Object(members) => members.values().any(has_a_fraction),
        _ => false,
    }
}
