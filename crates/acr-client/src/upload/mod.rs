//! Uploads: step by step, and a whole source in one call.
//!
//! | file | what it is responsible for |
//! |---|---|
//! | this one, [`outgoing`] | the steps of an upload, and how each gets across |
//! | [`start`], [`state`] | where an upload begins, and what another process needs to go on with it |
//! | [`transfer`], [`blob`] | how the whole of a source gets into an upload, and which uploads it takes |
//! | [`source`], [`pieces`] | where the bytes come from, and how they are read and hashed |
//! | [`feed`], [`chunks`], [`replay`] | what is sent again: from the source, or from memory |

mod blob;
mod chunks;
mod feed;
mod meter;
mod options;
mod outgoing;
mod pieces;
mod replay;
mod source;
mod start;
mod state;
mod transfer;

use std::fmt;

use acr_protocol::upload::{
    CancelUpload, ChunkRange, CompleteUpload, GetUploadStatus, UploadChunk, UploadLocation,
    UploadProgress,
};
use acr_protocol::{Descriptor, Digest, ErrorCode, Operation};
use bytes::Bytes;
use http::{StatusCode, Uri};

use crate::argument::Argument;
use crate::error::{Advice, Error, ErrorKind};
use crate::operation_info::OperationInfo;
use crate::payload::Payload;
use crate::pipeline::Pipeline;
use crate::progress::Outcome;
use crate::repository::RepositoryClient;

pub(crate) use self::blob::mount_unless_refused;
pub use self::options::{HashOn, UploadBlobOptions};
use self::outgoing::{Content, Outgoing};
use self::replay::Replay;
pub use self::source::BlobSource;
use self::state::SourceMark;
pub use self::state::UploadState;
use self::transfer::Transfer;

/// An upload under way: where it goes on, and how much the registry holds.
///
/// Made by [`RepositoryClient::start_upload`], or by [`resume_upload`](RepositoryClient::resume_upload)
/// from a [`state`](Self::state) that was kept. Where a response is lost on the way, or the
/// registry holds something else than expected, it is asked, and the step goes on from there. An
/// upload that is dropped expires in time.
///
/// ```
/// # use acr_client::{Digest, Error, RepositoryClient};
/// # async fn example(repository: RepositoryClient) -> Result<(), Error> {
/// let mut upload = repository.start_upload().await?;
/// upload.append("Sample ").await?;
/// upload.complete_with(Digest::sha256("Sample layer"), "layer").await?;
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// After a future of [`append`](Self::append) was dropped, the registry may hold any part of its
/// bytes; [`status`](Self::status) finds out.
pub struct BlobUpload {
    repository: RepositoryClient,
    /// The location is a path on the registry; the offset is kept here.
    state: UploadState,
    offset: u64,
    /// Whether it comes from a state that may be an old one.
    is_resumed: bool,
    minimum_chunk: Option<u64>,
    /// The most bytes of a request, where larger ones did not come through.
    largest: u64,
    /// The same, where it was the registry that refused larger ones: later uploads need not find it out again.
    /// That the network broke under them says nothing about those.
    accepted: u64,
}

