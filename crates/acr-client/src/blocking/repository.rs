use std::fmt;

use acr_protocol::RepositoryName;

use super::runtime::Runtime;
use crate::call_options::CallOptions;

/// One repository of a registry, for programs without an async runtime.
///
/// The twin of [`acr_client::RepositoryClient`](crate::RepositoryClient). Made by
/// [`ContainerRegistryClient::repository_client`](super::ContainerRegistryClient::repository_client);
/// cheap to clone, and shares everything with its client.
#[derive(Clone)]
pub struct RepositoryClient {
    pub(super) inner: crate::RepositoryClient,
    pub(super) runtime: Runtime,
}

impl RepositoryClient {
    pub(super) const fn new(inner: crate::RepositoryClient, runtime: Runtime) -> Self {
        Self { inner, runtime }
    }

    /// Returns the name of the repository, as the async [`name`](crate::RepositoryClient::name) does.
    #[must_use]
    pub const fn name(&self) -> &RepositoryName {
        self.inner.name()
    }

    /// Returns a handle whose calls have these options, as the async
    /// [`with`](crate::RepositoryClient::with) does.
    #[must_use]
    pub fn with(&self, options: CallOptions) -> Self {
        Self::new(self.inner.with(options), self.runtime.clone())
    }
}

impl fmt::Debug for RepositoryClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
