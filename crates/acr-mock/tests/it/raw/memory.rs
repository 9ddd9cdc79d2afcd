//! What is kept: memory that goes by the bytes of the content, is bounded, and is freed in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use acr_mock::Profile;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::Full;

use crate::raw::support::{
    DELETE, DISALLOWED, HOST, OCI_MANIFEST, PULL, PUSH, Raw, RawResponse, digest,
};

fn start(raw: &Raw) -> RawResponse {
    raw.post("/v2/app/blobs/uploads/").scope(PUSH).send()
}

#[test]
fn a_blob_is_held_once_however_many_repositories_have_it() {
    let raw = Raw::new();
    let blob = raw.push_blob("app", &[7; 1_000]);
    for copy in 0..20 {
        let scope = format!("repository:copy{copy}:pull,push {PULL}");
        let mount = format!("/v2/copy{copy}/blobs/uploads/?mount={blob}&from=app");
        raw.post(mount).scope(&scope).expect(201);
        // Sent once more in full, it is the same blob too.
        raw.push_blob(&format!("again{copy}"), &[7; 1_000]);
    }
    let statistics = raw.registry.statistics();
    assert_eq!((statistics.blobs, statistics.blob_bytes), (1, 1_000));
    assert_eq!(statistics.held_bytes(), 1_000);
    // Freed with the last of them.
    let repositories = std::iter::once("app".to_owned())
        .chain((0..20).flat_map(|copy| [format!("copy{copy}"), format!("again{copy}")]));
    for repository in repositories {
        assert_eq!(raw.registry.statistics().blobs, 1);
        let path = format!("/v2/{repository}/blobs/{blob}");
        let scope = format!("repository:{repository}:delete");
        raw.delete(path).scope(&scope).expect(202);
    }
    assert_eq!(raw.registry.statistics().held_bytes(), 0);
}

/// Bytes that tell when nobody holds them any more.
struct Told(Vec<u8>, Arc<AtomicBool>);

impl AsRef<[u8]> for Told {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
    }
}

/// The length of a piece that is kept without a copy, in bytes.
const LONG: usize = 64 * 1024;

fn told(content: &[u8]) -> (Bytes, Arc<AtomicBool>) {
    let freed = Arc::new(AtomicBool::new(false));
    (
        Bytes::from_owner(Told(content.to_vec(), freed.clone())),
        freed,
    )
}

#[test]
fn the_memory_of_an_abandoned_upload_is_free_when_its_time_is_over() {
    let raw = Raw::with(|builder| builder.upload_life(Duration::from_secs(60)));
    let (bytes, freed) = told(&[1; LONG]);
    let chunk = raw.patch(start(&raw).header("location")).scope(PUSH);
    let chunk = chunk.body(bytes).send();
    let location = chunk.expect(202).header("location").to_owned();
    let statistics = raw.registry.statistics();
    assert_eq!(
        (statistics.uploads, statistics.upload_bytes),
        (1, LONG as u64)
    );
    raw.clock.advance(Duration::from_secs(59));
    assert_eq!(raw.registry.statistics().uploads, 1);
    assert!(!freed.load(Ordering::SeqCst));
    raw.clock.advance(Duration::from_secs(1));
    // Any request will do, also one that is refused.
    raw.get("/v2/").expect(401);
    assert!(freed.load(Ordering::SeqCst));
    assert_eq!(raw.registry.statistics().held_bytes(), 0);
    raw.get(&location).scope(PULL).expect(404);
}

#[test]
fn the_memory_of_what_is_cancelled_deleted_or_refused_is_free_at_once() {
    let raw = Raw::new();
    let (bytes, cancelled) = told(&[1; LONG]);
    let chunk = raw.patch(start(&raw).header("location")).scope(PUSH);
    let chunk = chunk.body(bytes).send();
    let location = chunk.expect(202).header("location").to_owned();
    raw.delete(location).scope(DELETE).expect(204);
    assert!(cancelled.load(Ordering::SeqCst));

    let (bytes, deleted) = told(&[2; LONG]);
    let blob = digest(&[2; LONG]);
    let path = format!("/v2/app/blobs/uploads/?digest={blob}");
    raw.post(path).scope(PUSH).body(bytes).expect(201);
    assert!(!deleted.load(Ordering::SeqCst));
    raw.delete(format!("/v2/app/blobs/{blob}"))
        .scope(DELETE)
        .expect(202);
    assert!(deleted.load(Ordering::SeqCst));

    let (bytes, refused) = told(&[3; LONG]);
    let path = format!("/v2/app/blobs/uploads/?digest={blob}");
    raw.post(path).scope(PUSH).body(bytes).expect(400);
    assert!(refused.load(Ordering::SeqCst));
    assert_eq!(
        raw.registry.statistics(),
        acr_mock::Registry::new().statistics()
    );
}

