//! Time that moves only when told to.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

use crate::timers::Timers;
use crate::{Clock, ClockHold, Sleep};

/// A clock that a test moves: by hand with [`advance`](Self::advance), or along with the work by
/// [`drive`](Self::drive). Clones share the time.
///
/// ```
/// use std::time::Duration;
/// use acr_clock::VirtualClock;
///
/// let clock = VirtualClock::new();
/// let start = clock.now();
/// let output = clock.drive(async {
///     clock.sleep(Duration::from_secs(3600)).await; // takes no real time
///     42
/// });
/// assert_eq!(output, 42);
/// assert_eq!(clock.now(), start + Duration::from_secs(3600));
/// ```
#[derive(Clone)]
pub struct VirtualClock {
    shared: Arc<Shared>,
}

impl VirtualClock {
    /// Creates a clock that stands at the real time of now, so that dates made elsewhere still make sense.
    #[must_use]
    pub fn new() -> Self {
        Self::starting_at(SystemTime::now())
    }

    /// Creates a clock that stands at `time`.
    #[must_use]
    pub fn starting_at(time: SystemTime) -> Self {
        let state = State {
            start: time,
            elapsed: Duration::ZERO,
            timers: Timers::new(),
            holds: 0,
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                changed: Condvar::new(),
            }),
        }
    }

    /// Returns the time at which the clock stands.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        let state = self.shared.lock();
        state.start + state.elapsed
    }

    /// Returns the time by which the clock was moved.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.shared.lock().elapsed
    }

    /// Returns a future that ends when the clock was moved by `duration` from now.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(VirtualSleep {
            deadline: self.shared.lock().after(duration),
            shared: self.shared.clone(),
            id: None,
        })
    }

    /// Returns how many sleeps are waited for: polled once, and neither over nor dropped.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.shared.lock().timers.len()
    }

    /// Moves the time on, and wakes every sleep that is over by then.
    ///
    /// # Panics
    ///
    /// If `duration` leads past the end of time.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.shared.lock();
        let elapsed = state.after(duration);
        state.elapsed = elapsed.expect("a virtual clock stays within the range of SystemTime");
        wake_due(state);
    }

    /// Runs a future to its end on this thread; whenever nothing is ready, jumps to the end of the next sleep.
    ///
    /// It needs no runtime. A sleep that begins on another thread counts like one of the future. Other work there, or
    /// in a server, is not seen: hold the time with [`hold`](Self::hold) meanwhile, or timeouts fire while it is still
    /// busy. As it blocks, it is not for use inside an asynchronous function.
    ///
    /// # Panics
    ///
    /// If the future waits for something that can no longer happen: no sleep is left, no hold is taken, and nobody
    /// has kept its waker.
    pub fn drive<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let signal = Arc::new(Signal {
            woken: AtomicBool::new(false),
            shared: self.shared.clone(),
        });
        let waker = Waker::from(signal.clone());
        let mut context = Context::from_waker(&waker);
        loop {
            signal.woken.store(false, Ordering::SeqCst);
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            self.wait_or_jump(&signal);
        }
    }

    /// Keeps [`drive`](Self::drive) from jumping until the guard is dropped: for work that it cannot see.
    ///
    /// Holds add up; [`advance`](Self::advance) still moves the time.
    pub fn hold(&self) -> ClockHold {
        self.shared.lock().holds += 1;
        ClockHold::new(Held(self.shared.clone()))
    }

    /// Returns when the driven future may have something to do.
    fn wait_or_jump(&self, signal: &Arc<Signal>) {
        let mut state = self.shared.lock();
        loop {
            if signal.woken.load(Ordering::SeqCst) {
                return;
            }
            if state.holds == 0 {
                if let Some(deadline) = state.timers.first() {
                    state.elapsed = state.elapsed.max(deadline);
                    wake_due(state);
                    return;
                }
                // One count is the driver's own, one is that of the waker it made: the future kept none.
                assert!(
                    Arc::strong_count(signal) > 2,
                    "the driven future waits, but for no sleep of this clock, and nothing kept its waker: it would wait for ever"
                );
            }
            state = self
                .shared
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> SystemTime {
        self.now()
    }

    fn elapsed(&self) -> Duration {
        self.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep(duration)
    }

    fn hold(&self) -> ClockHold {
        self.hold()
    }
}

impl Default for VirtualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("VirtualClock")
            .field("now", &(state.start + state.elapsed))
            .field("holds", &state.holds)
            .finish()
    }
}

