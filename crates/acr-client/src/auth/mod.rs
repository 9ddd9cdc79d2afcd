//! Credentials, and tokens of one's own.
//!
//! What a registry asks for, a token, a user name and password, or nothing of the kind, is learnt
//! from its first challenge and remembered; from then on each request carries what is needed, and a
//! registry that never asks costs no request for a token. Azure's registries all ask for the same,
//! so theirs is known from the start.
//!
//! Each kind of token is renewed before it ends, by a share of its life. When the registry refuses
//! one all the same, the next deeper one is renewed: the access token, then the refresh token that
//! it was fetched with, by a new Entra token. Each of these steps is taken once for a call.

mod access_token;
#[cfg(feature = "azure-core")]
mod azure;
mod cache;
mod credential;
#[cfg(feature = "docker-config")]
mod docker;
mod exchange;
mod identity;
mod provider;
mod realm;
mod tokens;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use acr_protocol::Challenge;
use acr_protocol::auth::basic_login;
#[doc(no_inline)]
pub use acr_protocol::{ScopeSet, Secret};
use http::{HeaderMap, HeaderValue};

pub use self::access_token::AccessToken;
use self::cache::{CachedToken, Generation, SingleFlight, TokenCache};
use self::credential::Identity;
pub(crate) use self::credential::without_line_break;
pub use self::credential::{Credential, TokenSource};
#[cfg(feature = "docker-config")]
pub use self::docker::DockerConfig;
use self::identity::CredentialChain;
pub use self::provider::{TokenProvider, TokenRequest};
use self::realm::Realm;
pub use crate::audience::Audience;
use crate::error::Error;
use crate::retry::RetryState;
use crate::sender::Sender;
use crate::url::Endpoint;

/// Knows how to sign a request, and learns it from the registry's challenges.
#[derive(Clone)]
pub(crate) struct Authorizer(Arc<Inner>);

struct Inner {
    sender: Sender,
    endpoint: Endpoint,
    identities: CredentialChain,
    audience: Audience,
    /// A std mutex, because no lock is held across an await.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    scheme: Scheme,
    /// What was known before the registry said anything.
    at_first: Scheme,
    tokens: TokenCache,
    requests: SingleFlight<(usize, ScopeSet)>,
    /// The refresh tokens that Entra tokens were exchanged for, by the place of the identity.
    refresh_tokens: HashMap<usize, CachedToken>,
    exchanges: SingleFlight<usize>,
    /// Whether a refresh token has told that permissions go by repository.
    is_abac: bool,
    /// What the registry asks for where this crate would ask for something else: registries other
    /// than ACR have no `metadata_read`.
    scope_overrides: HashMap<ScopeSet, ScopeSet>,
}

/// What the registry wants, as far as it has said.
#[derive(Debug, Clone, Default)]
enum Scheme {
    #[default]
    Unknown,
    /// It responds without.
    Open,
    Basic(HeaderValue),
    Bearer(Arc<Realm>),
}

/// What a request carries.
#[derive(Debug, Clone)]
pub(crate) enum Authorization {
    Nothing,
    Basic(HeaderValue),
    Bearer {
        token: CachedToken,
        /// The scope that it was found or fetched for.
        scope: ScopeSet,
        /// When the call asked for it; a token of a later generation was fetched for this very call.
        since: Generation,
    },
}

/// What to do about a 401.
pub(crate) enum ChallengeOutcome {
    /// Send the request once more, with this.
    Retry(Authorization),
    /// It would be refused again.
    Fail,
}

impl Authorizer {
    pub(crate) fn new(
        sender: Sender,
        endpoint: Endpoint,
        credential: Credential,
        audience: Audience,
        knows_azure: bool,
    ) -> Result<Self, Error> {
        let identities = CredentialChain::new(credential);
        if identities.is_empty() {
            return Err(Error::invalid(
                "the chain of credentials is empty; to go without one, chain Credential::anonymous()",
            ));
        }
        let known = (knows_azure && Audience::is_azure_host(endpoint.host()))
            .then(|| Realm::of_azure(&endpoint))
            .flatten();
        let known = known.map_or(Scheme::Unknown, |realm| Scheme::Bearer(Arc::new(realm)));
        let state = State {
            scheme: known.clone(),
            at_first: known,
            ..State::default()
        };
        Ok(Self(Arc::new(Inner {
            sender,
            endpoint,
            identities,
            audience,
            state: Mutex::new(state),
        })))
    }

    /// The kinds of the credentials, for people.
    pub(crate) fn credential(&self) -> String {
        self.0.identities.kinds()
    }

