//! What signing in costs, and how long tokens are used: counted in the same process, on a clock that
//! the tests move.

use crate::seeded;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use acr_client::transport::{Body, from_fn};
use acr_client::{ClientBuilder, ContainerRegistryClient, Credential, ErrorKind, RetryOptions};
use acr_mock::{Registry, VirtualClock};
use futures_util::future::join_all;
use http::Request;

/// When every test begins, whatever the time of day.
fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

/// A registry with a repository `a` and a repository `b`, and a clock.
struct Scene {
    registry: Registry,
    clock: VirtualClock,
    sent: Arc<Mutex<Vec<String>>>,
}

impl Scene {
    fn new() -> Self {
        let clock = VirtualClock::starting_at(start());
        let registry = Registry::builder()
            .anonymous_pull(true)
            .user("robot", "password")
            .clock(clock.clone())
            .build();
        for name in ["a", "b"] {
            registry.seed(name).unwrap().image("v1").unwrap();
        }
        Self {
            registry,
            clock,
            sent: Arc::default(),
        }
    }

    fn builder(&self, credential: Credential) -> ClientBuilder {
        let (registry, sent) = (self.registry.clone(), self.sent.clone());
        seeded::builder("https://mock.azurecr.io")
            .credential(credential)
            .assume_azure_auth(false)
            .transport(from_fn(move |request: Request<Body>| {
                let line = format!("{} {}", request.method(), request.uri().path());
                sent.lock().unwrap().push(line);
                registry.handle(request)
            }))
            .clock(self.clock.clone())
    }

    fn client(&self, credential: Credential) -> ContainerRegistryClient {
        self.builder(credential).build().unwrap()
    }

    /// The requests since the last call.
    fn sent(&self) -> Vec<String> {
        std::mem::take(&mut self.sent.lock().unwrap())
    }
}

fn entra() -> Credential {
    Credential::entra_token("any")
}

const TAG: &str = "GET /acr/v1/a/_tags/v1";
const EXCHANGE: &str = "POST /oauth2/exchange";
const TOKEN: &str = "POST /oauth2/token";

#[tokio::test]
async fn the_first_call_costs_four_requests_and_each_further_one_of_its_scope_one() {
    let scene = Scene::new();
    let client = scene.client(entra());
    let a = client.repository_client("a").unwrap();
    a.get_tag_properties("v1").await.unwrap();
    assert_eq!(scene.sent(), [TAG, EXCHANGE, TOKEN, TAG]);
    a.get_tag_properties("v1").await.unwrap();
    client.get_repository_properties("a").await.unwrap();
    assert_eq!(scene.sent(), [TAG, "GET /acr/v1/a"]);
}

#[tokio::test]
async fn a_further_scope_costs_one_more_request_once() {
    let scene = Scene::new();
    let client = scene.client(entra());
    client.get_repository_properties("a").await.unwrap();
    scene.sent();
    for _ in 0..2 {
        client.get_repository_properties("b").await.unwrap();
        client.get_repository_properties("a").await.unwrap();
    }
    let (a, b) = ("GET /acr/v1/a", "GET /acr/v1/b");
    assert_eq!(scene.sent(), [TOKEN, b, a, b, a]);
}

#[tokio::test]
async fn a_token_to_push_serves_to_pull() {
    let scene = Scene::new();
    let a = scene.client(entra()).repository_client("a").unwrap();
    let blob = a.upload_blob(b"layer").await.unwrap();
    scene.sent();
    a.head_blob(&blob.digest).await.unwrap().unwrap();
    assert_eq!(scene.sent().len(), 1);
}

#[tokio::test]
async fn anonymous_costs_three_requests_first() {
    let scene = Scene::new();
    let a = scene.client(Credential::anonymous()).repository_client("a");
    let a = a.unwrap();
    a.get_tag_properties("v1").await.unwrap();
    assert_eq!(scene.sent(), [TAG, TOKEN, TAG]);
    a.get_tag_properties("v1").await.unwrap();
    assert_eq!(scene.sent(), [TAG]);
}

#[tokio::test]
async fn a_password_costs_three_requests_first() {
    let scene = Scene::new();
    let credential = Credential::password("robot", "password");
    let a = scene.client(credential).repository_client("a").unwrap();
    a.get_tag_properties("v1").await.unwrap();
    assert_eq!(scene.sent(), [TAG, "GET /oauth2/token", TAG]);
}

