use bytes::Bytes;
use http::{Response, StatusCode, response};

use crate::error::{DecodeError, ErrorCode, ErrorEnvelope, RegistryError};
use crate::http_parts::{empty_response, json_response};

/// The outcome of a delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deletion<T = ()> {
    /// It was there and is deleted, with what the registry says of it.
    Deleted(T),
    /// It was not there.
    NotFound,
}

impl<T> Deletion<T> {
    /// The statuses that may mean success.
    pub(crate) const SUCCESS: &'static [StatusCode] =
        &[StatusCode::ACCEPTED, StatusCode::NOT_FOUND];

    /// Returns whether it was there.
    #[must_use]
    pub fn was_there(&self) -> bool {
        matches!(self, Self::Deleted(_))
    }

    /// Returns what the registry says of what it deleted.
    #[must_use]
    pub fn deleted(self) -> Option<T> {
        match self {
            Self::Deleted(said) => Some(said),
            Self::NotFound => None,
        }
    }

    /// Reads the response to a delete. Only one of these codes says that it was not there: a 404 is also the response
    /// of a registry that lacks the API, and of a proxy that lets nobody through, and who takes it for absence leaves
    /// behind what was to be deleted.
    pub(crate) fn read(
        head: &response::Parts,
        body: &[u8],
        absence: &[ErrorCode],
        said: impl FnOnce() -> Result<T, DecodeError>,
    ) -> Result<Self, DecodeError> {
        if head.status == StatusCode::ACCEPTED {
            return said().map(Self::Deleted);
        }
        match ErrorEnvelope::parse(body).errors.first() {
            Some(error) if absence.contains(&error.code) => Ok(Self::NotFound),
            _ => Err(DecodeError::Status(head.status)),
        }
    }

    /// Writes an empty response, or this error.
    pub(crate) fn respond(&self, not_found: impl FnOnce() -> RegistryError) -> Response<Bytes> {
        match self {
            Self::Deleted(_) => empty_response(StatusCode::ACCEPTED),
            Self::NotFound => {
                json_response(StatusCode::NOT_FOUND, &ErrorEnvelope::from(not_found()))
            }
        }
    }
}

impl<T> From<Option<T>> for Deletion<T> {
    fn from(deleted: Option<T>) -> Self {
        deleted.map_or(Self::NotFound, Self::Deleted)
    }
}
