use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::SystemTime;

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
///
/// A file that changes while it is read (its length, or the time of its last change) ends the upload with an
/// error of the kind [`Io`](ErrorKind::Io), and so does a source that has not the length that was
/// [declared](Self::with_length). Nothing is committed then; the open upload is left to expire. A file that
/// tells no length although it has content, such as those in `/proc`, goes through
/// [`reader`](Self::reader).
pub struct BlobSource {
    kind: Kind,
    /// The declared length in bytes.
    length: Option<u64>,
}

enum Kind {
    Bytes(Bytes),
    File(PathBuf),
    Opened(Watched),
    Reader(Box<dyn Read + Send>),
    Stream(Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>),
}

impl BlobSource {
    /// Bytes in memory.
    #[must_use]
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::of(Kind::Bytes(bytes.into()))
    }

    /// A file, opened when the upload begins.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::of(Kind::File(path.into()))
    }

    /// A reader, read to its end.
    #[must_use]
    pub fn reader(reader: impl Read + Send + 'static) -> Self {
        Self::of(Kind::Reader(Box::new(reader)))
    }

    /// A stream of bytes, read to its end.
    #[must_use]
    pub fn stream<S, B>(stream: S) -> Self
    where
        S: Stream<Item = io::Result<B>> + Send + 'static,
        B: Buf + 'static,
    {
        let bytes = stream.map(|item| item.map(|mut item| item.copy_to_bytes(item.remaining())));
        Self::of(Kind::Stream(Box::pin(bytes)))
    }

    /// The same, which must have so many bytes: a reader or stream that ends early, or goes on, is an error.
    #[must_use]
    pub const fn with_length(mut self, bytes: u64) -> Self {
        self.length = Some(bytes);
        self
    }

    const fn of(kind: Kind) -> Self {
        Self { kind, length: None }
    }

    pub(super) fn open(self) -> Result<Chunks, Error> {
        let kind = match self.kind {
            Kind::File(path) => {
                let name = format!("the file {}", path.display());
                let opened = File::open(&path).and_then(|file| Watched::new(file, name));
                Kind::Opened(opened.map_err(|error| {
                    let text = format!("cannot open the file {}", path.display());
                    Error::of_foreign(ErrorKind::Io, text, error)
                })?)
            }
            other => other,
        };
        Ok(Chunks {
            kind,
            rest: Bytes::new(),
            length: self.length,
            read: 0,
        })
    }
}

/// A file whose length and time of change are known.
struct Watched {
    file: File,
    /// What errors call it.
    name: String,
    /// How many bytes are to come, and when it was last changed. `None` of a pipe or device.
    before: Option<(u64, Option<SystemTime>)>,
    /// The place in the file from where on it is read.
    first: u64,
}

impl Watched {
    fn new(mut file: File, name: String) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let is_file = metadata.is_file();
        let first = if is_file { file.stream_position()? } else { 0 };
        let length = metadata.len().saturating_sub(first);
        Ok(Self {
            before: is_file.then(|| (length, metadata.modified().ok())),
            file,
            name,
            first,
        })
    }

    /// Compares the file with what it was when it was opened; `read`: how many bytes came of it.
    fn check(&self, read: u64, is_last: bool) -> Result<(), Error> {
        let Some((length, modified)) = self.before else {
            return Ok(());
        };
        if !is_last && read <= length {
            return Ok(());
        }
        let metadata = self.file.metadata().map_err(unreadable)?;
        let now = metadata.len().saturating_sub(self.first);
        if read == length && now == length && metadata.modified().ok() == modified {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Io,
            format!(
                "{} changed while it was read: it had {length} bytes, now it has {now}, and {read} \
                 were read; {NOT_COMMITTED}",
                self.name
            ),
        ))
    }
}

fn unreadable(error: io::Error) -> Error {
    Error::of_foreign(
        ErrorKind::Io,
        "the source of the blob cannot be read",
        error,
    )
}

const NOT_COMMITTED: &str = "nothing is committed, and the open upload is left to expire";

impl fmt::Debug for BlobSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Kind::File(path) => f.debug_tuple("File").field(path).finish(),
            Kind::Opened(_) => f.write_str("File"),
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
    /// Takes the file from where it stands.
    fn from(file: File) -> Self {
        match file
            .try_clone()
            .and_then(|file| Watched::new(file, "the file".to_owned()))
        {
            Ok(watched) => Self::of(Kind::Opened(watched)),
            // What tells nothing of itself is read all the same.
            Err(_) => Self::reader(file),
        }
    }
}

/// A source that is read in chunks.
pub(super) struct Chunks {
    kind: Kind,
    /// What a stream has given beyond the last chunk.
    rest: Bytes,
    /// How many bytes there must be, where that was declared.
    length: Option<u64>,
    /// How many bytes were read.
    read: u64,
}

impl Chunks {
    /// Reads the next chunk of this size; the last one may be shorter, and an empty one is the end.
    ///
    /// # Errors
    ///
    /// `Io` where the source fails, or is not as long as it was or was said to be.
    pub(super) async fn next(&mut self, size: usize) -> Result<Bytes, Error> {
        let chunk = self.next_of_kind(size).await?;
        self.read += chunk.len() as u64;
        let is_last = chunk.len() < size;
        if let Kind::Opened(file) = &self.kind {
            file.check(self.read, is_last)?;
        }
        match self.length {
            Some(length) if self.read > length || (is_last && self.read < length) => {
                let or_more = if is_last { "" } else { " or more" };
                Err(Error::new(
                    ErrorKind::Io,
                    format!(
                        "the source of the blob has {}{or_more} bytes, {length} were declared; \
                         {NOT_COMMITTED}",
                        self.read
                    ),
                ))
            }
            _ => Ok(chunk),
        }
    }

