use std::error::Error as StdError;
use std::fmt;

use acr_protocol::one_line;

use super::{Error, cause};

/// Why a transport brought no response, or not all of its body.
pub struct TransportError {
    kind: TransportErrorKind,
    /// What decided it, where that is known better than by the innermost cause.
    text: Option<Box<str>>,
    source: Box<dyn StdError + Send + Sync>,
}

/// What went wrong on the way, as far as it decides whether the request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// No connection came to be: name resolution, TCP, a proxy, TLS, or a timeout of these. The
    /// server has not seen the request.
    Connect,
    /// No connection came to be because the server, or a proxy, is not trusted: its certificate is not
    /// vouched for or not its own, or what it speaks is not TLS. The server has not seen the request,
    /// and another try would end the same way.
    Untrusted,
    /// No connection came to be because a proxy refuses to make one, or what names the proxy is of no
    /// use. The server has not seen the request, and another try would end the same way.
    Refused,
    /// The server was silent for too long. It may have seen the request.
    Timeout,
    /// The connection broke after the request was begun, or the body ended early. The server may
    /// have seen the request.
    Interrupted,
    /// What came is not a response that can be read: it is not HTTP, or its head is too large. The server
    /// has seen the request, and another try would end the same way.
    Unreadable,
    /// Anything else, such as a request that cannot be put on the wire. Another try would end the same
    /// way.
    Other,
}

impl TransportError {
    /// Creates an error of the given kind; the source says what happened.
    pub fn new(
        kind: TransportErrorKind,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            text: None,
            source: source.into(),
        }
    }

    /// The same with a text that says what decided it.
    pub(crate) fn told(
        kind: TransportErrorKind,
        text: impl Into<Box<str>>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self {
            text: Some(text.into()),
            ..Self::new(kind, source)
        }
    }

    /// Returns what went wrong.
    #[must_use]
    pub const fn kind(&self) -> TransportErrorKind {
        self.kind
    }

    pub(crate) fn into_source(self) -> Box<dyn StdError + Send + Sync> {
        self.source
    }

    /// Wraps a foreign error, and hands back one that is a `TransportError` already.
    ///
    /// Where one is further down, in what a middleware has made of it, its kind is the wrapped
    /// error's too; else that is `kind`.
    pub(crate) fn from_boxed(
        kind: TransportErrorKind,
        error: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        match error.into().downcast::<Self>() {
            Ok(same) => *same,
            Err(source) => Self {
                kind: kind_within(source.as_ref()).unwrap_or(kind),
                text: None,
                source,
            },
        }
    }
}

impl fmt::Debug for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportError")
            .field("kind", &self.kind)
            .field("source", &self.source)
            .finish()
    }
}

impl fmt::Display for TransportError {
    /// Names what decided it: a cause that is known, or what the innermost one says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.text {
            return f.write_str(&one_line(text));
        }
        f.write_str(match self.kind {
            TransportErrorKind::Connect => "cannot connect to the server",
            TransportErrorKind::Untrusted => "the server is not trusted",
            TransportErrorKind::Refused => "the proxy refuses the connection",
            TransportErrorKind::Timeout => "the server was silent for too long",
            TransportErrorKind::Interrupted => "the connection broke",
            TransportErrorKind::Unreadable => "the response cannot be read",
            TransportErrorKind::Other => "the request could not be sent",
        })?;
        write!(f, ": {}", one_line(&decisive(self.source.as_ref())))
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.source.as_ref())
    }
}

/// The kind of the outermost `TransportError` among an error and its causes.
pub(crate) fn kind_within(error: &(dyn StdError + 'static)) -> Option<TransportErrorKind> {
    cause::find(error).map(TransportError::kind)
}

/// What decided it: what an error of this crate among them says, else what the innermost cause says,
/// which the others only pass on.
pub(crate) fn decisive(error: &(dyn StdError + 'static)) -> String {
    if let Some(own) = cause::find::<Error>(error) {
        return own.to_string();
    }
    if let Some(own) = cause::find::<TransportError>(error) {
        return own.to_string();
    }
    cause::chain(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_foreign_error_has_the_kind_of_the_transport_error_within() {
        let inner = || TransportError::new(TransportErrorKind::Timeout, "too slow");
        let nested = io::Error::other(io::Error::other(inner()));
        let error = TransportError::from_boxed(TransportErrorKind::Other, nested);
        assert_eq!(error.kind(), TransportErrorKind::Timeout);
        assert!(error.source().unwrap().is::<io::Error>());

        let same = TransportError::from_boxed(TransportErrorKind::Other, inner());
        assert_eq!(same.source().unwrap().to_string(), "too slow");
        let foreign = TransportError::from_boxed(TransportErrorKind::Other, "no route");
        assert_eq!(foreign.kind(), TransportErrorKind::Other);
    }
}
