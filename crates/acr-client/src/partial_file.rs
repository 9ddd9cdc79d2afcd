//! A file that is there only when it is complete.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use acr_protocol::{Digest, Digester};

use crate::error::{Error, ErrorKind};

/// A file beside its target, which takes its name when it is complete, and is removed else unless it stays to
/// be resumed.
#[derive(Debug)]
pub(crate) struct PartialFile {
    paths: Paths,
    /// `None` once it is closed.
    file: Option<File>,
    /// How many bytes it has.
    length: u64,
    /// Whether it has got its name.
    is_named: bool,
    /// Whether it is left for the next download.
    stays: bool,
}

/// Where a partial file is, and where it goes.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    target: PathBuf,
    partial: PathBuf,
}

impl Paths {
    fn new(target: &Path, suffix: &str) -> Result<Self, Error> {
        let name = target.file_name().ok_or_else(|| {
            Error::invalid(format!("the path {} names no file", target.display()))
        })?;
        let mut partial = shortened(name, MAX_NAME.saturating_sub(suffix.len()));
        partial.push(suffix);
        Ok(Self {
            target: target.to_owned(),
            partial: target.with_file_name(partial),
        })
    }

    /// Removes the partial file. There is nobody to tell if this fails.
    pub(crate) fn remove(&self) {
        let _ = fs::remove_file(&self.partial);
    }

    fn failed(&self, what: &str, error: io::Error) -> Error {
        let text = format!("cannot {what} the file {}", self.partial.display());
        Error::of_foreign(ErrorKind::Io, text, error)
    }
}

