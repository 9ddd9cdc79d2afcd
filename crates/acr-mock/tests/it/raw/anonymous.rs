//! Anonymous access: tokens without credentials, and what they allow.

use std::time::Duration;

use serde_json::json;

use crate::raw::support::{
    DELETE, HOST, PULL, PUSH, READ, Raw, RawResponse, WRITE, claims, escape,
};
use crate::raw::token::{ISSUED, access, token};

fn anonymous(raw: &Raw, scope: &str) -> RawResponse {
    token(
        raw,
        &format!("grant_type=password&service={HOST}&scope={}", escape(scope)),
    )
}

#[test]
fn without_anonymous_pull_nobody_gets_no_token() {
    // Chosen: what the service responds here is not known.
    let raw = Raw::new();
    let response = anonymous(&raw, PULL).expect_empty(401);
    assert!(!response.has("www-authenticate"));
    raw.get(format!(
        "/oauth2/token?service={HOST}&scope=repository%3Aapp%3Apull"
    ))
    .expect_empty(401);
}

#[test]
fn anonymous_pull_reads_everything_and_changes_nothing() {
    let raw = Raw::with(|builder| builder.anonymous_pull(true));
    raw.push_image("app", "v1");
    let blob = raw.push_blob("app", b"content");
    let by = |scope: &str| access(&anonymous(&raw, scope).expect(200));
    raw.get("/acr/v1/_catalog")
        .bearer(&by("registry:catalog:*"))
        .expect(200);
    for path in [
        "/acr/v1/app",
        "/acr/v1/app/_tags",
        "/acr/v1/app/_tags/v1",
        "/acr/v1/app/_manifests",
        "/v2/app/tags/list",
    ] {
        raw.get(path).bearer(&by(READ)).expect(200);
    }
    raw.get("/v2/app/manifests/v1")
        .bearer(&by(PULL))
        .expect(200);
    raw.get(format!("/v2/app/blobs/{blob}"))
        .bearer(&by(PULL))
        .expect(307);
    // A token is given for these too, and refused where it is used.
    for (ask, scope) in [
        (raw.patch("/acr/v1/app"), WRITE),
        (raw.delete("/acr/v1/app"), DELETE),
        (raw.delete("/acr/v1/app/_tags/v1"), DELETE),
        (raw.put("/v2/app/manifests/v1"), PUSH),
        (raw.post("/v2/app/blobs/uploads/"), PUSH),
        (raw.delete(format!("/v2/app/blobs/{blob}")), DELETE),
    ] {
        let response = ask.bearer(&by(scope)).expect(401);
        response.has_challenge_error("insufficient_scope");
    }
    // Nor does a request without any token pass.
    raw.get("/v2/app/manifests/v1").expect(401);
}

#[test]
fn an_anonymous_token_names_pull_on_all_repositories_or_the_catalogue() {
    let raw = Raw::with(|builder| builder.anonymous_pull(true));
    let claims_of = |scope: &str| claims(&access(&anonymous(&raw, scope).expect(200)));
    for scope in [PULL, WRITE, "repository:other:delete,pull"] {
        let expected = json!([{ "Type": "repository", "Name": "*", "Actions": ["pull"] }]);
        assert_eq!(claims_of(scope)["access"], expected, "{scope}");
    }
    let expected = json!([{ "Type": "registry", "Name": "catalog", "Actions": ["*"] }]);
    let claims = claims_of("registry:catalog:*");
    assert_eq!(claims["access"], expected);
    assert_eq!(
        (&claims["sub"], &claims["version"]),
        (&json!("acr_anon_pull"), &json!("1.0"))
    );
    assert_eq!(claims.get("appid"), None);
}

#[test]
fn anonymous_tokens_are_shared_and_old_when_they_come() {
    let raw = Raw::with(|builder| builder.anonymous_pull(true));
    let ask = || access(&anonymous(&raw, "registry:catalog:*").expect(200));
    let first = ask();
    raw.clock.advance(Duration::from_secs(10));
    assert_eq!(ask(), first, "the same token, byte for byte");
    let claims = claims(&first);
    let (issued, end) = (
        claims["iat"].as_u64().unwrap(),
        claims["exp"].as_u64().unwrap(),
    );
    assert_eq!(end - issued, 1_200);
    assert!((15 * 60..=16 * 60).contains(&(ISSUED - issued)), "{issued}");
    // A form with an empty refresh token, and one without an empty scope, are the same request.
    let form =
        format!("grant_type=password&service={HOST}&scope=registry%3Acatalog%3A*&refresh_token=");
    assert_eq!(access(&token(&raw, &form).expect(200)), first);
    raw.clock.advance(Duration::from_secs(end - ISSUED - 10));
    raw.get("/acr/v1/_catalog").bearer(&first).expect(401);
    let next = ask();
    assert_ne!(next, first);
    raw.get("/acr/v1/_catalog").bearer(&next).expect(200);
}
