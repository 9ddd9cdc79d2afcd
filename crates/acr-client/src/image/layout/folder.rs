//! A layout in a folder.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::INDEX;
use super::content::{Reader, Stored, failed};
use crate::error::Error;
use crate::partial_file::PartialFile;

pub(super) struct Folder {
    path: PathBuf,
    /// Where that is, for paths to be held against.
    real: PathBuf,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let real = path.canonicalize().map_err(|error| failed(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            real,
        })
    }

    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        fs::create_dir_all(path).map_err(|error| failed(path, error))?;
        Self::open(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Finds a file, wherever within the folder links lead to.
    pub(super) fn find(&self, name: &str) -> Result<Option<Stored>, Error> {
        let path = self.path.join(name);
        let real = match path.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            real => real.map_err(|error| failed(&path, error))?,
        };
        self.check_within(&path, &real)?;
        let metadata = real.metadata().map_err(|error| failed(&path, error))?;
        if !metadata.is_file() {
            let text = format!("{} is not a file", path.display());
            return Err(Error::invalid(text));
        }
        Ok(Some(Stored {
            path: real,
            first: 0,
            length: metadata.len(),
        }))
    }

    /// Writes the files that are not there.
    pub(super) fn begin(&self, files: &[(&str, &str)]) -> Result<(), Error> {
        let _alone = self.alone();
        for (name, content) in files {
            if self.find(name)?.is_none() {
                self.write(name, content.as_bytes())?;
            }
        }
        Ok(())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let mut partial = PartialFile::create(&self.place(name)?)?;
        partial.write(bytes)?;
        partial.complete()?;
        Ok(())
    }

    /// Writes content; returns how long it is.
    pub(super) async fn write_all(&self, name: &str, reader: Reader) -> Result<u64, Error> {
        let path = self.place(name)?;
        match reader {
            Reader::Blob(blob) => blob.save(path).await,
            mut reader => {
                let mut partial = PartialFile::create(&path)?;
                while let Some(bytes) = reader.next().await? {
                    partial.write(&bytes)?;
                }
                partial.complete()
            }
        }
    }

    /// Replaces the index by what is made of it. No other change is lost: not by this process, whatever layout it is
    /// made through, nor by another one with this library.
    pub(super) fn change_index(
        &self,
        read: impl FnOnce(&Stored) -> Result<Bytes, Error>,
        change: impl FnOnce(Bytes) -> Result<Vec<u8>, Error>,
    ) -> Result<(), Error> {
        let _alone = self.alone();
        let before = match self.find(INDEX)? {
            Some(stored) => read(&stored)?,
            None => super::index::EMPTY.into(),
        };
        let after = change(before.clone())?;
        if after == before {
            return Ok(());
        }
        self.write(INDEX, &after)
    }

    /// Waits until nobody else changes the index. It is for as long as a small file takes to be written.
    fn alone(&self) -> Alone {
        static CHANGING: Mutex<()> = Mutex::new(());
        let here = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
        Alone {
            _elsewhere: lock(&self.real),
            _here: here,
        }
    }

    /// Makes the folder that a file is to be in, and returns where the file is to be.
    fn place(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        let folder = path.parent().unwrap_or(&self.path);
        // No folder is made where a link leads out of the layout.
        let above = folder.ancestors();
        let mut above = above.take_while(|folder| folder.starts_with(&self.path));
        if let Some(there) = above.find(|folder| folder.symlink_metadata().is_ok()) {
            let real = there.canonicalize();
            self.check_within(there, &real.map_err(|error| failed(there, error))?)?;
        }
        fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        let real = folder.canonicalize();
        self.check_within(folder, &real.map_err(|error| failed(folder, error))?)?;
        Ok(path)
    }

    fn check_within(&self, path: &Path, real: &Path) -> Result<(), Error> {
        if real.starts_with(&self.real) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{} is outside of the layout: a link leads out of it",
            path.display()
        )))
    }
}

/// Held while an index is changed.
struct Alone {
    /// What other processes see: a lock of the folder, for files take each other's places. Where there is none,
    /// nothing else is lost than a change at the same moment.
    _elsewhere: Option<File>,
    _here: MutexGuard<'static, ()>,
}

#[cfg(unix)]
fn lock(folder: &Path) -> Option<File> {
    let folder = File::open(folder).ok()?;
    let lock = || rustix::fs::flock(&folder, rustix::fs::FlockOperation::LockExclusive);
    rustix::io::retry_on_intr(lock).ok()?;
    Some(folder)
}

#[cfg(not(unix))]
fn lock(_: &Path) -> Option<File> {
    None
}
