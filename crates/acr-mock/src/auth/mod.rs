//! Authentication and authorisation of a request: its credentials become an [`Access`], or a challenge.
//!
//! The order is the service's: the scope is checked before anything's existence and before the body is looked at, and no
//! action implies another.

mod identity;
pub(crate) mod oauth;
mod token;
mod verified;

pub(crate) use identity::{Identities, Permissions};
pub(crate) use token::{RefreshToken, SigningKey, TokenKind, Tokens};

use acr_protocol::auth::parse_basic_login;
use acr_protocol::{Challenge, Scope, ScopeSet, Timestamp};
use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use crate::error::ErrorResponse;
use crate::registry::Registry;
use crate::request_context::RequestContext;

/// User name that comes with a token in the place of a password, as `az acr login` sends it.
const TOKEN_USER: &str = "00000000-0000-0000-0000-000000000000";

/// What a user name and password stand for.
pub(crate) struct Login {
    pub(crate) permissions: Permissions,
    /// When it is over. Chosen: an access token in the password's place gives no longer life than it has left, or it
    /// could be renewed for ever.
    pub(crate) end: Option<Timestamp>,
}

impl Login {
    pub(crate) fn lasting(permissions: Permissions) -> Self {
        Self {
            permissions,
            end: None,
        }
    }
}

impl Registry {
    /// Lets a request pass whose credentials cover `needed`.
    pub(crate) fn authorise(
        &self,
        call: &RequestContext,
        needed: &ScopeSet,
    ) -> Result<(), ErrorResponse> {
        if !self.settings().authentication {
            return Ok(());
        }
        let Some(value) = call.headers().get(AUTHORIZATION) else {
            return Err(self.challenge(call, needed, None));
        };
        if let Some((user, password)) = parse_basic_login(value) {
            let Some(login) = self.login(&user, password.expose()) else {
                let challenge = self.challenge_text(call, needed, None);
                return Err(ErrorResponse::invalid_login().with_challenge(&challenge));
            };
            if login.permissions.cover(needed) {
                return Ok(());
            }
            return Err(self.challenge(call, needed, Some("insufficient_scope")));
        }
        let text = value.to_str().unwrap_or_default();
        let bearer = text
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let access = bearer.map(|(_, token)| self.tokens().read_access(token.trim(), call.now()));
        match access {
            Some(Some(access)) if access.covers(needed) => Ok(()),
            Some(Some(_)) => Err(self.challenge(call, needed, Some("insufficient_scope"))),
            Some(None) => Err(self.challenge(call, needed, Some("invalid_token"))),
            // A scheme that the registry does not know is as good as none.
            None => Err(self.challenge(call, needed, None)),
        }
    }

    /// Refuses every access token that was issued so far, anonymous ones too, as after a change of the service's keys: 401
    /// with `error="invalid_token"`. Those that are issued from now on are good, even if the clock stands still.
    ///
    /// ```
    /// # use futures_util::FutureExt as _;
    /// let registry = acr_mock::Registry::new();
    /// let ping = |token: &str| {
    ///     let request = http::Request::get("https://mock.azurecr.io/v2/").header("Authorization", format!("Bearer {token}"));
    ///     registry.handle(request.body(String::new()).unwrap()).now_or_never().unwrap().status()
    /// };
    /// let token = registry.access_token("registry:catalog:*")?;
    /// registry.revoke_access_tokens();
    /// assert_eq!(ping(&token), 401);
    /// assert_eq!(ping(&registry.access_token("registry:catalog:*")?), 200);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn revoke_access_tokens(&self) {
        self.tokens().revoke(TokenKind::Access);
    }

    /// Refuses every refresh token that was issued so far: the token endpoint responds with 401 without a word. Access tokens that
    /// were made from them stay good until their end.
    pub fn revoke_refresh_tokens(&self) {
        self.tokens().revoke(TokenKind::Refresh);
    }

    /// Whether it may be served to other machines: it asks for credentials, or lets everybody in because it was told to.
    #[cfg(feature = "server")]
    pub(crate) fn may_be_exposed(&self) -> bool {
        let settings = self.settings();
        settings.authentication || settings.identities.is_open_to_all()
    }

    /// What the subject of a refresh token may do.
    pub(crate) fn permissions_of(&self, subject: &str) -> Option<Permissions> {
        #[cfg(feature = "server")]
        if let Some(permissions) = self.entra().permissions_of(subject) {
            return Some(permissions);
        }
        self.settings().identities.permissions_of(subject)
    }

    /// What a user name and password stand for; `None` where they do not hold.
    pub(crate) fn login(&self, user: &str, password: &str) -> Option<Login> {
        let identities = &self.settings().identities;
        if user == TOKEN_USER {
            let now = self.now();
            if let Some(subject) = self.tokens().read_refresh(password, now) {
                return self.permissions_of(&subject).map(Login::lasting);
            }
            let access = self.tokens().read_access(password, now)?;
            return Some(Login {
                permissions: Permissions::Only(access.scopes().clone()),
                end: Some(access.end()),
            });
        }
        identities.login(user, password).map(Login::lasting)
    }

    pub(crate) fn challenge(
        &self,
        call: &RequestContext,
        needed: &ScopeSet,
        error: Option<&str>,
    ) -> ErrorResponse {
        let detail = detail(&in_order(call, needed));
        ErrorResponse::challenge(&self.challenge_text(call, needed, error), detail)
    }

    fn challenge_text(
        &self,
        call: &RequestContext,
        needed: &ScopeSet,
        error: Option<&str>,
    ) -> String {
        let realm = format!("{}/oauth2/token", call.origin().base_url());
        let realm = match &self.settings().login_server {
            Some(name) => format!("{}://{name}/oauth2/token", call.origin().scheme()),
            None => realm,
        };
        let scope = (!needed.is_empty()).then(|| self.shuffled(call, needed));
        Challenge::bearer(&realm, call.login_server(), scope.as_deref(), error).to_string()
    }

    /// The scopes as the service writes them: the target of a mount first, the actions of each in an order that changes
    /// from call to call.
    fn shuffled(&self, call: &RequestContext, needed: &ScopeSet) -> String {
        let is_reversed = self.next_scope_order();
        let one = |scope: &Scope| {
            let mut actions: Vec<&str> =
                scope.actions().map(acr_protocol::Action::as_str).collect();
            if is_reversed {
                actions.reverse();
            }
            format!(
                "{}:{}:{}",
                scope.resource_type(),
                scope.name(),
                actions.join(",")
            )
        };
        let scopes = in_order(call, needed);
        scopes.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

/// The scopes with that of the repository in the path first: the target of a mount, before its source.
fn in_order(call: &RequestContext, needed: &ScopeSet) -> Vec<Scope> {
    let mut scopes: Vec<Scope> = needed.iter().collect();
    // A stable sort.
    scopes.sort_by_key(|scope| {
        Some(scope.name()) != call.repository().map(acr_protocol::RepositoryName::as_str)
    });
    scopes
}

/// The `detail` of a challenge's body: one element for each action, `pull` before `push`; `null` where any token will do.
fn detail(needed: &[Scope]) -> Value {
    if needed.is_empty() {
        return Value::Null;
    }
    let elements = needed.iter().flat_map(|scope| {
        let actions = scope.actions().cloned().collect::<Vec<_>>().into_iter();
        actions.map(|action| {
            json!({ "Type": scope.resource_type(), "Name": scope.name(), "Action": action })
        })
    });
    Value::Array(elements.collect())
}
