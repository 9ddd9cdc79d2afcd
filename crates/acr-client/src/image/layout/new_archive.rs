//! A layout in a tar archive that is written.

use std::collections::HashSet;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use acr_protocol::{Descriptor, Digest};
use tar::{Builder, Header};

use super::archive::Archive;
use super::content::{Reader, failed};
use super::{INDEX, OCI_LAYOUT, VERSION};
use crate::error::{Error, ErrorKind};
use crate::partial_file::PartialFile;

pub(super) struct NewArchive {
    path: PathBuf,
    state: Mutex<State>,
    /// The same file as it is read, opened by the first who does.
    complete: OnceLock<Archive>,
}

#[derive(Default)]
struct State {
    file: Writing,
    written: HashSet<Digest>,
    is_complete: bool,
}

/// How far the file is.
#[derive(Default)]
enum Writing {
    /// Nothing was written yet, nor is there a file.
    #[default]
    New,
    /// What was written is whole; more may follow.
    Open(PartialFile),
    /// Somebody writes.
    Taken,
    /// It has got its name, or is gone.
    Ended,
}

impl NewArchive {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            state: Mutex::default(),
            complete: OnceLock::new(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What there is to read: nothing before it is complete.
    pub(super) fn readable(&self) -> Result<Option<&Archive>, Error> {
        if !self.lock().is_complete {
            return Ok(None);
        }
        if let Some(archive) = self.complete.get() {
            return Ok(Some(archive));
        }
        let archive = Archive::open(&self.path)?;
        Ok(Some(self.complete.get_or_init(|| archive)))
    }

    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.lock().written.contains(digest)
    }

    /// Writes content at the end. What there is of one that was given up is taken back, so that the next one may follow.
    pub(super) async fn write_all(
        &self,
        name: &str,
        descriptor: &Descriptor,
        mut reader: Reader,
    ) -> Result<u64, Error> {
        let length = reader.length().unwrap_or(descriptor.size);
        let mut file = self.take()?;
        file.write(&self.header(name, length)?)?;
        let mut left = length;
        while let Some(bytes) = reader.next().await? {
            left = left.checked_sub(bytes.len() as u64).ok_or_else(|| {
                let text = format!("{} has more than {length} bytes", descriptor.digest);
                Error::new(ErrorKind::DigestMismatch, text)
            })?;
            file.write(&bytes)?;
        }
        if left > 0 {
            let text = format!("{} has {left} bytes less than {length}", descriptor.digest);
            return Err(Error::new(ErrorKind::DigestMismatch, text));
        }
        file.write(padding(length))?;
        file.keep(descriptor.digest.clone());
        Ok(length)
    }

    /// Ends the archive, and gives the file its name.
    pub(super) fn complete(&self, index: &[u8]) -> Result<(), Error> {
        let mut file = self.take()?;
        for (name, content) in [(OCI_LAYOUT, VERSION.as_bytes()), (INDEX, index)] {
            file.write(&self.header(name, content.len() as u64)?)?;
            file.write(content)?;
            file.write(padding(content.len() as u64))?;
        }
        file.write(&[0; 2 * BLOCK])?;
        file.complete()?;
        self.lock().is_complete = true;
        Ok(())
    }

    /// Takes the file to write, which must not be while somebody else does.
    fn take(&self) -> Result<Taken<'_>, Error> {
        let mut state = self.lock();
        let what = match mem::replace(&mut state.file, Writing::Taken) {
            Writing::New => match PartialFile::create(&self.path) {
                Ok(file) => return Ok(Taken::new(self, file)),
                Err(error) => {
                    state.file = Writing::New;
                    return Err(error);
                }
            },
            Writing::Open(file) => return Ok(Taken::new(self, file)),
            Writing::Taken => "is being written by another copy",
            Writing::Ended => {
                state.file = Writing::Ended;
                "is complete or was given up; nothing can be added to it"
            }
        };
        let text = format!("the archive {} {what}", self.path.display());
        Err(Error::invalid(text))
    }

    /// The header of an entry, whose content is to follow.
    fn header(&self, name: &str, length: u64) -> Result<Vec<u8>, Error> {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(length);
        let mut builder = Builder::new(Vec::new());
        let appended = builder.append_data(&mut header, name, io::empty());
        appended.map_err(|error| failed(&self.path, error))?;
        Ok(std::mem::take(builder.get_mut()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file while it is written. Dropped, it is as it was before, or else the archive has ended.
struct Taken<'a> {
    archive: &'a NewArchive,
    /// `None` once it is given back.
    file: Option<PartialFile>,
    /// How long it was.
    before: u64,
}

impl<'a> Taken<'a> {
    fn new(archive: &'a NewArchive, file: PartialFile) -> Self {
        Self {
            archive,
            before: file.length(),
            file: Some(file),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.as_mut().map_or(Ok(()), |file| file.write(bytes))
    }

    /// Gives the file back with this content.
    fn keep(mut self, content: Digest) {
        let mut state = self.archive.lock();
        if let Some(file) = self.file.take() {
            state.file = Writing::Open(file);
            state.written.insert(content);
        }
    }

    /// Gives the file its name.
    fn complete(mut self) -> Result<(), Error> {
        let file = self.file.take();
        self.archive.lock().file = Writing::Ended;
        file.map_or(Ok(()), |file| file.complete().map(drop))
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(mut file) = self.file.take() {
            let is_as_before = file.cut(self.before).is_ok();
            self.archive.lock().file = match is_as_before {
                true if self.before == 0 => Writing::New,
                true => Writing::Open(file),
                false => Writing::Ended,
            };
        }
    }
}

/// What fills the last block of an entry.
fn padding(length: u64) -> &'static [u8] {
    let rest = length.next_multiple_of(BLOCK as u64) - length;
    &[0; BLOCK][..usize::try_from(rest).unwrap_or_default()]
}

const BLOCK: usize = 512;
