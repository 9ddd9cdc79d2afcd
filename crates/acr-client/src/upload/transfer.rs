//! How the whole of a source gets into an upload.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use acr_protocol::{Descriptor, Digest, DigestMismatch, Digester, MediaType};
use http::StatusCode;

use super::chunks::Chunks;
use super::feed::Feed;
use super::meter::Meter;
use super::options::UploadBlobOptions;
use super::outgoing::{self, Outgoing};
use super::replay::Replay;
use super::source::{BlobSource, OpenedKind};
use super::state::{SourceMark, StateFile, UploadState};
use super::{BlobUpload, another_source, is_lost};
use crate::call_options::CallOptions;
use crate::error::{Error, ErrorKind};
use crate::progress::Outcome;
use crate::repository::RepositoryClient;

/// A source on its way, and what its digest must be.
pub(super) struct Transfer {
    content: Sending,
    expected: Option<Digest>,
    chunk_size: Option<u64>,
    mark: SourceMark,
    state_file: Option<StateFile>,
    /// Whether it holds a state of the upload that is under way.
    is_kept: bool,
    /// What it held at first.
    kept: Option<UploadState>,
    meter: Meter,
}

enum Sending {
    /// With all of it, and its digest, where it fits a chunk.
    Again(Arc<Feed>, Option<Box<(Replay, Digester)>>),
    Once(Box<Chunks>),
}

impl Transfer {
    /// Opens a source.
    pub(super) fn open(
        repository: &RepositoryClient,
        source: BlobSource,
        options: &UploadBlobOptions,
    ) -> Result<Self, Error> {
        if options.chunk_size == Some(0) {
            return Err(Error::invalid("the chunk size is 0"));
        }
        let state_file = options.state_file.clone().map(StateFile::new);
        let kept = state_file.as_ref().map(StateFile::load).transpose()?;
        let opened = source.open()?;
        let expected = options.digest.clone().or(opened.digest);
        let algorithm = expected
            .as_ref()
            .map_or_else(|| options.algorithm.clone(), Digest::algorithm);
        let digester = Digester::new(&algorithm)
            .ok_or_else(|| Error::invalid(format!("digests by {algorithm} cannot be computed")))?;
        let clock = repository.pipeline.sender().clock.clone();
        let mark = match &opened.kind {
            OpenedKind::Again(origin) => SourceMark {
                length: Some(origin.length()),
                modified: origin.modified().and_then(nanoseconds),
            },
            OpenedKind::Once(_, length) => SourceMark {
                length: *length,
                modified: None,
            },
        };
        let meter = Meter::new(&options.on_progress, expected.as_ref(), mark.length);
        let (hash_on, chunk_size) = (options.hash_on, options.chunk_size);
        let content = match opened.kind {
            OpenedKind::Again(origin) => {
                let feed = Feed::new(origin, digester, hash_on, clock, meter.clone());
                Sending::Again(Arc::new(feed), None)
            }
            OpenedKind::Once(once, length) => {
                let chunk_size = chunk_size.unwrap_or(CHUNK);
                let chunks = Chunks::new(once, length, digester, chunk_size, hash_on, clock);
                Sending::Once(Box::new(chunks))
            }
        };
        Ok(Self {
            content,
            expected,
            chunk_size,
            mark,
            state_file,
            is_kept: false,
            kept: kept.flatten(),
            meter,
        })
    }

    /// The length of the source in bytes, where it is known.
    pub(super) const fn length(&self) -> Option<u64> {
        self.mark.length
    }

