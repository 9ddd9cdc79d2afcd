//! The ways to a token: the Entra exchange, refresh to access token, user names and passwords, nobody in particular.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::{Value, json};

use crate::raw::support::{HOST, PULL, PUSH, READ, Raw, RawResponse, claims, error, escape};

const NOBODY: &str = "00000000-0000-0000-0000-000000000000";
pub(crate) const ISSUED: u64 = 1_676_451_554;

fn exchange(raw: &Raw, form: &str) -> RawResponse {
    raw.post("/oauth2/exchange?api-version=2021-07-01")
        .form(form)
        .send()
}

/// The form of an exchange.
fn entra(token: &str) -> String {
    format!("grant_type=access_token&service={HOST}&access_token={token}")
}

pub(crate) fn token(raw: &Raw, form: &str) -> RawResponse {
    raw.post("/oauth2/token?api-version=2021-07-01")
        .form(form)
        .send()
}

fn login(raw: &Raw, user: &str, password: &str, scope: &str) -> RawResponse {
    let path = format!("/oauth2/token?service={HOST}&scope={}", escape(scope));
    raw.get(path).basic(user, password).send()
}

pub(crate) fn access(response: &RawResponse) -> String {
    response.member("access_token")
}

fn assert_token_headers(response: &RawResponse) {
    response.expect_header("content-type", "application/json; charset=utf-8");
    assert_eq!(response.announced, None, "token responses are chunked");
    assert!(!response.has("content-length"));
    assert!(!response.has("docker-distribution-api-version"));
    assert!(response.has("x-ms-correlation-request-id"));
    assert_eq!(
        response.all("strict-transport-security"),
        ["max-age=31536000; includeSubDomains"]
    );
    let left: f64 = response
        .header("x-ms-ratelimit-remaining-calls-per-second")
        .parse()
        .unwrap();
    assert!((160.0..167.0).contains(&left), "{left}");
}

#[test]
fn the_exchange_gives_a_refresh_token_and_nothing_else() {
    let raw = Raw::new();
    let response = exchange(&raw, &entra("entra")).expect(200);
    assert_token_headers(&response);
    let body = response.json();
    let refresh = body["refresh_token"].as_str().unwrap();
    assert_eq!(
        response.text(),
        format!("{{\"refresh_token\":\"{refresh}\"}}\n")
    );
    let claims = claims(refresh);
    let names: Vec<&String> = claims.as_object().unwrap().keys().collect();
    let expected = [
        "jti",
        "sub",
        "nbf",
        "exp",
        "iat",
        "iss",
        "aud",
        "version",
        "rid",
        "grant_type",
        "appid",
        "permissions",
        "roles",
    ];
    assert_eq!(names, expected);
    assert_eq!(claims["iss"], "Azure Container Registry");
    assert_eq!(
        (&claims["aud"], &claims["version"]),
        (&json!(HOST), &json!("1.0"))
    );
    assert_eq!(claims["grant_type"], "refresh_token");
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["nbf"].as_u64().unwrap(),
        11_700
    );
    let actions = json!([
        "read",
        "write",
        "delete",
        "deleted/read",
        "deleted/restore/action"
    ]);
    assert_eq!(
        claims["permissions"],
        json!({ "Actions": actions, "NotActions": null })
    );
}

#[test]
fn a_refresh_token_becomes_an_access_token_for_the_scopes_that_were_asked_for() {
    let raw = Raw::new();
    let refresh = raw.refresh_token("entra");
    let ask = |scope: &str| {
        let form =
            format!("grant_type=refresh_token&service={HOST}&{scope}&refresh_token={refresh}");
        token(&raw, &form).expect(200)
    };
    let response = ask("scope=repository%3Alibrary%2Fhello-world%3Ametadata_read");
    assert_token_headers(&response);
    let access_token = access(&response);
    assert_eq!(
        response.text(),
        format!("{{\"access_token\":\"{access_token}\"}}\n")
    );
    let claims = claims(&access_token);
    let names: Vec<&String> = claims.as_object().unwrap().keys().collect();
    let expected = [
        "jti",
        "sub",
        "nbf",
        "exp",
        "iat",
        "iss",
        "aud",
        "version",
        "rid",
        "access",
        "roles",
        "grant_type",
        "appid",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        (claims["iat"].as_u64(), claims["nbf"].as_u64()),
        (Some(ISSUED), Some(ISSUED))
    );
    assert_eq!(claims["exp"], ISSUED + 4_500);
    assert_eq!(
        (&claims["version"], &claims["grant_type"]),
        (&json!("2.0"), &json!("access_token"))
    );
    let expected = json!([{ "Type": "repository", "Name": "library/hello-world", "Actions": ["metadata_read"] }]);
    assert_eq!(claims["access"], expected);

    // Several scopes: joined by a blank, or the parameter repeated.
    let both = json!([
        { "Type": "repository", "Name": "alpine", "Actions": ["pull"] },
        { "Type": "repository", "Name": "hello-world", "Actions": ["pull", "push"] },
    ]);
    for scope in [
        "scope=repository%3Ahello-world%3Apull%2Cpush+repository%3Aalpine%3Apull",
        "scope=repository%3Ahello-world%3Apush%2Cpull&scope=repository%3Aalpine%3Apull",
    ] {
        assert_eq!(
            crate::raw::support::claims(&access(&ask(scope)))["access"],
            both,
            "{scope}"
        );
    }
}

