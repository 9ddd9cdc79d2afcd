//! Tokens by the scope they were asked for, and flights, so that one token is fetched once.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, SystemTime};

use acr_protocol::{ScopeSet, Secret, TokenClaims};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::error::Error;

/// A token with the part of its life that counts here.
#[derive(Debug, Clone)]
pub(crate) struct CachedToken {
    pub(crate) secret: Secret,
    refresh_at: SystemTime,
    expires_at: SystemTime,
}

impl CachedToken {
    /// Reads how long the token lives. Only its end counts: the service shares anonymous tokens,
    /// so one may arrive with minutes left of twenty.
    pub(crate) fn new(secret: Secret, now: SystemTime) -> Self {
        let end = TokenClaims::read(secret.expose()).and_then(|claims| claims.expires_at);
        let left = end
            .and_then(|end| SystemTime::from(end).duration_since(now).ok())
            // A token that is over when it arrives tells of a clock that is wrong here or there.
            .filter(|left| !left.is_zero())
            .unwrap_or(DEFAULT_LIFE);
        Self {
            secret,
            refresh_at: now + left - MOST_MARGIN.min(left / SHARE_OF_LIFE),
            expires_at: now + left,
        }
    }

    /// Whether the token may still be sent.
    pub(crate) fn is_alive(&self, now: SystemTime) -> bool {
        now < self.expires_at
    }

    /// Whether it is time for a new one, although this one may still be sent.
    pub(crate) fn is_due(&self, now: SystemTime) -> bool {
        now >= self.refresh_at
    }
}

/// Access tokens by the scope they were asked for.
#[derive(Debug, Default)]
pub(crate) struct TokenCache(HashMap<ScopeSet, CachedToken>);

impl TokenCache {
    /// Finds a living token that was asked for with this scope, or with one that covers it.
    pub(crate) fn find(&self, scope: &ScopeSet, now: SystemTime) -> Option<&CachedToken> {
        let alive = |token: &&CachedToken| token.is_alive(now);
        self.0.get(scope).filter(alive).or_else(|| {
            let mut others = self.0.iter().filter(|(held, _)| held.covers(scope));
            others.find_map(|(_, token)| Some(token).filter(alive))
        })
    }

    pub(crate) fn insert(&mut self, scope: ScopeSet, token: CachedToken, now: SystemTime) {
        if self.0.len() >= MOST_TOKENS {
            self.0.retain(|_, token| !token.is_due(now));
        }
        if self.0.len() >= MOST_TOKENS {
            // Which ones go matters little: a token that is missed costs one request.
            let first = self.0.keys().next().cloned();
            first.and_then(|scope| self.0.remove(&scope));
        }
        self.0.insert(scope, token);
    }

    /// Drops a token that the registry refused, under whatever scope it is held.
    pub(crate) fn remove(&mut self, refused: &Secret) {
        self.0.retain(|_, token| token.secret != *refused);
    }
}

/// Work under way by its key, so that all who need its outcome wait for the one that is begun.
///
/// The map holds the flights weakly: one that nobody waits for any more is dropped, and one that
/// holds the client is not kept alive by the client's own cache.
#[derive(Debug)]
pub(crate) struct Flights<K>(HashMap<K, WeakShared<Flight>>);

/// A request for a token under way.
pub(crate) type Flight = BoxFuture<'static, Result<CachedToken, Error>>;

impl<K: Hash + Eq> Flights<K> {
    /// Returns the flight with this key, if one is under way.
    pub(crate) fn under_way(&self, key: &K) -> Option<Shared<Flight>> {
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

impl<K> Default for Flights<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

/// The life of a token that does not say: what Docker's token protocol has as its default.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// A token is renewed when this part of what was left of its life at its arrival remains. A fixed
/// margin would renew a token that arrives with less at every call.
const SHARE_OF_LIFE: u32 = 5;
const MOST_MARGIN: Duration = Duration::from_secs(300);
/// Enough for a walk through a large registry, and a bound for one that never ends.
const MOST_TOKENS: usize = 512;

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

    #[test]
    fn a_long_life_is_renewed_five_minutes_early() {
        let token = CachedToken::new(jwt(4500), NOW);
        assert!(!token.is_due(after(4199)) && token.is_due(after(4200)));
        assert!(token.is_alive(after(4499)) && !token.is_alive(after(4500)));
    }

    #[test]
    fn a_token_that_arrives_late_in_its_life_is_still_used() {
        let token = CachedToken::new(jwt(1200), after(990));
        assert!(!token.is_due(after(1157)) && token.is_due(after(1158)));
    }

    #[test]
    fn a_token_that_does_not_say_lives_for_a_minute() {
        for secret in [Secret::new("opaque"), jwt(50)] {
            let token = CachedToken::new(secret, after(100));
            assert!(token.is_alive(after(159)) && !token.is_alive(after(160)));
        }
    }

    #[test]
    fn a_token_serves_every_scope_that_its_own_covers() {
        let mut cache = TokenCache::default();
        let token = CachedToken::new(jwt(1000), NOW);
        cache.insert(scope("repository:a:pull,push"), token, NOW);
        for (needed, found) in [
            ("repository:a:push,pull", true),
            ("repository:a:pull", true),
            ("", true),
            ("repository:a:delete", false),
            ("repository:b:pull", false),
        ] {
            assert_eq!(cache.find(&scope(needed), NOW).is_some(), found, "{needed}");
        }
        assert!(
            cache
                .find(&scope("repository:a:pull"), after(1000))
                .is_none()
        );
    }

    #[test]
    fn a_refused_token_is_gone_for_every_scope() {
        let mut cache = TokenCache::default();
        let token = CachedToken::new(jwt(1000), NOW);
        cache.insert(scope("repository:a:pull"), token.clone(), NOW);
        cache.insert(scope("repository:b:pull"), token, NOW);
        cache.remove(&jwt(1000));
        assert!(cache.find(&scope(""), NOW).is_none());
    }

    #[test]
    fn the_cache_has_a_bound() {
        let mut cache = TokenCache::default();
        for index in 0..=MOST_TOKENS {
            let token = CachedToken::new(jwt(1000), NOW);
            cache.insert(scope(&format!("repository:r{index}:pull")), token, NOW);
        }
        assert_eq!(cache.0.len(), MOST_TOKENS);
    }

    #[tokio::test]
    async fn a_flight_is_shared_while_it_lasts_and_forgotten_when_nobody_waits() {
        let mut flights = Flights::default();
        let work = || -> Flight { Box::pin(async { Ok(CachedToken::new(jwt(1000), NOW)) }) };
        let first = flights.begin("a", work());
        let second = flights.under_way(&"a").unwrap();
        assert!(flights.under_way(&"b").is_none());
        assert_eq!(first.await.unwrap().secret, second.await.unwrap().secret);
        assert!(flights.under_way(&"a").is_none());

        drop(flights.begin("a", work()));
        assert!(flights.under_way(&"a").is_none());
    }
}
