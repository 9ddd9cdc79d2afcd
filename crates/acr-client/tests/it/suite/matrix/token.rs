//! The operations that fetch tokens: they have no token of their own, so their situations differ.

use acr_client::{Credential, ErrorKind};

use super::request::request;
use super::world::{APP, Plain, RawResponse, World};
use crate::suite::backend::HOST;

/// Whether the operation is one of the three.
pub(super) fn is_of_tokens(operation: &str) -> bool {
    matches!(
        operation,
        "exchange_entra_token" | "request_access_token" | "request_access_token_with_login"
    )
}

/// Without what a token is made of: 401 without a body, an error of the credential's kind from the client.
pub(super) async fn no_token(operation: &str) {
    let world = World::new().await;
    let mut plain = request(operation, &world.target);
    let (credential, kind) = match operation {
        "exchange_entra_token" => {
            plain = plain.body(
                "",
                format!("grant_type=access_token&service={HOST}&access_token="),
            );
            plain.headers.remove(1);
            // An empty token is not even sent.
            (Credential::entra_token(""), ErrorKind::Credential)
        }
        "request_access_token" => (Credential::anonymous(), ErrorKind::Unauthorized),
        _ => (Credential::password("", ""), ErrorKind::Unauthorized),
    };
    let response = world.send(plain).await;
    assert_eq!(
        (response.status, response.body.len()),
        (401, 0),
        "{operation} no_token: {}",
        response.text()
    );
    assert!(
        !response.headers.contains_key("www-authenticate"),
        "{operation} no_token"
    );
    let error = world.client(credential).ping().await.unwrap_err();
    assert_eq!(error.kind(), kind, "{operation} no_token: {error}");
}

/// Without the right: an identity without any role is denied at the exchange; a token is granted in any case, and
/// refused where it is used.
pub(super) async fn no_scope(operation: &str) {
    let world = World::with(|builder| {
        builder
            .entra_token("nobody", "".parse().unwrap())
            .entra_token("reader", "repository:other:pull".parse().unwrap())
            .scoped_user("reader", "word", "repository:other:pull".parse().unwrap())
    })
    .await;
    let credential = match operation {
        "exchange_entra_token" => {
            let exchanged = world.send(exchange("nobody")).await;
            assert_eq!(
                (exchanged.status, exchanged.code().as_deref()),
                (403, Some("DENIED"))
            );
            Credential::entra_token("nobody")
        }
        "request_access_token" => {
            let exchanged = world.send(exchange("reader")).await;
            let refresh = member(&exchanged, "refresh_token");
            let plain = Plain::new(http::Method::POST, "/oauth2/token").body(
                "application/x-www-form-urlencoded",
                format!("grant_type=refresh_token&service={HOST}&scope=repository%3A{APP}%3Apull&refresh_token={refresh}"),
            );
            expect_useless(operation, &world, plain).await;
            Credential::entra_token("reader")
        }
        _ => {
            let mut plain = request(operation, &world.target);
            plain
                .headers
                .push(("authorization", "Basic cmVhZGVyOndvcmQ=".to_owned()));
            expect_useless(operation, &world, plain).await;
            Credential::password("reader", "word")
        }
    };
    let app = world.client(credential).repository_client(APP).unwrap();
    let error = app.get_manifest("v1").await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Denied,
        "{operation} no_scope: {error}"
    );
}

/// A token is granted for what is not there: it is missed at use.
pub(super) async fn missing(operation: &str) {
    let world = World::with(|builder| builder.anonymous_pull(true).user("ci", "secret")).await;
    let mut target = world.target.clone();
    target.repository = "no/where".to_owned();
    let granted = world.send(request(operation, &target)).await;
    assert_eq!(
        granted.status,
        200,
        "{operation} missing: {}",
        granted.text()
    );
    let credential = match operation {
        "request_access_token" => Credential::anonymous(),
        _ => Credential::password("ci", "secret"),
    };
    let repository = world
        .client(credential)
        .repository_client("no/where")
        .unwrap();
    let error = repository.get_manifest("v1").await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::NotFound,
        "{operation} missing: {error}"
    );
}

fn exchange(entra: &str) -> Plain {
    Plain::new(http::Method::POST, "/oauth2/exchange").body(
        "application/x-www-form-urlencoded",
        format!("grant_type=access_token&service={HOST}&access_token={entra}"),
    )
}

fn member(response: &RawResponse, name: &str) -> String {
    let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    body[name].as_str().unwrap().to_owned()
}

/// Expects a token that is granted, and that opens nothing.
async fn expect_useless(operation: &str, world: &World, plain: Plain) {
    let granted = world.send(plain).await;
    assert_eq!(
        granted.status,
        200,
        "{operation} no_scope: {}",
        granted.text()
    );
    let mut used = Plain::new(http::Method::GET, format!("/v2/{APP}/manifests/v1"));
    used.headers.push((
        "authorization",
        format!("Bearer {}", member(&granted, "access_token")),
    ));
    let refused = world.send(used).await;
    assert_eq!(refused.status, 401, "{operation} no_scope");
    let challenge = refused.headers["www-authenticate"].to_str().unwrap();
    assert!(
        challenge.ends_with(r#"error="insufficient_scope""#),
        "{operation} no_scope: {challenge}"
    );
}
