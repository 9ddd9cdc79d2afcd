use acr_client::{Advice, Credential, ErrorKind};
use wiremock::matchers::{any, header, header_exists, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::hostile::{SECRET, challenge, client, over, response, seen, text, token};
use crate::seeded;

const SCOPE: &str = "repository:app:metadata_read";

fn credentials() -> [Credential; 3] {
    [
        Credential::password("robot", SECRET),
        Credential::refresh_token(SECRET),
        Credential::entra_token(SECRET),
    ]
}

async fn responses(server: &MockServer, at: &str, response: ResponseTemplate) {
    Mock::given(path(at))
        .respond_with(response)
        .mount(server)
        .await;
}

/// A server that challenges everything but what is mounted later, and its own token endpoint.
async fn challenging(server: &MockServer, error: Option<&str>) {
    let realm = format!("{}/oauth2/token", server.uri());
    Mock::given(any())
        .respond_with(challenge(&realm, SCOPE, error))
        .with_priority(9)
        .mount(server)
        .await;
}

#[tokio::test]
async fn a_401_without_a_challenge_ends_after_one_request() {
    for challenge in [
        None,
        Some("nonsense \u{1}"),
        Some("Digest realm=\"x\""),
        Some("Bearer"),
    ] {
        let server = MockServer::start().await;
        let mut response = ResponseTemplate::new(401);
        if let Some(challenge) = challenge {
            let value = challenge.replace('\u{1}', "=,=");
            response = response.insert_header("WWW-Authenticate", value.as_str());
        }
        Mock::given(any())
            .respond_with(response)
            .mount(&server)
            .await;
        let client = client(&server, Credential::password("robot", SECRET));
        let error = client.ping().await.unwrap_err();
        // A demand for a token without a place to fetch it is nonsense rather than a refusal.
        let kind = if challenge == Some("Bearer") {
            ErrorKind::Protocol
        } else {
            ErrorKind::Unauthorized
        };
        assert_eq!(error.kind(), kind, "{}", text(&error));
        assert_eq!(seen(&server).await, ["GET /v2/"]);
    }
}

#[tokio::test]
async fn a_registry_that_refuses_every_token_is_given_up_after_one() {
    let server = MockServer::start().await;
    challenging(&server, Some("invalid_token")).await;
    responses(&server, "/oauth2/token", token()).await;
    let client = client(&server, Credential::password("robot", SECRET));
    let repository = client.repository_client("app").unwrap();
    let error = repository.get_tag_properties("v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{}", text(&error));
    assert_eq!(error.advice(), Advice::NewToken);
    assert_eq!(error.attempts(), 2);
    let tag = "GET /acr/v1/app/_tags/v1";
    assert_eq!(seen(&server).await, [tag, "GET /oauth2/token", tag]);
}

#[tokio::test]
async fn a_right_that_a_fresh_token_lacks_is_denied_and_named() {
    let server = MockServer::start().await;
    challenging(&server, Some("insufficient_scope")).await;
    responses(&server, "/oauth2/token", token()).await;
    let client = client(&server, Credential::password("robot", SECRET));
    let repository = client.repository_client("app").unwrap();
    let error = repository.get_tag_properties("v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{}", text(&error));
    assert_eq!(error.missing_scope(), Some(SCOPE));
    assert_eq!(error.advice(), Advice::Never);
    assert_eq!(seen(&server).await.len(), 3);
}

#[tokio::test]
async fn a_realm_on_another_origin_gets_no_credential() {
    for credential in credentials() {
        let (server, evil) = (MockServer::start().await, MockServer::start().await);
        responses(&evil, "/token", token()).await;
        let foreign = challenge(&format!("{}/token", evil.uri()), SCOPE, None);
        Mock::given(any())
            .respond_with(foreign)
            .mount(&server)
            .await;
        let client = client(&server, credential);
        let error = client.ping().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Credential, "{}", text(&error));
        assert!(seen(&evil).await.is_empty());
    }
}

#[tokio::test]
async fn a_realm_on_another_origin_serves_who_has_no_credential() {
    let (server, tokens) = (MockServer::start().await, MockServer::start().await);
    let foreign = challenge(&format!("{}/token", tokens.uri()), SCOPE, None);
    Mock::given(any())
        .respond_with(foreign)
        .with_priority(9)
        .mount(&server)
        .await;
    Mock::given(header("Authorization", "Bearer an access token"))
        .respond_with(ResponseTemplate::new(200).set_body_string("{}"))
        .mount(&server)
        .await;
    // Token servers other than ACR's know GET alone.
    Mock::given(method("GET"))
        .respond_with(token())
        .mount(&tokens)
        .await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(405))
        .mount(&tokens)
        .await;
    client(&server, Credential::anonymous())
        .ping()
        .await
        .unwrap();
    assert_eq!(seen(&tokens).await, ["GET /token"]);
}

