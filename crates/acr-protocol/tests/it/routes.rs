//! A request that is built is read back as the same operation, and a path that is none is told apart as the service does.

use crate::support;

use std::collections::BTreeSet;

use acr_protocol::auth::{Grant, RequestAccessToken};
use acr_protocol::{Digest, Route, RouteError};
use bytes::Bytes;
use http::{Method, Request};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use support::operations::{operations, request};
use support::{config, for_all, odd_text, repository_name};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Reads a request back, and holds what the head alone says against what the whole says.
fn read_back(request: Request<Bytes>) -> Result<Route, TestCaseError> {
    let (head, body) = request.into_parts();
    let from_head = Route::parse(&head).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert!(from_head.has_small_body() || body.is_empty());
    let whole = from_head.clone().with_body(body);
    let whole = whole.map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(whole.name(), from_head.name());
    prop_assert_eq!(whole.scope(), from_head.scope());
    prop_assert_eq!(whole.repository(), from_head.repository());
    Ok(whole)
}

/// The same request with another path.
fn with_path(mut request: Request<Bytes>, path: &str) -> Request<Bytes> {
    let query = request.uri().query().map(|query| format!("?{query}"));
    let query = query.unwrap_or_default();
    *request.uri_mut() = format!("{path}{query}")
        .parse()
        .expect("an escaped path is a path");
    request
}

#[test]
fn every_operation_is_covered() {
    let mut runner = TestRunner::new(config(1));
    let covered: Vec<_> = operations()
        .iter()
        .map(|operation| {
            operation
                .new_tree(&mut runner)
                .expect("a value")
                .current()
                .name()
        })
        .collect();
    assert_eq!(covered.len(), Route::NAMES.len());
    assert_eq!(
        covered.iter().copied().collect::<BTreeSet<_>>(),
        Route::NAMES.iter().copied().collect()
    );
}

#[test]
fn every_request_is_read_back_as_its_operation() {
    for operation in operations() {
        for_all(200, &operation, |route| {
            prop_assert_eq!(read_back(request(&route))?, route);
            Ok(())
        });
    }
}

#[test]
fn an_escaped_path_is_the_same_path() {
    for operation in operations() {
        for_all(60, &operation, |route| {
            let plain = request(&route);
            let path = plain.uri().path().to_owned();
            // The location of an upload is opaque, so its spelling is part of it.
            let is_upload = route.name().contains("upload") && route.name() != "start_upload";
            let mut spellings = vec![path.replace(':', "%3A"), path.replace(':', "%3a")];
            if let (Some(name), false) = (route.repository(), is_upload) {
                for slash in ["%2F", "%2f"] {
                    let escaped =
                        path.replacen(name.as_str(), &name.as_str().replace('/', slash), 1);
                    spellings.push(escaped.replace(':', "%3A"));
                    spellings.push(escaped);
                }
                spellings.push(path.replacen(name.as_str(), &name.as_str().replace('a', "%61"), 1));
            }
            for spelling in spellings {
                prop_assert_eq!(&read_back(with_path(plain.clone(), &spelling))?, &route);
            }
            Ok(())
        });
    }
}

#[test]
fn the_host_and_further_parameters_of_a_request_mean_nothing() {
    for operation in operations() {
        for_all(20, &operation, |route| {
            let mut request = request(&route);
            let separator = if request.uri().query().is_some() {
                "&"
            } else {
                "?"
            };
            let is_upload = route.name().contains("upload") && route.name() != "start_upload";
            let further = if is_upload {
                String::new()
            } else {
                format!("{separator}unknown=1")
            };
            let absolute = format!("https://r.azurecr.io{}{further}", request.uri());
            *request.uri_mut() = absolute.parse().expect("a URL");
            prop_assert_eq!(read_back(request)?, route);
            Ok(())
        });
    }
}

