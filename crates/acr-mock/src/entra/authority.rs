//! The authority: where applications sign in. `GET /{tenant}/v2.0/.well-known/openid-configuration`,
//! `GET /common/discovery/instance`, `GET /{tenant}/discovery/v2.0/keys`, `POST /{tenant}/oauth2/v2.0/token`.
//!
//! Every URL is made from the host that the client came by, so that mapped ports and production names work.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode, Uri, request};
use serde_json::{Value, json};

use super::directory::Identity;
use super::refusal::Refusal;
use super::{Entra, LIFE};
use crate::Body;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl Entra {
    /// The response to a request for the authority, which its client knows by `base`, such as `https://127.0.0.1:443`.
    /// `body` is `None` where it was too large.
    pub(crate) fn authority(
        &self,
        head: &request::Parts,
        body: Option<&Bytes>,
        base: &str,
    ) -> Response<Body> {
        let path = head.uri.path().trim_matches('/');
        let segments: Vec<&str> = path.split('/').collect();
        let json = match segments.as_slice() {
            ["common", "discovery", "instance"] => {
                read_only(head).and_then(|()| instance(&head.uri, base))
            }
            [tenant, "v2.0", ".well-known", "openid-configuration"] => {
                read_only(head).and_then(|()| self.configuration(tenant, base))
            }
            [tenant, "discovery", "v2.0", "keys"] => read_only(head)
                .and_then(|()| self.known_tenant(tenant))
                .map(|_| self.signer.jwks()),
            [tenant, "oauth2", "v2.0", "token"] => self.token(tenant, head, body),
            _ => {
                return respond(
                    StatusCode::NOT_FOUND,
                    &json!({ "error": "not_found", "error_description": NO_SUCH_PATH }),
                );
            }
        };
        match json {
            Ok(json) => respond(StatusCode::OK, &json),
            Err(refusal) => respond(
                refusal.status,
                &refusal.envelope(&self.ids, self.now(), base),
            ),
        }
    }

    fn configuration(&self, tenant: &str, base: &str) -> Result<Value, Refusal> {
        self.known_tenant(tenant)?;
        Ok(json!({
            "issuer": format!("{base}/{tenant}/v2.0"),
            "authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/authorize"),
            "token_endpoint": format!("{base}/{tenant}/oauth2/v2.0/token"),
            "jwks_uri": format!("{base}/{tenant}/discovery/v2.0/keys"),
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"]
        }))
    }

    fn known_tenant(&self, tenant: &str) -> Result<(), Refusal> {
        let known = self.directory().tenant(tenant).is_some();
        known
            .then_some(())
            .ok_or_else(|| Refusal::unknown_tenant(tenant))
    }

    fn token(
        &self,
        tenant: &str,
        head: &request::Parts,
        body: Option<&Bytes>,
    ) -> Result<Value, Refusal> {
        if head.method != Method::POST {
            return Err(Refusal::method("POST", head.method.as_str()));
        }
        let body = body.ok_or_else(Refusal::too_large)?;
        let form = form(head, body)?;
        let field = |name: &'static str| form.get(name).filter(|value| !value.is_empty());
        let needed = |name: &'static str| field(name).ok_or_else(|| Refusal::missing(name));
        self.known_tenant(tenant)?;
        let grant = needed("grant_type")?;
        if grant != "client_credentials" {
            return Err(Refusal::unsupported_grant(grant));
        }
        let client_id = needed("client_id")?;
        let directory = self.directory();
        let Some(application) = directory.application(tenant, client_id) else {
            return Err(Refusal::unknown_application(client_id, tenant));
        };
        let way = match (field("client_assertion"), field("client_secret")) {
            (Some(assertion), _) => {
                let kind = needed("client_assertion_type")?;
                if kind != JWT_BEARER {
                    return Err(Refusal::assertion_type(kind));
                }
                application.check_assertion(assertion, &self.signer)?;
                "2"
            }
            (None, Some(secret)) if application.has_secret(secret) => "1",
            (None, Some(_)) => return Err(Refusal::wrong_secret(client_id)),
            (None, None) => return Err(Refusal::no_secret()),
        };
        let audience = audience(needed("scope")?, tenant)?;
        let identity = application.identity();
        drop(directory);
        Ok(json!({
            "token_type": "Bearer",
            "expires_in": LIFE.as_secs(),
            "ext_expires_in": LIFE.as_secs(),
            "access_token": self.access_token(&identity, audience, way)
        }))
    }

    /// A token for this audience. `way` says how the client was known, as in the claim `appidacr`.
    pub(super) fn access_token(&self, identity: &Identity, audience: &str, way: &str) -> String {
        let now = self.now();
        let issuer = format!("https://sts.windows.net/{}/", identity.tenant);
        self.signer.sign(&json!({
            "aud": audience, "iss": issuer, "iat": now.seconds(), "nbf": now.seconds(), "exp": (now + LIFE).seconds(),
            "appid": identity.client_id, "appidacr": way, "idp": issuer, "idtyp": "app", "oid": identity.object_id,
            "sub": identity.object_id, "tid": identity.tenant, "uti": self.ids.next().simple().to_string(), "ver": "1.0"
        }))
    }
}

