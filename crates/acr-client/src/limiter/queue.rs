//! The places of one class, and who waits for one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, SystemTime};

use acr_clock::Clock;
use acr_protocol::OperationClass;

use super::class::{Admission, Class, Feedback};
use super::seats::Seats;
use super::watch::{GRACE, Watch};

/// The queue of one class: first come, first served.
///
/// Turns are given, not taken: whoever looks at the queue gives all turns that are due, in order,
/// be they its own or not. So a future that was begun and is not polled any more, as it happens
/// inside `buffered` or `select!`, does not hold up those behind it.
///
/// Nor does it keep a place for long. A place counts while its call waits for somebody else. Of a call
/// that was woken and is not polled the place is lent to others, and counts again when the call is
/// polled again; for a moment there may then be more calls than the bound. A turn that was given and
/// nobody comes for is passed on. Where neither helps, since a call waits for another one of its own
/// program, one more is let through now and then. None of this passes over the pace of the class.
pub(super) struct Queue {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) operations: OperationClass,
    pub(super) max_in_flight: usize,
    /// Held for one look or one change. No waker is woken or dropped meanwhile: either may run the
    /// code of somebody else, which may come back here.
    state: Mutex<State>,
}

impl Queue {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        operations: OperationClass,
        max_in_flight: usize,
        max_pause: Duration,
    ) -> Self {
        // With none, nothing would ever be sent.
        let max_in_flight = max_in_flight.max(1);
        Self {
            clock,
            operations,
            max_in_flight,
            state: Mutex::new(State {
                class: Class::new(max_pause),
                max_in_flight,
                in_flight: 0,
                seats: Seats::default(),
                quiet_since: Duration::ZERO,
                next_number: 0,
                waiting: BTreeMap::new(),
                given: BTreeMap::new(),
                alarm_of_first: None,
            }),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change, and gives the turns that are due after it.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State, Duration) -> T) -> T {
        let mut state = self.lock();
        // Read within the lock, so that no look comes with an earlier time than the one before it.
        let now = self.clock.elapsed();
        let result = change(&mut state, now);
        let woken = state.give(now);
        drop(state);
        woken.into_iter().for_each(|(_, waker)| waker.wake());
        result
    }
}

/// A call that may be sent, or is under way. Its place is given back when it is dropped.
pub(super) struct Slot {
    queue: Arc<Queue>,
    admission: Admission,
    seat: usize,
    watch: Arc<Watch>,
}

impl Slot {
    /// A call that was admitted and has taken a seat.
    pub(super) fn new(queue: Arc<Queue>, seated: Seated) -> Self {
        Self {
            queue,
            admission: seated.admission,
            seat: seated.seat,
            watch: seated.watch,
        }
    }

    pub(super) const fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// The call is polled again, whose place was lent.
    pub(super) fn is_back(&self) {
        self.queue.lock().in_flight += 1;
    }

    /// Takes note of the response to the call.
    pub(super) fn learn(&self, lesson: Feedback) {
        if self.queue.lock().class.learns_nothing(lesson) {
            return;
        }
        let rest = rest_of_the_second(self.queue.clock.now());
        self.queue.change(|state, now| {
            state.class.learn(self.admission, lesson, now, rest);
        });
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.seats.leave(self.seat);
        if !self.watch.is_aside() {
            state.in_flight -= 1;
        }
        let is_waited_for = !state.waiting.is_empty();
        drop(state);
        if is_waited_for {
            self.queue.change(|state, now| state.quiet_since = now);
        }
    }
}

/// How long it takes until a second of the clock is over.
fn rest_of_the_second(now: SystemTime) -> Duration {
    const SECOND: Duration = Duration::from_secs(1);
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    // Before 1970 the clock is wrong anyway: a whole second is never too short.
    since.map_or(SECOND, |since| {
        SECOND - Duration::from_nanos(since.subsec_nanos().into())
    })
}

/// What makes a [`Slot`].
pub(super) struct Seated {
    admission: Admission,
    seat: usize,
    watch: Arc<Watch>,
}

