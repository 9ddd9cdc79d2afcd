use std::fmt;
use std::io::Write;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use acr_protocol::blob::{BlobHead, ContentRange};
use acr_protocol::{Digest, Verifier};
use bytes::Bytes;
use futures_core::Stream;
use futures_util::future::poll_fn;
use http_body::Body as _;

use super::save;
use crate::error::{Error, ErrorKind};
use crate::operation_info::OperationInfo;
use crate::sender::check_length;
use crate::transport::Body;

/// The bytes of a blob as they arrive, verified against its digest at their end.
///
/// What [`try_next`](Self::try_next) has given so far is not verified: a damaged blob shows in the
/// error that stands in the place of the end. [`save`](Self::save) does what a file needs;
/// [`bytes`](Self::bytes) brings a small blob into memory. Bytes of a range are not verified at all.
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
    body: Body,
    digest: Digest,
    info: OperationInfo,
    head: BlobHead,
    /// `None` for a range, and after the end.
    verifier: Option<Verifier>,
    received: u64,
    /// What was taken and not used; it comes first.
    unread: Bytes,
    has_ended: bool,
}

impl BlobStream {
    pub(super) fn new(
        body: Body,
        digest: Digest,
        info: OperationInfo,
        head: BlobHead,
        verifier: Option<Verifier>,
    ) -> Self {
        Self {
            body,
            digest,
            info,
            head,
            verifier,
            received: 0,
            unread: Bytes::new(),
            has_ended: false,
        }
    }

    /// Returns the digest that was asked for.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Returns how many bytes the server announced for the whole stream, if it did.
    #[must_use]
    pub const fn content_length(&self) -> Option<u64> {
        self.head.content_length
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
    /// not the right ones; [`Transport`](ErrorKind::Transport) or [`Timeout`](ErrorKind::Timeout)
    /// when they stopped arriving. The stream is then over.
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
    /// The bytes go to a new file beside it, which takes its name when they are complete and
    /// verified, in the place of a file that was there. Whatever goes wrong, and also when the
    /// future is dropped, the partial file is removed and the old file stays. The file is written
    /// from the task that polls this.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) when the file cannot be written; else as [`try_next`](Self::try_next).
    pub async fn save(mut self, path: impl AsRef<Path> + Send) -> Result<u64, Error> {
        let path = path.as_ref();
        let mut partial = save::PartialFile::create(path).map_err(|error| self.own(error))?;
        self.each(|bytes| partial.write(bytes)).await?;
        partial.complete().map_err(|error| self.own(error))
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

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else {
                return Poll::Ready(self.finish().err().map(Err));
            };
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            if bytes.is_empty() {
                continue;
            }
            self.received += bytes.len() as u64;
            if let Some(length) = self.length()
                && self.received > length
            {
                // Nobody knows how long it would go on.
                let text = format!("the server sends more than the {length} bytes it announced");
                return Poll::Ready(Some(Err(Error::new(ErrorKind::Transport, text))));
            }
            if let Some(verifier) = &mut self.verifier {
                verifier.update(&bytes);
            }
            return Poll::Ready(Some(Ok(bytes)));
        }
    }

    /// Judges the whole at its end.
    fn finish(&mut self) -> Result<(), Error> {
        check_length(self.length(), self.received)?;
        if let Some(verifier) = self.verifier.take() {
            verifier.finish()?;
        }
        Ok(())
    }

    /// How many bytes were announced, if it was said.
    fn length(&self) -> Option<u64> {
        match self.head.content_range {
            Some(range) => Some(range.length()),
            None => self.head.content_length,
        }
    }

    fn own(&self, error: Error) -> Error {
        self.info.annotate(error, 1)
    }
}

impl Stream for BlobStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.unread.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.unread))));
        }
        if self.has_ended {
            return Poll::Ready(None);
        }
        let item = ready!(self.poll_bytes(cx));
        if !matches!(item, Some(Ok(_))) {
            self.has_ended = true;
            // Nothing more is read, so the connection need not be kept.
            self.body = Body::empty();
        }
        Poll::Ready(item.map(|item| item.map_err(|error| self.own(error))))
    }
}

impl fmt::Debug for BlobStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobStream")
            .field("digest", &self.digest)
            .field("head", &self.head)
            .field("received", &self.received)
            .field("has_ended", &self.has_ended)
            .finish_non_exhaustive()
    }
}
