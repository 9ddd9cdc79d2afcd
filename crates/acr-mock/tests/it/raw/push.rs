//! Setting manifests: what is taken, what is refused, and what the response says.

use std::time::Duration;

use acr_mock::Profile;
use serde_json::{Value, json};

use crate::raw::support::{
    DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, PULL, PUSH, READ, Raw, START,
    digest, error_with, nowhere, properties,
};

#[test]
fn a_set_manifest_is_at_its_digest_with_plain_slashes() {
    let raw = Raw::new();
    let bytes = raw.image("ocitest/alltests", "v1");
    let digest = digest(bytes.as_bytes());
    for (path, reference) in [
        ("ocitest%2Falltests", "v1"),
        ("ocitest/alltests", "v1"),
        ("ocitest/alltests", digest.as_str()),
    ] {
        let response = raw
            .put(format!("/v2/{path}/manifests/{reference}"))
            .scope("repository:ocitest/alltests:pull,push")
            .header("content-type", OCI_MANIFEST)
            .body(bytes.clone())
            .expect_empty(201);
        response.expect_header(
            "location",
            format!("/v2/ocitest/alltests/manifests/{digest}"),
        );
        response.expect_header("docker-content-digest", &digest);
        assert!(
            !response.has("oci-subject")
                && !response.has("oci-tag")
                && !response.has("content-type")
        );
    }
}

#[test]
fn the_same_push_again_is_created_again_and_keeps_age_and_locks() {
    let raw = Raw::new();
    let bytes = raw.image("app", "v1");
    let digest = raw.push_manifest("app", "v1", OCI_MANIFEST, &bytes);
    raw.set_locks(
        "app",
        &format!("/_manifests/{digest}"),
        r#"{"deleteEnabled":false}"#,
    );
    raw.clock.advance(Duration::from_secs(60));
    raw.push_manifest("app", "v1", OCI_MANIFEST, &bytes);
    let after = properties(&raw, &digest);
    assert_eq!(after["createdTime"], START);
    assert_eq!(after["changeableAttributes"]["deleteEnabled"], false);
    let repository = raw.get("/acr/v1/app").scope(READ).send().json();
    assert_eq!(
        (&repository["manifestCount"], &repository["tagCount"]),
        (&json!(1), &json!(1))
    );
}

#[test]
fn missing_blobs_are_named_one_by_one_with_the_config_first() {
    let raw = Raw::new();
    let (config, first, second) = (digest(b"config"), digest(b"first"), digest(b"second"));
    let present = raw.push_blob("app", b"present");
    let layer = |digest: &str| json!({ "mediaType": OCI_LAYER, "digest": digest, "size": 1 });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": { "mediaType": OCI_CONFIG, "digest": config, "size": 1 },
        "layers": [layer(&second), layer(&present), layer(&first)]
    });
    let one = |digest: &str| {
        format!(
            "{{\"code\":\"MANIFEST_BLOB_UNKNOWN\",\"message\":\"blob unknown to registry\",\"detail\":\"{digest}\"}}"
        )
    };
    let expected = format!(
        "{{\"errors\":[{},{},{}]}}\n",
        one(&config),
        one(&second),
        one(&first)
    );
    let push = |repository: &str| {
        raw.put(format!("/v2/{repository}/manifests/v1"))
            .scope(&format!("repository:{repository}:pull,push"))
            .header("content-type", OCI_MANIFEST)
            .body(manifest.to_string())
            .send()
    };
    push("app").expect_json(400, &expected);
    // A blob of another repository is none of this one.
    assert_eq!(
        push("other").expect(400).json()["errors"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    raw.get("/acr/v1/app").scope(READ).expect(404);
}

#[test]
fn missing_children_of_an_index_are_missed_as_blobs_are() {
    // Chosen: what the service says is not known.
    let raw = Raw::new();
    let child = nowhere();
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{ "mediaType": OCI_MANIFEST, "digest": child, "size": 1 }] });
    let response = raw.set_manifest("v1", OCI_INDEX, index.to_string()).send();
    response.expect_json(
        400,
        &error_with(
            "MANIFEST_BLOB_UNKNOWN",
            "blob unknown to registry",
            json!(child),
        ),
    );
}

