use std::fmt;
use std::io::Write;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use acr_protocol::blob::{BlobHead, ContentRange};
use acr_protocol::{Digest, DigestMismatch, Digester};
use bytes::Bytes;
use futures_core::Stream;
use futures_util::future::poll_fn;

use super::options::{DownloadBlobOptions, ParallelRanges};
use super::part::Part;
use super::remote::{Place, Remote};
use super::window::Window;
use super::writer::FileWriter;
use crate::error::{Error, ErrorKind};
use crate::progress::{OnProgress, Outcome, Progress};

/// The bytes of a blob as they arrive, verified against its digest at their end.
///
/// What [`try_next`](Self::try_next) has given so far is not verified: a damaged blob shows in the
/// error that stands in the place of the end. [`save`](Self::save) does what a file needs;
/// [`bytes`](Self::bytes) brings a small blob into memory. Bytes of a range are not verified at all.
///
/// What breaks on the way goes on from the last byte that came, by a `Range`, as often and at the pace that
/// [`RetryOptions`](crate::RetryOptions) has for attempts without a new byte; each one that brings some counts
/// as the first again. So does a storage whose URL has expired meanwhile: the registry is asked for a new one.
/// A server that begins from the first byte instead has to send the same bytes again, which are not given
/// twice.
///
/// It is a [`Stream`] too, and so becomes a reader in one line: with the crate `tokio-util`,
/// `StreamReader::new(blob.map_err(io::Error::from))`; with `futures`,
/// `blob.map_err(io::Error::from).into_async_read()`.
///
/// # Cancel safety
///
/// A future of [`try_next`](Self::try_next) may be dropped: no byte is lost. Dropping the stream
/// gives the download up.
pub struct BlobStream {
    remote: Arc<Remote>,
    source: Source,
    head: BlobHead,
    /// `None` for a range, and after the end.
    hash: Option<Digester>,
    received: u64,
    on_progress: OnProgress,
    /// What has arrived and is not hashed yet.
    arrived: Bytes,
    /// Whether others were let go on since it arrived.
    has_given_way: bool,
    /// What was taken and not used; it comes first.
    unread: Bytes,
    has_ended: bool,
}

impl BlobStream {
    pub(super) fn new(
        remote: Arc<Remote>,
        source: Source,
        head: BlobHead,
        hash: Option<Digester>,
    ) -> Self {
        Self {
            remote,
            source,
            head,
            hash,
            received: 0,
            on_progress: OnProgress::default(),
            arrived: Bytes::new(),
            has_given_way: false,
            unread: Bytes::new(),
            has_ended: false,
        }
    }

    /// Opens a blob behind the bytes that were hashed.
    pub(super) async fn open(
        remote: Arc<Remote>,
        hash: Digester,
        options: DownloadBlobOptions,
    ) -> Result<Self, Error> {
        let received = hash.bytes();
        let opened = match options.parallel {
            _ if received > 0 && hash.clone().finish() == *remote.digest() => Some((
                Source::Ended(0),
                BlobHead {
                    content_length: Some(received),
                    content_range: None,
                },
            )),
            Some(ranges) => Source::open_window(&remote, ranges, received).await?,
            None => None,
        };
        let (source, head) = match opened {
            Some(opened) => opened,
            None => Source::open_one(&remote, &hash).await?,
        };
        Ok(Self {
            received,
            on_progress: options.on_progress,
            ..Self::new(remote, source, head, Some(hash))
        })
    }

