//! Things that were taken out of the store: whoever removes much drops it in turns, and what he leaves, because his request
//! was broken off, goes with the requests behind it.

use acr_protocol::Timestamp;

use crate::pause::pause;
use crate::registry::Registry;
use crate::store::RepositoryRecord;

/// How many pieces are dropped in a turn: about half a millisecond's work.
const SHED_IN_A_TURN: usize = 1_000;

/// What every allocator takes for large, in bytes.
const LARGE: usize = 64 * 1024;

/// A repository that was taken out of the store, until it goes to the waste.
#[derive(Debug)]
pub(crate) struct Removed<'a> {
    registry: &'a Registry,
    repository: Option<Box<RepositoryRecord>>,
}

impl<'a> Removed<'a> {
    pub(crate) fn new(registry: &'a Registry, repository: Option<Box<RepositoryRecord>>) -> Self {
        Self {
            registry,
            repository,
        }
    }

    pub(crate) fn repository(&self) -> Option<&RepositoryRecord> {
        self.repository.as_deref()
    }
}

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        if let Some(repository) = self.repository.take() {
            repository.into_waste(&mut self.registry.waste());
        }
    }
}

impl Registry {
    /// Drops all that was removed, with pauses for others.
    pub(crate) async fn shed_all(&self) {
        while self.shed(SHED_IN_A_TURN) {
            pause().await;
        }
    }

    /// Drops some of what is left by uploads that have ended, and by requests that were broken off.
    pub(crate) fn shed_in_passing(&self) {
        self.shed(SHED_IN_A_TURN);
    }

    /// Ends the uploads whose time is over.
    pub(crate) fn expire_uploads(&self, now: Timestamp) {
        let expired = self.store().expire_uploads(now);
        for upload in expired {
            self.waste().put_chunks(upload.content.into_chunks());
        }
    }

    fn shed(&self, most: usize) -> bool {
        let mut waste = self.waste();
        if waste.is_empty() {
            return false;
        }
        let is_left = waste.shed(most);
        drop(waste);
        // glibc puts small pieces aside when they are freed, and joins all of them at once when it is next asked for a large
        // one: for those of a million records that takes longer than others may wait.
        drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE)));
        is_left
    }
}
