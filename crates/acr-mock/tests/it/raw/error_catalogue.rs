//! The service's errors, one test for each row of their catalogue: status, body to the letter, and the headers that
//! belong to it. Rows that are chosen because the service's response is not known say so.

use std::time::Duration;

use acr_mock::{OperationClass, Throttle};
use serde_json::{Value, json};

use crate::raw::support::{
    DELETE, DISALLOWED, HOST, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, PULL, PUSH, READ, Raw,
    RawResponse, WRITE, digest, error, error_with, nowhere,
};

const VISIT: &str =
    "authentication required, visit https://aka.ms/acr/authorization for more information.";

fn put(raw: &Raw, manifest: &str) -> RawResponse {
    raw.put("/v2/app/manifests/v1")
        .scope(PUSH)
        .header("content-type", OCI_MANIFEST)
        .body(manifest.to_owned())
        .send()
}

/// A registry with the repository `app`, in it the tag `v1`.
fn app() -> Raw {
    let raw = Raw::new();
    raw.push_image("app", "v1");
    raw
}

fn start(raw: &Raw) -> String {
    let begun = raw.post("/v2/app/blobs/uploads/").scope(PUSH).send();
    begun.expect(202).header("location").to_owned()
}

fn exchange(raw: &Raw, token: &str) -> RawResponse {
    let form = format!("grant_type=access_token&service={HOST}&access_token={token}");
    raw.post("/oauth2/exchange").form(form).send()
}

#[test]
fn digest_invalid_400_at_the_end_of_an_upload() {
    let raw = Raw::new();
    let end = format!("{}&digest=sha256%3A00000000", start(&raw));
    let message = "provided digest did not match uploaded content";
    let expected = error_with("DIGEST_INVALID", message, json!("digest parsing failed"));
    raw.put(end)
        .scope(PUSH)
        .body("content")
        .expect_json(400, &expected);
}

#[test]
fn manifest_invalid_400_at_the_push_of_a_manifest() {
    let raw = Raw::new();
    let manifest = raw.image("app", "v1").replace(
        OCI_MANIFEST,
        "application/vnd.docker.distribution.manifest.v2+json",
    );
    let expected = "{\"errors\":[{\"code\":\"MANIFEST_INVALID\",\"message\":\"manifest invalid\",\"detail\":{\"Reason\":{}}}]}\n";
    put(&raw, &manifest).expect_json(400, expected);
}

#[test]
fn manifest_blob_unknown_400_once_for_each_blob() {
    let raw = Raw::new();
    let descriptor = |media_type: &str| json!({ "mediaType": media_type, "digest": digest(media_type.as_bytes()), "size": 7 });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(OCI_CONFIG), "layers": [descriptor(OCI_LAYER)]
    });
    let missing = |digest: &Value| json!({ "code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown to registry", "detail": digest });
    let errors = [
        &manifest["config"]["digest"],
        &manifest["layers"][0]["digest"],
    ]
    .map(missing);
    put(&raw, &manifest.to_string())
        .expect_json(400, &format!("{}\n", json!({ "errors": errors })));
}

#[test]
fn unauthorized_401_with_an_array_or_null() {
    let raw = Raw::new();
    let ping = raw.get("/v2/").send();
    ping.expect_json(401, &error_with("UNAUTHORIZED", VISIT, Value::Null));
    let detail = json!([{ "Type": "repository", "Name": "app", "Action": "pull" }]);
    let pull = raw.get("/v2/app/manifests/v1").send();
    let pull = pull.expect_json(401, &error_with("UNAUTHORIZED", VISIT, detail));
    let challenge =
        format!("Bearer realm=\"https://{HOST}/oauth2/token\",service=\"{HOST}\",scope=\"{PULL}\"");
    pull.expect_header("www-authenticate", challenge);
}

#[test]
fn no_body_401_at_the_token_endpoints() {
    let raw = Raw::new();
    let form = format!("grant_type=refresh_token&service={HOST}&scope=x&refresh_token=wrong");
    let refused = raw.post("/oauth2/token").form(form).expect_empty(401);
    assert!(!refused.has("www-authenticate") && !refused.has("content-type"));
}