/// Until when a turn has to sleep.
pub(super) struct Wait {
    pub(super) now: Duration,
    pub(super) until: Duration,
    pub(super) alarm: Alarm,
}

/// Which alarms will do that are set already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alarm {
    /// One at that moment.
    Exact,
    /// One at that moment or before.
    InTime,
    /// Any.
    Rough,
}

pub(super) struct State {
    class: Class,
    max_in_flight: usize,
    /// Calls that hold a place which is not lent, and turns that were given and not come for.
    in_flight: usize,
    seats: Seats,
    /// When a place came back or was found for the last time while somebody waited.
    quiet_since: Duration,
    /// Numbers are given in the order of arrival.
    next_number: u64,
    waiting: BTreeMap<u64, Waker>,
    /// Turns that were given and not yet come for, and when that was.
    given: BTreeMap<u64, (Admission, Duration)>,
    /// Who was first at its last look, and what its alarm was set to.
    alarm_of_first: Option<(u64, Duration)>,
}

impl State {
    /// Whether a call may go past the queue, since nobody is in it.
    pub(super) fn is_free(&mut self, now: Duration) -> bool {
        self.waiting.is_empty() && !self.is_full() && self.class.ready_at(now, false) <= now
    }

    const fn is_full(&self) -> bool {
        self.in_flight >= self.max_in_flight
    }

    fn admit(&mut self, now: Duration) -> Admission {
        self.in_flight += 1;
        self.class.admit(now)
    }

    fn seat(&mut self, admission: Admission) -> Seated {
        let watch = Arc::new(Watch::default());
        let seat = self.seats.take(watch.clone());
        Seated {
            admission,
            seat,
            watch,
        }
    }

    /// Admits a call that has not joined the queue.
    pub(super) fn pass(&mut self, now: Duration) -> Seated {
        let admission = self.admit(now);
        self.seat(admission)
    }

