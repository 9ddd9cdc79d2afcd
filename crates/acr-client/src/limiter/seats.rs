//! The calls that hold a place.

use std::sync::Arc;
use std::time::Duration;

use super::watch::{Use, Watch};

/// All calls of a class that hold a place, also those whose place is lent.
#[derive(Default)]
pub(super) struct Seats {
    taken: Vec<Option<Arc<Watch>>>,
    free: Vec<usize>,
}

impl Seats {
    /// Takes a place, and returns its number.
    pub(super) fn take(&mut self, watch: Arc<Watch>) -> usize {
        if let Some(number) = self.free.pop() {
            self.taken[number] = Some(watch);
            return number;
        }
        self.taken.push(Some(watch));
        self.taken.len() - 1
    }

    /// Gives a place back. The call itself has its watch still, so no waker is dropped here.
    pub(super) fn leave(&mut self, number: usize) {
        self.taken[number] = None;
        self.free.push(number);
    }

    /// Looks at all calls. Returns how many were set aside now, and whether others may be soon.
    pub(super) fn look(&self, now: Duration) -> (usize, bool) {
        let uses = self.taken.iter().flatten().map(|watch| watch.look(now));
        uses.fold((0, false), |(aside, soon), found| match found {
            Use::SetAside => (aside + 1, soon),
            Use::Woken => (aside, true),
            Use::Waits | Use::IsAside => (aside, soon),
        })
    }
}