#[test]
fn no_path_or_query_makes_the_parser_panic() {
    let pieces = proptest::collection::vec(
        prop_oneof![
            odd_text(),
            repository_name().prop_map(|name| name.to_string()),
            proptest::sample::select(
                &[
                    "v2",
                    "acr",
                    "v1",
                    "_tags",
                    "_manifests",
                    "_catalog",
                    "blobs",
                    "uploads",
                    "tags",
                    "list",
                    "manifests",
                    "referrers",
                    "oauth2",
                    "token",
                    "exchange",
                    "",
                    DIGEST
                ][..]
            )
            .prop_map(str::to_owned),
        ],
        0..7,
    );
    let methods = proptest::sample::select(vec![
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::POST,
        Method::PATCH,
        Method::DELETE,
    ]);
    let query = "([a-z]{1,8}|n|last|digest|mount|from|tag|artifactType|scope)(=[!-~]{0,12})?(&(n|last|digest|mount|from|tag)=[!-~]{0,12}){0,3}";
    for_all(
        2000,
        &(methods, pieces, query, odd_text()),
        |(method, pieces, query, header)| {
            let Ok(mut request) = Request::builder()
                .method(method)
                .uri(format!("/{}?{query}", pieces.join("/")))
                .body(Bytes::new())
            else {
                // Not a URI at all: no server gets to see it.
                return Ok(());
            };
            if let Ok(value) = http::HeaderValue::from_bytes(header.as_bytes()) {
                for name in [
                    "range",
                    "content-range",
                    "content-type",
                    "accept",
                    "authorization",
                ] {
                    request.headers_mut().insert(name, value.clone());
                }
            }
            let (head, _) = request.into_parts();
            if let Ok(route) = Route::parse(&head) {
                let _refused_or_read = route.with_body(Bytes::from(header));
            }
            Ok(())
        },
    );
}

fn parse(method: Method, uri: &str) -> Result<Route, RouteError> {
    parse_with(method, uri, &[])
}

fn parse_with(method: Method, uri: &str, headers: &[(&str, &str)]) -> Result<Route, RouteError> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Route::parse(&request.body(()).expect("a request").into_parts().0)
}

#[test]
fn what_fits_no_grammar_is_the_plain_404() {
    use Method as M;
    for (method, uri) in [
        (M::GET, "/v2/a/blobs/wrong%20digest"),
        (M::HEAD, "/v2/a/blobs/wrong%20digest"),
        (M::DELETE, "/v2/a/blobs/wrong%20digest"),
        (M::POST, "/v2/wrong%20name/blobs/uploads/"),
        (M::GET, "/v2/a/manifests/sha256:totallywrong"),
        (M::DELETE, "/v2/a/manifests/sha256:totallywrong"),
        (M::GET, "/v2/a/manifests/.INVALID_MANIFEST_NAME"),
        (M::GET, "/v2/a/manifests/"),
        (M::GET, "/v2/a/manifests"),
        (M::GET, "/v2/a/manifests/v1/"),
        (M::GET, "/v2/a/referrers/v1"),
        (M::GET, "/v2/A/tags/list"),
        (M::GET, "/v2/a//tags/list"),
        (M::GET, "/v2//tags/list"),
        (M::GET, "/v2/tags/list"),
        (M::GET, "/v2/a"),
        (M::GET, "/v2//"),
        (M::PATCH, "/v2/a/blobs/uploads/x%20y"),
        (M::GET, "/v2/a/%2e%2e/manifests/v1"),
        (M::GET, "/v2/a/manifests/..%2f..%2fb"),
        (M::GET, "/v2/a/manifests/%ff"),
        (M::GET, "/v2/a/manifests/%zz"),
        (M::GET, "/v2/a%252Fb/manifests/v1"),
        (M::GET, "/acr/v1/a/_manifests/wrong-digest"),
        (M::GET, "/acr/v1/a/_manifests/v1"),
        (M::GET, "/acr/v1/Nonexistent/_tags/v1"),
        (M::DELETE, "/acr/v1/missingRepo"),
        (M::GET, "/acr/v1/a/_tags/.x"),
        (M::GET, "/acr/v1/a/_tags/"),
        (M::GET, "/acr/v1/a/_tags/a/b"),
        (M::GET, "/acr/v1/a/_unknown"),
        (M::GET, "/acr/v1/a/"),
        (M::GET, "/acr/v1/"),
        (M::GET, "/acr/v1/_tags"),
        (M::GET, "/acr/v1/_catalog/x"),
    ] {
        assert_eq!(
            parse(method.clone(), uri),
            Err(RouteError::Malformed),
            "{method} {uri}"
        );
    }
    // A digest-like word without a colon is a tag, and so an operation.
    assert_eq!(
        parse(M::GET, "/v2/a/manifests/wrong-tag").unwrap().name(),
        "get_manifest"
    );
    assert_eq!(
        parse(M::DELETE, "/v2/a/manifests/wrong-tag")
            .unwrap()
            .name(),
        "delete_manifest"
    );
    assert_eq!(
        parse(M::GET, "/acr/v1/a/_tags/sha256").unwrap().name(),
        "get_tag_properties"
    );
}

#[test]
fn what_is_outside_the_api_is_told_apart() {
    for uri in [
        "/",
        "/wrong%20location",
        "/v1/a",
        "/v2x",
        "/v2x/a/tags/list",
        "/acr",
        "/acr/v1",
        "/acr/v2/a",
        "/oauth2",
        "/oauth2/",
        "/oauth2/token/",
        "/oauth2/other",
        "/V2/",
        "//v2/",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            assert_eq!(parse(method, uri), Err(RouteError::UnknownPath), "{uri}");
        }
    }
    assert_eq!(parse(Method::GET, "/v2").unwrap().name(), "ping");
    assert_eq!(parse(Method::OPTIONS, "*"), Err(RouteError::UnknownPath));
}

