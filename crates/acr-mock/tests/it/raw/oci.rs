//! The profile `oci`: the eleven demands that the OCI conformance suite makes of a registry, one test for each, and the
//! differences from the service beside them. They hold where no suite is at hand.

use acr_mock::Profile;
use serde_json::{Value, json};

use crate::raw::support::{
    Ask, DELETE, OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, PULL, PUSH, Raw, RawResponse,
    digest, digest_512, escape, nowhere,
};

fn oci() -> Raw {
    Raw::with(|builder| builder.profile(Profile::Oci))
}

fn put<'a>(raw: &'a Raw, reference: &str, media_type: &str, manifest: &str) -> Ask<'a> {
    raw.set_manifest(reference, media_type, manifest.to_owned())
}

fn get(raw: &Raw, path: &str) -> RawResponse {
    raw.get(path).scope(PULL).send()
}

/// Follows the `Location` of a 201, and expects these bytes of this type there.
#[track_caller]
fn expect_there(raw: &Raw, created: &RawResponse, content_type: &str, content: &[u8]) {
    let response = get(raw, created.header("location")).expect(200);
    assert_eq!(response.body, content);
    response.expect_header("content-type", content_type);
    assert_eq!(
        response.header("content-length"),
        content.len().to_string(),
        "without a charset or a guess"
    );
}

/// An image whose blobs nobody has pushed.
fn image_of_nothing(label: &str) -> String {
    let descriptor = |media_type: &str| json!({ "mediaType": media_type, "digest": digest(format!("{media_type} {label}").as_bytes()), "size": 7 });
    json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG), "layers": [descriptor(OCI_LAYER)]
    })
    .to_string()
}

#[test]
fn point_1_manifests_of_3_9_mb_and_streamed_chunks_need_no_length() {
    let raw = oci();
    let filler = "A".repeat(3_900_000);
    let mut manifest: Value = serde_json::from_str(&raw.image("app", "large")).unwrap();
    manifest["annotations"] = json!({ "filler": filler });
    let manifest = manifest.to_string();
    let created = put(&raw, "large", OCI_MANIFEST, &manifest).send_in_pieces(65_536);
    expect_there(
        &raw,
        &created.expect(201),
        OCI_MANIFEST,
        manifest.as_bytes(),
    );

    let begun = raw.post("/v2/app/blobs/uploads/").scope(PUSH).send();
    let chunk = raw
        .patch(begun.header("location"))
        .scope(PUSH)
        .body(filler.clone())
        .send_in_pieces(100_000)
        .expect(202);
    assert_eq!(
        chunk.header("range"),
        format!("0-{}", filler.len() - 1),
        "the last byte, inclusive"
    );
}

#[test]
fn point_2_what_is_created_is_at_its_location_with_its_exact_type_and_length() {
    let raw = oci();
    for content in [&b""[..], b"{}", b"content"] {
        let blob = digest(content);
        let created = raw.post(format!("/v2/app/blobs/uploads/?digest={blob}"));
        let created = created.scope(PUSH).body(content.to_vec()).expect(201);
        expect_there(&raw, &created, "application/octet-stream", content);
        let head = raw.head(created.header("location")).scope(PULL).expect(200);
        head.expect_header("content-length", content.len().to_string());
        assert!(head.body.is_empty());
    }
    let manifest = raw.image("app", "v1");
    for reference in ["v1", &digest(manifest.as_bytes())] {
        let created = put(&raw, reference, OCI_MANIFEST, &manifest).expect(201);
        expect_there(&raw, &created, OCI_MANIFEST, manifest.as_bytes());
        let head = raw.head(created.header("location")).scope(PULL).expect(200);
        head.expect_header("content-length", manifest.len().to_string());
        head.expect_header("content-type", OCI_MANIFEST);
    }
}

