//! Long operations go in turns: between two of them others are served, and what comes out is the same as at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use acr_mock::{Profile, Registry};
use acr_protocol::{Algorithm, Digester};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use serde_json::{Value, json};

use crate::raw::support::{HOST, OCI_CONFIG, OCI_MANIFEST, nowhere};

/// More than any operation does in one turn.
const MANY: usize = 5_000;

/// A registry that sets many tags with one request.
fn registry() -> Registry {
    of_profile(Profile::Oci)
}

fn of_profile(profile: Profile) -> Registry {
    Registry::builder()
        .authentication(false)
        .profile(profile)
        .page_size_limit(100_000)
        .build()
}

/// Sends a request, and another whenever it pauses; the response, and how often it paused.
fn send(
    registry: &Registry,
    method: &str,
    path: &str,
    body: impl Into<Bytes>,
    mut meanwhile: impl FnMut(&Registry, usize),
) -> (Response<Bytes>, usize) {
    let request = Request::builder()
        .method(method)
        .uri(format!("https://{HOST}{path}"))
        .header("content-type", OCI_MANIFEST)
        .body(Full::new(body.into()))
        .unwrap();
    let mut response = Box::pin(registry.handle(request));
    let mut pauses = 0;
    let response = loop {
        match response
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(response) => break response,
            Poll::Pending => pauses += 1,
        }
        meanwhile(registry, pauses);
        assert!(pauses < 1_000_000, "it does not end");
    };
    let (head, body) = response.into_parts();
    let body = body.collect().now_or_never().unwrap().unwrap().to_bytes();
    (Response::from_parts(head, body), pauses)
}

/// The same where nobody else comes, and with the body as JSON.
fn ask(registry: &Registry, method: &str, path: &str) -> (StatusCode, Value, usize) {
    let (response, pauses) = send(registry, method, path, "", |_, _| ());
    let body = serde_json::from_slice(response.body()).unwrap_or_default();
    (response.status(), body, pauses)
}

/// A request that is done at once, whatever others are about.
fn ask_at_once(registry: &Registry, path: &str) -> (StatusCode, Value) {
    let (status, body, pauses) = ask(registry, "GET", path);
    assert_eq!(pauses, 0, "{path}");
    (status, body)
}

/// The names of the tags that are set, in their order.
fn fill(registry: &Registry, tags: usize) -> (String, Vec<String>) {
    let app = registry.seed("app").unwrap();
    let image = app.image("first").unwrap();
    let mut names: Vec<String> = (0..tags).map(|number| format!("v{number}")).collect();
    // Many at once, which is quicker than one by one.
    for some in names.chunks(500) {
        let path = format!(
            "/v2/app/manifests/{}?tag={}",
            image.digest,
            some.join("&tag=")
        );
        let (response, _) = send(registry, "PUT", &path, image.bytes.clone(), |_, _| ());
        assert_eq!(response.status(), StatusCode::CREATED);
    }
    names.push("first".to_owned());
    names.sort();
    (image.digest.to_string(), names)
}

#[test]
fn a_large_repository_is_gone_at_once_and_dropped_in_turns() {
    let registry = registry();
    let (digest, names) = fill(&registry, MANY);
    registry.seed("other").unwrap().image("v1").unwrap();
    let mut others = 0;
    let (response, pauses) = send(&registry, "DELETE", "/acr/v1/app", "", |registry, _| {
        let (status, _) = ask_at_once(registry, "/acr/v1/app");
        assert_eq!(status, StatusCode::NOT_FOUND, "from the first turn on");
        assert_eq!(
            ask_at_once(registry, "/v2/other/manifests/v1").0,
            StatusCode::OK
        );
        others += 1;
    });
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let expected = json!({ "manifestsDeleted": [digest], "tagsDeleted": names });
    assert_eq!(response.body(), &format!("{expected}\n"));
    // Four indexes of the tags are dropped, a thousand places in a turn; two other requests between two turns drop as many each.
    assert!(pauses > MANY / 1_000, "{pauses}");
    assert_eq!(others, pauses);
    assert_eq!(
        (registry.statistics().tags, registry.statistics().blobs),
        (1, 2)
    );
}

#[test]
fn what_a_broken_off_delete_leaves_goes_with_the_requests_behind_it() {
    let registry = registry();
    fill(&registry, MANY);
    let app = registry.seed("app").unwrap();
    for number in 0..100 {
        let _descriptor = app.blob("application/octet-stream", format!("blob {number}"));
    }
    let request = Request::delete(format!("https://{HOST}/acr/v1/app"))
        .body(Full::<Bytes>::default())
        .unwrap();
    assert!(registry.handle(request).now_or_never().is_none());
    let (_, left) = (registry.statistics().tags, registry.statistics().blobs);
    assert_eq!((registry.statistics().repositories, left), (0, 102));
    let mut requests = 0;
    while registry.statistics().blobs > 0 {
        ask_at_once(&registry, "/v2/");
        requests += 1;
        assert!(requests < 1_000, "it is never dropped");
    }
}

