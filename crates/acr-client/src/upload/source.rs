//! Where the bytes of an upload come from, and whether they are still what they were when it began.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use acr_protocol::Digest;
use bytes::{Buf, Bytes};
use futures_core::Stream;
use futures_util::StreamExt;

use crate::blob::BlobStream;
use crate::error::{Error, ErrorKind};

/// Where the bytes of an upload come from.
///
/// [`upload_blob`](crate::RepositoryClient::upload_blob) takes bytes, a vector, a `String`, a `Path`
/// to a file and a [`BlobStream`] as they are; a `&str` could be text or a path, and goes through
/// [`bytes`](Self::bytes) or [`file`](Self::file); readers and streams go through
/// [`reader`](Self::reader), [`reopen`](Self::reopen) and [`stream`](Self::stream).
///
/// Bytes, files and what can be reopened are read again from wherever the registry stands; a reader or stream
/// can be read once, so the chunk that is under way is kept in memory. Files and readers are read where
/// [`HashOn`](crate::HashOn) says.
///
/// A file that changes while it is read (its length, or the time of its last change) ends the upload with an
/// error of the kind [`Io`](ErrorKind::Io), and so does a source that has not the length that was
/// [declared](Self::with_length). Nothing is committed then. A file that tells no length although it has
/// content, such as those in `/proc`, goes through [`reader`](Self::reader).
pub struct BlobSource {
    kind: Kind,
    /// The declared length in bytes.
    length: Option<u64>,
    /// The digest that the bytes have, where it is known from where they come.
    digest: Option<Digest>,
}

enum Kind {
    Bytes(Bytes),
    File(PathBuf),
    Opened(Watched),
    Reopen(u64, Box<Opener>),
    Reader(Box<dyn Read + Send>),
    Stream(Box<ByteStream>),
}

/// Opens a source at an offset in bytes.
type Opener = dyn Fn(u64) -> io::Result<Box<dyn Read + Send>> + Send + Sync;
pub(super) type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

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

    /// So many bytes that can be read again: `open` gives a reader of those from an offset on.
    ///
    /// ```
    /// # use acr_client::BlobSource;
    /// let source = BlobSource::reopen(4 << 20, |offset| {
    ///     let rest = (4 << 20) - offset;
    ///     Ok(Box::new(std::io::Read::take(std::io::repeat(7), rest)))
    /// });
    /// # drop(source);
    /// ```
    #[must_use]
    pub fn reopen<F>(bytes: u64, open: F) -> Self
    where
        F: Fn(u64) -> io::Result<Box<dyn Read + Send>> + Send + Sync + 'static,
    {
        Self::of(Kind::Reopen(bytes, Box::new(open)))
    }

    /// A reader, read once to its end.
    #[must_use]
    pub fn reader(reader: impl Read + Send + 'static) -> Self {
        Self::of(Kind::Reader(Box::new(reader)))
    }

    /// A stream of bytes, read once to its end.
    #[must_use]
    pub fn stream<S, B>(stream: S) -> Self
    where
        S: Stream<Item = io::Result<B>> + Send + 'static,
        B: Buf + 'static,
    {
        let bytes = stream.map(|item| item.map(|mut item| item.copy_to_bytes(item.remaining())));
        Self::of(Kind::Stream(Box::new(Box::pin(bytes))))
    }

    /// The same, which must have so many bytes: a source that ends early, or goes on, is an error.
    #[must_use]
    pub const fn with_length(mut self, bytes: u64) -> Self {
        self.length = Some(bytes);
        self
    }

    const fn of(kind: Kind) -> Self {
        Self {
            kind,
            length: None,
            digest: None,
        }
    }

    /// Opens the source, so that a file that is missing is noticed before anything is sent.
    pub(super) fn open(self) -> Result<Opened, Error> {
        let content = match self.kind {
            Kind::File(path) => {
                let name = format!("the file {}", path.display());
                let opened = File::open(&path).and_then(|file| Watched::new(file, name));
                Content::of_file(opened.map_err(|error| {
                    let text = format!("cannot open the file {}", path.display());
                    Error::of_foreign(ErrorKind::Io, text, error)
                })?)
            }
            Kind::Opened(watched) => Content::of_file(watched),
            Kind::Bytes(bytes) => Content::Again(bytes.len() as u64, Place::Bytes(bytes)),
            Kind::Reopen(length, open) => Content::Again(length, Place::Reopen(open)),
            Kind::Reader(reader) => Content::Once(Once::Reader(reader)),
            Kind::Stream(stream) => Content::Once(Once::Stream(*stream)),
        };
        let kind = match content {
            Content::Again(length, place) => {
                check_declared(self.length, length, true)?;
                OpenedKind::Again(Origin(Arc::new((length, place))))
            }
            Content::Once(once) => OpenedKind::Once(once, self.length),
        };
        Ok(Opened {
            kind,
            digest: self.digest,
        })
    }
}

/// A source that is open.
pub(super) struct Opened {
    pub(super) kind: OpenedKind,
    /// What its bytes are said to have.
    pub(super) digest: Option<Digest>,
}