/// Without the location, which may hold a signature.
impl fmt::Debug for BlobUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobUpload")
            .field("repository", self.repository.name())
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl BlobUpload {
    /// What the response to this operation has opened.
    pub(crate) fn started(
        repository: &RepositoryClient,
        operation: &impl Operation,
        progress: &UploadProgress,
    ) -> Result<Self, Error> {
        let pipeline = &repository.pipeline;
        let base = operation.request()?;
        let location = own_location(pipeline, base.uri(), &progress.location)?;
        let state = UploadState::at(location);
        Ok(Self::new(repository, state, progress.minimum_chunk))
    }

    fn new(repository: &RepositoryClient, state: UploadState, minimum_chunk: Option<u64>) -> Self {
        Self {
            repository: repository.clone(),
            offset: state.offset.unwrap_or(0),
            is_resumed: false,
            state,
            minimum_chunk,
            largest: u64::MAX,
            accepted: u64::MAX,
        }
    }

    /// Returns where the upload stands, as a value that can be kept and
    /// [resumed](RepositoryClient::resume_upload).
    #[must_use]
    pub fn state(&self) -> UploadState {
        UploadState {
            registry: Some(self.repository.pipeline.endpoint().to_string()),
            repository: Some(self.repository.name.clone()),
            offset: Some(self.offset),
            ..self.state.clone()
        }
    }

    /// Returns where the upload goes on, as text that can be kept. Each step gives a new one.
    #[must_use]
    pub const fn location(&self) -> &UploadLocation {
        &self.state.location
    }

    /// Returns how many bytes the registry holds, as far as is known: as many as were appended, or
    /// what it said when it was asked.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the smallest chunk in bytes that the registry takes, but for the last, if it said so
    /// when the upload was started.
    #[must_use]
    pub const fn minimum_chunk(&self) -> Option<u64> {
        self.minimum_chunk
    }

    /// Appends a chunk: `PATCH` on the location. After an error that may pass, the same chunk can be appended
    /// again: what has come of it is not sent twice.
    ///
    /// # Errors
    ///
    /// [`Registry`](ErrorKind::Registry) when the registry holds bytes of another writer, or has lost
    /// some; [`offset`](Self::offset) is then what it holds. [`NotFound`](ErrorKind::NotFound) when the
    /// upload has ended or expired. [`InvalidInput`](ErrorKind::InvalidInput) when there are no bytes.
    #[doc(alias = "upload_chunk")]
    pub async fn append(&mut self, bytes: impl Into<Bytes>) -> Result<(), Error> {
        let mut part = self.part(bytes.into(), UploadChunk::SPEC.name)?;
        if part.first == part.end {
            let error = Error::invalid("a chunk must have bytes");
            return Err(self.annotate(error, UploadChunk::SPEC.name));
        }
        while self.offset < part.end {
            let sent = self.advance(&mut part).await;
            sent.map_err(|error| self.fail(part.first, part.end, error))?;
        }
        Ok(())
    }

    /// Sends of a part as much as goes into a request; returns when the registry holds more than before.
    async fn advance(&mut self, part: &mut Outgoing) -> Result<(), Error> {
        let before = self.offset;
        loop {
            let end = part.end.min(self.offset.saturating_add(self.largest()));
            let operation = UploadChunk {
                repository: self.repository.name.clone(),
                location: self.state.location.clone(),
                range: ChunkRange::new(self.offset, end - self.offset),
            };
            let info = self.repository.pipeline.info(&operation);
            let payload = part.payload(self.offset, end).await?;
            match self.advance_by(&operation, &info, payload).await {
                Ok(_) => {
                    self.offset = end;
                    part.furthest = part.furthest.max(end);
                    self.repository.pipeline.set_largest_request(self.accepted);
                }
                Err(error) => self.recover(error, part, end, &info).await?,
            }
            if self.offset > before {
                return part.commit(self.offset).await;
            }
        }
    }

    /// Asks how many bytes the registry holds: `GET` on the location.
    ///
    /// ACR does not tell one byte from none: where it says so, and no more than one was appended, it
    /// is what was appended.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) when the upload has ended or expired.
    #[doc(alias = "get_upload_status")]
    pub async fn status(&mut self) -> Result<u64, Error> {
        let operation = GetUploadStatus {
            repository: self.repository.name.clone(),
            location: self.state.location.clone(),
        };
        let info = self.repository.pipeline.info(&operation);
        let asked = self.advance_by(&operation, &info, Bytes::new().into());
        let last_byte = asked.await?;
        self.is_resumed = false;
        self.offset = match last_byte {
            None | Some(0) if self.offset <= 1 => self.offset,
            None | Some(0) => 0,
            // A server may send the largest number there is.
            Some(last) => last.saturating_add(1),
        };
        Ok(self.offset)
    }

    /// Completes the upload: `PUT` on the location. What was appended is now the blob of this digest.
    ///
    /// # Errors
    ///
    /// [`DigestMismatch`](ErrorKind::DigestMismatch) when what was appended has another digest;
    /// [`NotFound`](ErrorKind::NotFound) when the upload has ended or expired.
    #[doc(alias = "complete_upload")]
    pub async fn complete(&mut self, digest: impl Argument<Digest>) -> Result<Digest, Error> {
        self.complete_with(digest, Bytes::new()).await
    }

    /// Completes the upload with its last bytes, or its only ones, in the same request: `PUT` on the
    /// location.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete) and [`append`](Self::append).
    pub async fn complete_with(
        &mut self,
        digest: impl Argument<Digest>,
        bytes: impl Into<Bytes>,
    ) -> Result<Digest, Error> {
        let digest = digest.into_argument()?;
        let part = self.part(bytes.into(), CompleteUpload::SPEC.name)?;
        let (first, end) = (part.first, part.end);
        let completed = self.finish(&digest, part).await;
        completed.map_err(|error| self.fail(first, end, error))
    }

    /// Sends the last part, and commits the blob.
    async fn finish(&mut self, digest: &Digest, mut part: Outgoing) -> Result<Digest, Error> {
        let mut may_be_done = false;
        if !part.reaches(self.offset) {
            let text = format!(
                "the registry holds {} bytes of the upload, and its source has {}",
                self.offset, part.end
            );
            return Err(Error::new(ErrorKind::Io, text));
        }
        loop {
            while part.end - self.offset > self.largest() {
                self.advance(&mut part).await?;
            }
            let operation = CompleteUpload {
                repository: self.repository.name.clone(),
                location: self.state.location.clone(),
                digest: Some(digest.clone()),
                range: ChunkRange::new(self.offset, part.end - self.offset),
            };
            let info = self.repository.pipeline.info(&operation);
            let payload = part.payload(self.offset, part.end).await?;
            let error = match self.step(&operation, &info, payload, Ok).await {
                Ok(digest) => return Ok(digest),
                Err(error) => error,
            };
            may_be_done |= error.is_retryable() && !error.was_not_carried_out();
            let end = part.end;
            match self.recover(error, &mut part, end, &info).await {
                // An upload whose response was lost is over, and so no longer known, when it was done. What
                // counts is that the blob is there, whoever says by a 404 that the upload is not.
                Err(error) if may_be_done && is_gone(&error) => {
                    return match self.repository.head_blob(digest).await {
                        Ok(Some(_)) => Ok(digest.clone()),
                        _ => Err(error),
                    };
                }
                other => other?,
            }
        }
    }

    /// Sends what the upload lacks of a source, and completes it.
    ///
    /// The source is the whole content: what the registry holds already is not sent again, but read where its
    /// digest is not known from the [`state`](Self::state), or the source, unlike a file, does not tell when it was
    /// changed. Of the options, `skip_existing` and
    /// `mount_from` have no meaning here. After an error the upload is still there.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) when the source fails, or is not the one that the upload was begun with; else
    /// as [`append`](Self::append) and [`complete`](Self::complete).
    pub async fn complete_from(
        &mut self,
        source: impl Into<BlobSource>,
        options: impl Into<UploadBlobOptions>,
    ) -> Result<Descriptor, Error> {
        let (source, options) = (source.into(), options.into());
        let completed = Box::pin(self.run(source, &options)).await;
        completed.map_err(|error| self.annotate(error, CompleteUpload::SPEC.name))
    }

    async fn run(
        &mut self,
        source: BlobSource,
        options: &UploadBlobOptions,
    ) -> Result<Descriptor, Error> {
        let mut transfer = Transfer::open(&self.repository, source, options)?;
        if self.is_resumed {
            self.status().await?;
        }
        let blob = transfer.run(self).await?;
        transfer.end(&blob, Outcome::Sent)?;
        Ok(blob)
    }

    /// Cancels the upload: `DELETE` on the location. On ACR this needs the permission `delete`.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) when the upload has ended or expired;
    /// [`Denied`](ErrorKind::Denied) when the identity may push but not delete.
    #[doc(alias = "cancel_upload")]
    pub async fn cancel(&mut self) -> Result<(), Error> {
        let operation = CancelUpload {
            repository: self.repository.name.clone(),
            location: self.state.location.clone(),
        };
        let info = self.repository.pipeline.info(&operation);
        self.step(&operation, &info, Bytes::new().into(), Ok).await
    }

    /// Takes a source, which has to be the one that the upload was begun with.
    fn take_source(&mut self, mark: SourceMark) -> Result<(), Error> {
        if !self.state.source.fits(mark) {
            return Err(another_source());
        }
        self.state.source = mark;
        Ok(())
    }

    /// Bytes of the caller's, which go to where the upload stands.
    fn part(&self, bytes: Bytes, operation: &'static str) -> Result<Outgoing, Error> {
        let length = bytes.len() as u64;
        let content = Content::Memory(Replay::from(bytes));
        let attempts = self.repository.pipeline.for_composite();
        let part = Outgoing::new(content, self.offset, length, attempts);
        part.map_err(|error| self.annotate(error, operation))
    }

    fn annotate(&self, error: Error, operation: &'static str) -> Error {
        error.in_operation(operation, Some(self.repository.name.as_str()), None, 0)
    }

    /// Ends a step by an error. Where only a part of its bytes has come, the whole can be sent again: the
    /// registry refuses its place, and is asked for the right one.
    fn fail(&mut self, first: u64, end: u64, error: Error) -> Error {
        if (first..=end).contains(&self.offset) {
            self.offset = first;
        }
        error
    }

    /// The most bytes of a request.
    fn largest(&self) -> u64 {
        self.largest.min(self.repository.pipeline.largest_request())
    }

    /// How many bytes a request is to have that would have this many.
    fn request_size(&self, wanted: u64) -> u64 {
        let least = self.minimum_chunk.unwrap_or(0);
        wanted.max(least).min(self.largest().max(least))
    }

    /// Halves the requests after one of this many bytes that did not come through; says whether they can
    /// be smaller.
    fn shrink(&mut self, bytes: u64) -> bool {
        let least = self.minimum_chunk.unwrap_or(0).max(MIN_REQUEST);
        let can_shrink = bytes > least;
        if can_shrink {
            self.largest = (bytes / 2).max(least);
        }
        can_shrink
    }

    /// Runs one step at the upload's location.
    async fn step<O, T>(
        &self,
        operation: &O,
        info: &OperationInfo,
        payload: Payload,
        accept: impl Fn(O::Output) -> Result<T, Error> + Send + Sync,
    ) -> Result<T, Error>
    where
        O: Operation + Sync,
        O::Output: Send,
        T: Send,
    {
        let request = operation.request();
        let request = request.map(|request| request.map(|_| payload));
        let pipeline = &self.repository.pipeline;
        pipeline.run_with(operation, info, request, accept).await
    }

    /// Runs a step after which the upload goes on; returns the last byte that the registry says it holds.
    async fn advance_by<O>(
        &mut self,
        operation: &O,
        info: &OperationInfo,
        payload: Payload,
    ) -> Result<Option<u64>, Error>
    where
        O: Operation<Output = UploadProgress> + Sync,
    {
        let pipeline = &self.repository.pipeline;
        let read = |progress: UploadProgress| {
            let base = operation.request()?;
            let location = own_location(pipeline, base.uri(), &progress.location)?;
            Ok((location, progress.last_byte))
        };
        let (location, last_byte) = self.step(operation, info, payload, read).await?;
        self.state.location = location;
        Ok(last_byte)
    }

    /// After a 416 or 413, or when no response tells what became of the bytes before `end`, asks how much the
    /// registry holds. The upload goes on from there.
    async fn recover(
        &mut self,
        error: Error,
        part: &mut Outgoing,
        end: u64,
        info: &OperationInfo,
    ) -> Result<(), Error> {
        if let Some(failure) = part.failure() {
            return Err(failure);
        }
        let sent = self.offset;
        let is_misplaced = error.status() == Some(StatusCode::RANGE_NOT_SATISFIABLE)
            && error.kind() == ErrorKind::Registry;
        let is_too_large = error.status() == Some(StatusCode::PAYLOAD_TOO_LARGE);
        // Twice at the same place, it may be the size of the request that is in the way.
        let is_stuck = error.kind() == ErrorKind::Transport && part.lost_at == Some(sent);
        if is_misplaced && part.misplaced < MAX_RECOVERIES {
            part.misplaced += 1;
        } else if is_too_large {
            if !self.shrink(end - sent) {
                return Err(error);
            }
            self.accepted = self.largest;
        } else if error.was_not_carried_out() {
            // It was tried as often as it may be, and nothing has become of the bytes.
            return Err(error);
        } else {
            if is_stuck && self.shrink(end - sent) {
                part.attempts = self.repository.pipeline.for_composite();
            }
            part.attempts
                .retry_or_fail(error.clone().into_part())
                .await?;
            part.may_have_come = true;
        }
        let status = self.status().await;
        let mut held = status.map_err(|failure| failure.caused_by(error.clone()))?;
        // One byte or none, which the response does not tell apart. What was thought so far has just been
        // refused, and the other is likelier, since a response was lost before or it was not the location
        // that was wrong.
        if sent <= 1 && held <= 1 && is_misplaced && (part.may_have_come || part.misplaced > 1) {
            let other = 1 - held;
            held = if part.reaches(other) { other } else { held };
        }
        self.offset = held;
        if error.kind() == ErrorKind::Transport {
            part.lost_at = Some(held);
        }
        if held >= part.furthest.saturating_add(MIN_REQUEST) {
            // What has come was worth the attempt; that of bytes which were lost and have come again was not.
            part.furthest = held;
            part.attempts = self.repository.pipeline.for_composite();
        }
        if part.reaches(held) {
            return Ok(());
        }
        // The source cannot be read again, and bytes of another writer cannot be taken back.
        let text = format!("the registry holds {held} bytes of the upload, {sent} were sent");
        let error = Error::new(ErrorKind::Registry, text).with_source(error);
        Err(info.annotate(error, 1))
    }
}

