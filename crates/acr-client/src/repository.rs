use std::fmt;

use acr_protocol::repository::{
    DeleteRepository, GetRepositoryProperties, UpdateRepositoryProperties,
};
use acr_protocol::{ChangeableAttributes, DeletedRepository, RepositoryName, RepositoryProperties};

use crate::call_options::CallOptions;
use crate::error::Error;
use crate::pipeline::Pipeline;

/// One repository of a registry: its properties, tags, manifests and blobs.
///
/// Made by [`ContainerRegistryClient::repository_client`](crate::ContainerRegistryClient::repository_client).
/// A handle is cheap to clone and shares everything with its client. A repository is not created: it
/// is there from its first manifest on, until its last one goes.
#[derive(Clone)]
#[doc(alias = "ContainerRepository")]
#[doc(alias = "RegistryArtifact")]
#[doc(alias = "ContainerRegistryContentClient")]
pub struct RepositoryClient {
    pub(crate) pipeline: Pipeline,
    pub(crate) name: RepositoryName,
}

impl RepositoryClient {
    pub(crate) const fn new(pipeline: Pipeline, name: RepositoryName) -> Self {
        Self { pipeline, name }
    }

    /// Returns the name of the repository.
    #[must_use]
    pub const fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// Returns a handle whose calls have these options, in place of those of this handle. Sends nothing.
    #[must_use]
    pub fn with(&self, options: CallOptions) -> Self {
        Self::new(self.pipeline.with(options), self.name.clone())
    }

    /// Reads the properties of the repository: `GET /acr/v1/{name}`.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when the repository does not exist.
    #[doc(alias = "GetProperties")]
    pub async fn get_repository_properties(&self) -> Result<RepositoryProperties, Error> {
        let repository = self.name.clone();
        self.pipeline
            .run(&GetRepositoryProperties { repository })
            .await
    }

    /// Changes the locks of the repository: `PATCH /acr/v1/{name}`. What is not set stays as it is.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when the repository does not exist.
    #[doc(alias = "UpdateProperties")]
    pub async fn update_repository_properties(
        &self,
        attributes: ChangeableAttributes,
    ) -> Result<RepositoryProperties, Error> {
        let repository = self.name.clone();
        let operation = UpdateRepositoryProperties {
            repository,
            attributes,
        };
        self.pipeline.run(&operation).await
    }

    /// Deletes the repository with everything in it: `DELETE /acr/v1/{name}`.
    ///
    /// Returns what went, or `None` if the repository did not exist.
    ///
    /// # Errors
    ///
    /// [`Disallowed`](crate::ErrorKind::Disallowed) when the repository or something in it is
    /// locked.
    #[doc(alias = "Delete")]
    pub async fn delete_repository(&self) -> Result<Option<DeletedRepository>, Error> {
        let repository = self.name.clone();
        let deleted = self.pipeline.run(&DeleteRepository { repository }).await?;
        Ok(deleted.deleted())
    }
}

impl fmt::Debug for RepositoryClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut handle = f.debug_struct("RepositoryClient");
        self.pipeline.describe(handle.field("name", &self.name))
    }
}
