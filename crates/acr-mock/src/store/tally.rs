use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use acr_protocol::Digest;
use bytes::Bytes;

use crate::store::content::Content;
use crate::store::index::{Key, Sorting};

/// How many blobs somebody holds, and how many bytes: kept up to date where they come and go, for a count over all of them
/// would hold everybody up.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    blobs: AtomicUsize,
    bytes: AtomicU64,
}

impl Tally {
    pub(crate) fn blobs(&self) -> usize {
        self.blobs.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A content that counts from when it is put in to when its last holder lets it go, on whatever thread that is.
#[derive(Debug)]
pub(crate) struct Held {
    digest: Digest,
    content: Content,
    tally: Arc<Tally>,
}

impl Held {
    pub(crate) fn new(digest: Digest, content: Content, tally: &Arc<Tally>) -> Self {
        tally.blobs.fetch_add(1, Ordering::Relaxed);
        tally.bytes.fetch_add(content.length(), Ordering::Relaxed);
        let tally = Arc::clone(tally);
        Self {
            digest,
            content,
            tally,
        }
    }

    /// Its bytes, to be dropped one piece after the other. They count no longer.
    pub(crate) fn into_chunks(mut self) -> Vec<Bytes> {
        let content = std::mem::take(&mut self.content);
        self.tally
            .bytes
            .fetch_sub(content.length(), Ordering::Relaxed);
        content.into_chunks()
    }

    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }
}

impl Deref for Held {
    type Target = Content;

    fn deref(&self) -> &Content {
        &self.content
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let length = self.content.length();
        self.tally.blobs.fetch_sub(1, Ordering::Relaxed);
        self.tally.bytes.fetch_sub(length, Ordering::Relaxed);
    }
}

/// By digest.
#[derive(Debug)]
pub(crate) struct ByDigest;

impl Sorting<Held> for ByDigest {
    fn key(held: &Held) -> Key<'_> {
        ("", 0, held.digest.as_str())
    }
}