    async fn next_of_kind(&mut self, size: usize) -> Result<Bytes, Error> {
        match &mut self.kind {
            Kind::Bytes(bytes) => {
                let length = size.min(bytes.len());
                Ok(bytes.split_to(length))
            }
            Kind::Opened(watched) => read_chunk(&mut watched.file, size),
            Kind::Reader(reader) => read_chunk(reader, size),
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
                        Some(bytes) => self.rest = bytes.map_err(unreadable)?,
                        None => return Ok(chunk.freeze()),
                    }
                }
            }
            // `open` has opened it.
            Kind::File(_) => Ok(Bytes::new()),
        }
    }
}

fn read_chunk(reader: &mut impl Read, size: usize) -> Result<Bytes, Error> {
    let mut chunk = Vec::new();
    let read = reader.take(size as u64).read_to_end(&mut chunk);
    read.map_err(unreadable)?;
    Ok(chunk.into())
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

    /// Reads a file of 10 bytes in chunks of 3, and does this to it after the first.
    async fn changed(change: impl FnOnce(&Path)) -> Result<u64, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layer");
        std::fs::write(&path, "0123456789").unwrap();
        let mut chunks = BlobSource::file(&path).open()?;
        let mut read = chunks.next(3).await?.len() as u64;
        change(&path);
        loop {
            match chunks.next(3).await?.len() {
                0 => return Ok(read),
                more => read += more as u64,
            }
        }
    }

    fn append(path: &Path, bytes: &[u8]) {
        let file = std::fs::OpenOptions::new().append(true).open(path);
        std::io::Write::write_all(&mut file.unwrap(), bytes).unwrap();
    }

    #[tokio::test]
    async fn a_file_that_changes_while_it_is_read_is_no_blob() {
        assert_eq!(changed(|_| {}).await.unwrap(), 10);
        let resize = |path: &Path, length| {
            let file = std::fs::OpenOptions::new().write(true).open(path);
            file.unwrap().set_len(length).unwrap();
        };
        let shrunk = changed(|path| resize(path, 4)).await.unwrap_err();
        let grown = changed(|path| append(path, &[b'x'; 30])).await.unwrap_err();
        let grown_by_one = changed(|path| append(path, b"x")).await.unwrap_err();
        let rewritten = changed(|path| {
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        });
        for (error, lengths) in [
            (shrunk, ["had 10 bytes", "now it has 4"]),
            (grown, ["had 10 bytes", "now it has 40"]),
            (grown_by_one, ["had 10 bytes", "now it has 11"]),
            (
                rewritten.await.unwrap_err(),
                ["had 10 bytes", "now it has 10"],
            ),
        ] {
            assert_eq!(error.kind(), ErrorKind::Io);
            let text = error.to_string();
            assert!(lengths.iter().all(|part| text.contains(part)), "{text}");
            assert!(text.contains("layer changed") && text.contains("nothing is committed"));
        }
    }

    #[tokio::test]
    async fn a_file_that_was_opened_is_read_and_watched_from_where_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layer");
        std::fs::write(&path, "0123456789").unwrap();
        let mut file = File::open(&path).unwrap();
        file.read_exact(&mut [0; 4]).unwrap();
        let mut whole = BlobSource::from(file.try_clone().unwrap()).open().unwrap();
        assert_eq!(whole.next(6).await.unwrap(), "456789");
        assert_eq!(whole.next(6).await.unwrap(), "");
        file.rewind().unwrap();
        let mut chunks = BlobSource::from(file).open().unwrap();
        chunks.next(6).await.unwrap();
        append(&path, b"x");
        let error = chunks.next(6).await.unwrap_err();
        assert!(
            error.to_string().contains("had 10 bytes, now it has 11"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_source_must_have_the_length_that_was_declared() {
        let source = |kind: usize| match kind {
            0 => BlobSource::from(b"01234567"),
            1 => BlobSource::reader(Trickle(b"01234567")),
            _ => BlobSource::stream(stream::iter([Ok(Bytes::from("01234567"))])),
        };
        for kind in 0..3 {
            assert_eq!(chunks(source(kind).with_length(8), 3).await.len(), 3);
            assert_eq!(chunks(source(kind).with_length(8), 8).await.len(), 1);
            for (length, size, text) in [
                (9, 3, "has 8 bytes, 9 were declared"),
                (9, 8, "has 8 bytes, 9 were declared"),
                (7, 3, "has 8 bytes, 7 were declared"),
                (5, 3, "has 6 or more bytes, 5 were declared"),
                (0, 3, "has 3 or more bytes, 0 were declared"),
            ] {
                let mut chunks = source(kind).with_length(length).open().unwrap();
                let error = loop {
                    match chunks.next(size).await {
                        Ok(chunk) => assert!(!chunk.is_empty(), "{length}"),
                        Err(error) => break error,
                    }
                };
                assert_eq!(error.kind(), ErrorKind::Io);
                assert!(error.to_string().contains(text), "{error}");
            }
        }
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
