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
            // What a manifest says of sizes may be anything.
            sum.total = sum.total.saturating_add(content.size);
        });
    }

    /// ContentProgress that is about to go over.
    pub(super) fn content(&self, content: &Descriptor) -> ContentProgress {
        ContentProgress {
            listener: self.listener.clone(),
            sum: self.sum.clone(),
            told: Arc::default(),
            content: content.clone(),
        }
    }
}

/// One content of an image on its way.
#[derive(Clone)]
pub(super) struct ContentProgress {
    listener: OnProgress,
    sum: Arc<Mutex<ImageProgress>>,
    told: Arc<Mutex<Told>>,
    content: Descriptor,
}

/// What was told of one content.
#[derive(Default)]
struct Told {
    /// How much of it is in the sum.
    bytes: u64,
    has_ended: bool,
}

impl ContentProgress {
    /// Who is to be told how far its upload or download is. The end is told by [`done`](Self::done).
    pub(super) fn listener(&self) -> OnProgress {
        if !self.listener.is_on() {
            return OnProgress::default();
        }
        let content = self.clone();
        OnProgress::from(move |progress: &Progress| {
            if progress.outcome.is_none() {
                content.tell(progress.clone());
            }
        })
    }

    /// Tells of the end.
    pub(super) fn done(&self, outcome: Outcome) {
        with(&self.sum, |sum| sum.contents_done += 1);
        self.tell(Progress {
            digest: None,
            bytes: self.content.size,
            acknowledged: self.content.size,
            total: None,
            outcome: Some(outcome),
            image: None,
        });
    }

    fn tell(&self, mut progress: Progress) {
        // The listener is told within, or a thread that was overtaken here would tell of bytes after the end.
        with(&self.told, |told| {
            // A thread that reads ahead may be late.
            if told.has_ended {
                return;
            }
            // A size that was left out reads as 0.
            progress.bytes = progress.bytes.min(self.content.size);
            progress.acknowledged = progress.acknowledged.min(self.content.size);
            progress.image = Some(with(&self.sum, |sum| {
                let others = sum.bytes.saturating_sub(told.bytes);
                sum.bytes = others.saturating_add(progress.bytes);
                *sum
            }));
            told.bytes = progress.bytes;
            told.has_ended = progress.outcome.is_some();
            progress.digest = Some(self.content.digest.clone());
            progress.total = Some(self.content.size);
            self.listener.tell(&progress);
        });
    }
}

fn with<T, R>(of: &Mutex<T>, change: impl FnOnce(&mut T) -> R) -> R {
    change(&mut of.lock().unwrap_or_else(PoisonError::into_inner))
}
