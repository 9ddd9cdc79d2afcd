//! Tokens by who asked and for what, and flights, so that one token is fetched once.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::{Duration, SystemTime};

use acr_protocol::{ScopeSet, Secret, TokenClaims};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::error::Error;

/// A moment in the history of a cache: how many tokens had been fetched. The default is before the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Generation(u64);

/// A token with the part of its life that counts here.
#[derive(Debug, Clone)]
pub(crate) struct CachedToken {
    pub(crate) secret: Secret,
    fetched_at: SystemTime,
    refresh_at: SystemTime,
    expires_at: SystemTime,
    /// Whose it is: the place of the credential in a chain.
    pub(crate) identity: usize,
    /// The refresh token that it was fetched with, if that was older than it and of an exchange.
    pub(crate) refresh_token: Option<Generation>,
    /// How long the request for it was held back by the client's own limiter.
    pub(crate) queued: Duration,
    /// When it was fetched.
    pub(crate) generation: Generation,
}

impl CachedToken {
    /// Reads how long the token lives. Only its end counts: the service shares anonymous tokens,
    /// so one may arrive with minutes left of twenty.
    ///
    /// A token that is over when it arrives, by the clock here, has no life to speak of: it serves
    /// the call that waits for it, since the clock there may say otherwise, and is not kept.
    pub(crate) fn new(secret: Secret, now: SystemTime, identity: usize) -> Self {
        let end = TokenClaims::read(secret.expose()).and_then(|claims| claims.expires_at);
        let left = end.map_or(DEFAULT_LIFE, |end| {
            let left = SystemTime::from(end).duration_since(now);
            left.unwrap_or_default().min(MAX_LIFETIME)
        });
        Self {
            secret,
            fetched_at: now,
            refresh_at: now + left - left / SHARE_OF_LIFE,
            expires_at: now + left,
            identity,
            refresh_token: None,
            queued: Duration::ZERO,
            generation: Generation::default(),
        }
    }

    /// Whether the token may still be sent.
    pub(crate) fn is_alive(&self, now: SystemTime) -> bool {
        now < self.expires_at
    }

    /// Whether it is time for a new one, although this one may still be sent.
    pub(crate) fn needs_refresh(&self, now: SystemTime) -> bool {
        now >= self.refresh_at
    }

    /// Puts the renewal off after one that failed, by a share of what is left: not every call is to
    /// wait for a token server that is down, and that server is not to be asked at every call.
    pub(crate) fn defer_refresh(&mut self, now: SystemTime) {
        let left = self.expires_at.duration_since(now).unwrap_or_default();
        self.refresh_at = now + left / SHARE_OF_LIFE;
    }

    /// Whether it has been here for so long.
    pub(crate) fn is_older_than(&self, age: Duration, now: SystemTime) -> bool {
        now.duration_since(self.fetched_at)
            .is_ok_and(|passed| passed >= age)
    }

    /// The end of its life, as far as it counts here.
    pub(crate) const fn expires_at(&self) -> SystemTime {
        self.expires_at
    }
}

/// Access tokens by the scope they were asked for, and whose they are: one for each identity of a
/// chain at most. The registry is not part of the key, because a cache belongs to the clients of one
/// registry. In order, so that which of several is taken does not change from run to run.
#[derive(Debug, Default)]
pub(crate) struct TokenCache {
    tokens: BTreeMap<ScopeSet, Vec<CachedToken>>,
    /// When those that are over are looked for again.
    sweep_at: Option<SystemTime>,
    generation: Generation,
}

impl TokenCache {
    /// The generation of the latest token.
    pub(crate) const fn generation(&self) -> Generation {
        self.generation
    }

    /// Begins the generation of a token that was just fetched.
    pub(crate) const fn next_generation(&mut self) -> Generation {
        self.generation.0 += 1;
        self.generation
    }

    /// Finds a living token of an identity that was asked for with this scope, or with one that
    /// covers it; only among those of a later generation.
    pub(crate) fn find(
        &self,
        identity: usize,
        scope: &ScopeSet,
        after: Generation,
        now: SystemTime,
    ) -> Option<&CachedToken> {
        let fits = |token: &&CachedToken| {
            token.identity == identity && token.generation > after && token.is_alive(now)
        };
        let exact = self.tokens.get(scope);
        exact
            .and_then(|tokens| tokens.iter().find(fits))
            .or_else(|| {
                let covering = self.tokens.iter().filter(|(held, _)| held.covers(scope));
                covering.flat_map(|(_, tokens)| tokens).find(fits)
            })
    }