    pub(super) fn join(&mut self, waker: Waker) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.waiting.insert(number, waker);
        number
    }

    /// Keeps the waker of the latest poll, and returns the one before, to be dropped outside. One whose
    /// turn was passed on is in the queue again, where it was.
    pub(super) fn keep(&mut self, number: u64, waker: &Waker) -> Option<Waker> {
        if self.given.contains_key(&number) {
            return None;
        }
        match self.waiting.get(&number) {
            Some(kept) if kept.will_wake(waker) => None,
            _ => self.waiting.insert(number, waker.clone()),
        }
    }

    /// Comes for a turn that was given.
    pub(super) fn take(&mut self, number: u64, now: Duration) -> Option<Seated> {
        let (admission, _) = self.given.remove(&number)?;
        self.quiet_since = now;
        Some(self.seat(admission))
    }

    /// Leaves the queue, or gives a turn back. Returns the waker, to be dropped outside.
    pub(super) fn leave(&mut self, number: u64) -> Option<Waker> {
        self.take_back(number);
        self.waiting.remove(&number)
    }

    fn take_back(&mut self, number: u64) {
        if let Some((admission, _)) = self.given.remove(&number) {
            self.in_flight -= 1;
            self.class.take_back(admission);
        }
    }

    /// Where all places are taken, takes those that nobody makes use of. Returns whether there may soon
    /// be more of them.
    pub(super) fn reclaim(&mut self, now: Duration) -> bool {
        if !self.is_full() || self.waiting.is_empty() {
            return false;
        }
        let late = |since: Duration| since.saturating_add(GRACE) <= now;
        let given = self.given.iter().filter(|(_, (_, since))| late(*since));
        let left: Vec<_> = given.map(|(number, _)| *number).collect();
        left.into_iter().for_each(|number| self.take_back(number));
        let (aside, soon) = self.seats.look(now);
        self.in_flight -= aside;
        soon || !self.given.is_empty()
    }

    /// Gives all turns that are due, and returns whom to wake: those who got one, and the one who is
    /// first then, if it has to sleep for another time than it knows.
    pub(super) fn give(&mut self, now: Duration) -> Vec<(u64, Waker)> {
        let mut woken = Vec::new();
        while !self.is_full() && !self.waiting.is_empty() {
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
                self.given.insert(number, (admission, now));
                woken.push((number, waker));
            }
        }
        woken
    }

    /// Lets one through beyond the bound that has waited since then, where nothing has moved for long:
    /// whoever waited longest, of those who look. Returns its waker too, to be dropped outside.
    pub(super) fn let_through(
        &mut self,
        number: u64,
        since: Duration,
        now: Duration,
    ) -> Option<(Seated, Option<Waker>)> {
        let is_first = self.waiting.keys().next() == Some(&number);
        // The first looks in the time that the others leave it, if anybody polls it.
        let patience = if is_first { STUCK } else { STUCK + SELDOM * 2 };
        let quiet = now.saturating_sub(self.quiet_since.max(since));
        if !self.is_full() || quiet < patience || self.class.ready_at(now, true) > now {
            return None;
        }
        self.quiet_since = now;
        let waker = self.waiting.remove(&number);
        Some((self.pass(now), waker))
    }

    /// Takes note of a time in which nothing could move: one who waits looks more often, unless its
    /// thread was busy, or the machine slept.
    pub(super) fn notice_gap(&mut self, looked: Duration, now: Duration) {
        if looked.saturating_add(SELDOM * 2) < now {
            self.quiet_since = now;
        }
    }

    /// Whether the first should have come for its turn some time ago.
    pub(super) fn is_first_absent(&mut self, now: Duration) -> bool {
        !self.waiting.is_empty()
            && !self.is_full()
            && self.class.ready_at(now, true).saturating_add(GRACE) <= now
    }

    /// Until when the one with this number has to sleep, where it is time that has to pass.
    ///
    /// Whoever waits for a place is woken for it. Its alarm is for the case that those who hold them
    /// are not polled: `soon` where it looks like that, else less and less often, by `looks`.
    ///
    /// Those behind the first sleep until it should be their turn by their number. When it is not,
    /// and the first was absent, they look after each turn from then on, to give it in its stead.
    pub(super) fn wait(
        &mut self,
        number: u64,
        now: Duration,
        is_first_absent: bool,
        soon: bool,
        looks: u32,
    ) -> Option<Wait> {
        let (first, _) = self.waiting.first_key_value()?;
        let ahead = u32::try_from(number - first).unwrap_or(u32::MAX);
        let mut until = self.class.ready_at(now, true);
        let mut alarm = Alarm::Rough;
        if self.is_full() {
            let doubled = GRACE * 2_u32.pow(looks.min(MAX_DOUBLINGS));
            let patience = if soon { GRACE } else { doubled };
            until = until.max(now).saturating_add(patience);
            alarm = Alarm::InTime;
            if ahead == 0 {
                self.alarm_of_first = None;
            }
        } else if ahead == 0 {
            self.alarm_of_first = Some((number, until));
            alarm = Alarm::Exact;
        } else if self.class.is_paced() {
            let turns = if is_first_absent { 0 } else { ahead };
            let turn = self.class.spacing().saturating_mul(turns).max(GRACE);
            until = until.max(now).saturating_add(turn);
        }
        (until > now).then_some(Wait { now, until, alarm })
    }
}

/// How long nothing may move, neither a response nor a given turn, until one call is let through beyond
/// the bound. A registry that is slow takes less; a line that is slow is not worse for one call more.
const STUCK: Duration = Duration::from_secs(10);
/// The longest time between two looks of one that waits for a place.
const SELDOM: Duration = Duration::from_millis(1600);
const MAX_DOUBLINGS: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_second_is_never_nothing() {
        for (millis, rest) in [(5000, 1000), (5001, 999), (5999, 1)] {
            let now = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
            assert_eq!(rest_of_the_second(now), Duration::from_millis(rest));
        }
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(rest_of_the_second(before), Duration::from_secs(1));
    }
}