/// Makes the location that a response to a request at `base` has named, or that was kept, a path on the
/// registry, and refuses one that leads elsewhere: the credential goes along.
fn own_location(
    pipeline: &Pipeline,
    base: &Uri,
    location: &UploadLocation,
) -> Result<UploadLocation, Error> {
    let base = pipeline.endpoint().absolute(base)?;
    let path = pipeline
        .endpoint()
        .own_path(&base, "Location", location.as_str())?;
    UploadLocation::new(path.to_string()).map_err(|error| Error::protocol(error.to_string()))
}

fn another_source() -> Error {
    let text = "the source is not the one that the upload was begun with: it has other content or another length, or \
                was changed";
    Error::new(ErrorKind::Io, text)
}

/// Whether an error may say that there is no such upload; not every registry has the code for it.
fn is_gone(error: &Error) -> bool {
    !error.is_of_source()
        && (error.advice() == Advice::NewSession || error.status() == Some(StatusCode::NOT_FOUND))
}

/// Whether an upload is lost, so that a new one may go through. A 404 that names something else, such as the
/// repository, is not about the upload; nor is one that its source has got.
pub(crate) fn is_lost(error: &Error) -> bool {
    let names_nothing = || error.code().is_none_or(|code| *code == ErrorCode::UNKNOWN);
    is_gone(error) && (error.advice() == Advice::NewSession || names_nothing())
}

const MAX_RECOVERIES: u32 = 3;
/// Requests are made no smaller than this, in bytes.
const MIN_REQUEST: u64 = 1 << 20;
