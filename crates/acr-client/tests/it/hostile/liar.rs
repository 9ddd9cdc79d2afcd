//! Registries and token servers that lie about what they want, or repeat what they were sent.

use std::sync::{Arc, Mutex};

use acr_client::auth::{Secret, TokenProvider, TokenRequest};
use acr_client::transport::{Body, from_fn};
use acr_client::{ContainerRegistryClient, Credential, ErrorKind, RetryOptions};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use http_body_util::BodyExt as _;

use crate::hostile::{SECRET, response, text};
use crate::seeded;

pub(crate) const REALM: &str = "https://r.example/oauth2/token";
pub(crate) const TAG: &str = "/acr/v1/app/_tags/v1";
pub(crate) const SCOPE: &str = "repository:app:metadata_read";

/// A request as the servers of a test see it.
pub(crate) struct Seen {
    /// `GET https://r.example/v2/`, with its query.
    pub(crate) line: String,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: String,
}

/// A client of `https://r.example`; all requests, to wherever they go, are served by a function.
pub(crate) fn client<F>(credential: Credential, response: F) -> (ContainerRegistryClient, Lines)
where
    F: Fn(&Seen) -> Response<Body> + Send + Sync + 'static,
{
    let lines = Lines::default();
    let (kept, response) = (lines.clone(), Arc::new(response));
    let transport = from_fn(move |request: Request<Body>| {
        let (kept, response) = (kept.clone(), response.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let authorization = head.headers.get(AUTHORIZATION);
            let seen = Seen {
                line: format!("{} {}", head.method, head.uri),
                path: head.uri.path().to_owned(),
                authorization: authorization.map(|value| value.to_str().unwrap().to_owned()),
                body: String::from_utf8(body.to_vec()).unwrap(),
            };
            kept.0
                .lock()
                .unwrap()
                .push(format!("{} {}", head.method, seen.path));
            response(&seen)
        }
    });
    let client = seeded::builder("https://r.example")
        .credential(credential)
        .transport(transport)
        .retry(RetryOptions::none())
        .limiter(None)
        .build()
        .unwrap();
    (client, lines)
}

/// The requests so far, as `GET /path`.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

