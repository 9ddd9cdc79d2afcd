//! Requests that no well-behaved client sends: each gets the response of the service, or a clear one that was chosen.

use futures_util::FutureExt as _;
use http::{Method, Request};
use http_body_util::{BodyExt as _, StreamBody};

use crate::raw::support::{OCI_INDEX, OCI_MANIFEST, PULL, PUSH, READ, Raw, WRITE, nowhere};

#[test]
fn what_matches_no_grammar_is_a_plain_404_before_any_challenge() {
    let raw = Raw::new();
    let hex = "0".repeat(64);
    let long_tag = "t".repeat(129);
    for line in [
        // Recorded.
        "GET /v2/app/blobs/wrong%20digest",
        "DELETE /v2/app/blobs/wrong%20digest",
        "POST /v2/wrong%20name/blobs/uploads/?from=wrong+from&mount=wrong+mount",
        "GET /v2/app/manifests/sha256:totallywrong",
        "GET /v2/app/manifests/.INVALID_MANIFEST_NAME",
        "GET /acr/v1/app/_manifests/wrong-digest",
        "GET /acr/v1/Nonexistent/_tags/v1",
        "DELETE /acr/v1/missingRepo",
        // Of the same kind.
        "GET /acr/v1/App",
        "GET /acr/v1/a//b",
        "GET /acr/v1/a/",
        "GET /acr/v1/%2Fa",
        "GET /acr/v1/a%2F%2Fb/_tags",
        "GET /acr/v1/..%2Fb",
        "GET /acr/v1/a/../b",
        "GET /acr/v1/-a",
        "GET /acr/v1/a_",
        "GET /acr/v1/a___b",
        "GET /acr/v1/caf%C3%A9",
        "GET /acr/v1/a%00",
        "GET /acr/v1/a%zz",
        "GET /acr/v1/%ff%fe",
        "GET /acr/v1/app/_unknown",
        "GET /acr/v1/app/_tags/",
        "GET /acr/v1/app/_tags/.v1",
        "GET /acr/v1/app/_tags/a%2Fb",
        "GET /acr/v1/app/_tags/a%20b",
        &format!("GET /acr/v1/app/_tags/{long_tag}"),
        &format!("GET /v2/app/manifests/{long_tag}"),
        &format!("GET /v2/app/manifests/sha256:{}", &hex[1..]),
        &format!("GET /v2/app/manifests/sha256:{hex}0"),
        &format!("GET /v2/app/manifests/sha256:{}", "A".repeat(64)),
        &format!("PUT /v2/app/manifests/:{hex}"),
        &format!("GET /v2/app/blobs/{hex}"),
        &format!("GET /v2/app/blobs/sha256:{hex}/"),
        "GET /v2/app/referrers/v1",
        "GET /v2/App/tags/list",
        "GET /v2/app",
        "GET /v2/app/",
        "GET /v2//manifests/v1",
        "GET /v2/app/unknown/v1",
        "GET /v2/app/blobs/uploads/a%20b",
        &format!("GET /v2/{}/tags/list", "a".repeat(300)),
    ] {
        raw.line(line).expect_not_routed();
        // A token changes nothing.
        raw.line(line).scope(PUSH).expect_not_routed();
    }
}

#[test]
fn a_head_of_what_matches_no_grammar_has_the_length_and_not_the_body() {
    let raw = Raw::new();
    for path in [
        "/v2/app/blobs/wrong%20digest",
        "/v2/app/manifests/.INVALID_MANIFEST_NAME",
    ] {
        let response = raw.head(path).expect(404);
        assert!(response.body.is_empty());
        response.expect_header("content-length", "19");
        response.expect_header("content-type", "text/plain; charset=utf-8");
    }
}

#[test]
fn a_word_like_a_digest_is_a_legal_tag() {
    let raw = Raw::new();
    for path in [
        "/v2/app/manifests/wrong-tag",
        "/v2/app/manifests/sha256",
        "/acr/v1/app/_tags/wrong-digest",
    ] {
        raw.get(path).expect(401);
    }
    raw.get(format!("/v2/app/manifests/{}", "t".repeat(128)))
        .expect(401);
}

#[test]
fn a_path_outside_the_api_is_served_in_front_of_the_registry() {
    let raw = Raw::new();
    for path in [
        "/wrong%20location",
        "/",
        "/v1/",
        "/acr/v2/app",
        "/acr/v1",
        "/v2x",
        "/V2/",
        "/oauth2/",
        "/oauth2/token/",
    ] {
        let response = raw.get(path).expect(404);
        assert_eq!(response.text(), "Not found", "{path}");
        response.expect_header("content-type", "application/octet-stream");
        response.expect_header("content-length", "9");
        // Beside these only what the front says everywhere, and once (recorded).
        let transport = "max-age=31536000; includeSubDomains";
        response.expect_header("strict-transport-security", transport);
        response.expect_header("server", "AzureContainerRegistry");
        assert_eq!(response.headers.len(), 4, "{path}: {:?}", response.headers);
    }
}

