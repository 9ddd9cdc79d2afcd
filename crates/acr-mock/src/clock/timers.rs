//! The waiting list that both clocks keep.

use std::collections::BTreeMap;
use std::task::Waker;

/// Sleepers by deadline; two of the same deadline are kept in the order they came in.
#[derive(Debug)]
pub(super) struct Timers<T> {
    waiting: BTreeMap<(T, u64), Waker>,
    next_id: u64,
}

impl<T: Ord + Copy> Timers<T> {
    pub(super) const fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            next_id: 0,
        }
    }

    /// Enters a sleeper, or gives one that is entered already (by `id`) another waker; returns its id.
    pub(super) fn enter(&mut self, deadline: T, id: Option<u64>, waker: &Waker) -> u64 {
        let id = id.unwrap_or_else(|| {
            self.next_id += 1;
            self.next_id
        });
        self.waiting.insert((deadline, id), waker.clone());
        id
    }

    pub(super) fn leave(&mut self, deadline: T, id: u64) {
        self.waiting.remove(&(deadline, id));
    }

    /// The deadline of the sleeper that is due first.
    pub(super) fn first(&self) -> Option<T> {
        self.waiting
            .first_key_value()
            .map(|((deadline, _), _)| *deadline)
    }

    /// Takes out everyone whose deadline is `now` or before, the longest due first.
    pub(super) fn take_due(&mut self, now: T) -> Vec<Waker> {
        let later = self.waiting.split_off(&(now, u64::MAX));
        std::mem::replace(&mut self.waiting, later)
            .into_values()
            .collect()
    }

    #[cfg(test)]
    pub(super) fn contains(&self, deadline: T) -> bool {
        self.waiting
            .range((deadline, 0)..=(deadline, u64::MAX))
            .next()
            .is_some()
    }
}
