//! Challenge to token to header.
//!
//! The first request goes out bare. What the registry answers, a demand for a token, for a user
//! name and password, or nothing of the kind, is remembered; from then on each request carries what
//! is needed, and a registry that never asks costs no request for a token. Requests with a body are
//! not sent bare: the pipeline asks with a ping first.

#[cfg(feature = "azure-core")]
mod azure;
mod cache;
mod credential;
#[cfg(feature = "docker-config")]
mod docker;
mod exchange;
mod realm;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use acr_protocol::auth::basic_login;
use acr_protocol::{Challenge, ScopeSet, Secret};
use http::{HeaderMap, HeaderValue, StatusCode};

use self::cache::{CachedToken, Flight, Flights, TokenCache};
use self::credential::Kind;
pub use self::credential::{Credential, TokenSource};
#[cfg(feature = "docker-config")]
pub use self::docker::DockerConfig;
use self::realm::Realm;
use crate::audience::Audience;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::wire::Wire;

/// Knows how to sign a request, and learns it from the registry's challenges.
#[derive(Clone)]
pub(crate) struct Authorizer(Arc<Inner>);

struct Inner {
    wire: Wire,
    endpoint: Endpoint,
    credential: Credential,
    audience: Audience,
    /// A std mutex, because no lock is held across an await.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    scheme: Scheme,
    tokens: TokenCache,
    requests: Flights<ScopeSet>,
    refresh_token: Option<CachedToken>,
    exchanges: Flights<()>,
    /// What the registry asks for where this crate would ask for something else: registries other
    /// than ACR have no `metadata_read`.
    asked_instead: HashMap<ScopeSet, ScopeSet>,
}

/// What the registry wants, as far as it has said.
#[derive(Debug, Clone, Default)]
enum Scheme {
    #[default]
    Unknown,
    /// It answers without.
    Open,
    Basic,
    Bearer(Arc<Realm>),
}

/// What a request carries.
#[derive(Debug, Clone)]
pub(crate) enum Authorization {
    Nothing,
    Basic(HeaderValue),
    Bearer {
        token: Secret,
        /// Whether it was fetched for this very call, with this scope.
        fresh: Option<ScopeSet>,
    },
}

/// What to do about a 401.
pub(crate) enum Verdict {
    /// Send the request once more, with this.
    Retry(Authorization),
    /// It would be refused again.
    GiveUp,
}

impl Authorizer {
    pub(crate) fn new(
        wire: Wire,
        endpoint: Endpoint,
        credential: Credential,
        audience: Audience,
    ) -> Self {
        Self(Arc::new(Inner {
            wire,
            endpoint,
            credential,
            audience,
            state: Mutex::default(),
        }))
    }

