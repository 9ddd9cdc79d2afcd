//! The operations of `/oauth2`: an Entra token is exchanged for a refresh token, a refresh token for an access token.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode, response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::auth::scope::{Action, Scope, ScopeSet};
use crate::auth::secret::Secret;
use crate::error::{DecodeError, InvalidRequest};
use crate::http_parts::{API_VERSION, json_response};
use crate::json::from_secret_json;
use crate::operation::{NONE, Operation, OperationClass as Class, Spec};
use crate::path::{PathBuilder, query_value, query_values};
use crate::timestamp::Timestamp;

/// The path of [`ExchangeEntraToken`].
pub const EXCHANGE_PATH: &str = "/oauth2/exchange";
/// The path of [`RequestAccessToken`] and [`RequestAccessTokenWithLogin`].
pub const TOKEN_PATH: &str = "/oauth2/token";

/// Exchanges an Entra ID token for a refresh token of the registry: `POST /oauth2/exchange`.
#[doc(alias = "ExchangeAADAccessTokenForACRRefreshToken")]
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ExchangeEntraToken {
    /// The registry's login server, from the challenge's `service`.
    pub service: String,
    /// The Entra tenant. Optional.
    pub tenant: Option<String>,
    /// The Entra token.
    pub access_token: Secret,
}

impl Operation for ExchangeEntraToken {
    const SPEC: Spec = Spec::new("exchange_entra_token", Class::Token, NONE);
    /// The refresh token.
    type Output = Secret;

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "access_token")
            .append_pair("service", &self.service);
        if let Some(tenant) = &self.tenant {
            form.append_pair("tenant", tenant);
        }
        form.append_pair("access_token", self.access_token.expose());
        post_form(EXCHANGE_PATH, form.finish())
    }

    fn read(&self, _head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        #[derive(Deserialize)]
        struct Body {
            refresh_token: Secret,
        }
        non_empty(
            from_secret_json::<Body>("a refresh token", &body)?.refresh_token,
            "a refresh token",
        )
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        token_response("refresh_token", output)
    }
}

impl ExchangeEntraToken {
    pub(crate) fn from_form(form: &[u8]) -> Self {
        Self {
            service: query_value(form, "service").unwrap_or_default(),
            tenant: query_value(form, "tenant").filter(|tenant| !tenant.is_empty()),
            access_token: query_value(form, "access_token").unwrap_or_default().into(),
        }
    }
}

/// With what an access token is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grant {
    /// With a refresh token of the registry.
    RefreshToken(Secret),
    /// With nothing: anonymous pull (`grant_type=password` without a user).
    Anonymous,
    /// With a user name and password in the form, as Docker's token servers take it; ACR documents
    /// [`RequestAccessTokenWithLogin`] for that.
    Login(String, Secret),
    /// With something else, by the name of its `grant_type`; a registry refuses it.
    Other(String),
}

impl Default for Grant {
    fn default() -> Self {
        Self::Other(String::new())
    }
}

/// Asks for an access token: `POST /oauth2/token`.
///
/// The response has no life in it; that is in the token alone ([`TokenClaims`]). A token is given also for scopes that
/// the identity does not have; it fails at use.
#[doc(alias = "ExchangeACRRefreshTokenForACRAccessToken")]
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RequestAccessToken {
    /// The registry's login server, from the challenge's `service`.
    pub service: String,
    /// What the token must allow.
    pub scope: ScopeSet,
    /// With what it is asked for.
    pub grant: Grant,
}

impl Operation for RequestAccessToken {
    const SPEC: Spec = Spec::new("request_access_token", Class::Token, NONE);
    /// The access token.
    type Output = Secret;

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let (grant_type, secret) = match &self.grant {
            Grant::RefreshToken(token) => ("refresh_token", Some(("refresh_token", token))),
            Grant::Anonymous => ("password", None),
            Grant::Login(_, password) => ("password", Some(("password", password))),
            Grant::Other(other) => (other.as_str(), None),
        };
        form.append_pair("grant_type", grant_type)
            .append_pair("service", &self.service);
        if !self.scope.is_empty() {
            form.append_pair("scope", &self.scope.to_string());
        }
        if let Grant::Login(user, _) = &self.grant {
            form.append_pair("username", user);
        }
        if let Some((name, secret)) = secret {
            form.append_pair(name, secret.expose());
        }
        post_form(TOKEN_PATH, form.finish())
    }

    fn read(&self, _head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        read_access_token(&body)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        token_response("access_token", output)
    }
}