impl PartialFile {
    /// Creates a new file beside `target`, with a name that no other download of this process has, nor one of
    /// another process that runs.
    pub(crate) fn create(target: &Path) -> Result<Self, Error> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        loop {
            let count = COUNTER.fetch_add(1, Ordering::Relaxed);
            let paths = Paths::new(target, &format!(".{}-{count}.partial", process::id()))?;
            match OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&paths.partial)
            {
                Ok(file) => return Ok(Self::of(paths, file, false)),
                // A file that another process left behind; the next name is another one.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(paths.failed("create", error)),
            }
        }
    }

    /// Opens the file that an earlier download of this content to `target` has left, or creates it; `None`
    /// where another download has it, or where nobody can say so.
    pub(crate) fn resume(target: &Path, digest: &Digest) -> Result<Option<Self>, Error> {
        let hex = digest.hex();
        // With all of it the name might be longer than a file system takes.
        let hex = hex.get(..DIGITS).unwrap_or(hex);
        let paths = Paths::new(target, &format!(".{hex}.partial"))?;
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            let file = match open_alone(&options, &paths.partial) {
                Ok(Some((file, true))) => file,
                Ok(Some((file, false))) => {
                    // One that was made just now is of no use to anybody.
                    if file.metadata().is_ok_and(|file| file.len() == 0)
                        && is_still_at(&file, &paths.partial)
                    {
                        paths.remove();
                    }
                    return Ok(None);
                }
                Ok(None) => return Ok(None),
                Err(error) => return Err(paths.failed("open", error)),
            };
            // One that has got its name, or was removed, before it was locked is no longer the partial file.
            if is_still_at(&file, &paths.partial) {
                return Ok(Some(Self::of(paths, file, true)));
            }
        }
    }

    /// Opens a file that takes the place of `target`, which may be there, and that only its owner can read. One
    /// that a process left behind when it was killed is written anew; `None` where another is just written.
    pub(crate) fn replacing(target: &Path) -> Result<Option<Self>, Error> {
        let paths = Paths::new(target, ".new")?;
        loop {
            match Self::open_new(&paths.partial) {
                Ok(Some(file)) if is_still_at(&file, &paths.partial) => {
                    let file = Self::of(paths, file, false);
                    file.clear()?;
                    return Ok(Some(file));
                }
                // Before it was locked it has got its name.
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(error) => return Err(paths.failed("open", error)),
            }
        }
    }

    fn open_new(path: &Path) -> io::Result<Option<File>> {
        if fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
            fs::remove_file(path)?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        // Where nobody can lock it, it is written all the same.
        Ok(open_alone(&options, path)?.map(|(file, _)| file))
    }

    /// Clears what another process has left, and sees to it that only the owner can read it.
    fn clear(&self) -> Result<(), Error> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        #[cfg(unix)]
        let permitted = {
            use std::os::unix::fs::PermissionsExt as _;
            file.set_permissions(fs::Permissions::from_mode(0o600))
        };
        #[cfg(not(unix))]
        let permitted = Ok(());
        let emptied = permitted.and_then(|()| file.set_len(0));
        emptied.map_err(|error| self.paths.failed("write", error))
    }

    /// A file in which there is nothing yet, as far as is known.
    const fn of(paths: Paths, file: File, stays: bool) -> Self {
        Self {
            paths,
            file: Some(file),
            length: 0,
            is_named: false,
            stays,
        }
    }

    pub(crate) const fn paths(&self) -> &Paths {
        &self.paths
    }

    pub(crate) const fn stays(&self) -> bool {
        self.stays
    }

    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// Hashes what is there, and goes behind it; stops where nobody waits for it.
    pub(crate) fn hash(
        &mut self,
        digester: &mut Digester,
        is_given_up: impl Fn() -> bool,
    ) -> Result<(), Error> {
        let mut buffer = vec![0; HASH_BUFFER];
        while let Some(file) = &mut self.file
            && !is_given_up()
        {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    digester.update(&buffer[..count]);
                    self.length += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.paths.failed("read", error)),
            }
        }
        Ok(())
    }

    /// Takes the room for so many more bytes, so that a full disk shows before they have come.
    pub(crate) fn reserve(&self, more: u64) -> Result<(), Error> {
        match &self.file {
            Some(file) if more > 0 => reserve(file, self.length, more).map_err(|error| {
                let what = format!("reserve {more} bytes for");
                self.paths.failed(&what, error)
            }),
            _ => Ok(()),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some(file) = &mut self.file {
            let written = file.write_all(bytes);
            written.map_err(|error| self.paths.failed("write", error))?;
            self.length += bytes.len() as u64;
        }
        Ok(())
    }

    /// Takes back what was written behind so many bytes.
    pub(crate) fn cut(&mut self, length: u64) -> Result<(), Error> {
        if let Some(file) = &mut self.file {
            let cut = file.set_len(length);
            let cut = cut.and_then(|()| file.seek(SeekFrom::Start(length)));
            cut.map_err(|error| self.paths.failed("cut", error))?;
            self.length = length;
        }
        Ok(())
    }

    /// Gives the file its name when its bytes are on the disk; returns how many it has.
    pub(crate) fn complete(mut self) -> Result<u64, Error> {
        self.sync()?;
        self.rename()?;
        self.sync_name();
        Ok(self.length)
    }

    /// Waits until the bytes are on the disk.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        let synced = self.file.as_ref().map_or(Ok(()), File::sync_all);
        synced.map_err(|error| self.paths.failed("sync", error))
    }

    /// Gives the file its name.
    pub(crate) fn rename(&mut self) -> Result<(), Error> {
        if cfg!(not(unix)) {
            // Not every platform renames an open file.
            self.file = None;
        }
        fs::rename(&self.paths.partial, &self.paths.target)
            .map_err(|error| self.paths.failed("rename", error))?;
        self.is_named = true;
        Ok(())
    }

    /// Waits until the name is on the disk. Not every file system can, and the file is complete without.
    pub(crate) fn sync_name(&self) {
        let folder = self.paths.target.parent();
        let folder = folder.filter(|folder| *folder != Path::new(""));
        if cfg!(unix) {
            let _ =
                File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
        }
    }
}

impl Drop for PartialFile {
    /// Nothing is gone on with behind no byte. What was removed before may be another one's by now.
    fn drop(&mut self) {
        let is_here = |file| is_still_at(file, &self.paths.partial);
        if !self.is_named
            && (!self.stays || self.length == 0)
            && self.file.as_ref().is_none_or(is_here)
        {
            self.paths.remove();
        }
        // A process that another thread is just starting has the file too, until it is another program.
        #[cfg(unix)]
        if let Some(file) = &self.file {
            let _ = rustix::fs::flock(file, rustix::fs::FlockOperation::Unlock);
        }
    }
}

/// As much of a name as has so many bytes.
fn shortened(name: &OsStr, most: usize) -> OsString {
    if name.len() <= most {
        return name.to_owned();
    }
    let mut text = name.to_string_lossy().into_owned();
    while text.len() > most {
        text.pop();
    }
    text.into()
}