#[test]
fn a_manifest_with_many_tags_is_deleted_in_turns() {
    let registry = registry();
    let (digest, _) = fill(&registry, MANY);
    let mut left = Vec::new();
    let path = format!("/v2/app/manifests/{digest}");
    let (response, pauses) = send(&registry, "DELETE", &path, "", |registry, _| {
        left.push(registry.statistics().tags);
    });
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert!(pauses >= MANY / 500 - 1, "{pauses}");
    // Each turn takes a few away, and nobody waits for more than that.
    let all = std::iter::once(MANY + 1).chain(left).chain([0]);
    let all: Vec<usize> = all.collect();
    assert!(
        all.windows(2).all(|pair| pair[0] - pair[1] <= 501),
        "{all:?}"
    );
    assert_eq!(registry.statistics().repositories, 0);
}

#[test]
fn a_lock_that_comes_between_two_turns_holds_the_manifest() {
    let registry = registry();
    let (digest, _) = fill(&registry, MANY);
    let path = format!("/v2/app/manifests/{digest}");
    let (response, _) = send(&registry, "DELETE", &path, "", |registry, pauses| {
        if pauses == 1 {
            let lock = r#"{"writeEnabled":false}"#;
            let path = "/acr/v1/app/_tags/v999";
            let (response, _) = send(registry, "PATCH", path, lock, |_, _| ());
            assert_eq!(response.status(), StatusCode::OK);
        }
    });
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(
        ask_at_once(&registry, "/v2/app/manifests/v999").0,
        StatusCode::OK
    );
}

#[test]
fn the_tags_of_a_manifest_are_told_in_turns_and_in_order() {
    let registry = registry();
    let (digest, names) = fill(&registry, MANY);
    let few = registry.seed("app").unwrap().image("z").unwrap().digest;
    let one = format!("/acr/v1/app/_manifests/{digest}");
    let (status, body, pauses) = ask(&registry, "GET", &one);
    assert_eq!(
        (status, &body["manifest"]["tags"]),
        (StatusCode::OK, &json!(names))
    );
    assert_eq!(
        body["manifest"]["changeableAttributes"]["listEnabled"],
        true
    );
    assert!(pauses > MANY / 2_000, "{pauses}");
    let (response, _) = send(&registry, "PATCH", &one, "{}", |_, _| ());
    let changed: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(changed, body);
    let (_, body, pauses) = ask(&registry, "GET", "/acr/v1/app/_manifests?n=10");
    assert!(pauses > MANY / 2_000, "{pauses}");
    let listed = body["manifests"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    for manifest in listed {
        let tags = match manifest["digest"].as_str() {
            Some(listed) if listed == few.as_str() => json!(["z"]),
            _ => json!(names),
        };
        assert_eq!(manifest["tags"], tags);
        assert_eq!(manifest["architecture"], "amd64");
        assert_eq!(manifest["changeableAttributes"]["listEnabled"], true);
    }
}

#[test]
fn tags_that_no_list_may_show_are_passed_over_in_turns() {
    let registry = registry();
    fill(&registry, MANY);
    for number in 0..MANY {
        let path = format!("/acr/v1/app/_tags/v{number}");
        send(
            &registry,
            "PATCH",
            &path,
            r#"{"listEnabled":false}"#,
            |_, _| (),
        );
    }
    for path in [
        "/acr/v1/app/_tags?n=1",
        "/acr/v1/app/_tags?n=1&orderby=timedesc",
        "/v2/app/tags/list?n=1",
    ] {
        let (status, body, pauses) = ask(&registry, "GET", path);
        assert_eq!(status, StatusCode::OK);
        assert!(body.to_string().contains("\"first\""), "{body}");
        assert_eq!(pauses, MANY / 2_000, "{path}");
    }
}

#[test]
fn repositories_of_blobs_alone_are_passed_over_in_turns() {
    let registry = registry();
    for number in 0..MANY {
        let blobs = registry.seed(format!("blobs/{number}")).unwrap();
        let _descriptor = blobs.blob("application/octet-stream", "content");
    }
    registry.seed("z").unwrap().image("v1").unwrap();
    let (_, body, pauses) = ask(&registry, "GET", "/acr/v1/_catalog?n=1");
    assert_eq!(body, json!({ "repositories": ["z"] }));
    assert_eq!(pauses, MANY / 2_000);
}

#[test]
fn the_tags_of_one_manifest_are_found_among_many_in_one_turn() {
    let registry = registry();
    fill(&registry, MANY);
    let image = registry.seed("app").unwrap().image("m").unwrap();
    for order in ["", "timeasc", "timedesc"] {
        let path = format!("/acr/v1/app/_tags?orderby={order}&digest={}", image.digest);
        let (_, body) = ask_at_once(&registry, &path);
        assert_eq!(body["tags"].as_array().unwrap().len(), 1);
        assert_eq!(body["tags"][0]["name"], "m");
    }
}

#[test]
fn a_manifest_of_many_entries_is_looked_up_in_turns_and_a_hundred_missing_are_named() {
    let registry = of_profile(Profile::Acr);
    let app = registry.seed("app").unwrap();
    let config = app.blob(OCI_CONFIG, "{}");
    let layer = app.blob("application/x", "layer");
    let manifest = |digest: &str| {
        let layers =
            vec![json!({ "mediaType": "application/x", "digest": digest, "size": 1 }); MANY];
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
        manifest.to_string()
    };
    let path = "/v2/app/manifests/v1";
    let (response, pauses) = send(
        &registry,
        "PUT",
        path,
        manifest(layer.digest.as_str()),
        |_, _| (),
    );
    assert_eq!(
        (response.status(), pauses),
        (StatusCode::CREATED, MANY / 2_000)
    );
    let (response, _) = send(&registry, "PUT", path, manifest(&nowhere()), |_, _| ());
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body["errors"].as_array().unwrap().len(), 100);
}