pub(crate) fn challenged(realm: &str, service: &str, scope: &str) -> Response<Body> {
    let text = format!(r#"Bearer realm="{realm}",service="{service}",scope="{scope}""#);
    response(401, &[("www-authenticate", &text)], "")
}

pub(crate) fn tokens() -> Response<Body> {
    let body = format!(
        r#"{{"access_token":"access-{SECRET}-token","refresh_token":"refresh-{SECRET}-token"}}"#
    );
    response(200, &[], &body)
}

pub(crate) fn properties() -> Response<Body> {
    let body = r#"{"registry":"r.example","imageName":"app","tag":{"name":"v1","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","createdTime":"2024-01-24T06:16:24Z","lastUpdateTime":"2024-01-24T06:16:24Z","signed":false,"changeableAttributes":{}}}"#;
    response(200, &[("content-type", "application/json")], body)
}

/// What a server knows of a request's credential: the header, and what is in it.
fn repeated(seen: &Seen) -> Vec<String> {
    let header = seen.authorization.clone().unwrap_or_default();
    let mut all = vec![header.clone()];
    if let Some((scheme, rest)) = header.split_once(' ') {
        all.push(rest.to_owned());
        if scheme == "Basic" {
            all.push(String::from_utf8(STANDARD.decode(rest).unwrap()).unwrap());
        }
    }
    all
}

/// A response that repeats a text wherever it can stand.
fn repeating(status: u16, text: &str) -> Response<Body> {
    let spelled = text.chars().map(|c| format!("\\u{:04x}", u32::from(c)));
    let spelled: String = spelled.collect();
    let body = format!(
        r#"{{"errors":[{{"code":"BAD {text}","message":"sent {spelled}","detail":{{"sent":"{text}"}}}},{{"code":"{spelled}","message":"and {text}"}}]}}"#
    );
    let challenge = format!(
        r#"Bearer realm="{REALM}",service="r.example",scope="repository:{}:pull",error="insufficient_scope""#,
        text.replace([' ', ','], "")
    );
    let headers = [
        ("x-ms-correlation-request-id", text),
        ("content-type", "application/json"),
        ("www-authenticate", &challenge),
    ];
    response(status, &headers, &body)
}

#[track_caller]
fn tells_nothing(error: &acr_client::Error) {
    let encoded = STANDARD.encode(format!("robot:{SECRET}"));
    let errors = error.registry_errors();
    let shown = format!(
        "{} {errors:?} {:?} {:?}",
        text(error),
        error.request_id(),
        error.missing_scope()
    );
    for secret in [SECRET, encoded.as_str()] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn a_registry_that_repeats_the_credential_it_was_sent_is_not_quoted() {
    for status in [400, 401, 403, 404, 405, 429, 500] {
        for which in 0..3 {
            for (credential, scheme) in [
                (Credential::password("robot", SECRET), "Bearer"),
                (Credential::entra_token(SECRET), "Bearer"),
                (Credential::password("robot", SECRET), "Basic"),
            ] {
                let (client, _) = client(credential, move |seen| {
                    if seen.path.starts_with("/oauth2/") {
                        return tokens();
                    }
                    match (seen.authorization.is_some(), scheme) {
                        (false, "Basic") => {
                            response(401, &[("www-authenticate", "Basic realm=\"r\"")], "")
                        }
                        (false, _) => challenged(REALM, "r.example", SCOPE),
                        (true, _) => {
                            let all = repeated(seen);
                            repeating(status, &all[which.min(all.len() - 1)])
                        }
                    }
                });
                let app = client.repository_client("app").unwrap();
                tells_nothing(&app.get_tag_properties("v1").await.unwrap_err());
            }
        }
    }
}

#[tokio::test]
async fn a_token_server_that_repeats_the_header_is_not_quoted() {
    for status in [400, 401, 403, 429, 500] {
        for which in 0..3 {
            let credential = Credential::password("robot", SECRET);
            let (client, _) = client(credential, move |seen| match seen.path.as_str() {
                "/oauth2/token" => repeating(status, &repeated(seen)[which]),
                _ => challenged(REALM, "r.example", SCOPE),
            });
            tells_nothing(&client.ping().await.unwrap_err());
        }
    }
}

#[tokio::test]
async fn a_token_server_that_repeats_the_form_is_not_quoted() {
    for credential in [
        Credential::refresh_token(format!("a token/{SECRET}+x")),
        Credential::entra_token(format!("a token/{SECRET}+x")),
    ] {
        let (client, _) = client(credential, move |seen| {
            if seen.path.starts_with("/oauth2/") {
                return repeating(401, &seen.body);
            }
            challenged(REALM, "r.example", SCOPE)
        });
        tells_nothing(&client.ping().await.unwrap_err());
    }
}

#[tokio::test]
async fn a_realm_that_was_a_lie_is_forgotten_when_the_lie_ends() {
    let asked = Arc::new(Mutex::new(0));
    let (client, lines) = client(Credential::password("robot", SECRET), move |seen| {
        assert!(seen.line.contains("https://r.example/"), "{}", seen.line);
        if seen.path == "/oauth2/token" {
            return tokens();
        }
        if seen.authorization.is_some() {
            return properties();
        }
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        let realm = if *asked == 1 {
            "https://evil.example/token"
        } else {
            REALM
        };
        challenged(realm, "r.example", SCOPE)
    });
    let app = client.repository_client("app").unwrap();
    let error = app.get_tag_properties("v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credential, "{error}");
    app.get_tag_properties("v1").await.unwrap();
    let tag = format!("GET {TAG}");
    assert_eq!(lines.take(), [&tag, &tag, "GET /oauth2/token", &tag]);
}

#[tokio::test]
async fn a_lie_about_the_realm_does_not_make_an_identity_anonymous() {
    let asked = Arc::new(Mutex::new(0));
    let chain = Credential::password("robot", SECRET).or(Credential::anonymous());
    let (client, _) = client(chain, move |seen| {
        if seen.line.contains("https://evil.example/") {
            assert!(seen.authorization.is_none(), "{}", seen.line);
            return response(200, &[], r#"{"access_token":"of nobody"}"#);
        }
        if seen.path == "/oauth2/token" {
            assert!(seen.authorization.is_some(), "{} {}", seen.line, seen.body);
            return tokens();
        }
        if seen
            .authorization
            .as_deref()
            .is_some_and(|value| value.contains(SECRET))
        {
            return properties();
        }
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        let realm = if *asked == 1 {
            "https://evil.example/token"
        } else {
            REALM
        };
        challenged(realm, "r.example", SCOPE)
    });
    let app = client.repository_client("app").unwrap();
    app.get_tag_properties("v1").await.unwrap();
}

#[tokio::test]
async fn a_token_server_that_has_moved_is_found_again() {
    let moved = Arc::new(Mutex::new(false));
    let place = moved.clone();
    let (client, _) = client(Credential::password("robot", SECRET), move |seen| {
        let moved = *place.lock().unwrap();
        match seen.path.as_str() {
            "/old" if !moved => tokens(),
            "/new" if moved => tokens(),
            "/old" | "/new" => response(404, &[], ""),
            _ if seen.authorization.is_some() => properties(),
            _ if moved => challenged("https://r.example/new", "r.example", SCOPE),
            _ => challenged("https://r.example/old", "r.example", SCOPE),
        }
    });
    let app = client.repository_client("app").unwrap();
    app.get_tag_properties("v1").await.unwrap();
    *moved.lock().unwrap() = true;
    let other = client.repository_client("other").unwrap();
    let error = other.get_tag_properties("v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    other.get_tag_properties("v1").await.unwrap();
}

#[tokio::test]
async fn another_scope_that_was_asked_for_once_is_not_asked_for_ever() {
    let asked = Arc::new(Mutex::new(0));
    let (client, lines) = client(Credential::anonymous(), move |seen| {
        if seen.path == "/oauth2/token" {
            let own = seen.body.contains("metadata_read");
            let token = if own { "own" } else { "other" };
            return response(200, &[], &format!(r#"{{"access_token":"{token}"}}"#));
        }
        if seen.authorization.as_deref() == Some("Bearer own") {
            return properties();
        }
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        let scope = if *asked == 1 {
            "repository:app:pull"
        } else {
            SCOPE
        };
        challenged(REALM, "r.example", scope)
    });
    let app = client.repository_client("app").unwrap();
    app.get_tag_properties("v1").await.unwrap();
    lines.take();
    for _ in 0..3 {
        app.get_tag_properties("v1").await.unwrap();
        assert_eq!(lines.take(), [format!("GET {TAG}")]);
    }
}

#[tokio::test]
async fn a_scope_or_service_of_any_length_reaches_no_request() {
    let long = "a".repeat(70_000);
    let many: Vec<String> = (0..17).map(|at| format!("repository:r{at}:pull")).collect();
    for (service, scope) in [
        ("r.example", format!("repository:{long}:pull")),
        ("r.example", format!("repository:app:{long}")),
        ("r.example", many.join(" ")),
        ("r.example", "repository:*:pull".to_owned()),
        ("r.example", "repository:app/*:metadata_read".to_owned()),
        (&long, SCOPE.to_owned()),
    ] {
        let service = service.to_owned();
        let (client, _) = client(Credential::password("robot", SECRET), move |seen| {
            if seen.path == "/oauth2/token" {
                let own = "scope=repository%3Aapp%3Ametadata_read";
                assert!(
                    seen.line.ends_with(own) && seen.line.len() < 200,
                    "{}",
                    seen.line
                );
                return tokens();
            }
            if seen.authorization.is_some() {
                return properties();
            }
            challenged(REALM, &service, &scope)
        });
        let app = client.repository_client("app").unwrap();
        if let Err(error) = app.get_tag_properties("v1").await {
            assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
            assert!(error.to_string().len() < 500, "{error}");
        }
    }
}

#[tokio::test]
async fn a_failure_does_not_make_a_registry_open() {
    let asked = Arc::new(Mutex::new(0));
    let (client, lines) = client(Credential::password("robot", SECRET), move |seen| {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        match seen.path.as_str() {
            _ if *asked == 1 => response(503, &[], ""),
            "/oauth2/token" => tokens(),
            _ if seen.authorization.is_some() => response(201, &[], ""),
            _ => challenged(REALM, "r.example", SCOPE),
        }
    });
    client.ping().await.unwrap_err();
    lines.take();
    let app = client.repository_client("app").unwrap();
    let manifest = acr_client::Manifest::new("{}", acr_client::MediaType::OCI_MANIFEST);
    app.set_manifest("v1", &manifest).await.unwrap();
    let put = "PUT /v2/app/manifests/v1";
    assert_eq!(
        lines.take(),
        ["GET /v2/", "GET /oauth2/token", put],
        "no body is sent in vain"
    );
}

#[tokio::test]
async fn a_registry_may_change_what_it_wants_between_two_calls() {
    let wants = Arc::new(Mutex::new("bearer"));
    let wanted = wants.clone();
    let (client, _) = client(Credential::password("robot", SECRET), move |seen| {
        if seen.path == "/oauth2/token" {
            return tokens();
        }
        let scheme = seen.authorization.as_deref();
        let scheme = scheme.and_then(|value| value.split(' ').next());
        match (*wanted.lock().unwrap(), scheme) {
            ("open", _) | ("bearer", Some("Bearer")) | ("basic", Some("Basic")) => properties(),
            ("basic", _) => response(401, &[("www-authenticate", "Basic realm=\"r\"")], ""),
            _ => challenged(REALM, "r.example", SCOPE),
        }
    });
    let app = client.repository_client("app").unwrap();
    for next in [
        "bearer", "basic", "open", "bearer", "open", "basic", "bearer",
    ] {
        *wants.lock().unwrap() = next;
        app.get_tag_properties("v1").await.unwrap();
    }
}

#[tokio::test]
async fn where_a_password_or_a_token_will_do_the_token_is_taken() {
    let (client, lines) = client(Credential::refresh_token(SECRET), move |seen| {
        match seen.path.as_str() {
            // The name under which Docker's token servers give their tokens.
            "/oauth2/token" => response(200, &[], r#"{"token":"t","expires_in":300}"#),
            _ if seen.authorization.as_deref() == Some("Bearer t") => properties(),
            _ => {
                let text = format!(
                    r#"Basic realm="r", Negotiate, Bearer realm="{REALM}",service="r.example",scope="{SCOPE}""#
                );
                response(401, &[("www-authenticate", &text)], "")
            }
        }
    });
    let app = client.repository_client("app").unwrap();
    app.get_tag_properties("v1").await.unwrap();
    let tag = format!("GET {TAG}");
    assert_eq!(lines.take(), [&tag, "POST /oauth2/token", &tag]);
}

#[tokio::test]
async fn a_provider_learns_where_its_token_goes_and_not_only_what_the_registry_calls_itself() {
    #[derive(Debug)]
    struct Vault;

    #[acr_client::async_trait]
    impl TokenProvider for Vault {
        async fn access_token(
            &self,
            request: &TokenRequest,
        ) -> Result<Secret, Box<dyn std::error::Error + Send + Sync>> {
            assert_eq!(request.service, "victim.azurecr.io");
            assert_eq!(request.registry, "r.example");
            Ok("of r.example".into())
        }
    }

    // The provider's token does not go to the realm, so that one may be anywhere.
    for realm in [REALM, "https://auth.example/token"] {
        let (client, lines) = client(Credential::token_provider(Vault), move |seen| {
            assert!(seen.line.contains("https://r.example/"), "{}", seen.line);
            match seen.authorization.as_deref() {
                Some("Bearer of r.example") => properties(),
                _ => challenged(realm, "victim.azurecr.io", SCOPE),
            }
        });
        let app = client.repository_client("app").unwrap();
        app.get_tag_properties("v1").await.unwrap();
        assert_eq!(lines.take().len(), 2);
    }
}

#[cfg(feature = "docker-config")]
#[tokio::test]
async fn a_password_that_was_changed_in_docker_s_configuration_is_found_within_the_call() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    let write = |password: &str| {
        let auth = STANDARD.encode(format!("robot:{password}"));
        let text = format!(r#"{{"auths":{{"r.example":{{"auth":"{auth}"}}}}}}"#);
        std::fs::write(&file, text).unwrap();
    };
    let config = acr_client::auth::DockerConfig::at(&file);
    let valid = Arc::new(Mutex::new("first"));
    let expected = valid.clone();
    let (client, lines) = client(Credential::docker_config(config), move |seen| {
        let password = *expected.lock().unwrap();
        let header = format!("Basic {}", STANDARD.encode(format!("robot:{password}")));
        if seen.authorization.as_deref() == Some(&*header) {
            return properties();
        }
        response(401, &[("www-authenticate", "Basic realm=\"r\"")], "")
    });
    let app = client.repository_client("app").unwrap();
    write("first");
    app.get_tag_properties("v1").await.unwrap();
    lines.take();

    *valid.lock().unwrap() = "second";
    write("second");
    app.get_tag_properties("v1").await.unwrap();
    assert_eq!(lines.take().len(), 2);

    *valid.lock().unwrap() = "third";
    app.get_tag_properties("v1").await.unwrap_err();
    assert_eq!(lines.take().len(), 1, "the same is not sent twice");
}
