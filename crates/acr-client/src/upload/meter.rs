//! How far an upload is, for who wants to be told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use acr_protocol::Digest;

use crate::progress::{OnProgress, Outcome, Progress};

/// Tells how far an upload is. Where nobody listens, it is nothing.
#[derive(Clone, Default)]
pub(super) struct Meter(Option<Arc<Inner>>);

struct Inner {
    on_progress: OnProgress,
    digest: Option<Digest>,
    total: Option<u64>,
    acknowledged: AtomicU64,
}

impl Meter {
    pub(super) fn new(
        on_progress: &OnProgress,
        digest: Option<&Digest>,
        total: Option<u64>,
    ) -> Self {
        Self(on_progress.is_on().then(|| {
            Arc::new(Inner {
                on_progress: on_progress.clone(),
                digest: digest.cloned(),
                total,
                acknowledged: AtomicU64::new(0),
            })
        }))
    }

    /// The bytes before this place are on their way.
    pub(super) fn sent(&self, place: u64) {
        if let Some(inner) = &self.0 {
            inner.tell(place);
        }
    }

    /// The registry has the bytes before this place, and no others.
    pub(super) fn acknowledged(&self, place: u64) {
        if let Some(inner) = &self.0 {
            inner.acknowledged.store(place, Ordering::Relaxed);
            inner.tell(place);
        }
    }

    /// The whole of the content is there.
    pub(super) fn done(&self, digest: &Digest, size: u64, outcome: Outcome) {
        if let Some(inner) = &self.0 {
            inner.on_progress.tell(&Progress {
                digest: Some(digest.clone()),
                bytes: size,
                acknowledged: size,
                total: Some(size),
                outcome: Some(outcome),
                image: None,
            });
        }
    }
}

impl Inner {
    fn tell(&self, bytes: u64) {
        self.on_progress.tell(&Progress {
            digest: self.digest.clone(),
            bytes,
            acknowledged: self.acknowledged.load(Ordering::Relaxed),
            total: self.total,
            outcome: None,
            image: None,
        });
    }
}
