//! Snapshots: what is taken out of a registry and put into another responses as it did.

use std::time::Duration;

use acr_mock::snapshot::{BlobSnapshot, Content};
use acr_mock::{Registry, Snapshot};
use acr_protocol::{Digest, RepositoryName};

use crate::raw::support::{Raw, RawResponse};

/// As many programs are run, each drawn from its number.
const SEEDS: u64 = 40;

#[test]
fn a_restored_registry_responds_byte_for_byte_as_before() {
    for seed in 0..SEEDS {
        let (here, there) = (Raw::new(), Raw::new());
        let mut program = Program(seed);
        for _ in 0..20 {
            program.step(&here);
        }
        let before = everything(&here);
        let file = serde_json::to_string(&here.registry.snapshot()).unwrap();
        let snapshot: Snapshot = serde_json::from_str(&file).unwrap();
        for _ in 0..10 {
            program.step(&here);
        }
        // The count of deletes in this second is not content.
        here.clock.advance(Duration::from_secs(1));
        let passed = here.clock.now().duration_since(there.clock.now());
        there.clock.advance(passed.unwrap());
        for raw in [&here, &there] {
            raw.registry.restore(snapshot.clone());
            assert_eq!(raw.registry.snapshot(), snapshot, "seed {seed}");
            assert_eq!(everything(raw), before, "seed {seed}");
        }
        assert_eq!(held(&here), held(&there), "seed {seed}");
        let mut other = program.clone();
        for _ in 0..10 {
            assert_eq!(program.step(&here), other.step(&there), "seed {seed}");
        }
        assert_eq!(everything(&here), everything(&there), "seed {seed}");
    }
}

#[test]
fn filler_is_served_as_spaces_between_what_is_known() {
    let raw = Raw::with(|builder| builder.data_redirect(false));
    let digest = Digest::sha256("what nobody has recorded");
    let content = Content::Filler {
        size: 6,
        known: [(2, "ab".into())].into(),
    };
    let blob = BlobSnapshot {
        repositories: [RepositoryName::new("a").unwrap()].into(),
        content,
        ..BlobSnapshot::default()
    };
    let mut snapshot = Snapshot::default();
    snapshot.blobs.insert(digest.clone(), blob);
    raw.registry.restore(snapshot);
    let blob = raw.get(format!("/v2/a/blobs/{digest}"));
    let blob = blob.scope("repository:a:pull").send();
    assert_eq!(blob.expect(200).text(), "  ab  ");
}

#[test]
fn an_open_upload_goes_on_after_a_restore() {
    let raw = Raw::new();
    raw.push_image("a", "v1");
    let scope = "repository:a:pull,push";
    let start = raw.post("/v2/a/blobs/uploads/").scope(scope).send();
    let location = start.expect(202).header("location").to_owned();
    raw.registry.restore(Snapshot::default());
    assert_eq!(raw.registry.snapshot(), Snapshot::default());
    let chunk = raw.patch(&location).scope(scope).body("bytes").send();
    chunk.expect(202);
}

#[test]
fn a_seed_behind_a_restore_has_content_of_its_own() {
    let (registry, other) = (Registry::new(), Registry::new());
    let first = registry.seed("a").unwrap().image("v1").unwrap();
    other.restore(registry.snapshot());
    let second = other.seed("a").unwrap().image("v2").unwrap();
    assert_ne!(first.digest, second.digest);
}

/// Writes that are drawn from a seed. A clone goes on with the same ones.
#[derive(Clone)]
struct Program(u64);

