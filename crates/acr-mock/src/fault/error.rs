//! [`FaultError`]: why a fault was not injected.

use acr_protocol::{InvalidRepositoryName, Route};

/// A fault that was not injected, because it could never strike as it was meant to.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// No operation has this name.
    #[error("no operation is called {name:?}; there are {}", Route::NAMES.join(", "))]
    UnknownOperation {
        /// The name, as it was given.
        name: String,
    },
    /// The repository's name is malformed.
    #[error(transparent)]
    Repository(#[from] InvalidRepositoryName),
    /// The share is not a number from 0 to 1.
    #[error("the share {share} of a fault is not between 0 and 1")]
    Share {
        /// The share, as it was given.
        share: f64,
    },
    /// The status of a response is not one that says no.
    #[error("the status {status} of a fault's response is not one of 400 to 599")]
    Status {
        /// The status, as it was given.
        status: http::StatusCode,
    },
    /// It was not said what becomes of the requests.
    #[error("the fault has no action; name one, such as `reset` or `respond`")]
    NoAction,
    /// It needs something that no request has which it is aimed at.
    #[error("the fault could never strike: {target} has no {what}")]
    Unfit {
        /// What it needs, such as an open upload.
        what: &'static str,
        /// What it is aimed at.
        target: String,
    },
}
