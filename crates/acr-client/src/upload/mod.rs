mod blob;
mod source;

use acr_protocol::upload::{
    CancelUpload, ChunkRange, CompleteUpload, GetUploadStatus, StartUpload, UploadChunk,
    UploadLocation, UploadProgress, UploadStart,
};
use acr_protocol::{Digest, Operation};
use bytes::Bytes;

use crate::argument::Argument;
use crate::error::Error;
use crate::operation_info::OperationInfo;
use crate::pipeline::Pipeline;
use crate::repository::RepositoryClient;

pub use self::blob::UploadBlobOptions;
pub use self::source::BlobSource;

/// Uploads, step by step. [`upload_blob`](Self::upload_blob) does all of it in one call.
///
/// Each response has a new location, which goes into the next step; an older one is refused. The
/// location is text that can be kept, so another process can go on with an upload.
impl RepositoryClient {
    /// Opens an upload: `POST /v2/{name}/blobs/uploads/`. The repository need not exist.
    ///
    /// # Errors
    ///
    /// [`Denied`](crate::ErrorKind::Denied) when the identity may not push.
    pub async fn start_upload(&self) -> Result<UploadProgress, Error> {
        let operation = StartUpload {
            repository: self.name.clone(),
            digest: None,
        };
        let info = self.pipeline.info(&operation);
        match self.pipeline.run(&operation).await? {
            UploadStart::Started(progress) => relative(&self.pipeline, &info, &operation, progress),
            UploadStart::AlreadyExists(_) => Err(info.annotate(
                Error::protocol("the server has a blob already, where an upload was to begin"),
                1,
            )),
        }
    }

    /// Appends bytes to an upload: `PATCH` on its location.
    ///
    /// `offset` is how many bytes the registry holds already.
    ///
    /// # Errors
    ///
    /// [`Registry`](crate::ErrorKind::Registry) with the status 416 when it holds another number of
    /// bytes or the location is an older one: [`get_upload_status`](Self::get_upload_status) says
    /// where to go on. [`NotFound`](crate::ErrorKind::NotFound) when the upload has ended or
    /// expired. [`InvalidInput`](crate::ErrorKind::InvalidInput) when there are no bytes.
    pub async fn upload_chunk(
        &self,
        location: &UploadLocation,
        offset: u64,
        bytes: impl Into<Bytes>,
    ) -> Result<UploadProgress, Error> {
        let bytes = bytes.into();
        let range = ChunkRange::new(offset, bytes.len() as u64);
        let operation = UploadChunk {
            repository: self.name.clone(),
            location: location.clone(),
            range,
        };
        let info = self.pipeline.info(&operation);
        if range.is_none() {
            return Err(info.annotate(Error::invalid("a chunk must have bytes"), 0));
        }
        let progress = self.step(&operation, &info, bytes).await?;
        relative(&self.pipeline, &info, &operation, progress)
    }

    /// Asks how far an upload is: `GET` on its location. Works with an older location too.
    ///
    /// The response's `last_byte` cannot tell an upload of one byte from one of none.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when the upload has ended or expired.
    pub async fn get_upload_status(
        &self,
        location: &UploadLocation,
    ) -> Result<UploadProgress, Error> {
        let operation = GetUploadStatus {
            repository: self.name.clone(),
            location: location.clone(),
        };
        let info = self.pipeline.info(&operation);
        let progress = self.step(&operation, &info, Bytes::new()).await?;
        relative(&self.pipeline, &info, &operation, progress)
    }

    /// Ends an upload: `PUT` on its location. What was sent is now the blob of this digest.
    ///
    /// # Errors
    ///
    /// [`DigestMismatch`](crate::ErrorKind::DigestMismatch) when what was sent has another digest;
    /// [`NotFound`](crate::ErrorKind::NotFound) when the upload has ended or expired.
    pub async fn complete_upload(
        &self,
        location: &UploadLocation,
        digest: impl Argument<Digest>,
    ) -> Result<Digest, Error> {
        let digest = digest.into_argument()?;
        self.complete(location, digest, None, Bytes::new()).await
    }

    /// Ends an upload with its last bytes, or its only ones, in the same request: `PUT` on its
    /// location. `offset` is how many bytes the registry holds already.
    ///
    /// # Errors
    ///
    /// As [`complete_upload`](Self::complete_upload) and [`upload_chunk`](Self::upload_chunk).
    pub async fn complete_upload_with(
        &self,
        location: &UploadLocation,
        digest: impl Argument<Digest>,
        offset: u64,
        bytes: impl Into<Bytes>,
    ) -> Result<Digest, Error> {
        let digest = digest.into_argument()?;
        let bytes = bytes.into();
        let range = ChunkRange::new(offset, bytes.len() as u64);
        self.complete(location, digest, range, bytes).await
    }

    /// Gives an upload up: `DELETE` on its location. On ACR this needs the right `delete`.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when the upload has ended or expired;
    /// [`Denied`](crate::ErrorKind::Denied) when the identity may push but not delete. The upload
    /// then expires in time.
    pub async fn cancel_upload(&self, location: &UploadLocation) -> Result<(), Error> {
        let operation = CancelUpload {
            repository: self.name.clone(),
            location: location.clone(),
        };
        let info = self.pipeline.info(&operation);
        self.step(&operation, &info, Bytes::new()).await
    }

    async fn complete(
        &self,
        location: &UploadLocation,
        digest: Digest,
        range: Option<ChunkRange>,
        bytes: Bytes,
    ) -> Result<Digest, Error> {
        let operation = CompleteUpload {
            repository: self.name.clone(),
            location: location.clone(),
            digest: Some(digest),
            range,
        };
        let info = self.pipeline.info(&operation);
        self.step(&operation, &info, bytes).await
    }

    /// Runs one step at the upload's location, which must be on the registry: it may come from
    /// elsewhere, and the credential goes along.
    async fn step<O>(
        &self,
        operation: &O,
        info: &OperationInfo,
        bytes: Bytes,
    ) -> Result<O::Output, Error>
    where
        O: Operation + Sync,
        O::Output: Send,
    {
        let mut request = operation.request()?;
        let base = self
            .pipeline
            .endpoint()
            .absolute(&"/".parse().unwrap_or_default())?;
        let path = self
            .pipeline
            .endpoint()
            .own_path(&base, "Location", &request.uri().to_string());
        *request.uri_mut() = path.map_err(|error| info.annotate(error, 0))?;
        *request.body_mut() = bytes;
        self.pipeline.run_with(operation, info, Ok(request)).await
    }
}

/// Makes the location of a response a path on the registry, and refuses one that leads elsewhere.
pub(crate) fn relative<O: Operation>(
    pipeline: &Pipeline,
    info: &OperationInfo,
    operation: &O,
    mut progress: UploadProgress,
) -> Result<UploadProgress, Error> {
    let relative = || {
        let base = pipeline.endpoint().absolute(operation.request()?.uri())?;
        let path = pipeline
            .endpoint()
            .own_path(&base, "Location", progress.location.as_str())?;
        UploadLocation::new(path.to_string()).map_err(|error| Error::protocol(error.to_string()))
    };
    progress.location = relative().map_err(|error| info.annotate(error, 1))?;
    Ok(progress)
}
