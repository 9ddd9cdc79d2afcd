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
use crate::error::ErrorResponse;
use crate::registry::Registry;
use crate::request_context::RequestContext;
use crate::response::{token_error, with_token_headers};

impl Registry {
    /// `POST /oauth2/exchange`
    pub(crate) fn exchange_entra_token(
        &self,
        call: &RequestContext,
        operation: &ExchangeEntraToken,
    ) -> Response<Body> {
        let Some(subject) = self
            .settings()
            .identities
            .entra(operation.access_token.expose())
        else {
            return match operation.access_token.is_empty() {
                true => self.refuse_silently(call),
                false => self.entra_token_invalid(call),
            };
        };
        // A valid identity without a role on the registry.
        if self
            .settings()
            .identities
            .rights_of(&subject)
            .is_some_and(|rights| rights.is_empty())
        {
            return token_error(call, ErrorResponse::no_permissions());
        }
        let life = self.settings().refresh_token_life;
        let token = self.tokens().refresh(&RefreshToken {
            audience: call.login_server(),
            subject: &subject,
            now: call.now(),
            life,
            abac: self.settings().abac,
        });
        self.granted(call, operation.respond(&token.into()))
    }

    /// Most failures: no body, no challenge.
    pub(crate) fn refuse_silently(&self, call: &RequestContext) -> Response<Body> {
        let refused = ErrorResponse::token_refused().into_response();
        let mut response = with_token_headers(call, refused);
        response
            .headers_mut()
            .insert(RATE_LIMIT_REMAINING, self.token_calls_left(call.now()));
        response
    }

    /// `POST /oauth2/token`
    pub(crate) fn request_access_token(
        &self,
        call: &RequestContext,
        operation: &RequestAccessToken,
    ) -> Response<Body> {
        let token = match &operation.grant {
            Grant::RefreshToken(token) => {
                let subject = self.tokens().read_refresh(token.expose(), call.now()).ok();
                let rights = subject
                    .as_deref()
                    .and_then(|subject| self.settings().identities.rights_of(subject));
                subject.zip(rights).map(|(subject, rights)| {
                    self.token_of(call, &subject, &Login::lasting(rights), &operation.scope)
                })
            }
            Grant::Anonymous => self.anonymous_token(call, &operation.scope),
            Grant::Login(user, password) => match self.login(user, password.expose()) {
                Some(login) => Some(self.token_of(call, user, &login, &operation.scope)),
                None => return token_error(call, ErrorResponse::invalid_login()),
            },
            _ => None,
        };
        match token {
            Some(token) => self.granted(call, operation.respond(&token.into())),
            None => self.refuse_silently(call),
        }
    }

    /// `GET /oauth2/token`
    pub(crate) fn request_access_token_with_login(
        &self,
        call: &RequestContext,
        operation: &RequestAccessTokenWithLogin,
    ) -> Response<Body> {
        let token = match &operation.login {
            Some((user, password)) => match self.login(user, password.expose()) {
                Some(login) => Some(self.token_of(call, user, &login, &operation.scope)),
                None => return token_error(call, ErrorResponse::invalid_login()),
            },
            None => self.anonymous_token(call, &operation.scope),
        };
        match token {
            Some(token) => self.granted(call, operation.respond(&token.into())),
            None => self.refuse_silently(call),
        }
    }

    fn token_of(
        &self,
        call: &RequestContext,
        subject: &str,
        login: &Login,
        wanted: &ScopeSet,
    ) -> String {
        self.issue_access_token(call.login_server(), subject, login, wanted)
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
            scopes: &login.rights.granted(wanted),
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
}

/// The scopes that name their repository: the others go unsaid on a registry whose permissions go by repository.
fn without_wildcards(wanted: &ScopeSet) -> ScopeSet {
    wanted
        .iter()
        .filter(|scope| scope.resource_type() != "repository" || !scope.name().contains('*'))
        .collect()
}

impl Registry {
    /// A token response: chunked, with how many calls are left, and few of the registry's headers.
    fn granted(&self, call: &RequestContext, response: Response<Bytes>) -> Response<Body> {
        let response = response.map(|bytes| Body::from(bytes).chunked());
        let mut response = with_token_headers(call, response);
        response
            .headers_mut()
            .insert(RATE_LIMIT_REMAINING, self.token_calls_left(call.now()));
        response
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
