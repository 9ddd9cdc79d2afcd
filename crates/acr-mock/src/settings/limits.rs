//! Bounds of what a registry takes in. What the service responds beyond its own is not known, so all of these are chosen.

use crate::settings::RegistryBuilder;

/// The bounds, in bytes but for the uploads.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) head: usize,
    pub(crate) body: usize,
    pub(crate) manifest: usize,
    pub(crate) blob: u64,
    pub(crate) uploads: usize,
    pub(crate) repository_uploads: usize,
    pub(crate) bytes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 128 * 1024,
            body: 256 * 1024,
            manifest: 4 * 1024 * 1024,
            // The service's documented bound of a layer.
            blob: 200 * 1024 * 1024 * 1024,
            uploads: 10_000,
            repository_uploads: 1_000,
            bytes: None,
        }
    }
}

impl Limits {
    /// The most that any body may have, in bytes.
    pub(crate) fn largest(&self) -> u64 {
        self.blob.max(self.body.max(self.manifest) as u64)
    }
}

impl RegistryBuilder {
    /// The largest head of a request, in bytes of its URL, header names and values; 128 KiB by default. Beyond it comes
    /// 431. (The server itself takes no more than the default.)
    pub fn head_limit(mut self, bytes: usize) -> Self {
        self.settings.limits.head = bytes;
        self
    }

    /// The largest body of a request that carries no content, such as a token request or a change of attributes, in
    /// bytes; 256 KiB by default. Beyond it comes 413.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.settings.limits.body = bytes;
        self
    }

    /// The largest manifest that is taken, in bytes; 4 MiB by default. Beyond it comes 413.
    pub fn manifest_limit(mut self, bytes: usize) -> Self {
        self.settings.limits.manifest = bytes;
        self
    }

    /// The largest blob that is taken, in bytes; 200 GiB by default. A request that would go beyond it gets 413,
    /// and an upload stays as it was before.
    pub fn blob_limit(mut self, bytes: u64) -> Self {
        self.settings.limits.blob = bytes;
        self
    }

    /// How many bytes of content may be held at once, in bodies that are still coming, open uploads, blobs and manifests;
    /// any number of them by default. A push beyond it is refused with 405 `REGISTRY_DISALLOWED_OPERATION`, as by a registry
    /// that is over its storage (the detail is chosen), until something is deleted, cancelled or over.
    ///
    /// A blob is counted once however many repositories have it, and until the last response that gives it has gone out.
    /// Seeds are counted, but not refused. What is not content (names, tags, tokens) is not counted.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.settings.limits.bytes = Some(bytes);
        self
    }

    /// How many uploads may be open at once; 10,000 by default. One more gets 429 with `Retry-After`, until one of
    /// them ends, is cancelled, or has waited for its next byte longer than [`upload_life`](Self::upload_life).
    pub fn upload_limit(mut self, uploads: usize) -> Self {
        self.settings.limits.uploads = uploads;
        self
    }

    /// How many of them one repository may have, so that it does not use up those of the others; 1,000 by default. One
    /// more is served in the same way.
    pub fn repository_upload_limit(mut self, uploads: usize) -> Self {
        self.settings.limits.repository_uploads = uploads;
        self
    }
}