#[tokio::test]
async fn tokens_of_a_registry_on_https_are_not_fetched_over_http() {
    let repository = over(|request| {
        assert_eq!(request.uri().scheme_str(), Some("https"));
        assert!(request.headers().get("authorization").is_none());
        let text = r#"Bearer realm="http://r.example/oauth2/token",service="r.example""#;
        response(401, &[("www-authenticate", text)], "")
    });
    let error = repository.get_tag_properties("v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credential, "{}", text(&error));
}

#[tokio::test]
async fn a_token_server_s_nonsense_is_an_error_that_repeats_none_of_it() {
    let html = |status| ResponseTemplate::new(status).set_body_raw(SECRET, "text/html");
    for (response, kind) in [
        (html(200), ErrorKind::Protocol),
        (
            ResponseTemplate::new(200).set_body_string(format!("\"{SECRET}\"")),
            ErrorKind::Protocol,
        ),
        (
            ResponseTemplate::new(200).set_body_string("{}"),
            ErrorKind::Protocol,
        ),
        (
            ResponseTemplate::new(200).set_body_string(format!(
                r#"{{"access_token":"{SECRET}\n","refresh_token":"{SECRET}\n"}}"#
            )),
            ErrorKind::Protocol,
        ),
        (
            ResponseTemplate::new(200).set_body_bytes(vec![b'x'; 2 << 20]),
            ErrorKind::TooLarge,
        ),
        (ResponseTemplate::new(401), ErrorKind::Unauthorized),
        (html(403), ErrorKind::Denied),
        (html(404), ErrorKind::Protocol),
        (html(429), ErrorKind::Throttled),
        (html(503), ErrorKind::Registry),
        (
            ResponseTemplate::new(307).insert_header("Location", "https://evil.example/"),
            ErrorKind::Protocol,
        ),
    ] {
        for credential in credentials() {
            let server = MockServer::start().await;
            challenging(&server, None).await;
            responses(&server, "/oauth2/token", response.clone()).await;
            responses(&server, "/oauth2/exchange", response.clone()).await;
            let error = client(&server, credential).ping().await.unwrap_err();
            assert_eq!(error.kind(), kind, "{}", text(&error));
            assert_eq!(error.operation(), Some("ping"));
            text(&error);
        }
    }
}

#[tokio::test]
async fn a_missing_token_server_is_not_taken_for_a_missing_item() {
    let server = MockServer::start().await;
    challenging(&server, None).await;
    responses(&server, "/oauth2/token", ResponseTemplate::new(404)).await;
    let client = client(&server, Credential::password("robot", SECRET));
    let repository = client.repository_client("app").unwrap();
    let error = repository.delete_tag("v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{}", text(&error));
    let error = repository.delete_manifest("v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{}", text(&error));
}

#[tokio::test]
async fn a_refresh_token_that_is_refused_is_exchanged_anew_once() {
    let server = MockServer::start().await;
    challenging(&server, None).await;
    let refresh = r#"{"refresh_token":"a refresh token"}"#;
    let exchanged = ResponseTemplate::new(200).set_body_string(refresh);
    responses(&server, "/oauth2/exchange", exchanged).await;
    responses(&server, "/oauth2/token", ResponseTemplate::new(401)).await;
    let client = client(&server, Credential::entra_token(SECRET));
    let repository = client.repository_client("app").unwrap();
    repository.get_tag_properties("v1").await.unwrap_err();
    let first = seen(&server).await;
    let tag = "GET /acr/v1/app/_tags/v1";
    assert_eq!(first, [tag, "POST /oauth2/exchange", "POST /oauth2/token"]);
    // The refresh token is at hand now, so its refusal may mean that it is too old. Where tokens are is
    // asked anew, since the place may be the wrong one.
    repository.get_tag_properties("v1").await.unwrap_err();
    assert_eq!(
        seen(&server).await[first.len()..],
        [
            tag,
            "POST /oauth2/token",
            "POST /oauth2/exchange",
            "POST /oauth2/token"
        ]
    );
}

#[tokio::test]
async fn a_demand_for_a_password_is_met_once_and_only_with_one() {
    for (credential, requests) in [
        (Credential::password("robot", SECRET), 2),
        (Credential::anonymous(), 1),
        (Credential::refresh_token(SECRET), 1),
    ] {
        let server = MockServer::start().await;
        let basic =
            ResponseTemplate::new(401).insert_header("WWW-Authenticate", "Basic realm=\"r\"");
        Mock::given(any()).respond_with(basic).mount(&server).await;
        let error = client(&server, credential).ping().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthorized, "{}", text(&error));
        assert_eq!(seen(&server).await.len(), requests);
    }
}

