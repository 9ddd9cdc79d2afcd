//! What a client and its clones know about the lists of referrers that clients keep by hand.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use acr_protocol::referrers::change_index;
use acr_protocol::{Descriptor, Digest, Manifest, RepositoryName, Tag};

use crate::error::Error;

/// What a client and its clones know about the lists of referrers of their registry.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Whether the registry keeps the lists itself.
    api: AtomicU8,
    in_progress: Mutex<HashMap<List, UnderWay>>,
}

/// Where a list is.
type List = (RepositoryName, Tag);

/// The changes to one list that callers of this client are at.
///
/// There is no way to change an index only if it is still the one that was read. So each caller makes all
/// changes of all callers, and sees to its own and to those whose callers are gone, which it may have
/// undone: nobody undoes for good what another one has done, and nobody waits for another one, who may not
/// be polled, or for those that come later, who may be many.
#[derive(Debug, Default)]
struct UnderWay {
    callers: usize,
    changes: BTreeMap<Digest, Wanted>,
}

/// What is to become of the entry of one manifest.
#[derive(Debug)]
struct Wanted {
    /// The entry that it is to have; `None`: it is to have none.
    entry: Option<Descriptor>,
    /// How many callers see to it themselves.
    callers: usize,
}

impl Wanted {
    const fn change<'a>(
        (digest, wanted): (&'a Digest, &'a Self),
    ) -> (&'a Digest, Option<&'a Descriptor>) {
        (digest, wanted.entry.as_ref())
    }
}

impl Kept {
    /// Takes note of whether the registry has the API.
    pub(crate) fn learn(&self, has_api: bool) {
        let learned = if has_api { HAS_API } else { LACKS_API };
        self.api.store(learned, Ordering::Relaxed);
    }

    pub(crate) fn known(&self) -> Option<bool> {
        match self.api.load(Ordering::Relaxed) {
            UNKNOWN => None,
            known => Some(known == HAS_API),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<List, UnderWay>> {
        self.in_progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

const UNKNOWN: u8 = 0;
const HAS_API: u8 = 1;
const LACKS_API: u8 = 2;

/// A change that is under way until this is dropped.
pub(super) struct Change<'a> {
    kept: &'a Kept,
    list: List,
    of: Digest,
    /// How often the index may be set until another client is to blame: each other caller may have read it
    /// before this one came, and undo its change once.
    pub(super) max_rounds: usize,
}

impl<'a> Change<'a> {
    pub(super) fn begin(kept: &'a Kept, list: List, of: Digest, entry: Option<Descriptor>) -> Self {
        let mut all = kept.lock();
        let in_progress = all.entry(list.clone()).or_default();
        in_progress.callers += 1;
        let max_rounds = MAX_ROUNDS + in_progress.callers;
        let before = in_progress.changes.remove(&of);
        let callers = before.map_or(0, |before| before.callers) + 1;
        let wanted = Wanted { entry, callers };
        in_progress.changes.insert(of.clone(), wanted);
        drop(all);
        Self {
            kept,
            list,
            of,
            max_rounds,
        }
    }

    /// The index with all changes, or `None` where this caller has done its part.
    pub(super) fn apply(&self, index: Option<&Manifest>) -> Result<Option<Manifest>, Error> {
        let all = self.kept.lock();
        let changes = all.get(&self.list).into_iter();
        let changes = changes.flat_map(|in_progress| &in_progress.changes);
        let is_seen_to =
            |&(digest, wanted): &(&Digest, &Wanted)| *digest == self.of || wanted.callers == 0;
        let own = changes.clone().filter(is_seen_to).map(Wanted::change);
        if change_index(index, own)?.is_none() {
            return Ok(None);
        }
        Ok(change_index(index, changes.map(Wanted::change))?)
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        let mut all = self.kept.lock();
        if let Some(in_progress) = all.get_mut(&self.list) {
            in_progress.callers -= 1;
            if in_progress.callers == 0 {
                all.remove(&self.list);
            } else if let Some(wanted) = in_progress.changes.get_mut(&self.of) {
                wanted.callers -= 1;
            }
        }
    }
}

/// How often an index is set before the others that change it are left the field.
const MAX_ROUNDS: usize = 8;
