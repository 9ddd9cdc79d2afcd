use std::time::Duration;

use acr_protocol::{ChangeableAttributes, DeletedRepository, RepositoryName, RepositoryProperties};

use super::runtime::Runtime;
use crate::error::Error;

/// One repository of a registry, for programs without an async runtime.
///
/// The twin of [`acr_client::RepositoryClient`](crate::RepositoryClient). Made by
/// [`ContainerRegistryClient::repository_client`](super::ContainerRegistryClient::repository_client);
/// cheap to clone, and shares everything with its client.
#[derive(Debug, Clone)]
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

    /// Returns a handle for what was pushed a moment ago, as the async
    /// [`wait_for_replication`](crate::RepositoryClient::wait_for_replication) does.
    #[must_use]
    pub fn wait_for_replication(&self, patience: Duration) -> Self {
        Self::new(
            self.inner.wait_for_replication(patience),
            self.runtime.clone(),
        )
    }

    /// Reads the properties of the repository: `GET /acr/v1/{name}`.
    ///
    /// # Errors
    ///
    /// Those of the async
    /// [`get_repository_properties`](crate::RepositoryClient::get_repository_properties).
    pub fn get_repository_properties(&self) -> Result<RepositoryProperties, Error> {
        self.runtime.run(self.inner.get_repository_properties())
    }

    /// Changes the locks of the repository: `PATCH /acr/v1/{name}`. What is not set stays as it is.
    ///
    /// # Errors
    ///
    /// Those of the async
    /// [`update_repository_properties`](crate::RepositoryClient::update_repository_properties).
    pub fn update_repository_properties(
        &self,
        attributes: ChangeableAttributes,
    ) -> Result<RepositoryProperties, Error> {
        self.runtime
            .run(self.inner.update_repository_properties(attributes))
    }

    /// Deletes the repository with everything in it: `DELETE /acr/v1/{name}`.
    ///
    /// Returns what went, or `None` if the repository did not exist.
    ///
    /// # Errors
    ///
    /// Those of the async [`delete_repository`](crate::RepositoryClient::delete_repository).
    pub fn delete_repository(&self) -> Result<Option<DeletedRepository>, Error> {
        self.runtime.run(self.inner.delete_repository())
    }
}
