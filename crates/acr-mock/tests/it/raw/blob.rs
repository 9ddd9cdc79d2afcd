//! Blobs: the redirect, the head, deletes and mounts. Uploads and the data origin have files of their own.

use serde_json::json;

use crate::raw::support::{DELETE, PULL, PUSH, Raw, digest, error, error_with, nowhere};

#[test]
fn a_blob_is_got_by_a_redirect_to_the_data_origin() {
    let raw = Raw::new();
    let digest = raw.push_blob("app", b"content");
    let hex = digest.strip_prefix("sha256:").unwrap();
    let response = raw.get(format!("/v2/app/blobs/{}", digest.replace(':', "%3A")));
    let response = response.scope(PULL).expect(307);
    response.expect_header("docker-content-digest", &digest);
    response.expect_header("content-type", "text/html; charset=utf-8");
    let location = response.header("location");
    let (path, query) = location.split_once('?').unwrap();
    let path = path.strip_prefix("https://mock.data.invalid/").unwrap();
    let (registry_id, rest) = path.split_once('/').unwrap();
    assert_eq!(
        rest,
        format!("/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2])
    );
    let names = query.split('&').map(|pair| pair.split('=').next().unwrap());
    let names: Vec<&str> = names.collect();
    assert_eq!(names, ["se", "sig", "sp", "spr", "sr", "sv", "regid"]);
    // Whole seconds, twenty minutes on.
    assert!(
        query.starts_with("se=2023-02-15T09%3A19%3A14Z&sig="),
        "{query}"
    );
    assert!(
        query.contains("&sp=r&spr=https&sr=b&sv=")
            && query.ends_with(&format!("&regid={registry_id}")),
        "{query}"
    );
    let expected = format!(
        "<a href=\"{}\">Temporary Redirect</a>.\n\n",
        location.replace('&', "&amp;")
    );
    assert_eq!(response.text(), expected);
    response.expect_header("content-length", expected.len().to_string());
}

#[test]
fn the_redirects_of_one_second_are_the_same_and_a_range_changes_nothing() {
    let raw = Raw::new();
    let path = format!("/v2/app/blobs/{}", raw.push_blob("app", b"content"));
    let location = |range: Option<&str>| {
        let mut ask = raw.get(&path).scope(PULL);
        if let Some(range) = range {
            ask = ask.header("range", range);
        }
        ask.expect(307).header("location").to_owned()
    };
    let first = location(None);
    assert_eq!(location(None), first);
    assert_eq!(location(Some("bytes=0-1")), first);
    raw.clock.advance(std::time::Duration::from_secs(1));
    assert_ne!(location(None), first);
}

#[test]
fn without_the_redirect_the_bytes_come_directly() {
    let raw = Raw::with(|builder| builder.data_redirect(false));
    let digest = raw.push_blob("app", b"0123456789");
    let get = |range: &str| {
        raw.get(format!("/v2/app/blobs/{digest}"))
            .scope(PULL)
            .header("range", range)
            .send()
    };
    let whole = raw.get(format!("/v2/app/blobs/{digest}")).scope(PULL);
    let whole = whole.expect(200);
    assert_eq!(
        (whole.text(), whole.header("docker-content-digest")),
        ("0123456789", digest.as_str())
    );
    whole.expect_header("content-type", "application/octet-stream");
    let part = get("bytes=2-4").expect(206);
    assert_eq!(
        (part.text(), part.header("content-range")),
        ("234", "bytes 2-4/10")
    );
    assert_eq!(
        get("bytes=10-").expect(416).header("content-range"),
        "bytes */10"
    );
}

#[test]
fn a_head_is_served_by_the_registry_itself() {
    let raw = Raw::new();
    let digest = raw.push_blob("app", b"content");
    for ask in [
        raw.head(format!("/v2/app/blobs/{digest}")),
        raw.head(format!("/v2/app/blobs/{digest}"))
            .header("range", "bytes=0-1"),
    ] {
        let response = ask.scope(PULL).expect(200);
        assert!(response.body.is_empty());
        response.expect_header("content-length", "7");
        response.expect_header("content-type", "application/octet-stream");
        response.expect_header("docker-content-digest", &digest);
        for absent in ["location", "content-range", "accept-ranges", "etag"] {
            assert!(!response.has(absent), "{absent}");
        }
    }
}

#[test]
fn an_unknown_blob_is_not_found_with_its_digest() {
    let raw = Raw::new();
    raw.push_image("app", "v1");
    let digest = nowhere();
    let expected = error_with("BLOB_UNKNOWN", "blob unknown to registry", json!(digest));
    assert_eq!(expected.len(), 157);
    let response = raw.get(format!("/v2/app/blobs/{digest}")).scope(PULL);
    let response = response.expect_json(404, &expected);
    response.expect_header("cache-control", "no-cache");
    let head = raw.head(format!("/v2/app/blobs/{digest}")).scope(PULL);
    let head = head.expect(404);
    assert!(head.body.is_empty());
    head.expect_header("content-length", "157");
    head.expect_header("content-type", "application/json; charset=utf-8");
    // A blob of another repository is none of this one.
    let elsewhere = raw.push_blob("other", b"content");
    raw.get(format!("/v2/app/blobs/{elsewhere}"))
        .scope(PULL)
        .expect(404);
}

#[test]
fn a_deleted_blob_is_gone_and_the_second_delete_names_no_digest() {
    let raw = Raw::new();
    // The repository has no manifest, and so does not exist; its blob is deleted all the same.
    let path = format!("/v2/app/blobs/{}", raw.push_blob("app", b"content"));
    let response = raw.delete(&path).scope(DELETE).expect_empty(202);
    assert!(!response.has("docker-content-digest"));
    let expected = error("BLOB_UNKNOWN", "blob unknown to registry");
    raw.delete(&path).scope(DELETE).expect_json(404, &expected);
    raw.head(&path).scope(PULL).expect(404);
    raw.push_image("app", "v1");
    let path = format!("/v2/app/blobs/{}", nowhere());
    raw.delete(path).scope(DELETE).expect_json(404, &expected);
    let path = format!("/v2/nowhere/blobs/{}", nowhere());
    raw.delete(path)
        .scope("repository:nowhere:delete")
        .expect_json(404, &expected);
}

#[test]
fn a_blob_that_a_manifest_uses_can_be_deleted() {
    let raw = Raw::new();
    raw.push_image("app", "v1");
    let layer = digest(b"layer of v1");
    raw.delete(format!("/v2/app/blobs/{layer}"))
        .scope(DELETE)
        .expect(202);
    raw.get("/v2/app/manifests/v1").scope(PULL).expect(200);
}

#[test]
fn a_mount_makes_the_blob_this_repository_s_too() {
    let raw = Raw::new();
    let digest = raw.push_blob("samples/source", b"content");
    let path = format!(
        "/v2/app/blobs/uploads/?from=samples%2Fsource&mount={}",
        digest.replace(':', "%3A")
    );
    let scope = "repository:app:pull,push repository:samples/source:pull";
    let response = raw.post(&path).scope(scope).expect_empty(201);
    response.expect_header("docker-content-digest", &digest);
    response.expect_header("location", format!("/v2/app/blobs/{digest}"));
    raw.head(format!("/v2/app/blobs/{digest}"))
        .scope(PULL)
        .expect(200);
    // It does not go with its source.
    let source = raw
        .delete(format!("/v2/samples/source/blobs/{digest}"))
        .scope("repository:samples/source:delete");
    source.expect(202);
    raw.head(format!("/v2/app/blobs/{digest}"))
        .scope(PULL)
        .expect(200);
}

#[test]
fn a_mount_needs_the_right_to_pull_from_the_source() {
    let raw = Raw::new();
    let digest = raw.push_blob("source", b"content");
    let path = format!("/v2/app/blobs/uploads/?from=source&mount={digest}");
    for held in [
        PUSH,
        "repository:source:pull",
        "repository:app:pull,push repository:source:push",
    ] {
        raw.post(&path).scope(held).expect(401);
    }
    raw.head(format!("/v2/app/blobs/{digest}"))
        .scope(PULL)
        .expect(404);
}

#[test]
fn a_mount_of_what_is_not_there_begins_an_upload() {
    let raw = Raw::new();
    let digest = raw.push_blob("source", b"content");
    let both = "repository:app:pull,push repository:source:pull";
    for (query, scope) in [
        (format!("from=source&mount={}", nowhere()), both),
        // Without a source no other repository is searched.
        (format!("mount={digest}"), PUSH),
    ] {
        let response = raw.post(format!("/v2/app/blobs/uploads/?{query}"));
        let response = response.scope(scope).expect_empty(202);
        response.expect_header("range", "0-0");
        let location = response.header("location");
        assert!(location.starts_with("/v2/app/blobs/uploads/"), "{location}");
        raw.get(location).scope(PULL).expect(204);
    }
}