#[test]
fn a_known_path_with_a_wrong_method_is_405_and_says_which_are_right() {
    // Chosen: the service's response is not known.
    let raw = Raw::new();
    let digest = nowhere();
    for (line, allow) in [
        ("POST /v2/", "GET"),
        ("DELETE /acr/v1/_catalog", "GET"),
        ("PUT /v2/_catalog", "GET"),
        ("POST /acr/v1/app", "GET, PATCH, DELETE"),
        ("PATCH /acr/v1/app/_tags", "GET"),
        ("PUT /acr/v1/app/_tags/v1", "GET, PATCH, DELETE"),
        ("DELETE /acr/v1/app/_manifests", "GET"),
        (
            &format!("DELETE /acr/v1/app/_manifests/{digest}"),
            "GET, PATCH",
        ),
        ("POST /v2/app/tags/list", "GET"),
        ("POST /v2/app/manifests/v1", "GET, HEAD, PUT, DELETE"),
        (
            &format!("PATCH /v2/app/blobs/{digest}"),
            "GET, HEAD, DELETE",
        ),
        (&format!("HEAD /v2/app/referrers/{digest}"), "GET"),
        ("GET /v2/app/blobs/uploads/", "POST"),
        (
            "POST /v2/app/blobs/uploads/some-id",
            "GET, PATCH, PUT, DELETE",
        ),
        ("OPTIONS /v2/", "GET"),
        ("PURGE /acr/v1/app", "GET, PATCH, DELETE"),
    ] {
        let response = raw.line(line).expect(405);
        response.expect_header("allow", allow);
        if !line.starts_with("HEAD") {
            response.has_code("UNSUPPORTED");
        }
        assert!(!response.has("www-authenticate"));
    }
}

#[test]
fn a_parameter_that_is_malformed_is_named_after_the_credentials_were_good() {
    // Chosen: the service's responses are not known.
    let raw = Raw::new();
    raw.push_image("app", "v1");
    for (ask, scope, code) in [
        (
            raw.get("/acr/v1/app/_tags?digest=wrong"),
            READ,
            "DIGEST_INVALID",
        ),
        (
            raw.post("/v2/app/blobs/uploads/?digest=wrong"),
            PUSH,
            "DIGEST_INVALID",
        ),
        (
            raw.post("/v2/app/blobs/uploads/?mount=wrong"),
            PUSH,
            "DIGEST_INVALID",
        ),
    ] {
        let response = ask.scope(scope).expect(400);
        response.has_code(code);
    }
    let from = raw
        .post(format!(
            "/v2/app/blobs/uploads/?from=Wrong&mount={}",
            nowhere()
        ))
        .scope(PUSH)
        .send();
    from.expect_code(400, "NAME_INVALID");
}

#[test]
fn odd_queries_and_headers_break_nothing() {
    let raw = Raw::new();
    raw.push_image("app", "v1");
    let long = "x".repeat(20_000);
    for query in [
        "&&&",
        "=",
        "n",
        "last=%ff%fe",
        "last=%00",
        "orderby=%zz",
        "api-version=1999-01-01",
        "n=1&n=x",
        &format!("last={long}"),
    ] {
        raw.get(format!("/acr/v1/app/_tags?{query}"))
            .scope(READ)
            .expect(200);
    }
    for value in [
        "Bearer",
        "Bearer ",
        "bearer  x",
        "Basic",
        "Basic !!!",
        "Basic YQ==",
        "Digest x=y",
        "",
        ",",
        "\u{7f}\u{80}",
    ] {
        let value = value.trim_end_matches(['\u{7f}', '\u{80}']);
        raw.get("/acr/v1/app")
            .header("authorization", value)
            .expect(401);
    }
    // Bytes that are not text.
    let request = Request::get("https://mock.azurecr.io/acr/v1/app")
        .header(
            "authorization",
            http::HeaderValue::from_bytes(b"Bearer \xff\xfe").unwrap(),
        )
        .body(String::new())
        .unwrap();
    assert_eq!(
        raw.registry
            .handle(request)
            .now_or_never()
            .unwrap()
            .status(),
        401
    );
    // The scheme's name may be written in any case.
    let token = raw.token(READ);
    raw.get("/acr/v1/app")
        .header("authorization", &format!("bearer {token}"))
        .expect(200);
}

#[test]
fn a_request_without_a_host_is_served_under_the_mock_s_own_name() {
    let raw = Raw::new();
    let request = Request::get("/v2/").body(String::new()).unwrap();
    let response = raw.registry.handle(request).now_or_never().unwrap();
    let challenge = response.headers()["www-authenticate"].to_str().unwrap();
    assert!(
        challenge.contains("https://mock.azurecr.io/oauth2/token"),
        "{challenge}"
    );
}

