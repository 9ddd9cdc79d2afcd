//! Errors of transports as [`Failure`]s, and back.

use std::error::Error;

use acr_client::transport::{TransportError, TransportErrorKind};

use crate::exchange::{Failure, FailureKind};

/// Kinds that are not here become [`FailureKind::Other`].
const KINDS: [(TransportErrorKind, FailureKind); 7] = [
    (TransportErrorKind::Connect, FailureKind::Connect),
    (TransportErrorKind::Untrusted, FailureKind::Untrusted),
    (TransportErrorKind::Refused, FailureKind::Refused),
    (TransportErrorKind::Timeout, FailureKind::Timeout),
    (TransportErrorKind::Interrupted, FailureKind::Interrupted),
    (TransportErrorKind::Unreadable, FailureKind::Unreadable),
    (TransportErrorKind::Other, FailureKind::Other),
];

impl From<&TransportError> for Failure {
    /// The message names all causes.
    fn from(error: &TransportError) -> Self {
        let mut message = String::new();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // A cause may name its own cause already.
            if !message.ends_with(&text) {
                if !message.is_empty() {
                    message.push_str(": ");
                }
                message.push_str(&text);
            }
            source = cause.source();
        }
        let kind = KINDS.iter().find(|(kind, _)| *kind == error.kind());
        Self::new(kind.map_or(FailureKind::Other, |(_, kind)| *kind), message)
    }
}

impl From<&Failure> for TransportError {
    fn from(failure: &Failure) -> Self {
        let kind = KINDS.iter().find(|(_, kind)| *kind == failure.kind);
        let kind = kind.map_or(TransportErrorKind::Other, |(kind, _)| *kind);
        Self::new(kind, failure.message.clone())
    }
}
