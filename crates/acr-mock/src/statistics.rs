//! [`Statistics`]: what a registry holds, for tests of what it should no longer hold.

use crate::registry::Registry;

/// What a [`Registry`] holds at a moment.
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

impl Registry {
    /// What the registry holds now. Uploads whose time is over are gone, as they are at each request.
    ///
    /// ```
    /// let registry = acr_mock::Registry::new();
    /// registry.seed("a")?.blob("application/octet-stream", "content");
    /// registry.seed("b")?.blob("application/octet-stream", "content");
    /// assert_eq!((registry.statistics().blobs, registry.statistics().held_bytes()), (1, 7));
    /// # Ok::<(), acr_mock::SeedError>(())
    /// ```
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.expire_uploads(self.now());
        self.store().statistics()
    }
}
