//! Tokens that are refused before their time.

use crate::raw::support::{HOST, Raw, claims, escape};

const CATALOGUE: &str = "registry:catalog:*";

fn list(raw: &Raw, token: &str) -> u16 {
    raw.get("/acr/v1/_catalog").bearer(token).send().status
}

/// What the token endpoint says to a refresh token.
fn renew(raw: &Raw, refresh: &str) -> crate::raw::support::RawResponse {
    let form = format!(
        "grant_type=refresh_token&service={HOST}&scope={}&refresh_token={refresh}",
        escape(CATALOGUE)
    );
    raw.post("/oauth2/token").form(form).send()
}

#[test]
fn access_tokens_from_before_are_invalid_and_those_from_behind_are_good() {
    let raw = Raw::new();
    let (first, issued) = (raw.token(CATALOGUE), raw.issued(CATALOGUE));
    let refresh = raw.refresh_token("entra");
    raw.registry.revoke_access_tokens();
    for token in [&first, &issued] {
        let refused = raw.get("/acr/v1/_catalog").bearer(token).expect(401);
        refused.has_challenge_error("invalid_token");
    }
    // The clock stands still, so it is not by their times that they are told apart.
    let second = raw.token(CATALOGUE);
    assert_eq!(claims(&first)["iat"], claims(&second)["iat"]);
    assert_eq!(list(&raw, &second), 200);
    // Refresh tokens are another matter.
    renew(&raw, &refresh).expect(200);
    raw.registry.revoke_access_tokens();
    assert_eq!(list(&raw, &second), 401);
    assert_eq!(list(&raw, &first), 401, "it does not come back");
}

#[test]
fn refresh_tokens_from_before_get_no_word_and_access_tokens_stay() {
    let raw = Raw::new();
    let (refresh, access) = (raw.refresh_token("entra"), raw.token(CATALOGUE));
    raw.registry.revoke_refresh_tokens();
    let refused = renew(&raw, &refresh).expect_empty(401);
    assert!(!refused.has("www-authenticate"));
    assert_eq!(list(&raw, &access), 200);
    let again = raw.refresh_token("entra");
    let renewed = renew(&raw, &again).expect(200).json();
    let token = renewed["access_token"].as_str().unwrap();
    assert_eq!(list(&raw, token), 200);
}

#[test]
fn anonymous_tokens_are_revoked_too_and_the_next_is_shared_again() {
    let raw = Raw::with(|builder| builder.anonymous_pull(true));
    let anonymous = || {
        let form = format!(
            "grant_type=password&service={HOST}&scope={}",
            escape(CATALOGUE)
        );
        let response = raw.post("/oauth2/token").form(form).expect(200);
        response.member("access_token")
    };
    let before = anonymous();
    assert_eq!(list(&raw, &before), 200);
    raw.registry.revoke_access_tokens();
    assert_eq!(list(&raw, &before), 401);
    let behind = anonymous();
    assert_eq!(list(&raw, &behind), 200);
    assert_eq!(behind, anonymous());
}

#[test]
fn a_revoked_token_is_no_password_either() {
    let raw = Raw::new();
    let user = "00000000-0000-0000-0000-000000000000";
    let (refresh, access) = (raw.refresh_token("entra"), raw.token(CATALOGUE));
    let login = |password: &str| {
        let ask = raw.get("/acr/v1/_catalog").basic(user, password);
        ask.send().status
    };
    assert_eq!((login(&refresh), login(&access)), (200, 200));
    raw.registry.revoke_refresh_tokens();
    assert_eq!((login(&refresh), login(&access)), (401, 200));
    raw.registry.revoke_access_tokens();
    assert_eq!((login(&refresh), login(&access)), (401, 401));
}
