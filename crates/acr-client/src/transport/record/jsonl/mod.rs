//! Recordings as text: one JSON object a line, in the form of the exchange files.

mod body;
mod read;
mod write;

pub(crate) use self::read::read;
pub(crate) use self::write::write;

use crate::transport::TransportErrorKind;

/// The kinds of errors by name. A kind that is not here is written as `other`.
const KINDS: [(TransportErrorKind, &str); 7] = [
    (TransportErrorKind::Connect, "connect"),
    (TransportErrorKind::Untrusted, "untrusted"),
    (TransportErrorKind::Refused, "refused"),
    (TransportErrorKind::Timeout, "timeout"),
    (TransportErrorKind::Interrupted, "interrupted"),
    (TransportErrorKind::Unreadable, "unreadable"),
    (TransportErrorKind::Other, "other"),
];

#[cfg(test)]
mod tests;
