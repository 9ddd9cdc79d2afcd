use std::io::{self, BufRead, Read, Write};
use std::path::Path;

use acr_protocol::Digest;
use acr_protocol::blob::ContentRange;
use bytes::{Buf, Bytes};

use super::runtime::Runtime;
use crate::blob::BlobStream;
use crate::error::Error;

/// The bytes of a blob as they arrive, verified against its digest at their end.
///
/// It is a [`Read`] and a [`BufRead`]. What was read so far is not verified: a damaged blob shows in
/// the error that stands in the place of the end. So a program that stops before the end has
/// unverified bytes, and one that reads to the end has to look at the outcome.
/// [`save`](Self::save) does what a file needs; [`bytes`](Self::bytes) brings a small
/// blob into memory. Bytes of a range are not verified at all.
///
/// ```
/// use std::io;
/// # use acr_client::blocking::ContainerRegistryClient;
/// # use acr_client::{Credential, transport::from_fn};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let registry = acr_mock::Registry::new();
/// # let repository = ContainerRegistryClient::builder("https://mock.azurecr.io")
/// #     .credential(Credential::entra_token("any"))
/// #     .transport(from_fn(registry.handler()))
/// #     .build_blocking()?
/// #     .repository_client("samples/app")?;
/// # let digest = repository.upload_blob(b"Sample layer")?.digest;
/// let mut blob = repository.download_blob(&digest)?;
/// io::copy(&mut blob, &mut io::stdout().lock())?;
/// # Ok(())
/// # }
/// ```
///
/// An error stays: after one, each further read gives it again, so that no end is mistaken for a
/// good one. As an [`io::Error`] it has the [`Error`] inside, to be had back by `downcast`. Dropping
/// the reader gives the download up.
///
/// The twin of [`acr_client::BlobStream`](crate::BlobStream).
#[derive(Debug)]
pub struct BlobReader {
    stream: BlobStream,
    /// What the stream has given and nobody has read.
    ahead: Bytes,
    failed: Option<Error>,
    runtime: Runtime,
}

impl BlobReader {
    pub(super) fn new(stream: BlobStream, runtime: &Runtime) -> Self {
        Self {
            stream,
            ahead: Bytes::new(),
            failed: None,
            runtime: runtime.clone(),
        }
    }

    /// Returns the digest that was asked for.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        self.stream.digest()
    }

    /// Returns how many bytes the server announced for the whole reader, if it did.
    #[must_use]
    pub const fn content_length(&self) -> Option<u64> {
        self.stream.content_length()
    }

    /// Returns which part of the blob this is, where a range was asked for.
    #[must_use]
    pub const fn content_range(&self) -> Option<ContentRange> {
        self.stream.content_range()
    }

    /// Returns the next bytes as they came, never none of them, or `None` at the end.
    ///
    /// # Errors
    ///
    /// Those of the async [`try_next`](crate::BlobStream::try_next).
    pub fn try_next(&mut self) -> Result<Option<Bytes>, Error> {
        if !self.ahead.is_empty() {
            return Ok(Some(std::mem::take(&mut self.ahead)));
        }
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let next = self.runtime.run(self.stream.try_next());
        self.failed = next.as_ref().err().cloned();
        next
    }

    /// Reads everything that is left into memory, at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// Those of the async [`bytes`](crate::BlobStream::bytes).
    pub fn bytes(self, limit: usize) -> Result<Bytes, Error> {
        let (stream, runtime) = self.rest()?;
        runtime.run(stream.bytes(limit))
    }

    /// Writes everything that is left to a writer; returns how many bytes that was.
    ///
    /// The writer has unverified bytes until this returns without an error. It is not flushed. For a
    /// writer that cannot be sent to another thread there is [`io::copy`].
    ///
    /// # Errors
    ///
    /// Those of the async [`write_to`](crate::BlobStream::write_to).
    pub fn write_to(self, writer: impl Write + Send) -> Result<u64, Error> {
        let (stream, runtime) = self.rest()?;
        runtime.run(stream.write_to(writer))
    }

    /// Saves everything that is left to a file; returns how many bytes that was.
    ///
    /// The bytes go to a new file beside it, which takes its name when they are complete,
    /// verified and on the disk, in the place of a file that was there. Whatever goes wrong, the partial file is
    /// removed and the old file stays.
    ///
    /// # Errors
    ///
    /// Those of the async [`save`](crate::BlobStream::save).
    pub fn save(self, path: impl AsRef<Path> + Send) -> Result<u64, Error> {
        let (stream, runtime) = self.rest()?;
        runtime.run(stream.save(path))
    }

    /// What is left, as a stream.
    fn rest(mut self) -> Result<(BlobStream, Runtime), Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.stream.unread(self.ahead);
        Ok((self.stream, self.runtime))
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for BlobReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.ahead.is_empty() {
            self.ahead = self.try_next()?.unwrap_or_default();
        }
        Ok(&self.ahead)
    }

    fn consume(&mut self, count: usize) {
        // More than there is must not be consumed; a slip of the caller's is not a panic here.
        self.ahead.advance(count.min(self.ahead.len()));
    }
}