#[test]
fn a_method_that_does_not_fit_names_those_that_do() {
    use Method as M;
    let digest = DIGEST;
    for (method, uri, fitting) in [
        (M::POST, "/v2/".to_owned(), vec![M::GET]),
        (M::PUT, "/v2/_catalog".into(), vec![M::GET]),
        (M::POST, "/acr/v1/_catalog".into(), vec![M::GET]),
        (
            M::POST,
            "/acr/v1/a".into(),
            vec![M::GET, M::PATCH, M::DELETE],
        ),
        (M::PUT, "/acr/v1/a/_tags".into(), vec![M::GET]),
        (
            M::PUT,
            "/acr/v1/a/_tags/v1".into(),
            vec![M::GET, M::PATCH, M::DELETE],
        ),
        (M::DELETE, "/acr/v1/a/_manifests".into(), vec![M::GET]),
        (
            M::DELETE,
            format!("/acr/v1/a/_manifests/{digest}"),
            vec![M::GET, M::PATCH],
        ),
        (M::POST, "/v2/a/tags/list".into(), vec![M::GET]),
        (
            M::PATCH,
            "/v2/a/manifests/v1".into(),
            vec![M::GET, M::HEAD, M::PUT, M::DELETE],
        ),
        (
            M::PUT,
            format!("/v2/a/blobs/{digest}"),
            vec![M::GET, M::HEAD, M::DELETE],
        ),
        (M::HEAD, format!("/v2/a/referrers/{digest}"), vec![M::GET]),
        (M::GET, "/v2/a/blobs/uploads/".into(), vec![M::POST]),
        (
            M::POST,
            "/v2/a/blobs/uploads/x".into(),
            vec![M::GET, M::PATCH, M::PUT, M::DELETE],
        ),
        (M::GET, "/oauth2/exchange".into(), vec![M::POST]),
        (M::PUT, "/oauth2/token".into(), vec![M::GET, M::POST]),
    ] {
        let Err(RouteError::MethodNotAllowed { allowed }) = parse(method, &uri) else {
            panic!("{uri}")
        };
        assert_eq!(allowed, fitting, "{uri}");
        for method in fitting {
            assert!(parse(method, &uri).is_ok(), "{uri}");
        }
    }
}

#[test]
fn a_malformed_parameter_leaves_the_operation_so_that_its_scope_can_be_asked_for() {
    use Method as M;
    for (method, uri, parameter, name) in [
        (M::GET, "/acr/v1/_catalog?n=x", "n", "list_repository_names"),
        (M::GET, "/v2/_catalog?n=-1", "n", "list_repositories"),
        (M::GET, "/v2/a/tags/list?n=%2B5", "n", "list_tags"),
        (
            M::GET,
            "/acr/v1/a/_tags?digest=v1",
            "digest",
            "list_tag_properties",
        ),
        (
            M::GET,
            "/acr/v1/a/_manifests?n=1.5",
            "n",
            "list_manifest_properties",
        ),
        (
            M::PUT,
            "/v2/a/manifests/v1?tag=ok&tag=.x",
            "tag",
            "set_manifest",
        ),
        (
            M::POST,
            "/v2/a/blobs/uploads/?mount=sha256:x&from=b",
            "mount",
            "start_upload",
        ),
        (
            M::PUT,
            "/v2/a/blobs/uploads/u?_state=s&digest=sha256:00000000",
            "digest",
            "complete_upload",
        ),
        (
            M::POST,
            "/v2/a/blobs/uploads/?digest=x",
            "digest",
            "start_upload",
        ),
    ] {
        match parse(method, uri) {
            Err(RouteError::Invalid {
                route,
                parameter: found,
                ..
            }) => {
                assert_eq!((found, route.name()), (parameter, name), "{uri}");
                assert!(!route.scope().is_empty());
            }
            other => panic!("{uri}: {other:?}"),
        }
    }
    let uri = format!("/v2/a/blobs/uploads/?mount={DIGEST}&from=Wrong");
    let Err(RouteError::Invalid {
        parameter, value, ..
    }) = parse(M::POST, &uri)
    else {
        panic!()
    };
    assert_eq!((parameter, value.as_str()), ("from", "Wrong"));
}