#[test]
fn token_validation_failed_401_at_the_exchange() {
    let raw = Raw::with(acr_mock::RegistryBuilder::refuse_entra_tokens);
    let refused = exchange(&raw, "of-another-audience").expect(401);
    // The one envelope without a newline, a charset, or chunks.
    assert_eq!(
        refused.text(),
        r#"{"errors":[{"code":"UNAUTHORIZED","message":"token validation failed"}]}"#
    );
    refused.expect_header("content-type", "application/json");
    refused.expect_header("content-length", refused.body.len().to_string());
    assert!(!refused.has("www-authenticate"));
}

#[test]
fn invalid_login_401_at_the_token_endpoint() {
    // The words are those that clients show; the rest is chosen.
    let raw = Raw::with(|builder| builder.user("ci", "secret"));
    let ask = raw.get(format!("/oauth2/token?service={HOST}&scope={PULL}"));
    let expected = error("UNAUTHORIZED", "Invalid clientid or client secret.");
    ask.basic("ci", "wrong").expect_json(401, &expected);
}

#[test]
fn denied_403_for_an_identity_without_a_role() {
    let raw = Raw::with(|builder| builder.entra_token("nobody", "".parse().unwrap()));
    exchange(&raw, "nobody").expect_json(403, &error("DENIED", "retrieving permissions failed"));
}

#[test]
fn denied_403_by_the_firewall() {
    let raw = Raw::with(|builder| builder.firewall([]));
    let message = "client with IP '127.0.0.1' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.";
    for response in [
        raw.get("/v2/").send(),
        raw.get("/acr/v1/app/_tags").send(),
        exchange(&raw, "entra"),
    ] {
        response.expect_json(403, &error("DENIED", message));
    }
}

#[test]
fn name_unknown_404_where_a_repository_is_read_changed_or_listed() {
    let raw = Raw::new();
    let expected = error("NAME_UNKNOWN", "repository \"app\" is not found");
    for path in [
        "/acr/v1/app",
        "/acr/v1/app/_tags",
        "/acr/v1/app/_manifests",
        "/v2/app/tags/list",
    ] {
        raw.get(path).scope(READ).expect_json(404, &expected);
    }
    raw.patch("/acr/v1/app")
        .scope(WRITE)
        .body("{}")
        .expect_json(404, &expected);
}

#[test]
fn name_unknown_404_where_a_repository_is_deleted() {
    let message = "repository name not known to registry";
    let expected = error_with("NAME_UNKNOWN", message, json!({ "name": "app" }));
    Raw::new()
        .delete("/acr/v1/app")
        .scope(DELETE)
        .expect_json(404, &expected);
}

#[test]
fn tag_unknown_404_where_a_tag_is_read_changed_or_deleted() {
    let raw = app();
    let expected = error("TAG_UNKNOWN", "the specified tag does not exist");
    let path = "/acr/v1/app/_tags/other";
    raw.get(path).scope(READ).expect_json(404, &expected);
    raw.patch(path)
        .scope(WRITE)
        .body("{}")
        .expect_json(404, &expected);
    raw.delete(path).scope(DELETE).expect_json(404, &expected);
}

#[test]
fn manifest_unknown_404_in_the_metadata_api() {
    let path = format!("/acr/v1/app/_manifests/{}", nowhere());
    let expected = error("MANIFEST_UNKNOWN", "manifest unknown");
    app().get(path).scope(READ).expect_json(404, &expected);
}

#[test]
fn manifest_unknown_404_where_a_manifest_is_got_by_tag() {
    let message = "manifest tagged by \"other\" is not found";
    let expected = error_with("MANIFEST_UNKNOWN", message, json!({ "Tag": "other" }));
    let path = "/v2/app/manifests/other";
    app().get(path).scope(PULL).expect_json(404, &expected);
}

#[test]
fn manifest_unknown_404_where_a_manifest_is_got_by_digest() {
    let message = format!("manifest {} is not found", nowhere());
    let detail = json!({ "Name": "app", "Revision": nowhere() });
    let expected = error_with("MANIFEST_UNKNOWN", &message, detail);
    let path = format!("/v2/app/manifests/{}", nowhere());
    app().get(path).scope(PULL).expect_json(404, &expected);
}

#[test]
fn manifest_unknown_404_where_a_manifest_is_deleted() {
    let expected = error(
        "MANIFEST_UNKNOWN",
        &format!("manifest {} is not found", nowhere()),
    );
    let path = format!("/v2/app/manifests/{}", nowhere());
    app().delete(path).scope(DELETE).expect_json(404, &expected);
}

