//! The headers around responses: which response has which.

use crate::raw::support::{
    DELETE, OCI_MANIFEST, PULL, PUSH, READ, Raw, RawResponse, WRITE, digest, nowhere,
};

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

/// What every response of the registry has.
fn assert_service_headers(response: &RawResponse) {
    let exposed = [
        "Docker-Content-Digest",
        "WWW-Authenticate",
        "Link",
        "X-Ms-Correlation-Request-Id",
    ];
    assert_eq!(
        response.all("access-control-expose-headers"),
        exposed,
        "{response:?}"
    );
    response.expect_header("docker-distribution-api-version", "registry/2.0");
    response.expect_header("server", "AzureContainerRegistry");
    assert_eq!(
        response.all("strict-transport-security"),
        ["max-age=31536000; includeSubDomains"; 2]
    );
    response.expect_header("x-content-type-options", "nosniff");
    assert!(is_uuid(response.header("x-ms-correlation-request-id")));
}

#[test]
fn every_response_of_the_registry_has_the_common_headers() {
    let raw = Raw::new();
    let digest = raw.push_image("app", "v1");
    for (ask, scope, status) in [
        (raw.get("/v2/"), None, 401),
        (raw.get("/v2/"), Some(PULL), 200),
        (raw.get("/acr/v1/app"), Some(READ), 200),
        (raw.get("/acr/v1/app"), Some(PULL), 401),
        (raw.get("/acr/v1/app/_tags/none"), Some(READ), 404),
        (raw.get("/v2/app/manifests/v1"), Some(PULL), 200),
        (raw.head("/v2/app/manifests/none"), Some(PULL), 404),
        (
            raw.get(format!(
                "/v2/app/blobs/{}",
                crate::raw::support::digest(b"layer of v1")
            )),
            Some(PULL),
            307,
        ),
        (raw.delete("/v2/app/manifests/v1"), Some(DELETE), 405),
        (raw.delete("/acr/v1/app/_tags/v1"), Some(DELETE), 202),
        (
            raw.delete(format!("/v2/app/manifests/{digest}")),
            Some(DELETE),
            202,
        ),
    ] {
        let ask = match scope {
            Some(scope) => ask.scope(scope),
            None => ask,
        };
        assert_service_headers(&ask.expect(status));
    }
}

#[test]
fn correlation_ids_are_different() {
    let raw = Raw::new();
    let id = || {
        raw.get("/v2/")
            .send()
            .header("x-ms-correlation-request-id")
            .to_owned()
    };
    assert_ne!(id(), id());
}

#[test]
fn the_client_s_id_comes_back_where_the_service_sends_it_back() {
    let raw = Raw::new();
    raw.push_image("app", "v1");
    let layer = digest(b"layer of v1");
    let manifest = raw.image("app", "v2");
    for (line, scope, status) in [
        ("GET /v2/", PULL, 200),
        ("GET /v2/app/manifests/v1", PULL, 200),
        ("HEAD /v2/app/manifests/v1", PULL, 200),
        ("GET /v2/app/manifests/none", PULL, 404),
        ("GET /v2/app/tags/list", READ, 200),
        (&format!("HEAD /v2/app/blobs/{layer}"), PULL, 200),
        (&format!("GET /v2/app/blobs/{}", nowhere()), PULL, 404),
        ("PUT /v2/app/manifests/v2", PUSH, 201),
        ("PUT /v2/app/manifests/v3", PUSH, 400),
        ("DELETE /acr/v1/app/_tags/none", DELETE, 404),
        ("DELETE /acr/v1/app/_tags/v1", DELETE, 202),
        ("DELETE /acr/v1/app", DELETE, 202),
    ] {
        let ask = |id: Option<&str>| {
            let mut ask = raw.line(line).scope(scope);
            if line.starts_with("PUT") {
                let body = if status == 201 { manifest.as_str() } else { "" };
                ask = ask
                    .header("content-type", OCI_MANIFEST)
                    .body(body.to_owned());
            }
            match id {
                Some(id) => ask.header("x-ms-client-request-id", id),
                None => ask,
            }
            .send()
        };
        let response = ask(Some("my-id")).expect(status);
        response.expect_header("x-ms-client-request-id", "my-id");
        assert!(is_uuid(response.header("x-ms-request-id")), "{line}");
        // An empty value where there was none.
        assert_eq!(ask(None).header("x-ms-client-request-id"), "", "{line}");
    }
}