    /// Whether the registry has not said yet what it wants.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self.state().scheme, Scheme::Unknown)
    }

    /// Takes note of a response that is not a challenge to a bare request.
    pub(crate) fn mark_open(&self, authorization: &Authorization) {
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
    pub(crate) async fn authorize(
        &self,
        scope: &ScopeSet,
        attempts: &RetryState,
    ) -> Result<Authorization, Error> {
        let scheme = self.state().scheme.clone();
        match scheme {
            Scheme::Unknown | Scheme::Open => Ok(Authorization::Nothing),
            Scheme::Basic(value) => Ok(Authorization::Basic(value)),
            Scheme::Bearer(realm) => {
                let instead = self.state().scope_overrides.get(scope).cloned();
                let scope = instead.unwrap_or_else(|| scope.clone());
                self.bearer(&realm, &scope, Generation::default(), attempts)
                    .await
            }
        }
    }

    /// Returns the token that a request for this scope carries, and until when; `None` where it
    /// carries none.
    pub(crate) async fn token(
        &self,
        scope: &ScopeSet,
        attempts: &RetryState,
    ) -> Result<Option<AccessToken>, Error> {
        match self.authorize(scope, attempts).await? {
            Authorization::Bearer { token, .. } => {
                let expires_at = token.expires_at();
                let token = token.secret;
                Ok(Some(AccessToken { token, expires_at }))
            }
            Authorization::Nothing | Authorization::Basic(_) => Ok(None),
        }
    }

    /// Judges a 401 by its challenges, and fetches a token for the scope of the challenge if that
    /// may help.
    pub(crate) async fn meet_challenge(
        &self,
        headers: &HeaderMap,
        sent: &Authorization,
        scope: &ScopeSet,
        attempts: &RetryState,
    ) -> Result<ChallengeOutcome, Error> {
        let challenges = Challenge::from_headers(headers);
        if let Some(challenge) = challenges.iter().find(|challenge| challenge.is_bearer()) {
            let asked = asked(challenge, scope);
            self.state().ask_instead(scope, &asked);
            return self.meet_bearer(challenge, sent, asked, attempts).await;
        }
        self.meet_basic(&challenges, sent).await
    }

    /// Judges the 401 to a ping that went ahead of a request for this scope. The scope of its
    /// challenge, which some registries give, says nothing about that request.
    pub(crate) async fn meet_ping_challenge(
        &self,
        headers: &HeaderMap,
        scope: &ScopeSet,
        attempts: &RetryState,
    ) -> Result<ChallengeOutcome, Error> {
        let challenges = Challenge::from_headers(headers);
        let bare = Authorization::Nothing;
        match challenges.iter().find(|challenge| challenge.is_bearer()) {
            Some(challenge) => {
                let scope = scope.clone();
                self.meet_bearer(challenge, &bare, scope, attempts).await
            }
            None => self.meet_basic(&challenges, &bare).await,
        }
    }

    async fn meet_basic(
        &self,
        challenges: &[Challenge],
        sent: &Authorization,
    ) -> Result<ChallengeOutcome, Error> {
        if !challenges.iter().any(Challenge::is_basic) {
            return Ok(ChallengeOutcome::Fail);
        }
        let Some(value) = self.password().await? else {
            return Ok(ChallengeOutcome::Fail);
        };
        if matches!(sent, Authorization::Basic(refused) if *refused == value) {
            // It is looked up anew by the next call, too.
            self.state().scheme = Scheme::Unknown;
            return Ok(ChallengeOutcome::Fail);
        }
        self.state().scheme = Scheme::Basic(value.clone());
        Ok(ChallengeOutcome::Retry(Authorization::Basic(value)))
    }

    /// The first user name and password among the credentials, as a header.
    async fn password(&self) -> Result<Option<HeaderValue>, Error> {
        let mut failure = None;
        let now = self.0.sender.clock.now();
        for place in self.0.identities.try_order(now) {
            match self.identity(place).await {
                Ok(Identity::Password { user, password }) => {
                    return Ok(Some(basic_login(&user, &password)));
                }
                Ok(_) => {}
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(None), Err)
    }

    async fn meet_bearer(
        &self,
        challenge: &Challenge,
        sent: &Authorization,
        asked: ScopeSet,
        attempts: &RetryState,
    ) -> Result<ChallengeOutcome, Error> {
        let realm = Realm::of(challenge, &self.0.endpoint)?;
        let now = self.0.sender.clock.now();
        let mut after = Generation::default();
        let (realm, goes_on) = {
            let mut state = self.state();
            let goes_on = match sent {
                Authorization::Bearer {
                    token,
                    scope,
                    since,
                } => {
                    state.tokens.remove(&token.secret);
                    let serves = scope.covers(&asked);
                    if serves {
                        // Whatever else was at hand may have ended with it. To try one after the other
                        // would use up the call's challenges.
                        after = token.generation.max(*since);
                    }
                    let was_tried = token.generation > *since && serves;
                    let lacks_permission = challenge.error() == Some("insufficient_scope");
                    !was_tried || state.invalidate_refresh_token(token, lacks_permission, now)
                }
                Authorization::Nothing | Authorization::Basic(_) => true,
            };
            let (realm, is_new) = if self
                .0
                .identities
                .any(|link| realm.check_may_receive(link.secret()).is_ok())
            {
                state.remember(realm)
            } else {
                // Nobody goes there now, and the next call is not to be stopped by it either.
                (Arc::new(realm), true)
            };
            if is_new {
                // Whose secret must not go to the one before may be welcome at this one.
                self.0.identities.reset();
            }
            (realm, goes_on || is_new)
        };
        if !goes_on {
            return Ok(ChallengeOutcome::Fail);
        }
        let retry = self.bearer(&realm, &asked, after, attempts).await?;
        Ok(ChallengeOutcome::Retry(retry))
    }

    async fn identity(&self, place: usize) -> Result<Identity, Error> {
        let registry = self.0.endpoint.authority();
        let clock = &*self.0.sender.clock;
        self.0.identities.identity(place, &registry, clock).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held; if it did, the state would still be whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes note of the token server; keeps the one that is known if it is the same. Tells whether it
    /// takes the place of another one.
    fn remember(&mut self, realm: Realm) -> (Arc<Realm>, bool) {
        let is_new = match &self.scheme {
            Scheme::Bearer(known) if **known == realm => return (known.clone(), false),
            Scheme::Bearer(_) => true,
            Scheme::Unknown | Scheme::Open | Scheme::Basic(_) => false,
        };
        let realm = Arc::new(realm);
        self.scheme = Scheme::Bearer(realm.clone());
        (realm, is_new)
    }

    /// After a new access token was refused: drops the refresh token that it was fetched with, if
    /// that is older than the access token, so that a new one is exchanged. Tells whether it was.
    ///
    /// A permission that is missing is seldom a matter of the refresh token, but a role that was assigned
    /// meanwhile may show in a new one alone; so that a call that is denied does not cost an exchange
    /// each time, it must have some age for that.
    fn invalidate_refresh_token(
        &mut self,
        token: &CachedToken,
        lacks_permission: bool,
        now: SystemTime,
    ) -> bool {
        let Some(refresh_token) = token.refresh_token else {
            return false;
        };
        match self.refresh_tokens.get(&token.identity) {
            Some(held) if held.generation == refresh_token => {
                if lacks_permission && !held.is_older_than(AGE_OF_PERMISSIONS, now) {
                    return false;
                }
                self.refresh_tokens.remove(&token.identity);
                true
            }
            // Another task has already replaced it.
            _ => true,
        }
    }

    /// Goes back to what was known at first, after a token server that the registry has named brought
    /// no token: it may name another one, or the right one, when it is asked again. Whether a refusal is
    /// one of the credential or comes from the wrong place, such as a path that is challenged itself, does
    /// not show in it.
    fn reset_scheme(&mut self, realm: &Realm) {
        if matches!(&self.scheme, Scheme::Bearer(known) if **known == *realm) {
            self.scheme = self.at_first.clone();
        }
    }

    /// Takes note of whether the registry asks for another scope than this crate would.
    fn ask_instead(&mut self, scope: &ScopeSet, asked: &ScopeSet) {
        if asked == scope {
            self.scope_overrides.remove(scope);
        } else if self.scope_overrides.len() < MAX_EXCEPTIONS
            || self.scope_overrides.contains_key(scope)
        {
            self.scope_overrides.insert(scope.clone(), asked.clone());
        }
    }
}

/// What a challenge asks for. One that says nothing that can be read, asks for more things than a
/// token should name, or for every repository, is passed over: the operation knows what it needs.
fn asked(challenge: &Challenge, scope: &ScopeSet) -> ScopeSet {
    match challenge.scope() {
        Ok(asked)
            if !asked.is_empty()
                && asked.len() <= MAX_TOKEN_SCOPES
                && challenge
                    .parameter("scope")
                    .is_none_or(|text| text.len() <= MAX_SCOPE_LEN)
                && (!names_every_repository(&asked) || names_every_repository(scope)) =>
        {
            asked
        }
        _ => scope.clone(),
    }
}

/// Whether a scope has a wildcard in the place of a repository. Registries whose permissions go by
/// repository leave such a scope out of their tokens without a word.
fn names_every_repository(scopes: &ScopeSet) -> bool {
    scopes
        .iter()
        .any(|scope| scope.resource_type() == "repository" && scope.name().contains('*'))
}

impl Authorization {
    /// The value of the `Authorization` header, marked as sensitive.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        match self {
            Self::Nothing => None,
            Self::Basic(value) => Some(value.clone()),
            Self::Bearer { token, .. } => {
                // Tokens are checked for their fitness when they arrive.
                let text = format!("Bearer {}", token.secret.expose());
                let mut value = HeaderValue::try_from(text).ok()?;
                value.set_sensitive(true);
                Some(value)
            }
        }
    }

    /// Whether the token ended while the request waited for its turn.
    pub(crate) fn is_expired(&self, now: SystemTime) -> bool {
        match self {
            Self::Bearer { token, since, .. } => token.generation <= *since && !token.is_alive(now),
            Self::Nothing | Self::Basic(_) => false,
        }
    }
}

/// Bounds what a server can make the client remember.
const MAX_EXCEPTIONS: usize = 512;
/// A token names all its scopes and goes along with each request, and servers bound their heads.
pub(crate) const MAX_TOKEN_SCOPES: usize = 16;
/// Enough for that many names of repositories, each of which may have 256 characters.
const MAX_SCOPE_LEN: usize = 8 << 10;
/// Role assignments take up to ten minutes to reach the token server.
const AGE_OF_PERMISSIONS: Duration = Duration::from_secs(600);