    /// Begins the generation of a token, and keeps it if it has a life.
    pub(crate) fn insert(
        &mut self,
        scope: ScopeSet,
        mut token: CachedToken,
        now: SystemTime,
    ) -> CachedToken {
        token.generation = self.next_generation();
        if !token.is_alive(now) {
            return token;
        }
        if self.tokens.len() >= MAX_SCOPES || self.sweep_at.is_none_or(|at| at <= now) {
            self.keep(|token| token.is_alive(now));
            self.sweep_at = Some(now + SWEEP);
        }
        if self.tokens.len() >= MAX_SCOPES {
            // Which ones go matters little: a token that is missed costs one request.
            let first = self.tokens.keys().next().cloned();
            first.and_then(|scope| self.tokens.remove(&scope));
        }
        let tokens = self.tokens.entry(scope).or_default();
        tokens.retain(|held| held.identity != token.identity);
        tokens.push(token.clone());
        token
    }

    /// Puts the renewal of a token off, under whatever scope it is held.
    pub(crate) fn defer_refresh(&mut self, token: &Secret, now: SystemTime) {
        let held = self.tokens.values_mut().flatten();
        for held in held.filter(|held| held.secret == *token) {
            held.defer_refresh(now);
        }
    }

    /// Drops a token that the registry refused, under whatever scope it is held.
    pub(crate) fn remove(&mut self, refused: &Secret) {
        self.keep(|token| token.secret != *refused);
    }

    fn keep(&mut self, keeps: impl Fn(&CachedToken) -> bool) {
        self.tokens.retain(|_, tokens| {
            tokens.retain(|token| keeps(token));
            !tokens.is_empty()
        });
    }
}

/// Work under way by its key, so that all who need its outcome wait for the one that is begun.
///
/// The map holds the flights weakly: one that nobody waits for any more is dropped, and one that
/// holds the client is not kept alive by the client's own cache.
#[derive(Debug)]
pub(crate) struct SingleFlight<K>(HashMap<K, WeakShared<Flight>>);

/// A request for a token under way.
pub(crate) type Flight = BoxFuture<'static, Result<CachedToken, Error>>;

impl<K: Hash + Eq> SingleFlight<K> {
    /// Returns the flight with this key, if one is under way.
    pub(crate) fn in_progress(&self, key: &K) -> Option<Shared<Flight>> {
        let flight = self.0.get(key)?.upgrade()?;
        // An outcome that is there already is in the cache, or was an error that must not last.
        flight.peek().is_none().then_some(flight)
    }

    /// Begins a flight.
    pub(crate) fn begin(&mut self, key: K, work: Flight) -> Shared<Flight> {
        self.0.retain(|_, flight| flight.upgrade().is_some());
        let flight = work.shared();
        if let Some(weak) = flight.downgrade() {
            self.0.insert(key, weak);
        }
        flight
    }
}

impl<K> Default for SingleFlight<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

