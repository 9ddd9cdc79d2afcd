//! The columns of the table but the first: one function for each, for every operation.

use acr_client::protocol::ScopeSet;
use acr_client::{ChangeableAttributes, Credential, Error, ErrorKind};

use super::call::{Outcome, call};
use super::request::{expected, is_opaque, request, scope};
use super::token;
use super::world::{APP, RawResponse, World};

/// The plain request has the plain response.
pub(super) async fn raw(operation: &str) {
    // The token endpoints take who comes without anything here; all others ask for a token all the same.
    let world = World::with(|builder| builder.anonymous_pull(true)).await;
    let plain = request(operation, &world.target);
    let response = if token::is_of_tokens(operation) {
        world.send(plain).await
    } else {
        world
            .send_with(plain, &scope(operation, &world.target))
            .await
    };
    let expected = expected(operation, &world);
    assert_eq!(
        response.status,
        expected.status,
        "{operation} raw: {}",
        response.text()
    );
    if is_opaque(operation) {
        assert!(
            response.text().starts_with(&expected.body),
            "{operation} raw: {}",
            response.text()
        );
    } else {
        assert_eq!(response.text(), expected.body, "{operation} raw");
    }
    for (name, value) in expected.headers {
        let given = response
            .headers
            .get(name)
            .unwrap_or_else(|| panic!("{operation} raw: no header {name}"));
        assert!(
            given.to_str().unwrap().starts_with(&value),
            "{operation} raw: {name}: {given:?}"
        );
    }
}

/// Without a token: a challenge for the scope on the wire, `Unauthorized` from the client.
pub(super) async fn no_token(operation: &str) {
    if token::is_of_tokens(operation) {
        return token::no_token(operation).await;
    }
    let world = World::new().await;
    let needed = scope(operation, &world.target);
    let response = world.send(request(operation, &world.target)).await;
    expect_challenge(operation, "no_token", &response, &needed, None);
    let called = call(
        operation,
        &world.client(Credential::anonymous()),
        &world.target,
    )
    .await;
    let error = expect_error(operation, "no_token", called, ErrorKind::Unauthorized);
    assert_eq!(
        error.status().unwrap(),
        401,
        "{operation} no_token: {error}"
    );
}

/// With a token that lacks one of the actions: a challenge that says so, `Denied` from the client with the scope.
pub(super) async fn no_scope(operation: &str) {
    if token::is_of_tokens(operation) {
        return token::no_scope(operation).await;
    }
    let needed = scope(operation, &World::new().await.target);
    for held in all_but_one_action(&needed) {
        let world =
            World::with(|builder| builder.scoped_user("limited", "word", held.parse().unwrap()))
                .await;
        let response = world
            .send_with(request(operation, &world.target), &held)
            .await;
        expect_challenge(
            operation,
            "no_scope",
            &response,
            &needed,
            Some("insufficient_scope"),
        );
        let client = world.client(Credential::password("limited", "word"));
        let called = call(operation, &client, &world.target).await;
        let error = expect_error(operation, "no_scope", called, ErrorKind::Denied);
        let missing: ScopeSet = error.missing_scope().unwrap().parse().unwrap();
        assert_eq!(missing, needed.parse().unwrap(), "{operation} no_scope");
    }
}

