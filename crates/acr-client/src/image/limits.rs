//! What bounds an image whose manifests somebody else has written.

use acr_protocol::Manifest;

use crate::error::{Error, ErrorKind};

/// What may still be read.
pub(super) struct Limits {
    pub(super) max_manifests: usize,
    max_depth: usize,
    manifests: usize,
    bytes: usize,
}

impl Limits {
    pub(super) const fn new(max_manifests: usize, max_depth: usize) -> Self {
        Self {
            max_manifests,
            max_depth,
            manifests: max_manifests,
            bytes: MAX_MANIFEST_BYTES,
        }
    }

    /// Takes note of manifests that are about to be read.
    pub(super) fn count(&mut self, manifests: usize) -> Result<(), Error> {
        self.check_count(manifests)?;
        self.manifests -= manifests;
        Ok(())
    }

    /// Checks that so many more may be read.
    pub(super) fn check_count(&self, manifests: usize) -> Result<(), Error> {
        if manifests > self.manifests {
            return Err(too_large("more manifests than `max_manifests`"));
        }
        Ok(())
    }

    /// Takes note of a manifest that was read.
    pub(super) fn hold(&mut self, manifest: &Manifest) -> Result<(), Error> {
        let left = self.bytes.checked_sub(manifest.bytes.len());
        self.bytes = left.ok_or_else(|| too_large("manifests of more than 64 MiB"))?;
        Ok(())
    }

    /// Checks how deep a manifest lies.
    pub(super) fn check_depth(&self, depth: usize) -> Result<(), Error> {
        if depth > self.max_depth {
            return Err(too_large("manifests that lie deeper than `max_depth`"));
        }
        Ok(())
    }
}

fn too_large(what: &str) -> Error {
    Error::new(ErrorKind::TooLarge, format!("the image has {what}"))
}

pub(super) const DEFAULT_CONCURRENCY: usize = 8;
pub(super) const DEFAULT_MAX_MANIFESTS: usize = 4096;
pub(super) const DEFAULT_MAX_DEPTH: usize = 16;
const MAX_MANIFEST_BYTES: usize = 64 << 20;
