//! Limits that are learned from the registry, for each class of operations by itself.
//!
//! The service counts each [`OperationClass`] by itself, says of few how many calls are left, and
//! refuses the rest with 429. A client that knows no limits runs into storms of refusals; one with
//! a single limit keeps everything at the pace of the tightest class. So each class has a queue of
//! its own here, and a class that was never refused is bounded in nothing but the number of calls at
//! once.
//!
//! - `queue` has the places of a class and gives turns: first come, first served; `turn` is one call's way
//!   through it.
//! - `seats` and `watch` find out which calls hold a place and are not polled.
//! - `class` says when the next call may be sent, from all that the responses said.
//! - `limit` is the rate that is found by trying, after a refusal.
//! - `recent` counts calls.
//!
//! No task is spawned: each waiting future owns its timer and wakes the next.

mod class;
mod limit;
mod queue;
mod recent;
mod seats;
#[cfg(test)]
mod tests;
mod turn;
mod watch;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use acr_clock::Clock;
use acr_protocol::OperationClass;
use acr_protocol::operation::headers::RATE_LIMIT_REMAINING;
use http::{HeaderMap, StatusCode};

use self::class::{Feedback, Outcome};
use self::queue::{Queue, Slot};
use self::turn::Acquire;

/// How the client keeps within the registry's limits.
///
/// Limits are learned from the registry's responses, for each class of operations by itself: token
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
/// # drop(options);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimiterOptions {
    /// The most calls of one class at once; 0 is taken for 1. The default is 64.
    ///
    /// Those beyond wait, first come, first served. The bound slows a program down and never stops it.
    /// A call counts while it waits for the registry; one whose body the caller reads, as a
    /// [`BlobStream`](crate::BlobStream), no longer counts. Of a future that could go on and is not
    /// polled for a tenth of a second, as those inside a stream that is `buffered` while the loop does
    /// something else, the place goes to others; when it is polled again, there may be more calls than
    /// this for a moment. Where no call of a class came to an end for 10 seconds, the one that has
    /// waited longest is sent beyond the bound, and a warning is logged: a call that is made inside
    /// another one's transport waits for what waits for it. What the registry asks for in pauses and
    /// rates holds in any case.
    pub max_in_flight: usize,
    /// The longest that one response can make a class pause, whatever it asks for in `Retry-After`.
    /// The default is 5 minutes.
    pub max_pause: Duration,
}

impl Default for LimiterOptions {
    fn default() -> Self {
        Self {
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
    /// `None`: every call goes at once.
    options: Option<LimiterOptions>,
    queues: Mutex<BTreeMap<OperationClass, Arc<Queue>>>,
}

impl Limiter {
    pub(crate) fn new(clock: Arc<dyn Clock>, options: Option<LimiterOptions>) -> Self {
        Self(Arc::new(Shared {
            clock,
            options,
            queues: Mutex::default(),
        }))
    }

    /// Waits until a call of this class may be sent. The permit says how long that took, and has to
    /// be kept until the response is there.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves the queue, and those behind it move up.
    pub(crate) async fn admit(&self, class: OperationClass) -> Permit {
        let Some(options) = &self.0.options else {
            return Permit {
                place: None,
                waited: Duration::ZERO,
            };
        };
        let (place, waited) = Acquire::new(self.queue(class, options)).await;
        Permit {
            place: Some(place),
            waited,
        }
    }

    /// Takes note of a response: its status, how many calls are left, and how long the registry asks
    /// to wait.
    pub(crate) fn learn(
        &self,
        permit: &Permit,
        status: StatusCode,
        headers: &HeaderMap,
        retry_after: Option<Duration>,
    ) {
        if let Some(place) = &permit.place {
            place.learn(Feedback {
                verdict: verdict(status, retry_after),
                left: calls_left(headers),
            });
        }
    }

    fn queue(&self, class: OperationClass, options: &LimiterOptions) -> Arc<Queue> {
        let shared = &*self.0;
        let queues = shared.queues.lock();
        let mut queues = queues.unwrap_or_else(PoisonError::into_inner);
        let queue = queues.entry(class).or_insert_with(|| {
            let clock = shared.clock.clone();
            let (most, max_pause) = (options.max_in_flight, options.max_pause);
            Arc::new(Queue::new(clock, class, most, max_pause))
        });
        queue.clone()
    }
}

/// Says that a call may be sent. Its place goes to the next one when it is dropped.
#[must_use = "the place is given back when the permit is dropped"]
pub(crate) struct Permit {
    place: Option<Slot>,
    waited: Duration,
}

impl Permit {
    /// How long it took to get the permit, by the clock. A timeout of the call does not count it.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }
}

/// A part of a call that waits for others. If it is not polled when it could go on, the call's place, if it
/// has one, goes to others for that long.
pub(crate) fn watch<F: Future + Unpin>(permit: Option<&Permit>, work: F) -> Watched<'_, F> {
    Watched::new(permit.and_then(|permit| permit.place.as_ref()), work)
}

/// A part of a call that holds a place: what it waits for others in.
pub(crate) struct Watched<'a, F> {
    place: Option<(&'a Slot, Waker)>,
    work: F,
}

impl<'a, F> Watched<'a, F> {
    fn new(place: Option<&'a Slot>, work: F) -> Self {
        let place = place.map(|place| (place, Waker::from(place.watch().clone())));
        Self { place, work }
    }
}

impl<F: Future + Unpin> Future for Watched<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let Some((place, waker)) = &this.place else {
            return Pin::new(&mut this.work).poll(context);
        };
        if place.watch().polled(context.waker()) {
            place.is_back();
        }
        Pin::new(&mut this.work).poll(&mut Context::from_waker(waker))
    }
}

/// Whether the call with this response came through the registry's limits.
fn verdict(status: StatusCode, retry_after: Option<Duration>) -> Outcome {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Outcome::Refused(retry_after),
        // Who the caller is comes before the count, and a broken server may not count at all.
        StatusCode::UNAUTHORIZED => Outcome::Unclear,
        status if status.is_server_error() => Outcome::Unclear,
        _ => Outcome::LetThrough,
    }
}

/// What the header says is left. It may be anything; the class believes what can be.
fn calls_left(headers: &HeaderMap) -> Option<f64> {
    let text = headers.get(RATE_LIMIT_REMAINING)?.to_str().ok()?;
    text.trim().parse().ok()
}
