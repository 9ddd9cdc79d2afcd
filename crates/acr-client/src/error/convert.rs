use std::convert::Infallible;
use std::io;

use acr_protocol::{
    DigestMismatch, InvalidDigest, InvalidManifest, InvalidReference, InvalidRepositoryName,
    InvalidTag,
};

use super::{Error, ErrorKind};
use crate::transport::{TransportError, TransportErrorKind};

impl From<Infallible> for Error {
    /// Never happens: it lets an argument that is already of the right type stand where text may.
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Malformed text is of the kind `InvalidInput`; what the parser says is already in full sentences,
/// so it is the message, not the source, and is printed once.
macro_rules! invalid_input {
    ($($error:ty),*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::invalid(error.to_string())
            }
        }
    )*};
}

invalid_input!(
    InvalidDigest,
    InvalidReference,
    InvalidRepositoryName,
    InvalidTag
);

impl From<InvalidManifest> for Error {
    fn from(error: InvalidManifest) -> Self {
        Self::protocol(error.to_string())
    }
}

impl From<DigestMismatch> for Error {
    fn from(error: DigestMismatch) -> Self {
        Self::new(ErrorKind::DigestMismatch, error.to_string())
    }
}

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        let text = error.to_string();
        Self::of_transport(error, text)
    }
}

impl Error {
    /// The error of a transport under a text that says more than its own.
    pub(crate) fn of_transport(error: TransportError, text: String) -> Self {
        let kind = match error.kind() {
            TransportErrorKind::Timeout => ErrorKind::Timeout,
            _ => ErrorKind::Transport,
        };
        let transport = error.kind();
        let own = Self::new(kind, text).with_source(error.into_source());
        match transport {
            TransportErrorKind::Connect => own.not_carried_out(),
            TransportErrorKind::Untrusted | TransportErrorKind::Other => own.without_hope(),
            _ => own,
        }
    }
}

impl From<Error> for io::Error {
    /// Keeps the error inside, so that it can be had back by downcasting, and finds the nearest
    /// [`io::ErrorKind`] for it.
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::NotFound => io::ErrorKind::NotFound,
            ErrorKind::Unauthorized
            | ErrorKind::Denied
            | ErrorKind::Disallowed
            | ErrorKind::Credential => io::ErrorKind::PermissionDenied,
            ErrorKind::Throttled => io::ErrorKind::ResourceBusy,
            ErrorKind::Unsupported => io::ErrorKind::Unsupported,
            ErrorKind::TooLarge => io::ErrorKind::FileTooLarge,
            ErrorKind::Timeout => io::ErrorKind::TimedOut,
            ErrorKind::DigestMismatch | ErrorKind::Protocol => io::ErrorKind::InvalidData,
            ErrorKind::InvalidInput => io::ErrorKind::InvalidInput,
            ErrorKind::Transport => io::ErrorKind::ConnectionAborted,
            ErrorKind::Registry | ErrorKind::Io => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use acr_protocol::{Digest, RepositoryName, Tag};

    use super::*;
    use crate::error::Advice;

    #[test]
    fn malformed_text_is_invalid_input_and_says_what_is_wrong() {
        for error in [
            Error::from(RepositoryName::new("Upper").unwrap_err()),
            Error::from(Tag::new("-x").unwrap_err()),
            Error::from(Digest::new("sha256:x").unwrap_err()),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("is not a"), "{error}");
            assert!(error.source().is_none());
        }
    }

    #[test]
    fn a_transport_error_is_printed_once() {
        let error = Error::from(TransportError::new(TransportErrorKind::Connect, "refused"));
        assert_eq!(error.to_string(), "cannot connect to the server");
        assert_eq!(error.source().unwrap().to_string(), "refused");
    }

    #[test]
    fn distrust_does_not_heal() {
        for (kind, advice) in [
            (TransportErrorKind::Connect, Advice::RetryAfter),
            (TransportErrorKind::Interrupted, Advice::RetryAfter),
            (TransportErrorKind::Untrusted, Advice::Never),
            (TransportErrorKind::Other, Advice::Never),
        ] {
            let error = Error::from(TransportError::new(kind, "unknown issuer"));
            assert_eq!(
                (error.kind(), error.advice()),
                (ErrorKind::Transport, advice)
            );
        }
    }

    #[test]
    fn an_error_can_be_had_back_from_an_io_error() {
        let outer = io::Error::from(Error::new(ErrorKind::NotFound, "no such blob"));
        assert_eq!(outer.kind(), io::ErrorKind::NotFound);
        let inner = outer.get_ref().unwrap().downcast_ref::<Error>().unwrap();
        assert_eq!(inner.kind(), ErrorKind::NotFound);
    }
}