#[test]
fn a_token_s_header_is_that_of_a_jwt() {
    let raw = Raw::new();
    for token in [raw.refresh_token("entra"), raw.token("registry:catalog:*")] {
        let header = URL_SAFE_NO_PAD
            .decode(token.split('.').next().unwrap())
            .unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(
            (&header["alg"], &header["typ"]),
            (&json!("RS256"), &json!("JWT"))
        );
        let key_id = header["kid"].as_str().unwrap();
        let groups: Vec<&str> = key_id.split(':').collect();
        let fits = |group: &&str| {
            group.len() == 4
                && group
                    .bytes()
                    .all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7'))
        };
        assert!(groups.len() == 12 && groups.iter().all(fits), "{key_id}");
    }
}

#[test]
fn the_standard_base64_alphabet_reads_the_payload_of_every_refresh_token() {
    // Names that would put `-` or `_` into base64url: these bytes have the six bits of 62 and 63 in each place.
    for host in ["a~b", "??", "x>y", "o\u{fc}~?>"] {
        let raw = Raw::with(|builder| builder.login_server(host));
        for entra in ["a", "bb", "ccc", "dddd"] {
            let refresh = raw.refresh_token(entra);
            let payload = refresh.split('.').nth(1).unwrap();
            assert!(!payload.contains(['-', '_', '=']), "{payload}");
            assert_eq!(claims(&refresh)["aud"], host);
        }
    }
}

#[test]
fn an_entra_token_may_be_any_text_but_none() {
    let raw = Raw::new();
    raw.refresh_token("x");
    let form = format!("grant_type=access_token&service={HOST}&access_token=");
    let refused = exchange(&raw, &form).expect_empty(401);
    assert!(!refused.has("www-authenticate") && !refused.has("content-type"));
    exchange(&raw, "").expect_empty(401);
}

#[test]
fn an_entra_token_that_does_not_hold_is_refused_with_an_envelope_of_its_own_form() {
    let raw = Raw::with(|builder| builder.entra_token("good", PULL.parse().unwrap()));
    let form = |token: &str| format!("grant_type=access_token&service={HOST}&access_token={token}");
    exchange(&raw, &form("good")).expect(200);
    let closed = Raw::with(acr_mock::RegistryBuilder::refuse_entra_tokens);
    for raw in [raw, closed] {
        let response = exchange(&raw, &entra("other")).expect(401);
        // The one envelope without a newline, a charset, or chunks.
        let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"token validation failed"}]}"#;
        assert_eq!(response.text(), body);
        response.expect_header("content-type", "application/json");
        response.expect_header("content-length", body.len().to_string());
        assert!(response.has("x-ms-ratelimit-remaining-calls-per-second"));
        assert!(!response.has("www-authenticate"));
    }
}

#[test]
fn an_identity_without_a_role_is_denied_at_the_exchange() {
    let raw = Raw::with(|builder| builder.entra_token("nobody", "".parse().unwrap()));
    exchange(&raw, &entra("nobody"))
        .expect_json(403, &error("DENIED", "retrieving permissions failed"));
}

#[test]
fn a_refresh_token_that_does_not_hold_is_refused_without_a_word() {
    let raw = Raw::new();
    let ask = |refresh: &str| {
        let form = format!(
            "grant_type=refresh_token&service={HOST}&scope=registry%3Acatalog%3A*&refresh_token={refresh}"
        );
        token(&raw, &form)
    };
    for bad in [
        "",
        "none",
        "a.b.c",
        &Raw::new().refresh_token("entra"),
        &raw.token("registry:catalog:*"),
    ] {
        let response = ask(bad).expect_empty(401);
        assert!(
            !response.has("www-authenticate") && !response.has("content-type"),
            "{bad}"
        );
    }
    let form = format!("grant_type=refresh_token&service={HOST}&scope=x&refresh_token=wrong");
    token(&raw, &form).expect_empty(401);
    let refresh = raw.refresh_token("entra");
    raw.clock.advance(Duration::from_secs(11_699));
    ask(&refresh).expect(200);
    raw.clock.advance(Duration::from_secs(1));
    ask(&refresh).expect_empty(401);
}