pub(super) enum OpenedKind {
    Again(Origin),
    /// With the declared length.
    Once(Once, Option<u64>),
}

enum Content {
    Again(u64, Place),
    Once(Once),
}

impl Content {
    /// A pipe or device has neither a length nor places to go back to.
    fn of_file(watched: Watched) -> Self {
        match watched.before {
            Some((length, _)) => Self::Again(length, Place::File(watched)),
            None => Self::Once(Once::Reader(Box::new(watched.file))),
        }
    }
}

/// What can be read once.
pub(super) enum Once {
    Reader(Box<dyn Read + Send>),
    Stream(ByteStream),
}

/// What can be read from any place, as often as need be.
#[derive(Clone)]
pub(super) struct Origin(Arc<(u64, Place)>);

enum Place {
    Bytes(Bytes),
    File(Watched),
    Reopen(Box<Opener>),
}

/// The bytes from some place on.
pub(super) enum Input {
    Bytes(Bytes),
    Reader(Box<dyn Read + Send>),
}

impl Origin {
    pub(super) fn length(&self) -> u64 {
        self.0.0
    }

    /// When its file was last changed, where it is one.
    pub(super) fn modified(&self) -> Option<SystemTime> {
        match &self.0.1 {
            Place::File(watched) => watched.before?.1,
            _ => None,
        }
    }

    /// The bytes from this place on, which is not behind the end.
    pub(super) fn open(&self, at: u64) -> Result<Input, Error> {
        match &self.0.1 {
            Place::Bytes(bytes) => {
                let at = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                Ok(Input::Bytes(bytes.slice(at..)))
            }
            Place::File(watched) => {
                let file = watched.file.try_clone().map_err(unreadable)?;
                let at = watched.first.saturating_add(at);
                Ok(Input::Reader(Box::new(FromPlace { file, at })))
            }
            Place::Reopen(open) => Ok(Input::Reader(open(at).map_err(unreadable)?)),
        }
    }

    /// Compares the source with what it was when it was opened, where its reader has ended after so many
    /// bytes, or goes on behind the last one.
    pub(super) fn check(&self, read: u64, is_end: bool) -> Result<(), Error> {
        match &self.0.1 {
            Place::File(watched) => watched.check(read, is_end),
            _ => check_declared(Some(self.length()), read, is_end),
        }
    }
}

/// Refuses a source that has not the length that was declared.
pub(super) fn check_declared(declared: Option<u64>, read: u64, is_end: bool) -> Result<(), Error> {
    match declared {
        Some(length) if read > length || (is_end && read != length) => {
            let or_more = if is_end { "" } else { " or more" };
            let text = format!(
                "the source of the blob has {read}{or_more} bytes, {length} were declared; \
                 {NOT_COMMITTED}"
            );
            Err(Error::new(ErrorKind::Io, text))
        }
        _ => Ok(()),
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
        if metadata.is_dir() {
            // It could be opened, and would fail when it is read, without its name.
            return Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "it is a folder",
            ));
        }
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

    fn check(&self, read: u64, is_end: bool) -> Result<(), Error> {
        let Some((length, modified)) = self.before else {
            return Ok(());
        };
        let metadata = self.file.metadata().map_err(unreadable)?;
        let now = metadata.len().saturating_sub(self.first);
        let is_same = now == length && metadata.modified().ok() == modified;
        if is_end && read == length && is_same {
            return Ok(());
        }
        let or_more = if is_end { "" } else { " or more" };
        Err(Error::new(
            ErrorKind::Io,
            format!(
                "{} changed while it was read: it had {length} bytes, now it has {now}, and \
                 {read}{or_more} were read; {NOT_COMMITTED}",
                self.name
            ),
        ))
    }
}

/// A file from a place on, whose other readers have places of their own.
struct FromPlace {
    file: File,
    at: u64,
}

impl Read for FromPlace {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(&self.file, buffer, self.at)?;
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(&self.file, buffer, self.at)?;
        #[cfg(not(any(unix, windows)))]
        let read = {
            self.file.seek(io::SeekFrom::Start(self.at))?;
            self.file.read(buffer)?
        };
        self.at += read as u64;
        Ok(read)
    }
}

pub(super) fn unreadable(error: io::Error) -> Error {
    Error::of_foreign(
        ErrorKind::Io,
        "the source of the blob cannot be read",
        error,
    )
    .of_source()
}

const NOT_COMMITTED: &str = "nothing is committed";

impl fmt::Debug for BlobSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Kind::File(path) => f.debug_tuple("File").field(path).finish(),
            Kind::Opened(_) => f.write_str("File"),
            Kind::Reopen(length, _) => write!(f, "Reopen({length} bytes)"),
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

/// Takes a blob, or a range of one, from another repository or registry.
impl From<BlobStream> for BlobSource {
    fn from(blob: BlobStream) -> Self {
        let is_whole = blob.content_range().is_none();
        let digest = is_whole.then(|| blob.digest().clone());
        let length = blob.content_length();
        let source = Self::stream(blob.map(|bytes| bytes.map_err(io::Error::from)));
        Self {
            length,
            digest,
            ..source
        }
    }
}
