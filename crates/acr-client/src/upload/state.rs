//! Where an upload stands, as a value that can be kept.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use acr_protocol::Digester;
use acr_protocol::upload::UploadLocation;
use serde::{Deserialize, Serialize};

use crate::argument::Argument;
use crate::error::{Error, ErrorKind};

/// Where an upload stands, to be gone on with, also by another process.
///
/// [`BlobUpload::state`](crate::BlobUpload::state) gives it, and
/// [`resume_upload`](crate::RepositoryClient::resume_upload) takes it, or a location alone. In between it
/// can be written with serde. It holds the location, which gives access to the upload, and up to 128 bytes of the
/// content within the state of the digest.
///
/// ```
/// # use acr_client::{Error, RepositoryClient, UploadBlobOptions, UploadState};
/// # async fn example(repository: RepositoryClient) -> Result<(), Box<dyn std::error::Error>> {
/// let mut upload = repository.start_upload().await?;
/// let kept = serde_json::to_string(&upload.state())?;
/// // In another process:
/// let state: UploadState = serde_json::from_str(&kept)?;
/// let mut upload = repository.resume_upload(state).await?;
/// let layer = std::path::Path::new("layer.tar.gz");
/// upload.complete_from(layer, UploadBlobOptions::default()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Serialize, Deserialize)]
pub struct UploadState {
    pub(super) location: UploadLocation,
    /// How many bytes the registry holds, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) offset: Option<u64>,
    /// The digest of these bytes or of fewer of them, where it was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<Digester>,
    #[serde(default, skip_serializing_if = "SourceMark::is_empty")]
    pub(super) source: SourceMark,
}

/// By what a source is told from another one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SourceMark {
    /// In bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) length: Option<u64>,
    /// When a file was last changed, in nanoseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) modified: Option<u64>,
}

impl SourceMark {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether two marks may be of the same source.
    pub(super) fn fits(self, other: Self) -> bool {
        let fits =
            |one: Option<u64>, other: Option<u64>| one == other || one.is_none() || other.is_none();
        fits(self.length, other.length) && fits(self.modified, other.modified)
    }
}

impl UploadState {
    /// The state of an upload of which no more than a location is known.
    #[must_use]
    pub const fn at(location: UploadLocation) -> Self {
        Self {
            location,
            offset: None,
            digest: None,
            source: SourceMark {
                length: None,
                modified: None,
            },
        }
    }

    /// Returns where the upload goes on.
    #[must_use]
    pub const fn location(&self) -> &UploadLocation {
        &self.location
    }

    /// Returns how many bytes the registry held when the state was taken; `None` of a location alone.
    #[must_use]
    pub const fn offset(&self) -> Option<u64> {
        self.offset
    }
}

/// Without the location, which may hold a signature, and the state of the digest, which may hold content.
impl fmt::Debug for UploadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadState")
            .field("offset", &self.offset)
            .field("length", &self.source.length)
            .finish_non_exhaustive()
    }
}

impl Argument<Self> for UploadState {
    fn into_argument(self) -> Result<Self, Error> {
        Ok(self)
    }
}

impl Argument<UploadState> for &UploadState {
    fn into_argument(self) -> Result<UploadState, Error> {
        Ok(self.clone())
    }
}

macro_rules! locations {
    ($($type:ty),*) => {$(
        /// As a location.
        impl Argument<UploadState> for $type {
            fn into_argument(self) -> Result<UploadState, Error> {
                Argument::<UploadLocation>::into_argument(self).map(UploadState::at)
            }
        }
    )*};
}

locations!(UploadLocation, &UploadLocation, &str, String, &String);

/// A file that holds the state of an upload as long as it goes on.
pub(super) struct StateFile(PathBuf);

impl StateFile {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Reads the state; `None` where there is none.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where the file holds something else, which may be the caller's only copy of it.
    pub(super) fn load(&self) -> Result<Option<UploadState>, Error> {
        let text = match fs::read(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("read", error)),
        };
        serde_json::from_slice(&text).map(Some).map_err(|_| {
            Error::invalid(format!(
                "the state file {} does not hold the state of an upload; remove it, or name another file",
                self.0.display()
            ))
        })
    }

    /// Replaces the state as a whole: whoever reads meanwhile, or after a crash, finds this one or the one before.
    pub(super) fn save(&self, state: &UploadState) -> Result<(), Error> {
        let mut name = self.0.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = self.0.with_file_name(name);
        let written = serde_json::to_vec(state)
            .map_err(io::Error::from)
            .and_then(|text| write_new(&new, &text))
            .and_then(|()| fs::rename(&new, &self.0));
        written.map_err(|error| self.failed("write", error))
    }

    pub(super) fn remove(&self) -> Result<(), Error> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.failed("remove", error))
            }
            _ => Ok(()),
        }
    }

    fn failed(&self, what: &str, error: io::Error) -> Error {
        let text = format!("cannot {what} the state file {}", self.0.display());
        Error::of_foreign(ErrorKind::Io, text, error)
    }
}

/// Writes a file that only its owner can read, in place of one that a process that was killed has left.
fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text)?;
    file.sync_all()
}