#[test]
fn blob_unknown_404_where_a_blob_is_got() {
    let expected = error_with("BLOB_UNKNOWN", "blob unknown to registry", json!(nowhere()));
    let path = format!("/v2/app/blobs/{}", nowhere());
    let response = app().get(path).scope(PULL).expect_json(404, &expected);
    response.expect_header("cache-control", "no-cache");
}

#[test]
fn blob_unknown_404_where_a_blob_is_deleted_also_in_an_unknown_repository() {
    let expected = error("BLOB_UNKNOWN", "blob unknown to registry");
    for raw in [app(), Raw::new()] {
        let path = format!("/v2/app/blobs/{}", nowhere());
        raw.delete(path).scope(DELETE).expect_json(404, &expected);
    }
}

#[test]
fn page_not_found_404_for_a_malformed_name_tag_or_digest() {
    let raw = app();
    for path in [
        "/acr/v1/App",
        "/v2/app/manifests/.v1",
        "/v2/app/blobs/wrong%20digest",
        "/acr/v1/app/_manifests/wrong",
    ] {
        raw.get(path).expect_not_routed();
    }
}

#[test]
fn not_found_404_in_front_of_the_registry() {
    let response = Raw::new().get("/wrong%20location").expect(404);
    assert_eq!(response.text(), "Not found");
    response.expect_header("content-type", "application/octet-stream");
    assert!(!response.has("docker-distribution-api-version"));
}

#[test]
fn blob_upload_unknown_404() {
    // Chosen.
    let expected = error("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
    let raw = Raw::with(|builder| builder.upload_life(Duration::from_secs(1)));
    let location = start(&raw);
    raw.clock.advance(Duration::from_secs(1));
    raw.patch(location)
        .scope(PUSH)
        .body("late")
        .expect_json(404, &expected);
}

#[test]
fn unsupported_405_where_a_manifest_is_deleted_by_tag() {
    let raw = app();
    let expected = error("UNSUPPORTED", "A manifest can only be deleted by digest.");
    for tag in ["v1", "other"] {
        let path = format!("/v2/app/manifests/{tag}");
        raw.delete(path).scope(DELETE).expect_json(405, &expected);
    }
}

#[test]
fn registry_disallowed_operation_405_where_a_lock_holds() {
    let raw = app();
    raw.set_locks("app", "/_tags/v1", r#"{"writeEnabled":false}"#);
    raw.delete("/acr/v1/app/_tags/v1")
        .scope(DELETE)
        .expect_json(405, DISALLOWED);
}

#[test]
fn blob_upload_range_invalid_416_where_a_chunk_is_out_of_order() {
    let raw = Raw::new();
    let location = start(&raw);
    for (range, reason) in [
        (
            "22-41",
            "out of order chunk: content range should start at 0",
        ),
        ("-1--1", "the Content-Range header format is invalid"),
    ] {
        let detail = json!({ "Range": range, "Reason": reason });
        let expected = error_with(
            "BLOB_UPLOAD_RANGE_INVALID",
            "blob upload range invalid",
            detail,
        );
        let chunk = raw
            .patch(&location)
            .scope(PUSH)
            .header("content-range", range);
        let response = chunk.body(vec![0; 20]).expect_json(416, &expected);
        assert!(!response.has("location") && !response.has("range"));
    }
}

#[test]
fn no_body_416_where_a_location_is_stale() {
    let raw = Raw::new();
    let location = start(&raw);
    raw.patch(&location)
        .scope(PUSH)
        .body(vec![0; 22])
        .expect(202);
    let stale = raw
        .patch(&location)
        .scope(PUSH)
        .body("more")
        .expect_empty(416);
    stale.expect_header("content-type", "application/json; charset=utf-8");
    stale.expect_header("range", "0-21");
    assert!(stale.has("docker-upload-uuid") && stale.header("location") != location);
}

#[test]
fn toomanyrequests_429_where_a_class_is_throttled() {
    // Chosen, but for the code.
    let throttle = Throttle::per_second(0);
    let raw = Raw::with(|builder| builder.throttle(OperationClass::MetadataRead, throttle));
    let expected = error("TOOMANYREQUESTS", "too many requests");
    raw.get("/acr/v1/app")
        .scope(READ)
        .expect_json(429, &expected);
}
