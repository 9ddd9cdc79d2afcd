//! Servers that respond with nonsense, or want what they must not have.
//!
//! What they have in common: each response yields an error of a kind, nothing panics or hangs, and no
//! credential reaches another origin. A faithful registry is played by `acr-mock` elsewhere.

mod absence;
mod auth;
mod blob;
mod heads;
mod kept;
mod lasting;
mod liar;
mod list;
mod manifest;
mod model;
mod resume;
use crate::seeded;
mod upload;

use acr_client::transport::{Body, from_fn};
use acr_client::{ContainerRegistryClient, Credential, Error, RepositoryClient, RetryOptions};
use http::{Request, Response};
use wiremock::{MockServer, Request as Received, ResponseTemplate};

/// A word that must turn up nowhere: every credential here holds it.
pub(crate) const SECRET: &str = "hunter2";

pub(crate) fn client(server: &MockServer, credential: Credential) -> ContainerRegistryClient {
    seeded::builder(server.uri())
        .credential(credential)
        .danger_allow_http(true)
        // Each response is looked at by itself, and time is real here.
        .retry(RetryOptions::none())
        .limiter(None)
        .build()
        .unwrap()
}

pub(crate) fn repository(server: &MockServer) -> RepositoryClient {
    let client = client(server, Credential::anonymous());
    client.repository_client("app").unwrap()
}

/// A repository of `https://r.example`, served by a function.
pub(crate) fn over<F>(response: F) -> RepositoryClient
where
    F: Fn(Request<Body>) -> Response<Body> + Send + Sync + 'static,
{
    let transport = from_fn(move |request| std::future::ready(response(request)));
    let client = seeded::builder("https://r.example")
        .credential(Credential::password("robot", SECRET))
        .transport(transport)
        .retry(RetryOptions::none())
        .limiter(None)
        .build()
        .unwrap();
    client.repository_client("app").unwrap()
}

pub(crate) fn response(
    status: u16,
    headers: &[(&'static str, &str)],
    body: &str,
) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::bytes(body.to_owned())).unwrap()
}

/// A 401 that sends the client to `realm`.
pub(crate) fn challenge(realm: &str, scope: &str, error: Option<&str>) -> ResponseTemplate {
    let error = error
        .map(|error| format!(r#",error="{error}""#))
        .unwrap_or_default();
    let text = format!(r#"Bearer realm="{realm}",service="service",scope="{scope}"{error}"#);
    ResponseTemplate::new(401).insert_header("WWW-Authenticate", text)
}

pub(crate) fn token() -> ResponseTemplate {
    ResponseTemplate::new(200)
        .set_body_raw(r#"{"access_token":"an access token"}"#, "application/json")
}

/// The requests that a server has seen, as `GET /path`.
pub(crate) async fn seen(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.unwrap();
    let line = |request: &Received| format!("{} {}", request.method, request.url.path());
    requests.iter().map(line).collect()
}

/// An error's text at every level, which must not give a secret away.
#[track_caller]
pub(crate) fn text(error: &Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(" {error} {error:?}"));
        cause = error.source();
    }
    assert!(!text.contains(SECRET), "a secret is in the error: {text}");
    text
}
