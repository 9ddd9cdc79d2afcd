//! Manifests: got and deleted by tag and digest, and their properties.

use std::time::Duration;

use serde_json::json;

use crate::raw::support::{
    DELETE, OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, OPEN, PULL, READ, Raw, START, WRITE,
    digest, error, error_with, nowhere, properties,
};

#[test]
fn the_stored_bytes_come_back_unchanged() {
    let raw = Raw::new();
    let layer = raw.push_blob("app", b"layer");
    let config = raw.push_blob("app", b"{}");
    // Blanks, member order and an unknown member are the client's own.
    let bytes = format!(
        "{{ \"layers\" : [ {{\"size\":5, \"digest\":\"{layer}\",\"mediaType\":\"{OCI_LAYER}\"}} ],\n \"x\": [1.50],\n \"config\":{{\"digest\":\"{config}\",\"size\":2,\"mediaType\":\"{OCI_CONFIG}\"}}, \"mediaType\":\"{OCI_MANIFEST}\",\"schemaVersion\":2}}\n\n"
    );
    let digest = raw.push_manifest("app", "v1", OCI_MANIFEST, &bytes);
    for reference in ["v1", &digest, &digest.replace(':', "%3A")] {
        let path = format!("/v2/app/manifests/{reference}");
        let response = raw.get(&path).scope(PULL).expect(200);
        assert_eq!(response.text(), bytes);
        let head = raw.head(&path).scope(PULL).expect(200);
        assert!(head.body.is_empty());
        for response in [response, head] {
            response.expect_header("content-type", OCI_MANIFEST);
            response.expect_header("content-length", bytes.len().to_string());
            response.expect_header("docker-content-digest", &digest);
            assert_eq!(response.header("etag"), format!("\"{digest}\""));
        }
    }
}

#[test]
fn accept_is_not_looked_at() {
    // Chosen: the service would hide or convert some types from a client that does not name them.
    let raw = Raw::new();
    let digest = raw.push_image("app", "v1");
    let response = raw.get("/v2/app/manifests/v1").scope(PULL);
    let response = response.header("accept", "text/html").expect(200);
    response.expect_header("docker-content-digest", digest);
}

#[test]
fn an_unknown_manifest_is_not_found_in_five_wordings() {
    let raw = Raw::new();
    raw.push_image("app", "v1");
    let digest = nowhere();
    let get = |reference: &str| {
        raw.get(format!("/v2/app/manifests/{reference}"))
            .scope(PULL)
            .send()
    };
    get("wrong-tag").expect_json(
        404,
        &error_with(
            "MANIFEST_UNKNOWN",
            r#"manifest tagged by "wrong-tag" is not found"#,
            json!({ "Tag": "wrong-tag" }),
        ),
    );
    let message = format!("manifest {digest} is not found");
    let by_digest = error_with(
        "MANIFEST_UNKNOWN",
        &message,
        json!({ "Name": "app", "Revision": digest }),
    );
    get(&digest).expect_json(404, &by_digest);
    let head = raw.head(format!("/v2/app/manifests/{digest}")).scope(PULL);
    let head = head.expect(404);
    assert!(head.body.is_empty());
    head.expect_header("content-length", by_digest.len().to_string());
    head.expect_header("content-type", "application/json; charset=utf-8");
    raw.delete(format!("/v2/app/manifests/{digest}"))
        .scope(DELETE)
        .expect_json(404, &error("MANIFEST_UNKNOWN", &message));
    let metadata = format!("/acr/v1/app/_manifests/{digest}");
    let expected = error("MANIFEST_UNKNOWN", "manifest unknown");
    raw.get(&metadata).scope(READ).expect_json(404, &expected);
    raw.patch(&metadata)
        .scope(WRITE)
        .body("{}")
        .expect_json(404, &expected);
}

#[test]
fn in_an_unknown_repository_the_manifest_is_what_is_unknown() {
    // Chosen for the OCI API, where it is not known; recorded for the properties.
    let raw = Raw::new();
    let response = raw.get("/v2/app/manifests/v1").scope(PULL).expect(404);
    response.has_code("MANIFEST_UNKNOWN");
    raw.get(format!("/acr/v1/app/_manifests/{}", nowhere()))
        .scope(READ)
        .expect_json(404, &error("MANIFEST_UNKNOWN", "manifest unknown"));
}

#[test]
fn a_manifest_is_deleted_by_digest_with_all_its_tags() {
    let raw = Raw::new();
    let bytes = raw.image("app", "v1");
    let digest = raw.push_manifest("app", "v1", OCI_MANIFEST, &bytes);
    raw.push_manifest("app", "latest", OCI_MANIFEST, &bytes);
    raw.push_image("app", "other");
    let path = format!("/v2/app/manifests/{digest}");
    raw.delete(&path).scope(DELETE).expect_empty(202);
    let tags = raw.get("/v2/app/tags/list").scope(READ).send();
    tags.expect_json(200, "{\"name\":\"app\",\"tags\":[\"other\"]}\n");
    // Seen at once.
    raw.get(&path).scope(PULL).expect(404);
    raw.delete(&path).scope(DELETE).expect(404);
}

#[test]
fn a_manifest_is_not_deleted_by_tag() {
    let raw = Raw::new();
    raw.push_image("app", "v1");
    let expected = error("UNSUPPORTED", "A manifest can only be deleted by digest.");
    // Whether or not there is such a tag, or such a repository.
    for path in [
        "/v2/app/manifests/v1",
        "/v2/app/manifests/error-digest",
        "/v2/nowhere/manifests/v1",
    ] {
        let scope = if path.contains("nowhere") {
            "repository:nowhere:delete"
        } else {
            DELETE
        };
        raw.delete(path).scope(scope).expect_json(405, &expected);
    }
    raw.get("/v2/app/manifests/v1").scope(PULL).expect(200);
}