#[test]
fn a_malformed_chunk_range_is_told_with_its_text() {
    for range in [
        "-1--1",
        "bytes 0-1/2",
        "bytes=0-1",
        "2-1",
        "0-",
        "",
        "0-18446744073709551616",
    ] {
        for method in [Method::PATCH, Method::PUT] {
            let parsed = parse_with(
                method,
                "/v2/a/blobs/uploads/u?_state=s",
                &[("content-range", range)],
            );
            let Err(RouteError::Invalid {
                parameter, value, ..
            }) = parsed
            else {
                panic!("{range}")
            };
            assert_eq!((parameter, value.as_str()), ("content-range", range));
        }
    }
    let bytes = parse_with(
        Method::PATCH,
        "/v2/a/blobs/uploads/u",
        &[("content-range", "0-\u{e4}")],
    );
    assert!(
        matches!(bytes, Err(RouteError::Invalid { .. })),
        "{bytes:?}"
    );
}

#[test]
fn a_page_size_beyond_our_numbers_is_the_largest() {
    let Ok(Route::ListTags(list)) = parse(Method::GET, "/v2/a/tags/list?n=99999999999999999999")
    else {
        panic!()
    };
    assert_eq!(list.query.page_size, Some(u32::MAX));
}

#[test]
fn empty_parameters_count_as_missing() {
    let Ok(Route::ListTagProperties(list)) =
        parse(Method::GET, "/acr/v1/a/_tags?last=&n=&orderby=&digest=")
    else {
        panic!()
    };
    assert_eq!((list.query, list.digest), (Default::default(), None));
    let Ok(Route::StartUpload(start)) =
        parse(Method::POST, "/v2/a/blobs/uploads/?mount=&from=&digest=")
    else {
        panic!()
    };
    assert_eq!(start.digest, None);
}

#[test]
fn a_mount_without_a_source_is_still_a_mount() {
    let uri = format!("/v2/a/blobs/uploads/?mount={DIGEST}");
    let Ok(Route::MountBlob(mount)) = parse(Method::POST, &uri) else {
        panic!()
    };
    assert_eq!(
        (mount.digest, mount.from),
        (Digest::new(DIGEST).unwrap(), None)
    );
}

#[test]
fn a_range_that_is_malformed_or_of_several_parts_is_passed_over() {
    let uri = format!("/v2/a/blobs/{DIGEST}");
    for (range, read) in [
        ("bytes=0-999", true),
        ("bytes=0-1,5-6", false),
        ("lines=0-1", false),
        ("bytes=a-b", false),
    ] {
        let Ok(Route::GetBlob(get)) = parse_with(Method::GET, &uri, &[("range", range)]) else {
            panic!()
        };
        assert_eq!(get.range.is_some(), read, "{range}");
    }
}

#[test]
fn a_body_that_is_no_change_of_locks_is_refused() {
    for uri in [
        "/acr/v1/a".to_owned(),
        "/acr/v1/a/_tags/v".into(),
        format!("/acr/v1/a/_manifests/{DIGEST}"),
    ] {
        for body in ["", "[", "7", r#"{"writeEnabled":"no"}"#] {
            let route = parse(Method::PATCH, &uri).unwrap();
            let error = route
                .with_body(Bytes::from_static(body.as_bytes()))
                .unwrap_err();
            assert!(
                error.to_string().contains("changeable attributes"),
                "{error}"
            );
        }
        let route = parse(Method::PATCH, &uri).unwrap();
        let body = Bytes::from_static(br#"{"quarantineState":"Passed","writeEnabled":null}"#);
        assert!(route.with_body(body).is_ok());
    }
}

#[test]
fn a_token_form_is_read_as_the_service_reads_it() {
    let read = |form: &'static str| {
        let route = parse(Method::POST, "/oauth2/token").unwrap();
        match route.with_body(Bytes::from_static(form.as_bytes())) {
            Ok(Route::RequestAccessToken(request)) => request,
            other => panic!("{other:?}"),
        }
    };
    let anonymous = RequestAccessToken {
        service: "r.azurecr.io".into(),
        scope: "repository:a:pull".parse().unwrap(),
        grant: Grant::Anonymous,
    };
    // The official SDKs send an empty refresh token along, or none.
    for form in [
        "grant_type=password&service=r.azurecr.io&scope=repository%3Aa%3Apull",
        "grant_type=password&service=r.azurecr.io&scope=repository%3Aa%3Apull&refresh_token=",
        "scope=repository:a:pull&username=&grant_type=password&service=r.azurecr.io",
    ] {
        assert_eq!(read(form), anonymous, "{form}");
    }
    assert_eq!(read("").grant, Grant::Other(String::new()));
    assert_eq!(
        read("grant_type=refresh_token&refresh_token=x&scope=repository:a:pull&scope=repository:b:pull").scope,
        read("scope=repository:b:pull+repository:a:pull").scope
    );
}
