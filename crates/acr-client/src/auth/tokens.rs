//! Finding a token, or fetching it: once for all who wait for it, from whichever identity has one.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use acr_protocol::{ScopeSet, Secret, TokenClaims};
use http::{HeaderValue, StatusCode};

use super::cache::{CachedToken, Flight, Generation};
use super::credential::{Identity, TokenSource, check_secret};
use super::exchange;
use super::identity::moves_on;
use super::provider::TokenRequest;
use super::realm::Realm;
use super::{Authorization, Authorizer, names_every_repository};
use crate::call_options::CallOptions;
use crate::error::{Error, ErrorKind};
use crate::retry::RetryState;

impl Authorizer {
    /// Finds or fetches a token of the identity in force, or of the next one that has one; one at hand
    /// only if it is of a later generation.
    pub(super) async fn bearer(
        &self,
        realm: &Arc<Realm>,
        scope: &ScopeSet,
        after: Generation,
        attempts: &RetryState,
    ) -> Result<Authorization, Error> {
        let mut failures = Vec::new();
        let now = self.0.sender.clock.now();
        let mut places = self.0.identities.try_order(now).peekable();
        while let Some(place) = places.next() {
            match self.bearer_of(place, realm, scope, after, attempts).await {
                Ok(authorization) => {
                    let identities = &self.0.identities;
                    identities.mark_working(place, !failures.is_empty(), now);
                    return Ok(authorization);
                }
                Err(failure) if moves_on(&failure) && places.peek().is_some() => {
                    failures.push((place, failure));
                }
                Err(failure) => {
                    if !attempts.is_out_of_time() {
                        self.state().reset_scheme(realm);
                    }
                    return Err(self.0.identities.all_failed(failures, place, failure));
                }
            }
        }
        // There is one place at least.
        Err(Error::new(ErrorKind::Credential, "there is no credential"))
    }

