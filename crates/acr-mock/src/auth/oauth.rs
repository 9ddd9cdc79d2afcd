//! The endpoints under `/oauth2`: exchange and access tokens.

use acr_protocol::auth::{
    ExchangeEntraToken, Grant, RequestAccessToken, RequestAccessTokenWithLogin,
};
use acr_protocol::operation::headers::RATE_LIMIT_REMAINING;
use acr_protocol::{Operation, ScopeSet};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};

use crate::Body;
use crate::auth::Login;
use crate::auth::token::{AccessToken, RefreshToken};
#[cfg(feature = "server")]
use crate::entra::Judgement;
use crate::error::ErrorResponse;
use crate::registry::Registry;
use crate::request_body::RequestBody;
use crate::request_context::RequestContext;
use crate::response::with_token_headers;
use crate::serve::{Outcome, Serve};

/// `POST /oauth2/exchange`
impl Serve for ExchangeEntraToken {
    async fn serve(self, registry: &Registry, call: &RequestContext, _: RequestBody) -> Outcome {
        let subject = match registry.entra_subject(&self) {
            EntraSubject::Of(subject) => subject,
            EntraSubject::Silent => return Ok(registry.refuse_silently(call)),
            EntraSubject::Invalid => return Ok(registry.entra_token_invalid(call)),
        };
        // A valid identity without a role on the registry.
        if registry
            .permissions_of(&subject)
            .is_some_and(|permissions| permissions.is_empty())
        {
            return Err(ErrorResponse::no_permissions());
        }
        let token = registry.tokens().refresh(&RefreshToken {
            audience: call.login_server(),
            subject: &subject,
            now: call.now(),
            life: registry.settings().refresh_token_life,
            abac: registry.settings().abac,
        });
        Ok(registry.granted(call, self.respond(&token.into())))
    }
}

/// Whose an Entra token is, or how it is refused.
enum EntraSubject {
    Of(String),
    /// Without a word.
    Silent,
    Invalid,
}

/// `POST /oauth2/token`
impl Serve for RequestAccessToken {
    async fn serve(self, registry: &Registry, call: &RequestContext, _: RequestBody) -> Outcome {
        let token = match &self.grant {
            Grant::RefreshToken(token) => {
                registry.refreshed_token(call, token.expose(), &self.scope)
            }
            Grant::Anonymous => registry.anonymous_token(call, &self.scope),
            Grant::Login(user, password) => {
                Some(registry.token_for_login(call, user, password.expose(), &self.scope)?)
            }
            _ => None,
        };
        Ok(match token {
            Some(token) => registry.granted(call, self.respond(&token.into())),
            None => registry.refuse_silently(call),
        })
    }
}

/// `GET /oauth2/token`
impl Serve for RequestAccessTokenWithLogin {
    const IS_IMMEDIATE: bool = true;

    async fn serve(self, registry: &Registry, call: &RequestContext, _: RequestBody) -> Outcome {
        let token = match &self.login {
            Some((user, password)) => {
                Some(registry.token_for_login(call, user, password.expose(), &self.scope)?)
            }
            None => registry.anonymous_token(call, &self.scope),
        };
        Ok(match token {
            Some(token) => registry.granted(call, self.respond(&token.into())),
            None => registry.refuse_silently(call),
        })
    }
}

impl Registry {
    /// Whose the token of an exchange is. Those of the mock's own Entra ID are always checked.
    fn entra_subject(&self, exchange: &ExchangeEntraToken) -> EntraSubject {
        let token = exchange.access_token.expose();
        #[cfg(feature = "server")]
        match self.entra().judge(token, exchange.tenant.as_deref()) {
            Judgement::Foreign => {}
            Judgement::Of(subject) => return EntraSubject::Of(subject),
            Judgement::Invalid => return EntraSubject::Invalid,
            Judgement::OtherTenant => return EntraSubject::Silent,
        }
        match self.settings().identities.entra(token) {
            Some(subject) => EntraSubject::Of(subject),
            None if token.is_empty() => EntraSubject::Silent,
            None => EntraSubject::Invalid,
        }
    }

    /// Most failures: no body, no challenge.
    pub(crate) fn refuse_silently(&self, call: &RequestContext) -> Response<Body> {
        let response = ErrorResponse::token_refused().into_response();
        self.with_calls_left(call, with_token_headers(call, response))
    }

    fn with_calls_left(
        &self,
        call: &RequestContext,
        mut response: Response<Body>,
    ) -> Response<Body> {
        let left = self.token_calls_left(call.now());
        response.headers_mut().insert(RATE_LIMIT_REMAINING, left);
        response
    }

    fn refreshed_token(
        &self,
        call: &RequestContext,
        token: &str,
        wanted: &ScopeSet,
    ) -> Option<String> {
        let subject = self.tokens().read_refresh(token, call.now())?;
        let login = Login::lasting(self.permissions_of(&subject)?);
        Some(self.issue_access_token(call.login_server(), &subject, &login, wanted))
    }

    fn token_for_login(
        &self,
        call: &RequestContext,
        user: &str,
        password: &str,
        wanted: &ScopeSet,
    ) -> Result<String, ErrorResponse> {
        let login = self
            .login(user, password)
            .ok_or_else(ErrorResponse::invalid_login)?;
        Ok(self.issue_access_token(call.login_server(), user, &login, wanted))
    }

    /// An access token that holds what is wanted and had.
    pub(crate) fn issue_access_token(
        &self,
        audience: &str,
        subject: &str,
        login: &Login,
        wanted: &ScopeSet,
    ) -> String {
        let named;
        let wanted = if self.settings().abac {
            named = without_wildcards(wanted);
            &named
        } else {
            wanted
        };
        let (now, life) = (self.now(), self.settings().access_token_life);
        let left = login.end.map(|end| end.saturating_duration_since(now));
        self.tokens().access(&AccessToken {
            audience,
            subject,
            scopes: &login.permissions.granted(wanted),
            now,
            life: left.map_or(life, |left| left.min(life)),
        })
    }

    /// Chosen: what a registry without anonymous pull responds is not known; here the endpoint refuses.
    fn anonymous_token(&self, call: &RequestContext, wanted: &ScopeSet) -> Option<String> {
        self.settings().anonymous_pull.then(|| {
            self.tokens()
                .anonymous(call.login_server(), wanted, call.now())
        })
    }

    /// A token response: chunked, with how many calls are left, and few of the registry's headers.
    fn granted(&self, call: &RequestContext, response: Response<Bytes>) -> Response<Body> {
        let response = response.map(|bytes| Body::from(bytes).chunked());
        self.with_calls_left(call, with_token_headers(call, response))
    }

    /// The one JSON error of the exchange: without charset, without a newline at its end.
    fn entra_token_invalid(&self, call: &RequestContext) -> Response<Body> {
        let message = "token validation failed";
        let mut response = ErrorResponse::entra_token_refused(message).into_response();
        *response.body_mut() = Body::from(format!(
            r#"{{"errors":[{{"code":"UNAUTHORIZED","message":"{message}"}}]}}"#
        ));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(RATE_LIMIT_REMAINING, self.token_calls_left(call.now()));
        with_token_headers(call, response)
    }
}

/// The scopes that name their repository: the others go unsaid on a registry whose permissions go by repository.
fn without_wildcards(wanted: &ScopeSet) -> ScopeSet {
    wanted
        .iter()
        .filter(|scope| scope.resource_type() != "repository" || !scope.name().contains('*'))
        .collect()
}
