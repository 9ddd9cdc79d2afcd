//! How far an image is, over all its contents.

use std::sync::{Arc, Mutex, PoisonError};

use acr_protocol::Descriptor;

use crate::progress::{ImageProgress, OnProgress, Outcome, Progress};

/// Adds up what the contents of an image tell of themselves.
pub(super) struct Tally {
    listener: OnProgress,
    sum: Arc<Mutex<ImageProgress>>,
}

impl Tally {
    pub(super) fn new(listener: OnProgress) -> Self {
        Self {
            listener,
            sum: Arc::default(),
        }
    }

    /// Takes note of content that is to come.
    pub(super) fn announce(&self, content: &Descriptor) {
        with(&self.sum, |sum| {
            sum.contents += 1;
            sum.total += content.size;
        });
    }

    /// Content that is about to go over.
    pub(super) fn content(&self, content: &Descriptor) -> Content {
        Content {
            listener: self.listener.clone(),
            sum: self.sum.clone(),
            bytes: Arc::default(),
            size: content.size,
            digest: content.clone(),
        }
    }
}

/// One content of an image on its way.
pub(super) struct Content {
    listener: OnProgress,
    sum: Arc<Mutex<ImageProgress>>,
    /// How much of it is in the sum.
    bytes: Arc<Mutex<u64>>,
    size: u64,
    digest: Descriptor,
}

impl Content {
    /// Tells of the end.
    pub(super) fn done(&self, outcome: Outcome) {
        with(&self.sum, |sum| sum.contents_done += 1);
        self.tell(Progress {
            digest: Some(self.digest.digest.clone()),
            bytes: self.size,
            acknowledged: self.size,
            total: Some(self.size),
            outcome: Some(outcome),
            image: None,
        });
    }

    fn tell(&self, mut progress: Progress) {
        let mut before = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        progress.image = Some(with(&self.sum, |sum| {
            sum.bytes = sum.bytes.saturating_sub(*before) + progress.bytes;
            *sum
        }));
        *before = progress.bytes;
        drop(before);
        self.listener.tell(&progress);
    }
}

fn with<T>(sum: &Mutex<ImageProgress>, change: impl FnOnce(&mut ImageProgress) -> T) -> T {
    change(&mut sum.lock().unwrap_or_else(PoisonError::into_inner))
}
