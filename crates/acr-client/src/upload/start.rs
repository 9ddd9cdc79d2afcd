//! How an upload begins, or is gone on with from a state that was kept.

use acr_protocol::Operation as _;
use acr_protocol::upload::{GetUploadStatus, StartUpload, UploadStart};
use http::Uri;

use super::state::UploadState;
use super::{BlobUpload, own_location};
use crate::argument::Argument;
use crate::error::Error;
use crate::repository::RepositoryClient;

/// Uploads, step by step. [`upload_blob`](Self::upload_blob) does all of it in one call.
impl RepositoryClient {
    /// Starts an upload: `POST /v2/{name}/blobs/uploads/`. The repository need not exist.
    ///
    /// # Errors
    ///
    /// [`Denied`](crate::ErrorKind::Denied) when the identity may not push.
    pub async fn start_upload(&self) -> Result<BlobUpload, Error> {
        let operation = StartUpload {
            repository: self.name.clone(),
            digest: None,
        };
        let started = |start| match start {
            UploadStart::Started(progress) => BlobUpload::started(self, &operation, &progress),
            UploadStart::AlreadyExists(_) => Err(Error::protocol(
                "the server has a blob already, where an upload was to begin",
            )),
        };
        let info = self.pipeline.info(&operation);
        let request = operation.request();
        self.pipeline
            .run_with(&operation, &info, request, started)
            .await
    }

    /// Resumes an upload, also in another process: from an [`UploadState`] that was kept, or a location alone.
    ///
    /// With a state nothing is sent yet; it may be an old one, which the next step finds out. With a location alone
    /// the registry is asked how many bytes it holds: `GET` on the location, which may be an older one too. ACR does
    /// not tell one byte from none; it counts as none, and [`append`](BlobUpload::append) goes on right either way.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when the upload has ended or expired;
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the location is not on this registry, or the state is
    /// that of an upload to another repository or registry.
    pub async fn resume_upload(
        &self,
        state: impl Argument<UploadState>,
    ) -> Result<BlobUpload, Error> {
        let mut state = state.into_argument()?;
        let own = state.check(self).and_then(|()| {
            let own = own_location(&self.pipeline, &Uri::from_static("/"), &state.location);
            own.map_err(|_| Error::invalid("the location of the upload is not on this registry"))
        });
        state.location = own.map_err(|error| {
            let name = GetUploadStatus::SPEC.name;
            error.in_operation(name, Some(self.name.as_str()), None, 0)
        })?;
        let is_known = state.offset.is_some();
        let mut upload = BlobUpload::new(self, state, None);
        upload.is_resumed = true;
        if !is_known {
            upload.status().await?;
        }
        Ok(upload)
    }
}
