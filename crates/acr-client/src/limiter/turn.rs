//! One call's way through the queue.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use acr_clock::Sleep;

use super::queue::{Alarm, Queue, Seated, Slot, Wait};

/// Waits for a turn: a place, and how long it took to get it. It joins the queue at its first poll.
pub(super) struct Acquire {
    queue: Arc<Queue>,
    /// Its number while it is in the queue, or its turn was given and not come for.
    number: Option<u64>,
    /// When it joined the queue.
    since: Duration,
    /// The moment until which it has slept, and how often it has.
    reached: Duration,
    looks: u32,
    alarm: Option<SetAlarm>,
}

struct SetAlarm {
    at: Duration,
    sleep: Sleep,
}

impl Acquire {
    pub(super) const fn new(queue: Arc<Queue>) -> Self {
        Self {
            queue,
            number: None,
            since: Duration::ZERO,
            reached: Duration::ZERO,
            looks: 0,
            alarm: None,
        }
    }

    /// Whether the alarm is still to come. One that is over is taken note of.
    fn is_asleep(&mut self, context: &mut Context<'_>) -> bool {
        let Some(alarm) = &mut self.alarm else {
            return false;
        };
        if alarm.sleep.as_mut().poll(context).is_pending() {
            return true;
        }
        self.reached = alarm.at;
        self.looks = self.looks.saturating_add(1);
        self.alarm = None;
        false
    }

    /// Joins the queue if that is still to be done, and looks whether it is its turn.
    fn look(&mut self, waker: &Waker) -> Step {
        let mut state = self.queue.lock();
        let now = self.queue.clock.elapsed();
        let (number, old) = match self.number {
            Some(number) => (number, state.keep(number, waker)),
            None if state.is_free(now) => return Step::Given(state.pass(now), Duration::ZERO),
            None => {
                self.since = now;
                let number = state.join(waker.clone());
                self.number = Some(number);
                (number, None)
            }
        };
        let waited = now.saturating_sub(self.since);
        state.notice_gap(self.since.max(self.reached), now);
        let mut own = state.take(number, now);
        let soon = state.reclaim(now);
        let is_first_absent = state.is_first_absent(now);
        let woken = state.give(now);
        own = own.or_else(|| state.take(number, now));
        let let_through = match own {
            Some(_) => None,
            None => state.let_through(number, self.since, now),
        };
        let is_beyond = let_through.is_some();
        let (own, left) = match let_through {
            Some((seated, left)) => (Some(seated), left),
            None => (own, None),
        };
        let look = match own {
            Some(seated) => Step::Given(seated, waited),
            None => Step::Wait(state.wait(number, now, is_first_absent, soon, self.looks)),
        };
        drop(state);
        drop((old, left));
        let others = woken.into_iter().filter(|(owner, _)| *owner != number);
        others.for_each(|(_, waker)| waker.wake());
        if is_beyond {
            let (class, most) = (self.queue.operations, self.queue.max_in_flight);
            tracing::warn!(
                ?class,
                max_in_flight = most,
                "no call of this class came to an end while this one waited for {waited:?}; it is \
                 sent beyond the bound, because the others may wait for it"
            );
        }
        look
    }
}

impl Future for Acquire {
    type Output = (Slot, Duration);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut is_asleep = this.is_asleep(context);
        for _ in 0..2 {
            let wait = match this.look(context.waker()) {
                Step::Given(seated, waited) => {
                    this.number = None;
                    this.alarm = None;
                    return Poll::Ready((Slot::new(this.queue.clone(), seated), waited));
                }
                Step::Wait(Some(wait)) => wait,
                Step::Wait(None) => {
                    this.alarm = None;
                    return Poll::Pending;
                }
            };
            // The first wakes exactly in time. The others do roughly: their alarms are for the case
            // that those before them are not polled.
            let is_set = |set: &SetAlarm| match wait.alarm {
                Alarm::Exact => set.at == wait.until,
                Alarm::InTime => set.at <= wait.until,
                Alarm::Rough => true,
            };
            if !this.alarm.as_ref().is_some_and(is_set) {
                let sleep = this.queue.clock.sleep(wait.until.saturating_sub(wait.now));
                let at = wait.until;
                this.alarm = Some(SetAlarm { at, sleep });
                is_asleep = this.is_asleep(context);
            }
            if is_asleep {
                return Poll::Pending;
            }
        }
        // The clock's sleeps take no time. Going on here would keep the thread from all else.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let left = self.queue.change(|state, _| state.leave(number));
            drop(left);
        }
    }
}

/// What is so when a turn looks.
enum Step {
    Given(Seated, Duration),
    /// Until when to sleep, where it is time that has to pass.
    Wait(Option<Wait>),
}