/// What BuildKit pushes with `--cache-to type=registry`: the index as it wrote it, its layer and its config.
const CACHE_INDEX: &str = r#"{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:dac1d7cfa95021764849fd102524e141488c5e3a90f861dbb5a12d9ac8584f85", "size": 5, "annotations": {"buildkit/createdat": "2026-01-01T00:00:00Z", "containerd.io/uncompressed": "sha256:1111111111111111111111111111111111111111111111111111111111111111"}}, {"mediaType": "application/vnd.buildkit.cacheconfig.v0", "digest": "sha256:bd2e99b13546c51fc699a65e245b58043ffb5d264085e83f7ad7ec9a140470be", "size": 57}]}"#;
const CACHE_LAYER: &[u8] = b"layer";
const CACHE_CONFIG: &[u8] = br#"{"layers":[{"blob":"sha256:x","parent":-1}],"records":[]}"#;

#[test]
fn a_build_cache_whose_index_names_blobs_is_taken_in_both_profiles() {
    for profile in [Profile::Acr, Profile::Oci] {
        let raw = Raw::with(|builder| builder.profile(profile));
        raw.push_blob("app", CACHE_LAYER);
        raw.push_blob("app", CACHE_CONFIG);
        let digest = raw.push_manifest("app", "cache", OCI_INDEX, CACHE_INDEX);
        let got = raw.get("/v2/app/manifests/cache").scope(PULL).send();
        assert_eq!(got.expect(200).text(), CACHE_INDEX);
        let read = properties(&raw, &digest);
        assert_eq!(read["mediaType"], OCI_INDEX, "{read}");
    }
}

#[test]
fn an_index_may_name_manifests_and_blobs_and_lacks_what_is_neither() {
    let raw = Raw::new();
    let blob = raw.push_blob("app", CACHE_LAYER);
    let image = raw.push_image("app", "v1");
    let entry = |digest: &str| json!({ "mediaType": OCI_LAYER, "digest": digest, "size": 1 });
    let push = |entries: &[Value]| {
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
        raw.set_manifest("index", OCI_INDEX, index.to_string())
            .send()
    };
    push(&[entry(&blob), entry(&image)]).expect(201);
    // In another repository it is neither.
    let elsewhere = raw.push_blob("other", CACHE_CONFIG);
    push(&[entry(&blob), entry(&elsewhere), entry(&image)]).expect_json(
        400,
        &error_with(
            "MANIFEST_BLOB_UNKNOWN",
            "blob unknown to registry",
            json!(elsewhere),
        ),
    );
}

#[test]
fn the_type_in_the_header_and_the_one_in_the_bytes_must_agree() {
    let raw = Raw::new();
    let config = raw.push_blob("app", b"{}");
    let invalid = error_with(
        "MANIFEST_INVALID",
        "manifest invalid",
        json!({ "Reason": {} }),
    );
    let push = |content_type: &str, media_type: Option<&str>| {
        let mut manifest = json!({
            "schemaVersion": 2, "config": { "mediaType": OCI_CONFIG, "digest": config, "size": 2 }, "layers": []
        });
        if let Some(media_type) = media_type {
            manifest["mediaType"] = json!(media_type);
        }
        let ask = raw.put("/v2/app/manifests/v1").scope(PUSH);
        let ask = ask.header("content-type", content_type);
        ask.body(manifest.to_string()).send()
    };
    push(OCI_MANIFEST, Some(DOCKER_MANIFEST)).expect_json(400, &invalid);
    push(DOCKER_MANIFEST, Some(OCI_MANIFEST)).expect_json(400, &invalid);
    push(DOCKER_MANIFEST, None).expect_json(400, &invalid);
    push(OCI_MANIFEST, None).expect(201);
    push(OCI_MANIFEST, Some(OCI_MANIFEST)).expect(201);
    push(DOCKER_MANIFEST, Some(DOCKER_MANIFEST)).expect(201);
}

#[test]
fn sizes_of_descriptors_are_not_checked_and_may_be_missing() {
    let raw = Raw::new();
    let blob = raw.push_blob("app", b"{}");
    let push = |config: Value| {
        let manifest = json!({ "schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": [] });
        raw.push_manifest("app", "v1", DOCKER_MANIFEST, &manifest.to_string());
    };
    push(json!({ "mediaType": OCI_CONFIG, "digest": blob, "size": 4_000_000 }));
    push(json!({ "mediaType": OCI_CONFIG, "digest": blob, "sizeInBytes": 2 }));
}

