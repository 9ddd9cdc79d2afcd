//! A file that is there only when it is complete.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ErrorKind};

/// A file beside its target, which is removed unless it is completed.
#[derive(Debug)]
pub(crate) struct PartialFile {
    target: PathBuf,
    path: PathBuf,
    /// `None` once it is closed.
    file: Option<File>,
    written: u64,
}

impl PartialFile {
    /// Creates a new file beside `target`.
    pub(crate) fn create(target: &Path) -> Result<Self, Error> {
        let name = target.file_name().ok_or_else(|| {
            Error::invalid(format!("the path {} names no file", target.display()))
        })?;
        loop {
            let path = target.with_file_name(partial_name(name.to_owned()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    return Ok(Self {
                        target: target.to_owned(),
                        path,
                        file: Some(file),
                        written: 0,
                    });
                }
                // A file that another process left behind; the next name is another one.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("create", &path, error)),
            }
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some(file) = &mut self.file {
            let written = file.write_all(bytes);
            written.map_err(|error| failed("write", &self.path, error))?;
            self.written += bytes.len() as u64;
        }
        Ok(())
    }

    /// Gives the file its name; returns how many bytes it has.
    pub(crate) fn complete(mut self) -> Result<u64, Error> {
        // Closed before it is renamed: not every platform renames an open file.
        self.file = None;
        std::fs::rename(&self.path, &self.target)
            .map_err(|error| failed("rename", &self.path, error))?;
        self.path = PathBuf::new();
        Ok(self.written)
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        self.file = None;
        if self.path != Path::new("") {
            // There is nobody left to tell if this fails.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A name that no other download of this process has, nor one of another process that runs.
fn partial_name(mut name: OsString) -> OsString {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    name.push(format!(".{}-{count}.partial", process::id()));
    name
}

fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    let text = format!("cannot {what} the file {}", path.display());
    Error::of_foreign(ErrorKind::Io, text, error)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_file_takes_its_name_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("layer");
        fs::write(&target, "old").unwrap();
        let mut partial = PartialFile::create(&target).unwrap();
        partial.write(b"new ").unwrap();
        partial.write(b"layer").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(partial.complete().unwrap(), 9);
        assert_eq!(fs::read(&target).unwrap(), b"new layer");
        assert_eq!(names(folder.path()), ["layer"]);
    }

    #[test]
    fn a_file_that_is_not_completed_is_removed_and_the_old_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("layer");
        fs::write(&target, "old").unwrap();
        let mut partial = PartialFile::create(&target).unwrap();
        partial.write(b"new").unwrap();
        drop(partial);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["layer"]);
    }

    #[test]
    fn a_path_that_cannot_be_written_is_an_error_of_its_own_kind() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing").join("layer");
        let error = PartialFile::create(&missing).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        let error = PartialFile::create(Path::new("/")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