#[test]
fn a_body_that_breaks_off_is_refused_and_leaves_nothing() {
    let raw = Raw::new();
    let token = raw.token(PUSH);
    let begun = raw.post("/v2/app/blobs/uploads/").bearer(&token).send();
    let begun = begun.header("location").to_owned();
    for (method, path, content_type) in [
        (Method::PATCH, begun.clone(), "application/octet-stream"),
        (
            Method::PUT,
            format!("{begun}&digest={}", crate::raw::support::digest(b"begin")),
            "application/octet-stream",
        ),
        (
            Method::POST,
            format!(
                "/v2/app/blobs/uploads/?digest={}",
                crate::raw::support::digest(b"begin")
            ),
            "application/octet-stream",
        ),
        (Method::PUT, "/v2/app/manifests/v1".to_owned(), OCI_MANIFEST),
    ] {
        let frames = [
            Ok(http_body::Frame::data(bytes::Bytes::from_static(b"begin"))),
            Err(std::io::Error::other("hung up")),
        ];
        let request = Request::builder()
            .method(method.clone())
            .uri(format!("https://mock.azurecr.io{path}"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", content_type)
            .body(StreamBody::new(futures_util::stream::iter(frames)))
            .unwrap();
        let response = raw.registry.handle(request).now_or_never().unwrap();
        assert_eq!(response.status(), 400, "{method} {path}");
        let body = response.into_body().collect().now_or_never().unwrap();
        let body = body.unwrap().to_bytes();
        assert!(
            body.starts_with(br#"{"errors":[{"code":"SIZE_INVALID""#),
            "{body:?}"
        );
    }
    let status = raw.get(&begun).scope(PULL).expect(204);
    status.expect_header("range", "0-0");
    raw.patch(&begun)
        .bearer(&token)
        .body(&b"whole"[..])
        .expect(202);
    let blob = format!("/v2/app/blobs/{}", crate::raw::support::digest(b"begin"));
    raw.head(blob).scope(PULL).expect(404);
}

#[test]
fn a_body_over_what_an_update_can_need_is_refused() {
    // Chosen.
    let raw = Raw::new();
    raw.push_image("app", "v1");
    let long = format!("{{\"x\":\"{}\"}}", "y".repeat(300 * 1024));
    raw.patch("/acr/v1/app").scope(WRITE).body(long).expect(413);
}

#[test]
fn a_manifest_nested_beyond_reason_is_refused_and_breaks_nothing() {
    let raw = Raw::new();
    let nested = format!(
        "{{\"mediaType\":\"{OCI_MANIFEST}\",\"x\":{}",
        "[".repeat(100_000)
    );
    let response = raw.set_manifest("v1", OCI_MANIFEST, nested).send();
    response.expect_code(400, "MANIFEST_INVALID");
}

#[test]
fn what_nobody_knows_of_a_manifest_is_passed_over_and_makes_no_tree() {
    let raw = Raw::new();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (unknown, status) in [
        (deep.as_str(), 201),
        // What is passed over has to be JSON all the same.
        (&deep[1..], 400),
        ("\"\u{1}\"", 400),
        ("1, \"mediaType\":7", 400),
        // Readers differ in which of the two they take.
        ("1, \"manifests\":[]", 400),
        ("null", 201),
    ] {
        let index = format!("{{\"mediaType\":\"{OCI_INDEX}\",\"manifests\":[],\"x\":{unknown}}}");
        let index = match unknown.contains("mediaType") {
            true => index.replacen(&format!("\"mediaType\":\"{OCI_INDEX}\","), "", 1),
            false => index,
        };
        raw.set_manifest("v1", OCI_INDEX, index).expect(status);
    }
    for no_object in ["[2,null,null,[]]", "[]", "null", "", " "] {
        raw.set_manifest("v1", OCI_INDEX, no_object).expect(400);
    }
    raw.set_manifest("v1", OCI_INDEX, &b"{\"manifests\":[],\"x\":\"\xff\"}"[..])
        .expect(400);
}

#[test]
fn no_secret_is_in_a_response_or_in_debug() {
    let raw = Raw::with(|builder| builder.user("ci", "hunter2"));
    let response = raw.get("/acr/v1/app").basic("ci", "hunter2wrong");
    let response = response.expect(401);
    assert!(!format!("{response:?}").contains("hunter2"));
    let response = raw.get("/acr/v1/app").bearer("hunter2").expect(401);
    assert!(!format!("{response:?}").contains("hunter2"));
    assert!(!format!("{:?}", raw.registry).contains("hunter2"));
}
