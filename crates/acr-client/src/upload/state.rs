//! Where an upload stands, as a value that can be kept.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use acr_protocol::upload::UploadLocation;
use acr_protocol::{Digester, RepositoryName};
use serde::{Deserialize, Serialize};

use crate::argument::Argument;
use crate::error::{Error, ErrorKind};
use crate::partial_file::PartialFile;
use crate::repository::RepositoryClient;

/// Where an upload stands, to be gone on with, also by another process.
///
/// [`BlobUpload::state`](crate::BlobUpload::state) gives it, and
/// [`resume_upload`](crate::RepositoryClient::resume_upload) takes it, or a location alone. In between it
/// can be written with serde. It holds the location, which gives access to the upload, and up to 128 bytes of the
/// content within the state of the digest. It is of one repository of one registry, and goes to no other.
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
    /// Where the location is one: a registry does not look whether it is one of the repository that is meant, and
    /// another registry must not see it at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) registry: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) repository: Option<RepositoryName>,
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

    /// Whether two marks that fit are of the same source for certain: a length alone is no mark of content.
    pub(super) const fn is_of(self, other: Self) -> bool {
        self.modified.is_some() && other.modified.is_some()
    }
}

impl UploadState {
    /// The state of an upload of which no more than a location is known.
    #[must_use]
    pub const fn at(location: UploadLocation) -> Self {
        Self {
            location,
            registry: None,
            repository: None,
            offset: None,
            digest: None,
            source: SourceMark {
                length: None,
                modified: None,
            },
        }
    }

    /// Refuses the state of an upload to somewhere else.
    pub(super) fn check(&self, repository: &RepositoryClient) -> Result<(), Error> {
        let registry = repository.pipeline.endpoint().to_string();
        let is_here = |own: &String| *own == registry;
        let is_it = |own: &RepositoryName| *own == repository.name;
        if self.registry.as_ref().is_none_or(is_here) && self.repository.as_ref().is_none_or(is_it)
        {
            return Ok(());
        }
        let registry = self.registry.as_deref().unwrap_or(&registry);
        let name = self.repository.as_ref().unwrap_or(&repository.name);
        Err(Error::invalid(format!(
            "the state is that of an upload to the repository {name} of the registry {registry}"
        )))
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
        if self.0.file_name().is_none() {
            let path = self.0.display();
            return Err(Error::invalid(format!(
                "the path {path} names no state file"
            )));
        }
        let text = match read(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("read", error)),
        };
        let state = text.and_then(|text| serde_json::from_slice(&text).ok());
        state.map(Some).ok_or_else(|| {
            Error::invalid(format!(
                "the state file {} does not hold the state of an upload; remove it, or name another file",
                self.0.display()
            ))
        })
    }

    /// Replaces the state as a whole: whoever reads meanwhile, or after a crash, finds this one or the one before.
    pub(super) fn save(&self, state: &UploadState) -> Result<(), Error> {
        let text = serde_json::to_vec(state).map_err(|error| self.failed("write", error.into()))?;
        let Some(mut file) = PartialFile::replacing(&self.0)? else {
            // Another upload is just about to; its state stands.
            return Ok(());
        };
        file.write(&text)?;
        file.complete().map(drop)
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

/// Reads a file; `None` of what is no file, or larger than any state is, which may be a source named by mistake.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    // A pipe would be waited for already when it is opened.
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > MAX_STATE {
        return Ok(None);
    }
    let mut text = Vec::new();
    let file = File::open(path)?;
    file.take(MAX_STATE + 1).read_to_end(&mut text)?;
    Ok(Some(text).filter(|text| text.len() as u64 <= MAX_STATE))
}

/// More bytes than the longest location and all else have as JSON.
const MAX_STATE: u64 = 512 << 10;

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn two_uploads_that_keep_their_states_in_one_file_do_not_spoil_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path().join("state"));
        let state = UploadState::at(UploadLocation::new("/v2/app/blobs/uploads/1").unwrap());
        file.save(&state).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        file.save(&state).unwrap();
                        file.load().unwrap().unwrap();
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
