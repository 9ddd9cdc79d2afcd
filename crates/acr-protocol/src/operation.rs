//! [`Operation`]: the facts about an operation of the API, and how its request and response are written and read.

use bytes::Bytes;
use http::{Request, Response, StatusCode, response};

use crate::auth::scope::{Action, Scope, ScopeSet};
use crate::error::{DecodeError, InvalidRequest};
use crate::reference::RepositoryName;

pub use crate::http_parts::{API_VERSION, JSON_UTF8, headers};

/// An operation of the API.
///
/// `request` and `decode` are the client's half, `respond` the server's; [`crate::Route::parse`] is the inverse of
/// `request`. [`crate::for_each_operation`] lists all of them.
pub trait Operation {
    /// Its facts.
    const SPEC: Spec;
    /// What it returns.
    type Output;

    /// The repository that it works on, if it is one.
    fn repository(&self) -> Option<&RepositoryName> {
        None
    }

    /// The tag or digest that it works on, if it is one.
    fn reference(&self) -> Option<&str> {
        None
    }

    /// The scopes that a token needs for it. Empty where any valid token will do.
    fn scope(&self) -> ScopeSet {
        let actions = Self::SPEC.actions;
        match self.repository() {
            _ if actions.is_empty() => ScopeSet::new(),
            Some(name) => Scope::repository(name, actions.iter().cloned()).into(),
            None => Scope::catalog().into(),
        }
    }

    /// Writes the request: method, path and query, headers and body. The caller adds scheme, authority and credentials,
    /// and the body of an upload.
    ///
    /// # Errors
    /// [`InvalidRequest`]: a text of the operation is too long for a URL or not fit for a header.
    fn request(&self) -> Result<Request<Bytes>, InvalidRequest>;

    /// Reads the response, whose status is one of the successes of its [`Spec`]. The content of a blob is a stream and not read here.
    ///
    /// # Errors
    /// The response is not of the operation's form; [`DecodeError::Status`] where a refusal among the successes says no
    /// more than its status.
    fn read(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError>;

    /// Judges the status, then [reads](Operation::read) the response.
    ///
    /// # Errors
    /// [`DecodeError::Status`] where the status is none of the successes of its [`Spec`], else those of [`Operation::read`].
    fn decode(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        if Self::SPEC.success.contains(&head.status) {
            self.read(head, body)
        } else {
            Err(DecodeError::Status(head.status))
        }
    }

    /// Writes the response that a registry gives with this outcome: status, the headers that belong to the operation,
    /// body.
    fn respond(&self, output: &Self::Output) -> Response<Bytes>;
}

/// The facts about an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spec {
    /// The operation's one name, the same in every crate: `list_tag_properties`.
    pub name: &'static str,
    /// The class that the service's limits count it under.
    pub class: OperationClass,
    /// Whether repeating the request is safe: the outcome is that of one, for all that can be observed.
    pub idempotent: bool,
    /// The actions that a token must allow, on the repository or, where there is none, on the catalogue.
    pub actions: &'static [Action],
    /// The statuses that may mean success, exactly. That of a refusal is among them where it may say that there was
    /// nothing to do, which [`Operation::read`] reads from its body.
    pub success: &'static [StatusCode],
}

impl Spec {
    /// An operation that may be repeated and succeeds with 200.
    pub(crate) const fn new(
        name: &'static str,
        class: OperationClass,
        actions: &'static [Action],
    ) -> Self {
        Self {
            name,
            class,
            idempotent: true,
            actions,
            success: &[StatusCode::OK],
        }
    }

    pub(crate) const fn success(self, success: &'static [StatusCode]) -> Self {
        Self { success, ..self }
    }

    pub(crate) const fn not_idempotent(self) -> Self {
        Self {
            idempotent: false,
            ..self
        }
    }
}

pub(crate) const NONE: &[Action] = &[];
pub(crate) const READ: &[Action] = &[Action::METADATA_READ];
pub(crate) const WRITE: &[Action] = &[Action::METADATA_WRITE];
pub(crate) const PULL: &[Action] = &[Action::PULL];
/// A push asks for `pull` too, as all clients do.
pub(crate) const PUSH: &[Action] = &[Action::PULL, Action::PUSH];
pub(crate) const DELETE: &[Action] = &[Action::DELETE];
pub(crate) const CATALOG: &[Action] = &[Action::ALL];

/// The class of an operation: the service limits each class by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum OperationClass {
    /// Exchanges and token requests, and the ping.
    Token,
    /// Reading properties and lists.
    MetadataRead,
    /// Changing properties.
    MetadataWrite,
    /// Getting and setting manifests.
    Manifest,
    /// Listing referrers, which is limited far more tightly than the rest.
    Referrers,
    /// Getting and uploading blobs.
    Blob,
    /// Deletes of every kind.
    Delete,
}