#[test]
fn point_3_an_upload_outlives_what_comes_out_of_order() {
    let raw = oci();
    let content = b"0123456789abcdef";
    let blob = digest(content);
    let status = |location: &str| get(&raw, location).expect(204);

    let one_shot = raw
        .post(format!("/v2/app/blobs/uploads/?digest={blob}"))
        .scope(PUSH);
    one_shot.body(&content[..]).expect(201);

    let begun = raw.post("/v2/app/blobs/uploads/").scope(PUSH).send();
    let first = begun.header("location").to_owned();
    assert_eq!(status(&first).header("range"), "0-0");
    let early = raw.patch(&first).scope(PUSH);
    let early = early.header("content-range", "8-11");
    early.body(&content[8..12]).expect(416);
    let recovered = status(&first);
    let first_chunk = raw
        .patch(recovered.header("location"))
        .scope(PUSH)
        .header("content-range", "0-7")
        .body(&content[..8])
        .expect(202);
    first_chunk.expect_header("range", "0-7");

    // The end is out of order too, and changes nothing.
    let location = first_chunk.header("location").to_owned();
    let early = raw
        .put(format!("{location}&digest={}", escape(&blob)))
        .scope(PUSH)
        .header("content-range", "12-15")
        .body(&content[12..])
        .send();
    early.expect(416);
    let recovered = status(&location);
    recovered.expect_header("range", "0-7");
    let wrong = format!("{}&digest={}", recovered.header("location"), nowhere());
    raw.put(&wrong)
        .scope(PUSH)
        .header("content-range", "8-15")
        .body(&content[8..])
        .expect(400);
    let created = raw
        .put(format!(
            "{}&digest={}",
            recovered.header("location"),
            escape(&blob)
        ))
        .scope(PUSH)
        .header("content-range", "8-15")
        .body(&content[8..])
        .expect(201);
    expect_there(&raw, &created, "application/octet-stream", content);

    let cancelled = raw.post("/v2/app/blobs/uploads/").scope(PUSH).send();
    raw.delete(cancelled.header("location"))
        .scope(DELETE)
        .expect(204);
    let wrong = raw
        .post(format!("/v2/app/blobs/uploads/?digest={}", nowhere()))
        .scope(PUSH);
    wrong.body(&content[..]).expect(400);
}

#[test]
fn point_4_a_mount_finds_a_blob_anywhere_and_membership_is_each_repository_s_own() {
    let raw = oci();
    let blob = raw.push_blob("source", b"content");
    let both = format!("{PUSH} repository:source:pull");
    let mount = |query: &str, scope: &str| {
        raw.post(format!("/v2/app/blobs/uploads/?{query}"))
            .scope(scope)
            .send()
    };
    let created = mount(&format!("mount={blob}&from=source"), &both).expect(201);
    created.expect_header("docker-content-digest", &blob);
    expect_there(&raw, &created, "application/octet-stream", b"content");
    let path = format!("/v2/app/blobs/{blob}");
    raw.delete(&path).scope(DELETE).expect(202);
    raw.head(&path).scope(PULL).expect(404);
    raw.head(format!("/v2/source/blobs/{blob}"))
        .scope("repository:source:pull")
        .expect(200);

    let anonymous = mount(&format!("mount={blob}"), PUSH).expect(201);
    expect_there(&raw, &anonymous, "application/octet-stream", b"content");
    let missing = nowhere();
    for query in [
        format!("mount={missing}&from=source"),
        format!("mount={missing}"),
    ] {
        let open = mount(&query, &both).expect(202);
        assert!(
            open.header("location")
                .starts_with("/v2/app/blobs/uploads/")
        );
    }
    mount(
        &format!("mount={blob}&from=unknown"),
        &format!("{PUSH} repository:unknown:pull"),
    )
    .expect(202);

    // The service looks nowhere.
    let acr = Raw::new();
    acr.push_blob("source", b"content");
    acr.post(format!("/v2/app/blobs/uploads/?mount={blob}"))
        .scope(PUSH)
        .expect(202);
}

#[test]
fn point_5_ranges_are_cut_out_by_the_registry_itself() {
    let raw = oci();
    let content: Vec<u8> = (0..=255).cycle().take(2048).collect();
    let path = format!("/v2/app/blobs/{}", raw.push_blob("app", &content));
    for (range, first, last) in [
        ("500-1499", 500, 1499),
        ("500-", 500, 2047),
        ("-500", 1548, 2047),
        ("2000-5000", 2000, 2047),
    ] {
        let response = raw
            .get(&path)
            .scope(PULL)
            .header("range", &format!("bytes={range}"))
            .expect(206);
        assert_eq!(response.body, &content[first..=last], "{range}");
        response.expect_header("content-range", format!("bytes {first}-{last}/2048"));
        assert_eq!(
            response.header("content-length"),
            (last - first + 1).to_string()
        );
    }
    for range in ["500-0", "5000-10000", "2048-"] {
        let ask = raw.get(&path).scope(PULL);
        let ask = ask.header("range", &format!("bytes={range}"));
        ask.expect(416);
    }
}