/// What the operation names is not there.
pub(super) async fn missing(operation: &str) {
    if token::is_of_tokens(operation) {
        return token::missing(operation).await;
    }
    let world = World::new().await;
    let target = world.missing(operation);
    let response = world
        .send_with(request(operation, &target), &scope(operation, &target))
        .await;
    let called = call(operation, &world.served.owner(), &target).await;
    let not_found = |code: &'static str| (404, Some(code), Err((ErrorKind::NotFound, code)));
    let (status, code, outcome) = match operation {
        "get_repository_properties"
        | "update_repository_properties"
        | "list_tag_properties"
        | "list_manifest_properties"
        | "list_tags" => not_found("NAME_UNKNOWN"),
        "get_tag_properties" | "update_tag_properties" => not_found("TAG_UNKNOWN"),
        "get_manifest_properties" | "update_manifest_properties" | "get_manifest" => {
            not_found("MANIFEST_UNKNOWN")
        }
        "get_blob" => not_found("BLOB_UNKNOWN"),
        "get_upload_status" | "upload_chunk" | "complete_upload" | "cancel_upload" => {
            not_found("BLOB_UPLOAD_UNKNOWN")
        }
        // Without a body there is no code.
        "head_manifest" | "head_blob" => (404, None, Ok(Outcome::WasThere(false))),
        // What is not there is deleted already.
        "delete_repository" => (404, Some("NAME_UNKNOWN"), Ok(Outcome::WasThere(false))),
        "delete_tag" => (404, Some("TAG_UNKNOWN"), Ok(Outcome::WasThere(false))),
        "delete_manifest" => (404, Some("MANIFEST_UNKNOWN"), Ok(Outcome::WasThere(false))),
        "delete_blob" => (404, Some("BLOB_UNKNOWN"), Ok(Outcome::WasThere(false))),
        "list_referrers" => (200, None, Ok(Outcome::Items(0))),
        "mount_blob" => (202, None, Ok(Outcome::Opened)),
        // There is no create: the repository need not exist.
        "start_upload" => (202, None, Ok(Outcome::Done)),
        // A blob that the manifest names.
        "set_manifest" => (
            400,
            Some("MANIFEST_BLOB_UNKNOWN"),
            Err((ErrorKind::Registry, "MANIFEST_BLOB_UNKNOWN")),
        ),
        other => panic!("nothing is said of {other} missing"),
    };
    assert_eq!(
        response.status,
        status,
        "{operation} missing: {}",
        response.text()
    );
    assert_eq!(response.code().as_deref(), code, "{operation} missing");
    match outcome {
        Ok(outcome) => assert_eq!(called.unwrap(), outcome, "{operation} missing"),
        Err((kind, code)) => {
            let error = expect_error(operation, "missing", called, kind);
            let given = error.code().map(ToString::to_string).unwrap_or_default();
            assert_eq!(given, code, "{operation} missing");
        }
    }
}

/// What the operation works on has a switch closed that forbids it; where none does, all are closed.
pub(super) async fn locked(operation: &str) {
    let change = ChangeableAttributes::default;
    let all_closed = ChangeableAttributes::LOCKED.can_read(false).can_list(false);
    let world = World::new().await;
    let app = world.served.repository(APP);
    // The first is about reads, which the write and delete switches leave alone.
    let outcome = match operation {
        "get_manifest" | "head_manifest" => {
            app.update_tag_properties("v1", change().can_read(false))
                .await
                .unwrap();
            None
        }
        "get_blob" | "head_blob" => {
            app.update_repository_properties(change().can_read(false))
                .await
                .unwrap();
            None
        }
        "set_manifest" | "delete_tag" => {
            app.update_tag_properties("v1", change().can_write(false))
                .await
                .unwrap();
            None
        }
        "delete_manifest" => {
            app.update_manifest_properties(&world.image.digest, change().can_delete(false))
                .await
                .unwrap();
            None
        }
        "delete_repository" => {
            app.update_repository_properties(change().can_delete(false))
                .await
                .unwrap();
            None
        }
        "delete_blob" | "mount_blob" | "start_upload" | "upload_chunk" | "complete_upload" => {
            app.update_repository_properties(change().can_write(false))
                .await
                .unwrap();
            None
        }
        _ => {
            app.update_tag_properties("v1", all_closed).await.unwrap();
            app.update_manifest_properties(&world.image.digest, all_closed)
                .await
                .unwrap();
            app.update_repository_properties(all_closed).await.unwrap();
            Some(match operation {
                "list_repository_names" | "list_repositories" => Outcome::Items(0),
                // Without `v1`, and without its image.
                "list_tag_properties" | "list_tags" => Outcome::Items(1),
                "list_manifest_properties" => Outcome::Items(4),
                "list_referrers" => Outcome::Items(1),
                "get_repository_properties"
                | "update_repository_properties"
                | "get_tag_properties"
                | "update_tag_properties"
                | "get_manifest_properties"
                | "update_manifest_properties"
                | "get_upload_status"
                | "cancel_upload" => Outcome::Done,
                other => panic!("nothing is said of {other} locked"),
            })
        }
    };
    // The client first: what goes well on the wire may be gone behind it.
    let called = call(operation, &world.served.owner(), &world.target).await;
    let response = world
        .send_with(
            request(operation, &world.target),
            &scope(operation, &world.target),
        )
        .await;
    match outcome {
        Some(outcome) => {
            assert_eq!(called.unwrap(), outcome, "{operation} locked");
            // The upload that was given up is no longer there.
            let status = if operation == "cancel_upload" {
                404..405
            } else {
                200..300
            };
            assert!(
                status.contains(&response.status),
                "{operation} locked: {}",
                response.text()
            );
        }
        None => {
            let error = expect_error(operation, "locked", called, ErrorKind::Disallowed);
            assert_eq!(
                response.status,
                405,
                "{operation} locked: {}",
                response.text()
            );
            let locked = Some("REGISTRY_DISALLOWED_OPERATION");
            // Without a body there is no code, so the client asks by a `GET` what the 405 means.
            let code = locked.filter(|_| !operation.starts_with("head_"));
            assert_eq!(response.code().as_deref(), code, "{operation} locked");
            assert_eq!(
                error.code().map(ToString::to_string).as_deref(),
                locked,
                "{operation} locked"
            );
        }
    }
}

