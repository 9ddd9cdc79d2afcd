mod location;
mod options;
mod part;
mod remote;
mod stream;
mod window;
mod writer;

use std::path::Path;
use std::sync::Arc;

use acr_protocol::blob::{ByteRange, DeleteBlob, GetBlob, HeadBlob};
use acr_protocol::operation::headers::DOCKER_CONTENT_DIGEST;
use acr_protocol::upload::{MountBlob, UploadStart};
use acr_protocol::{DecodeError, Descriptor, Digest, Operation, RepositoryName, ScopeSet};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request};

use crate::argument::Argument;
use crate::error::Error;
use crate::manifest::{found, is_moot};
use crate::operation_info::OperationInfo;
use crate::repository::RepositoryClient;
use crate::response::Received;
use crate::upload::BlobUpload;

pub use self::location::BlobLocation;
pub use self::options::{DownloadBlobOptions, ParallelRanges, SaveBlobOptions};
use self::part::Part;
use self::remote::Remote;
pub use self::stream::BlobStream;
use self::stream::{Source, is_mismatch};
use self::writer::FileWriter;

/// Blobs.
impl RepositoryClient {
    /// Downloads a blob, verified against its digest: `GET /v2/{name}/blobs/{digest}`.
    ///
    /// The stream is there when the first bytes are about to come; it has `save` and `write_to` for
    /// a file and a writer. A redirect to where the registry keeps its data is followed, without the
    /// credential.
    ///
    /// ```
    /// # use acr_client::{Digest, Error, RepositoryClient};
    /// # async fn example(repository: RepositoryClient, digest: Digest) -> Result<(), Error> {
    /// repository.download_blob(&digest).await?.save("layer.tar.gz").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no such blob;
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the digest is of an algorithm other than
    /// sha256 and sha512, which cannot be verified.
    #[doc(alias = "DownloadBlobContent")]
    #[doc(alias = "DownloadBlobStreaming")]
    #[doc(alias = "downloadStream")]
    pub async fn download_blob(&self, digest: impl Argument<Digest>) -> Result<BlobStream, Error> {
        self.download_blob_with(digest, DownloadBlobOptions::default())
            .await
    }

    /// Downloads a blob with options: in several ranges at once, or with events of progress.
    ///
    /// ```
    /// # use acr_client::{Digest, Error, RepositoryClient};
    /// use acr_client::{DownloadBlobOptions, OnProgress};
    ///
    /// # async fn example(repository: RepositoryClient, digest: Digest) -> Result<(), Error> {
    /// let options = DownloadBlobOptions {
    ///     on_progress: OnProgress::new(|progress| println!("{}", progress.bytes)),
    ///     ..DownloadBlobOptions::default()
    /// };
    /// let blob = repository.download_blob_with(&digest, options).await?;
    /// blob.save("layer.tar.gz").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`download_blob`](Self::download_blob).
    pub async fn download_blob_with(
        &self,
        digest: impl Argument<Digest>,
        options: impl Into<DownloadBlobOptions> + Send,
    ) -> Result<BlobStream, Error> {
        let remote = self.remote(digest.into_argument()?);
        let hash = remote.digester()?;
        BlobStream::open(remote, hash, options.into()).await
    }