#[test]
fn what_is_no_manifest_is_invalid() {
    // Chosen as to detail; the service's words for these are not known.
    let raw = Raw::new();
    let invalid = error_with(
        "MANIFEST_INVALID",
        "manifest invalid",
        json!({ "Reason": {} }),
    );
    for (media_type, body) in [
        (OCI_MANIFEST, ""),
        (OCI_MANIFEST, "no json"),
        (OCI_MANIFEST, "[]"),
        (OCI_MANIFEST, "{}"),
        (
            OCI_MANIFEST,
            r#"{"schemaVersion":2,"config":{"digest":"wrong"},"layers":[]}"#,
        ),
        (OCI_MANIFEST, "{\"schemaVersion\":2,\"x\":"),
        (OCI_INDEX, r#"{"schemaVersion":2}"#),
        ("application/json", r#"{"schemaVersion":2}"#),
        (
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            r#"{"schemaVersion":1}"#,
        ),
    ] {
        let response = raw.set_manifest("v1", media_type, body).send();
        response.expect_json(400, &invalid);
    }
    raw.put("/v2/app/manifests/v1")
        .scope(PUSH)
        .body("{}")
        .expect_json(400, &invalid);
}

#[test]
fn the_withdrawn_artifact_manifest_is_still_taken() {
    let raw = Raw::new();
    let media_type = "application/vnd.oci.artifact.manifest.v1+json";
    let bytes =
        format!(r#"{{"mediaType":"{media_type}","artifactType":"application/vnd.example"}}"#);
    let digest = raw.push_manifest("app", "v1", media_type, &bytes);
    let response = raw.get("/v2/app/manifests/v1").scope(PULL);
    let response = response.header("accept", OCI_MANIFEST).expect(200);
    assert_eq!(
        (response.text(), response.header("content-type")),
        (bytes.as_str(), media_type)
    );
    let properties = properties(&raw, &digest);
    assert_eq!(properties["imageSize"], 0);
    for absent in ["architecture", "os", "configMediaType"] {
        assert_eq!(properties.get(absent), None, "{absent}");
    }
}

#[test]
fn a_reference_that_is_not_the_digest_of_the_bytes_is_refused() {
    // Chosen, after the distribution's own registry.
    let raw = Raw::new();
    let bytes = raw.image("app", "v1");
    let response = raw
        .put(format!("/v2/app/manifests/{}", nowhere()))
        .scope(PUSH)
        .header("content-type", OCI_MANIFEST)
        .body(bytes)
        .expect(400);
    let first = &response.json()["errors"][0];
    assert_eq!(first["code"], "DIGEST_INVALID");
    assert_eq!(
        first["message"],
        "provided digest did not match uploaded content"
    );
}

#[test]
fn a_manifest_over_4_mib_is_too_large() {
    // Chosen: the service's bound is only commonly given, its response not known.
    let raw = Raw::new();
    let manifest = raw.image("app", "v1");
    let exact = format!("{manifest}{}", " ".repeat(4 * 1024 * 1024 - manifest.len()));
    raw.push_manifest("app", "v1", OCI_MANIFEST, &exact);
    let over = raw.set_manifest("v2", OCI_MANIFEST, exact + " ").send();
    over.expect_code(413, "MANIFEST_INVALID");
    raw.get("/v2/app/manifests/v2").scope(PULL).expect(404);
}

#[test]
fn a_subject_is_confirmed_whether_or_not_it_exists() {
    let raw = Raw::new();
    let config = raw.push_blob("app", b"{}");
    let subject = nowhere();
    let subject_descriptor = json!({ "mediaType": OCI_MANIFEST, "digest": subject, "size": 1 });
    for (media_type, manifest) in [
        (
            OCI_MANIFEST,
            json!({
                "schemaVersion": 2, "mediaType": OCI_MANIFEST, "subject": subject_descriptor,
                "config": { "mediaType": OCI_CONFIG, "digest": config, "size": 2 }, "layers": []
            }),
        ),
        (
            OCI_INDEX,
            json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "subject": subject_descriptor, "manifests": [] }),
        ),
    ] {
        let bytes = manifest.to_string();
        let path = format!("/v2/app/manifests/{}", digest(bytes.as_bytes()));
        let response = raw.put(path).scope(PUSH).header("content-type", media_type);
        let response = response.body(bytes).expect_empty(201);
        response.expect_header("oci-subject", &subject);
    }
}
