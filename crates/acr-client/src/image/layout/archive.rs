//! A layout in a tar archive that is read in place.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use tar::{Archive as Tar, Entry, EntryType};

use super::content::{Stored, failed};
use super::{INDEX, OCI_LAYOUT};
use crate::error::{Error, ErrorKind};

pub(super) struct Archive {
    path: PathBuf,
    /// Where in the file the content of each entry is: its first byte, and how many there are.
    entries: HashMap<String, (u64, u64)>,
    /// Whether it has the list that `docker save` writes.
    is_docker_s: bool,
}

impl Archive {
    /// Goes through the archive's headers once.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        // Looked at before it is opened: for a pipe that would wait.
        let metadata = fs::metadata(path).map_err(|error| failed(path, error))?;
        if !metadata.is_file() {
            let text = format!("{} is neither a folder nor a file", path.display());
            return Err(Error::invalid(text));
        }
        let file = File::open(path).map_err(|error| failed(path, error))?;
        let mut archive = Self {
            path: path.to_owned(),
            entries: HashMap::new(),
            is_docker_s: false,
        };
        let mut tar = Tar::new(Headers {
            file,
            left: MAX_HEADERS,
        });
        let entries = tar
            .entries_with_seek()
            .map_err(|error| archive.broken(error))?;
        for entry in entries {
            let entry = entry.map_err(|error| archive.broken(error))?;
            archive.add(&entry, metadata.len())?;
        }
        Ok(archive)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn find(&self, name: &str) -> Option<Stored> {
        let (first, length) = *self.entries.get(name)?;
        Some(Stored {
            path: self.path.clone(),
            first,
            length,
        })
    }

    fn add(&mut self, entry: &Entry<'_, impl Read>, size: u64) -> Result<(), Error> {
        let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let invalid = |what: &str| {
            let archive = self.path.display();
            Error::invalid(format!("{archive}: the entry {shown:?} {what}"))
        };
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {}
            EntryType::Directory | EntryType::XGlobalHeader => return Ok(()),
            EntryType::Link | EntryType::Symlink => {
                return Err(invalid("is a link; a layout has none"));
            }
            _ => return Err(invalid("is neither a file nor a folder")),
        }
        let path = entry
            .path()
            .map_err(|_| invalid("has a path that is not text"))?;
        let name = within(&path).ok_or_else(|| invalid("has a path that leaves the layout"))?;
        // The rest is other programs' own.
        self.is_docker_s |= name == "manifest.json";
        if ![INDEX, OCI_LAYOUT].contains(&&*name) && !name.starts_with("blobs/") {
            return Ok(());
        }
        let (first, length) = (entry.raw_file_position(), entry.size());
        if first.checked_add(length).is_none_or(|end| end > size) {
            return Err(invalid("is longer than the archive; it was cut off"));
        }
        match self.entries.entry(name) {
            Slot::Occupied(_) => Err(invalid("is there twice")),
            Slot::Vacant(slot) => {
                slot.insert((first, length));
                Ok(())
            }
        }
    }

    /// What else it may be, where it is no layout.
    pub(super) const fn hint(&self) -> &'static str {
        if self.is_docker_s {
            " but what docker save writes; skopeo copy docker-archive:FILE oci-archive:LAYOUT makes one of it"
        } else {
            ""
        }
    }

    fn broken(&self, error: io::Error) -> Error {
        let path = self.path.display();
        if error.kind() == io::ErrorKind::FileTooLarge {
            let text = format!("{path} is not a tar archive that can be read");
            return Error::of_foreign(ErrorKind::TooLarge, text, error);
        }
        if error.raw_os_error().is_some() {
            return failed(&self.path, error);
        }
        // The parser's errors quote the file, which may be anything.
        match self.compression() {
            Some(name) => Error::invalid(format!(
                "{path} is compressed with {name}; a layout is read from an archive that is not"
            )),
            None => Error::invalid(format!("{path} is not a tar archive, or a damaged one")),
        }
    }

    fn compression(&self) -> Option<&'static str> {
        let mut first = [0; 4];
        File::open(&self.path).ok()?.read_exact(&mut first).ok()?;
        match first {
            [0x1f, 0x8b, ..] => Some("gzip"),
            [0x28, 0xb5, 0x2f, 0xfd] => Some("zstd"),
            [0xfd, b'7', b'z', b'X'] => Some("xz"),
            [b'B', b'Z', b'h', _] => Some("bzip2"),
            _ => None,
        }
    }
}

/// A path without what means nothing; `None` where it may leave the folder.
fn within(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

/// A file of which headers are read and contents are passed over. Bounds what a header can make the parser hold.
struct Headers {
    file: File,
    left: u64,
}

impl Read for Headers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            let text = format!("its headers have more than {MAX_HEADERS} bytes");
            io::Error::new(io::ErrorKind::FileTooLarge, text)
        })?;
        Ok(read)
    }
}

impl Seek for Headers {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// The headers of some hundred thousand entries.
const MAX_HEADERS: u64 = 64 << 20;
