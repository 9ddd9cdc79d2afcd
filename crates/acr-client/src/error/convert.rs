use std::io;

use acr_protocol::upload::InvalidUploadLocation;
use acr_protocol::{
    DigestMismatch, InvalidDigest, InvalidManifest, InvalidReference, InvalidRepositoryName,
    InvalidRequest, InvalidTag,
};

use super::{Error, ErrorKind, TransportError, TransportErrorKind, cause};

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
    InvalidRequest,
    InvalidTag,
    InvalidUploadLocation
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
        let transport = error.kind();
        let source = error.into_source();
        if let Some(inner) = cause::find::<Self>(source.as_ref()) {
            let own = Self::new(inner.kind(), text).inheriting(inner);
            return own.with_source(source);
        }
        let kind = match transport {
            TransportErrorKind::Timeout => ErrorKind::Timeout,
            TransportErrorKind::Unreadable => ErrorKind::Protocol,
            _ => ErrorKind::Transport,
        };
        let own = Self::new(kind, text).with_source(source);
        match transport {
            TransportErrorKind::Connect => own.not_sent(),
            TransportErrorKind::Untrusted | TransportErrorKind::Refused => {
                own.not_sent().permanent()
            }
            TransportErrorKind::Unreadable | TransportErrorKind::Other => own.permanent(),
            TransportErrorKind::Timeout | TransportErrorKind::Interrupted => own,
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

    use std::time::Duration;

    use acr_protocol::{Digest, ErrorCode, RegistryError, RepositoryName, Tag};
    use http::StatusCode;

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
        assert_eq!(error.to_string(), "cannot connect to the server: refused");
        assert_eq!(error.source().unwrap().to_string(), "refused");
    }

    #[test]
    fn distrust_does_not_heal() {
        for (kind, advice) in [
            (TransportErrorKind::Connect, Advice::RetryAfter),
            (TransportErrorKind::Interrupted, Advice::RetryAfter),
            (TransportErrorKind::Untrusted, Advice::Never),
            (TransportErrorKind::Refused, Advice::Never),
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

    /// An error of a registry, as the source of an upload may meet it.
    fn busy() -> Error {
        Error::new(ErrorKind::Throttled, "429 Too Many Requests")
            .with_response(
                StatusCode::TOO_MANY_REQUESTS,
                Some("id-1".to_owned()),
                Some(PAUSE),
            )
            .with_registry_errors(vec![RegistryError::new(ErrorCode::TOOMANYREQUESTS, "slow")])
            .in_operation("get_blob", Some("app"), None, 5)
    }

    #[track_caller]
    fn is_busy(error: &Error) {
        assert_eq!(error.kind(), ErrorKind::Throttled, "{error}");
        assert_eq!(error.code(), Some(&ErrorCode::TOOMANYREQUESTS));
        assert_eq!(error.status(), Some(StatusCode::TOO_MANY_REQUESTS));
        assert_eq!(error.request_id(), Some("id-1"));
        assert_eq!(error.retry_after(), Some(PAUSE));
        assert_eq!(error.advice(), Advice::RetryAfter);
        assert!(
            error.to_string().contains("429 Too Many Requests"),
            "{error}"
        );
    }

    #[derive(Debug)]
    struct Outer(Box<dyn std::error::Error + Send + Sync>);

    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a library's own words")
        }
    }

    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(self.0.as_ref())
        }
    }

    #[test]
    fn an_error_keeps_its_kind_and_advice_however_deep_it_is_inside_another_one() {
        let io = || io::Error::from(busy());
        let deep = || io::Error::other(Outer(Box::new(io::Error::other(io()))));
        let transport = || TransportError::new(TransportErrorKind::Interrupted, deep());
        is_busy(&Error::of_foreign(
            ErrorKind::Io,
            "the source cannot be read",
            io(),
        ));
        is_busy(&Error::of_foreign(
            ErrorKind::Io,
            "the source cannot be read",
            deep(),
        ));
        let inside = io::Error::other(transport());
        is_busy(&Error::of_foreign(
            ErrorKind::Io,
            "the source cannot be read",
            inside,
        ));
        is_busy(&Error::from(transport()));
        // What will not heal does not heal here.
        let lost = Error::new(ErrorKind::Transport, "not trusted").permanent();
        let error = Error::of_foreign(ErrorKind::Io, "x", io::Error::from(lost));
        assert_eq!(
            (error.kind(), error.advice()),
            (ErrorKind::Transport, Advice::Never)
        );
    }

    #[test]
    fn a_source_of_tokens_fails_as_a_source_of_tokens_and_may_heal() {
        let error = Error::of_credential("no token", io::Error::from(busy()).into());
        assert_eq!(
            (error.kind(), error.advice()),
            (ErrorKind::Credential, Advice::RetryAfter)
        );
        assert_eq!(error.retry_after(), Some(PAUSE));
        // A registry elsewhere that has no such repository says nothing about this one.
        let missing = Error::new(ErrorKind::NotFound, "404");
        let error = Error::of_credential("no token", Box::new(missing));
        assert_eq!(
            (error.kind(), error.advice()),
            (ErrorKind::Credential, Advice::NewToken)
        );
    }

    const PAUSE: Duration = Duration::from_secs(7);
}
