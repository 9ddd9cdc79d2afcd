//! Responses that say "not here" without saying of what: a registry that lacks the API, a gateway, another
//! server. Who takes them for absence leaves behind what was to be deleted.

use std::sync::{Arc, Mutex};

use acr_client::transport::{Body, TransportError, TransportErrorKind, from_fn};
use acr_client::{Advice, Credential, Digest, Error, ErrorKind, RepositoryClient, RetryOptions};
use futures_util::future::BoxFuture;
use http::{Method, Response};

use crate::hostile::{over, response, seeded, text};

const JSON: (&str, &str) = ("content-type", "application/json");
const HTML: (&str, &str) = ("content-type", "text/html");
const MARK: (&str, &str) = ("docker-distribution-api-version", "registry/2.0");
const ABSENCE: [&str; 4] = [
    "TAG_UNKNOWN",
    "MANIFEST_UNKNOWN",
    "BLOB_UNKNOWN",
    "NAME_UNKNOWN",
];

fn envelope(code: &str) -> String {
    format!(r#"{{"errors":[{{"code":"{code}","message":"no"}}]}}"#)
}

/// A repository of which each request is refused in the same way.
fn refusing(
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: &str,
) -> RepositoryClient {
    let body = body.to_owned();
    over(move |request| {
        let body = match *request.method() {
            Method::HEAD => "",
            _ => body.as_str(),
        };
        response(status, headers, body)
    })
}

/// A delete and the codes by which a registry says that there was nothing to delete.
type Delete = fn(RepositoryClient) -> BoxFuture<'static, Result<bool, Error>>;
const DELETES: [(&str, Delete, &[&str]); 5] = [
    (
        "delete_tag",
        |app| Box::pin(async move { app.delete_tag("v1").await }),
        &["TAG_UNKNOWN", "NAME_UNKNOWN"],
    ),
    (
        "delete_manifest by digest",
        |app| Box::pin(async move { app.delete_manifest(Digest::sha256("x")).await }),
        &["MANIFEST_UNKNOWN", "NAME_UNKNOWN"],
    ),
    (
        "delete_manifest by tag",
        |app| Box::pin(async move { app.delete_manifest("v1").await }),
        // The tag is resolved by reading its manifest.
        &ABSENCE,
    ),
    (
        "delete_blob",
        |app| Box::pin(async move { app.delete_blob(Digest::sha256("x")).await }),
        &["BLOB_UNKNOWN", "NAME_UNKNOWN"],
    ),
    (
        "delete_repository",
        |app| Box::pin(async move { app.delete_repository().await.map(|gone| gone.is_some()) }),
        &["NAME_UNKNOWN"],
    ),
];

#[tokio::test]
async fn a_404_or_405_without_a_code_is_not_absence() {
    let page = "<html>blocked by gateway</html>";
    let bodies: [(&'static [(&str, &str)], String); 9] = [
        (&[HTML], page.to_owned()),
        (&[HTML], format!("{page}{}", " ".repeat(70_000))),
        (&[HTML, MARK], page.to_owned()),
        (&[], String::new()),
        (&[], "404 page not found\n".to_owned()),
        (&[JSON], r#"{"message":"no Route matched"}"#.to_owned()),
        (&[JSON], r#"{"errors":[]}"#.to_owned()),
        (&[JSON], envelope("UNSUPPORTED")),
        (&[JSON], envelope("METHOD_UNKNOWN")),
    ];
    for (headers, body) in bodies {
        for status in [404, 405] {
            for (name, delete, _) in DELETES {
                if headers.contains(&MARK) && name == "delete_manifest by tag" && status == 404 {
                    continue; // The HEAD is served as by a registry.
                }
                let error = delete(refusing(status, headers, &body)).await.unwrap_err();
                let what = format!("{name}: {status} {:.40} {}", body, text(&error));
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{what}");
                assert_eq!(error.advice(), Advice::Never, "{what}");
                assert_eq!(error.status().unwrap(), status, "{what}");
                if matches!(name, "delete_tag" | "delete_repository") {
                    assert!(what.contains("no ACR API here; list_tags"), "{what}");
                }
            }
        }
    }
}

#[tokio::test]
async fn only_a_code_of_the_thing_or_its_repository_is_absence() {
    for (name, delete, absence) in DELETES {
        for code in ABSENCE.iter().chain(&["NOT_FOUND", "DENIED", "UNKNOWN"]) {
            let outcome = delete(refusing(404, &[JSON], &envelope(code))).await;
            match outcome {
                Ok(was_there) => {
                    assert!(!was_there && absence.contains(code), "{name}: {code}");
                }
                Err(error) => {
                    assert!(!absence.contains(code), "{name}: {code} {}", text(&error));
                    assert_eq!(error.status().unwrap(), 404);
                }
            }
        }
    }
}

#[tokio::test]
async fn an_error_from_inside_the_transport_is_not_absence() {
    // A transport may make calls itself, to another registry.
    let other = refusing(404, &[JSON], &envelope("MANIFEST_UNKNOWN"));
    let transport = from_fn(move |_| {
        let other = other.clone();
        async move {
            let error = other.get_manifest("v1").await.unwrap_err();
            Err::<Response<Body>, _>(TransportError::new(TransportErrorKind::Other, error))
        }
    });
    let client = seeded::builder("https://r.example")
        .credential(Credential::anonymous())
        .transport(transport)
        .retry(RetryOptions::none())
        .build()
        .unwrap();
    let app = client.repository_client("app").unwrap();
    for (name, delete, _) in DELETES {
        let error = delete(app.clone()).await.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::NotFound,
            "{name}: {}",
            text(&error)
        );
    }
    let listed = app.list_referrers(Digest::sha256("x")).collect_all().await;
    assert!(listed.is_err(), "{listed:?}");
}

#[tokio::test]
async fn an_error_that_comes_with_a_good_status_is_no_content() {
    for status in [200, 202] {
        for body in [
            envelope("UNAUTHORIZED"),
            " {\n \"errors\" : [{\"message\":\"no\"}]}".to_owned(),
        ] {
            let app = over(move |_| response(status, &[JSON], &body));
            let digest = Digest::sha256("x");
            let outcomes: [(&str, Result<(), Error>); 9] = [
                ("list_tags", app.list_tags().collect_all().await.map(drop)),
                (
                    "list_tag_properties",
                    app.list_tag_properties().collect_all().await.map(drop),
                ),
                (
                    "list_manifest_properties",
                    app.list_manifest_properties().collect_all().await.map(drop),
                ),
                (
                    "list_referrers",
                    app.list_referrers(&digest).collect_all().await.map(drop),
                ),
                (
                    "get_tag_properties",
                    app.get_tag_properties("v1").await.map(drop),
                ),
                (
                    "get_manifest_properties",
                    app.get_manifest_properties(&digest).await.map(drop),
                ),
                (
                    "get_repository_properties",
                    app.get_repository_properties().await.map(drop),
                ),
                ("get_manifest", app.get_manifest("v1").await.map(drop)),
                ("delete_repository", app.delete_repository().await.map(drop)),
            ];
            for (name, outcome) in outcomes {
                let error = outcome.expect_err(name);
                assert_eq!(
                    error.kind(),
                    ErrorKind::Protocol,
                    "{name}: {}",
                    text(&error)
                );
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_that_breaks_on_the_way_is_a_transport_error() {
    let app = over(|_| {
        let mut cut = response(404, &[JSON, ("content-length", "90")], "");
        *cut.body_mut() = Body::bytes(r#"{"errors":[{"code":"TAG_UNK"#);
        cut
    });
    let error = app.delete_tag("v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{}", text(&error));
}

#[tokio::test]
async fn a_presence_check_believes_a_head_that_a_registry_serves_and_asks_by_get_otherwise() {
    let digest = Digest::sha256("x");
    // The response to HEAD, the response to GET, and what they mean.
    for (head, get, kind, requests) in [
        (
            &[MARK][..],
            envelope("MANIFEST_UNKNOWN"),
            ErrorKind::NotFound,
            1,
        ),
        (
            &[JSON],
            envelope("MANIFEST_UNKNOWN"),
            ErrorKind::NotFound,
            2,
        ),
        (&[], envelope("BLOB_UNKNOWN"), ErrorKind::NotFound, 2),
        (&[HTML], "<html>".to_owned(), ErrorKind::Unsupported, 2),
        (
            &[JSON],
            r#"{"message":"no Route"}"#.to_owned(),
            ErrorKind::Unsupported,
            2,
        ),
    ] {
        let seen = Arc::new(Mutex::new(0));
        let app = over({
            let (seen, get) = (seen.clone(), get.clone());
            move |request| {
                *seen.lock().unwrap() += 1;
                match *request.method() {
                    Method::HEAD => response(404, head, ""),
                    _ => response(404, &[], &get),
                }
            }
        });
        let error = app.resolve(&digest).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{head:?}: {}", text(&error));
        assert_eq!(error.operation(), Some("head_manifest"));
        for found in [app.head_manifest("v1").await, app.head_blob(&digest).await] {
            match found {
                Ok(found) => assert_eq!((found, kind), (None, ErrorKind::NotFound), "{head:?}"),
                Err(error) => {
                    assert_ne!(kind, ErrorKind::NotFound);
                    assert_eq!(error.kind(), kind, "{head:?}: {}", text(&error));
                    assert!(error.operation().unwrap().starts_with("head_"), "{error}");
                }
            }
        }
        assert_eq!(*seen.lock().unwrap(), 3 * requests, "{head:?}");
    }
}

#[tokio::test]
async fn a_page_that_responds_to_every_head_is_no_content() {
    let app = over(|_| response(200, &[HTML, ("content-length", "6")], "<html>"));
    let digest = Digest::sha256("x");
    for error in [
        app.head_manifest(&digest).await.unwrap_err(),
        app.head_manifest("v1").await.unwrap_err(),
        app.head_blob(&digest).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Protocol, "{}", text(&error));
    }
}

/// A registry that responds so for referrers, and so for their fallback tag.
fn without_referrers(
    list: fn() -> Response<Body>,
    tag: fn() -> Response<Body>,
) -> RepositoryClient {
    over(move |request| {
        let path = request.uri().path();
        if path.contains("/referrers/") {
            list()
        } else {
            tag()
        }
    })
}

#[tokio::test]
async fn referrers_are_none_only_where_a_registry_says_so() {
    let page: fn() -> Response<Body> = || response(404, &[HTML], "<html>");
    let unknown: fn() -> Response<Body> = || response(404, &[JSON], &envelope("MANIFEST_UNKNOWN"));
    for lacking in [page, unknown, || {
        response(405, &[JSON], &envelope("UNSUPPORTED"))
    }] {
        let app = without_referrers(lacking, unknown);
        let listed = app.list_referrers(Digest::sha256("x")).collect_all().await;
        assert_eq!(listed.unwrap(), []);
        let app = without_referrers(lacking, page);
        let listed = app.list_referrers(Digest::sha256("x")).collect_all().await;
        assert_eq!(listed.unwrap_err().kind(), ErrorKind::Unsupported);
    }
}

#[tokio::test]
async fn a_ping_that_is_refused_is_not_told_as_a_token_that_is() {
    for (status, kind) in [
        (400, ErrorKind::Registry),
        (404, ErrorKind::Unsupported),
        (503, ErrorKind::Registry),
    ] {
        let transport = from_fn(move |_| std::future::ready(response(status, &[HTML], "no")));
        let client = crate::seeded::builder("https://r.example")
            .credential(Credential::anonymous())
            .transport(transport)
            .retry(RetryOptions::none())
            .build()
            .unwrap();
        let error = client.ping().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{}", text(&error));
        assert!(!text(&error).contains("token"), "{}", text(&error));
    }
}