    /// Returns the digest that was asked for.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        self.remote.digest()
    }

    /// Returns how many bytes the server announced for the whole stream, if it did.
    #[must_use]
    pub const fn content_length(&self) -> Option<u64> {
        self.head.content_length
    }

    /// Says how long the whole is, for a server that has not said it.
    pub(crate) fn expect_length(&mut self, length: u64) {
        if let (Source::One(part), None) = (&mut self.source, self.head.content_length) {
            part.expect_length(length);
            self.head.content_length = Some(length);
        }
    }

    /// Returns which part of the blob this is, where a range was asked for.
    #[must_use]
    pub const fn content_range(&self) -> Option<ContentRange> {
        self.head.content_range
    }

    /// Returns the next bytes, never none of them, or `None` at the end.
    ///
    /// # Errors
    ///
    /// [`DigestMismatch`](ErrorKind::DigestMismatch) in the place of the end when the bytes were
    /// not the right ones, or when others come where it is begun again; [`Transport`](ErrorKind::Transport)
    /// or [`Timeout`](ErrorKind::Timeout) when they stopped arriving for good, else the error of the last
    /// attempt at going on; [`Protocol`](ErrorKind::Protocol) when the server goes on elsewhere. The stream is
    /// then over.
    pub async fn try_next(&mut self) -> Result<Option<Bytes>, Error> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx))
            .await
            .transpose()
    }

    /// Reads everything that is left into memory, at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](ErrorKind::TooLarge) when there is more; else as [`try_next`](Self::try_next).
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes, Error> {
        let mut all = Vec::new();
        self.each(|bytes| {
            if all.len() + bytes.len() > limit {
                let text = format!("the blob has more than {limit} bytes");
                return Err(Error::new(ErrorKind::TooLarge, text));
            }
            all.extend_from_slice(bytes);
            Ok(())
        })
        .await?;
        Ok(all.into())
    }

    /// Writes everything that is left to a writer; returns how many bytes that was.
    ///
    /// The writer has unverified bytes until this returns without an error. It is not flushed. It
    /// is written to from the task that polls this, so it should not block for long.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) when the writer fails; else as [`try_next`](Self::try_next).
    pub async fn write_to(mut self, mut writer: impl Write + Send) -> Result<u64, Error> {
        let mut written = 0;
        self.each(|bytes| {
            writer
                .write_all(bytes)
                .map_err(|error| Error::of_foreign(ErrorKind::Io, "the writer failed", error))?;
            written += bytes.len() as u64;
            Ok(())
        })
        .await?;
        Ok(written)
    }

    /// Saves everything that is left to a file; returns how many bytes that was.
    ///
    /// The bytes go to a new file beside it, which takes its name when they are complete,
    /// verified and on the disk, in the place of a file that was there. Whatever goes wrong, and also when the
    /// future is dropped, the partial file is removed and the old file stays.
    ///
    /// The file is written on a thread of its own, which has at most 512 KiB to write, or from the task that
    /// polls this where no thread can be started. Room for all of it is taken first where the file system can
    /// do so, so that a full disk shows before anything has come.
    /// [`download_blob_to`](crate::RepositoryClient::download_blob_to) can go on with what an earlier
    /// download has left.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](ErrorKind::InvalidInput) when the path names no file; [`Io`](ErrorKind::Io) when the
    /// file cannot be written; else as [`try_next`](Self::try_next).
    pub async fn save(self, path: impl AsRef<Path> + Send) -> Result<u64, Error> {
        let clock = self.remote.pipeline.sender().clock.clone();
        let file = FileWriter::create(path.as_ref(), clock).map_err(|error| self.own(error))?;
        self.save_by(file).await
    }

    /// Saves everything that is left behind what is in a file.
    pub(super) async fn save_by(mut self, mut file: FileWriter) -> Result<u64, Error> {
        if let Some(length) = self.length() {
            let left = length.saturating_sub(self.received) + self.unread.len() as u64;
            file.reserve(left).await.map_err(|error| self.own(error))?;
        }
        if !self.unread.is_empty() {
            let unread = std::mem::take(&mut self.unread);
            file.write(unread).await.map_err(|error| self.own(error))?;
        }
        loop {
            match poll_fn(|cx| self.poll_arrived(cx)).await {
                // Written while it is hashed, so that neither waits for the other.
                Ok(true) => {
                    let written = file.write(self.arrived.clone()).await;
                    written.map_err(|error| self.own(error))?;
                    self.try_next().await?;
                }
                Ok(false) => {
                    let length = file.complete().await.map_err(|error| self.own(error))?;
                    self.tell(Some(Outcome::Received));
                    return Ok(length);
                }
                Err(error) => {
                    if is_mismatch(&error) {
                        file.discard();
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Gives back bytes that [`try_next`](Self::try_next) has given, so that they come again.
    #[cfg(feature = "blocking")]
    pub(crate) fn unread(&mut self, bytes: Bytes) {
        self.unread = bytes;
    }

    /// Does something with all bytes that are left.
    async fn each(
        &mut self,
        mut work: impl FnMut(&[u8]) -> Result<(), Error> + Send,
    ) -> Result<(), Error> {
        while let Some(bytes) = self.try_next().await? {
            work(&bytes).map_err(|error| self.own(error))?;
        }
        Ok(())
    }

    /// Is ready when there are bytes to be [taken](Self::take), or at the end, with `false`.
    fn poll_arrived(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        if self.has_ended || !self.arrived.is_empty() {
            return Poll::Ready(Ok(!self.has_ended));
        }
        let arrived = match ready!(self.source.poll_bytes(cx, self.hash.as_ref())) {
            Some(Ok(bytes)) => {
                self.arrived = bytes;
                self.has_given_way = false;
                return Poll::Ready(Ok(true));
            }
            Some(Err(error)) => Err(error),
            None => self.finish().map(|()| false),
        };
        self.has_ended = true;
        // Nothing more is read, so the connection need not be kept.
        self.source = Source::Ended(self.source.requests());
        Poll::Ready(arrived.map_err(|error| self.own(error)))
    }

    /// Hashes what has arrived.
    fn take(&mut self) -> Bytes {
        let bytes = std::mem::take(&mut self.arrived);
        if let Some(hash) = &mut self.hash {
            hash.update(&bytes);
        }
        self.received += bytes.len() as u64;
        self.tell(None);
        bytes
    }

    /// How many bytes it has from its beginning to its end, where that is known.
    fn length(&self) -> Option<u64> {
        let range = self.head.content_range;
        range.map_or(self.head.content_length, |range| Some(range.length()))
    }

    /// Holds the whole against its digest.
    fn finish(&mut self) -> Result<(), Error> {
        let Some(hash) = self.hash.take() else {
            return Ok(());
        };
        let (count, actual) = (hash.bytes(), hash.finish());
        if actual == *self.digest() {
            return Ok(());
        }
        Err(DigestMismatch::new(self.digest().clone(), actual, count).into())
    }

    fn tell(&self, outcome: Option<Outcome>) {
        if self.on_progress.is_on() {
            self.on_progress.tell(&Progress {
                digest: Some(self.digest().clone()),
                bytes: self.received,
                acknowledged: self.received,
                total: self.content_length(),
                outcome,
                image: None,
            });
        }
    }

    fn own(&self, error: Error) -> Error {
        self.remote.info.annotate(error, self.source.requests())
    }
}

impl Stream for BlobStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.unread.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.unread))));
        }
        let had_ended = self.has_ended;
        match ready!(self.poll_arrived(cx)) {
            // The task that reads the connection goes on while these bytes are hashed, where it is another one
            // on the same thread.
            Ok(true) if !self.has_given_way && self.hash.is_some() && self.source.is_live() => {
                self.has_given_way = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Ok(true) => Poll::Ready(Some(Ok(self.take()))),
            Ok(false) => {
                if !had_ended {
                    self.tell(Some(Outcome::Received));
                }
                Poll::Ready(None)
            }
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }
}

