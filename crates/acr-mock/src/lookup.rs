//! What has to be there, or the refusal that says what is not.

use std::sync::Arc;

use acr_protocol::upload::UploadLocation;
use acr_protocol::{Digest, RepositoryName, Tag};

use crate::error::ErrorResponse;
use crate::locks;
use crate::store::{Held, ManifestRecord, RepositoryRecord, Store, TagRecord, Upload};

impl Store {
    pub(crate) fn find_repository(
        &self,
        name: &RepositoryName,
    ) -> Result<&RepositoryRecord, ErrorResponse> {
        self.repository(name)
            .ok_or_else(|| ErrorResponse::repository_not_found(name))
    }

    /// In an unknown repository, too, the tag is what is unknown.
    pub(crate) fn find_tag(
        &self,
        name: &RepositoryName,
        tag: &Tag,
    ) -> Result<&Arc<TagRecord>, ErrorResponse> {
        self.repository(name)
            .and_then(|repository| repository.tags().get(tag.as_str()))
            .ok_or_else(ErrorResponse::tag_unknown)
    }

    /// In an unknown repository, too, the manifest is what is unknown.
    pub(crate) fn find_manifest(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<&Arc<ManifestRecord>, ErrorResponse> {
        self.repository(name)
            .and_then(|repository| repository.manifests().get(digest.as_str()))
            .ok_or_else(ErrorResponse::manifest_unknown)
    }

    /// A blob that may be pulled.
    pub(crate) fn find_blob(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<&Arc<Held>, ErrorResponse> {
        let blob = self.blob(name, digest);
        let blob = blob.ok_or_else(|| ErrorResponse::blob_not_found(digest))?;
        self.record(name).map_or(Ok(()), locks::get_blob)?;
        Ok(blob)
    }

    pub(crate) fn find_upload(
        &self,
        name: &RepositoryName,
        location: &UploadLocation,
    ) -> Result<&Upload, ErrorResponse> {
        self.upload(name, location.uuid())
            .ok_or_else(ErrorResponse::upload_unknown)
    }
}
