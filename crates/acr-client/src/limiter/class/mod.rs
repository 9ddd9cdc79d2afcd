//! What is known of one class of operations, and when its next call may be sent.

use std::time::Duration;

use super::limit::Limit;
use super::recent::Recent;

/// What is known of one class. All moments are those of [`Clock::elapsed`](acr_clock::Clock::elapsed).
#[derive(Debug)]
pub(super) struct Class {
    max_pause: Duration,
    recent: Recent,
    /// The most calls per second that the registry ever said were left.
    ceiling: Option<f64>,
    /// What was found out by a refusal, until it is outgrown.
    limit: Option<Limit>,
    /// How many times the rate was halved. Calls know what it was when they were sent.
    halvings: u64,
    /// How many halvings there were since a call was let through.
    in_a_row: u32,
    closed_until: Duration,
    /// When the next call may be sent, where calls are spaced.
    next: Duration,
}

/// What a class keeps in mind of a call that it has admitted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Admission {
    /// How many calls the last second had, with this one.
    sent: u32,
    halvings: u64,
    /// What it has added to `next`.
    spacing: Duration,
}

/// What a response says about limits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Feedback {
    pub(super) verdict: Outcome,
    /// How many calls per second are left, this one included.
    pub(super) left: Option<f64>,
}

/// Whether a call came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was too much, and the registry may have said how long to wait.
    Refused(Option<Duration>),
    LetThrough,
    /// It failed for another reason, before or after it was counted.
    Unclear,
}

impl Class {
    /// A class without limits, to be closed for no longer than this by one response.
    pub(super) fn new(max_pause: Duration) -> Self {
        Self {
            max_pause,
            recent: Recent::default(),
            ceiling: None,
            limit: None,
            halvings: 0,
            in_a_row: 0,
            closed_until: Duration::ZERO,
            next: Duration::ZERO,
        }
    }

    /// Whether calls may have to wait for their time, not just for a place.
    pub(super) fn is_paced(&self) -> bool {
        self.limit.is_some() || self.ceiling.is_some()
    }

    /// When the next call may be sent; it may be over already.
    ///
    /// Below the ceiling a few calls may go at once, as long as no second has more than the registry
    /// lets through. Where others wait already (`is_queued`) they go evenly spaced, and so they do
    /// after a refusal: then nobody knows how the registry counts.
    pub(super) fn ready_at(&mut self, now: Duration, is_queued: bool) -> Duration {
        let mut ready = self.closed_until;
        if let Some(ceiling) = self.ceiling {
            // Saturates, and a ceiling is 1 at least.
            ready = ready.max(self.recent.falls_below(ceiling as u32, now));
        }
        if self.limit.is_some() || (is_queued && self.ceiling.is_some()) {
            ready = ready.max(self.next);
        }
        ready
    }

    /// The time from one call to the next where they are spaced, else nothing.
    pub(super) fn spacing(&self) -> Duration {
        let below_ceiling = self.ceiling.map(below);
        let rate = match (self.limit, below_ceiling) {
            (None, None) => return Duration::ZERO,
            (Some(limit), None) => limit.rate(),
            (None, Some(ceiling)) => ceiling,
            (Some(limit), Some(ceiling)) => limit.rate().min(ceiling),
        };
        Duration::try_from_secs_f64(1.0 / rate).unwrap_or(SECOND)
    }

    /// Takes note of a call that is sent now.
    pub(super) fn admit(&mut self, now: Duration) -> Admission {
        let spacing = self.spacing();
        // A timer that fires a little late must not make the rate lower; a pause makes no debt.
        let from = if now < self.next {
            now
        } else {
            self.next.max(now.saturating_sub(LATE))
        };
        self.next = from.saturating_add(spacing);
        Admission {
            sent: self.recent.add(now),
            halvings: self.halvings,
            spacing,
        }
    }

    /// Undoes `admit` for a caller that was cancelled.
    pub(super) fn take_back(&mut self, admission: Admission) {
        self.next = self.next.saturating_sub(admission.spacing);
        self.recent.take_back();
    }

    /// Whether a response is of no interest, which is so for most classes at most times.
    pub(super) fn learns_nothing(&self, lesson: Feedback) -> bool {
        let is_told = lesson.left.is_some() || matches!(lesson.verdict, Outcome::Refused(_));
        !is_told && self.limit.is_none()
    }

    /// Takes note of a response; `rest` is what is left of this second of the clock.
    pub(super) fn learn(
        &mut self,
        admission: Admission,
        lesson: Feedback,
        now: Duration,
        rest: Duration,
    ) {
        if let Some(left) = lesson.left {
            self.observe_remaining(left, now, rest);
        }
        match lesson.verdict {
            Outcome::Refused(pause) => self.refused(admission, now, pause),
            Outcome::LetThrough => self.let_through(admission),
            Outcome::Unclear => {}
        }
    }

    fn observe_remaining(&mut self, left: f64, now: Duration, rest: Duration) {
        if !left.is_finite() || !(0.0..=MAX_BELIEVED).contains(&left) {
            return;
        }
        // The count begins anew in each second, so the highest value is what a second has.
        self.ceiling = Some(self.ceiling.unwrap_or(1.0).max(left));
        // The first call of a second is told as many as the second has: its own counts as left. So
        // less than two are less than one more.
        if left < 2.0 {
            self.block_until(now.saturating_add(rest.min(self.max_pause)));
        }
    }

    fn refused(&mut self, admission: Admission, now: Duration, pause: Option<Duration>) {
        // A pause of nothing says no more than none: some recorders add it to every response.
        let asked = pause.filter(|pause| !pause.is_zero());
        // Whatever was under way when the rate was halved says nothing about the new rate.
        let is_news = admission.halvings == self.halvings;
        if is_news {
            self.halvings += 1;
            match &mut self.limit {
                Some(limit) => limit.halve(admission.sent),
                None => self.limit = Some(Limit::new(admission.sent)),
            }
        }
        let pause = match asked {
            Some(asked) => asked,
            None if is_news => SECOND * 2_u32.pow(self.in_a_row.min(MAX_DOUBLINGS)),
            None => Duration::ZERO,
        };
        if is_news {
            self.in_a_row = self.in_a_row.saturating_add(1);
        }
        self.block_until(now.saturating_add(pause.min(self.max_pause)));
    }

    fn let_through(&mut self, admission: Admission) {
        let Some(limit) = &mut self.limit else {
            return;
        };
        if admission.halvings != self.halvings {
            return;
        }
        self.in_a_row = 0;
        limit.grow(admission.sent);
        let is_above_ceiling = self
            .ceiling
            .is_some_and(|ceiling| limit.rate() >= below(ceiling));
        if limit.is_outgrown() || is_above_ceiling {
            self.limit = None;
        }
    }

    fn block_until(&mut self, until: Duration) {
        self.closed_until = self.closed_until.max(until);
    }
}

/// The rate at which calls are spaced below a ceiling. At the ceiling itself, two calls that change
/// places on the way would be one too many for a second.
fn below(ceiling: f64) -> f64 {
    ceiling * 0.9
}

/// How long a class is closed by a refusal that does not say: the service counts by the second.
const SECOND: Duration = Duration::from_secs(1);
/// Where refusal follows on refusal the pause is doubled up to 8 seconds: the service has limits by
/// the minute, too, and when one is used up, trying each second only costs.
const MAX_DOUBLINGS: u32 = 3;
/// How much of a timer's delay the next calls make up for.
const LATE: Duration = Duration::from_millis(50);
/// A larger number of calls per second is not a limit but a mistake.
const MAX_BELIEVED: f64 = 1e6;

#[cfg(test)]
mod tests;
