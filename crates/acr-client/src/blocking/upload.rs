use acr_protocol::upload::UploadLocation;

use super::runtime::Runtime;
use crate::upload::UploadState;

/// An upload under way, for programs without an async runtime.
///
/// The twin of [`acr_client::BlobUpload`](crate::BlobUpload). Made by
/// [`RepositoryClient::start_upload`](super::RepositoryClient::start_upload) and
/// [`resume_upload`](super::RepositoryClient::resume_upload).
#[derive(Debug)]
pub struct BlobUpload {
    pub(super) inner: crate::BlobUpload,
    pub(super) runtime: Runtime,
}

impl BlobUpload {
    pub(super) const fn new(inner: crate::BlobUpload, runtime: Runtime) -> Self {
        Self { inner, runtime }
    }

    /// Returns where the upload goes on, as the async [`location`](crate::BlobUpload::location) does.
    #[must_use]
    pub const fn location(&self) -> &UploadLocation {
        self.inner.location()
    }

    /// Returns how many bytes the registry holds, as the async [`offset`](crate::BlobUpload::offset) does.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.inner.offset()
    }

    /// Returns where the upload stands, as the async [`state`](crate::BlobUpload::state) does.
    #[must_use]
    pub fn state(&self) -> UploadState {
        self.inner.state()
    }

    /// Returns the smallest chunk that the registry takes, as the async
    /// [`minimum_chunk`](crate::BlobUpload::minimum_chunk) does.
    #[must_use]
    pub const fn minimum_chunk(&self) -> Option<u64> {
        self.inner.minimum_chunk()
    }
}
