//! What is in a list of referrers that clients keep.

use acr_protocol::{Descriptor, Digest, Tag};

/// A list of referrers that clients keep under a tag, where a registry has no API for them.
pub(super) struct KeptList {
    pub(super) tag: Tag,
    pub(super) subject: Digest,
    pub(super) entries: Vec<Descriptor>,
}
