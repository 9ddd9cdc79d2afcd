//! A clock that the tests move, and tasks that they poll by hand. The clock of acr-mock is for the
//! tests outside of `src`.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

use crate::clock::Clock;

/// Time that stands still while there is something to do, and then jumps to the next timer.
#[derive(Debug, Clone)]
pub(super) struct TestClock(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    now: SystemTime,
    next: u64,
    timers: BTreeMap<(SystemTime, u64), Waker>,
}

impl TestClock {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            // Not the beginning of a second: nothing may rely on that.
            now: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_400),
            next: 0,
            timers: BTreeMap::new(),
        })))
    }

    pub(super) fn dynamic(&self) -> Arc<dyn Clock> {
        Arc::new(self.clone())
    }

    /// How many sleeps there are that somebody waits for.
    pub(super) fn sleepers(&self) -> usize {
        self.0.lock().unwrap().timers.len()
    }

    /// Moves the time, and wakes whoever has slept until then.
    pub(super) fn advance(&self, duration: Duration) {
        let mut state = self.0.lock().unwrap();
        state.now += duration;
        let later = (state.now, u64::MAX);
        let mut due = std::mem::take(&mut state.timers);
        state.timers = due.split_off(&later);
        drop(state);
        due.into_values().for_each(Waker::wake);
    }

    /// Runs a future to its end. Panics when it waits for something that cannot happen.
    pub(super) fn drive<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(flag.clone());
        let mut context = Context::from_waker(&waker);
        loop {
            while flag.0.swap(false, Ordering::SeqCst) {
                if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                    return output;
                }
            }
            let next = self.0.lock().unwrap().timers.keys().next().copied();
            let (end, _) = next.expect("nothing will wake the future any more");
            self.advance(end.duration_since(self.now()).unwrap());
        }
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        self.0.lock().unwrap().now
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(Sleep {
            end: self.now() + duration,
            number: None,
            clock: self.clone(),
        })
    }
}

struct Sleep {
    end: SystemTime,
    number: Option<u64>,
    clock: TestClock,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut state = clock.0.lock().unwrap();
        if self.end <= state.now {
            return Poll::Ready(());
        }
        let number = *self.number.get_or_insert(state.next);
        state.next = state.next.max(number + 1);
        let waker = context.waker().clone();
        let old = state.timers.insert((self.end, number), waker);
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let mut state = self.clock.0.lock().unwrap();
            let waker = state.timers.remove(&(self.end, number));
            drop(state);
            drop(waker);
        }
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A task by hand: a future, and how often it was woken.
pub(super) struct Task<F: Future> {
    future: Pin<Box<F>>,
    woken: Arc<Count>,
    waker: Waker,
}

impl<F: Future> Task<F> {
    pub(super) fn new(future: F) -> Self {
        let woken = Arc::new(Count(AtomicUsize::new(0)));
        Self {
            future: Box::pin(future),
            waker: Waker::from(woken.clone()),
            woken,
        }
    }

    pub(super) fn poll(&mut self) -> Option<F::Output> {
        let mut context = Context::from_waker(&self.waker);
        match self.future.as_mut().poll(&mut context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    /// Goes on without the hand.
    pub(super) fn into_inner(self) -> Pin<Box<F>> {
        self.future
    }

    /// How often it was woken since the last call.
    pub(super) fn woken(&self) -> usize {
        self.woken.0.swap(0, Ordering::SeqCst)
    }
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
