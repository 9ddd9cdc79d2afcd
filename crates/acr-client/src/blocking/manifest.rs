use std::borrow::Borrow;

use acr_protocol::manifest::AcceptedManifest;
use acr_protocol::{
    ArtifactManifestProperties, ChangeableAttributes, Descriptor, Manifest, Reference,
};

use super::paging::Pager;
use super::repository::RepositoryClient;
use crate::error::Error;
use crate::manifest::ListManifestPropertiesOptions;

/// Manifests.
impl RepositoryClient {
    /// Lists the manifests with their properties, ordered by digest: `GET /acr/v1/{name}/_manifests`.
    ///
    /// The twin of the async
    /// [`list_manifest_properties`](crate::RepositoryClient::list_manifest_properties).
    pub fn list_manifest_properties(&self) -> Pager<ArtifactManifestProperties> {
        Pager::new(self.inner.list_manifest_properties(), &self.runtime)
    }

    /// Lists the manifests with their properties in an order, or with other options:
    /// `GET /acr/v1/{name}/_manifests`.
    ///
    /// The twin of the async
    /// [`list_manifest_properties_with`](crate::RepositoryClient::list_manifest_properties_with).
    pub fn list_manifest_properties_with(
        &self,
        options: impl Into<ListManifestPropertiesOptions>,
    ) -> Pager<ArtifactManifestProperties> {
        Pager::new(
            self.inner.list_manifest_properties_with(options),
            &self.runtime,
        )
    }

    /// Reads the properties of a manifest: `GET /acr/v1/{name}/_manifests/{digest}`.
    ///
    /// With a tag it [resolves](Self::resolve) the tag first, which costs one more request.
    ///
    /// # Errors
    ///
    /// Those of the async
    /// [`get_manifest_properties`](crate::RepositoryClient::get_manifest_properties).
    pub fn get_manifest_properties(
        &self,
        reference: impl TryInto<Reference, Error: Into<Error>>,
    ) -> Result<ArtifactManifestProperties, Error> {
        self.runtime
            .run(self.inner.get_manifest_properties(reference))
    }

    /// Changes the locks of a manifest: `PATCH /acr/v1/{name}/_manifests/{digest}`. What is not set
    /// stays as it is. Works on a locked manifest: this is how it is unlocked.
    ///
    /// With a tag it [resolves](Self::resolve) the tag first, which costs one more request. The lock
    /// is then on the manifest; the tag can still move.
    ///
    /// # Errors
    ///
    /// Those of the async
    /// [`update_manifest_properties`](crate::RepositoryClient::update_manifest_properties).
    pub fn update_manifest_properties(
        &self,
        reference: impl TryInto<Reference, Error: Into<Error>>,
        attributes: ChangeableAttributes,
    ) -> Result<ArtifactManifestProperties, Error> {
        self.runtime
            .run(self.inner.update_manifest_properties(reference, attributes))
    }

    /// Gets a manifest with its bytes as they are stored: `GET /v2/{name}/manifests/{reference}`.
    ///
    /// # Errors
    ///
    /// Those of the async [`get_manifest`](crate::RepositoryClient::get_manifest).
    pub fn get_manifest(
        &self,
        reference: impl TryInto<Reference, Error: Into<Error>>,
    ) -> Result<Manifest, Error> {
        self.runtime.run(self.inner.get_manifest(reference))
    }

    /// Asks what a manifest is without getting it: `HEAD /v2/{name}/manifests/{reference}`.
    ///
    /// # Errors
    ///
    /// Those of the async [`head_manifest`](crate::RepositoryClient::head_manifest).
    pub fn head_manifest(
        &self,
        reference: impl TryInto<Reference, Error: Into<Error>>,
    ) -> Result<Descriptor, Error> {
        self.runtime.run(self.inner.head_manifest(reference))
    }

    /// Finds what a tag or digest stands for now, by one [`head_manifest`](Self::head_manifest).
    ///
    /// # Errors
    ///
    /// Those of the async [`resolve`](crate::RepositoryClient::resolve).
    pub fn resolve(
        &self,
        reference: impl TryInto<Reference, Error: Into<Error>>,
    ) -> Result<Descriptor, Error> {
        self.runtime.run(self.inner.resolve(reference))
    }

    /// Puts a manifest under a tag or its digest: `PUT /v2/{name}/manifests/{reference}`.
    ///
    /// A tag that points elsewhere is moved. The blobs and manifests that the manifest names must be
    /// in the repository already.
    ///
    /// # Errors
    ///
    /// Those of the async [`set_manifest`](crate::RepositoryClient::set_manifest).
    pub fn set_manifest(
        &self,
        reference: impl TryInto<Reference, Error: Into<Error>>,
        manifest: impl Borrow<Manifest>,
    ) -> Result<AcceptedManifest, Error> {
        self.runtime
            .run(self.inner.set_manifest(reference, manifest))
    }

    /// Deletes a manifest with all its tags: `DELETE /v2/{name}/manifests/{digest}`.
    ///
    /// With a tag it [resolves](Self::resolve) the tag first; the other tags of the manifest go too.
    /// To remove a tag alone there is [`delete_tag`](Self::delete_tag). Returns whether the manifest
    /// was there.
    ///
    /// # Errors
    ///
    /// Those of the async [`delete_manifest`](crate::RepositoryClient::delete_manifest).
    pub fn delete_manifest(
        &self,
        reference: impl TryInto<Reference, Error: Into<Error>>,
    ) -> Result<bool, Error> {
        self.runtime.run(self.inner.delete_manifest(reference))
    }
}
