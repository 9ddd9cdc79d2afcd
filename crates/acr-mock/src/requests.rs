//! [`RequestCounts`]: how many requests came, by operation.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use acr_protocol::Route;

const OPERATIONS: usize = Route::NAMES.len();

/// How many requests a [`Registry`](crate::Registry) was given, whatever came of them: those that were refused, and those that a
/// [`Fault`](crate::Fault) has struck, are counted too.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestCounts {
    total: u64,
    data: u64,
    operations: [u64; OPERATIONS],
}

impl RequestCounts {
    /// All requests: of the operations, of the data origin, and those that fit no operation or had too long a head.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Requests to the data origin.
    #[must_use]
    pub fn data(&self) -> u64 {
        self.data
    }

    /// Requests of the operation of this name, such as `get_manifest`; `None` where no operation has it.
    #[must_use]
    pub fn of(&self, operation: &str) -> Option<u64> {
        self.operations.get(index(operation)?).copied()
    }

    /// The operations that were asked for, and how often, in the order of
    /// [`Route::NAMES`](crate::protocol::Route::NAMES).
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counts = Route::NAMES.iter().copied().zip(self.operations);
        counts.filter(|(_, count)| *count > 0)
    }
}

/// Names only the operations that were asked for, so that a failed test can be read.
impl fmt::Debug for RequestCounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts = formatter.debug_map();
        counts.entry(&"total", &self.total);
        counts.entry(&"data", &self.data);
        counts.entries(self.iter()).finish()
    }
}

/// The counts, as they grow.
#[derive(Debug)]
pub(crate) struct Counters {
    total: AtomicU64,
    data: AtomicU64,
    operations: [AtomicU64; OPERATIONS],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            total: AtomicU64::new(0),
            data: AtomicU64::new(0),
            operations: [const { AtomicU64::new(0) }; OPERATIONS],
        }
    }
}

impl Counters {
    /// Counts a request, of whatever kind.
    pub(crate) fn count(&self) {
        self.total.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a request that was counted went to the data origin.
    pub(crate) fn count_data(&self) {
        self.data.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes of which operation a request that was counted is.
    pub(crate) fn count_operation(&self, route: &Route) {
        if let Some(counter) = self.operations.get(route.place()) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self) -> RequestCounts {
        RequestCounts {
            total: self.total.load(Ordering::Relaxed),
            data: self.data.load(Ordering::Relaxed),
            operations: std::array::from_fn(|at| self.operations[at].load(Ordering::Relaxed)),
        }
    }

    pub(crate) fn reset(&self) {
        let counters = self.operations.iter().chain([&self.total, &self.data]);
        counters.for_each(|counter| counter.store(0, Ordering::Relaxed));
    }
}

fn index(operation: &str) -> Option<usize> {
    Route::NAMES.iter().position(|name| *name == operation)
}