#[tokio::test]
async fn callers_at_once_share_one_exchange_and_one_token_per_scope() {
    let scene = Scene::new();
    let client = scene.client(entra());
    let (a, b) = (
        client.repository_client("a").unwrap(),
        client.repository_client("b").unwrap(),
    );
    let calls = (0..20).map(|index| {
        let repository = if index % 2 == 0 { &a } else { &b };
        repository.get_tag_properties("v1")
    });
    for result in join_all(calls).await {
        result.unwrap();
    }
    let sent = scene.sent();
    let count = |line: &str| sent.iter().filter(|sent| *sent == line).count();
    assert_eq!((count(EXCHANGE), count(TOKEN)), (1, 2), "{sent:?}");
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_the_refresh_token_is_kept() {
    let scene = Scene::new();
    let a = scene.client(entra()).repository_client("a").unwrap();
    a.get_tag_properties("v1").await.unwrap();
    scene.sent();
    scene.clock.advance(Duration::from_secs(67 * 60));
    a.get_tag_properties("v1").await.unwrap();
    assert_eq!(scene.sent(), [TAG], "an access token lives for 75 minutes");
    scene.clock.advance(Duration::from_secs(2 * 60));
    a.get_tag_properties("v1").await.unwrap();
    assert_eq!(scene.sent(), [TOKEN, TAG]);
    scene.clock.advance(Duration::from_secs(4 * 60 * 60));
    a.get_tag_properties("v1").await.unwrap();
    assert_eq!(scene.sent(), [EXCHANGE, TOKEN, TAG]);
}

#[tokio::test]
async fn a_right_that_the_identity_lacks_is_denied_and_named() {
    let scene = Scene::new();
    let a = scene.client(Credential::anonymous()).repository_client("a");
    let a = a.unwrap();
    let error = a.delete_tag("v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert_eq!(error.missing_scope(), Some("repository:a:delete"));
    assert_eq!(error.reference(), Some("v1"));
    assert!(error.request_id().is_some());
}

#[tokio::test]
async fn a_wrong_password_is_unauthorized_and_does_not_show() {
    let scene = Scene::new();
    let credential = Credential::password("robot", "hunter2");
    let error = scene.client(credential).ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_ping_needs_some_token_and_takes_any() {
    let scene = Scene::new();
    let client = scene.client(entra());
    client.ping().await.unwrap();
    assert_eq!(scene.sent(), ["GET /v2/", EXCHANGE, TOKEN, "GET /v2/"]);
    client.get_repository_properties("a").await.unwrap();
    scene.sent();
    client.ping().await.unwrap();
    assert_eq!(scene.sent(), ["GET /v2/"]);
}

#[tokio::test]
async fn a_blob_comes_from_the_data_origin_in_ranges_too() {
    let scene = Scene::new();
    let a = scene.client(entra()).repository_client("a").unwrap();
    let blob = a.upload_blob(b"0123456789").await.unwrap();
    let whole = a.download_blob(&blob.digest).await.unwrap();
    assert_eq!(whole.content_length(), Some(10));
    assert_eq!(whole.bytes(10).await.unwrap(), "0123456789");
    for (range, expected) in [(2..5, "234"), (8..100, "89")] {
        let part = a.get_blob(&blob.digest, range).await.unwrap();
        assert_eq!(part.bytes(10).await.unwrap(), expected);
    }
    let error = a.get_blob(&blob.digest, 10..).await.unwrap_err();
    assert_eq!(error.status().unwrap(), 416);
}

#[test]
fn a_server_that_falls_silent_ends_in_a_timeout() {
    let clock = VirtualClock::starting_at(start());
    let client = seeded::builder("https://mock.azurecr.io")
        .transport(from_fn(|_| std::future::pending::<http::Response<Body>>()))
        .clock(clock.clone())
        .idle_timeout(Duration::from_secs(90))
        .retry(RetryOptions::none())
        .build()
        .unwrap();
    let start = clock.now();
    let error = clock.drive(client.ping()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(clock.now(), start + Duration::from_secs(90));
}

#[test]
fn nothing_here_needs_a_runtime() {
    let scene = Scene::new();
    let client = scene.client(entra());
    let names = scene
        .clock
        .drive(client.list_repository_names().collect_all());
    assert_eq!(names.unwrap(), ["a", "b"]);
}
