//! Referrers: the list, its order, its filter.

use serde_json::{Value, json};

use crate::raw::support::{
    DELETE, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, PULL, Raw, RawResponse, nowhere,
};

const EMPTY: &str = "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[]}\n";

fn list(raw: &Raw, subject: &str, query: &str) -> RawResponse {
    let path = format!("/v2/app/referrers/{subject}{query}");
    let response = raw.get(path).scope(PULL).expect(200);
    response.expect_header("content-type", OCI_INDEX);
    response.expect_header("content-length", response.body.len().to_string());
    assert!(!response.has("link"));
    response
}

fn digests(response: &RawResponse) -> Vec<String> {
    let manifests = response.json()["manifests"].as_array().unwrap().clone();
    manifests
        .iter()
        .map(|manifest| manifest["digest"].as_str().unwrap().to_owned())
        .collect()
}

/// Pushes an artifact that refers to a subject, with members of its own; returns its digest and size.
fn artifact(raw: &Raw, subject: &str, label: &str, members: Value) -> (String, usize) {
    let config = raw.push_blob("app", label.as_bytes());
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": { "mediaType": OCI_CONFIG, "digest": config, "size": label.len() }, "layers": [],
        "subject": { "mediaType": OCI_MANIFEST, "digest": subject, "size": 1 },
    });
    manifest
        .as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    let bytes = manifest.to_string();
    let digest = crate::raw::support::digest(bytes.as_bytes());
    (
        raw.push_manifest("app", &digest, OCI_MANIFEST, &bytes),
        bytes.len(),
    )
}

#[test]
fn where_nothing_refers_the_list_is_empty() {
    let raw = Raw::new();
    let image = raw.push_image("app", "v1");
    assert_eq!(list(&raw, &image, "").text(), EMPTY);
    assert_eq!(list(&raw, &nowhere(), "").text(), EMPTY);
    // Chosen: also in an unknown repository.
    let response = raw.get(format!("/v2/nowhere/referrers/{}", nowhere()));
    let response = response.scope("repository:nowhere:pull").send();
    assert_eq!(response.expect(200).text(), EMPTY);
}

#[test]
fn a_referrer_stands_in_the_list_as_the_service_writes_it() {
    let raw = Raw::new();
    let subject = raw.push_image("app", "v1");
    let members = json!({ "artifactType": "application/vnd.example.one", "annotations": { "z": "1", "a": "2" } });
    let (typed, typed_size) = artifact(&raw, &subject, "typed", members);
    // Without a type of its own the config's counts.
    let (plain, plain_size) = artifact(&raw, &subject, "plain", json!({}));
    let expected = format!(
        concat!(
            "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[",
            "{{\"mediaType\":\"{mt}\",\"digest\":\"{plain}\",\"size\":{plain_size},\"artifactType\":\"{config}\"}},",
            "{{\"mediaType\":\"{mt}\",\"digest\":\"{typed}\",\"size\":{typed_size},",
            "\"annotations\":{{\"a\":\"2\",\"z\":\"1\"}},\"artifactType\":\"application/vnd.example.one\"}}]}}\n"
        ),
        mt = OCI_MANIFEST,
        config = OCI_CONFIG,
        plain = plain,
        plain_size = plain_size,
        typed = typed,
        typed_size = typed_size,
    );
    let response = list(&raw, &subject, "");
    assert_eq!(response.text(), expected);
    assert!(!response.has("oci-filters-applied"));
    assert_eq!(
        list(&raw, &subject.replace(':', "%3A"), "").text(),
        expected
    );
}

#[test]
fn the_latest_push_comes_first() {
    let raw = Raw::new();
    let subject = raw.push_image("app", "v1");
    let mut pushed: Vec<String> = (0..5)
        .map(|at| artifact(&raw, &subject, &format!("number {at}"), json!({})).0)
        .collect();
    pushed.reverse();
    assert_eq!(digests(&list(&raw, &subject, "")), pushed);
}

#[test]
fn a_filter_gives_matches_only_and_says_so() {
    let raw = Raw::new();
    let subject = raw.push_image("app", "v1");
    let one = artifact(
        &raw,
        &subject,
        "one",
        json!({ "artifactType": "application/vnd.one+json" }),
    )
    .0;
    artifact(
        &raw,
        &subject,
        "two",
        json!({ "artifactType": "application/vnd.two" }),
    );
    for (kind, expected) in [
        ("application%2Fvnd.one%2Bjson", vec![one]),
        ("none", vec![]),
    ] {
        let response = list(&raw, &subject, &format!("?artifactType={kind}"));
        assert_eq!(digests(&response), expected);
        response.expect_header("oci-filters-applied", "artifactType");
    }
    let unfiltered = list(&raw, &subject, "?artifactType=");
    assert_eq!(digests(&unfiltered).len(), 2);
}

#[test]
fn a_subject_need_not_exist() {
    let raw = Raw::new();
    let subject = nowhere();
    let referrer = artifact(&raw, &subject, "one", json!({})).0;
    assert_eq!(digests(&list(&raw, &subject, "")), [referrer]);
}