#[test]
fn a_token_is_given_also_for_what_the_identity_may_not_do_and_fails_at_use() {
    let raw = Raw::with(|builder| builder.entra_token("reader", PULL.parse().unwrap()));
    let refresh = raw.refresh_token("reader");
    let form = format!(
        "grant_type=refresh_token&service={HOST}&scope=repository%3Aapp%3Apull%2Cpush&refresh_token={refresh}"
    );
    let access_token = access(&token(&raw, &form).expect(200));
    assert_eq!(
        claims(&access_token)["access"],
        json!([{ "Type": "repository", "Name": "app", "Actions": ["pull"] }])
    );
    let refused = raw.post("/v2/app/blobs/uploads/").bearer(&access_token);
    let refused = refused.expect(401);
    refused.has_challenge_error("insufficient_scope");
    raw.get("/v2/app/manifests/v1")
        .bearer(&access_token)
        .expect(404);
}

#[test]
fn a_token_for_a_repository_that_does_not_exist_is_granted() {
    let raw = Raw::new();
    let token = raw.token("repository:nowhere:metadata_read");
    raw.get("/acr/v1/nowhere").bearer(&token).expect(404);
}

#[test]
fn a_login_gets_a_token_by_get() {
    let raw = Raw::with(|builder| builder.user("ci", "secret"));
    let response = login(&raw, "ci", "secret", PUSH).expect(200);
    assert_token_headers(&response);
    let access_token = access(&response);
    assert_eq!(claims(&access_token)["exp"], ISSUED + 4_500);
    raw.post("/v2/app/blobs/uploads/")
        .bearer(&access_token)
        .expect(202);
}

#[test]
fn a_login_gets_a_token_by_post() {
    // The form of Docker's own clients.
    let raw = Raw::with(|builder| builder.user("ci", "secret"));
    let ask = |password: &str| {
        let form = format!(
            "grant_type=password&service={HOST}&scope=repository%3Aapp%3Apull&username=ci&password={password}"
        );
        token(&raw, &form)
    };
    let access_token = access(&ask("secret").expect(200));
    raw.get("/v2/app/manifests/v1")
        .bearer(&access_token)
        .expect(404);
    ask("wrong").expect(401);
}

