//! Real time, without a runtime.

use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use crate::timers::Timers;
use crate::{Clock, Sleep};

/// The machine's clock: the default.
///
/// All sleeps of a process are woken by one thread, started at the first of them, so that they work under any
/// runtime and without one.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn elapsed(&self) -> Duration {
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        ORIGIN.get_or_init(Instant::now).elapsed()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        // Measured on the monotonic clock: setting the machine's time neither cuts nor stretches a sleep.
        Box::pin(SystemSleep {
            deadline: Instant::now().checked_add(duration),
            id: None,
        })
    }
}

#[derive(Debug)]
struct SystemSleep {
    /// `None`: past the end of time.
    deadline: Option<Instant>,
    id: Option<u64>,
}

impl Future for SystemSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        if deadline <= Instant::now() {
            return Poll::Ready(());
        }
        start_alarm();
        let (id, replaced) = timers().enter(deadline, self.id, context.waker());
        drop(replaced);
        self.id = Some(id);
        ALARM.notify_one();
        Poll::Pending
    }
}

impl Drop for SystemSleep {
    fn drop(&mut self) {
        if let (Some(deadline), Some(id)) = (self.deadline, self.id) {
            let left = timers().leave(deadline, id);
            drop(left);
        }
    }
}

static TIMERS: Mutex<Timers<Instant>> = Mutex::new(Timers::new());
static ALARM: Condvar = Condvar::new();
static START: Once = Once::new();

fn timers() -> MutexGuard<'static, Timers<Instant>> {
    TIMERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start_alarm() {
    START.call_once(|| {
        std::thread::Builder::new()
            .name("acr-clock".to_owned())
            .spawn(|| run_alarm())
            .expect("the operating system starts a thread for the clock");
    });
}

fn run_alarm() -> ! {
    let mut timers = timers();
    loop {
        let now = Instant::now();
        let due = timers.take_due(now);
        if !due.is_empty() {
            // Woken outside the lock: a waker may poll, and drop or enter sleeps, on this very thread.
            drop(timers);
            due.into_iter().for_each(std::task::Waker::wake);
            timers = self::timers();
            continue;
        }
        timers = match timers.first() {
            Some(first) => {
                let pause = first.saturating_duration_since(now);
                ALARM
                    .wait_timeout(timers, pause)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
            None => ALARM.wait(timers).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::VirtualClock;

    #[test]
    fn a_sleep_ends_at_its_time_without_a_runtime() {
        let clock = SystemClock;
        let start = Instant::now();
        let (long, short) = (
            clock.sleep(Duration::from_millis(20)),
            clock.sleep(Duration::from_millis(5)),
        );
        futures_util::pin_mut!(long, short);
        VirtualClock::new().drive(async {
            short.await;
            let after_short = start.elapsed();
            long.await;
            assert!(after_short >= Duration::from_millis(5), "{after_short:?}");
            assert!(start.elapsed() >= Duration::from_millis(20));
        });
    }

    #[test]
    fn a_sleep_past_the_end_of_time_only_waits() {
        assert!(SystemClock.sleep(Duration::MAX).now_or_never().is_none());
    }

    #[test]
    fn no_time_at_all_is_over_at_once() {
        assert!(SystemClock.sleep(Duration::ZERO).now_or_never().is_some());
    }

    #[test]
    fn a_dropped_sleep_leaves_the_waiting_list() {
        let deadline = Instant::now().checked_add(Duration::from_secs(86_400));
        let mut sleep = SystemSleep { deadline, id: None };
        assert!((&mut sleep).now_or_never().is_none());
        let deadline = deadline.expect("tomorrow is within time");
        let id = sleep.id.expect("it is in the list");
        drop(sleep);
        assert!(timers().leave(deadline, id).is_none());
    }
}