/// The life of a token that does not say: what Docker's token protocol has as its default.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// A century: what a token may say beyond it would not fit a clock.
const MAX_LIFETIME: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
/// A token is renewed when this part of what was left of its life at its arrival remains: seven
/// minutes and a half of the service's 75. A fixed margin would renew a token that arrives with less
/// at every call.
const SHARE_OF_LIFE: u32 = 10;
/// How often tokens that are over are thrown away.
const SWEEP: Duration = Duration::from_secs(60);
/// Enough for a walk through a large registry in two scopes, and a bound for one that never ends.
const MAX_SCOPES: usize = 4096;

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn after(seconds: u64) -> SystemTime {
        NOW + Duration::from_secs(seconds)
    }

    fn jwt(exp: u64) -> Secret {
        let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{exp}}}"#));
        Secret::new(format!("e30.{payload}.e30"))
    }

    fn scope(text: &str) -> ScopeSet {
        text.parse().unwrap()
    }

    const FIRST: Generation = Generation(0);

    #[test]
    fn the_last_tenth_of_a_life_is_for_the_renewal() {
        let token = CachedToken::new(jwt(4500), NOW, 0);
        assert!(!token.needs_refresh(after(4049)) && token.needs_refresh(after(4050)));
        assert!(token.is_alive(after(4499)) && !token.is_alive(after(4500)));
    }

    #[test]
    fn a_token_that_arrives_late_in_its_life_is_still_used() {
        let token = CachedToken::new(jwt(1200), after(990), 0);
        assert!(!token.needs_refresh(after(1178)) && token.needs_refresh(after(1179)));
    }

    #[test]
    fn a_token_that_does_not_say_lives_for_a_minute() {
        let token = CachedToken::new(Secret::new("opaque"), after(100), 0);
        assert!(token.is_alive(after(159)) && !token.is_alive(after(160)));
    }

    #[test]
    fn a_token_that_arrives_over_is_not_kept() {
        let token = CachedToken::new(jwt(50), after(100), 0);
        assert!(!token.is_alive(after(100)));
        let mut cache = TokenCache::default();
        cache.insert(scope("repository:a:pull"), token, after(100));
        assert!(cache.tokens.is_empty());
    }

    #[test]
    fn a_life_beyond_all_time_is_held_to_a_century() {
        let token = CachedToken::new(jwt(u64::MAX), NOW, 0);
        assert!(token.is_alive(NOW + Duration::from_secs(3_000_000_000)));
    }

    #[test]
    fn a_token_serves_only_whose_it_is() {
        let mut cache = TokenCache::default();
        let pull = scope("repository:a:pull");
        cache.insert(pull.clone(), CachedToken::new(jwt(1000), NOW, 1), NOW);
        assert!(
            cache.find(1, &pull, FIRST, NOW).is_some()
                && cache.find(0, &pull, FIRST, NOW).is_none()
        );
    }

    #[test]
    fn a_token_serves_every_scope_that_its_own_covers() {
        let mut cache = TokenCache::default();
        let token = CachedToken::new(jwt(1000), NOW, 0);
        cache.insert(scope("repository:a:pull,push"), token, NOW);
        for (needed, found) in [
            ("repository:a:push,pull", true),
            ("repository:a:pull", true),
            ("", true),
            ("repository:a:delete", false),
            ("repository:b:pull", false),
        ] {
            assert_eq!(
                cache.find(0, &scope(needed), FIRST, NOW).is_some(),
                found,
                "{needed}"
            );
        }
        assert!(
            cache
                .find(0, &scope("repository:a:pull"), FIRST, after(1000))
                .is_none()
        );
    }

    #[test]
    fn a_refused_token_is_gone_for_every_scope() {
        let mut cache = TokenCache::default();
        let token = CachedToken::new(jwt(1000), NOW, 0);
        cache.insert(scope("repository:a:pull"), token.clone(), NOW);
        cache.insert(scope("repository:b:pull"), token, NOW);
        cache.remove(&jwt(1000));
        assert!(cache.find(0, &scope(""), FIRST, NOW).is_none());
    }

    #[test]
    fn only_tokens_of_a_later_generation_are_found_where_the_earlier_ones_may_have_ended() {
        let mut cache = TokenCache::default();
        let pull = scope("repository:a:pull");
        cache.insert(pull.clone(), CachedToken::new(jwt(1000), NOW, 0), NOW);
        let refused = cache.generation();
        assert!(cache.find(0, &pull, refused, NOW).is_none());
        let wider = scope("repository:a:pull,push");
        cache.insert(wider, CachedToken::new(jwt(1001), NOW, 0), NOW);
        assert_eq!(
            cache.find(0, &pull, refused, NOW).unwrap().secret,
            jwt(1001)
        );
    }

    #[test]
    fn the_cache_has_a_bound() {
        let mut cache = TokenCache::default();
        for index in 0..=MAX_SCOPES {
            let token = CachedToken::new(jwt(1000), NOW, 0);
            cache.insert(scope(&format!("repository:r{index}:pull")), token, NOW);
        }
        assert_eq!(cache.tokens.len(), MAX_SCOPES);
    }

    #[tokio::test]
    async fn a_flight_is_shared_while_it_lasts_and_forgotten_when_nobody_waits() {
        let mut flights = SingleFlight::default();
        let work = || -> Flight { Box::pin(async { Ok(CachedToken::new(jwt(1000), NOW, 0)) }) };
        let first = flights.begin("a", work());
        let second = flights.in_progress(&"a").unwrap();
        assert!(flights.in_progress(&"b").is_none());
        assert_eq!(first.await.unwrap().secret, second.await.unwrap().secret);
        assert!(flights.in_progress(&"a").is_none());

        drop(flights.begin("a", work()));
        assert!(flights.in_progress(&"a").is_none());
    }
}
