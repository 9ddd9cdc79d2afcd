//! Whether a failed attempt is repeated, and when.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use acr_clock::Clock;
use acr_protocol::ErrorCode;
use fastrand::Rng;
use futures_util::future::{Either, select};

use crate::call_options::CallOptions;
use crate::error::{Advice, Error, ErrorKind};

/// How often, when and for how long failed attempts are repeated.
///
/// Repeated is what may heal by itself: a refusal for too many requests (429), a failing server (408
/// and 5xx, but for 501 and 505), a connection that broke or did not come to be, a silent server, and
/// twice a storage that refuses the URL that the registry has signed, for the next one is a new one. That
/// goes for the requests for tokens too. What changes something and cannot be done twice, such as a chunk of
/// an upload, is repeated only when the server has certainly not carried it out. Every other refusal
/// is final at once, and so are a server that is not trusted, a proxy that refuses, and a response that is
/// not HTTP.
///
/// An endpoint where nobody listens, or whose name nobody knows, may be there again in a moment. So a
/// mistake in it is told after all attempts, with the default options after four to eight seconds.
///
/// A delete is repeated too. When its response was lost, the next one finds nothing, and the method says
/// that there was nothing.
///
/// ```
/// use std::time::Duration;
/// use acr_client::RetryOptions;
///
/// let patient = RetryOptions { max_retries: 9, ..Default::default() };
/// let bounded = RetryOptions { deadline: Some(Duration::from_secs(60)), ..Default::default() };
/// let in_a_test = RetryOptions { seed: Some(7), ..Default::default() };
/// let once = RetryOptions::none();
/// # let _ = (patient, bounded, in_a_test, once);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryOptions {
    /// How often a failed attempt is repeated at most. The default is 4; with 0 nothing is. Meeting a
    /// challenge for a token is not an attempt of its own.
    pub max_retries: u32,
    /// How long the pause before the first repetition is at most; each further one doubles it. Of each
    /// pause a random part, up to half, is left out, so that clients do not come back all at once. The
    /// default is half a second.
    pub base_delay: Duration,
    /// The longest pause of the client's own choice. The default is 30 seconds.
    pub max_delay: Duration,
    /// The longest pause that a registry may ask for in `Retry-After`. One that asks for more is not
    /// waited for: the operation fails, and the error says how long it should have been. The default
    /// is 2 minutes.
    pub max_retry_after: Duration,
    /// How long one operation may take with all its attempts and pauses, from its call to the head of
    /// its response, or to the end of a body that is read whole. Time spent queued by the client's own
    /// limiter is not counted. A request for a token is shared by all who wait for it, so it has this
    /// bound for itself, and an operation may end later by as much; [`CallOptions::deadline`] has no
    /// such exception. A download that breaks when bytes have come has this time again to go on. There is none by
    /// default.
    pub deadline: Option<Duration>,
    /// How many repetitions all clones of a client have together. Each takes one, and each success
    /// gives a fifth of one back, so that a registry that is down is not asked five times for
    /// everything. The default is 500.
    pub retry_budget: u32,
    /// What the random part of the pauses is drawn from, for tests: clients with the same seed that do
    /// the same on one thread pause for the same times. `None`, the default, draws from the system once
    /// for each client that is built, so that no two clients have the same pauses. All clones of a
    /// client, and its requests for tokens, draw in turn from one generator.
    pub seed: Option<u64>,
}

impl RetryOptions {
    /// Repeats nothing.
    #[must_use]
    pub fn none() -> Self {
        Self {
            max_retries: 0,
            ..Self::default()
        }
    }
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            max_retries: 4,
            base_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(30),
            max_retry_after: Duration::from_secs(120),
            deadline: None,
            retry_budget: 500,
            seed: None,
        }
    }
}

/// What all clones of a client share: the options, and how many repetitions are left.
#[derive(Clone)]
pub(crate) struct RetryPolicy(Arc<Inner>);

struct Inner {
    options: RetryOptions,
    clock: Arc<dyn Clock>,
    /// Repetitions that are left. A std mutex, held for one sum.
    budget: Mutex<f64>,
    /// What pauses are drawn from. A std mutex, held for one draw. Not the thread's generator: nobody
    /// can say what else draws from that.
    random: Mutex<Rng>,
}

impl RetryPolicy {
    pub(crate) fn new(options: RetryOptions, clock: Arc<dyn Clock>) -> Self {
        let budget = Mutex::new(f64::from(options.retry_budget));
        let random = Mutex::new(Rng::with_seed(options.seed.unwrap_or_else(from_system)));
        Self(Arc::new(Inner {
            options,
            clock,
            budget,
            random,
        }))
    }

