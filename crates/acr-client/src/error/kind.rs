use acr_protocol::ErrorCode;
use http::StatusCode;

/// What went wrong, as far as a program acts on it.
///
/// One kind may have several causes; [`Error::code`](crate::Error::code) and
/// [`Error::status`](crate::Error::status) tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such repository, tag, manifest, blob or upload: the registry says so (404).
    NotFound,
    /// The registry does not accept the identity, or none was given (401).
    ///
    /// Check the credential; a new token may help.
    Unauthorized,
    /// The registry knows the identity, but it lacks the permission (401 `insufficient_scope`, or 403).
    ///
    /// [`Error::missing_scope`](crate::Error::missing_scope) names the permission where the registry
    /// did. A firewall's refusal is of this kind too.
    Denied,
    /// Too many requests in a time (429). Wait, then try again.
    Throttled,
    /// The operation is not allowed on this item now (405): it is locked or in quarantine, or the
    /// registry is full.
    ///
    /// A lock is removed by updating the item's properties.
    Disallowed,
    /// The server does not offer the operation, or does not say that it does: a registry without Azure's
    /// own API or without deletes (404 or 405 with `UNSUPPORTED` or `METHOD_UNKNOWN`), or a proxy or
    /// another server, whose 404 and 405 say nothing about the registry's content.
    ///
    /// What was asked for may well be there.
    Unsupported,
    /// The content is larger than the registry takes (413), or than this client reads into memory.
    TooLarge,
    /// The server was silent for too long. It may have carried out the request.
    Timeout,
    /// Content does not have the digest it should have: it was damaged or exchanged.
    DigestMismatch,
    /// An argument or setting is malformed; nothing was sent.
    InvalidInput,
    /// The registry refused for another reason (another 4xx), or failed (5xx).
    Registry,
    /// The server's response is not what the protocol allows.
    ///
    /// It may not be a registry at all: check the endpoint.
    Protocol,
    /// The request or its response did not come through: no connection, or one that broke.
    Transport,
    /// The credential brought no token, or must not be sent where the server wants it.
    Credential,
    /// A file, reader or writer of this machine failed.
    Io,
}

/// What a program can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Advice {
    /// Nothing that the client could do: the same call would fail again.
    Never,
    /// Try again later, after [`Error::retry_after`](crate::Error::retry_after) if it is known.
    ///
    /// Where the operation changes something, it may have been carried out already.
    RetryAfter,
    /// Begin a new upload: this one is lost.
    NewSession,
    /// Try again with a new credential or token.
    NewToken,
    /// Change the request; [`Error`](crate::Error) says what is wrong with it.
    FixRequest,
}

impl ErrorKind {
    /// The kind of a response that is not a success.
    pub(crate) fn of_response(status: StatusCode, code: Option<&ErrorCode>, scope: bool) -> Self {
        if code == Some(&ErrorCode::DIGEST_INVALID) {
            return Self::DigestMismatch;
        }
        // An error without a code is read as `UNKNOWN`; it says no more than none.
        let code = code.filter(|code| **code != ErrorCode::UNKNOWN);
        match (status, code) {
            (
                StatusCode::BAD_REQUEST
                | StatusCode::NOT_FOUND
                | StatusCode::METHOD_NOT_ALLOWED
                | StatusCode::NOT_IMPLEMENTED,
                Some(&ErrorCode::UNSUPPORTED | &ErrorCode::METHOD_UNKNOWN),
            )
            | (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, None) => {
                return Self::Unsupported;
            }
            _ => {}
        }
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::UNAUTHORIZED if scope => Self::Denied,
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            StatusCode::FORBIDDEN => Self::Denied,
            StatusCode::TOO_MANY_REQUESTS => Self::Throttled,
            StatusCode::METHOD_NOT_ALLOWED => Self::Disallowed,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::REQUEST_TIMEOUT => Self::Timeout,
            status if status.is_client_error() || status.is_server_error() => Self::Registry,
            _ => Self::Protocol,
        }
    }

    /// What to do about an error of this kind, with what the registry said about it.
    pub(crate) fn advice(self, status: Option<StatusCode>, code: Option<&ErrorCode>) -> Advice {
        match code {
            Some(&ErrorCode::BLOB_UPLOAD_UNKNOWN | &ErrorCode::BLOB_UPLOAD_INVALID) => {
                return Advice::NewSession;
            }
            Some(&ErrorCode::TOOMANYREQUESTS) => return Advice::RetryAfter,
            _ => {}
        }
        match self {
            Self::Throttled | Self::Timeout | Self::Transport => Advice::RetryAfter,
            Self::Registry if status.is_some_and(|status| status.is_server_error()) => {
                if status.is_some_and(is_transient) {
                    Advice::RetryAfter
                } else {
                    Advice::Never
                }
            }
            Self::Unauthorized | Self::Credential => Advice::NewToken,
            Self::Registry | Self::InvalidInput | Self::TooLarge => Advice::FixRequest,
            Self::NotFound
            | Self::Denied
            | Self::Disallowed
            | Self::Unsupported
            | Self::DigestMismatch
            | Self::Protocol
            | Self::Io => Advice::Never,
        }
    }
}