#[test]
fn point_6_sha512_is_as_good_as_sha256() {
    let raw = oci();
    let push = |content: &[u8]| {
        let blob = digest_512(content);
        let begun = raw.post("/v2/app/blobs/uploads/").scope(PUSH).send();
        let created = raw
            .put(format!(
                "{}&digest={}",
                begun.header("location"),
                escape(&blob)
            ))
            .scope(PUSH)
            .body(content.to_vec())
            .expect(201);
        created.expect_header("docker-content-digest", &blob);
        let response = get(&raw, &format!("/v2/app/blobs/{blob}")).expect(200);
        response.expect_header("docker-content-digest", &blob);
        assert_eq!(response.body, content);
        json!({ "mediaType": OCI_LAYER, "digest": blob, "size": content.len() })
    };
    let (config, layer) = (push(b"{}"), push(b"layer"));
    let image = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer] });
    let image = image.to_string();
    let (long, short) = (digest_512(image.as_bytes()), digest(image.as_bytes()));

    let created = put(&raw, &format!("{long}?tag=long"), OCI_MANIFEST, &image).send();
    let created = created.expect(201);
    created.expect_header("docker-content-digest", &long);
    expect_there(&raw, &created, OCI_MANIFEST, image.as_bytes());
    put(&raw, "short", OCI_MANIFEST, &image).expect(201);
    for (reference, expected) in [
        ("long", &long),
        (&long, &long),
        ("short", &short),
        (&short, &short),
    ] {
        let path = format!("/v2/app/manifests/{reference}");
        for response in [
            get(&raw, &path).expect(200),
            raw.head(&path).scope(PULL).expect(200),
        ] {
            response.expect_header("docker-content-digest", expected);
        }
    }
    let blob = digest_512(b"layer");
    let wrong = raw
        .post(format!("/v2/app/blobs/uploads/?digest={blob}"))
        .scope(PUSH);
    wrong.body(&b"another"[..]).expect(400);
    raw.post(format!("/v2/other/blobs/uploads/?mount={blob}&from=app"))
        .scope("repository:other:pull,push repository:app:pull")
        .expect(201);
}

#[test]
fn point_7_a_push_by_digest_sets_the_tags_of_its_query_and_names_each() {
    let raw = oci();
    let manifest = raw.image("app", "v1");
    let by_digest = digest(manifest.as_bytes());
    let tags: Vec<String> = (0..10).map(|number| format!("v{number}")).collect();
    let query = format!("{by_digest}?tag={}", tags.join("&tag="));
    let created = put(&raw, &query, OCI_MANIFEST, &manifest).expect(201);
    assert_eq!(created.all("oci-tag"), tags);
    for tag in &tags {
        let response = get(&raw, &format!("/v2/app/manifests/{tag}")).expect(200);
        response.expect_header("docker-content-digest", &by_digest);
    }
    let wrong = put(
        &raw,
        &format!("{by_digest}?tag=good&tag=.wrong"),
        OCI_MANIFEST,
        &manifest,
    )
    .expect(400);
    wrong.has_code("TAG_INVALID");
    get(&raw, "/v2/app/manifests/good").expect(404);
    // Only a push by digest has them.
    let by_tag = put(&raw, "only?tag=further", OCI_MANIFEST, &manifest).send();
    assert!(!by_tag.expect(201).has("oci-tag"));
    get(&raw, "/v2/app/manifests/further").expect(404);

    // Chosen: the service has not been seen to take the parameter, so it sets nothing and says nothing.
    let acr = Raw::new();
    let manifest = acr.image("app", "v1");
    let query = format!("{by_digest}?tag=v1&tag=.wrong");
    let created = put(&acr, &query, OCI_MANIFEST, &manifest).send();
    assert!(!created.expect(201).has("oci-tag"));
    get(&acr, "/v2/app/manifests/v1").expect(404);
}

