use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::pin::Pin;

use bytes::{Buf, Bytes, BytesMut};
use futures_core::Stream;
use futures_util::StreamExt;

use crate::error::{Error, ErrorKind};

/// Where the bytes of an upload come from.
///
/// [`upload_blob`](crate::RepositoryClient::upload_blob) takes bytes, a vector, a `String` and a `Path`
/// to a file as they are; a `&str` could be text or a path, and goes through [`bytes`](Self::bytes) or
/// [`file`](Self::file); readers and streams go through [`reader`](Self::reader) and
/// [`stream`](Self::stream).
///
/// A file or reader is read from the task that polls the upload, one chunk ahead of what is sent.
pub struct BlobSource(Kind);

enum Kind {
    Bytes(Bytes),
    File(PathBuf),
    Reader(Box<dyn Read + Send>),
    Stream(Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>),
}

impl BlobSource {
    /// Bytes in memory.
    #[must_use]
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Bytes(bytes.into()))
    }

    /// A file, opened when the upload begins.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Kind::File(path.into()))
    }

    /// A reader, read to its end.
    #[must_use]
    pub fn reader(reader: impl Read + Send + 'static) -> Self {
        Self(Kind::Reader(Box::new(reader)))
    }

    /// A stream of bytes, read to its end.
    #[must_use]
    pub fn stream<S, B>(stream: S) -> Self
    where
        S: Stream<Item = io::Result<B>> + Send + 'static,
        B: Buf + 'static,
    {
        let bytes = stream.map(|item| item.map(|mut item| item.copy_to_bytes(item.remaining())));
        Self(Kind::Stream(Box::pin(bytes)))
    }

    pub(super) fn open(self) -> Result<Chunks, Error> {
        let kind = match self.0 {
            Kind::File(path) => {
                let file = File::open(&path).map_err(|error| {
                    let text = format!("cannot open the file {}", path.display());
                    Error::of_foreign(ErrorKind::Io, text, error)
                })?;
                Kind::Reader(Box::new(file))
            }
            other => other,
        };
        Ok(Chunks {
            kind,
            rest: Bytes::new(),
        })
    }
}

impl fmt::Debug for BlobSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Kind::File(path) => f.debug_tuple("File").field(path).finish(),
            Kind::Reader(_) => f.write_str("Reader"),
            Kind::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl From<Bytes> for BlobSource {
    fn from(bytes: Bytes) -> Self {
        Self::bytes(bytes)
    }
}

impl From<&Bytes> for BlobSource {
    fn from(bytes: &Bytes) -> Self {
        Self::bytes(bytes.clone())
    }
}

impl From<Vec<u8>> for BlobSource {
    fn from(bytes: Vec<u8>) -> Self {
        Self::bytes(bytes)
    }
}

impl From<&Vec<u8>> for BlobSource {
    fn from(bytes: &Vec<u8>) -> Self {
        Self::bytes(bytes.clone())
    }
}

impl From<String> for BlobSource {
    fn from(text: String) -> Self {
        Self::bytes(text)
    }
}

/// Copies the bytes; [`Bytes`] and vectors are taken as they are.
impl From<&[u8]> for BlobSource {
    fn from(bytes: &[u8]) -> Self {
        Self::bytes(Bytes::copy_from_slice(bytes))
    }
}

impl<const N: usize> From<&[u8; N]> for BlobSource {
    fn from(bytes: &[u8; N]) -> Self {
        Self::from(bytes.as_slice())
    }
}

impl From<&Path> for BlobSource {
    fn from(path: &Path) -> Self {
        Self::file(path)
    }
}

impl From<PathBuf> for BlobSource {
    fn from(path: PathBuf) -> Self {
        Self::file(path)
    }
}

impl From<&PathBuf> for BlobSource {
    fn from(path: &PathBuf) -> Self {
        Self::file(path)
    }
}

impl From<File> for BlobSource {
    fn from(file: File) -> Self {
        Self::reader(file)
    }
}

/// A source that is read in chunks.
pub(super) struct Chunks {
    kind: Kind,
    /// What a stream has given beyond the last chunk.
    rest: Bytes,
}

impl Chunks {
    /// Reads the next chunk of this size; the last one may be shorter, and an empty one is the end.
    pub(super) async fn next(&mut self, size: usize) -> Result<Bytes, Error> {
        let failed = |error| {
            Error::of_foreign(
                ErrorKind::Io,
                "the source of the blob cannot be read",
                error,
            )
        };
        match &mut self.kind {
            Kind::Bytes(bytes) => {
                let length = size.min(bytes.len());
                Ok(bytes.split_to(length))
            }
            Kind::Reader(reader) => {
                let mut chunk = Vec::new();
                let limit = size as u64;
                let read = reader.by_ref().take(limit).read_to_end(&mut chunk);
                read.map_err(failed)?;
                Ok(chunk.into())
            }
            Kind::Stream(stream) => {
                let mut chunk = BytesMut::new();
                loop {
                    let wanted = size - chunk.len();
                    let part = self.rest.split_to(wanted.min(self.rest.len()));
                    if chunk.is_empty() && part.len() == size {
                        return Ok(part);
                    }
                    chunk.extend_from_slice(&part);
                    if chunk.len() == size {
                        return Ok(chunk.freeze());
                    }
                    match stream.next().await {
                        Some(bytes) => self.rest = bytes.map_err(failed)?,
                        None => return Ok(chunk.freeze()),
                    }
                }
            }
            // `open` has made a reader of it.
            Kind::File(_) => Ok(Bytes::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    async fn chunks(source: BlobSource, size: usize) -> Vec<Bytes> {
        let mut chunks = source.open().unwrap();
        let mut all = Vec::new();
        loop {
            let chunk = chunks.next(size).await.unwrap();
            if chunk.is_empty() {
                return all;
            }
            all.push(chunk);
        }
    }

    /// Gives one byte at a time, as a slow pipe does.
    struct Trickle(&'static [u8]);

    impl Read for Trickle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.0.len().min(buffer.len()).min(1);
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    #[tokio::test]
    async fn every_kind_of_source_comes_in_the_same_chunks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layer");
        std::fs::write(&path, "abcdefgh").unwrap();
        let parts = ["a", "", "bcdefg", "h"].map(|part| Ok(Bytes::from(part)));
        for source in [
            BlobSource::from(b"abcdefgh"),
            BlobSource::from(path.as_path()),
            BlobSource::from(File::open(&path).unwrap()),
            BlobSource::reader(Trickle(b"abcdefgh")),
            BlobSource::stream(stream::iter(parts)),
        ] {
            let text = format!("{source:?}");
            assert_eq!(chunks(source, 3).await, ["abc", "def", "gh"], "{text}");
        }
    }

    #[tokio::test]
    async fn a_source_that_fits_is_one_chunk_and_an_empty_one_is_none() {
        assert_eq!(chunks(BlobSource::from(b"abc"), 3).await, ["abc"]);
        let parts = [Ok(Bytes::from("abc"))];
        assert_eq!(
            chunks(BlobSource::stream(stream::iter(parts)), 3).await,
            ["abc"]
        );
        assert!(chunks(BlobSource::from(Vec::new()), 3).await.is_empty());
    }

    #[tokio::test]
    async fn a_source_that_fails_is_an_error_of_its_own_kind() {
        let error = BlobSource::file("/no/such/file").open().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Io);
        let parts = [Ok(Bytes::from("a")), Err(io::Error::other("gone"))];
        let mut chunks = BlobSource::stream(stream::iter(parts)).open().unwrap();
        let error = chunks.next(3).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), "gone");
    }
}
