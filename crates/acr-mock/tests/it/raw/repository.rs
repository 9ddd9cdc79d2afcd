//! Repositories: listed, read, locked and deleted; born with a first manifest and gone with the last.

use std::time::Duration;

use serde_json::json;

use crate::raw::support::{
    DELETE, OCI_MANIFEST, OPEN, PULL, READ, Raw, START, WRITE, error, error_with, nowhere,
};

const READ_HELLO: &str = "repository:library/hello-world:metadata_read";
const WRITE_HELLO: &str = "repository:library/hello-world:metadata_write";

#[test]
fn a_new_registry_has_an_empty_catalogue() {
    let raw = Raw::new();
    for path in ["/acr/v1/_catalog", "/v2/_catalog"] {
        raw.get(path)
            .scope("registry:catalog:*")
            .expect_json(200, "{\"repositories\":null}\n");
    }
}

#[test]
fn the_catalogue_is_ordered_by_the_bytes_of_the_names() {
    let raw = Raw::new();
    for name in ["b", "a/b", "a-b", "a", "a.b", "ab", "a/a", "0"] {
        raw.push_image(name, "v1");
    }
    let expected =
        "{\"repositories\":[\"0\",\"a\",\"a-b\",\"a.b\",\"a/a\",\"a/b\",\"ab\",\"b\"]}\n";
    for path in ["/acr/v1/_catalog?api-version=2021-07-01", "/v2/_catalog"] {
        raw.get(path)
            .scope("registry:catalog:*")
            .expect_json(200, expected);
    }
}

#[test]
fn properties_stand_in_the_service_s_order() {
    let raw = Raw::new();
    raw.push_image("library/hello-world", "v1");
    raw.clock.advance(Duration::from_secs(60));
    raw.push_image("library/hello-world", "v2");
    let expected = format!(
        "{{\"registry\":\"mock.azurecr.io\",\"imageName\":\"library/hello-world\",\"createdTime\":\"{START}\",\"lastUpdateTime\":\"2023-02-15T09:00:14.3176692Z\",\"manifestCount\":2,\"tagCount\":2,\"changeableAttributes\":{OPEN}}}\n"
    );
    for path in [
        "/acr/v1/library%2Fhello-world?api-version=2021-07-01",
        "/acr/v1/library%2fhello-world",
        "/acr/v1/library/hello-world",
    ] {
        raw.get(path).scope(READ_HELLO).expect_json(200, &expected);
    }
}

#[test]
fn an_unknown_repository_is_not_found_by_its_name() {
    let raw = Raw::new();
    let expected = error(
        "NAME_UNKNOWN",
        r#"repository "library/hello-world" is not found"#,
    );
    for path in [
        "",
        "/_tags",
        "/_manifests",
        "/_tags?n=0",
        "/_manifests?orderby=timedesc",
    ] {
        raw.get(format!("/acr/v1/library%2Fhello-world{path}"))
            .scope(READ_HELLO)
            .expect_json(404, &expected);
    }
    raw.get("/v2/library/hello-world/tags/list")
        .scope(READ_HELLO)
        .expect_json(404, &expected);
    raw.patch("/acr/v1/library%2Fhello-world")
        .scope(WRITE_HELLO)
        .body("{}")
        .expect_json(404, &expected);
}

#[test]
fn an_update_changes_what_it_names_and_no_time() {
    let raw = Raw::new();
    raw.push_image("library/hello-world", "v1");
    raw.clock.advance(Duration::from_secs(60));
    let with = |switches: &str| {
        format!(
            "{{\"registry\":\"mock.azurecr.io\",\"imageName\":\"library/hello-world\",\"createdTime\":\"{START}\",\"lastUpdateTime\":\"{START}\",\"manifestCount\":1,\"tagCount\":1,\"changeableAttributes\":{switches}}}\n"
        )
    };
    for (change, expected) in [
        (
            r#"{"writeEnabled":false}"#,
            r#"{"deleteEnabled":true,"writeEnabled":false,"readEnabled":true,"listEnabled":true}"#,
        ),
        (
            r#"{}"#,
            r#"{"deleteEnabled":true,"writeEnabled":false,"readEnabled":true,"listEnabled":true}"#,
        ),
        (
            r#"{"deleteEnabled":false,"writeEnabled":false,"readEnabled":false,"listEnabled":false}"#,
            r#"{"deleteEnabled":false,"writeEnabled":false,"readEnabled":false,"listEnabled":false}"#,
        ),
        // One update opens all that was closed.
        (OPEN, OPEN),
    ] {
        let response = raw.set_locks("library/hello-world", "", change);
        assert_eq!(response.text(), with(expected), "{change}");
        raw.get("/acr/v1/library/hello-world")
            .scope(READ_HELLO)
            .expect_json(200, &with(expected));
    }
}

#[test]
fn a_delete_says_what_went_in_order() {
    let raw = Raw::new();
    let mut digests = vec![
        raw.push_image("app", "v2"),
        raw.push_image("app", "v1"),
        raw.push_image("app", "latest"),
    ];
    digests.sort_unstable();
    let expected = json!({ "manifestsDeleted": digests, "tagsDeleted": ["latest", "v1", "v2"] });
    let delete = || raw.delete("/acr/v1/app").scope(DELETE).send();
    delete().expect_json(202, &format!("{expected}\n"));
    let detail = json!({ "name": "app" });
    delete().expect_json(
        404,
        &error_with(
            "NAME_UNKNOWN",
            "repository name not known to registry",
            detail,
        ),
    );
    raw.get("/acr/v1/_catalog")
        .scope("registry:catalog:*")
        .expect_json(200, "{\"repositories\":null}\n");
}

