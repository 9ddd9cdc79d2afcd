use acr_protocol::upload::{UploadLocation, UploadProgress};
use acr_protocol::{Descriptor, Digest};
use bytes::Bytes;

use super::repository::RepositoryClient;
use crate::error::Error;
use crate::upload::{BlobSource, UploadBlobOptions};

/// Uploads: [`upload_blob`](Self::upload_blob) does all of it in one call, the others step by step.
impl RepositoryClient {
    /// Uploads a blob; returns its descriptor, with the digest that was computed on the way.
    ///
    /// It takes bytes, text, or a path to a file; a reader goes through
    /// [`BlobSource::reader`]. Two chunks are in memory at most, however large the blob is.
    ///
    /// ```
    /// # use acr_client::blocking::ContainerRegistryClient;
    /// # use acr_client::{Credential, transport::from_fn};
    /// # fn main() -> Result<(), acr_client::Error> {
    /// # let registry = acr_mock::Registry::new();
    /// # let repository = ContainerRegistryClient::builder("https://mock.azurecr.io")
    /// #     .credential(Credential::entra_token("any"))
    /// #     .transport(from_fn(move |request| registry.handle(request)))
    /// #     .build_blocking()?
    /// #     .repository_client("samples/app")?;
    /// # let reader = std::io::Cursor::new("Sample layer");
    /// use acr_client::BlobSource;
    ///
    /// let layer = repository.upload_blob(b"Sample layer")?;
    /// let same = repository.upload_blob(BlobSource::reader(reader))?;
    /// assert_eq!(same.digest, layer.digest);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the async [`upload_blob`](crate::RepositoryClient::upload_blob).
    pub fn upload_blob(&self, source: impl Into<BlobSource>) -> Result<Descriptor, Error> {
        self.runtime.run(self.inner.upload_blob(source))
    }

    /// Uploads a blob with options, such as the size of a chunk; else as
    /// [`upload_blob`](Self::upload_blob).
    ///
    /// # Errors
    ///
    /// Those of the async [`upload_blob_with`](crate::RepositoryClient::upload_blob_with).
    pub fn upload_blob_with(
        &self,
        source: impl Into<BlobSource>,
        options: impl Into<UploadBlobOptions>,
    ) -> Result<Descriptor, Error> {
        self.runtime
            .run(self.inner.upload_blob_with(source, options))
    }

    /// Opens an upload: `POST /v2/{name}/blobs/uploads/`. The repository need not exist.
    ///
    /// # Errors
    ///
    /// Those of the async [`start_upload`](crate::RepositoryClient::start_upload).
    pub fn start_upload(&self) -> Result<UploadProgress, Error> {
        self.runtime.run(self.inner.start_upload())
    }

    /// Appends bytes to an upload: `PATCH` on its location.
    ///
    /// `offset` is how many bytes the registry holds already.
    ///
    /// # Errors
    ///
    /// Those of the async [`upload_chunk`](crate::RepositoryClient::upload_chunk).
    pub fn upload_chunk(
        &self,
        location: &UploadLocation,
        offset: u64,
        bytes: impl Into<Bytes>,
    ) -> Result<UploadProgress, Error> {
        self.runtime
            .run(self.inner.upload_chunk(location, offset, bytes))
    }

    /// Asks how far an upload is: `GET` on its location. Works with an older location too.
    ///
    /// # Errors
    ///
    /// Those of the async [`get_upload_status`](crate::RepositoryClient::get_upload_status).
    pub fn get_upload_status(&self, location: &UploadLocation) -> Result<UploadProgress, Error> {
        self.runtime.run(self.inner.get_upload_status(location))
    }

    /// Ends an upload: `PUT` on its location. What was sent is now the blob of this digest.
    ///
    /// # Errors
    ///
    /// Those of the async [`complete_upload`](crate::RepositoryClient::complete_upload).
    pub fn complete_upload(
        &self,
        location: &UploadLocation,
        digest: impl TryInto<Digest, Error: Into<Error>>,
    ) -> Result<Digest, Error> {
        self.runtime
            .run(self.inner.complete_upload(location, digest))
    }

    /// Ends an upload with its last bytes, or its only ones, in the same request: `PUT` on its
    /// location. `offset` is how many bytes the registry holds already.
    ///
    /// # Errors
    ///
    /// Those of the async
    /// [`complete_upload_with`](crate::RepositoryClient::complete_upload_with).
    pub fn complete_upload_with(
        &self,
        location: &UploadLocation,
        digest: impl TryInto<Digest, Error: Into<Error>>,
        offset: u64,
        bytes: impl Into<Bytes>,
    ) -> Result<Digest, Error> {
        let completed = self
            .inner
            .complete_upload_with(location, digest, offset, bytes);
        self.runtime.run(completed)
    }

    /// Gives an upload up: `DELETE` on its location. On ACR this needs the right `delete`.
    ///
    /// # Errors
    ///
    /// Those of the async [`cancel_upload`](crate::RepositoryClient::cancel_upload).
    pub fn cancel_upload(&self, location: &UploadLocation) -> Result<(), Error> {
        self.runtime.run(self.inner.cancel_upload(location))
    }
}