#[track_caller]
fn expect_error(
    operation: &str,
    column: &str,
    called: Result<Outcome, Error>,
    kind: ErrorKind,
) -> Error {
    let error = called.expect_err(&format!("{operation} {column}: it went well"));
    assert_eq!(error.kind(), kind, "{operation} {column}: {error}");
    assert_eq!(
        error.operation(),
        Some(operation),
        "{operation} {column}: {error}"
    );
    error
}

#[track_caller]
fn expect_challenge(
    operation: &str,
    column: &str,
    response: &RawResponse,
    needed: &str,
    error: Option<&str>,
) {
    assert_eq!(
        response.status,
        401,
        "{operation} {column}: {}",
        response.text()
    );
    let challenge = response.headers["www-authenticate"].to_str().unwrap();
    let part = |name: &str| {
        let (_, rest) = challenge.split_once(&format!(",{name}=\""))?;
        Some(rest.split_once('"').unwrap().0)
    };
    let asked: ScopeSet = part("scope").unwrap_or_default().parse().unwrap();
    assert_eq!(
        asked,
        needed.parse().unwrap(),
        "{operation} {column}: {challenge}"
    );
    assert_eq!(part("error"), error, "{operation} {column}: {challenge}");
}

/// Every set of rights that lacks exactly one action of those needed.
fn all_but_one_action(needed: &str) -> Vec<String> {
    let actions = ["delete", "metadata_read", "metadata_write", "pull", "push"];
    let everything = |scopes: &[(&str, &str)], without: Option<(usize, &str)>| {
        let one = |(at, (name, _)): (usize, &(&str, &str))| {
            let held: Vec<&str> = actions
                .into_iter()
                .filter(|action| without != Some((at, *action)))
                .collect();
            format!("repository:{name}:{}", held.join(","))
        };
        scopes
            .iter()
            .enumerate()
            .map(one)
            .collect::<Vec<_>>()
            .join(" ")
    };
    if needed == "registry:catalog:*" {
        return vec![everything(&[(APP, "")], None)];
    }
    let scopes: Vec<(&str, &str)> = needed
        .split(' ')
        .map(|scope| {
            scope
                .strip_prefix("repository:")
                .unwrap()
                .rsplit_once(':')
                .unwrap()
        })
        .collect();
    let lacking = scopes.iter().enumerate().flat_map(|(at, (_, actions))| {
        let scopes = &scopes;
        actions
            .split(',')
            .map(move |action| everything(scopes, Some((at, action))) + " registry:catalog:*")
    });
    lacking.collect()
}