    /// Goes on with the upload whose state was kept, if it is one of this source and still there.
    pub(super) async fn resume(
        &mut self,
        repository: &RepositoryClient,
    ) -> Result<Option<BlobUpload>, Error> {
        let Some(state) = self
            .kept
            .take()
            .filter(|state| self.mark.fits(state.source) && state.check(repository).is_ok())
        else {
            return Ok(None);
        };
        if let (Sending::Again(feed, _), Some(saved)) = (&self.content, &state.digest)
            && !feed.resume(saved, self.mark.is_of(state.source)).await?
        {
            feed.rewind();
            return Ok(None);
        }
        let mut upload = repository.resume_upload(state).await?;
        match upload.status().await {
            Ok(_) => {
                self.is_kept = true;
                Ok(Some(upload))
            }
            Err(error) if is_lost(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The digest before anything is sent: the expected one, or that of a source that fits a chunk.
    pub(super) async fn known_digest(&mut self) -> Result<Option<Digest>, Error> {
        if self.expected.is_some() {
            return Ok(self.expected.clone());
        }
        let most = self.chunk_size.map_or(CHUNK, |size| size.min(CHUNK));
        match &mut self.content {
            Sending::Again(feed, whole) => {
                let length = feed.origin().length();
                if length > most {
                    return Ok(None);
                }
                let replay = feed.replay(0, length).await?;
                let whole = whole.insert(Box::new((replay, feed.reached())));
                Ok(Some(whole.1.clone().finish()))
            }
            Sending::Once(chunks) => {
                let is_whole = chunks.fill(most).await?;
                Ok(is_whole.then(|| chunks.digester().clone().finish()))
            }
        }
    }

    /// Reads the source to its end for its digest, and begins anew; `None` of one that can be read once.
    pub(super) async fn digest_ahead(&mut self) -> Result<Option<Digest>, Error> {
        let Sending::Again(feed, _) = &self.content else {
            return Ok(None);
        };
        let length = feed.origin().length();
        feed.catch_up(length, length).await?;
        let digest = feed.committed().finish();
        feed.rewind();
        Ok(Some(digest))
    }

    /// Sends what an upload lacks, and completes it.
    pub(super) async fn run(&mut self, upload: &mut BlobUpload) -> Result<Descriptor, Error> {
        let is_known = self.mark.is_of(upload.state.source);
        upload.take_source(self.mark)?;
        let (expected, meter, state_file) = (self.expected.as_ref(), &self.meter, &self.state_file);
        let keep = |upload: &BlobUpload| {
            if let Some(file) = state_file {
                file.save(&upload.state())?;
            }
            meter.acknowledged(upload.offset());
            Ok::<_, Error>(())
        };
        keep(upload)?;
        self.is_kept = self.state_file.is_some();
        let chunk_size = self.chunk_size;
        match &mut self.content {
            Sending::Again(feed, whole) => {
                if let Some(saved) = &upload.state.digest
                    && !feed.resume(saved, is_known).await?
                {
                    return Err(another_source());
                }
                let length = feed.origin().length();
                let rest = length.saturating_sub(upload.offset());
                let size = chunk_size.unwrap_or(match rest {
                    _ if self.is_kept => KEPT_PART,
                    ..=ONE_REQUEST => ONE_REQUEST,
                    _ => PART,
                });
                loop {
                    let offset = upload.offset();
                    let size = upload.request_size(size);
                    feed.set_step(size);
                    let rest = length.saturating_sub(offset);
                    feed.catch_up(offset, offset.saturating_add(rest.min(size)))
                        .await?;
                    let attempts = upload.repository.pipeline.for_composite();
                    if rest > size.min(CHUNK) {
                        let content = outgoing::Content::Feed(feed.clone(), None);
                        let mut part = Outgoing::new(content, offset, rest.min(size), attempts)?;
                        while upload.offset() < part.end {
                            // The request before may have made the others smaller.
                            feed.set_step(upload.request_size(size));
                            upload.advance(&mut part).await?;
                            upload.state.digest = Some(feed.committed());
                            keep(upload)?;
                        }
                        continue;
                    }
                    let (replay, digester) = match whole {
                        Some(whole) if offset == 0 => (**whole).clone(),
                        _ if rest == 0 && length > 0 => (Replay::default(), feed.committed()),
                        _ => (feed.replay(offset, length).await?, feed.reached()),
                    };
                    let digest = check(expected, digester)?;
                    let content = outgoing::Content::Feed(feed.clone(), Some((offset, replay)));
                    let part = Outgoing::new(content, offset, rest, attempts)?;
                    let digest = upload.finish(&digest, part).await?;
                    return Ok(Descriptor::new(MediaType::OCTET_STREAM, digest, length));
                }
            }
            Sending::Once(chunks) => loop {
                let size = chunk_size.unwrap_or(CHUNK);
                let asked = upload.minimum_chunk().unwrap_or(0).min(MAX_IN_MEMORY);
                let is_last = chunks.fill(size.max(asked)).await?;
                let chunk = chunks.chunk();
                let (first, length) = (chunks.first(), chunk.length());
                let content = outgoing::Content::Memory(chunk.clone());
                let attempts = upload.repository.pipeline.for_composite();
                let mut part = Outgoing::new(content, first, length, attempts)?;
                meter.sent(part.end);
                if is_last {
                    let digest = check(expected, chunks.digester().clone())?;
                    let digest = upload.finish(&digest, part).await?;
                    let size = chunks.digester().bytes();
                    return Ok(Descriptor::new(MediaType::OCTET_STREAM, digest, size));
                }
                while upload.offset() < part.end {
                    upload.advance(&mut part).await?;
                    keep(upload)?;
                }
                chunks.pass();
            },
        }
    }

    /// Goes back to the beginning of the source after an error that has ended the upload.
    ///
    /// # Errors
    ///
    /// That error, where another upload would end the same way, or the source cannot be read again.
    pub(super) fn reset(&mut self, error: Error) -> Result<(), Error> {
        if !is_lost(&error) {
            return Err(error);
        }
        match &self.content {
            Sending::Again(feed, _) => feed.rewind(),
            // The first chunk is still there.
            Sending::Once(chunks) if chunks.first() == 0 => {}
            Sending::Once(_) => {
                let text = format!(
                    "{}; the upload cannot begin anew by itself, because its source can be read only once",
                    error.message()
                );
                return Err(error.with_message(text));
            }
        }
        self.meter.acknowledged(0);
        // What it holds is the state of the one that is lost.
        self.is_kept = false;
        Ok(())
    }

    /// The blob is there: tells so, and ends what was kept of its upload.
    pub(super) fn end(&self, blob: &Descriptor, outcome: Outcome) -> Result<(), Error> {
        self.forget()?;
        self.meter.done(&blob.digest, blob.size, outcome);
        Ok(())
    }

    fn forget(&self) -> Result<(), Error> {
        self.state_file.as_ref().map_or(Ok(()), StateFile::remove)
    }

    /// Cancels an upload that has failed, as far as the identity may, and nothing is in the way: one whose state
    /// is kept is resumed.
    pub(super) async fn give_up(&mut self, mut upload: BlobUpload, error: &Error) {
        let is_useless = is_lost(error) || error.kind() == ErrorKind::DigestMismatch;
        if is_useless {
            // What counts is what the upload has failed by.
            drop(self.forget());
        }
        if is_lost(error)
            || error.is_past_deadline()
            || (error.status() == Some(StatusCode::UNAUTHORIZED) && !error.is_of_source())
            || (self.is_kept && !is_useless)
        {
            return;
        }
        upload.repository = upload.repository.with(CallOptions {
            deadline: Some(CANCEL_WITHIN),
            max_retries: Some(0),
            wait_for_replication: None,
        });
        drop(upload.cancel().await);
    }
}

fn nanoseconds(time: SystemTime) -> Option<u64> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

/// Holds a digest against the one that is expected.
fn check(expected: Option<&Digest>, digester: Digester) -> Result<Digest, Error> {
    let bytes = digester.bytes();
    let actual = digester.finish();
    match expected {
        Some(expected) if *expected != actual => {
            Err(DigestMismatch::new(expected.clone(), actual, bytes).into())
        }
        _ => Ok(actual),
    }
}

/// The bytes of a chunk in memory.
const CHUNK: u64 = 4 << 20;
/// Up to so many bytes go in one request, because a registry need not go on with one that has broken.
const ONE_REQUEST: u64 = 1 << 30;
const PART: u64 = 256 << 20;
/// What is lost at most when the process ends; of a single request it would be everything.
const KEPT_PART: u64 = 16 << 20;
/// Bounds what a server can make the client hold in memory.
const MAX_IN_MEMORY: u64 = 64 << 20;
const CANCEL_WITHIN: Duration = Duration::from_secs(5);