    /// Begins an operation. `repeatable`: whether doing it twice does no harm.
    pub(crate) fn begin(&self, repeatable: bool, call: &CallOptions) -> RetryState {
        let own = &self.0.options;
        let progress = Progress {
            patience: call.wait_for_replication.map(Patience::new),
            ..Progress::default()
        };
        let deadline = call.deadline.or(own.deadline);
        RetryState {
            // Nobody asks for it where there is no deadline.
            started: deadline.map(|_| self.0.clock.elapsed()),
            deadline,
            bounds_tokens: call.deadline.is_some(),
            max_retries: call.max_retries.unwrap_or(own.max_retries),
            policy: self.clone(),
            repeatable,
            attempt: AtomicU32::new(1),
            requests: AtomicU32::new(0),
            progress: Mutex::new(progress),
        }
    }

    /// Takes one repetition from the budget, if there is one.
    fn spend(&self) -> bool {
        let mut left = self.0.budget.lock().unwrap_or_else(PoisonError::into_inner);
        if *left < 1.0 {
            return false;
        }
        *left -= 1.0;
        true
    }

    fn give_back(&self, repetitions: f64) {
        let most = f64::from(self.0.options.retry_budget);
        let mut left = self.0.budget.lock().unwrap_or_else(PoisonError::into_inner);
        *left = (*left + repetitions).min(most);
    }

    /// The next random number, from 0 to 1.
    fn draw(&self) -> f64 {
        let mut random = self.0.random.lock().unwrap_or_else(PoisonError::into_inner);
        random.f64()
    }

    /// The pause before the next attempt, when so many have failed.
    fn pause(&self, failed: u32, asked: Option<Duration>) -> Duration {
        let options = &self.0.options;
        let doubled = 2_u32.saturating_pow(failed.saturating_sub(1).min(31));
        let own = options.base_delay.saturating_mul(doubled);
        let own = own.min(options.max_delay);
        // Half of it is certain, the other half random.
        let half = own / 2;
        let own = half.saturating_add(half.mul_f64(self.draw()));
        // What the registry asks for is the least; who came at once with others does not come back
        // at once with them.
        asked.map_or(own, |asked| {
            asked.saturating_add(own.min(asked / 10 + JITTER_BEHIND_RETRY_AFTER))
        })
    }
}

/// The attempts at one operation.
pub(crate) struct RetryState {
    policy: RetryPolicy,
    repeatable: bool,
    max_retries: u32,
    deadline: Option<Duration>,
    /// Whether the deadline is one for the wait for a token too.
    bounds_tokens: bool,
    /// By the clock's elapsed time.
    started: Option<Duration>,
    attempt: AtomicU32,
    /// How many requests were sent, those that met a challenge included.
    requests: AtomicU32,
    progress: Mutex<Progress>,
}

/// How far the attempts are.
#[derive(Debug, Default)]
struct Progress {
    /// How many attempts have failed.
    failed: u32,
    /// How many of those because what a redirect led to refused its own URL.
    refused_urls: u32,
    /// How many repetitions were taken from the client's budget.
    spent: u32,
    /// Time that the client itself made the operation wait.
    queued: Duration,
    /// How long what is not found may still be waited for.
    patience: Option<Patience>,
    /// What the last attempt but this one has failed by.
    last: Option<Error>,
}

/// The waiting for what was just pushed.
#[derive(Debug)]
struct Patience {
    whole: Duration,
    /// What the pauses so far have left of it. The clock alone would not do, since it may stand.
    left: Duration,
    misses: u32,
    /// When the first miss was, and how long the client had made the operation wait until then.
    since: Option<(Duration, Duration)>,
}

impl Patience {
    const fn new(whole: Duration) -> Self {
        Self {
            whole,
            left: whole,
            misses: 0,
            since: None,
        }
    }
}

impl RetryState {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the work until an attempt at it succeeds, or its failure is final: the one loop of retries.
    ///
    /// # Errors
    /// The failure that is final.
    pub(crate) async fn run<T, F>(&self, once: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        loop {
            match once().await {
                Ok(done) => {
                    self.policy.give_back(SHARE_OF_SUCCESS);
                    return Ok(done);
                }
                Err(failure) => self.next_attempt(failure).await?,
            }
        }
    }