    /// Finds or fetches a token of an identity. One that is due for renewal is renewed by the first
    /// who comes; all others use it meanwhile, and so does that one if the renewal fails.
    async fn bearer_of(
        &self,
        place: usize,
        realm: &Arc<Realm>,
        scope: &ScopeSet,
        after: Generation,
        attempts: &RetryState,
    ) -> Result<Authorization, Error> {
        let now = self.0.sender.clock.now();
        let (bearer, held, flight) = {
            let mut state = self.state();
            let since = state.tokens.generation();
            let bearer = move |token| Authorization::Bearer {
                token,
                scope: scope.clone(),
                since,
            };
            let held = state.tokens.find(place, scope, after, now).cloned();
            if let Some(token) = &held
                && !token.needs_refresh(now)
            {
                return Ok(bearer(token.clone()));
            }
            let key = (place, scope.clone());
            match (held, state.requests.in_progress(&key)) {
                (Some(token), Some(_)) => return Ok(bearer(token)),
                (None, Some(flight)) => (bearer, None, flight),
                (held, None) => {
                    let work = self.clone().request(place, realm.clone(), scope.clone());
                    (bearer, held, state.requests.begin(key, work))
                }
            }
        };
        let fetched = attempts.wait_for_token(flight, held.is_some()).await;
        match (fetched, held) {
            (Ok(token), _) => {
                attempts.exclude_queued(token.queued);
                Ok(bearer(token))
            }
            (Err(_), Some(held)) => {
                let now = self.0.sender.clock.now();
                self.state().tokens.defer_refresh(&held.secret, now);
                Ok(bearer(held))
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Asks for an access token and keeps it.
    fn request(self, place: usize, realm: Arc<Realm>, scope: ScopeSet) -> Flight {
        Box::pin(async move {
            let token = self.fetch(place, &realm, &scope).await?;
            if HeaderValue::try_from(token.secret.expose()).is_err() {
                return Err(Error::protocol("the token cannot be put into a header"));
            }
            let now = self.0.sender.clock.now();
            Ok(self.state().tokens.insert(scope, token, now))
        })
    }

    async fn fetch(
        &self,
        place: usize,
        realm: &Arc<Realm>,
        scope: &ScopeSet,
    ) -> Result<CachedToken, Error> {
        let sender = &self.0.sender;
        let patience = sender.retry.begin(true, &CallOptions::default());
        let identity = patience.with_deadline(pin!(self.identity(place))).await?;
        realm.check_may_receive(identity.secret())?;
        let new = |(secret, queued): (Secret, Duration)| {
            let mut token = CachedToken::new(secret, sender.clock.now(), place);
            token.queued = queued;
            token
        };
        match identity {
            Identity::Anonymous => Ok(new(exchange::anonymously(sender, realm, scope).await?)),
            Identity::Password { user, password } => {
                let login = Some((user, password));
                Ok(new(exchange::with_login(sender, realm, scope, login).await?))
            }
            Identity::RefreshToken(token) => {
                if names_every_repository(scope) && is_of_abac(&token) {
                    return Err(ignores_wildcards(scope));
                }
                Ok(new(exchange::with_refresh_token(
                    sender, realm, scope, token,
                )
                .await?))
            }
            Identity::Entra(source) => self.fetch_by_exchange(place, realm, scope, source).await,
            Identity::Provider(provider) => {
                let request = TokenRequest {
                    registry: self.0.endpoint.authority(),
                    service: realm.service.clone(),
                    scope: scope.clone(),
                };
                let brought = pin!(async {
                    provider.access_token(&request).await.map_err(|error| {
                        let text =
                            format!("the token provider brought no token for {}", shown(scope));
                        Error::of_credential(text, error)
                    })
                });
                let brought = patience.with_deadline(brought).await?;
                if brought.is_empty() {
                    let text = format!(
                        "the token provider brought an empty token for {}",
                        shown(scope)
                    );
                    return Err(Error::new(ErrorKind::Credential, text));
                }
                check_secret("the token of the token provider", brought.expose())?;
                Ok(new((brought, Duration::ZERO)))
            }
        }
    }

    /// Asks for an access token with a refresh token of an exchange; once more with a new one if
    /// that was at hand and is refused.
    async fn fetch_by_exchange(
        &self,
        place: usize,
        realm: &Arc<Realm>,
        scope: &ScopeSet,
        source: Arc<dyn TokenSource>,
    ) -> Result<CachedToken, Error> {
        let sender = &self.0.sender;
        let (mut refresh, mut was_at_hand) =
            self.refresh_token(place, realm, &source, None).await?;
        let mut queued = if was_at_hand {
            Duration::ZERO
        } else {
            refresh.queued
        };
        if self.state().is_abac && names_every_repository(scope) {
            return Err(ignores_wildcards(scope));
        }
        loop {
            let secret = refresh.secret.clone();
            match exchange::with_refresh_token(sender, realm, scope, secret).await {
                Ok((secret, waited)) => {
                    let mut token = CachedToken::new(secret, sender.clock.now(), place);
                    token.refresh_token = was_at_hand.then_some(refresh.generation);
                    token.queued = queued.saturating_add(waited);
                    return Ok(token);
                }
                Err(refusal)
                    if was_at_hand && refusal.status() == Some(StatusCode::UNAUTHORIZED) =>
                {
                    let refused = Some(&refresh.secret);
                    let renewed = self.refresh_token(place, realm, &source, refused);
                    (refresh, _) = renewed.await?;
                    queued = queued.saturating_add(refresh.queued);
                    // One new refresh token is all that a request gets.
                    was_at_hand = false;
                }
                Err(refusal) => return Err(refusal),
            }
        }
    }

    /// Finds or fetches the refresh token that stands for the Entra token, but not `refused`.
    /// Tells also whether it was at hand.
    async fn refresh_token(
        &self,
        place: usize,
        realm: &Arc<Realm>,
        source: &Arc<dyn TokenSource>,
        refused: Option<&Secret>,
    ) -> Result<(CachedToken, bool), Error> {
        let now = self.0.sender.clock.now();
        let (held, flight) = {
            let mut state = self.state();
            if refused.is_some_and(|refused| {
                let held = state.refresh_tokens.get(&place);
                held.is_some_and(|held| held.secret == *refused)
            }) {
                state.refresh_tokens.remove(&place);
            }
            let held = state.refresh_tokens.get(&place).cloned();
            if let Some(token) = &held
                && !token.needs_refresh(now)
            {
                return Ok((token.clone(), true));
            }
            let flight = state.exchanges.in_progress(&place).unwrap_or_else(|| {
                let work = self.clone().exchange(place, realm.clone(), source.clone());
                state.exchanges.begin(place, work)
            });
            (held.filter(|token| token.is_alive(now)), flight)
        };
        match (flight.await, held) {
            (Ok(token), _) => Ok((token, false)),
            // It was only due for renewal, and may be used meanwhile.
            (Err(_), Some(held)) => {
                let now = self.0.sender.clock.now();
                let mut state = self.state();
                let same = state.refresh_tokens.get_mut(&place);
                if let Some(token) = same.filter(|token| token.secret == held.secret) {
                    token.defer_refresh(now);
                }
                Ok((held, true))
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Exchanges an Entra token for a refresh token and keeps that.
    fn exchange(self, place: usize, realm: Arc<Realm>, source: Arc<dyn TokenSource>) -> Flight {
        Box::pin(async move {
            let sender = &self.0.sender;
            let (endpoint, audience) = (&self.0.endpoint, &self.0.audience);
            let (secret, queued) =
                exchange::exchange(sender, endpoint, &realm, source.as_ref(), audience).await?;
            let is_abac = is_of_abac(&secret);
            let now = sender.clock.now();
            let mut token = CachedToken::new(secret, now, place);
            token.queued = queued;
            let mut state = self.state();
            state.is_abac |= is_abac;
            token.generation = state.tokens.next_generation();
            if token.is_alive(now) {
                state.refresh_tokens.insert(place, token.clone());
            }
            Ok(token)
        })
    }
}

/// Whether a refresh token tells that the permissions of its registry go by repository.
fn is_of_abac(refresh_token: &Secret) -> bool {
    TokenClaims::read(refresh_token.expose()).is_some_and(|claims| claims.is_abac)
}

fn ignores_wildcards(scope: &ScopeSet) -> Error {
    Error::invalid(format!(
        "the permissions of this registry go by repository (ABAC), and it ignores the wildcard of \
         {scope}; name each repository"
    ))
}

/// A scope for a person to read.
fn shown(scope: &ScopeSet) -> String {
    if scope.is_empty() {
        "any scope".to_owned()
    } else {
        scope.to_string()
    }
}
