//! [`Statistics`]: what a registry holds, for tests of what it should no longer hold.

/// What a [`Registry`](crate::Registry) holds at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Repositories, those without a manifest not counted.
    pub repositories: usize,
    /// Tags of all repositories.
    pub tags: usize,
    /// Manifests of all repositories.
    pub manifests: usize,
    /// Bytes of those manifests.
    pub manifest_bytes: u64,
    /// Blobs: one that several repositories hold is held once, and counted once.
    pub blobs: usize,
    /// Bytes of those blobs.
    pub blob_bytes: u64,
    /// Open uploads.
    pub uploads: usize,
    /// Bytes that have come in those uploads.
    pub upload_bytes: u64,
}

impl Statistics {
    /// All bytes of content that are held in memory.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.manifest_bytes + self.blob_bytes + self.upload_bytes
    }
}