impl RequestAccessToken {
    pub(crate) fn from_form(form: &[u8]) -> Self {
        let grant = match query_value(form, "grant_type").unwrap_or_default().as_str() {
            "refresh_token" => Grant::RefreshToken(
                query_value(form, "refresh_token")
                    .unwrap_or_default()
                    .into(),
            ),
            "password" => match query_value(form, "username").filter(|user| !user.is_empty()) {
                Some(user) => Grant::Login(
                    user,
                    query_value(form, "password").unwrap_or_default().into(),
                ),
                None => Grant::Anonymous,
            },
            other => Grant::Other(other.to_owned()),
        };
        Self {
            service: query_value(form, "service").unwrap_or_default(),
            scope: scopes(form),
            grant,
        }
    }
}

/// Asks for an access token with a user name and password, or as anybody: `GET /oauth2/token`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RequestAccessTokenWithLogin {
    /// The registry's login server, from the challenge's `service`.
    pub service: String,
    /// What the token must allow.
    pub scope: ScopeSet,
    /// User name and password. User `00000000-0000-0000-0000-000000000000` has a refresh token as its password.
    pub login: Option<(String, Secret)>,
}

impl Operation for RequestAccessTokenWithLogin {
    const SPEC: Spec = Spec::new("request_access_token_with_login", Class::Token, NONE);
    /// The access token.
    type Output = Secret;

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        let mut path = PathBuilder::new(TOKEN_PATH).query("service", &self.service);
        if !self.scope.is_empty() {
            path = path.query("scope", &self.scope.to_string());
        }
        let mut request = path.builder(Method::GET);
        if let Some((user, password)) = &self.login {
            request = request.header(AUTHORIZATION, basic_login(user, password));
        }
        Ok(request.body(Bytes::new())?)
    }

    fn read(&self, _head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        read_access_token(&body)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        token_response("access_token", output)
    }
}

impl RequestAccessTokenWithLogin {
    pub(crate) fn from_parts(query: &str, authorization: Option<&HeaderValue>) -> Self {
        Self {
            service: query_value(query.as_bytes(), "service").unwrap_or_default(),
            scope: scopes(query.as_bytes()),
            login: authorization.and_then(parse_basic_login),
        }
    }
}

/// The value of an `Authorization` header for a user name and password, marked as sensitive.
#[must_use]
pub fn basic_login(user: &str, password: &Secret) -> HeaderValue {
    let text = format!(
        "Basic {}",
        STANDARD.encode(format!("{user}:{}", password.expose()))
    );
    // Base64 is always fit for a header.
    let mut value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Basic"));
    value.set_sensitive(true);
    value
}

/// The user name and password of an `Authorization` header of the scheme `Basic`.
#[must_use]
pub fn parse_basic_login(value: &HeaderValue) -> Option<(String, Secret)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), Secret::new(password)))
}

/// What can be read off a token without trusting it: its life, and what it allows.
///
/// The service's tokens are JWTs. Nothing here checks a signature: a client uses the life to renew in time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenClaims {
    /// The end of its life.
    pub expires_at: Option<Timestamp>,
    /// When it was made. Anonymous tokens are shared, and may be minutes old when they arrive.
    pub issued_at: Option<Timestamp>,
    /// What it allows.
    pub access: ScopeSet,
    /// Whether the token tells of a registry with attribute-based access control, which ignores wildcard scopes.
    pub is_abac: bool,
}

impl TokenClaims {
    /// Reads a token's claims; `None` where it is not a JWT.
    #[must_use]
    pub fn read(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next())
        else {
            return None;
        };
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        let claims: Map<String, Value> = serde_json::from_slice(&payload).ok()?;
        let time = |name: &str| {
            claims
                .get(name)
                .and_then(Value::as_f64)
                .map(|seconds| Timestamp::new(seconds.clamp(-1e13, 1e13) as i64, 0))
        };
        let entries = claims
            .get("access")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        Some(Self {
            expires_at: time("exp"),
            issued_at: time("iat"),
            access: entries.filter_map(access_entry).collect(),
            is_abac: claims.get("aad_identity").is_some(),
        })
    }
}

/// An entry of the `access` claim. Its member names were in lower case once and are capitalised today.
fn access_entry(entry: &Value) -> Option<Scope> {
    let member = |capital: &str| {
        entry
            .get(capital)
            .or_else(|| entry.get(capital.to_ascii_lowercase()))
    };
    let actions = member("Actions")?
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .map(Action::from);
    Scope::new(
        member("Type")?.as_str()?,
        member("Name")?.as_str()?,
        actions,
    )
    .ok()
}

fn token_response(member: &str, token: &Secret) -> Response<Bytes> {
    json_response(StatusCode::OK, &json!({ member: token.expose() }))
}

fn read_access_token(body: &[u8]) -> Result<Secret, DecodeError> {
    /// ACR says `access_token`, Docker's token servers `token`.
    #[derive(Deserialize)]
    struct Body {
        access_token: Option<Secret>,
        token: Option<Secret>,
    }
    let body: Body = from_secret_json("an access token", body)?;
    let token = body
        .access_token
        .filter(|token| !token.is_empty())
        .or(body.token);
    non_empty(token.unwrap_or_default(), "an access token")
}