    /// Downloads a blob to a file, verified against its digest: `GET /v2/{name}/blobs/{digest}`. Returns how
    /// many bytes the file has.
    ///
    /// The file is written as [`BlobStream::save`] does it. With [`SaveBlobOptions::resume`], what has come
    /// stays when the download ends early, also by the end of the process, and the next call for the same blob
    /// and path begins behind it.
    ///
    /// ```
    /// # use acr_client::{Digest, Error, RepositoryClient};
    /// use acr_client::SaveBlobOptions;
    ///
    /// # async fn example(repository: RepositoryClient, digest: Digest) -> Result<(), Error> {
    /// let options = SaveBlobOptions {
    ///     resume: true,
    ///     ..SaveBlobOptions::default()
    /// };
    /// repository.download_blob_to(&digest, "layer.tar.gz", options).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`download_blob`](Self::download_blob) and of [`BlobStream::save`].
    #[doc(alias = "DownloadBlobTo")]
    pub async fn download_blob_to(
        &self,
        digest: impl Argument<Digest>,
        path: impl AsRef<Path> + Send,
        options: impl Into<SaveBlobOptions> + Send,
    ) -> Result<u64, Error> {
        let remote = self.remote(digest.into_argument()?);
        let hash = remote.digester()?;
        let SaveBlobOptions {
            resume,
            parallel,
            on_progress,
        } = options.into();
        let path = path.as_ref();
        let options = DownloadBlobOptions {
            parallel,
            on_progress,
        };
        if !resume {
            let blob = BlobStream::open(remote, hash, options).await?;
            return blob.save(path).await;
        }
        let own = |error: Error| remote.info.annotate(error, 0);
        let clock = self.pipeline.sender().clock.clone();
        let mut file = FileWriter::resume(path, remote.digest(), clock).map_err(own)?;
        let hash = file.hash(hash).await.map_err(own)?;
        let blob = BlobStream::open(remote.clone(), hash, options).await;
        if blob.as_ref().is_err_and(is_mismatch) {
            file.discard();
        }
        blob?.save_by(file).await
    }

    /// Gets the bytes of a range of a blob: `GET /v2/{name}/blobs/{digest}`.
    ///
    /// The range is `0..512`, `512..`, or [`ByteRange::Last`] for the last bytes. They are not verified, because there is no digest of a part; [`download_blob`](Self::download_blob)
    /// gets the whole blob.
    ///
    /// ```
    /// # use acr_client::{Digest, Error, RepositoryClient};
    /// # async fn example(repository: RepositoryClient, digest: Digest) -> Result<(), Error> {
    /// let mut head = repository.get_blob(&digest, 0..512).await?;
    /// while let Some(bytes) = head.try_next().await? {
    ///     println!("{} bytes", bytes.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no such blob;
    /// [`Registry`](crate::ErrorKind::Registry) with the status 416 when the range begins behind its end;
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the range holds no byte of any blob;
    /// [`Protocol`](crate::ErrorKind::Protocol) when the server gives another range.
    #[doc(alias = "GetChunk")]
    pub async fn get_blob(
        &self,
        digest: impl Argument<Digest>,
        range: impl Argument<ByteRange>,
    ) -> Result<BlobStream, Error> {
        let remote = self.remote(digest.into_argument()?);
        let (part, head) = Part::open(remote.clone(), Some(range.into_argument()?)).await?;
        Ok(BlobStream::new(
            remote,
            Source::One(Box::new(part)),
            head,
            None,
        ))
    }

    /// Asks whether a blob is there, and how large it is: `HEAD /v2/{name}/blobs/{digest}`. `None` when the
    /// registry says that there is no such blob.
    ///
    /// A registry that does not take the `HEAD`, or does not tell the size, is asked by a `GET`, whose
    /// content is not read.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when a 404 is that of another server, such as a
    /// proxy.
    #[doc(alias = "CheckBlobExists")]
    pub async fn head_blob(
        &self,
        digest: impl Argument<Digest>,
    ) -> Result<Option<Descriptor>, Error> {
        self.head_blob_as(digest.into_argument()?, None).await
    }

    /// The same with a token for another scope, which is at hand or needed later.
    pub(crate) async fn head_blob_as(
        &self,
        digest: Digest,
        scope: Option<ScopeSet>,
    ) -> Result<Option<Descriptor>, Error> {
        let repository = self.name.clone();
        let operation = HeadBlob { repository, digest };
        let mut info = self.pipeline.info(&operation);
        info.scope = scope.unwrap_or(info.scope);
        let asked = self.ask_for(&operation, &info, operation.request()?).await;
        let Ok(None) = asked else {
            return found(asked).map(Option::flatten);
        };
        let HeadBlob { repository, digest } = operation.clone();
        let get = GetBlob {
            repository,
            digest,
            range: None,
        };
        // The response is dropped with its body unread.
        found(self.ask_for(&operation, &info, get.request()?).await).map(Option::flatten)
    }

