//! Calls of a client to a registry whose responses a fuzzer has chosen.

use std::error::Error as _;
use std::pin::pin;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use acr_client::clock::VirtualClock;
use acr_client::transport::{Body, from_fn};
use acr_client::{ContainerRegistryClient, Credential, Error, RepositoryClient, RetryOptions};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};

use crate::check::{SECRET, error_hides_the_secret, error_is_bounded};

/// The one place that may see the credential.
const REGISTRY: &str = "https://registry.example";

/// How many requests a single call may lead to.
const MAX_REQUESTS: usize = 12;

/// How often a future is polled that waits for nothing.
const MAX_POLLS: usize = 1000;

/// A response of the registry, to a request that is authorised.
pub(crate) fn response(
    status: StatusCode,
    headers: &[(HeaderName, HeaderValue)],
    body: &str,
) -> Response<String> {
    let mut response = Response::new(body.to_owned());
    *response.status_mut() = status;
    response.headers_mut().extend(headers.iter().cloned());
    response
}

/// Runs calls of a client that has a password. Whatever the registry responds, nothing is sent to another place, the
/// calls end, and no error shows the password.
pub(crate) fn no_request_leaves_the_registry<T>(
    responses: impl Fn(&Request<Body>) -> Response<String> + Send + Sync + 'static,
    calls: impl AsyncFnOnce(RepositoryClient) -> Result<T, Error>,
) -> Result<T, Error> {
    let (note, seen) = sync_channel(MAX_REQUESTS);
    let client = client(
        Credential::password("robot", SECRET),
        note,
        move |request| authorised(request).unwrap_or_else(|| responses(request)),
    );
    let outcome = run(client, calls);
    for (origin, _) in seen.try_iter() {
        assert_eq!(origin, REGISTRY, "a request went elsewhere");
    }
    outcome
}

/// Runs a call of clients with and without a password against a registry that challenges everything in these words.
/// The password goes to the registry alone, and a client without one sends nothing that could be taken for it.
pub(crate) fn a_challenge_moves_no_credential(challenge: &HeaderValue) {
    for credential in [
        Credential::password("robot", SECRET),
        Credential::anonymous(),
    ] {
        let is_anonymous = credential.is_anonymous();
        let (note, seen) = sync_channel(MAX_REQUESTS);
        let words = challenge.clone();
        let client = client(credential, note, move |request| {
            if request.uri().path().contains("oauth2") {
                return response(StatusCode::OK, &[], TOKENS);
            }
            let headers = [(WWW_AUTHENTICATE, words.clone())];
            response(StatusCode::UNAUTHORIZED, &headers, "")
        });
        let outcome = run(client, async |repository| {
            repository.get_tag_properties("v1").await
        });
        assert!(outcome.is_err(), "everything was refused");
        for (origin, login) in seen.try_iter() {
            if origin != REGISTRY {
                assert!(is_anonymous, "a password may have gone to {origin}");
                assert!(login.is_none(), "{origin} got a header for authorisation");
                assert!(origin.starts_with("https://"), "{origin} is not encrypted");
            }
        }
    }
}

/// Where a request went, and with what header for authorisation.
type Sent = (String, Option<HeaderValue>);

fn client(
    credential: Credential,
    seen: SyncSender<Sent>,
    responses: impl Fn(&Request<Body>) -> Response<String> + Send + Sync + 'static,
) -> ContainerRegistryClient {
    let transport = from_fn(move |request: Request<Body>| {
        let uri = request.uri();
        let (scheme, authority) = (uri.scheme_str(), uri.authority());
        let origin = format!(
            "{}://{}",
            scheme.unwrap_or_default(),
            authority.map_or("", |authority| authority.as_str())
        );
        let login = request.headers().get(AUTHORIZATION).cloned();
        let noted = seen.try_send((origin, login));
        assert!(noted.is_ok(), "the calls do not end");
        std::future::ready(responses(&request))
    });
    ContainerRegistryClient::builder(REGISTRY)
        .credential(credential)
        .transport(transport)
        .retry(RetryOptions::none())
        .limiter(None)
        // Time stands still: every response is there at once, so whoever waits for a timer hangs.
        .clock(VirtualClock::starting_at(SystemTime::UNIX_EPOCH))
        .build()
        .unwrap_or_else(|error| panic!("the settings are fixed: {error}"))
}

/// What a request gets that brings no token, or asks for one.
fn authorised(request: &Request<Body>) -> Option<Response<String>> {
    if request.uri().path() == "/oauth2/token" {
        return Some(response(StatusCode::OK, &[], TOKENS));
    }
    if request.headers().contains_key(AUTHORIZATION) {
        return None;
    }
    let challenge = HeaderValue::from_static(
        "Bearer realm=\"https://registry.example/oauth2/token\",service=\"registry.example\"",
    );
    let headers = [(WWW_AUTHENTICATE, challenge)];
    Some(response(StatusCode::UNAUTHORIZED, &headers, ""))
}

fn run<T>(
    client: ContainerRegistryClient,
    calls: impl AsyncFnOnce(RepositoryClient) -> Result<T, Error>,
) -> Result<T, Error> {
    let repository = client
        .repository_client("app")
        .unwrap_or_else(|error| panic!("the name is fixed: {error}"));
    let mut future = pin!(calls(repository));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..MAX_POLLS {
        if let Poll::Ready(outcome) = future.as_mut().poll(&mut context) {
            if let Err(error) = &outcome {
                error_is_bounded(error);
                error_hides_the_secret(error);
                assert!(
                    error
                        .source()
                        .is_none_or(|source| !source.to_string().is_empty())
                );
            }
            return outcome;
        }
    }
    panic!("a call waits for what never comes");
}

const TOKENS: &str = r#"{"access_token":"an access token","refresh_token":"a refresh token"}"#;