#[test]
fn point_8_manifests_may_name_what_is_not_there_and_hold_what_nobody_knows() {
    let raw = oci();
    let sparse = image_of_nothing("sparse");
    let index = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX,
        "manifests": [{ "mediaType": OCI_MANIFEST, "digest": nowhere(), "size": 1024 }]
    });
    let empty_index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] });
    let config = raw.push_blob("app", b"{}");
    let config = json!({ "mediaType": OCI_CONFIG, "digest": config, "size": 2, "data": "e30=" });
    let subject = json!({ "mediaType": OCI_MANIFEST, "digest": nowhere(), "size": 123 });
    let foreign = json!({
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "digest": nowhere(), "size": 123_456,
        "urls": ["https://store.example.com/blobs/1"]
    });
    let image = |layers: Value| json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers });
    let mut unknown = image(json!([]));
    unknown["org.example.unknown"] = json!({ "a": [1, null, 2.50] });
    let mut refers = image(json!([]));
    refers["subject"] = subject;
    for (tag, media_type, manifest) in [
        ("sparse", OCI_MANIFEST, sparse),
        ("sparse-index", OCI_INDEX, index.to_string()),
        ("empty-index", OCI_INDEX, empty_index.to_string()),
        (
            "no-layers-and-data",
            OCI_MANIFEST,
            image(json!([])).to_string(),
        ),
        ("foreign", OCI_MANIFEST, image(json!([foreign])).to_string()),
        ("unknown-fields", OCI_MANIFEST, unknown.to_string()),
        ("missing-subject", OCI_MANIFEST, refers.to_string()),
        (
            "odd-blanks",
            OCI_MANIFEST,
            format!("{{ \"x\" : 1 ,\n{}", &unknown.to_string()[1..]),
        ),
    ] {
        let created = put(&raw, tag, media_type, &manifest).expect(201);
        expect_there(&raw, &created, media_type, manifest.as_bytes());
    }

    // The service wants the blobs first.
    let refused = put(&Raw::new(), "v1", OCI_MANIFEST, &image_of_nothing("sparse")).send();
    refused.expect_code(400, "MANIFEST_BLOB_UNKNOWN");
}

#[test]
fn point_9_referrers_are_always_an_index() {
    let raw = oci();
    let list = |repository: &str, subject: &str, query: &str| {
        let ask = raw.get(format!("/v2/{repository}/referrers/{subject}{query}"));
        let response = ask
            .scope(&format!("repository:{repository}:pull"))
            .expect(200);
        response.expect_header("content-type", OCI_INDEX);
        let index = response.json();
        assert_eq!(
            (&index["schemaVersion"], &index["mediaType"]),
            (&json!(2), &json!(OCI_INDEX))
        );
        (response, index["manifests"].clone())
    };
    assert_eq!(list("unknown", &nowhere(), "").1, json!([]));
    let subject = raw.push_image("app", "subject");
    assert_eq!(list("app", &nowhere(), "").1, json!([]));
    assert_eq!(list("app", &subject, "").1, json!([]));

    let annotations = json!({ "org.example.a": "b" });
    let subject_of = json!({ "mediaType": OCI_MANIFEST, "digest": subject, "size": 7 });
    let mut image: Value = serde_json::from_str(&image_of_nothing("refers")).unwrap();
    image["subject"] = subject_of.clone();
    let mut artifact = image.clone();
    artifact["artifactType"] = json!("application/vnd.example");
    artifact["annotations"] = annotations.clone();
    let index = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX, "artifactType": "application/vnd.list", "manifests": [], "subject": subject_of
    });
    let mut expected = Vec::new();
    for (media_type, manifest, artifact_type) in [
        (OCI_MANIFEST, &image, OCI_CONFIG),
        (OCI_MANIFEST, &artifact, "application/vnd.example"),
        (OCI_INDEX, &index, "application/vnd.list"),
    ] {
        let manifest_bytes = manifest.to_string();
        let by_digest = digest(manifest_bytes.as_bytes());
        let created = put(&raw, &by_digest, media_type, &manifest_bytes).send();
        created.expect(201).expect_header("oci-subject", &subject);
        let mut descriptor =
            json!({ "mediaType": media_type, "digest": by_digest, "size": manifest_bytes.len() });
        if manifest["annotations"].is_object() {
            descriptor["annotations"] = manifest["annotations"].clone();
        }
        descriptor["artifactType"] = json!(artifact_type);
        expected.push(descriptor);
    }
    expected.reverse();
    let (response, all) = list("app", &subject, "");
    assert_eq!(all, Value::from(expected.clone()));
    assert!(!response.has("oci-filters-applied"));
    let (response, some) = list("app", &subject, "?artifactType=application%2Fvnd.example");
    assert_eq!(some, json!([expected[1]]));
    response.expect_header("oci-filters-applied", "artifactType");
}

