//! Locks on three levels: what each switch forbids and what it leaves, row by row.
//!
//! Rows that are documented or seen stand beside those that were chosen, which say so.

use crate::raw::support::{DELETE, OCI_MANIFEST, OPEN, PULL, PUSH, READ, Raw, RawResponse, digest};

const CLOSED: &str =
    r#"{"deleteEnabled":false,"writeEnabled":false,"readEnabled":false,"listEnabled":false}"#;

/// A repository `app` with an image under the tags `v1` and `also`, and another under `other`.
struct App {
    raw: Raw,
    manifest: String,
    digest: String,
    other: String,
}

impl App {
    fn new() -> Self {
        let raw = Raw::new();
        let manifest = raw.image("app", "v1");
        let digest = raw.push_manifest("app", "v1", OCI_MANIFEST, &manifest);
        raw.push_manifest("app", "also", OCI_MANIFEST, &manifest);
        let other = raw.push_image("app", "other");
        Self {
            raw,
            manifest,
            digest,
            other,
        }
    }

    /// Closes switches of the repository (``), a tag (`/_tags/v1`) or a manifest (`manifest`).
    fn close(&self, level: &str, switches: &[&str]) {
        let changes = switches.iter().map(|switch| format!("\"{switch}\":false"));
        let changes: Vec<String> = changes.collect();
        self.set(level, &format!("{{{}}}", changes.join(",")));
    }

    fn set(&self, level: &str, switches: &str) {
        let below = level.replace("manifest", &format!("/_manifests/{}", self.digest));
        self.set_locks("app", &below, switches);
    }

    fn push(&self, reference: &str) -> RawResponse {
        self.push_bytes(reference, &self.manifest)
    }

    fn push_bytes(&self, reference: &str, manifest: &str) -> RawResponse {
        self.set_manifest(reference, OCI_MANIFEST, manifest.to_owned())
            .send()
    }

    fn pull(&self, reference: &str) -> RawResponse {
        self.raw
            .get(format!("/v2/app/manifests/{reference}"))
            .scope(PULL)
            .send()
    }

    fn delete_tag(&self, tag: &str) -> RawResponse {
        self.delete(format!("/acr/v1/app/_tags/{tag}"))
            .scope(DELETE)
            .send()
    }

    fn delete_manifest(&self, digest: &str) -> RawResponse {
        self.delete(format!("/v2/app/manifests/{digest}"))
            .scope(DELETE)
            .send()
    }

    fn delete_repository(&self) -> RawResponse {
        self.delete("/acr/v1/app").scope(DELETE).send()
    }

    fn get(&self, path: &str) -> RawResponse {
        self.raw
            .get(format!("/acr/v1/app{path}"))
            .scope(READ)
            .send()
    }
}

impl std::ops::Deref for App {
    type Target = Raw;

    fn deref(&self) -> &Raw {
        &self.raw
    }
}