impl Program {
    /// Draws one of these (SplitMix64).
    fn of<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let at = (x ^ (x >> 31)) % items.len() as u64;
        items[usize::try_from(at).unwrap()]
    }

    /// One write; its response.
    fn step(&mut self, raw: &Raw) -> String {
        raw.clock
            .advance(*self.of(&[&Duration::ZERO, &Duration::from_millis(1_700)]));
        let repository = self.of(&["a", "a/b", "c"]);
        let tag = self.of(&["v1", "v2", "v3"]);
        let (manifest, blob) = (some_manifest(raw, repository), some_blob(raw));
        let below = self
            .of(&[
                "",
                &format!("/_tags/{tag}"),
                &format!("/_manifests/{manifest}"),
            ])
            .to_owned();
        let switches = self.of(&[
            r#"{"writeEnabled":false}"#,
            r#"{"listEnabled":false,"deleteEnabled":false}"#,
            r#"{"deleteEnabled":true,"writeEnabled":true,"listEnabled":true}"#,
        ]);
        let seed = raw.registry.seed(repository).unwrap();
        let request = match self.of(&[
            "image", "image", "index", "artifact", "mount", "untag", "delete", "remove", "lock",
        ]) {
            "image" => return seed.image(tag).unwrap().digest.to_string(),
            "index" => return seed.index(tag).unwrap().digest.to_string(),
            "artifact" => {
                return seed
                    .artifact(&manifest, "application/x")
                    .unwrap()
                    .digest
                    .to_string();
            }
            "mount" => raw.post(format!(
                "/v2/{repository}/blobs/uploads/?from=a&mount={blob}"
            )),
            "untag" => raw.delete(format!("/acr/v1/{repository}/_tags/{tag}")),
            "delete" => raw.delete(format!("/v2/{repository}/manifests/{manifest}")),
            "remove" => raw.delete(format!("/acr/v1/{repository}")),
            _ => raw
                .patch(format!("/acr/v1/{repository}{below}"))
                .body(switches.to_owned()),
        };
        let actions = "pull,push,delete,metadata_write";
        let scope = format!("repository:{repository}:{actions} repository:a:pull");
        shown(&request.bearer(&raw.issued(&scope)).send())
    }
}

/// How much a registry holds beside its open uploads.
fn held(raw: &Raw) -> [u64; 5] {
    let held = raw.registry.statistics();
    let counts = [held.repositories, held.tags, held.manifests];
    let [repositories, tags, manifests] = counts.map(|count| count as u64);
    [
        repositories,
        tags,
        manifests,
        held.manifest_bytes,
        held.blob_bytes,
    ]
}

/// A manifest of a repository, if it has any.
fn some_manifest(raw: &Raw, repository: &str) -> Digest {
    let snapshot = raw.registry.snapshot();
    let repository = snapshot
        .repositories
        .get(&RepositoryName::new(repository).unwrap());
    let first = repository.and_then(|repository| repository.manifests.keys().next().cloned());
    first.unwrap_or_else(|| Digest::sha256("none"))
}

/// A blob, if there is any.
fn some_blob(raw: &Raw) -> Digest {
    let first = raw.registry.snapshot().blobs.into_keys().next();
    first.unwrap_or_else(|| Digest::sha256("none"))
}

/// What can be read of a registry, as it stands on the wire.
fn everything(raw: &Raw) -> Vec<String> {
    let snapshot = raw.registry.snapshot();
    let mut paths = vec!["/acr/v1/_catalog".to_owned(), "/v2/_catalog?n=1".to_owned()];
    for (name, repository) in &snapshot.repositories {
        for order in ["", "?orderby=timeasc&n=2", "?orderby=timedesc"] {
            paths.push(format!("/acr/v1/{name}/_tags{order}"));
            paths.push(format!("/acr/v1/{name}/_manifests{order}"));
        }
        paths.extend([format!("/acr/v1/{name}"), format!("/v2/{name}/tags/list")]);
        for digest in repository.manifests.keys() {
            paths.push(format!("/acr/v1/{name}/_manifests/{digest}"));
            paths.push(format!("/v2/{name}/manifests/{digest}"));
            paths.push(format!("/v2/{name}/referrers/{digest}"));
        }
        for tag in repository.tags.keys() {
            paths.push(format!("/acr/v1/{name}/_tags/{tag}"));
            paths.push(format!("/v2/{name}/manifests/{tag}"));
        }
    }
    for (digest, blob) in &snapshot.blobs {
        let names = blob.repositories.iter();
        paths.extend(names.map(|name| format!("/v2/{name}/blobs/{digest}")));
    }
    let permissions = "repository:a:pull,metadata_read repository:a/b:pull,metadata_read repository:c:pull,metadata_read registry:catalog:*";
    let token = raw.issued(permissions);
    let mut responses = Vec::new();
    for path in paths {
        let response = raw.get(&path).bearer(&token).send();
        responses.push(format!("{path} {}", shown(&response)));
        if response.status == 307 {
            let data = raw.get(response.header("location")).send();
            responses.push(shown(&data.expect(200)));
        }
    }
    responses
}

/// An response but for what a registry draws at random or signs: ids, and the places that redirects and uploads lead to.
fn shown(response: &RawResponse) -> String {
    let mut headers = response.headers.clone();
    for name in [
        "x-ms-correlation-request-id",
        "x-ms-request-id",
        "docker-upload-uuid",
        "location",
        "etag",
    ] {
        headers.remove(name);
    }
    if response.status == 307 {
        // The signature is escaped, to another length each time.
        headers.remove("content-length");
        return format!("{} {headers:?}", response.status);
    }
    format!("{} {headers:?} {:?}", response.status, response.body)
}
