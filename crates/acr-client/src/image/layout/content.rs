//! Content on its way out of a layout or a registry.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::task::Poll;

use acr_protocol::{Descriptor, Verifier};
use bytes::Bytes;

use crate::blob::BlobStream;
use crate::error::{Error, ErrorKind};
use crate::upload::BlobSource;

/// Content within a layout: a part of a file.
#[derive(Clone, Debug)]
pub(in crate::image) struct Stored {
    pub(super) path: PathBuf,
    /// Where it begins in the file.
    pub(super) first: u64,
    pub(super) length: u64,
}

impl Stored {
    /// Opens the file at a place of the content.
    fn open_at(&self, offset: u64) -> io::Result<io::Take<File>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.first + offset))?;
        Ok(file.take(self.length.saturating_sub(offset)))
    }

    /// Reads all of it. Whoever calls this has looked at the length.
    pub(super) fn bytes(&self) -> Result<Bytes, Error> {
        let mut bytes = Vec::new();
        let read = self.open_at(0);
        let read = read.and_then(|mut file| file.read_to_end(&mut bytes));
        read.map_err(|error| failed(&self.path, error))?;
        Ok(bytes.into())
    }

    /// The same for an upload, which can read it again.
    pub(in crate::image) fn source(self) -> BlobSource {
        BlobSource::reopen(self.length, move |offset| {
            Ok(Box::new(self.open_at(offset)?))
        })
    }

    /// Begins to read it, verified at its end.
    pub(in crate::image) fn reader(&self, descriptor: &Descriptor) -> Result<Reader, Error> {
        let file = self.open_at(0).map_err(|error| failed(&self.path, error))?;
        let verifier = Verifier::new(descriptor.digest.clone())
            .map_err(|error| Error::invalid(format!("{}: {error}", descriptor.digest)))?;
        Ok(Reader::File(Box::new(Verified {
            file,
            stored: self.clone(),
            verifier: Some(verifier),
        })))
    }
}

/// Content as it is read, verified at its end.
pub(in crate::image) enum Reader {
    /// From a registry.
    Blob(Box<BlobStream>),
    /// From a layout.
    File(Box<Verified>),
    /// In memory, and verified already.
    Bytes(Bytes),
}

impl Reader {
    /// How long it is, if that is known.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Blob(blob) => blob.content_length(),
            Self::File(file) => Some(file.stored.length),
            Self::Bytes(bytes) => Some(bytes.len() as u64),
        }
    }

    /// Returns the next bytes, or `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match self {
            Self::Blob(blob) => blob.try_next().await,
            Self::File(file) => {
                give_way().await;
                file.next()
            }
            Self::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                Ok((!bytes.is_empty()).then_some(bytes))
            }
        }
    }
}

/// A file that is read.
pub(in crate::image) struct Verified {
    file: io::Take<File>,
    stored: Stored,
    /// `None` after the end.
    verifier: Option<Verifier>,
}

impl Verified {
    fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let mut piece = vec![0; PIECE];
        let read = self.file.read(&mut piece);
        piece.truncate(read.map_err(|error| failed(&self.stored.path, error))?);
        if !piece.is_empty() {
            self.verifier.iter_mut().for_each(|all| all.update(&piece));
            return Ok(Some(piece.into()));
        }
        if let Some(verifier) = self.verifier.take() {
            verifier.finish().map_err(|error| {
                let text = format!("{}: {error}", self.stored.path.display());
                Error::new(ErrorKind::DigestMismatch, text)
            })?;
        }
        Ok(None)
    }
}

/// Lets others have a turn: between files nothing else is ever waited for, and content may be of any size.
async fn give_way() {
    let mut has_waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

pub(super) fn failed(path: &Path, error: io::Error) -> Error {
    let text = format!("cannot use {}", path.display());
    Error::of_foreign(ErrorKind::Io, text, error)
}

/// How many bytes of a file are read at once.
const PIECE: usize = 256 << 10;
