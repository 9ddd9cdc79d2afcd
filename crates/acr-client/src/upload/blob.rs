//! A whole upload in one call.

use acr_protocol::{Algorithm, Descriptor, Digester, MediaType};

use super::source::BlobSource;
use crate::error::Error;
use crate::repository::RepositoryClient;
use crate::trace;

impl RepositoryClient {
    /// Uploads a blob; returns its descriptor, with the digest that was computed on the way.
    ///
    /// It takes bytes, a `String`, or a `Path` to a file, but no `&str`, which could be text or a path;
    /// for readers and streams see [`BlobSource`]. A blob that fits one chunk (4 MiB) costs two
    /// requests, a larger one of `n` chunks `n` + 1. Two chunks are in memory at most, however large the
    /// blob is. When a response is lost on the way, the registry is asked how much it holds, and the
    /// upload goes on from there. The descriptor's media type is `application/octet-stream`; a manifest
    /// names the real one.
    ///
    /// ```
    /// # use acr_client::{Error, RepositoryClient};
    /// # async fn example(repository: RepositoryClient) -> Result<(), Error> {
    /// let layer = repository.upload_blob(b"Sample layer").await?;
    /// println!("{} {}", layer.digest, layer.size);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Denied`](crate::ErrorKind::Denied) when the identity may not push;
    /// [`Disallowed`](crate::ErrorKind::Disallowed) when the repository is locked;
    /// [`Io`](crate::ErrorKind::Io) when the source fails or changes while it is read;
    /// [`DigestMismatch`](crate::ErrorKind::DigestMismatch) when the registry has received other bytes.
    /// After an error the open upload is left to expire: giving it up needs a permission that who pushes
    /// may lack, and a chunk may still be under way.
    pub async fn upload_blob(&self, source: impl Into<BlobSource>) -> Result<Descriptor, Error> {
        self.upload_blob_with(source, UploadBlobOptions::default())
            .await
    }

    /// Uploads a blob with options, such as the size of a chunk; else as
    /// [`upload_blob`](Self::upload_blob).
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when an option is not valid; else as
    /// [`upload_blob`](Self::upload_blob).
    pub async fn upload_blob_with(
        &self,
        source: impl Into<BlobSource>,
        options: impl Into<UploadBlobOptions>,
    ) -> Result<Descriptor, Error> {
        let (source, options) = (source.into(), options.into());
        let uploading = self.upload(source, options);
        let uploaded = Box::pin(trace::in_whole("upload_blob", Some(&self.name), uploading)).await;
        uploaded
            .map_err(|error| error.in_operation("upload_blob", Some(self.name.as_str()), None, 0))
    }

    async fn upload(
        &self,
        source: BlobSource,
        options: UploadBlobOptions,
    ) -> Result<Descriptor, Error> {
        let UploadBlobOptions {
            chunk_size,
            algorithm,
        } = options;
        if chunk_size == 0 {
            return Err(Error::invalid("the chunk size is 0"));
        }
        let mut digester = Digester::new(&algorithm)
            .ok_or_else(|| Error::invalid(format!("digests by {algorithm} cannot be computed")))?;
        // Opened before the upload is, so that a file that is missing costs nothing.
        let mut chunks = source.open()?;
        let mut upload = self.start_upload().await?;
        let asked = upload.minimum_chunk().unwrap_or(0).min(MAX_CHUNK_SIZE);
        let chunk_size = chunk_size.max(usize::try_from(asked).unwrap_or(chunk_size));
        let mut chunk = chunks.next(chunk_size).await?;
        loop {
            let next = chunks.next(chunk_size).await?;
            digester.update(&chunk);
            if next.is_empty() {
                break;
            }
            upload.append(chunk).await?;
            chunk = next;
        }
        let size = digester.bytes();
        let digest = upload.complete_with(digester.finish(), chunk).await?;
        Ok(Descriptor::new(MediaType::OCTET_STREAM, digest, size))
    }
}

/// Options of [`RepositoryClient::upload_blob_with`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadBlobOptions {
    /// The bytes of one request; the last may have fewer. Two chunks are held in memory. The default
    /// is 4 MiB. A registry that asks for larger ones (`OCI-Chunk-Min-Length`) gets them, up to
    /// 64 MiB.
    pub chunk_size: usize,
    /// The algorithm of the digest. The default is sha256, which every registry knows.
    pub algorithm: Algorithm,
}

impl Default for UploadBlobOptions {
    fn default() -> Self {
        Self {
            chunk_size: 4 << 20,
            algorithm: Algorithm::SHA256,
        }
    }
}

/// Bounds what a server can make the client hold in memory.
const MAX_CHUNK_SIZE: u64 = 64 << 20;
