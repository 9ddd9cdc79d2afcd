//! Limits that are learned from the registry, for each class of operations by itself.
//!
//! The service counts each [`OperationClass`] by itself, says of few how many calls are left, and
//! refuses the rest with 429. A client that knows no limits runs into storms of refusals; one with
//! a single limit keeps everything at the pace of the tightest class. So each class has a queue of
//! its own here, and a class that was never refused is bounded in nothing but the number of calls at
//! once.
//!
//! - `queue` gives turns: first come, first served.
//! - `class` says when the next call may be sent, from all that the answers said.
//! - `limit` is the rate that is found by trying, after a refusal.
//! - `recent` and `timeline` count calls and time.
//!
//! Nothing is spawned. Those who wait hold the timers, and wake each other.

mod class;
mod limit;
mod queue;
mod recent;
#[cfg(test)]
mod tests;
mod timeline;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use acr_protocol::OperationClass;
use acr_protocol::operation::headers::RATE_LIMIT_REMAINING;
use http::{HeaderMap, StatusCode};

use self::class::{Lesson, Verdict};
use self::queue::{Place, Queue};
use crate::clock::Clock;

/// How the client keeps within the registry's limits.
///
/// Limits are learned from the registry's answers, for each class of operations by itself: token
/// requests, reads and changes of properties, manifests, referrers, blobs, deletes. A class that was
/// never refused is not slowed down. Where the registry refuses a call (429), its class pauses and
/// goes on with half of the rate, which then rises again; where the registry tells how many calls
/// are left in a second, as Azure does for deletes and tokens, its class keeps below that.
///
/// ```
/// use acr_client::LimiterOptions;
///
/// let options = LimiterOptions {
///     max_in_flight: 8,
///     ..LimiterOptions::default()
/// };
/// assert!(options.enabled && !LimiterOptions::off().enabled);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimiterOptions {
    /// Whether there are limits at all. The default is `true`.
    pub enabled: bool,
    /// The most calls of one class at once; 0 is taken for 1. The default is 64.
    ///
    /// Those beyond wait, first come, first served. A future that was begun and is not polled any
    /// more, as those inside a stream that is `buffered`, keeps its place until it is dropped: if you
    /// make further calls of the same class meanwhile, the bound has to be higher than the number of
    /// such futures.
    pub max_in_flight: usize,
    /// The longest that one answer can make a class pause, whatever it asks for in `Retry-After`.
    /// The default is 5 minutes.
    pub max_pause: Duration,
}

impl LimiterOptions {
    /// Lets every call go at once, for registries without limits or programs that have their own.
    #[must_use]
    pub fn off() -> Self {
        Self {
            enabled: false,
            ..Self::default()
        }
    }
}

impl Default for LimiterOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            max_in_flight: 64,
            max_pause: Duration::from_secs(5 * 60),
        }
    }
}

/// The queues of all classes, shared by all clones.
#[derive(Clone)]
pub(crate) struct Limiter(Arc<Shared>);

struct Shared {
    clock: Arc<dyn Clock>,
    options: LimiterOptions,
    queues: Mutex<BTreeMap<OperationClass, Arc<Queue>>>,
}

impl Limiter {
    pub(crate) fn new(clock: Arc<dyn Clock>, options: LimiterOptions) -> Self {
        Self(Arc::new(Shared {
            clock,
            options,
            queues: Mutex::default(),
        }))
    }

    /// Waits until a call of this class may be sent. The permit says how long that took, and has to
    /// be kept until the answer is there.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves the queue, and those behind it move up.
    pub(crate) async fn admit(&self, class: OperationClass) -> Permit {
        if !self.0.options.enabled {
            return Permit {
                place: None,
                waited: Duration::ZERO,
            };
        }
        let (place, waited) = self.queue(class).turn().await;
        Permit {
            place: Some(place),
            waited,
        }
    }

    /// Takes note of an answer: its status, how many calls are left, and how long the registry asks
    /// to wait.
    pub(crate) fn learn(
        &self,
        permit: &Permit,
        status: StatusCode,
        headers: &HeaderMap,
        retry_after: Option<Duration>,
    ) {
        if let Some(place) = &permit.place {
            place.learn(Lesson {
                verdict: verdict(status, retry_after),
                left: calls_left(headers),
            });
        }
    }

    fn queue(&self, class: OperationClass) -> Arc<Queue> {
        let shared = &*self.0;
        let queues = shared.queues.lock();
        let mut queues = queues.unwrap_or_else(PoisonError::into_inner);
        let queue = queues.entry(class).or_insert_with(|| {
            let options = &shared.options;
            let clock = shared.clock.clone();
            Arc::new(Queue::new(clock, options.max_in_flight, options.max_pause))
        });
        queue.clone()
    }
}

/// Says that a call may be sent. Its place goes to the next one when it is dropped.
#[must_use = "the place is given back when the permit is dropped"]
pub(crate) struct Permit {
    place: Option<Place>,
    waited: Duration,
}

impl Permit {
    /// How long it took to get the permit, by the clock. A timeout of the call does not count it.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }
}

/// Whether the call with this answer came through the registry's limits.
fn verdict(status: StatusCode, retry_after: Option<Duration>) -> Verdict {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Verdict::Refused(retry_after),
        // Who the caller is comes before the count, and a broken server may not count at all.
        StatusCode::UNAUTHORIZED => Verdict::Unclear,
        status if status.is_server_error() => Verdict::Unclear,
        _ => Verdict::LetThrough,
    }
}

/// What the header says is left. It may be anything; the class believes what can be.
fn calls_left(headers: &HeaderMap) -> Option<f64> {
    let text = headers.get(RATE_LIMIT_REMAINING)?.to_str().ok()?;
    text.trim().parse().ok()
}