/// Opens a file and locks it; says whether it could, for nobody can on some file systems. `None` where another has
/// locked it. Its name can be guessed, so what it leads to may be another one's: neither what a link names is written
/// to, nor is a pipe waited for.
#[cfg(unix)]
fn open_alone(options: &OpenOptions, path: &Path) -> io::Result<Option<(File, bool)>> {
    use std::os::unix::fs::OpenOptionsExt as _;

    use rustix::fs::{FlockOperation, OFlags, flock};
    let mut options = options.clone();
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some((file, true))),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(_) => Ok(Some((file, false))),
    }
}

#[cfg(windows)]
fn open_alone(options: &OpenOptions, path: &Path) -> io::Result<Option<(File, bool)>> {
    use std::os::windows::fs::OpenOptionsExt as _;
    const ERROR_SHARING_VIOLATION: i32 = 32;
    match options.clone().share_mode(0).open(path) {
        Err(error) if error.raw_os_error() == Some(ERROR_SHARING_VIOLATION) => Ok(None),
        opened => opened.map(|file| Some((file, true))),
    }
}

#[cfg(not(any(unix, windows)))]
fn open_alone(options: &OpenOptions, path: &Path) -> io::Result<Option<(File, bool)>> {
    options.open(path).map(|file| Some((file, false)))
}

/// Whether a path still leads to this file.
#[cfg(unix)]
fn is_still_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let known = file
        .metadata()
        .and_then(|file| Ok((file, fs::metadata(path)?)));
    known.is_ok_and(|(file, there)| (file.dev(), file.ino()) == (there.dev(), there.ino()))
}

#[cfg(not(unix))]
fn is_still_at(_: &File, _: &Path) -> bool {
    true
}

/// Takes room behind the first bytes of a file, without making it longer: its length is how much has come.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn reserve(file: &File, from: u64, more: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, FsWord, StatVfs, fallocate, fstatfs, fstatvfs};
    use rustix::io::{Errno, retry_on_intr};
    /// `TMPFS_MAGIC` of `linux/magic.h`: files in memory.
    const TMPFS: FsWord = 0x0102_1994;
    let (mut from, mut more) = (from, more);
    if fstatfs(file).is_ok_and(|system| system.f_type == TMPFS) {
        // It would take each page now, and nothing would be received meanwhile.
        let is_full = |system: StatVfs| {
            // Without a bound it says that it has no blocks at all.
            system.f_blocks > 0 && system.f_bavail.saturating_mul(system.f_frsize) < more
        };
        if fstatvfs(file).is_ok_and(is_full) {
            return Err(Errno::NOSPC.into());
        }
        (from, more) = (from.saturating_add(more) - 1, 1);
    }
    let reserve = || fallocate(file, FallocateFlags::KEEP_SIZE, from, more);
    match retry_on_intr(reserve) {
        Err(full @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => Err(full.into()),
        // Where the file system or the kernel cannot, a full disk shows when it is full.
        _ => Ok(()),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn reserve(_: &File, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}

/// The most bytes of a name that file systems take.
const MAX_NAME: usize = 255;
/// How much of a digest is in a file's name: enough for no two of one folder.
const DIGITS: usize = 32;
const HASH_BUFFER: usize = 256 << 10;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_memory_file_system_without_the_room_says_so_before_anything_is_written() {
        // Linux has one there; where it has not, another kind of file system refuses as well.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let folder = folder.unwrap();
        let file = PartialFile::create(&folder.path().join("layer")).unwrap();
        for more in [1 << 60, u64::MAX] {
            let error = file.reserve(more).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io);
            assert!(error.to_string().contains("reserve"), "{error}");
        }
        file.reserve(1 << 20).unwrap();
        assert_eq!(file.file.as_ref().unwrap().metadata().unwrap().len(), 0);
    }

    #[test]
    fn a_file_that_is_replaced_is_the_one_before_until_the_new_one_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("state");
        fs::write(&target, "before").unwrap();
        // What a process has left that was killed.
        fs::write(folder.path().join("state.new"), "longer than the new one").unwrap();
        for is_complete in [false, true] {
            let mut file = PartialFile::replacing(&target).unwrap().unwrap();
            file.write(b"after").unwrap();
            assert_eq!(fs::read(&target).unwrap(), b"before");
            if is_complete {
                file.complete().unwrap();
                assert_eq!(fs::read(&target).unwrap(), b"after");
            } else {
                drop(file);
            }
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }
}
