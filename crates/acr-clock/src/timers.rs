//! The list of sleepers that `SystemClock` and `VirtualClock` keep.

use std::collections::BTreeMap;
use std::task::Waker;

/// Sleepers by deadline; two of the same deadline are kept in the order they came in.
#[derive(Debug)]
pub(crate) struct Timers<T> {
    waiting: BTreeMap<(T, u64), Waker>,
    next_id: u64,
}

impl<T: Ord + Copy> Timers<T> {
    pub(crate) const fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            next_id: 0,
        }
    }

    /// Enters a sleeper, or replaces the waker of the one with this `id`; returns its id.
    ///
    /// The waker that it replaces, if any, is to be dropped outside of any lock: that may run code of others.
    pub(crate) fn enter(
        &mut self,
        deadline: T,
        id: Option<u64>,
        waker: &Waker,
    ) -> (u64, Option<Waker>) {
        let id = id.unwrap_or_else(|| {
            self.next_id += 1;
            self.next_id
        });
        (id, self.waiting.insert((deadline, id), waker.clone()))
    }

    /// Removes a sleeper, and returns its waker, which is to be dropped outside of any lock.
    pub(crate) fn leave(&mut self, deadline: T, id: u64) -> Option<Waker> {
        self.waiting.remove(&(deadline, id))
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns the earliest deadline.
    pub(crate) fn first(&self) -> Option<T> {
        self.waiting
            .first_key_value()
            .map(|((deadline, _), _)| *deadline)
    }

    /// Removes the sleepers whose deadline is `now` or before, and returns their wakers, the earliest first.
    pub(crate) fn take_due(&mut self, now: T) -> Vec<Waker> {
        let later = self.waiting.split_off(&(now, u64::MAX));
        std::mem::replace(&mut self.waiting, later)
            .into_values()
            .collect()
    }
}