    /// Waits until the operation may be tried again after this failure, and begins the next attempt.
    ///
    /// # Errors
    /// The failure itself, where it is final.
    pub(crate) async fn next_attempt(&self, failure: Error) -> Result<(), Error> {
        self.retry_or_fail(failure).await?;
        self.attempt.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Takes note that the work has come further than before: failures so far no longer count, the deadline
    /// is as far away as at the beginning, and repetitions go back to the client's budget.
    pub(crate) fn progressed(&mut self) {
        let progress = self.progress.get_mut();
        let progress = progress.unwrap_or_else(PoisonError::into_inner);
        self.policy.give_back(f64::from(progress.spent));
        *progress = Progress {
            patience: progress.patience.take(),
            ..Progress::default()
        };
        self.started = self.started.map(|_| self.policy.0.clock.elapsed());
    }

    /// The number of the attempt that is made, from 1 on.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempt.load(Ordering::Relaxed)
    }

    /// Takes note of one more request, and returns its number.
    pub(crate) fn count_request(&self) -> u32 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Leaves a request out of the count that was not one of the operation's own.
    pub(crate) fn uncount_request(&self) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many requests were sent.
    pub(crate) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Takes note of time that is not the operation's.
    pub(crate) fn exclude_queued(&self, queued: Duration) {
        let mut progress = self.progress();
        progress.queued = progress.queued.saturating_add(queued);
    }

    /// How much of the time was not the operation's.
    pub(crate) fn queued(&self) -> Duration {
        self.progress().queued
    }

    /// What is left until the deadline, if there is one.
    fn left(&self) -> Option<Duration> {
        let (deadline, started) = self.deadline.zip(self.started)?;
        let passed = self.policy.0.clock.elapsed().saturating_sub(started);
        let passed = passed.saturating_sub(self.queued());
        Some(deadline.saturating_sub(passed))
    }

    /// Does a part of the work, unless the deadline comes first.
    ///
    /// The work is pinned by the caller: if it were moved in here, each future that waits for it would
    /// have room for it twice, and is copied when it is boxed.
    pub(crate) async fn with_deadline<T>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + Unpin,
    ) -> Result<T, Error> {
        match self.left() {
            Some(left) => self.within(left, work).await,
            None => work.await,
        }
    }

    async fn within<T>(
        &self,
        left: Duration,
        work: impl Future<Output = Result<T, Error>> + Send + Unpin,
    ) -> Result<T, Error> {
        if left.is_zero() {
            return Err(self.late());
        }
        match select(work, self.policy.0.clock.sleep(left)).await {
            Either::Left((done, _)) => done,
            Either::Right(((), _)) => Err(self.late()),
        }
    }

    /// Waits for a token, whose request has a bound of its own. Where another one is at hand, half of the
    /// time is left for the operation with that one.
    pub(crate) async fn wait_for_token<T>(
        &self,
        token: impl Future<Output = Result<T, Error>> + Send + Unpin,
        has_another: bool,
    ) -> Result<T, Error> {
        match self.left().filter(|_| self.bounds_tokens) {
            Some(left) if has_another => self.within(left / 2, token).await,
            Some(left) => self.within(left, token).await,
            None => token.await,
        }
    }

    /// Whether a wait for a token ended with the operation's time, and so says nothing of the token server.
    pub(crate) fn is_out_of_time(&self) -> bool {
        self.bounds_tokens && self.left().is_some_and(|left| left.is_zero())
    }

    fn late(&self) -> Error {
        let deadline = self.deadline.unwrap_or_default();
        let text = format!("the operation was not done within its deadline of {deadline:?}");
        let late = Error::new(ErrorKind::Timeout, &*text).deadline_exceeded();
        match &self.progress().last {
            Some(last) => {
                let text = format!("{text}; before that: {last}");
                late.with_message(text).with_source(last.clone())
            }
            None => late,
        }
    }

    /// Waits until the operation may be tried again after this failure.
    ///
    /// # Errors
    /// The failure itself, where it is final.
    pub(crate) async fn retry_or_fail(&self, failure: Error) -> Result<(), Error> {
        if let Some(pause) = self.wait_for_replicas(&failure) {
            self.backoff(failure, pause).await;
            return Ok(());
        }
        let is_of_url = failure.is_of_redirect_url();
        let (failed, refused_urls) = {
            let mut progress = self.progress();
            progress.failed += 1;
            progress.refused_urls += u32::from(is_of_url);
            (progress.failed, progress.refused_urls)
        };
        let is_worth_it =
            failure.advice() == Advice::RetryAfter || is_of_url && refused_urls <= MAX_FRESH_URLS;
        if failure.is_final() {
            // A request for a token that was repeated already.
            return Err(failure);
        }
        if failure.is_past_deadline()
            || !is_worth_it
            || !(self.repeatable || failure.was_not_carried_out())
        {
            return Err(failure.after(failed, ""));
        }
        let options = &self.policy.0.options;
        if failed > self.max_retries {
            return Err(failure.after(failed, ""));
        }
        // A pause of nothing says no more than none: some recorders add it to every response.
        let asked = failure.retry_after().filter(|asked| !asked.is_zero());
        if asked.is_some_and(|asked| asked > options.max_retry_after) {
            return Err(failure.after(failed, "the registry asks for too long a pause"));
        }
        let pause = self.policy.pause(failed, asked);
        if self.left().is_some_and(|left| left <= pause) {
            return Err(failure.after(failed, "the deadline comes before the next attempt"));
        }
        if !self.policy.spend() {
            return Err(failure.after(failed, "the client's budget of retries is used up"));
        }
        self.progress().spent += 1;
        self.backoff(failure, pause).await;
        Ok(())
    }

    /// Pauses after a failure.
    async fn backoff(&self, failure: Error, pause: Duration) {
        {
            let mut progress = self.progress();
            crate::trace::repeating(&failure, progress.failed, pause);
            progress.last = Some(failure);
        }
        self.policy.0.clock.sleep(pause).await;
    }

    /// How long to wait until a replica may have heard of what it does not know, if it is worth it.
    fn wait_for_replicas(&self, failure: &Error) -> Option<Duration> {
        let deadline = self.left();
        let now = self.policy.0.clock.elapsed();
        let mut progress = self.progress();
        let queued = progress.queued;
        let patience = progress.patience.as_mut()?;
        let is_missing = failure.kind() == ErrorKind::NotFound
            || failure.code() == Some(&ErrorCode::MANIFEST_BLOB_UNKNOWN);
        // An upload that is lost does not come back.
        if !is_missing || failure.advice() == Advice::NewSession {
            return None;
        }
        let (first, queued_before) = *patience.since.get_or_insert((now, queued));
        let passed = now.saturating_sub(first);
        let passed = passed.saturating_sub(queued.saturating_sub(queued_before));
        let left = patience.left.min(patience.whole.saturating_sub(passed));
        if left.is_zero() {
            return None;
        }
        patience.misses = patience.misses.saturating_add(1);
        let pause = self.policy.pause(patience.misses, None);
        let pause = pause.max(MIN_REPLICATION_DELAY).min(left);
        if deadline.is_some_and(|left| left <= pause) {
            return None;
        }
        patience.left = patience.left.saturating_sub(pause);
        Some(pause)
    }
}