#[test]
fn a_wrong_login_is_told_so() {
    let raw =
        |anonymous| Raw::with(|builder| builder.user("ci", "secret").anonymous_pull(anonymous));
    let (raw, closed) = (raw(true), raw(false));
    // The words are those that clients show; the rest is chosen.
    let expected = error("UNAUTHORIZED", "Invalid clientid or client secret.");
    login(&closed, "ci", "wrong", PULL).expect_json(401, &expected);
    for (user, password) in [
        ("ci", "wrong"),
        ("ci", ""),
        ("other", "secret"),
        ("", "secret"),
        (NOBODY, "secret"),
    ] {
        login(&raw, user, password, "registry:catalog:*").expect_json(401, &expected);
        let response = raw.get("/acr/v1/_catalog").basic(user, password);
        let response = response.expect_json(401, &expected);
        let challenge = response.header("www-authenticate");
        assert!(
            challenge.ends_with(r#"scope="registry:catalog:*""#),
            "{challenge}"
        );
    }
}

#[test]
fn a_user_name_and_password_do_directly_too() {
    let scopes = READ.parse().unwrap();
    let raw = Raw::with(|builder| {
        builder
            .user("ci", "secret")
            .scoped_user("reader", "word", scopes)
    });
    raw.push_image("app", "v1");
    raw.get("/v2/").basic("ci", "secret").expect(200);
    raw.get("/acr/v1/app").basic("ci", "secret").expect(200);
    raw.get("/v2/app/manifests/v1")
        .basic("ci", "secret")
        .expect(200);
    raw.get("/acr/v1/app").basic("reader", "word").expect(200);
    let refused = raw.get("/v2/app/manifests/v1").basic("reader", "word");
    let refused = refused.expect(401);
    refused.has_challenge_error("insufficient_scope");
}

#[test]
fn the_registry_s_own_user_may_do_everything_unless_another_has_its_name() {
    let raw = Raw::with(acr_mock::RegistryBuilder::refuse_entra_tokens);
    let (user, password) = (raw.registry.username(), raw.registry.password());
    let token = access(&login(&raw, user, password, "registry:catalog:*").expect(200));
    raw.get("/acr/v1/_catalog").bearer(&token).expect(200);
    raw.get("/v2/").basic(user, password).expect(200);
    raw.get("/v2/").basic(user, "").expect(401);
    let other = Raw::new();
    other.get("/v2/").basic(user, password).expect(401);
    let named = Raw::with(|builder| builder.scoped_user(user, "word", READ.parse().unwrap()));
    assert_eq!(named.registry.password(), "word");
    named
        .get("/acr/v1/_catalog")
        .basic(user, "word")
        .expect(401);
}

#[test]
fn the_user_of_zeros_brings_a_token_as_the_password() {
    let raw = Raw::new();
    raw.push_image("app", "v1");
    let refresh = raw.refresh_token("entra");
    // A refresh token: at the token endpoint and directly.
    let access_token = access(&login(&raw, NOBODY, &refresh, PULL).expect(200));
    raw.get("/v2/app/manifests/v1")
        .bearer(&access_token)
        .expect(200);
    raw.get("/v2/app/manifests/v1")
        .basic(NOBODY, &refresh)
        .expect(200);
    // An access token gives what is in it.
    raw.get("/v2/app/manifests/v1")
        .basic(NOBODY, &access_token)
        .expect(200);
    raw.get("/acr/v1/app")
        .basic(NOBODY, &access_token)
        .expect(401);
    raw.clock.advance(Duration::from_secs(11_700));
    login(&raw, NOBODY, &refresh, PULL).expect(401);
    raw.get("/v2/app/manifests/v1")
        .basic(NOBODY, &refresh)
        .expect(401);
}

#[test]
fn the_token_endpoints_refuse_other_methods_and_forms() {
    let raw = Raw::new();
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
        let refused = raw.ask(method, "/oauth2/exchange").expect(404);
        assert_eq!(refused.text(), "Not found");
        assert!(!refused.has("allow"), "{refused:?}");
    }
    raw.head("/oauth2/exchange").expect(404);
    raw.put("/oauth2/token")
        .expect(405)
        .expect_header("allow", "GET, POST");
    // Chosen: which of these the service tells apart is not known.
    token(&raw, "").expect_empty(401);
    token(
        &raw,
        "grant_type=unknown&service=x&scope=registry%3Acatalog%3A*",
    )
    .expect_empty(401);
    token(&raw, "%ff%fe=1&&&=").expect_empty(401);
    raw.post("/oauth2/token")
        .body(vec![b'a'; 300 * 1024])
        .expect(413);
}

#[test]
fn an_access_token_as_a_password_gives_no_longer_life_than_it_has_left() {
    let raw = Raw::new();
    let scope = PULL;
    let end_of = |response: &RawResponse| {
        let token = response.member("access_token");
        (claims(&token)["exp"].as_u64().unwrap(), token)
    };
    let by_get = |password: &str| login(&raw, NOBODY, password, scope);
    let by_post = |password: &str| {
        let form = format!(
            "grant_type=password&service={HOST}&scope={}&username={NOBODY}&password={password}",
            escape(scope)
        );
        token(&raw, &form)
    };
    let refresh = raw.refresh_token("entra");
    let (end, first) = end_of(&by_get(&refresh).expect(200));
    assert_eq!(end, ISSUED + 4_500);
    let mut password = first;
    for _ in 0..4 {
        raw.clock.advance(Duration::from_millis(1_000_700));
        for response in [
            by_get(&password).expect(200),
            by_post(&password).expect(200),
        ] {
            let (renewed, next) = end_of(&response);
            assert_eq!(renewed, end);
            password = next;
        }
    }
    // A refresh token gives a whole life each time.
    let (renewed, _) = end_of(&by_post(&refresh).expect(200));
    assert_eq!(renewed, ISSUED + 4_002 + 4_500 + 1);
    raw.clock.advance(Duration::from_secs(500));
    by_get(&password).expect(401);
    by_post(&password).expect(401);
}

#[test]
fn lives_can_be_set() {
    let raw = Raw::with(|builder| {
        builder
            .access_token_life(Duration::from_secs(60))
            .refresh_token_life(Duration::from_secs(90))
    });
    let refresh = claims(&raw.refresh_token("entra"));
    assert_eq!(refresh["exp"], ISSUED + 90);
    assert_eq!(claims(&raw.token("registry:catalog:*"))["exp"], ISSUED + 60);
}