    /// Whether the registry has not said yet what it wants.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self.state().scheme, Scheme::Unknown)
    }

    /// Takes note of an answer that is no challenge to a bare request.
    pub(crate) fn went_through(&self, authorization: &Authorization) {
        let mut state = self.state();
        if matches!(
            (&state.scheme, authorization),
            (Scheme::Unknown, Authorization::Nothing)
        ) {
            state.scheme = Scheme::Open;
        }
    }

    /// Returns what a request for this scope has to carry, as far as is known; fetches a token if
    /// none is at hand.
    pub(crate) async fn authorize(&self, scope: &ScopeSet) -> Result<Authorization, Error> {
        let scheme = self.state().scheme.clone();
        match scheme {
            Scheme::Unknown | Scheme::Open => Ok(Authorization::Nothing),
            Scheme::Basic => Ok(self.basic().unwrap_or(Authorization::Nothing)),
            Scheme::Bearer(realm) => {
                let instead = self.state().asked_instead.get(scope).cloned();
                let scope = instead.unwrap_or_else(|| scope.clone());
                self.bearer(&realm, &scope).await
            }
        }
    }

    /// Judges a 401 by its challenges, and fetches a token for the scope of the challenge if that
    /// may help.
    pub(crate) async fn answer(
        &self,
        headers: &HeaderMap,
        sent: &Authorization,
        scope: &ScopeSet,
    ) -> Result<Verdict, Error> {
        let challenges = Challenge::from_headers(headers);
        if let Some(challenge) = challenges.iter().find(|challenge| challenge.is_bearer()) {
            // A scope that cannot be read is as good as none: the operation knows its own.
            let asked = challenge.scope().unwrap_or_default();
            let asked = if asked.is_empty() {
                scope.clone()
            } else {
                asked
            };
            if asked != *scope {
                self.state().ask_instead(scope, &asked);
            }
            return self.answer_bearer(challenge, sent, asked).await;
        }
        Ok(self.answer_basic(&challenges, sent))
    }

    /// Judges the 401 to a ping that went ahead of a request for this scope. The scope of its
    /// challenge, which some registries give, says nothing about that request.
    pub(crate) async fn answer_ping(
        &self,
        headers: &HeaderMap,
        scope: &ScopeSet,
    ) -> Result<Verdict, Error> {
        let challenges = Challenge::from_headers(headers);
        let bare = Authorization::Nothing;
        match challenges.iter().find(|challenge| challenge.is_bearer()) {
            Some(challenge) => self.answer_bearer(challenge, &bare, scope.clone()).await,
            None => Ok(self.answer_basic(&challenges, &bare)),
        }
    }

    fn answer_basic(&self, challenges: &[Challenge], sent: &Authorization) -> Verdict {
        let asked = challenges.iter().any(Challenge::is_basic);
        match self.basic() {
            Some(authorization) if asked && !matches!(sent, Authorization::Basic(_)) => {
                self.state().scheme = Scheme::Basic;
                Verdict::Retry(authorization)
            }
            _ => Verdict::GiveUp,
        }
    }

    async fn answer_bearer(
        &self,
        challenge: &Challenge,
        sent: &Authorization,
        asked: ScopeSet,
    ) -> Result<Verdict, Error> {
        let realm = Realm::of(challenge, &self.0.endpoint, &self.0.credential)?;
        let realm = {
            let mut state = self.state();
            if let Authorization::Bearer { token, .. } = sent {
                state.tokens.remove(token);
            }
            state.remember(realm)
        };
        if let Authorization::Bearer {
            fresh: Some(fetched),
            ..
        } = sent
            && fetched.covers(&asked)
        {
            return Ok(Verdict::GiveUp);
        }
        let retry = self.bearer(&realm, &asked).await?;
        Ok(Verdict::Retry(retry))
    }

    /// Names the right that is missing, where a challenge says that this is why it was not met.
    pub(crate) fn missing_scope(headers: &HeaderMap, scope: &ScopeSet) -> Option<String> {
        let challenges = Challenge::from_headers(headers);
        let challenge = challenges.iter().find(|challenge| challenge.is_bearer())?;
        let asked = challenge.scope().unwrap_or_default();
        let asked = if asked.is_empty() { scope } else { &asked };
        (challenge.error() == Some("insufficient_scope")).then(|| asked.to_string())
    }

    fn basic(&self) -> Option<Authorization> {
        match &self.0.credential.0 {
            Kind::Password { user, password } => {
                Some(Authorization::Basic(basic_login(user, password)))
            }
            _ => None,
        }
    }

    /// Finds or fetches a token. One that is due for renewal is renewed by the first who comes;
    /// all others use it meanwhile, and so does that one if the renewal fails.
    async fn bearer(&self, realm: &Arc<Realm>, scope: &ScopeSet) -> Result<Authorization, Error> {
        let now = self.0.wire.clock.now();
        let (held, flight) = {
            let mut state = self.state();
            let held = state.tokens.find(scope, now).cloned();
            let under_way = state.requests.under_way(scope);
            match (held, under_way) {
                (Some(token), under_way) if !token.is_due(now) || under_way.is_some() => {
                    return Ok(Authorization::cached(token));
                }
                (held, Some(flight)) => (held, flight),
                (held, None) => {
                    let work = self.clone().request(realm.clone(), scope.clone());
                    (held, state.requests.begin(scope.clone(), work))
                }
            }
        };
        match (flight.await, held) {
            (Ok(token), _) => Ok(Authorization::Bearer {
                token: token.secret,
                fresh: Some(scope.clone()),
            }),
            (Err(_), Some(held)) => Ok(Authorization::cached(held)),
            (Err(error), None) => Err(error),
        }
    }

    /// Asks for an access token and keeps it.
    fn request(self, realm: Arc<Realm>, scope: ScopeSet) -> Flight {
        Box::pin(async move {
            let secret = self.fetch(&realm, &scope).await?;
            if HeaderValue::try_from(secret.expose()).is_err() {
                return Err(Error::protocol("the token cannot be put into a header"));
            }
            let now = self.0.wire.clock.now();
            let token = CachedToken::new(secret, now);
            self.state().tokens.insert(scope, token.clone(), now);
            Ok(token)
        })
    }

    async fn fetch(&self, realm: &Arc<Realm>, scope: &ScopeSet) -> Result<Secret, Error> {
        let wire = &self.0.wire;
        match &self.0.credential.0 {
            Kind::Anonymous => exchange::anonymously(wire, realm, scope).await,
            Kind::Password { user, password } => {
                let login = Some((user.clone(), password.clone()));
                exchange::with_login(wire, realm, scope, login).await
            }
            Kind::RefreshToken(token) => {
                let token = token.clone();
                Ok(exchange::with_refresh_token(wire, realm, scope, token).await?)
            }
            Kind::Entra(_) => {
                let (token, cached) = self.refresh_token(realm, None).await?;
                match exchange::with_refresh_token(wire, realm, scope, token.clone()).await {
                    Err(refusal) if cached && refusal.status == Some(StatusCode::UNAUTHORIZED) => {
                        let (token, _) = self.refresh_token(realm, Some(&token)).await?;
                        Ok(exchange::with_refresh_token(wire, realm, scope, token).await?)
                    }
                    other => Ok(other?),
                }
            }
        }
    }

    /// Finds or fetches the refresh token that stands for the Entra token, but not `refused`.
    /// Tells also whether it was at hand.
    async fn refresh_token(
        &self,
        realm: &Arc<Realm>,
        refused: Option<&Secret>,
    ) -> Result<(Secret, bool), Error> {
        let now = self.0.wire.clock.now();
        let flight = {
            let mut state = self.state();
            if refused.is_some_and(|refused| {
                state
                    .refresh_token
                    .as_ref()
                    .is_some_and(|held| held.secret == *refused)
            }) {
                state.refresh_token = None;
            }
            match &state.refresh_token {
                Some(token) if !token.is_due(now) => return Ok((token.secret.clone(), true)),
                _ => {}
            }
            state.exchanges.under_way(&()).unwrap_or_else(|| {
                let work = self.clone().exchange(realm.clone());
                state.exchanges.begin((), work)
            })
        };
        Ok((flight.await?.secret, false))
    }

    /// Exchanges an Entra token for a refresh token and keeps that.
    fn exchange(self, realm: Arc<Realm>) -> Flight {
        Box::pin(async move {
            let Inner {
                wire,
                endpoint,
                credential,
                audience,
                ..
            } = &*self.0;
            let Kind::Entra(source) = &credential.0 else {
                // Only `fetch` comes here, and only with such a credential.
                return Err(Error::new(ErrorKind::Credential, "there is no Entra token"));
            };
            let secret =
                exchange::exchange(wire, endpoint, &realm, source.as_ref(), audience).await?;
            let token = CachedToken::new(secret, wire.clock.now());
            self.state().refresh_token = Some(token.clone());
            Ok(token)
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held; if it did, the state would still be whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes note of the token server; keeps the one that is known if it is the same.
    fn remember(&mut self, realm: Realm) -> Arc<Realm> {
        match &self.scheme {
            Scheme::Bearer(known) if **known == realm => known.clone(),
            _ => {
                let realm = Arc::new(realm);
                self.scheme = Scheme::Bearer(realm.clone());
                realm
            }
        }
    }

    /// Takes note that the registry asks for another scope than this crate would.
    fn ask_instead(&mut self, scope: &ScopeSet, asked: &ScopeSet) {
        if self.asked_instead.len() < MOST_EXCEPTIONS {
            self.asked_instead.insert(scope.clone(), asked.clone());
        }
    }
}

impl fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorizer")
            .field("credential", &self.0.credential)
            .field("audience", &self.0.audience)
            .finish_non_exhaustive()
    }
}

impl Authorization {
    fn cached(token: CachedToken) -> Self {
        Self::Bearer {
            token: token.secret,
            fresh: None,
        }
    }

    /// The value of the `Authorization` header, marked as sensitive.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        match self {
            Self::Nothing => None,
            Self::Basic(value) => Some(value.clone()),
            Self::Bearer { token, .. } => {
                // Tokens are checked for their fitness when they arrive.
                let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose())).ok()?;
                value.set_sensitive(true);
                Some(value)
            }
        }
    }
}

/// Bounds what a server can make the client remember.
const MOST_EXCEPTIONS: usize = 512;