#[test]
fn a_tag_that_must_not_be_written_is_neither_pushed_to_nor_deleted() {
    let app = App::new();
    app.close("/_tags/v1", &["writeEnabled"]);
    app.push("v1").expect_disallowed();
    app.delete_tag("v1").expect_disallowed();
    // Even though it may be deleted.
    app.close("/_tags/v1", &["writeEnabled"]);
    app.set("/_tags/v1", r#"{"deleteEnabled":true}"#);
    app.delete_tag("v1").expect_disallowed();
    app.pull("v1")
        .expect(200)
        .expect_header("docker-content-digest", app.digest);
}

#[test]
fn a_tag_that_must_not_be_written_can_be_pulled_and_leaves_other_tags_alone() {
    let app = App::new();
    app.close("/_tags/v1", &["writeEnabled"]);
    app.pull("v1").expect(200);
    // Its lock is not that of its manifest, nor that of another tag of the same manifest.
    let other = app.image("app", "new");
    app.push_bytes("also", &other).expect(201);
    app.delete_tag("also").expect(202);
    app.push("fresh").expect(201);
    app.push(&app.digest).expect(201);
    app.set("/_tags/v1", r#"{"writeEnabled":true}"#);
    app.push_bytes("v1", &other).expect(201);
}

#[test]
fn a_tag_that_must_not_be_deleted_can_be_moved() {
    let app = App::new();
    app.close("/_tags/v1", &["deleteEnabled"]);
    app.delete_tag("v1").expect_disallowed();
    let other = app.image("app", "new");
    app.push_bytes("v1", &other).expect(201);
    // The lock moved along.
    app.delete_tag("v1").expect_disallowed();
    app.set("/_tags/v1", r#"{"deleteEnabled":true}"#);
    app.delete_tag("v1").expect(202);
}

#[test]
fn a_tag_that_must_not_be_read_is_not_pulled_but_its_properties_are_read() {
    let app = App::new();
    app.close("/_tags/v1", &["readEnabled"]);
    // The status is chosen.
    app.pull("v1").expect_disallowed();
    let head = app.head("/v2/app/manifests/v1").scope(PULL).expect(405);
    assert!(head.body.is_empty());
    app.get("/_tags/v1").expect(200);
    app.pull("also").expect(200);
    // Chosen: the digest is another way in.
    app.pull(&app.digest).expect(200);
    app.push("v1").expect(201);
}

#[test]
fn a_tag_with_all_switches_closed_is_still_read_and_opened_by_one_update() {
    let app = App::new();
    app.set("/_tags/v1", CLOSED);
    assert_eq!(
        app.get("/_tags/v1").expect(200).json()["tag"]["changeableAttributes"].to_string(),
        CLOSED
    );
    app.delete_tag("v1").expect_disallowed();
    app.set("/_tags/v1", OPEN);
    app.delete_tag("v1").expect(202);
}

#[test]
fn a_tag_that_must_not_be_listed_is_left_out_of_lists() {
    // Chosen.
    let app = App::new();
    app.close("/_tags/v1", &["listEnabled"]);
    let names = |response: RawResponse| response.expect(200).text().to_owned();
    assert!(!names(app.get("/_tags")).contains("\"v1\""));
    let listed = app.raw.get("/v2/app/tags/list").scope(READ).send();
    listed.expect_json(200, "{\"name\":\"app\",\"tags\":[\"also\",\"other\"]}\n");
    app.get("/_tags/v1").expect(200);
    app.pull("v1").expect(200);
}

#[test]
fn a_manifest_that_must_not_be_written_or_deleted_is_not_deleted() {
    for switch in ["writeEnabled", "deleteEnabled"] {
        let app = App::new();
        app.close("manifest", &[switch]);
        app.delete_manifest(&app.digest).expect_disallowed();
        app.pull("v1").expect(200);
        app.delete_manifest(&app.other).expect(202);
        app.set("manifest", OPEN);
        app.delete_manifest(&app.digest).expect(202);
    }
}

#[test]
fn a_manifest_that_must_not_be_deleted_can_be_pushed_and_tagged_and_untagged() {
    let app = App::new();
    app.close("manifest", &["deleteEnabled"]);
    app.push("v1").expect(201);
    app.push("fresh").expect(201);
    app.push(&app.digest).expect(201);
    for tag in ["v1", "also", "fresh"] {
        app.delete_tag(tag).expect(202);
    }
    app.delete_manifest(&app.digest).expect_disallowed();
}

#[test]
fn a_manifest_that_must_not_be_written_can_be_pushed_as_it_is() {
    // Chosen: the push leaves it as it is.
    let app = App::new();
    app.close("manifest", &["writeEnabled"]);
    app.push("fresh").expect(201);
    app.push(&app.digest).expect(201);
}

#[test]
fn a_manifest_that_must_not_be_read_is_not_pulled_by_any_name() {
    // By digest documented; by tag, and the status, chosen.
    let app = App::new();
    app.close("manifest", &["readEnabled"]);
    for reference in ["v1", "also", app.digest.as_str()] {
        app.pull(reference).expect_disallowed();
    }
    app.pull("other").expect(200);
    app.get(&format!("/_manifests/{}", app.digest)).expect(200);
}

#[test]
fn a_manifest_that_must_not_be_listed_is_left_out_of_the_list() {
    // Chosen.
    let app = App::new();
    app.close("manifest", &["listEnabled"]);
    let list = app.get("/_manifests").expect(200);
    assert!(!list.text().contains(&app.digest) && list.text().contains(&app.other));
    app.get(&format!("/_manifests/{}", app.digest)).expect(200);
}

#[test]
fn a_locked_tag_holds_its_manifest() {
    // Chosen: the tag would go with the manifest.
    for switch in ["writeEnabled", "deleteEnabled"] {
        let app = App::new();
        app.close("/_tags/also", &[switch]);
        app.delete_manifest(&app.digest).expect_disallowed();
        app.pull("also").expect(200);
        app.delete_manifest(&app.other).expect(202);
    }
}

#[test]
fn a_repository_that_must_not_be_written_takes_no_push_and_no_delete() {
    let app = App::new();
    let blob = app.push_blob("app", b"free");
    let upload = app.post("/v2/app/blobs/uploads/").scope(PUSH).expect(202);
    let upload = upload.header("location").to_owned();
    let source = app.push_blob("source", b"source");
    app.close("", &["writeEnabled"]);
    app.push("v1").expect_disallowed();
    app.push("fresh").expect_disallowed();
    app.push(&app.digest).expect_disallowed();
    app.delete_tag("v1").expect_disallowed();
    app.delete_manifest(&app.digest).expect_disallowed();
    app.delete_repository().expect_disallowed();
    app.delete(format!("/v2/app/blobs/{blob}"))
        .scope(DELETE)
        .expect_disallowed();
    app.post("/v2/app/blobs/uploads/")
        .scope(PUSH)
        .expect_disallowed();
    let single = format!("/v2/app/blobs/uploads/?digest={}", digest(b"x"));
    app.post(single)
        .scope(PUSH)
        .body(&b"x"[..])
        .expect_disallowed();
    let mount = app.post(format!("/v2/app/blobs/uploads/?from=source&mount={source}"));
    mount
        .scope("repository:app:pull,push repository:source:pull")
        .expect_disallowed();
    app.patch(&upload)
        .scope(PUSH)
        .body(&b"x"[..])
        .expect_disallowed();
    app.put(format!("{upload}&digest={}", digest(b"")))
        .scope(PUSH)
        .expect_disallowed();
    // Pulls, reads and updates go on, also of what is in it.
    app.pull("v1").expect(200);
    app.get("/_tags").expect(200);
    app.set("/_tags/v1", r#"{"deleteEnabled":false}"#);
    app.set("manifest", r#"{"deleteEnabled":false}"#);
    // Opened again, the upload goes on where it was.
    app.set("", OPEN);
    app.patch(&upload).scope(PUSH).body(&b"x"[..]).expect(202);
}

#[test]
fn a_repository_that_must_not_be_deleted_loses_its_tags_and_manifests_all_the_same() {
    let app = App::new();
    app.close("", &["deleteEnabled"]);
    app.delete_repository().expect_disallowed();
    app.push("fresh").expect(201);
    app.delete_tag("v1").expect(202);
    app.delete_manifest(&app.digest).expect(202);
    app.set("", r#"{"deleteEnabled":true}"#);
    app.delete_repository().expect(202);
}

#[test]
fn a_repository_that_must_not_be_read_gives_nothing_of_its_content() {
    // The status is chosen.
    let app = App::new();
    let layer = digest(b"layer of v1");
    app.close("", &["readEnabled"]);
    for reference in ["v1", app.digest.as_str()] {
        app.pull(reference).expect_disallowed();
    }
    app.raw
        .get(format!("/v2/app/blobs/{layer}"))
        .scope(PULL)
        .expect_disallowed();
    app.head(format!("/v2/app/blobs/{layer}"))
        .scope(PULL)
        .expect(405);
    app.get("").expect(200);
    app.push("fresh").expect(201);
}

#[test]
fn a_repository_that_must_not_be_read_is_no_source_of_a_mount() {
    // Chosen, as a pull by another way.
    let app = App::new();
    let layer = digest(b"layer of v1");
    app.close("", &["readEnabled"]);
    let mount = app.post(format!("/v2/target/blobs/uploads/?from=app&mount={layer}"));
    mount
        .scope("repository:target:pull,push repository:app:pull")
        .expect(202);
    app.head(format!("/v2/target/blobs/{layer}"))
        .scope("repository:target:pull")
        .expect(404);
}

#[test]
fn a_repository_that_must_not_be_listed_is_left_out_of_the_catalogue() {
    // Chosen.
    let app = App::new();
    app.push_image("seen", "v1");
    app.close("", &["listEnabled"]);
    for path in ["/acr/v1/_catalog", "/v2/_catalog"] {
        let catalog = app.raw.get(path).scope("registry:catalog:*").send();
        catalog.expect_json(200, "{\"repositories\":[\"seen\"]}\n");
    }
    app.get("").expect(200);
    app.get("/_tags").expect(200);
}

#[test]
fn a_repository_is_not_deleted_while_something_in_it_is_locked() {
    for level in ["/_tags/v1", "manifest"] {
        for switch in ["writeEnabled", "deleteEnabled"] {
            let app = App::new();
            app.close(level, &[switch]);
            app.delete_repository().expect_disallowed();
            // The other switches do not hold it.
            app.set(level, r#"{"deleteEnabled":true,"writeEnabled":true,"readEnabled":false,"listEnabled":false}"#);
            app.delete_repository().expect(202);
        }
    }
}

#[test]
fn locks_come_after_existence_and_before_the_body() {
    let app = App::new();
    app.close("", &["writeEnabled"]);
    app.delete_tag("nowhere").expect(404);
    app.delete_manifest(&digest(b"nowhere")).expect(404);
    app.delete(format!("/v2/app/blobs/{}", digest(b"nowhere")))
        .scope(DELETE)
        .expect(404);
    // A lock tells nothing of a body that is wrong. Chosen: the service's order is not known.
    app.push_bytes("v1", "no json").expect_disallowed();
}

#[test]
fn a_new_tag_and_manifest_are_open_whatever_was_there_before() {
    let app = App::new();
    app.set("/_tags/v1", r#"{"readEnabled":false,"listEnabled":false}"#);
    app.delete_tag("v1").expect(202);
    app.push("v1").expect(201);
    assert_eq!(
        app.get("/_tags/v1").json()["tag"]["changeableAttributes"].to_string(),
        OPEN
    );
    app.set("manifest", r#"{"readEnabled":false,"listEnabled":false}"#);
    app.delete_manifest(&app.digest).expect(202);
    app.push("v1").expect(201);
    let properties = app.get(&format!("/_manifests/{}", app.digest)).json();
    assert_eq!(
        properties["manifest"]["changeableAttributes"].to_string(),
        OPEN
    );
}