/// A seed from the system's random numbers. Not by way of the thread's generator, which a program may
/// have seeded itself, the same on each of its machines.
fn from_system() -> u64 {
    RandomState::new().hash_one(())
}

/// What a success gives back to the budget. Steady state: one retry per five successes.
const SHARE_OF_SUCCESS: f64 = 0.2;
/// A URL that was signed may have expired on the way, or its signer's key have changed; what refuses more of
/// them refuses all.
const MAX_FRESH_URLS: u32 = 2;
const JITTER_BEHIND_RETRY_AFTER: Duration = Duration::from_millis(100);
/// Options without pauses must not make an endless loop of the waiting.
const MIN_REPLICATION_DELAY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use acr_clock::VirtualClock;

    use super::*;

    fn pauses(seed: Option<u64>) -> Vec<Duration> {
        // A program may use the thread's generator as it likes.
        fastrand::seed(1);
        let options = RetryOptions {
            seed,
            ..RetryOptions::default()
        };
        let policy = RetryPolicy::new(options, Arc::new(VirtualClock::new()));
        (1..9).map(|failed| policy.pause(failed, None)).collect()
    }

    #[test]
    fn a_seed_gives_the_same_pauses_each_time() {
        let once = pauses(Some(7));
        assert_eq!(pauses(Some(7)), once);
        assert_ne!(pauses(Some(8)), once);
    }

    #[test]
    fn clients_without_a_seed_do_not_come_back_at_the_same_times() {
        assert_ne!(pauses(None), pauses(None));
    }

    #[test]
    fn half_of_a_pause_is_certain_and_half_is_random() {
        for seed in 0..100 {
            let mut whole = Duration::from_millis(500);
            for pause in pauses(Some(seed)) {
                assert!(
                    whole / 2 <= pause && pause <= whole,
                    "seed {seed}: {pause:?}"
                );
                whole = (whole * 2).min(Duration::from_secs(30));
            }
        }
    }
}