#[test]
fn a_large_blob_is_hashed_in_turns_however_it_comes() {
    let registry = registry();
    let content = Bytes::from(vec![7; 9 * 1024 * 1024]);
    let turns = content.len() / (4 * 1024 * 1024);
    let upload = |method, path: &str, body: &Bytes| {
        let (response, pauses) = send(&registry, method, path, body.clone(), |registry, _| {
            assert_eq!(ask_at_once(registry, "/v2/").0, StatusCode::OK);
        });
        let location = response.headers().get("location");
        let location = location.map(|location| location.to_str().unwrap().to_owned());
        (response.status().as_u16(), location, pauses)
    };
    let uploads = "/v2/app/blobs/uploads/";
    let digests = [Algorithm::SHA256, Algorithm::SHA512]
        .map(|algorithm| Digester::new(&algorithm).unwrap())
        .map(|mut digester| {
            digester.update(&content);
            digester.finish()
        });
    for digest in &digests {
        let whole = format!("{uploads}?digest={digest}");
        let (status, _, pauses) = upload("POST", &whole, &content);
        assert_eq!((status, pauses), (201, turns), "{digest}");
        // In a chunk, and with the end of the upload; one that was hashed on its way is not hashed again.
        let (_, location, _) = upload("POST", uploads, &Bytes::new());
        let (status, location, pauses) = upload("PATCH", &location.unwrap(), &content);
        assert_eq!((status, pauses), (202, turns));
        let end = format!("{}&digest={digest}", location.unwrap());
        let (status, _, pauses) = upload("PUT", &end, &Bytes::new());
        let again = if *digest == digests[0] { 0 } else { turns };
        assert_eq!((status, pauses), (201, again), "{digest}");
        let (_, location, _) = upload("POST", uploads, &Bytes::new());
        let end = format!("{}&digest={digest}", location.unwrap());
        let (status, _, pauses) = upload("PUT", &end, &content);
        assert_eq!((status, pauses), (201, turns + again), "{digest}");
    }
}

#[test]
fn a_chunk_is_hashed_as_it_comes_and_not_at_its_end() {
    let registry = registry();
    let (response, _) = send(&registry, "POST", "/v2/app/blobs/uploads/", "", |_, _| ());
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let pauses = Arc::new(AtomicUsize::new(0));
    let (seen, before_last) = (pauses.clone(), Arc::new(AtomicUsize::new(0)));
    let noted = before_last.clone();
    let frames = (0..10).map(move |_| {
        noted.store(seen.load(Ordering::Relaxed), Ordering::Relaxed);
        Ok::<_, Infallible>(Frame::data(Bytes::from(vec![7; 1024 * 1024])))
    });
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let request = Request::patch(format!("https://{HOST}{location}"));
    let mut response = Box::pin(registry.handle(request.body(body).unwrap()));
    let mut context = Context::from_waker(Waker::noop());
    let response = loop {
        match response.as_mut().poll(&mut context) {
            Poll::Ready(response) => break response,
            Poll::Pending => pauses.fetch_add(1, Ordering::Relaxed),
        };
    };
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    // Eight of the ten MiB were hashed before the last one was asked for; what is left is less than a turn.
    let pauses = pauses.load(Ordering::Relaxed);
    assert_eq!((pauses, before_last.load(Ordering::Relaxed)), (2, 2));
}
