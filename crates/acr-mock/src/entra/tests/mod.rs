//! The authority and the identity endpoints, request by request, and what the exchange makes of their tokens.

mod assertion;
mod managed;

use acr_clock::VirtualClock;
use acr_protocol::{ScopeSet, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use serde_json::{Value, json};

use super::*;
use crate::{Body, Registry};

const BASE: &str = "https://127.0.0.1:5000";
const TENANT: &str = "contoso.example";
const CLIENT: &str = "11111111-2222-3333-4444-555555555555";
const SCOPE: &str = "https://containerregistry.azure.net/.default";
/// Made by openssl for these tests: nobody trusts it.
const CERTIFICATE: &str = include_str!("application.pem");
const KEY: &str = include_str!("application.key");

fn application() -> Application {
    let mut application = Application::new(TENANT, CLIENT);
    application.secrets = vec!["other".into(), Secret::from("hunter 2")];
    application
}

fn registry(application: Application) -> Registry {
    Registry::builder().application(application).build()
}

fn body_of(response: Response<Body>) -> (StatusCode, Value) {
    let status = response.status();
    let bytes = response
        .into_body()
        .collect()
        .now_or_never()
        .unwrap()
        .unwrap();
    (
        status,
        serde_json::from_slice(&bytes.to_bytes()).unwrap_or(Value::Null),
    )
}

fn ask(registry: &Registry, request: Request<&str>) -> (StatusCode, Value) {
    let (head, body) = request.into_parts();
    let body = Bytes::copy_from_slice(body.as_bytes());
    body_of(registry.entra().authority(&head, Some(&body), BASE))
}

fn get(registry: &Registry, path: &str) -> (StatusCode, Value) {
    ask(registry, Request::get(path).body("").unwrap())
}

type Form<'a> = &'a [(&'a str, &'a str)];

fn form(members: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(members)
        .finish()
}

/// Asks for a token of the tenant with these members of the form.
fn token(registry: &Registry, members: &[(&str, &str)]) -> (StatusCode, Value) {
    let body = form(members);
    let request = Request::post(format!("/{TENANT}/oauth2/v2.0/token")).header(
        "Content-Type",
        "application/x-www-form-urlencoded; charset=UTF-8",
    );
    ask(registry, request.body(&*body).unwrap())
}

/// The same with the usual members, but for these.
fn token_with(registry: &Registry, members: &[(&str, &str)]) -> (StatusCode, Value) {
    let usual = [
        ("client_id", CLIENT),
        ("grant_type", "client_credentials"),
        ("scope", SCOPE),
    ];
    let is_other = |(name, _): &&(&str, &str)| !members.iter().any(|(other, _)| name == other);
    let all: Vec<_> = usual
        .iter()
        .filter(is_other)
        .chain(members)
        .copied()
        .collect();
    token(registry, &all)
}

fn access_token(registry: &Registry) -> String {
    let (status, body) = token_with(registry, &[("client_secret", "hunter 2")]);
    assert_eq!(status, 200, "{body}");
    body["access_token"].as_str().unwrap().to_owned()
}

/// Status and body of an exchange of this token.
fn exchange(registry: &Registry, token: &str, tenant: Option<&str>) -> (StatusCode, Value) {
    let mut members = vec![
        ("grant_type", "access_token"),
        ("service", "mock.azurecr.io"),
        ("access_token", token),
    ];
    members.extend(tenant.map(|tenant| ("tenant", tenant)));
    let request = Request::post("https://mock.azurecr.io/oauth2/exchange?api-version=2021-07-01")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form(&members))
        .unwrap();
    body_of(registry.handle(request).now_or_never().unwrap())
}

#[test]
fn every_url_is_made_from_the_host_that_the_client_came_by() {
    let registry = registry(application());
    for tenant in [TENANT, "CONTOSO.example"] {
        for end in ["", "/", "?", "?x=y"] {
            let path = format!("/{tenant}/v2.0/.well-known/openid-configuration{end}");
            let (status, body) = get(&registry, &path);
            assert_eq!(status, 200, "{path}");
            let base = format!("{BASE}/{tenant}");
            assert_eq!(body["issuer"], format!("{base}/v2.0"));
            assert_eq!(body["token_endpoint"], format!("{base}/oauth2/v2.0/token"));
            assert_eq!(
                body["authorization_endpoint"],
                format!("{base}/oauth2/v2.0/authorize")
            );
            assert_eq!(body["jwks_uri"], format!("{base}/discovery/v2.0/keys"));
        }
    }
    let (status, keys) = get(&registry, &format!("/{TENANT}/discovery/v2.0/keys"));
    assert_eq!(
        (status, keys["keys"].as_array().unwrap().len()),
        (StatusCode::OK, 1)
    );
    let endpoint =
        "authorization_endpoint=https%3A%2F%2F127.0.0.1%3A9%2Fsome%2Foauth2%2Fv2.0%2Fauthorize";
    for version in ["", "&api-version=1.0", "&api-version=1.1"] {
        let (status, body) = get(
            &registry,
            &format!("/common/discovery/instance?{endpoint}{version}"),
        );
        assert_eq!(status, 200);
        let configuration = format!("{BASE}/some/v2.0/.well-known/openid-configuration");
        assert_eq!(body["tenant_discovery_endpoint"], configuration);
        let host = "127.0.0.1:9";
        let metadata =
            json!([{ "preferred_network": host, "preferred_cache": host, "aliases": [host] }]);
        assert_eq!(body["metadata"], metadata);
    }
}