/// Whether a response with this status may be another one soon.
pub(crate) fn is_transient(status: StatusCode) -> bool {
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => true,
        // What a server does not know it will not have learnt by the next time.
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
        status => status.is_server_error(),
    }
}

/// Whether a code of a 404 says that something is not there.
pub(crate) fn is_absence(code: &ErrorCode) -> bool {
    matches!(
        code,
        &ErrorCode::TAG_UNKNOWN
            | &ErrorCode::MANIFEST_UNKNOWN
            | &ErrorCode::BLOB_UNKNOWN
            | &ErrorCode::NAME_UNKNOWN
            | &ErrorCode::BLOB_UPLOAD_UNKNOWN
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_right_is_denied_and_an_unknown_identity_is_unauthorized() {
        let unauthorized = StatusCode::UNAUTHORIZED;
        for (status, scope, kind) in [
            (unauthorized, false, ErrorKind::Unauthorized),
            (unauthorized, true, ErrorKind::Denied),
            (StatusCode::FORBIDDEN, false, ErrorKind::Denied),
        ] {
            assert_eq!(ErrorKind::of_response(status, None, scope), kind);
        }
    }

    #[test]
    fn every_status_has_a_kind() {
        for (status, kind) in [
            (404, ErrorKind::Unsupported),
            (405, ErrorKind::Unsupported),
            (408, ErrorKind::Timeout),
            (413, ErrorKind::TooLarge),
            (429, ErrorKind::Throttled),
            (400, ErrorKind::Registry),
            (503, ErrorKind::Registry),
            (204, ErrorKind::Protocol),
            (302, ErrorKind::Protocol),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                ErrorKind::of_response(status, None, false),
                kind,
                "{status}"
            );
        }
    }

    #[test]
    fn a_404_or_405_means_what_its_code_says() {
        for (status, code, kind) in [
            (404, "TAG_UNKNOWN", ErrorKind::NotFound),
            (404, "NAME_UNKNOWN", ErrorKind::NotFound),
            // Harbor's code.
            (404, "NOT_FOUND", ErrorKind::NotFound),
            (404, "UNSUPPORTED", ErrorKind::Unsupported),
            (404, "METHOD_UNKNOWN", ErrorKind::Unsupported),
            (404, "UNKNOWN", ErrorKind::Unsupported),
            (400, "METHOD_UNKNOWN", ErrorKind::Unsupported),
            (501, "UNSUPPORTED", ErrorKind::Unsupported),
            (401, "UNSUPPORTED", ErrorKind::Unauthorized),
            (405, "UNSUPPORTED", ErrorKind::Unsupported),
            (405, "REGISTRY_DISALLOWED_OPERATION", ErrorKind::Disallowed),
        ] {
            let (code, status) = (ErrorCode::from(code), StatusCode::from_u16(status).unwrap());
            let found = ErrorKind::of_response(status, Some(&code), false);
            assert_eq!(found, kind, "{status} {code}");
            assert_ne!(found.advice(Some(status), Some(&code)), Advice::RetryAfter);
        }
    }

    #[test]
    fn a_lost_upload_advises_a_new_session_whatever_its_status() {
        let code = ErrorCode::BLOB_UPLOAD_UNKNOWN;
        let kind = ErrorKind::of_response(StatusCode::NOT_FOUND, Some(&code), false);
        assert_eq!(kind, ErrorKind::NotFound);
        let status = Some(StatusCode::NOT_FOUND);
        assert_eq!(kind.advice(status, Some(&code)), Advice::NewSession);
        assert_eq!(kind.advice(status, None), Advice::Never);
    }

    #[test]
    fn only_a_failing_server_is_worth_another_try() {
        let advice = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            ErrorKind::of_response(status, None, false).advice(Some(status), None)
        };
        assert_eq!(advice(500), Advice::RetryAfter);
        assert_eq!(advice(501), Advice::Never);
        assert_eq!(advice(429), Advice::RetryAfter);
        assert_eq!(advice(400), Advice::FixRequest);
        assert_eq!(advice(401), Advice::NewToken);
        assert_eq!(advice(405), Advice::Never);
    }
}