/// The audience among the scopes, of which some libraries send several.
fn audience(scopes: &str, tenant: &str) -> Result<&'static str, Refusal> {
    let mut resources = scopes
        .split_whitespace()
        .filter_map(|scope| scope.strip_suffix("/.default"));
    let Some(first) = resources.next() else {
        return Err(Refusal::scope_without_default(scopes));
    };
    let known = std::iter::once(first)
        .chain(resources)
        .find_map(Entra::audience);
    known.ok_or_else(|| Refusal::unknown_resource(first, tenant))
}

/// Where the authority is that a client was told to use.
fn instance(uri: &Uri, base: &str) -> Result<Value, Refusal> {
    let query = form_urlencoded::parse(uri.query().unwrap_or("").as_bytes());
    let mut endpoints = query.filter(|(name, _)| name == "authorization_endpoint");
    let endpoint = endpoints.next().map(|(_, value)| value.into_owned());
    let endpoint = endpoint.and_then(|endpoint| endpoint.parse::<Uri>().ok());
    let (Some(endpoint), None) = (endpoint, endpoints.next()) else {
        return Err(Refusal::missing("authorization_endpoint"));
    };
    let (Some(host), Some(tenant)) = (endpoint.authority(), endpoint.path().split('/').nth(1))
    else {
        return Err(Refusal::missing("authorization_endpoint"));
    };
    let host = host.as_str();
    Ok(json!({
        "tenant_discovery_endpoint": format!("{base}/{tenant}/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": [{ "preferred_network": host, "preferred_cache": host, "aliases": [host] }]
    }))
}

fn read_only(head: &request::Parts) -> Result<(), Refusal> {
    match head.method {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(Refusal::method("GET", head.method.as_str())),
    }
}

/// The members of a form, each at most once. Those that mean nothing here are passed over.
fn form(head: &request::Parts, body: &Bytes) -> Result<BTreeMap<String, String>, Refusal> {
    let media_type = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = media_type
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    if !media_type.is_some_and(|it| it.eq_ignore_ascii_case("application/x-www-form-urlencoded")) {
        return Err(Refusal::not_a_form());
    }
    let mut form = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(body) {
        if form
            .insert(name.clone().into_owned(), value.into_owned())
            .is_some()
        {
            return Err(Refusal::twice(&name));
        }
    }
    Ok(form)
}

/// A response of JSON that nobody is to keep.
pub(super) fn respond(status: StatusCode, json: &Value) -> Response<Body> {
    let text = json.to_string();
    let length = text.len();
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-store, no-cache"),
    );
    headers.insert(CONTENT_LENGTH, length.into());
    response
}

const NO_SUCH_PATH: &str = "this authority serves openid-configuration, instance discovery, keys and tokens of the \
    client_credentials grant alone";