struct Held(Arc<Shared>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.lock().holds -= 1;
        self.0.changed.notify_all();
    }
}

struct Shared {
    state: Mutex<State>,
    /// Notified when a driver may go on: its future was woken, a hold ended, or a sleep began.
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct State {
    start: SystemTime,
    /// Kept such that `start + elapsed` is a time.
    elapsed: Duration,
    timers: Timers<Duration>,
    holds: usize,
}

impl State {
    /// Returns what `elapsed` will be after `duration`; `None` past the end of time.
    fn after(&self, duration: Duration) -> Option<Duration> {
        let elapsed = self.elapsed.checked_add(duration)?;
        self.start.checked_add(elapsed).map(|_| elapsed)
    }
}

/// Wakes the sleeps that are over. Outside the lock, since a waker may poll, and enter or drop sleeps, at once.
fn wake_due(mut state: MutexGuard<'_, State>) {
    let elapsed = state.elapsed;
    let due = state.timers.take_due(elapsed);
    drop(state);
    due.into_iter().for_each(Waker::wake);
}

/// The waker of a driven future.
struct Signal {
    woken: AtomicBool,
    shared: Arc<Shared>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        // Taken and left, so that the driver is either before its look at `woken` or already waiting.
        drop(self.shared.lock());
        self.shared.changed.notify_all();
    }
}

/// Entered into the list at its first poll: a sleep that nobody awaits is nothing to jump to.
struct VirtualSleep {
    shared: Arc<Shared>,
    /// `None`: past the end of time.
    deadline: Option<Duration>,
    id: Option<u64>,
}

impl Future for VirtualSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        let mut state = self.shared.lock();
        if deadline <= state.elapsed {
            return Poll::Ready(());
        }
        let (id, replaced) = state.timers.enter(deadline, self.id, context.waker());
        drop(state);
        drop(replaced);
        if self.id.replace(id).is_none() {
            // Begun on another thread, it is something to jump to for a driver that waits.
            self.shared.changed.notify_all();
        }
        Poll::Pending
    }
}