#[test]
fn an_index_refers_too() {
    let raw = Raw::new();
    let subject = nowhere();
    let index = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX, "artifactType": "application/vnd.example", "manifests": [],
        "subject": { "mediaType": OCI_MANIFEST, "digest": subject, "size": 1 }
    });
    let index = raw.push_manifest("app", "v1", OCI_INDEX, &index.to_string());
    let response = list(&raw, &subject, "");
    assert_eq!(digests(&response), [index]);
    assert_eq!(
        response.json()["manifests"][0]["artifactType"],
        "application/vnd.example"
    );
}

#[test]
fn a_deleted_referrer_is_no_longer_listed_and_a_deleted_subject_s_still_are() {
    // Chosen as to the second: whether the service takes them along at once is not known.
    let raw = Raw::new();
    let subject = raw.push_image("app", "v1");
    let first = artifact(&raw, &subject, "first", json!({})).0;
    let second = artifact(&raw, &subject, "second", json!({})).0;
    let delete = |digest: &str| {
        raw.delete(format!("/v2/app/manifests/{digest}"))
            .scope(DELETE)
            .expect(202)
    };
    delete(&first);
    assert_eq!(digests(&list(&raw, &subject, "")), [second.as_str()]);
    delete(&subject);
    assert_eq!(digests(&list(&raw, &subject, "")), [second]);
}

/// The pages of a list, each with the link that leads from it; `between` is done before each but the first.
fn pages(raw: &Raw, path: &str, mut between: impl FnMut()) -> Vec<(Vec<String>, Option<String>)> {
    let (mut pages, mut next) = (Vec::new(), Some(path.to_owned()));
    while let Some(path) = next {
        let response = raw.get(&path).scope(PULL).expect(200);
        response.expect_header("content-type", OCI_INDEX);
        assert_eq!(
            response.has("oci-filters-applied"),
            path.contains("artifactType"),
            "{path}"
        );
        next = response.has("link").then(|| {
            let link = response.header("link").strip_prefix('<').unwrap();
            link.strip_suffix(">; rel=\"next\"").unwrap().to_owned()
        });
        pages.push((digests(&response), next.clone()));
        between();
    }
    pages
}

#[test]
fn a_long_list_comes_in_pages_that_stay_while_referrers_come() {
    let raw = Raw::with(|builder| builder.referrers_page_size(3));
    let subject = raw.push_image("app", "v1");
    let mut pushed: Vec<String> = (0..9)
        .map(|at| artifact(&raw, &subject, &format!("number {at}"), json!({})).0)
        .collect();
    pushed.reverse();
    let path = format!("/v2/app/referrers/{subject}");
    let mut come = 0;
    let seen = pages(&raw, &path, || {
        come += 1;
        artifact(&raw, &subject, &format!("meanwhile {come}"), json!({}));
    });
    let lengths: Vec<usize> = seen.iter().map(|(page, _)| page.len()).collect();
    assert_eq!(lengths, [3, 3, 3], "a full last page has no link");
    let all: Vec<String> = seen.iter().flat_map(|(page, _)| page.clone()).collect();
    assert_eq!(all, pushed);
    let link = seen[0].1.as_deref().unwrap();
    let begin = format!("{path}?last=6");
    assert!(link.starts_with(&begin) && link.ends_with("&n=3"), "{link}");
    // What is deleted stays a place.
    raw.delete(format!("/v2/app/manifests/{}", pushed[2]))
        .scope(DELETE)
        .expect(202);
    assert_eq!(pages(&raw, link, || ())[0].0, pushed[3..6]);
    // The request may ask for fewer, never for more, and a marker of another form is the list's start.
    for (query, length) in [("?n=2", 2), ("?n=4", 3), ("?n=2&last=x", 2)] {
        let page = &pages(&raw, &format!("{path}{query}"), || ())[0];
        assert_eq!(page.0.len(), length, "{query}");
    }
    let malformed = raw.get(format!("{path}?n=x")).scope(PULL);
    malformed.expect(400);
}

#[test]
fn a_filtered_list_is_filtered_on_every_page() {
    let raw = Raw::with(|builder| builder.referrers_page_size(2));
    let subject = raw.push_image("app", "v1");
    let mut wanted = Vec::new();
    for at in 0..10 {
        let kind = ["application/vnd.one+json", "application/vnd.two"][at % 2];
        let pushed = artifact(
            &raw,
            &subject,
            &format!("number {at}"),
            json!({ "artifactType": kind }),
        );
        if at % 2 == 0 {
            wanted.insert(0, pushed.0);
        }
    }
    let path = format!("/v2/app/referrers/{subject}?artifactType=application%2Fvnd.one%2Bjson");
    let seen = pages(&raw, &path, || ());
    let all = seen.iter().flat_map(|(page, _)| page).map(String::as_str);
    let all: Vec<&str> = all.collect();
    assert_eq!(all, wanted);
    assert_eq!(seen.len(), 3);
}

#[test]
fn a_page_of_long_manifests_is_shorter() {
    let raw = Raw::new();
    let subject = raw.push_image("app", "v1");
    // Three quarters of the bound each, nearly all of it in the descriptor.
    let note = "x".repeat(3 * 1024 * 1024);
    for at in 0..3 {
        let label = format!("number {at}");
        artifact(
            &raw,
            &subject,
            &label,
            json!({ "annotations": { "note": note } }),
        );
    }
    let seen = pages(&raw, &format!("/v2/app/referrers/{subject}"), || ());
    let lengths: Vec<usize> = seen.iter().map(|(page, _)| page.len()).collect();
    assert_eq!(lengths, [1, 1, 1]);
}
