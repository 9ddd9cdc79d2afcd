//! Time that moves only when told to.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

use super::Clock;
use super::timers::Timers;

/// A clock that a test moves: by hand with [`advance`](Self::advance), or along with the work by
/// [`drive`](Self::drive). Clones share the time.
///
/// ```
/// use std::time::Duration;
/// use acr_mock::{Clock, VirtualClock};
///
/// let clock = VirtualClock::new();
/// let start = clock.now();
/// let response = clock.drive(async {
///     clock.sleep(Duration::from_secs(3600)).await; // takes no real time
///     42
/// });
/// assert_eq!(response, 42);
/// assert_eq!(clock.now(), start + Duration::from_secs(3600));
/// ```
#[derive(Clone)]
pub struct VirtualClock {
    shared: Arc<Shared>,
}

impl VirtualClock {
    /// A clock that stands at the real time of now, so that times made elsewhere still make sense.
    #[must_use]
    pub fn new() -> Self {
        Self::starting_at(SystemTime::now())
    }

    /// A clock that stands at `time`.
    #[must_use]
    pub fn starting_at(time: SystemTime) -> Self {
        let state = State {
            now: time,
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

    /// Moves the time on, and wakes every sleep that is over by then.
    ///
    /// # Panics
    ///
    /// If `duration` leads past the end of time.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.shared.lock();
        let now = state
            .now
            .checked_add(duration)
            .expect("a virtual clock stays within the range of SystemTime");
        state.now = now;
        let due = state.timers.take_due(now);
        drop(state);
        due.into_iter().for_each(Waker::wake);
    }

    /// Runs a future to its end on this thread; whenever nothing is ready, jumps to the end of the next sleep.
    ///
    /// It needs no runtime. Work on other threads, or in a server, is not seen: whoever does it holds the time
    /// with [`hold`](Self::hold) meanwhile, or timeouts fire while it is still busy. As it blocks, it is not for use
    /// inside an asynchronous function.
    ///
    /// # Panics
    ///
    /// If the future waits for something that can no longer happen: no sleep is left, no hold is taken, and nobody
    /// has kept its waker.
    pub fn drive<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let signal = Arc::new(Signal {
            woken: AtomicBool::new(false),
            clock: self.clone(),
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
    #[must_use = "the time is held only as long as the guard lives"]
    pub fn hold(&self) -> ClockHold {
        self.shared.lock().holds += 1;
        ClockHold {
            clock: self.clone(),
        }
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
                    state.now = state.now.max(deadline);
                    let now = state.now;
                    let due = state.timers.take_due(now);
                    drop(state);
                    due.into_iter().for_each(Waker::wake);
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
        self.shared.lock().now
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let deadline = self.now().checked_add(duration);
        Box::pin(Sleep {
            clock: self.clone(),
            deadline,
            id: None,
        })
    }
}

impl Default for VirtualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        formatter
            .debug_struct("VirtualClock")
            .field("now", &state.now)
            .field("holds", &state.holds)
            .finish()
    }
}

/// While it lives, [`VirtualClock::drive`] does not jump: see [`VirtualClock::hold`].
#[derive(Debug)]
pub struct ClockHold {
    clock: VirtualClock,
}

impl Drop for ClockHold {
    fn drop(&mut self) {
        self.clock.shared.lock().holds -= 1;
        self.clock.shared.changed.notify_all();
    }
}

struct Shared {
    state: Mutex<State>,
    /// Told when a driver may go on: its future was woken, or a hold ended.
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct State {
    now: SystemTime,
    timers: Timers<SystemTime>,
    holds: usize,
}

/// The waker of a driven future.
struct Signal {
    woken: AtomicBool,
    clock: VirtualClock,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        // Taken and left, so that the driver is either before its look at `woken` or already waiting.
        drop(self.clock.shared.lock());
        self.clock.shared.changed.notify_all();
    }
}

/// Entered into the list at its first poll: a sleep that nobody awaits is nothing to jump to.
struct Sleep {
    clock: VirtualClock,
    /// `None`: past the end of time.
    deadline: Option<SystemTime>,
    id: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        let mut state = self.clock.shared.lock();
        if deadline <= state.now {
            return Poll::Ready(());
        }
        let id = state.timers.enter(deadline, self.id, context.waker());
        drop(state);
        self.id = Some(id);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let (Some(deadline), Some(id)) = (self.deadline, self.id) {
            self.clock.shared.lock().timers.leave(deadline, id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use futures_util::FutureExt as _;
    use futures_util::future::{Either, join, select};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

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
        let (sender, receiver) = futures_channel();
        let hold = clock.hold();
        let (polled, go) = mpsc::channel();
        let worker = std::thread::spawn(move || {
            go.recv().expect("the future is polled");
            sender.send("done");
            drop(hold);
        });
        let work = async {
            polled.send(()).expect("the worker waits");
            receiver.await
        };
        let outcome = clock.drive(select(Box::pin(work), clock.sleep(HOUR)));
        worker.join().unwrap();
        assert!(matches!(outcome, Either::Left(("done", _))));
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
    fn a_dropped_sleep_is_nothing_to_jump_to() {
        let clock = VirtualClock::new();
        let start = clock.now();
        clock.drive(async {
            let mut sleep = clock.sleep(HOUR);
            assert!((&mut sleep).now_or_never().is_none());
            drop(sleep);
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

    /// A channel of one message, made of the standard library alone.
    fn futures_channel() -> (Sender, Receiver) {
        let slot = Arc::new(Mutex::new((None, None)));
        (Sender(slot.clone()), Receiver(slot))
    }

    type Slot = Arc<Mutex<(Option<&'static str>, Option<Waker>)>>;

    struct Sender(Slot);

    impl Sender {
        fn send(self, message: &'static str) {
            let mut slot = self.0.lock().unwrap();
            slot.0 = Some(message);
            if let Some(waker) = slot.1.take() {
                waker.wake();
            }
        }
    }

    struct Receiver(Slot);

    impl Future for Receiver {
        type Output = &'static str;

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<&'static str> {
            let mut slot = self.0.lock().unwrap();
            slot.1 = Some(context.waker().clone());
            slot.0.take().map_or(Poll::Pending, Poll::Ready)
        }
    }
}
