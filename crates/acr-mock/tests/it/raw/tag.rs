//! Tags: listed, read, locked, moved and deleted.

use std::time::Duration;

use crate::raw::support::{DELETE, OCI_MANIFEST, OPEN, PULL, READ, Raw, START, WRITE, error};

fn element(name: &str, digest: &str, created: &str, updated: &str, switches: &str) -> String {
    format!(
        "{{\"name\":\"{name}\",\"digest\":\"{digest}\",\"createdTime\":\"{created}\",\"lastUpdateTime\":\"{updated}\",\"signed\":false,\"changeableAttributes\":{switches}}}"
    )
}

fn single(element: &str) -> String {
    format!("{{\"registry\":\"mock.azurecr.io\",\"imageName\":\"app\",\"tag\":{element}}}\n")
}

fn list(elements: &[String]) -> String {
    format!(
        "{{\"registry\":\"mock.azurecr.io\",\"imageName\":\"app\",\"tags\":[{}]}}\n",
        elements.join(",")
    )
}

#[test]
fn a_tag_is_read_as_the_service_writes_it() {
    let raw = Raw::new();
    let digest = raw.push_image("app", "latest");
    let expected = element("latest", &digest, START, START, OPEN);
    raw.get("/acr/v1/app/_tags/latest?api-version=2021-07-01")
        .scope(READ)
        .expect_json(200, &single(&expected));
    raw.get("/acr/v1/app/_tags")
        .scope(READ)
        .expect_json(200, &list(&[expected]));
    raw.get("/v2/app/tags/list")
        .scope(READ)
        .expect_json(200, "{\"name\":\"app\",\"tags\":[\"latest\"]}\n");
}

#[test]
fn a_repository_with_slashes_is_named_with_them() {
    let raw = Raw::new();
    raw.push_image("ocitest/alltests", "v1");
    for path in [
        "/acr/v1/ocitest%2Falltests/_tags",
        "/acr/v1/ocitest/alltests/_tags",
    ] {
        let response = raw
            .get(path)
            .scope("repository:ocitest/alltests:metadata_read")
            .expect(200);
        assert_eq!(response.json()["imageName"], "ocitest/alltests");
    }
    raw.get("/v2/ocitest%2Falltests/tags/list")
        .scope("repository:ocitest/alltests:metadata_read")
        .expect_json(200, "{\"name\":\"ocitest/alltests\",\"tags\":[\"v1\"]}\n");
}

#[test]
fn tags_are_ordered_by_their_bytes() {
    let raw = Raw::new();
    for tag in ["test0", "Test", "_x", "1.10", "1.9", "tagtest0"] {
        raw.push_image("app", tag);
    }
    let expected = ["1.10", "1.9", "Test", "_x", "tagtest0", "test0"];
    let names = serde_json::to_string(&expected).unwrap();
    raw.get("/v2/app/tags/list")
        .scope(READ)
        .expect_json(200, &format!("{{\"name\":\"app\",\"tags\":{names}}}\n"));
    let response = raw.get("/acr/v1/app/_tags").scope(READ).expect(200).json();
    let listed = response["tags"].as_array().unwrap().iter();
    let listed: Vec<&str> = listed.map(|tag| tag["name"].as_str().unwrap()).collect();
    assert_eq!(listed, expected);
}

#[test]
fn an_unknown_tag_is_unknown_in_three_operations() {
    let raw = Raw::new();
    raw.push_image("app", "v1");
    let expected = error("TAG_UNKNOWN", "the specified tag does not exist");
    // A word like a digest is a legal tag.
    for tag in ["v2", "wrong-digest", "V1"] {
        let path = format!("/acr/v1/app/_tags/{tag}");
        raw.get(&path).scope(READ).expect_json(404, &expected);
        raw.patch(&path)
            .scope(WRITE)
            .body("{}")
            .expect_json(404, &expected);
        raw.delete(&path).scope(DELETE).expect_json(404, &expected);
    }
    // Chosen: in an unknown repository it is the tag that is unknown.
    let nowhere = raw.delete("/acr/v1/nowhere/_tags/v1");
    let nowhere = nowhere.scope("repository:nowhere:delete").send();
    nowhere.expect_json(404, &expected);
}