#[test]
fn nothing_that_is_kept_pins_the_buffer_it_came_in() {
    let raw = Raw::new();
    let manifest = raw.image("app", "v1");
    let upload = start(&raw).header("location").to_owned();
    let (scope, small) = (raw.token(PUSH), b"short");
    for (method, path, content_type, content, status) in [
        (
            Method::POST,
            format!("/v2/app/blobs/uploads/?digest={}", digest(small)),
            "application/octet-stream",
            &small[..],
            201,
        ),
        (
            Method::PATCH,
            upload,
            "application/octet-stream",
            small,
            202,
        ),
        (
            Method::PUT,
            "/v2/app/manifests/v1".to_owned(),
            OCI_MANIFEST,
            manifest.as_bytes(),
            201,
        ),
    ] {
        // A whole request in one buffer, as a connection reads it.
        let authorization = format!("Bearer {scope}");
        let mut buffer = Vec::new();
        let parts = [
            path.as_bytes(),
            content_type.as_bytes(),
            authorization.as_bytes(),
            content,
        ];
        let ends: Vec<usize> = parts
            .iter()
            .map(|part| {
                buffer.extend_from_slice(part);
                buffer.len()
            })
            .collect();
        buffer.resize(100_000, 0);
        let (buffer, freed) = told(&buffer);
        let part = |index: usize| {
            let start = index.checked_sub(1).map_or(0, |before| ends[before]);
            buffer.slice(start..ends[index])
        };
        let value = |index| HeaderValue::from_maybe_shared(part(index)).unwrap();
        let request = Request::builder()
            .method(method.clone())
            .uri(Uri::from_maybe_shared(part(0)).unwrap())
            .header("host", HOST)
            .header("content-type", value(1))
            .header("authorization", value(2))
            .body(Full::new(part(3)))
            .unwrap();
        drop(buffer);
        let response = raw.registry.handle(request).now_or_never().unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        drop(response);
        assert!(freed.load(Ordering::SeqCst), "{method} {path}");
    }
    assert_eq!(raw.registry.statistics().upload_bytes, small.len() as u64);
}

#[test]
fn a_manifest_in_chunks_of_a_byte_is_one_like_any_other() {
    let raw = Raw::new();
    let manifest = raw.image("app", "v1");
    let put = raw.set_manifest("v1", OCI_MANIFEST, manifest.clone());
    put.send_in_pieces(1).expect(201);
    let got = raw.get("/v2/app/manifests/v1").scope(PULL).send();
    assert_eq!(got.expect(200).text(), manifest);
}

/// The detail is chosen; status, code and message are those of a registry that is over its storage.
fn full(most: u64) -> String {
    let reason = format!("the registry is full: it may hold at most {most} bytes of content");
    DISALLOWED.replace(
        r#""detail":{}"#,
        &format!(r#""detail":{{"Reason":"{reason}"}}"#),
    )
}

#[test]
fn blobs_manifests_and_uploads_are_held_up_to_a_number_of_bytes_and_what_ends_makes_room() {
    let raw = Raw::with(|builder| {
        builder
            .max_bytes(2_000)
            .upload_life(Duration::from_secs(60))
    });
    let manifest = raw.image("app", "v1");
    let held = raw.registry.statistics().held_bytes() + manifest.len() as u64;
    let put = || raw.set_manifest("v1", OCI_MANIFEST, manifest.clone());
    let room = usize::try_from(2_000 - held).unwrap();
    let (fits, content) = (vec![1; room], vec![2; room + 1]);
    let whole = |content: &[u8]| {
        raw.post(format!("/v2/app/blobs/uploads/?digest={}", digest(content)))
            .scope(PUSH)
            .body(content.to_vec())
    };
    let delete = |path: String| raw.delete(path).scope(DELETE).send();
    put().expect(201);

    // One byte too many, in every way to send it.
    whole(&content).expect_json(405, &full(2_000));
    whole(&content)
        .send_in_pieces(7)
        .expect_json(405, &full(2_000));
    let location = start(&raw).header("location").to_owned();
    let chunk = |location: &str, content: &[u8]| {
        raw.patch(location)
            .scope(PUSH)
            .body(content.to_vec())
            .send()
    };
    chunk(&location, &content).expect_json(405, &full(2_000));
    let taken = chunk(&location, &fits).expect(202);
    let location = taken.header("location").to_owned();
    chunk(&location, b"1").expect_json(405, &full(2_000));
    let status = raw.get(&location).scope(PULL).expect(204);
    status.expect_header("range", format!("0-{}", room - 1));
    put().expect_json(405, &full(2_000));
    put().send_in_pieces(1).expect_json(405, &full(2_000));
    assert_eq!(raw.registry.statistics().held_bytes(), 2_000);

    // An upload that is cancelled, one that is over, a blob and a manifest that are deleted make room.
    delete(location).expect(204);
    let location = start(&raw).header("location").to_owned();
    chunk(&location, &fits).expect(202);
    raw.clock.advance(Duration::from_secs(60));
    whole(&fits).expect(201);
    whole(b"x").expect(405);
    delete(format!("/v2/app/blobs/{}", digest(&fits))).expect(202);
    let half = &fits[..manifest.len().min(room)];
    whole(half).expect(201);
    delete(format!("/v2/app/manifests/{}", digest(manifest.as_bytes()))).expect(202);
    put().expect(201);
}

#[test]
fn a_full_registry_reads_signs_in_and_deletes_as_ever() {
    let raw = Raw::with(|builder| builder.max_bytes(10).profile(Profile::Oci));
    // A seed is counted, but never refused.
    let app = raw.registry.seed("app").unwrap();
    let image = app.image("v1").unwrap();
    let blob = app.blob("application/octet-stream", "a blob of its own");
    let refused = raw.post(format!("/v2/app/blobs/uploads/?digest={}", digest(b"x")));
    refused.scope(PUSH).body("x").expect_json(405, &full(10));
    raw.get("/v2/app/manifests/v1").scope(PULL).expect(200);
    let path = format!("/v2/app/blobs/{}", blob.digest);
    raw.get(&path).scope(PULL).expect(200);
    // The same content again in another repository takes no room.
    let mount = format!("/v2/copy/blobs/uploads/?mount={}&from=app", blob.digest);
    raw.post(mount)
        .scope(&format!("repository:copy:pull,push {PULL}"))
        .expect(201);
    raw.set_locks("app", "", r#"{"listEnabled":true}"#);
    raw.delete(&path).scope(DELETE).expect(202);
    let path = format!("/v2/app/manifests/{}", image.digest);
    raw.delete(path).scope(DELETE).expect(202);
}