#[test]
fn the_client_s_id_stays_away_where_the_service_leaves_it_out() {
    let raw = Raw::new();
    raw.push_image("app", "v1");
    for (ask, scope, status) in [
        (raw.get("/acr/v1/app"), Some(READ), 200),
        (raw.get("/acr/v1/app/_tags/none"), Some(READ), 404),
        (raw.patch("/acr/v1/app").body("{}"), Some(WRITE), 200),
        (raw.get("/v2/app/manifests/v1"), None, 401),
        (raw.delete("/acr/v1/app"), Some(PULL), 401),
        (
            raw.get(format!("/v2/app/blobs/{}", digest(b"layer of v1"))),
            Some(PULL),
            307,
        ),
        (raw.get("/v2/app/manifests/.wrong"), Some(PULL), 404),
    ] {
        let ask = match scope {
            Some(scope) => ask.scope(scope),
            None => ask,
        };
        let response = ask.header("x-ms-client-request-id", "my-id").expect(status);
        assert!(
            !response.has("x-ms-client-request-id") && !response.has("x-ms-request-id"),
            "{response:?}"
        );
    }
}

#[test]
fn deletes_count_down_in_a_burst_and_share_one_counter() {
    let raw = Raw::new();
    let digest = raw.push_image("app", "v1");
    let blob = raw.push_blob("app", b"content");
    let left = |response: RawResponse| {
        response
            .header("x-ms-ratelimit-remaining-calls-per-second")
            .to_owned()
    };
    let delete = |path: &str| raw.delete(path).scope(DELETE).send();
    assert_eq!(
        left(delete("/acr/v1/app/_tags/none").expect(404)),
        "8.000000"
    );
    assert_eq!(left(delete("/v2/app/manifests/v1").expect(405)), "7.000000");
    assert_eq!(
        left(delete(&format!("/v2/app/blobs/{blob}")).expect(202)),
        "6.000000"
    );
    assert_eq!(
        left(delete(&format!("/v2/app/manifests/{digest}")).expect(202)),
        "5.000000"
    );
    raw.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(left(delete("/acr/v1/app").expect(404)), "8.000000");
    // Neither what is refused nor what is no delete is counted.
    assert!(
        !raw.delete("/acr/v1/app")
            .expect(401)
            .has("x-ms-ratelimit-remaining-calls-per-second")
    );
    assert!(
        !raw.get("/v2/")
            .scope(PULL)
            .send()
            .has("x-ms-ratelimit-remaining-calls-per-second")
    );
}

#[test]
fn metadata_over_2048_bytes_comes_chunked_and_manifests_do_not() {
    let raw = Raw::new();
    let read = |path: &str| raw.get(path).scope(READ).expect(200);
    for at in 0..20 {
        raw.push_image("app", &format!("v{at}"));
        for path in ["/acr/v1/app/_tags", "/acr/v1/app/_manifests"] {
            let response = read(path);
            let long = response.body.len() > 2_048;
            assert_eq!(
                response.announced.is_none(),
                long,
                "{} bytes",
                response.body.len()
            );
            assert_eq!(response.has("content-length"), !long);
            assert!(at != 0 || !long);
            assert!(at != 19 || long);
        }
    }
    let manifest = raw.image("app", "long");
    let manifest = format!("{manifest}{}", " ".repeat(5_000));
    raw.push_manifest("app", "long", OCI_MANIFEST, &manifest);
    let response = raw.get("/v2/app/manifests/long").scope(PULL).expect(200);
    response.expect_header("content-length", manifest.len().to_string());
}

#[test]
fn the_ping_is_two_bytes_without_a_newline() {
    let raw = Raw::new();
    for path in ["/v2/", "/v2"] {
        raw.get(path).scope(PULL).expect_json(200, "{}");
    }
}

#[test]
fn the_registry_names_itself_as_the_request_did_or_as_it_was_told() {
    let named = |raw: &Raw, host: &str| {
        let response = raw.get(format!("https://{host}/acr/v1/app")).scope(READ);
        let response = response.expect(200);
        response.member("registry")
    };
    let raw = Raw::new();
    raw.push_image("app", "v1");
    assert_eq!(named(&raw, "127.0.0.1:8080"), "127.0.0.1:8080");
    assert_eq!(named(&raw, "other.azurecr.io"), "other.azurecr.io");
    let raw = Raw::with(|builder| builder.login_server("fixed.azurecr.io"));
    raw.push_image("app", "v1");
    assert_eq!(named(&raw, "127.0.0.1:8080"), "fixed.azurecr.io");
}