impl Drop for VirtualSleep {
    fn drop(&mut self) {
        if let (Some(deadline), Some(id)) = (self.deadline, self.id) {
            let left = self.shared.lock().timers.leave(deadline, id);
            drop(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use ::tokio::sync::oneshot;
    use futures_util::FutureExt as _;
    use futures_util::future::{Either, join, select};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_example_runs() {
        crate::example::main();
    }

    #[test]
    fn time_stands_still_until_it_is_moved() {
        let clock = VirtualClock::starting_at(SystemTime::UNIX_EPOCH);
        assert_eq!(clock.now(), SystemTime::UNIX_EPOCH);
        clock.clone().advance(HOUR);
        assert_eq!(clock.now(), SystemTime::UNIX_EPOCH + HOUR);
    }

    #[test]
    fn advance_ends_exactly_the_sleeps_that_are_due() {
        let clock = VirtualClock::new();
        let (mut short, mut exact, mut long) = (
            clock.sleep(HOUR / 2),
            clock.sleep(HOUR),
            clock.sleep(HOUR * 2),
        );
        for sleep in [&mut short, &mut exact, &mut long] {
            assert!(sleep.now_or_never().is_none());
        }
        clock.advance(HOUR);
        assert!(short.now_or_never().is_some());
        assert!(exact.now_or_never().is_some());
        assert!(long.now_or_never().is_none());
    }

    #[test]
    fn drive_jumps_from_sleep_to_sleep_in_order() {
        let clock = VirtualClock::starting_at(SystemTime::UNIX_EPOCH);
        let sleeper = |hours: u32| {
            let clock = clock.clone();
            async move {
                clock.sleep(HOUR * hours).await;
                clock.now()
            }
        };
        let (late, early) = clock.drive(join(sleeper(3), sleeper(1)));
        assert_eq!(early, SystemTime::UNIX_EPOCH + HOUR);
        assert_eq!(late, SystemTime::UNIX_EPOCH + HOUR * 3);
    }

    #[test]
    fn work_that_is_ready_is_not_overtaken_by_a_timeout() {
        let clock = VirtualClock::new();
        let start = clock.now();
        let work = async {
            for _ in 0..100 {
                yield_once().await;
            }
        };
        let outcome = clock.drive(select(Box::pin(work), clock.sleep(HOUR)));
        assert!(matches!(outcome, Either::Left(..)));
        assert_eq!(clock.now(), start);
    }

    #[test]
    fn a_held_clock_waits_for_another_thread_instead_of_jumping() {
        let clock = VirtualClock::new();
        let (sender, receiver) = oneshot::channel();
        let hold = clock.hold();
        let (polled, go) = mpsc::channel();
        let worker = std::thread::spawn(move || {
            go.recv().expect("the future is polled");
            sender.send("done").expect("the driver waits");
            drop(hold);
        });
        let work = async {
            polled.send(()).expect("the worker waits");
            receiver.await
        };
        let outcome = clock.drive(select(Box::pin(work), clock.sleep(HOUR)));
        worker.join().unwrap();
        assert!(matches!(outcome, Either::Left((Ok("done"), _))));
    }

    #[test]
    fn a_hold_that_ends_lets_the_clock_jump() {
        let clock = VirtualClock::new();
        let hold = clock.hold();
        let start = clock.now();
        let (polled, go) = mpsc::channel();
        let worker = std::thread::spawn(move || {
            go.recv().expect("the future is polled");
            drop(hold);
        });
        clock.drive(async {
            polled.send(()).expect("the worker waits");
            clock.sleep(HOUR).await;
        });
        worker.join().unwrap();
        assert_eq!(clock.now(), start + HOUR);
    }

    #[test]
    fn a_sleep_that_begins_on_another_thread_wakes_a_parked_driver() {
        // The driver is parked in some rounds, and not yet in others; without the wake-up the former hang.
        for round in 0..100 {
            let clock = VirtualClock::new();
            let (sender, receiver) = oneshot::channel();
            let (polled, go) = mpsc::channel();
            let sleep = clock.sleep(HOUR);
            let worker = std::thread::spawn(move || {
                go.recv().expect("the future is polled");
                (0..round).for_each(|_| std::thread::yield_now());
                let runtime = ::tokio::runtime::Builder::new_current_thread().build();
                runtime.unwrap().block_on(sleep);
                sender.send("done").expect("the driver waits");
            });
            let work = async {
                polled.send(()).expect("the worker waits");
                receiver.await
            };
            assert_eq!(clock.drive(work), Ok("done"));
            assert_eq!(clock.elapsed(), HOUR);
            worker.join().unwrap();
        }
    }

    #[test]
    fn a_dropped_sleep_is_nothing_to_jump_to() {
        let clock = VirtualClock::new();
        let start = clock.now();
        clock.drive(async {
            let mut sleep = clock.sleep(HOUR);
            assert!((&mut sleep).now_or_never().is_none());
            assert_eq!(clock.sleepers(), 1);
            drop(sleep);
            assert_eq!(clock.sleepers(), 0);
            clock.sleep(HOUR * 2).await;
        });
        assert_eq!(clock.now(), start + HOUR * 2);
    }

    #[test]
    #[should_panic(expected = "it would wait for ever")]
    fn a_future_that_nothing_can_wake_is_reported_instead_of_hanging() {
        VirtualClock::new().drive(std::future::pending::<()>());
    }

    #[test]
    fn a_day_takes_no_real_time() {
        let start = Instant::now();
        let clock = VirtualClock::new();
        clock.drive(clock.sleep(HOUR * 24));
        assert!(start.elapsed() < Duration::from_secs(60));
    }

    async fn yield_once() {
        let mut yielded = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}
