//! A whole upload in one call.

use acr_protocol::upload::StartUpload;
use acr_protocol::{Descriptor, Digest, MediaType, Operation as _};

use super::BlobUpload;
use super::options::UploadBlobOptions;
use super::source::BlobSource;
use super::transfer::Transfer;
use crate::error::{Error, ErrorKind};
use crate::progress::Outcome;
use crate::repository::RepositoryClient;
use crate::trace;

impl RepositoryClient {
    /// Uploads a blob; returns its descriptor, with the digest that was computed on the way.
    ///
    /// It takes bytes, a `String`, a `Path` to a file, a [`File`](std::fs::File), or a
    /// [`BlobStream`](crate::BlobStream), but no `&str`, which could be text or a path; for readers and streams see [`BlobSource`]. A blob of up to
    /// 4 MiB is looked for first, and costs two requests where it is not there; a larger one is streamed, and costs
    /// three up to 1 GiB. A few MiB are in memory at most, however large the blob is. The descriptor's media
    /// type is `application/octet-stream`; a manifest names the real one.
    ///
    /// When a response is lost on the way, the registry is asked how much it holds, and the
    /// upload goes on from there. When the registry has lost the upload, it begins anew, if the source
    /// can be read again. After an error the upload is cancelled, if the identity may do that.
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
    ///
    /// # Cancel safety
    ///
    /// Of a future that is dropped the upload stays open at the registry until it expires.
    pub async fn upload_blob(&self, source: impl Into<BlobSource>) -> Result<Descriptor, Error> {
        self.upload_blob_with(source, UploadBlobOptions::default())
            .await
    }

    /// Uploads a blob with options, such as the size of a chunk; else as
    /// [`upload_blob`](Self::upload_blob).
    ///
    /// ```
    /// # use acr_client::{Descriptor, Error, RepositoryClient};
    /// use acr_client::{OnProgress, UploadBlobOptions};
    /// # async fn example(repository: RepositoryClient, layer: Descriptor) -> Result<(), Error> {
    /// let options = UploadBlobOptions {
    ///     digest: Some(layer.digest),
    ///     on_progress: OnProgress::new(|progress| println!("{}", progress.bytes)),
    ///     ..UploadBlobOptions::default()
    /// };
    /// repository.upload_blob_with(std::path::Path::new("layer.tar.gz"), options).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when an option is not valid;
    /// [`DigestMismatch`](crate::ErrorKind::DigestMismatch) when the source has not the digest that was
    /// given; else as [`upload_blob`](Self::upload_blob).
    pub async fn upload_blob_with(
        &self,
        source: impl Into<BlobSource>,
        options: impl Into<UploadBlobOptions>,
    ) -> Result<Descriptor, Error> {
        let sent = self.send_blob(source.into(), options.into(), None).await?;
        Ok(sent.0)
    }

    /// The same, which tells what has become of the blob too. It goes on in an upload that was opened before.
    pub(crate) async fn send_blob(
        &self,
        source: BlobSource,
        options: UploadBlobOptions,
        opened: Option<BlobUpload>,
    ) -> Result<(Descriptor, Outcome), Error> {
        let sending = self.transfer(source, options, opened);
        let sent = Box::pin(trace::in_whole("upload_blob", Some(&self.name), sending)).await;
        sent.map_err(|error| error.in_operation("upload_blob", Some(self.name.as_str()), None, 0))
    }

    async fn transfer(
        &self,
        source: BlobSource,
        options: UploadBlobOptions,
        opened: Option<BlobUpload>,
    ) -> Result<(Descriptor, Outcome), Error> {
        let mut transfer = Transfer::open(self, source, &options)?;
        let (descriptor, outcome) = self.bring(&mut transfer, options, opened).await?;
        transfer.end(&descriptor, outcome)?;
        Ok((descriptor, outcome))
    }

    async fn bring(
        &self,
        transfer: &mut Transfer,
        options: UploadBlobOptions,
        mut opened: Option<BlobUpload>,
    ) -> Result<(Descriptor, Outcome), Error> {
        let (skip, from) = (options.skip_existing, options.mount_from);
        // To know the digest of what is small costs nothing.
        let mut known = transfer.known_digest().await?;
        if known.is_none() && (skip == Some(true) || from.is_some()) {
            known = transfer.digest_ahead().await?;
        }
        if let Some(digest) = known.as_ref().filter(|_| skip != Some(false))
            && let Some(descriptor) = self.look_for(digest).await?
            // What is said to have another length is not what the digest stands for.
            && transfer.length().is_none_or(|length| length == descriptor.size)
        {
            return Ok((descriptor, Outcome::Present));
        }
        if opened.is_none() {
            opened = transfer.resume(self).await?;
        }
        if let (None, Some(digest), Some(from)) = (&opened, &known, &from) {
            match mount_unless_refused(self.mount_blob(digest, from).await)? {
                Some(None) => {
                    let descriptor = self.mounted(digest, transfer.length()).await?;
                    return Ok((descriptor, Outcome::Mounted));
                }
                Some(refused) => opened = refused,
                None => {}
            }
        }
        let mut anew = 0;
        loop {
            let mut upload = match opened.take() {
                Some(upload) => upload,
                None => self.start_upload().await?,
            };
            let error = match transfer.run(&mut upload).await {
                Ok(descriptor) => return Ok((descriptor, Outcome::Sent)),
                Err(error) => error,
            };
            anew += 1;
            let error = match transfer.reset(error.clone()) {
                Ok(()) if anew <= MAX_ANEW => continue,
                Ok(()) => error,
                Err(error) => error,
            };
            Box::pin(transfer.give_up(upload, &error)).await;
            return Err(error);
        }
    }

    /// Asks for a blob with the token that the upload needs.
    pub(crate) async fn look_for(&self, digest: &Digest) -> Result<Option<Descriptor>, Error> {
        let start = StartUpload {
            repository: self.name.clone(),
            digest: None,
        };
        Ok(unless_refused(self.head_blob_as(digest.clone(), Some(start.scope())).await)?.flatten())
    }

    /// The descriptor of a blob that was mounted.
    async fn mounted(&self, digest: &Digest, length: Option<u64>) -> Result<Descriptor, Error> {
        if let Some(size) = length {
            return Ok(Descriptor::new(
                MediaType::OCTET_STREAM,
                digest.clone(),
                size,
            ));
        }
        let found = self.head_blob(digest).await?;
        found.ok_or_else(|| {
            Error::protocol("the registry does not know the blob that it has mounted")
        })
    }
}

/// Passes over a refusal to save the sending: `None`. What would befall the upload as well is an error.
fn unless_refused<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error)
            if !error.is_retryable()
                && matches!(
                    error.kind(),
                    ErrorKind::NotFound
                        | ErrorKind::Denied
                        | ErrorKind::Disallowed
                        | ErrorKind::Unsupported
                        | ErrorKind::Registry
                        | ErrorKind::Protocol
                ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The same for a mount. It wants a token for two repositories, which not everybody gives to who may push to one; the
/// upload shows whether that is so.
pub(crate) fn mount_unless_refused<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Err(error) if error.kind() == ErrorKind::Unauthorized => Ok(None),
        result => unless_refused(result),
    }
}

/// How often an upload begins anew that the registry has lost.
const MAX_ANEW: u32 = 3;