fn non_empty(token: Secret, expected: &'static str) -> Result<Secret, DecodeError> {
    if token.is_empty() {
        Err(DecodeError::Body {
            expected,
            reason: "there is no token in it".to_owned(),
        })
    } else {
        Ok(token)
    }
}

fn post_form(path: &str, form: String) -> Result<Request<Bytes>, InvalidRequest> {
    Ok(PathBuilder::new(path)
        .query(API_VERSION.0, API_VERSION.1)
        .builder(Method::POST)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(form))?)
}

/// All scopes of a form or query: one value may hold several, and the parameter may be repeated. Malformed ones give
/// no permission and so are passed over.
fn scopes(form: &[u8]) -> ScopeSet {
    let values = query_values(form, "scope");
    let scopes = values
        .iter()
        .flat_map(|value| value.split_ascii_whitespace());
    scopes
        .filter_map(|scope| scope.parse::<Scope>().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &Value) -> String {
        format!(
            "{}.{}.{}",
            URL_SAFE_NO_PAD.encode("{}"),
            URL_SAFE_NO_PAD.encode(payload.to_string()),
            URL_SAFE_NO_PAD.encode("s")
        )
    }

    #[test]
    fn claims_are_read_in_both_spellings() {
        let old = jwt(
            &json!({"exp": 100, "access": [{"type": "repository", "name": "a", "actions": ["pull"]}]}),
        );
        let new = jwt(
            &json!({"exp": 100, "iat": 40, "aad_identity": "x", "access": [{"Type": "repository", "Name": "a", "Actions": ["pull"]}]}),
        );
        let (old, new) = (
            TokenClaims::read(&old).unwrap(),
            TokenClaims::read(&new).unwrap(),
        );
        assert_eq!(old.access, new.access);
        assert_eq!(old.expires_at, Some(Timestamp::new(100, 0)));
        assert_eq!(new.issued_at, Some(Timestamp::new(40, 0)));
        assert!(new.is_abac && !old.is_abac);
    }

    #[test]
    fn an_opaque_token_has_no_claims() {
        let number = jwt(&json!(7));
        for token in [
            "", "opaque", "a.b", "a.b.c", "a.b.c.d", "..", "YQ.YQ.YQ", &number,
        ] {
            assert_eq!(TokenClaims::read(token), None, "{token}");
        }
        assert_eq!(
            TokenClaims::read(&jwt(&json!({"exp": "soon", "access": 7}))),
            Some(TokenClaims::default())
        );
    }

    #[test]
    fn a_life_beyond_all_time_is_held_to_what_can_be_written() {
        for (exp, year) in [
            ("1e300", "9999"),
            ("-1e300", "0001"),
            ("18446744073709551615", "9999"),
        ] {
            let payload = format!("{{\"exp\":{exp}}}");
            let claims = TokenClaims::read(&jwt(&serde_json::from_str(&payload).unwrap()));
            assert!(
                claims
                    .unwrap()
                    .expires_at
                    .unwrap()
                    .to_string()
                    .starts_with(year)
            );
        }
    }

    #[test]
    fn an_error_about_a_token_does_not_repeat_it() {
        let (head, ()) = Response::new(()).into_parts();
        for body in [
            r#""hunter2""#,
            r#"{"access_token":["hunter2"],"refresh_token":"hunter2",}"#,
        ] {
            let body = Bytes::from_static(body.as_bytes());
            let access = RequestAccessToken::default()
                .decode(&head, body.clone())
                .unwrap_err();
            let refresh = ExchangeEntraToken::default()
                .decode(&head, body)
                .unwrap_err();
            assert!(access.to_string().contains("line 1"), "{access}");
            assert!(!format!("{access:?}{refresh:?}{access}{refresh}").contains("hunter2"));
        }
    }

    #[test]
    fn a_login_round_trips_and_may_hold_colons() {
        let value = basic_login("user", &Secret::new("a:b:c"));
        assert!(value.is_sensitive());
        assert_eq!(
            parse_basic_login(&value),
            Some(("user".to_owned(), Secret::new("a:b:c")))
        );
        for value in ["Bearer x", "Basic", "Basic !!", "Basic YQ=="] {
            assert_eq!(
                parse_basic_login(&HeaderValue::from_static(value)),
                None,
                "{value}"
            );
        }
    }

    #[test]
    fn scopes_come_joined_or_repeated() {
        let form = b"scope=repository%3Aa%3Apull%2Cpush+repository%3Ab%3Apull&scope=registry%3Acatalog%3A%2A&scope=junk";
        assert_eq!(
            scopes(form).to_string(),
            "registry:catalog:* repository:a:pull,push repository:b:pull"
        );
    }
}