#[test]
fn an_update_of_a_tag_changes_no_time() {
    let raw = Raw::new();
    let digest = raw.push_image("app", "v1");
    raw.clock.advance(Duration::from_secs(60));
    for switches in [
        r#"{"deleteEnabled":false,"writeEnabled":false,"readEnabled":false,"listEnabled":false}"#,
        r#"{"deleteEnabled":true,"writeEnabled":false,"readEnabled":true,"listEnabled":true}"#,
        OPEN,
    ] {
        let expected = single(&element("v1", &digest, START, START, switches));
        assert_eq!(raw.set_locks("app", "/_tags/v1", switches).text(), expected);
        raw.get("/acr/v1/app/_tags/v1")
            .scope(READ)
            .expect_json(200, &expected);
    }
}

#[test]
fn a_delete_names_the_digest_that_the_tag_had_and_leaves_the_manifest() {
    let raw = Raw::new();
    let digest = raw.push_image("app", "v1");
    let response = raw.delete("/acr/v1/app/_tags/v1").scope(DELETE);
    let response = response.expect_empty(202);
    response.expect_header("x-ms-int-docker-content-digest", &digest);
    let again = raw.delete("/acr/v1/app/_tags/v1").scope(DELETE).send();
    let again = again.expect_json(
        404,
        &error("TAG_UNKNOWN", "the specified tag does not exist"),
    );
    assert!(!again.has("x-ms-int-docker-content-digest"));
    raw.get(format!("/v2/app/manifests/{digest}"))
        .scope(PULL)
        .expect(200);
    // Without tags the lists are there, and not empty in the same way.
    let none = "{\"registry\":\"mock.azurecr.io\",\"imageName\":\"app\",\"tags\":null}\n";
    raw.get("/acr/v1/app/_tags")
        .scope(READ)
        .expect_json(200, none);
}

#[test]
fn a_tag_that_moves_keeps_its_age_and_leaves_the_old_manifest_untagged() {
    let raw = Raw::new();
    let old = raw.push_image("app", "v1");
    raw.clock.advance(Duration::from_secs(60));
    let other = raw.image("app", "other");
    let new = raw.push_manifest("app", "v1", OCI_MANIFEST, &other);
    let expected = element("v1", &new, START, "2023-02-15T09:00:14.3176692Z", OPEN);
    raw.get("/acr/v1/app/_tags/v1")
        .scope(READ)
        .expect_json(200, &single(&expected));
    let manifest = raw.get(format!("/acr/v1/app/_manifests/{old}")).scope(READ);
    let manifest = manifest.expect(200).json();
    assert_eq!(manifest["manifest"].get("tags"), None);
    assert_eq!(manifest["manifest"]["lastUpdateTime"], START);
}

#[test]
fn the_list_of_one_digest_s_tags_holds_no_others() {
    let raw = Raw::new();
    let first = raw.push_image("app", "a");
    let image = raw.image("app", "b");
    let second = raw.push_manifest("app", "b", OCI_MANIFEST, &image);
    raw.push_manifest("app", "c", OCI_MANIFEST, &image);
    let names = |digest: &str| -> Vec<String> {
        let response = raw.get(format!("/acr/v1/app/_tags?digest={digest}"));
        let response = response.scope(READ).expect(200).json();
        let tags = response["tags"].as_array().cloned().unwrap_or_default();
        tags.iter()
            .map(|tag| tag["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&first), ["a"]);
    assert_eq!(names(&second.replace(':', "%3A")), ["b", "c"]);
    // Chosen: no match is written as no tags are.
    let none = "{\"registry\":\"mock.azurecr.io\",\"imageName\":\"app\",\"tags\":null}\n";
    let path = format!(
        "/acr/v1/app/_tags?digest={}",
        crate::raw::support::nowhere()
    );
    raw.get(path).scope(READ).expect_json(200, none);
}
