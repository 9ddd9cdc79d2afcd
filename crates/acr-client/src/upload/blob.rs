//! A whole upload in one call.

use acr_protocol::upload::{UploadLocation, UploadProgress};
use acr_protocol::{Algorithm, Descriptor, Digest, Digester, MediaType};
use bytes::Bytes;
use http::StatusCode;

use super::source::BlobSource;
use crate::error::{Advice, Error, ErrorKind};
use crate::repository::RepositoryClient;
use crate::retry::RetryState;
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
    /// [`Denied`](ErrorKind::Denied) when the identity may not push;
    /// [`Disallowed`](ErrorKind::Disallowed) when the repository is locked;
    /// [`Io`](ErrorKind::Io) when the source fails or changes while it is read;
    /// [`DigestMismatch`](ErrorKind::DigestMismatch) when the registry has received other bytes.
    /// After an error the open upload is left to expire: giving it up needs a right that who pushes
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
    /// [`InvalidInput`](ErrorKind::InvalidInput) when an option is no good; else as
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
        let started = self.start_upload().await?;
        let asked = started.minimum_chunk.unwrap_or(0).min(MAX_CHUNK_SIZE);
        let chunk_size = chunk_size.max(usize::try_from(asked).unwrap_or(chunk_size));
        let mut session = Session::new(self, started);
        let mut chunk = chunks.next(chunk_size).await?;
        loop {
            let next = chunks.next(chunk_size).await?;
            digester.update(&chunk);
            if next.is_empty() {
                break;
            }
            session.append(chunk).await?;
            chunk = next;
        }
        let size = digester.bytes();
        let digest = session.complete(chunk, digester.finish()).await?;
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

/// An open upload: where it goes on, and how much the registry holds.
struct Session<'a> {
    repository: &'a RepositoryClient,
    location: UploadLocation,
    offset: u64,
}

impl<'a> Session<'a> {
    fn new(repository: &'a RepositoryClient, started: UploadProgress) -> Self {
        Self {
            repository,
            location: started.location,
            offset: 0,
        }
    }

    /// Appends a chunk; where it is not known whether it arrived, or the registry holds something else
    /// than expected, asks and goes on from there.
    async fn append(&mut self, chunk: Bytes) -> Result<(), Error> {
        let mut part = Part::new(self, chunk);
        while !part.rest.is_empty() {
            let rest = part.rest.clone();
            let sent = self
                .repository
                .upload_chunk(&self.location, self.offset, rest);
            match sent.await {
                Ok(progress) => {
                    self.offset += part.rest.len() as u64;
                    self.location = progress.location;
                    return Ok(());
                }
                Err(error) => self.recover(error, &mut part).await?,
            }
        }
        Ok(())
    }

    /// Appends the last chunk and ends the upload.
    async fn complete(mut self, chunk: Bytes, digest: Digest) -> Result<Digest, Error> {
        let mut part = Part::new(&self, chunk);
        let mut may_be_done = false;
        loop {
            let sent = self.repository.complete_upload_with(
                &self.location,
                digest.clone(),
                self.offset,
                part.rest.clone(),
            );
            let error = match sent.await {
                Ok(digest) => return Ok(digest),
                Err(error) => error,
            };
            may_be_done |= error.is_retryable() && !error.was_not_carried_out();
            match self.recover(error, &mut part).await {
                // An upload whose response was lost is over, and so no longer known, when it was done. What
                // counts is that the blob is there, whoever says by a 404 that the upload is not.
                Err(error) if may_be_done && is_gone(&error) => {
                    let held = self.repository.head_blob(&digest).await;
                    return held.map(|_| digest).map_err(|_| error);
                }
                other => other?,
            }
        }
    }

    /// After a 416, or when no response tells what became of a chunk, asks how much the registry holds,
    /// and cuts that off the chunk.
    async fn recover(&mut self, error: Error, part: &mut Part) -> Result<(), Error> {
        let is_misplaced = error.status() == Some(StatusCode::RANGE_NOT_SATISFIABLE)
            && error.kind() == ErrorKind::Registry;
        if is_misplaced && part.misplaced < MAX_RECOVERIES {
            part.misplaced += 1;
        } else if error.was_not_carried_out() {
            // It was tried as often as it may be, and nothing has become of the chunk.
            return Err(error);
        } else {
            part.attempts
                .retry_or_fail(error.clone().into_part())
                .await?;
            part.may_have_come = true;
        }
        let status = self.repository.get_upload_status(&self.location).await;
        let status = status.map_err(|failure| failure.caused_by(error.clone()))?;
        let held = match status.last_byte {
            // One byte or none, which the response does not tell apart: what was thought so far, unless
            // that has just been refused and the other is likelier, since a response was lost before or
            // it was not the location that was wrong.
            None | Some(0) if self.offset <= 1 => {
                let other = 1 - self.offset;
                let is_likelier = is_misplaced && (part.may_have_come || part.misplaced > 1);
                if is_likelier && part.from(other).is_some() {
                    other
                } else {
                    self.offset
                }
            }
            None | Some(0) => 0,
            // A server may send the largest number there is.
            Some(last) => last.saturating_add(1),
        };
        let Some(rest) = part.from(held) else {
            // The source cannot be read again, and bytes of another writer cannot be taken back.
            let text = format!(
                "the registry holds {held} bytes of the upload, {} were sent",
                self.offset
            );
            return Err(Error::new(ErrorKind::Registry, text).with_source(error));
        };
        part.rest = rest;
        self.offset = held;
        self.location = status.location;
        Ok(())
    }
}

/// Whether an error may say that there is no such upload; not every registry has the code for it.
fn is_gone(error: &Error) -> bool {
    error.advice() == Advice::NewSession || error.status() == Some(StatusCode::NOT_FOUND)
}

/// One chunk, and what was done so far to get it across.
struct Part {
    whole: Bytes,
    /// Where it begins in the blob.
    first: u64,
    /// What the registry does not hold yet.
    rest: Bytes,
    /// Whether a response was lost, so that more of it may be there than was told.
    may_have_come: bool,
    /// How often its place was refused.
    misplaced: u32,
    attempts: RetryState,
}

impl Part {
    fn new(session: &Session<'_>, chunk: Bytes) -> Self {
        Self {
            rest: chunk.clone(),
            whole: chunk,
            first: session.offset,
            may_have_come: false,
            misplaced: 0,
            attempts: session.repository.pipeline.for_composite(),
        }
    }

    /// The bytes from this place of the blob on, if it is within the chunk or at its end.
    fn from(&self, place: u64) -> Option<Bytes> {
        let within = usize::try_from(place.checked_sub(self.first)?).ok()?;
        (within <= self.whole.len()).then(|| self.whole.slice(within..))
    }
}

/// Bounds what a server can make the client hold in memory.
const MAX_CHUNK_SIZE: u64 = 64 << 20;
const MAX_RECOVERIES: u32 = 3;
