//! What the client has to know of an operation, apart from its request.

use acr_protocol::blob::{GetBlob, HeadBlob};
use acr_protocol::manifest::{GetManifest, HeadManifest};
use acr_protocol::{Operation, OperationClass, RepositoryName, ScopeSet};

use crate::error::Error;

/// What the pipeline needs to know of an operation, apart from its request, and what its errors name.
#[derive(Debug, Clone)]
pub(crate) struct OperationInfo {
    pub(crate) name: &'static str,
    pub(crate) class: OperationClass,
    /// Whether doing it twice does no harm.
    pub(crate) repeatable: bool,
    pub(crate) repository: Option<RepositoryName>,
    /// The tag or digest that it works on.
    pub(crate) reference: Option<String>,
    pub(crate) scope: ScopeSet,
    /// The most bytes of a body that is read whole.
    pub(crate) limit: usize,
    /// Whether a redirect of a `GET` or `HEAD` is followed, or is the response.
    pub(crate) follows: bool,
    /// Whether it is followed to another origin too.
    pub(crate) leaves: bool,
    /// Whether its requests go where a redirect led.
    pub(crate) is_redirect: bool,
}

impl OperationInfo {
    /// Describes an operation whose body may have this many bytes.
    pub(crate) fn of<O: Operation>(operation: &O, limit: usize) -> Self {
        let content = [
            GetManifest::SPEC.name,
            HeadManifest::SPEC.name,
            GetBlob::SPEC.name,
            HeadBlob::SPEC.name,
        ];
        Self {
            name: O::SPEC.name,
            class: O::SPEC.class,
            repeatable: O::SPEC.idempotent,
            repository: operation.repository().cloned(),
            reference: operation.reference().map(str::to_owned),
            scope: operation.scope(),
            limit,
            follows: true,
            leaves: content.contains(&O::SPEC.name),
            is_redirect: false,
        }
    }

    /// Describes what is not an [`Operation`]; redirects are the response.
    pub(crate) fn new(name: &'static str, class: OperationClass, scope: ScopeSet) -> Self {
        Self {
            name,
            class,
            repeatable: true,
            repository: None,
            reference: None,
            scope,
            limit: 0,
            follows: false,
            leaves: false,
            is_redirect: false,
        }
    }

    /// Attaches operation, repository and attempt count to an error; what was attached further inside stays.
    pub(crate) fn annotate(&self, error: Error, attempts: u32) -> Error {
        let repository = self.repository.as_ref().map(RepositoryName::as_str);
        error.in_operation(self.name, repository, self.reference.as_deref(), attempts)
    }
}
