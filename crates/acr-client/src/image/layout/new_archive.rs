//! A layout in a tar archive that is written.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use acr_protocol::{Descriptor, Digest};
use tar::{Builder, Header};

use super::content::{Reader, failed};
use super::{INDEX, OCI_LAYOUT, VERSION};
use crate::blob::PartialFile;
use crate::error::{Error, ErrorKind};

pub(super) struct NewArchive {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None` before the first content, while one is written, and after the end.
    file: Option<PartialFile>,
    has_begun: bool,
    written: HashSet<Digest>,
}

impl NewArchive {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            state: Mutex::default(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.lock().written.contains(digest)
    }

    /// Writes content at the end. One that was begun and given up leaves the archive without an end, and so nothing
    /// under its name.
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
        let mut state = self.lock();
        state.file = Some(file);
        state.written.insert(descriptor.digest.clone());
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
        Ok(())
    }

    fn take(&self) -> Result<PartialFile, Error> {
        let mut state = self.lock();
        if !state.has_begun {
            state.has_begun = true;
            return PartialFile::create(&self.path);
        }
        state.file.take().ok_or_else(|| {
            let text = "is complete or was given up; nothing can be added to it";
            Error::invalid(format!("the archive {} {text}", self.path.display()))
        })
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

/// What fills the last block of an entry.
fn padding(length: u64) -> &'static [u8] {
    let rest = length.next_multiple_of(BLOCK as u64) - length;
    &[0; BLOCK][..usize::try_from(rest).unwrap_or_default()]
}

const BLOCK: usize = 512;
