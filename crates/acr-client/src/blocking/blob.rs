use std::io::{self, BufRead, Read, Write};
use std::path::Path;

use acr_protocol::blob::{ByteRange, ContentRange};
use acr_protocol::upload::UploadStart;
use acr_protocol::{Descriptor, Digest, RepositoryName};
use bytes::{Buf, Bytes};

use super::repository::RepositoryClient;
use super::runtime::Runtime;
use crate::blob::BlobLocation;
use crate::blob::BlobStream;
use crate::error::Error;

/// Blobs.
impl RepositoryClient {
    /// Downloads a blob, verified against its digest: `GET /v2/{name}/blobs/{digest}`.
    ///
    /// The reader is there when the first bytes are about to come; it has `save` and `write_to` for
    /// a file and a writer.
    ///
    /// # Errors
    ///
    /// Those of the async [`download_blob`](crate::RepositoryClient::download_blob).
    pub fn download_blob(
        &self,
        digest: impl TryInto<Digest, Error: Into<Error>>,
    ) -> Result<BlobReader, Error> {
        let stream = self.runtime.run(self.inner.download_blob(digest))?;
        Ok(BlobReader::new(stream, &self.runtime))
    }

    /// Gets a blob, or the bytes of a range of it: `GET /v2/{name}/blobs/{digest}`.
    ///
    /// Without a range this is [`download_blob`](Self::download_blob). Bytes of a range are not
    /// verified, because there is no digest of a part.
    ///
    /// # Errors
    ///
    /// Those of the async [`get_blob`](crate::RepositoryClient::get_blob).
    pub fn get_blob(
        &self,
        digest: impl TryInto<Digest, Error: Into<Error>>,
        range: impl Into<Option<ByteRange>>,
    ) -> Result<BlobReader, Error> {
        let stream = self.runtime.run(self.inner.get_blob(digest, range))?;
        Ok(BlobReader::new(stream, &self.runtime))
    }

    /// Finds where the bytes of a blob are, without getting them: `GET /v2/{name}/blobs/{digest}`,
    /// whose redirect is not followed.
    ///
    /// # Errors
    ///
    /// Those of the async [`blob_url`](crate::RepositoryClient::blob_url).
    pub fn blob_url(
        &self,
        digest: impl TryInto<Digest, Error: Into<Error>>,
    ) -> Result<BlobLocation, Error> {
        self.runtime.run(self.inner.blob_url(digest))
    }

    /// Asks whether a blob is there, and how large it is: `HEAD /v2/{name}/blobs/{digest}`.
    ///
    /// # Errors
    ///
    /// Those of the async [`head_blob`](crate::RepositoryClient::head_blob).
    pub fn head_blob(
        &self,
        digest: impl TryInto<Digest, Error: Into<Error>>,
    ) -> Result<Descriptor, Error> {
        self.runtime.run(self.inner.head_blob(digest))
    }

    /// Makes a blob of another repository one of this repository's too, without sending it:
    /// `POST /v2/{name}/blobs/uploads/?mount=&from=`.
    ///
    /// Where the source does not have the blob, the registry opens an upload instead: `Open`.
    ///
    /// # Errors
    ///
    /// Those of the async [`mount_blob`](crate::RepositoryClient::mount_blob).
    pub fn mount_blob(
        &self,
        digest: impl TryInto<Digest, Error: Into<Error>>,
        from: impl TryInto<RepositoryName, Error: Into<Error>>,
    ) -> Result<UploadStart, Error> {
        self.runtime.run(self.inner.mount_blob(digest, from))
    }

    /// Deletes a blob: `DELETE /v2/{name}/blobs/{digest}`.
    ///
    /// Returns whether it was there. The registry does not check whether a manifest still names it.
    ///
    /// # Errors
    ///
    /// Those of the async [`delete_blob`](crate::RepositoryClient::delete_blob).
    pub fn delete_blob(
        &self,
        digest: impl TryInto<Digest, Error: Into<Error>>,
    ) -> Result<bool, Error> {
        self.runtime.run(self.inner.delete_blob(digest))
    }
}

/// The bytes of a blob as they arrive, verified against its digest at their end.
///
/// It is a [`Read`] and a [`BufRead`]. What was read so far is not verified: a damaged blob shows in
/// the error that stands in the place of the end. So a program that stops before the end has
/// unverified bytes, and one that reads to the end has to look at the outcome.
/// [`save`](Self::save) does what a file needs; [`read_to_bytes`](Self::read_to_bytes) brings a small
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
/// #     .transport(from_fn(move |request| registry.handle(request)))
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
    fn new(stream: BlobStream, runtime: &Runtime) -> Self {
        Self {
            stream,
            ahead: Bytes::new(),
            failed: None,
            runtime: runtime.clone(),
        }
    }

    /// Returns the digest that was asked for.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
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
    /// Those of the async [`read`](crate::BlobStream::read).
    pub fn read_to_bytes(self, limit: usize) -> Result<Bytes, Error> {
        let (stream, runtime) = self.rest()?;
        runtime.run(stream.read(limit))
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
    /// The bytes go to a new file beside it, which takes its name when they are complete and
    /// verified, in the place of a file that was there. Whatever goes wrong, the partial file is
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
        // More than there is must not be consumed; a slip of the caller's is no panic here.
        self.ahead.advance(count.min(self.ahead.len()));
    }
}