    /// Asks for a blob by one request, of whose response the head counts; `None` where that of a `HEAD`
    /// says too little.
    async fn ask_for(
        &self,
        operation: &HeadBlob,
        info: &OperationInfo,
        request: Request<Bytes>,
    ) -> Result<Option<Descriptor>, Error> {
        let is_head = request.method() == Method::HEAD;
        let read = |response: Received| match operation.read(&response.head, Bytes::new()) {
            Err(DecodeError::MissingHeader(_)) if is_head => Ok(None),
            Err(DecodeError::MissingHeader(_)) => Err(Error::protocol(
                "the server tells neither by HEAD nor by GET how long the blob is",
            )),
            Err(error) => Err(response.undecodable(error)),
            // A portal on the way responds with 200 with a page of its own.
            Ok(found) if is_page(&response.head.headers) => Err(Error::protocol(format!(
                "the response is of the type {}, which is not a blob",
                found.media_type
            ))),
            Ok(found) => Ok(Some(found)),
        };
        let success = HeadBlob::SPEC.success;
        match self
            .pipeline
            .open(info, Ok::<_, Error>(request), success, read)
            .await
        {
            // What it means is in the body, which a `HEAD` has not.
            Err(error) if is_head && is_moot(&error) => Ok(None),
            other => other,
        }
    }

    /// Makes a blob of another repository one of this repository's too, without sending it:
    /// `POST /v2/{name}/blobs/uploads/?mount=&from=`.
    ///
    /// Returns `None` when it was mounted. Where the source does not have the blob, the registry starts an
    /// upload instead, which is returned.
    ///
    /// # Errors
    ///
    /// [`Denied`](crate::ErrorKind::Denied) when the identity may not pull from the source.
    pub async fn mount_blob(
        &self,
        digest: impl Argument<Digest>,
        from: impl Argument<RepositoryName>,
    ) -> Result<Option<BlobUpload>, Error> {
        let operation = MountBlob {
            repository: self.name.clone(),
            digest: digest.into_argument()?,
            from: Some(from.into_argument()?),
        };
        let info = self.pipeline.info(&operation);
        let mounted = |start| match start {
            UploadStart::AlreadyExists(_) => Ok(None),
            UploadStart::Started(progress) => {
                BlobUpload::started(self, &operation, &progress).map(Some)
            }
        };
        let request = operation.request();
        self.pipeline
            .run_with(&operation, &info, request, mounted)
            .await
    }

    /// Deletes a blob: `DELETE /v2/{name}/blobs/{digest}`.
    ///
    /// Returns whether it was there. The registry does not check whether a manifest still names it.
    ///
    /// # Errors
    ///
    /// [`Denied`](crate::ErrorKind::Denied) when the identity may not delete.
    pub async fn delete_blob(&self, digest: impl Argument<Digest>) -> Result<bool, Error> {
        let digest = digest.into_argument()?;
        let repository = self.name.clone();
        let operation = DeleteBlob { repository, digest };
        Ok(self.pipeline.run(&operation).await?.was_there())
    }

    fn remote(&self, digest: Digest) -> Arc<Remote> {
        let operation = GetBlob {
            repository: self.name.clone(),
            digest,
            range: None,
        };
        Arc::new(Remote::new(self.pipeline.clone(), operation))
    }
}

/// Whether a response is a page for people and no blob: no registry's header vouches for the content.
fn is_page(headers: &HeaderMap) -> bool {
    let of_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    of_type.is_some_and(|value| value.to_ascii_lowercase().starts_with(b"text/html"))
        && !headers.contains_key(DOCKER_CONTENT_DIGEST)
}
