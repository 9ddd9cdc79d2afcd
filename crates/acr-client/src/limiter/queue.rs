//! Who waits for a call of one class, and whose turn it is.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use super::class::{Admission, Class, Lesson};
use super::timeline::{Timeline, rest_of_the_second};
use crate::clock::Clock;

/// The queue of one class: first come, first served.
///
/// Turns are given, not taken: whoever looks at the queue gives all turns that are due, in order,
/// be they its own or not. So a future that was begun and is not polled any more, as it happens
/// inside `buffered` or `select!`, uses up one place and does not hold up those behind it.
pub(super) struct Queue {
    clock: Arc<dyn Clock>,
    max_in_flight: usize,
    /// Held for one look or one change. No waker is woken or dropped meanwhile: either may run the
    /// code of somebody else, which may come back here.
    state: Mutex<State>,
}

impl Queue {
    pub(super) fn new(clock: Arc<dyn Clock>, max_in_flight: usize, max_pause: Duration) -> Self {
        Self {
            clock,
            // With none, nothing would ever be sent.
            max_in_flight: max_in_flight.max(1),
            state: Mutex::new(State {
                timeline: Timeline::default(),
                class: Class::new(max_pause),
                in_flight: 0,
                next_number: 0,
                waiting: BTreeMap::new(),
                given: BTreeMap::new(),
                alarm_of_first: None,
            }),
        }
    }

