//! Registries that refuse a `HEAD`, or leave out of its response what is needed.

use std::sync::{Arc, Mutex};

use acr_client::{Digest, ErrorKind, MediaType, RepositoryClient};
use http::{Method, Response};

use crate::hostile::{Body, over, response, text};

const MANIFEST: &str = r#"{"schemaVersion":2,"config":{}}"#;

/// A registry with one manifest and one blob, both of these bytes; responses to `HEAD` are its own.
fn registry(
    head: impl Fn() -> Response<Body> + Send + Sync + 'static,
) -> (RepositoryClient, Arc<Mutex<Vec<Method>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    let app = over(move |request| {
        let path = request.uri().path();
        if path.contains("/referrers/") {
            return response(200, &[], r#"{"manifests":[]}"#);
        }
        let is_manifest = path.contains("/manifests/");
        kept.lock().unwrap().push(request.method().clone());
        let media_type = match is_manifest {
            true => MediaType::OCI_MANIFEST,
            false => MediaType::OCTET_STREAM,
        };
        let length = MANIFEST.len().to_string();
        let headers = [
            ("content-type", media_type.as_str()),
            ("content-length", &length),
        ];
        match *request.method() {
            Method::HEAD => head(),
            Method::DELETE => response(202, &[], ""),
            _ => response(200, &headers, MANIFEST),
        }
    });
    (app, seen)
}

#[tokio::test]
async fn a_head_that_is_refused_or_says_too_little_is_made_up_for_by_a_get() {
    let digest = Digest::sha256(MANIFEST);
    let length = MANIFEST.len().to_string();
    let of_type = ("content-type", "application/vnd.oci.image.manifest.v1+json");
    for case in 0..6 {
        let length = length.clone();
        let head = move || match case {
            0 => response(200, &[of_type, ("content-length", &length)], ""),
            1 => response(200, &[of_type], ""),
            2 => response(405, &[], ""),
            3 => response(
                405,
                &[("docker-distribution-api-version", "registry/2.0")],
                "",
            ),
            4 => response(404, &[], ""),
            _ => response(501, &[], ""),
        };
        let (app, seen) = registry(head);
        for found in [
            app.head_manifest("v1").await.unwrap().unwrap(),
            app.resolve("v1").await.unwrap(),
        ] {
            assert_eq!(found.digest, digest, "{case}");
            assert_eq!(found.size, MANIFEST.len() as u64, "{case}");
            assert_eq!(found.media_type, MediaType::OCI_MANIFEST, "{case}");
        }
        assert!(app.delete_manifest("v1").await.unwrap(), "{case}");
        let (head, get) = (Method::HEAD, Method::GET);
        let expected = [&head, &get, &head, &get, &head, &get, &Method::DELETE];
        assert_eq!(seen.lock().unwrap().iter().collect::<Vec<_>>(), expected);
        let found = app.head_blob(&digest).await.unwrap().unwrap();
        assert_eq!(
            (found.digest, found.size),
            (digest.clone(), MANIFEST.len() as u64)
        );
    }
}

#[tokio::test]
async fn what_the_get_says_counts() {
    let refused = |status: u16, code: &'static str| {
        let app = over(move |request| {
            let body = format!(r#"{{"errors":[{{"code":"{code}","message":""}}]}}"#);
            match *request.method() {
                Method::HEAD => response(405, &[], ""),
                _ => response(status, &[], &body),
            }
        });
        async move {
            let error = app.resolve("v1").await.unwrap_err();
            let found = app.head_manifest("v1").await;
            match error.kind() {
                ErrorKind::NotFound => assert_eq!(found.unwrap(), None),
                kind => assert_eq!(found.unwrap_err().kind(), kind),
            }
            error
        }
    };
    for (status, code, kind) in [
        (405, "REGISTRY_DISALLOWED_OPERATION", ErrorKind::Disallowed),
        (404, "MANIFEST_UNKNOWN", ErrorKind::NotFound),
        (405, "UNSUPPORTED", ErrorKind::Unsupported),
    ] {
        let error = refused(status, code).await;
        assert_eq!(error.kind(), kind, "{}", text(&error));
        assert_eq!(error.operation(), Some("head_manifest"));
        assert_eq!(error.reference(), Some("v1"));
    }
}

#[tokio::test]
async fn a_manifest_that_is_not_the_one_asked_for_is_a_mismatch() {
    let (app, _) = registry(|| response(405, &[], ""));
    let error = app.head_manifest(Digest::sha256("other")).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{}", text(&error));
}
