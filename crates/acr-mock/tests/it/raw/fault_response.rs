//! What a fault responses: the words of the registry, of its token endpoints and of the data origin.

use std::time::Duration;

use acr_mock::{Fault, FaultResponse, OperationClass};
use http::StatusCode;
use serde_json::json;

use crate::raw::support::{
    DISALLOWED, HOST, OCI_MANIFEST, PULL, PUSH, Raw, RawResponse, error, error_with,
};

const ZEROS: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// The page of a proxy.
fn page(status: &str) -> String {
    format!(
        "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
}

/// The response to `GET` of a manifest that is there, where a fault refuses it.
#[track_caller]
fn refused(refuse: FaultResponse) -> RawResponse {
    let raw = Raw::new();
    raw.registry.seed("app").unwrap().image("v1").unwrap();
    let fault = Fault::on("get_manifest").then(refuse);
    let fault = raw.registry.inject(fault).unwrap();
    let token = raw.issued(PULL);
    let response = raw.get("/v2/app/manifests/v1").bearer(&token).send();
    assert_eq!(fault.count(), 1);
    response
}

#[test]
fn the_registry_refuses_in_the_service_s_words() {
    let throttled = refused(FaultResponse::too_many_requests());
    let throttled = throttled.expect_json(429, &error("TOOMANYREQUESTS", "too many requests"));
    assert!(!throttled.has("retry-after"));
    throttled.expect_header("docker-distribution-api-version", "registry/2.0");

    let denied = "client with IP '127.0.0.1' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.";
    refused(FaultResponse::denied()).expect_json(403, &error("DENIED", denied));
    refused(FaultResponse::not_found()).expect_json(
        404,
        &error_with(
            "MANIFEST_UNKNOWN",
            "manifest tagged by \"v1\" is not found",
            json!({ "Tag": "v1" }),
        ),
    );
    refused(FaultResponse::status(StatusCode::METHOD_NOT_ALLOWED)).expect_json(405, DISALLOWED);
    let large = error("SIZE_INVALID", "the request body is too large");
    refused(FaultResponse::status(StatusCode::PAYLOAD_TOO_LARGE)).expect_json(413, &large);

    // Chosen, as what follows.
    let failed = error("UNKNOWN", "unknown error");
    refused(FaultResponse::internal_server_error()).expect_json(500, &failed);
    let unavailable = error("UNAVAILABLE", "service unavailable");
    refused(FaultResponse::service_unavailable()).expect_json(503, &unavailable);
    for (refuse, status, text) in [
        (FaultResponse::bad_gateway(), 502, "502 Bad Gateway"),
        (FaultResponse::gateway_timeout(), 504, "504 Gateway Timeout"),
        (
            FaultResponse::status(StatusCode::IM_A_TEAPOT),
            418,
            "418 I'm a teapot",
        ),
    ] {
        let response = refused(refuse).expect(status);
        assert_eq!(response.text(), page(text));
        response.expect_header("content-type", "text/html");
        assert!(!response.has("docker-distribution-api-version"));
    }
}

#[test]
fn a_token_that_no_longer_holds_is_challenged_with_the_operation_s_scope() {
    let response = refused(FaultResponse::invalid_token()).expect(401);
    let challenge = format!(
        "Bearer realm=\"https://{HOST}/oauth2/token\",service=\"{HOST}\",scope=\"repository:app:pull\",error=\"invalid_token\""
    );
    response.expect_header("www-authenticate", challenge);
    let error = &response.json()["errors"][0];
    assert_eq!(error["code"], "UNAUTHORIZED");
    let detail = json!([{ "Type": "repository", "Name": "app", "Action": "pull" }]);
    assert_eq!(error["detail"], detail);
}

#[test]
fn retry_after_is_seconds_or_a_date_of_the_registry_s_clock() {
    let seconds = refused(FaultResponse::too_many_requests().retry_after(3)).expect(429);
    seconds.expect_header("retry-after", "3");
    let minute = Duration::from_secs(60);
    let date = refused(FaultResponse::service_unavailable().retry_after_date(minute)).expect(503);
    date.expect_header("retry-after", "Wed, 15 Feb 2023 09:00:14 GMT");
    // The one that is said last.
    let both = FaultResponse::service_unavailable()
        .retry_after_date(minute)
        .retry_after(0);
    assert_eq!(refused(both).expect(503).header("retry-after"), "0");
    // Behind the last date that the form can say there is none.
    let never = FaultResponse::service_unavailable().retry_after_date(Duration::MAX);
    assert_eq!(
        refused(never).expect(503).header("retry-after"),
        "Fri, 31 Dec 9999 23:59:59 GMT"
    );
}

#[test]
fn a_404_is_the_operation_s_own() {
    let upload = "/v2/app/blobs/uploads/0a0a0a0a-0000-4000-8000-000000000000?_state=x";
    let operations = [
        ("GET /acr/v1/app", "metadata_read"),
        ("DELETE /acr/v1/app", "delete"),
        ("GET /acr/v1/app/_tags", "metadata_read"),
        ("GET /acr/v1/app/_tags/v1", "metadata_read"),
        ("DELETE /acr/v1/app/_tags/v1", "delete"),
        ("GET /acr/v1/app/_manifests", "metadata_read"),
        ("GET /acr/v1/app/_manifests/{zeros}", "metadata_read"),
        ("GET /v2/app/tags/list", "metadata_read"),
        ("GET /v2/app/manifests/v1", "pull"),
        ("GET /v2/app/manifests/{zeros}", "pull"),
        ("HEAD /v2/app/manifests/{zeros}", "pull"),
        ("DELETE /v2/app/manifests/{zeros}", "delete"),
        ("GET /v2/app/blobs/{zeros}", "pull"),
        ("HEAD /v2/app/blobs/{zeros}", "pull"),
        ("DELETE /v2/app/blobs/{zeros}", "delete"),
        ("GET {upload}", "pull"),
        ("PATCH {upload}", "pull,push"),
        ("DELETE {upload}", "delete"),
    ];
    for (line, actions) in operations {
        let raw = Raw::new();
        let line = line.replace("{zeros}", ZEROS).replace("{upload}", upload);
        let token = raw.issued(&format!("repository:app:{actions}"));
        let ask = || raw.line(&line).bearer(&token);
        let missing = ask().expect(404);
        let fault = Fault::any().then(FaultResponse::not_found());
        let fault = raw.registry.inject(fault).unwrap();
        let struck = ask().expect(404);
        assert_eq!(fault.count(), 1, "{line}");
        assert_eq!(struck.body, missing.body, "{line}");
        for name in ["content-type", "content-length", "cache-control"] {
            assert_eq!(struck.all(name), missing.all(name), "{line}: {name}");
        }
    }
}

#[test]
fn the_token_endpoints_refuse_with_their_own_headers() {
    let raw = Raw::new();
    let exchange = || {
        let form = format!("grant_type=access_token&service={HOST}&access_token=entra");
        raw.post("/oauth2/exchange").form(form).send()
    };
    let refuse = |refuse: FaultResponse| {
        let fault = Fault::on_class(OperationClass::Token).times(1).then(refuse);
        raw.registry.inject(fault).unwrap();
        exchange()
    };
    let silent = refuse(FaultResponse::invalid_token()).expect_empty(401);
    assert!(silent.has("x-ms-ratelimit-remaining-calls-per-second"));
    assert!(!silent.has("www-authenticate"));
    let throttled = refuse(FaultResponse::too_many_requests().retry_after(1));
    let throttled = throttled.expect_json(429, &error("TOOMANYREQUESTS", "too many requests"));
    throttled.expect_header("retry-after", "1");
    let unavailable = refuse(FaultResponse::service_unavailable());
    let unavailable = unavailable.expect_json(503, &error("UNAVAILABLE", "service unavailable"));
    for response in [&silent, &throttled, &unavailable] {
        response.expect_header("server", "AzureContainerRegistry");
        assert!(response.has("x-ms-correlation-request-id"));
        assert!(!response.has("docker-distribution-api-version"));
    }
    let gateway = refuse(FaultResponse::bad_gateway()).expect(502);
    assert_eq!(gateway.text(), page("502 Bad Gateway"));
    exchange().expect(200);
}

#[test]
fn the_data_origin_refuses_in_storage_s_words() {
    let raw = Raw::new();
    let digest = raw.push_blob("app", b"0123456789");
    let redirect = raw.get(format!("/v2/app/blobs/{digest}")).scope(PULL);
    let redirect = redirect.send();
    let url = redirect.expect(307).header("location").to_owned();
    let refuse = |refuse: FaultResponse| {
        let fault = Fault::on_data().times(1).then(refuse);
        raw.registry.inject(fault).unwrap();
        raw.get(&url).send()
    };
    for (refusal, status, code) in [
        (FaultResponse::expired_url(), 403, "AuthenticationFailed"),
        (FaultResponse::denied(), 403, "AuthorizationFailure"),
        (FaultResponse::not_found(), 404, "BlobNotFound"),
        (FaultResponse::internal_server_error(), 500, "InternalError"),
        (
            FaultResponse::service_unavailable().retry_after(2),
            503,
            "ServerBusy",
        ),
    ] {
        let response = refuse(refusal).expect(status);
        response.expect_header("x-ms-error-code", code);
        response.expect_header("content-type", "application/xml");
        assert!(response.text().contains(&format!("<Code>{code}</Code>")));
        response.expect_header("content-length", response.body.len().to_string());
        assert!(response.has("x-ms-version") && response.has("x-ms-request-id"));
        assert_eq!(response.has("retry-after"), status == 503);
    }
    let throttled = refuse(FaultResponse::too_many_requests()).expect(429);
    assert_eq!(throttled.text(), page("429 Too Many Requests"));
    assert_eq!(raw.get(&url).expect(200).body, "0123456789");

    // Word for word what storage says when the time is really over.
    let early = refuse(FaultResponse::expired_url()).expect(403);
    raw.clock.advance(Duration::from_secs(20 * 60));
    assert_eq!(raw.get(&url).expect(403).body, early.body);
}

#[test]
fn what_is_refused_is_not_carried_out() {
    let raw = Raw::new();
    let fault = Fault::on("set_manifest")
        .times(1)
        .then(FaultResponse::service_unavailable());
    raw.registry.inject(fault).unwrap();
    let manifest = raw.image("app", "v1");
    let set = || {
        let ask = raw.put("/v2/app/manifests/v1");
        let ask = ask.scope(PUSH);
        ask.header("content-type", OCI_MANIFEST)
            .body(manifest.clone())
            .send()
    };
    set().expect(503);
    assert_eq!(raw.registry.statistics().manifests, 0);
    set().expect(201);
    assert_eq!(raw.registry.statistics().manifests, 1);
}

#[test]
fn a_response_to_a_head_has_no_body() {
    let raw = Raw::new();
    let digest = raw.push_blob("app", b"0123456789");
    let fault = Fault::on("head_blob").then(FaultResponse::too_many_requests());
    raw.registry.inject(fault).unwrap();
    let path = format!("/v2/app/blobs/{digest}");
    let head = raw.head(path).scope(PULL).send();
    let head = head.expect(429);
    assert!(head.body.is_empty());
    let length = error("TOOMANYREQUESTS", "too many requests").len();
    head.expect_header("content-length", length.to_string());
}