#[test]
fn the_properties_of_an_image_stand_in_the_service_s_order() {
    let raw = Raw::new();
    let bytes = raw.image("app", "v1");
    let digest = raw.push_manifest("app", "v1", OCI_MANIFEST, &bytes);
    let element = |tags: &str| {
        format!(
            "{{\"digest\":\"{digest}\",\"imageSize\":11,\"createdTime\":\"{START}\",\"lastUpdateTime\":\"{START}\",\"architecture\":\"amd64\",\"os\":\"linux\",\"mediaType\":\"{OCI_MANIFEST}\",\"configMediaType\":\"{OCI_CONFIG}\",{tags}\"changeableAttributes\":{OPEN}}}"
        )
    };
    let single = |tags: &str| {
        format!(
            "{{\"registry\":\"mock.azurecr.io\",\"imageName\":\"app\",\"manifest\":{}}}\n",
            element(tags)
        )
    };
    let list = |tags: &str| {
        format!(
            "{{\"registry\":\"mock.azurecr.io\",\"imageName\":\"app\",\"manifests\":[{}]}}\n",
            element(tags)
        )
    };
    let path = format!("/acr/v1/app/_manifests/{digest}");
    raw.get(&path)
        .scope(READ)
        .expect_json(200, &single("\"tags\":[\"v1\"],"));
    raw.get("/acr/v1/app/_manifests")
        .scope(READ)
        .expect_json(200, &list("\"tags\":[\"v1\"],"));
    // Untagged, the member is absent.
    raw.delete("/acr/v1/app/_tags/v1").scope(DELETE).expect(202);
    raw.get(&path).scope(READ).expect_json(200, &single(""));
    raw.get("/acr/v1/app/_manifests")
        .scope(READ)
        .expect_json(200, &list(""));
}

#[test]
fn the_properties_of_an_index_name_its_images_in_the_manifest_s_order() {
    let raw = Raw::new();
    let children: Vec<String> = ["amd64", "arm64"]
        .map(|label| {
            let bytes = raw.image("app", label);
            let digest = digest(bytes.as_bytes());
            raw.push_manifest("app", &digest, OCI_MANIFEST, &bytes)
        })
        .into();
    let child = |at: usize, architecture: &str, os: &str| {
        json!({
            "mediaType": OCI_MANIFEST, "digest": children[at], "size": 1,
            "platform": { "architecture": architecture, "os": os }
        })
    };
    // `unknown` is what attestations have.
    let index = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX,
        "manifests": [child(1, "arm64", "linux"), child(0, "unknown", "unknown")]
    });
    let digest = raw.push_manifest("app", "v1", OCI_INDEX, &index.to_string());
    let single = properties(&raw, &digest);
    let names: Vec<&String> = single.as_object().unwrap().keys().collect();
    let expected = [
        "digest",
        "imageSize",
        "createdTime",
        "lastUpdateTime",
        "mediaType",
        "tags",
        "changeableAttributes",
        "references",
    ];
    assert_eq!(names, expected);
    let references = json!([
        { "digest": children[1], "architecture": "arm64", "os": "linux" },
        { "digest": children[0], "architecture": "unknown", "os": "unknown" },
    ]);
    assert_eq!(single["references"].to_string(), references.to_string());
    // The list has no references.
    let list = raw.get("/acr/v1/app/_manifests").scope(READ).expect(200);
    let list = list.json();
    let listed = list["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .find(|manifest| manifest["digest"] == digest)
        .unwrap()
        .clone();
    assert_eq!(listed.get("references"), None);
    assert_eq!(listed["mediaType"], OCI_INDEX);
}

#[test]
fn a_child_of_a_tagged_index_is_deleted_without_objection() {
    let raw = Raw::new();
    let child = raw.push_image("app", "child");
    let index = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{ "mediaType": OCI_MANIFEST, "digest": child, "size": 1 }]
    });
    let index = raw.push_manifest("app", "v1", OCI_INDEX, &index.to_string());
    let before = properties(&raw, &index);
    raw.clock.advance(Duration::from_secs(60));
    raw.delete(format!("/v2/app/manifests/{child}"))
        .scope(DELETE)
        .expect(202);
    let after = properties(&raw, &index);
    assert_eq!(after, before);
    assert_eq!(after["references"][0]["digest"], child);
}

#[test]
fn an_update_of_a_manifest_changes_no_time() {
    let raw = Raw::new();
    let digest = raw.push_image("app", "v1");
    raw.clock.advance(Duration::from_secs(60));
    let mut expected = properties(&raw, &digest);
    for switches in [
        r#"{"deleteEnabled":true,"writeEnabled":false,"readEnabled":true,"listEnabled":true}"#,
        r#"{"deleteEnabled":false,"writeEnabled":false,"readEnabled":false,"listEnabled":false}"#,
        OPEN,
    ] {
        expected["changeableAttributes"] = serde_json::from_str(switches).unwrap();
        let response = raw.set_locks("app", &format!("/_manifests/{digest}"), switches);
        assert_eq!(
            response.json()["manifest"].to_string(),
            expected.to_string()
        );
        assert_eq!(properties(&raw, &digest).to_string(), expected.to_string());
    }
}