#[test]
fn a_token_response_has_the_four_members_with_numbers_as_integers() {
    let registry = registry(application());
    for scope in [
        SCOPE,
        "openid profile offline_access https://containerregistry.azure.net/.default",
        "https://containerregistry.azure.net//.default",
        "https://management.azure.com/.default",
        "https://management.core.windows.net//.default",
    ] {
        let members = [
            ("client_secret", "hunter 2"),
            ("scope", scope),
            ("client_info", "1"),
            ("x-client-SKU", "any"),
            (
                "claims",
                r#"{"access_token":{"xms_cc":{"values":["CP1"]}}}"#,
            ),
        ];
        let (status, body) = token_with(&registry, &members);
        assert_eq!(status, 200, "{body}");
        assert_eq!(body["token_type"], "Bearer");
        assert!(body["expires_in"].is_u64() && body["ext_expires_in"].is_u64());
        let (_, claims) = token::parts(body["access_token"].as_str().unwrap()).unwrap();
        assert_eq!(
            (&claims["tid"], &claims["appid"]),
            (&json!(TENANT), &json!(CLIENT))
        );
        assert!(scope.contains(claims["aud"].as_str().unwrap()), "{claims}");
    }
}

#[test]
fn every_refusal_has_its_code_and_all_members_of_the_envelope() {
    let registry = registry(application());
    let secret = ("client_secret", "hunter 2");
    let assertion = ("client_assertion", "e30.e30.e30");
    let bearer = (
        "client_assertion_type",
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    );
    let cases: &[(Form<'_>, u16, &str, u64)] = &[
        (
            &[("client_secret", "wrong")],
            401,
            "invalid_client",
            7_000_215,
        ),
        (
            &[("client_secret", "hunter")],
            401,
            "invalid_client",
            7_000_215,
        ),
        (&[], 401, "invalid_client", 7_000_216),
        (&[("client_secret", "")], 401, "invalid_client", 7_000_216),
        (
            &[secret, ("client_id", "other")],
            400,
            "unauthorized_client",
            700_016,
        ),
        (
            &[secret, ("client_id", "")],
            400,
            "invalid_request",
            900_144,
        ),
        (
            &[secret, ("grant_type", "")],
            400,
            "invalid_request",
            900_144,
        ),
        (
            &[secret, ("grant_type", "password")],
            400,
            "unsupported_grant_type",
            70_003,
        ),
        (&[secret, ("scope", "")], 400, "invalid_request", 900_144),
        (
            &[secret, ("scope", "openid")],
            400,
            "invalid_scope",
            1_002_012,
        ),
        (
            &[secret, ("scope", "https://vault.azure.net/.default")],
            400,
            "invalid_resource",
            500_011,
        ),
        (&[assertion], 400, "invalid_request", 900_144),
        (
            &[assertion, ("client_assertion_type", "saml")],
            400,
            "invalid_request",
            90_013,
        ),
        (&[assertion, bearer], 401, "invalid_client", 70_021),
        (
            &[("client_assertion", "opaque"), bearer],
            401,
            "invalid_client",
            50_027,
        ),
        (&[secret, secret], 400, "invalid_request", 90_013),
    ];
    let mut seen: Vec<_> = cases
        .iter()
        .map(|(members, status, error, code)| {
            (token_with(&registry, members), *status, *error, *code)
        })
        .collect();
    let path = format!("/{TENANT}/oauth2/v2.0/token");
    let elsewhere = Request::post("/elsewhere/oauth2/v2.0/token")
        .header("Content-Type", "application/x-www-form-urlencoded");
    seen.push((
        ask(&registry, elsewhere.body("").unwrap()),
        400,
        "invalid_request",
        90_002,
    ));
    seen.push((
        get(
            &registry,
            "/elsewhere/v2.0/.well-known/openid-configuration",
        ),
        400,
        "invalid_request",
        90_002,
    ));
    seen.push((
        get(&registry, "/elsewhere/discovery/v2.0/keys"),
        400,
        "invalid_request",
        90_002,
    ));
    seen.push((get(&registry, &path), 405, "invalid_request", 900_561));
    let json = Request::post(&path).header("Content-Type", "application/json");
    seen.push((
        ask(&registry, json.body("{}").unwrap()),
        400,
        "invalid_request",
        900_144,
    ));
    seen.push((
        ask(&registry, Request::post(&path).body("").unwrap()),
        400,
        "invalid_request",
        900_144,
    ));
    let put = Request::put(format!("/{TENANT}/v2.0/.well-known/openid-configuration"));
    seen.push((
        ask(&registry, put.body("").unwrap()),
        405,
        "invalid_request",
        900_561,
    ));
    for query in [
        "",
        "?authorization_endpoint=",
        "?authorization_endpoint=/no/host",
        "?authorization_endpoint=%20",
    ] {
        let path = format!("/common/discovery/instance{query}");
        seen.push((get(&registry, &path), 400, "invalid_request", 900_144));
    }
    let large = Request::post(&path).body(()).unwrap().into_parts().0;
    seen.push((
        body_of(registry.entra().authority(&large, None, BASE)),
        413,
        "invalid_request",
        90_013,
    ));
    for ((status, body), expected, error, code) in seen {
        assert_eq!(
            (status.as_u16(), &body["error"]),
            (expected, &json!(error)),
            "{body}"
        );
        assert_eq!(body["error_codes"], json!([code]), "{body}");
        let text = body["error_description"].as_str().unwrap();
        assert!(text.starts_with(&format!("AADSTS{code}: ")), "{text}");
        for member in ["timestamp", "trace_id", "correlation_id"] {
            assert!(text.contains(body[member].as_str().unwrap()), "{text}");
        }
        assert_eq!(body["error_uri"], format!("{BASE}/error?code={code}"));
        assert!(!text.contains("hunter"), "{text}");
    }
    assert_eq!(get(&registry, "/").0, 404);
    assert_eq!(get(&registry, "/v2/").0, 404);
}

#[test]
fn the_exchange_tells_the_audience_the_life_and_the_tenant_of_a_token() {
    let clock = VirtualClock::new();
    let builder = || Registry::builder().clock(clock.clone());
    let (registry, strict) = (
        builder().application(application()).build(),
        builder()
            .application(application())
            .arm_audience(false)
            .build(),
    );
    let good = access_token(&registry);
    assert_eq!(exchange(&registry, &good, None).0, 200);
    assert_eq!(exchange(&registry, &good, Some("")).0, 200);
    assert_eq!(exchange(&registry, &good, Some("Contoso.Example")).0, 200);
    // Without a word.
    assert_eq!(
        exchange(&registry, &good, Some("other")),
        (StatusCode::UNAUTHORIZED, Value::Null)
    );
    let invalid =
        json!({ "errors": [{ "code": "UNAUTHORIZED", "message": "token validation failed" }] });
    let arm = |registry: &Registry| {
        let members = [
            ("client_secret", "hunter 2"),
            ("scope", "https://management.azure.com/.default"),
        ];
        token_with(registry, &members).1["access_token"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(exchange(&registry, &arm(&registry), None).0, 200);
    let refused = (StatusCode::UNAUTHORIZED, invalid);
    assert_eq!(exchange(&strict, &arm(&strict), None), refused);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    assert_eq!(exchange(&registry, &forged, None), refused);
    clock.advance(LIFE - Duration::from_secs(1));
    assert_eq!(exchange(&registry, &good, None).0, 200);
    clock.advance(Duration::from_secs(1));
    assert_eq!(exchange(&registry, &good, None), refused);
    // What this authority has not made is taken as before.
    assert_eq!(exchange(&registry, "opaque", None).0, 200);
}

#[test]
fn an_identity_may_do_what_it_was_given_and_one_without_rights_is_denied() {
    let mut puller = application();
    puller.permissions = Some("repository:a:pull".parse().unwrap());
    let registry_of_puller = registry(puller);
    let refresh = exchange(
        &registry_of_puller,
        &access_token(&registry_of_puller),
        None,
    )
    .1;
    let members = [
        ("grant_type", "refresh_token"),
        ("service", "mock.azurecr.io"),
        ("scope", "repository:a:pull,push"),
        ("refresh_token", refresh["refresh_token"].as_str().unwrap()),
    ];
    let request = Request::post("https://mock.azurecr.io/oauth2/token")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form(&members))
        .unwrap();
    let response = registry_of_puller.handle(request).now_or_never().unwrap();
    let (_, access) = body_of(response);
    let (_, claims) = token::parts(access["access_token"].as_str().unwrap()).unwrap();
    assert_eq!(claims["access"][0]["Actions"], json!(["pull"]));

    let mut nobody = application();
    nobody.permissions = Some(ScopeSet::new());
    let registry = registry(nobody);
    let (status, body) = exchange(&registry, &access_token(&registry), None);
    assert_eq!(
        (status.as_u16(), &body["errors"][0]["code"]),
        (403, &json!("DENIED"))
    );
}