#[tokio::test]
async fn a_password_that_is_accepted_goes_along_from_then_on() {
    let server = MockServer::start().await;
    let basic = ResponseTemplate::new(401).insert_header("WWW-Authenticate", "Basic realm=\"r\"");
    Mock::given(any())
        .respond_with(basic)
        .with_priority(9)
        .mount(&server)
        .await;
    Mock::given(header_exists("Authorization"))
        .respond_with(ResponseTemplate::new(200).set_body_string("{}"))
        .mount(&server)
        .await;
    let client = client(&server, Credential::password("robot", SECRET));
    client.ping().await.unwrap();
    client.ping().await.unwrap();
    assert_eq!(seen(&server).await.len(), 3);
}

#[tokio::test]
async fn a_registry_that_never_asks_costs_no_request_for_a_token() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_string("{}"))
        .mount(&server)
        .await;
    let client = client(&server, Credential::refresh_token(SECRET));
    client.ping().await.unwrap();
    client.ping().await.unwrap();
    assert_eq!(seen(&server).await, ["GET /v2/", "GET /v2/"]);
}

#[tokio::test]
async fn a_body_is_not_sent_before_the_registry_has_said_what_it_wants() {
    let server = MockServer::start().await;
    challenging(&server, None).await;
    responses(&server, "/oauth2/token", token()).await;
    Mock::given(header("Authorization", "Bearer an access token"))
        .and(method("PUT"))
        .respond_with(ResponseTemplate::new(201))
        .mount(&server)
        .await;
    let client = client(&server, Credential::password("robot", SECRET));
    let repository = client.repository_client("app").unwrap();
    let manifest = acr_client::Manifest::new("{}", acr_client::MediaType::OCI_MANIFEST);
    repository.set_manifest("v1", &manifest).await.unwrap();
    let expected = ["GET /v2/", "GET /oauth2/token", "PUT /v2/app/manifests/v1"];
    assert_eq!(seen(&server).await, expected);
}

#[tokio::test]
async fn a_scope_that_another_registry_asks_for_instead_is_remembered() {
    let server = MockServer::start().await;
    let realm = format!("{}/oauth2/token", server.uri());
    Mock::given(any())
        .respond_with(challenge(&realm, "repository:app:pull", None))
        .with_priority(9)
        .mount(&server)
        .await;
    responses(&server, "/oauth2/token", token()).await;
    Mock::given(header_exists("Authorization"))
        .and(path("/v2/app/tags/list"))
        .respond_with(ResponseTemplate::new(200).set_body_string(r#"{"name":"app","tags":["v1"]}"#))
        .mount(&server)
        .await;
    let client = client(&server, Credential::anonymous());
    let repository = client.repository_client("app").unwrap();
    for _ in 0..2 {
        assert_eq!(repository.list_tags().collect_all().await.unwrap(), ["v1"]);
    }
    let list = "GET /v2/app/tags/list";
    assert_eq!(
        seen(&server).await,
        [list, "POST /oauth2/token", list, list]
    );
}

#[tokio::test]
async fn a_credential_over_plain_http_is_refused_at_the_start() {
    for credential in credentials() {
        let builder = seeded::builder("http://127.0.0.1:1");
        let error = builder.credential(credential).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(text(&error).contains("danger_allow_http"), "{error}");
    }
}

#[tokio::test]
async fn a_token_server_that_repeats_the_secret_is_not_quoted() {
    let escaped = SECRET.chars().map(|c| format!("\\u{:04x}", u32::from(c)));
    let escaped: String = escaped.collect();
    for shape in [SECRET.to_owned(), escaped] {
        let body = format!(
            r#"{{"errors":[{{"code":"UNAUTHORIZED","message":"bad password {shape}","detail":{{"sent":"{shape}"}}}}]}}"#
        );
        for credential in credentials() {
            let server = MockServer::start().await;
            challenging(&server, None).await;
            for at in ["/oauth2/token", "/oauth2/exchange"] {
                let response = ResponseTemplate::new(401).set_body_string(body.clone());
                responses(&server, at, response).await;
            }
            let client = client(&server, credential);
            let error = client.list_repository_names().try_next().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthorized);
            assert!(error.to_string().contains("UNAUTHORIZED"), "{error}");
            for shown in [
                text(&error),
                format!("{error:?} {:?}", error.registry_errors()),
            ] {
                assert!(!shown.contains(SECRET), "{shown}");
            }
        }
    }
}