#[test]
fn point_10_tags_are_listed_with_the_right_to_pull_and_deleted_one_by_one() {
    let raw = oci();
    for tag in ["b", "a", "B", "_", "a.1", "10", "9"] {
        raw.push_image("app", tag);
    }
    let list = |query: &str| {
        let response = get(&raw, &format!("/v2/app/tags/list{query}")).expect(200);
        response.json()["tags"].clone()
    };
    assert_eq!(list(""), json!(["10", "9", "B", "_", "a", "a.1", "b"]));
    assert_eq!(list("?last=_"), json!(["a", "a.1", "b"]));
    assert_eq!(list("?last=a.0&n=1"), json!(["a.1"]));
    assert_eq!(list("?n=0"), json!([]));

    let path = "/v2/app/manifests/a";
    let by_digest = get(&raw, path).header("docker-content-digest").to_owned();
    raw.delete(path).scope(DELETE).expect_empty(202);
    raw.head(path).scope(PULL).expect(404);
    get(&raw, &format!("/v2/app/manifests/{by_digest}")).expect(200);
    raw.delete(path).scope(DELETE).expect(404);
    raw.set_locks("app", "/_tags/b", r#"{"deleteEnabled":false}"#);
    raw.delete("/v2/app/manifests/b")
        .scope(DELETE)
        .expect_disallowed();

    let wrong = "sha256:baddigeststring";
    let manifest = image_of_nothing("wrong");
    let refused = put(&raw, wrong, OCI_MANIFEST, &manifest).expect(400);
    refused.has_code("DIGEST_INVALID");
    let refused = put(&raw, ".wrong", OCI_MANIFEST, &manifest).send();
    refused.expect_code(400, "TAG_INVALID");
    get(&raw, &format!("/v2/app/manifests/{wrong}")).expect(404);
    let other = put(&raw, &nowhere(), OCI_MANIFEST, &manifest).send();
    other.expect_code(400, "DIGEST_INVALID");

    // The service asks for another permission, and deletes by digest alone.
    let acr = Raw::new();
    acr.push_image("app", "a");
    let list = acr.get("/v2/app/tags/list").scope(PULL).expect(401);
    assert!(
        list.header("www-authenticate")
            .contains("scope=\"repository:app:metadata_read\"")
    );
    acr.delete(path).scope(DELETE).expect(405);
    put(&acr, wrong, OCI_MANIFEST, &manifest).expect_not_routed();
}

#[test]
fn point_11_every_response_about_content_names_its_digest() {
    let raw = oci();
    let blob = digest(b"content");
    let single = raw
        .post(format!("/v2/app/blobs/uploads/?digest={blob}"))
        .scope(PUSH);
    let single = single.body(&b"content"[..]).expect(201);
    let begun = raw.post("/v2/app/blobs/uploads/").scope(PUSH).send();
    let finished = raw
        .put(format!(
            "{}&digest={}",
            begun.header("location"),
            escape(&blob)
        ))
        .scope(PUSH);
    let finished = finished.body(&b"content"[..]).expect(201);
    let mounted = raw
        .post(format!("/v2/other/blobs/uploads/?mount={blob}&from=app"))
        .scope("repository:other:pull,push repository:app:pull")
        .expect(201);
    let path = format!("/v2/app/blobs/{blob}");
    let whole = get(&raw, &path).expect(200);
    let part = raw.get(&path).scope(PULL).header("range", "bytes=0-0");
    let part = part.expect(206);
    let head = raw.head(&path).scope(PULL).expect(200);
    for response in [single, finished, mounted, whole, part, head] {
        response.expect_header("docker-content-digest", &blob);
    }
    let manifest = image_of_nothing("v1");
    let created = put(&raw, "v1", OCI_MANIFEST, &manifest).expect(201);
    let path = "/v2/app/manifests/v1";
    let (whole, head) = (get(&raw, path), raw.head(path).scope(PULL).send());
    for response in [created, whole.expect(200), head.expect(200)] {
        assert_eq!(
            response.header("docker-content-digest"),
            digest(manifest.as_bytes())
        );
    }
}