/// Where the bytes come from.
pub(super) enum Source {
    One(Box<Part>),
    Many(Window),
    /// After so many requests.
    Ended(u32),
}

impl Source {
    /// Opens one response behind the bytes that were hashed.
    async fn open_one(remote: &Arc<Remote>, hash: &Digester) -> Result<(Self, BlobHead), Error> {
        if hash.bytes() == 0 {
            let (part, head) = Part::open(remote.clone(), None).await?;
            return Ok((Self::One(Box::new(part)), head));
        }
        let mut part = Part::at(remote.clone(), Place::begun(hash.bytes()));
        let opened = poll_fn(|cx| part.poll_opened(cx, Some(hash))).await;
        opened.map_err(|error| remote.info.annotate(error, part.requests()))?;
        let head = BlobHead {
            content_length: part.length(),
            content_range: None,
        };
        Ok((Self::One(Box::new(part)), head))
    }

    /// Opens the first of several ranges, whose response says how long the blob is; `None` where it has to
    /// be one response.
    async fn open_window(
        remote: &Arc<Remote>,
        ranges: ParallelRanges,
        from: u64,
    ) -> Result<Option<(Self, BlobHead)>, Error> {
        let first = Part::open_first(remote.clone(), from, ranges.size).await?;
        let Some((part, mut head)) = first else {
            return Ok(None);
        };
        let size = match head.content_range.take() {
            Some(range) => range.size,
            None if from == 0 => return Ok(Some((Self::One(Box::new(part)), head))),
            None => None,
        };
        let Some(size) = size else {
            return Ok(None);
        };
        head.content_length = Some(size);
        let window = Window::new(remote.clone(), ranges, from, part, size);
        Ok(Some((Self::Many(window), head)))
    }

    fn poll_bytes(
        &mut self,
        cx: &mut Context<'_>,
        hashed: Option<&Digester>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        match self {
            Self::One(part) => part.poll_bytes(cx, hashed),
            Self::Many(window) => window.poll_bytes(cx),
            Self::Ended(_) => Poll::Ready(None),
        }
    }

    /// Whether more is to be read from where the last bytes came from.
    fn is_live(&self) -> bool {
        match self {
            Self::One(part) => part.is_live(),
            Self::Many(_) => true,
            Self::Ended(_) => false,
        }
    }

    fn requests(&self) -> u32 {
        match self {
            Self::One(part) => part.requests(),
            Self::Many(window) => window.requests(),
            Self::Ended(requests) => *requests,
        }
    }
}

/// Whether bytes that have come are the wrong ones.
pub(super) fn is_mismatch(error: &Error) -> bool {
    error.kind() == ErrorKind::DigestMismatch
}

impl fmt::Debug for BlobStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobStream")
            .field("digest", self.digest())
            .field("head", &self.head)
            .field("received", &self.received)
            .field("has_ended", &self.has_ended)
            .finish_non_exhaustive()
    }
}