    /// Returns a future that ends when it is its turn. It joins the queue at its first poll.
    pub(super) fn turn(self: &Arc<Self>) -> Turn {
        Turn {
            queue: self.clone(),
            number: None,
            since: Duration::ZERO,
            reached: Duration::ZERO,
            alarm: None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change, and gives the turns that are due after it.
    fn change<T>(&self, change: impl FnOnce(&mut State, SystemTime, Duration) -> T) -> T {
        let time = self.clock.now();
        let mut state = self.lock();
        let now = state.timeline.at(time);
        let result = change(&mut state, time, now);
        let woken = state.give(now, self.max_in_flight);
        drop(state);
        woken.into_iter().for_each(|(_, waker)| waker.wake());
        result
    }
}

/// A call that may be sent, or is under way. Its place is given back when it is dropped.
pub(super) struct Place {
    queue: Arc<Queue>,
    admission: Admission,
}

impl Place {
    /// Takes note of the answer to the call.
    pub(super) fn learn(&self, lesson: Lesson) {
        if self.queue.lock().class.learns_nothing(lesson) {
            return;
        }
        let woken: Vec<Waker> = self.queue.change(|state, time, now| {
            let was_paced = state.class.is_paced();
            let rest = rest_of_the_second(time);
            state.class.learn(self.admission, lesson, now, rest);
            // Those who waited for a place alone have no alarms. They all set them now, this once.
            if !was_paced && state.class.is_paced() {
                state.waiting.values().cloned().collect()
            } else {
                Vec::new()
            }
        });
        woken.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.in_flight -= 1;
        let is_waited_for = !state.waiting.is_empty();
        drop(state);
        if is_waited_for {
            self.queue.change(|_, _, _| ());
        }
    }
}

/// Waits for a turn: a place, and how long it took to get it.
pub(super) struct Turn {
    queue: Arc<Queue>,
    /// Its number while it is in the queue, or its turn was given and not come for.
    number: Option<u64>,
    /// When it joined the queue.
    since: Duration,
    /// The moment until which it has slept.
    reached: Duration,
    alarm: Option<Alarm>,
}

struct Alarm {
    at: Duration,
    sleep: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Turn {
    /// Whether the alarm is still to come. One that is over is taken note of.
    fn is_asleep(&mut self, context: &mut Context<'_>) -> bool {
        let Some(alarm) = &mut self.alarm else {
            return false;
        };
        if alarm.sleep.as_mut().poll(context).is_pending() {
            return true;
        }
        self.reached = alarm.at;
        self.alarm = None;
        false
    }

    /// Joins the queue if that is still to be done, and looks whether it is its turn.
    fn look(&mut self, waker: &Waker) -> Look {
        let now = self.queue.clock.now();
        let most = self.queue.max_in_flight;
        let mut state = self.queue.lock();
        let now = state.timeline.at(now).max(self.reached);
        state.timeline.reach(now);
        let (number, old) = match self.number {
            Some(number) => (number, state.keep(number, waker)),
            None if state.is_free(now, most) => {
                return Look::Given(state.admit(now), Duration::ZERO);
            }
            None => {
                self.since = now;
                let number = state.join(waker.clone());
                self.number = Some(number);
                (number, None)
            }
        };
        let is_first_absent = state.is_first_absent(now, most);
        let woken = state.give(now, most);
        let look = match state.given.remove(&number) {
            Some(admission) => Look::Given(admission, now.saturating_sub(self.since)),
            None => Look::Wait(state.wait(number, now, is_first_absent)),
        };
        drop(state);
        drop(old);
        let others = woken.into_iter().filter(|(owner, _)| *owner != number);
        others.for_each(|(_, waker)| waker.wake());
        look
    }
}

impl Future for Turn {
    type Output = (Place, Duration);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut is_asleep = this.is_asleep(context);
        for _ in 0..2 {
            let wait = match this.look(context.waker()) {
                Look::Given(admission, waited) => {
                    this.number = None;
                    this.alarm = None;
                    let queue = this.queue.clone();
                    return Poll::Ready((Place { queue, admission }, waited));
                }
                Look::Wait(Some(wait)) => wait,
                Look::Wait(None) => {
                    this.alarm = None;
                    return Poll::Pending;
                }
            };
            // The first wakes exactly in time. The others do roughly: their alarms are for the case
            // that those before them are not polled.
            let is_set = |alarm: &Alarm| alarm.at == wait.until || !wait.is_first;
            if !this.alarm.as_ref().is_some_and(is_set) {
                let sleep = this.queue.clock.sleep(wait.until.saturating_sub(wait.now));
                let at = wait.until;
                this.alarm = Some(Alarm { at, sleep });
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

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let left = self.queue.change(|state, _, _| state.leave(number));
            drop(left);
        }
    }
}

/// What is so when a turn looks.
enum Look {
    Given(Admission, Duration),
    /// Until when to sleep, where it is time that has to pass.
    Wait(Option<Wait>),
}

struct Wait {
    now: Duration,
    until: Duration,
    is_first: bool,
}

struct State {
    timeline: Timeline,
    class: Class,
    in_flight: usize,
    /// Numbers are given in the order of arrival.
    next_number: u64,
    waiting: BTreeMap<u64, Waker>,
    /// Turns that were given and not yet come for. They count as in flight.
    given: BTreeMap<u64, Admission>,
    /// Who was first at its last look, and what its alarm was set to.
    alarm_of_first: Option<(u64, Duration)>,
}

impl State {
    /// Whether a call may go past the queue, since nobody is in it.
    fn is_free(&mut self, now: Duration, most: usize) -> bool {
        self.waiting.is_empty() && self.in_flight < most && self.class.ready_at(now, false) <= now
    }

    fn admit(&mut self, now: Duration) -> Admission {
        self.in_flight += 1;
        self.class.admit(now)
    }

    fn join(&mut self, waker: Waker) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.waiting.insert(number, waker);
        number
    }

    /// Keeps the waker of the latest poll, and returns the one before, to be dropped outside.
    fn keep(&mut self, number: u64, waker: &Waker) -> Option<Waker> {
        let kept = self.waiting.get_mut(&number)?;
        (!kept.will_wake(waker)).then(|| std::mem::replace(kept, waker.clone()))
    }

    /// Leaves the queue, or gives a turn back. Returns the waker, to be dropped outside.
    fn leave(&mut self, number: u64) -> Option<Waker> {
        if let Some(admission) = self.given.remove(&number) {
            self.in_flight -= 1;
            self.class.take_back(admission);
        }
        self.waiting.remove(&number)
    }

    /// Gives all turns that are due, and returns whom to wake: those who got one, and the one who is
    /// first then, if it has to sleep for another time than it knows.
    fn give(&mut self, now: Duration, most: usize) -> Vec<(u64, Waker)> {
        let mut woken = Vec::new();
        while self.in_flight < most && !self.waiting.is_empty() {
            let ready = self.class.ready_at(now, true);
            if ready > now {
                if let Some((&number, waker)) = self.waiting.first_key_value()
                    && self.alarm_of_first != Some((number, ready))
                {
                    woken.push((number, waker.clone()));
                }
                break;
            }
            if let Some((number, waker)) = self.waiting.pop_first() {
                let admission = self.admit(now);
                self.given.insert(number, admission);
                woken.push((number, waker));
            }
        }
        woken
    }

    /// Whether the first should have come for its turn some time ago.
    fn is_first_absent(&mut self, now: Duration, most: usize) -> bool {
        !self.waiting.is_empty()
            && self.in_flight < most
            && self.class.ready_at(now, true).saturating_add(GRACE) <= now
    }

    /// Until when the one with this number has to sleep.
    ///
    /// Those behind the first sleep until it should be their turn by their number. When it is not,
    /// and the first was absent, they look after each turn from then on, to give it in its stead.
    fn wait(&mut self, number: u64, now: Duration, is_first_absent: bool) -> Option<Wait> {
        let (first, _) = self.waiting.first_key_value()?;
        let ahead = u32::try_from(number - first).unwrap_or(u32::MAX);
        let mut until = self.class.ready_at(now, true);
        if ahead == 0 {
            self.alarm_of_first = Some((number, until));
        } else if self.class.is_paced() {
            let turns = if is_first_absent { 0 } else { ahead };
            let turn = self.class.spacing().saturating_mul(turns).max(GRACE);
            until = until.max(now).saturating_add(turn);
        }
        (until > now).then_some(Wait {
            now,
            until,
            is_first: ahead == 0,
        })
    }
}

/// How long the first may take to come for its turn. The others need not look sooner.
const GRACE: Duration = Duration::from_millis(100);
