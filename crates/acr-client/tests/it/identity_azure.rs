//! Credentials of the Azure SDK on the mock, in the same process.

use crate::seeded;

use std::error::Error as _;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use acr_client::auth::Audience;
use acr_client::transport::from_fn;
use acr_client::{Advice, ClientBuilder, Credential, Error, ErrorKind};
use acr_mock::{Registry, VirtualClock};
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind as SdkErrorKind;

/// When every test begins, whatever the time of day.
fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

/// Brings one token, or fails as it is told to, and notes what it is asked for.
#[derive(Debug)]
struct Scripted {
    token: &'static str,
    fails: Option<fn() -> azure_core::Error>,
    asked: Mutex<Vec<String>>,
    clock: VirtualClock,
}

impl Scripted {
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

#[acr_client::async_trait]
impl TokenCredential for Scripted {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        assert!(options.is_none());
        self.asked.lock().unwrap().push(scopes.join(" "));
        match self.fails {
            Some(error) => Err(error()),
            None => {
                let end = self.clock.now() + Duration::from_secs(3600);
                Ok(AccessToken::new(self.token, end.into()))
            }
        }
    }
}

/// A registry that takes the token `good`, and a credential.
struct Scene {
    registry: Registry,
    clock: VirtualClock,
    credential: Arc<Scripted>,
}

impl Scene {
    fn new(token: &'static str, fails: Option<fn() -> azure_core::Error>) -> Self {
        let clock = VirtualClock::starting_at(start());
        let registry = Registry::builder()
            .entra_token("good", "registry:catalog:*".parse().unwrap())
            .clock(clock.clone())
            .build();
        let credential = Arc::new(Scripted {
            token,
            fails,
            asked: Mutex::default(),
            clock: clock.clone(),
        });
        Self {
            registry,
            clock,
            credential,
        }
    }

    fn builder(&self, endpoint: &str) -> ClientBuilder {
        seeded::builder(endpoint)
            .credential(Credential::token_credential(self.credential.clone()))
            .transport(from_fn(self.registry.handler()))
            .clock(self.clock.clone())
    }

    async fn list(&self, endpoint: &str) -> Result<(), Error> {
        let client = self.builder(endpoint).build()?;
        let end = client.list_repository_names().try_next().await?;
        assert_eq!(end, None);
        Ok(())
    }
}

const ENDPOINT: &str = "https://mock.azurecr.io";

/// The texts of an error and its sources, and its debug text.
fn texts(error: &Error) -> (Vec<String>, String) {
    let mut chain = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        chain.push(cause.to_string());
        source = cause.source();
    }
    (chain, format!("{error:?}"))
}

#[tokio::test]
async fn a_credential_of_the_sdk_signs_in_and_is_asked_once() {
    let scene = Scene::new("good", None);
    let client = scene.builder(ENDPOINT).build().unwrap();
    for _ in 0..3 {
        client.list_repository_names().try_next().await.unwrap();
    }
    assert_eq!(
        scene.credential.asked(),
        ["https://containerregistry.azure.net/.default"]
    );
}

#[tokio::test]
async fn the_scope_follows_the_cloud_and_the_builders_audience() {
    for (endpoint, scope) in [
        (ENDPOINT, "https://containerregistry.azure.net/.default"),
        (
            "https://mock.azurecr.cn",
            "https://containerregistry.azure.cn/.default",
        ),
        (
            "https://mock.azurecr.us",
            "https://containerregistry.azure.us/.default",
        ),
    ] {
        let scene = Scene::new("good", None);
        scene.list(endpoint).await.unwrap();
        assert_eq!(scene.credential.asked(), [scope]);
    }
    let scene = Scene::new("good", None);
    let builder = scene.builder(ENDPOINT);
    let builder = builder.audience(Audience::RESOURCE_MANAGER_CHINA);
    let client = builder.build().unwrap();
    client.list_repository_names().try_next().await.unwrap();
    assert_eq!(
        scene.credential.asked(),
        ["https://management.chinacloudapi.cn/.default"]
    );
}

#[tokio::test]
async fn a_credential_that_fails_is_an_error_of_the_credential_with_its_reason() {
    let scene = Scene::new("good", {
        Some(|| {
            azure_core::Error::with_error(
                SdkErrorKind::Credential,
                io::Error::new(io::ErrorKind::NotFound, "az was not found"),
                "AzureCliCredential authentication failed",
            )
        })
    });
    let error = scene.list(ENDPOINT).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credential);
    assert_eq!(error.advice(), Advice::NewToken);
    let (chain, _) = texts(&error);
    assert!(
        chain[0].contains("https://containerregistry.azure.net"),
        "{chain:?}"
    );
    assert_eq!(
        chain[1..],
        [
            "AzureCliCredential authentication failed",
            "az was not found"
        ]
    );
}

#[tokio::test]
async fn an_empty_token_is_an_error_of_the_credential() {
    let error = Scene::new("", None).list(ENDPOINT).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credential);
}

#[tokio::test]
async fn no_secret_is_in_an_error_or_in_debug() {
    // What the token service responded, as the SDK keeps and shows it.
    let response: fn() -> azure_core::Error = || {
        use azure_core::http::{RawResponse, headers::Headers};
        let body = r#"{"refresh_token":"hunter2"}"#;
        let mut headers = Headers::new();
        headers.insert("set-cookie", "hunter2");
        let response = RawResponse::from_bytes(400.into(), headers, body);
        let kind = SdkErrorKind::HttpResponse {
            status: 400.into(),
            error_code: None,
            raw_response: Some(Box::new(response)),
        };
        azure_core::Error::with_message(kind, body)
    };
    // What a tool printed.
    let printed: fn() -> azure_core::Error = || {
        let text = r#"cannot read {"accessToken": "hunter2"}"#;
        azure_core::Error::with_message(SdkErrorKind::Credential, text)
    };
    // A token that the registry refuses.
    for (token, fails) in [
        ("good", Some(response)),
        ("good", Some(printed)),
        ("hunter2", None),
    ] {
        let scene = Scene::new(token, fails);
        let error = scene.list(ENDPOINT).await.unwrap_err();
        let (chain, debug) = texts(&error);
        for text in chain.iter().chain([&debug]) {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
    // The one credential of these tests shows its token in its debug text.
    let scene = Scene::new("hunter2", None);
    assert!(format!("{:?}", scene.credential).contains("hunter2"));
    let builder = scene.builder(ENDPOINT);
    let mut text = format!("{builder:?}");
    text += &format!("{:?}", builder.build().unwrap());
    assert!(!text.contains("hunter2"), "{text}");
}