#[test]
fn a_delete_of_untagged_manifests_says_null_for_the_tags() {
    let raw = Raw::new();
    let digest = raw.push_image("app", "v1");
    raw.delete("/acr/v1/app/_tags/v1").scope(DELETE).expect(202);
    let expected = format!("{{\"manifestsDeleted\":[\"{digest}\"],\"tagsDeleted\":null}}\n");
    raw.delete("/acr/v1/app")
        .scope(DELETE)
        .expect_json(202, &expected);
}

#[test]
fn a_repository_is_born_with_its_first_manifest() {
    let raw = Raw::new();
    let manifest = raw.image("app", "v1");
    // Only blobs so far.
    raw.get("/acr/v1/app").scope(READ).expect(404);
    raw.get("/acr/v1/_catalog")
        .scope("registry:catalog:*")
        .expect_json(200, "{\"repositories\":null}\n");
    raw.delete("/acr/v1/app").scope(DELETE).expect(404);
    raw.push_manifest("app", "v1", OCI_MANIFEST, &manifest);
    raw.get("/acr/v1/app").scope(READ).expect(200);
}

#[test]
fn a_repository_outlives_its_tags_and_goes_with_its_last_manifest() {
    let raw = Raw::new();
    let digest = raw.push_image("app", "v1");
    raw.delete("/acr/v1/app/_tags/v1").scope(DELETE).expect(202);
    let tags = raw.get("/acr/v1/app/_tags").scope(READ).send();
    tags.expect_json(
        200,
        "{\"registry\":\"mock.azurecr.io\",\"imageName\":\"app\",\"tags\":null}\n",
    );
    raw.delete(format!("/v2/app/manifests/{digest}"))
        .scope(DELETE)
        .expect(202);
    let expected = error("NAME_UNKNOWN", r#"repository "app" is not found"#);
    raw.get("/v2/app/tags/list")
        .scope(READ)
        .expect_json(404, &expected);
}

#[test]
fn a_repository_that_comes_back_is_a_new_one() {
    let raw = Raw::new();
    let digest = raw.push_image("app", "v1");
    let blob = raw.push_blob("app", b"kept");
    raw.set_locks(
        "app",
        "",
        r#"{"readEnabled":false,"listEnabled":false,"deleteEnabled":false}"#,
    );
    raw.delete(format!("/v2/app/manifests/{digest}"))
        .scope(DELETE)
        .expect(202);
    // Its locks went with it, though a blob holds its place.
    raw.get(format!("/v2/app/blobs/{blob}"))
        .scope(PULL)
        .expect(307);
    raw.clock.advance(Duration::from_secs(60));
    raw.push_image("app", "v1");
    let body = raw.get("/acr/v1/app").scope(READ).expect(200).json();
    assert_eq!(body["createdTime"], "2023-02-15T09:00:14.3176692Z");
    assert_eq!(body["changeableAttributes"].to_string(), OPEN);
}

#[test]
fn a_deleted_repository_takes_its_blobs_along() {
    let raw = Raw::new();
    raw.push_image("app", "v1");
    let blob = raw.push_blob("app", b"content");
    raw.delete("/acr/v1/app").scope(DELETE).expect(202);
    raw.head(format!("/v2/app/blobs/{blob}"))
        .scope(PULL)
        .expect(404);
}

#[test]
fn every_write_is_later_than_the_one_before() {
    // The clock stands still, and yet newest first is a total order.
    let raw = Raw::new();
    for tag in ["b", "a", "c"] {
        raw.push_image("app", tag);
    }
    raw.push_image("app", "b");
    let list = raw.get("/acr/v1/app/_tags?orderby=timedesc").scope(READ);
    let list = list.expect(200);
    let tags = list.json()["tags"].as_array().unwrap().clone();
    let names = tags.iter().map(|tag| tag["name"].as_str().unwrap());
    let names: Vec<&str> = names.collect();
    assert_eq!(names, ["b", "c", "a"]);
    let times: Vec<&str> = tags
        .iter()
        .map(|tag| tag["lastUpdateTime"].as_str().unwrap())
        .collect();
    assert!(times.windows(2).all(|pair| pair[0] > pair[1]), "{times:?}");
}

#[test]
fn unknown_switches_are_passed_over_and_malformed_ones_refused() {
    // Chosen: what the service responds to a malformed body is not known.
    let raw = Raw::new();
    raw.push_image("app", "v1");
    raw.set_locks(
        "app",
        "",
        r#"{"teleportEnabled":true,"quarantineState":"Passed"}"#,
    );
    for body in [
        "",
        "no json",
        "[]",
        "1",
        r#"{"writeEnabled":"no"}"#,
        r#"{"writeEnabled":1}"#,
        "{\"a\":",
    ] {
        let response = raw.patch("/acr/v1/app").scope(WRITE).body(body).expect(400);
        assert!(response.json()["errors"][0]["code"].is_string(), "{body}");
    }
    let untouched = raw.get("/acr/v1/app").scope(READ).send().json();
    assert_eq!(untouched["changeableAttributes"].to_string(), OPEN);
}

#[test]
fn existence_comes_before_the_body_of_an_update() {
    let raw = Raw::new();
    for (path, code) in [
        ("/acr/v1/app".to_owned(), "NAME_UNKNOWN"),
        ("/acr/v1/app/_tags/v1".to_owned(), "TAG_UNKNOWN"),
        (
            format!("/acr/v1/app/_manifests/{}", nowhere()),
            "MANIFEST_UNKNOWN",
        ),
    ] {
        let response = raw.patch(path).scope(WRITE).body("no json").expect(404);
        response.has_code(code);
    }
}
