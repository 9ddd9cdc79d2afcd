//! Registries under names of their own, on one clock.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use acr_client::transport::{Body, from_fn};
use acr_client::{Credential, RepositoryClient};
use acr_mock::{Registry, RegistryBuilder, RepositorySeed, VirtualClock};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};

use crate::seeded;

/// A registry in process, and what was asked of it.
pub(super) struct Site {
    pub(super) registry: Registry,
    host: &'static str,
    clock: VirtualClock,
    seen: Arc<Mutex<Vec<String>>>,
    listed: Arc<Mutex<Option<Bytes>>>,
    refuses_mounts: bool,
    narrow_tokens: bool,
    hides_lengths: bool,
    is_terse: bool,
}

impl Site {
    pub(super) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(super) fn with(settings: impl FnOnce(RegistryBuilder) -> RegistryBuilder) -> Self {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        Self::on(VirtualClock::starting_at(start), "one.azurecr.io", settings)
    }

    /// Another registry on the same clock.
    pub(super) fn other(&self) -> Self {
        Self::on(self.clock.clone(), "other.azurecr.io", |builder| builder)
    }

    /// One that is not Azure's, each under a name of its own.
    pub(super) fn elsewhere(
        &self,
        host: &'static str,
        settings: impl FnOnce(RegistryBuilder) -> RegistryBuilder,
    ) -> Self {
        Self::on(self.clock.clone(), host, settings)
    }

    /// One that begins an upload where a blob is to be mounted.
    pub(super) fn without_mounts(mut self) -> Self {
        self.refuses_mounts = true;
        self
    }

    /// One that gives no token for two repositories.
    pub(super) fn with_narrow_tokens(mut self) -> Self {
        self.narrow_tokens = true;
        self
    }

    /// One that does not say how long blobs are.
    pub(super) fn without_lengths(mut self) -> Self {
        self.hides_lengths = true;
        self
    }

    /// One that says of what it does not find no more than that, as some do of uploads.
    pub(super) fn terse(mut self) -> Self {
        self.is_terse = true;
        self
    }

    /// From now on every list of referrers is this.
    pub(super) fn lists(&self, index: Bytes) {
        *self.listed.lock().unwrap() = Some(index);
    }

    /// Runs to the end, with time passing as it is waited for.
    pub(super) fn drive<F: Future>(&self, work: F) -> F::Output {
        self.clock.drive(work)
    }

    fn on(
        clock: VirtualClock,
        host: &'static str,
        settings: impl FnOnce(RegistryBuilder) -> RegistryBuilder,
    ) -> Self {
        Self {
            registry: settings(Registry::builder().clock(clock.clone())).build(),
            host,
            clock,
            seen: Arc::default(),
            listed: Arc::default(),
            refuses_mounts: false,
            narrow_tokens: false,
            hides_lengths: false,
            is_terse: false,
        }
    }

    pub(super) fn seed(&self, repository: &str) -> RepositorySeed {
        self.registry.seed(repository).unwrap()
    }

    /// A repository, for one who may do everything.
    pub(super) fn repository(&self, name: &str) -> RepositoryClient {
        let (registry, seen) = (self.registry.clone(), self.seen.clone());
        let (listed, refuses_mounts) = (self.listed.clone(), self.refuses_mounts);
        let (narrow_tokens, hides_lengths) = (self.narrow_tokens, self.hides_lengths);
        let is_terse = self.is_terse;
        let client = seeded::builder(format!("https://{}", self.host))
            .credential(Credential::entra_token("of the owner"))
            .clock(self.clock.clone())
            .transport(from_fn(move |mut request: Request<Body>| {
                if refuses_mounts && request.method() == Method::POST {
                    // Without its query it is a request for an upload.
                    *request.uri_mut() = request.uri().path().parse().unwrap();
                }
                let (registry, seen) = (registry.clone(), seen.clone());
                let listed = listed.lock().unwrap().clone();
                async move {
                    let line = format!("{} {}", request.method(), request.uri().path());
                    let is_list = line.contains("/referrers/");
                    // Neither tokens, nor the ping before a request with a body, nor where the bytes are.
                    if line.contains("/v2/") && !line.ends_with("/v2/") {
                        seen.lock().unwrap().push(line.clone());
                    }
                    if narrow_tokens && line.ends_with("/oauth2/token") {
                        let (head, body) = request.into_parts();
                        let body = body.read(1 << 16).await.unwrap();
                        let text = String::from_utf8_lossy(&body);
                        if text.matches("repository%3A").count() > 1 {
                            let mut response = Response::new(Body::empty());
                            *response.status_mut() = StatusCode::UNAUTHORIZED;
                            return Ok(response);
                        }
                        request = Request::from_parts(head, Body::bytes(body));
                    }
                    let is_data = line.starts_with("GET") && line.contains("/blobs/");
                    let response = registry.try_handle(request).await;
                    let response = response.map(|response| match response.status() {
                        StatusCode::NOT_FOUND if is_terse => response.map(|_| Body::empty()),
                        _ => response.map(Body::new),
                    });
                    let response = response.map(|mut response| {
                        if hides_lengths && is_data {
                            response.headers_mut().remove(CONTENT_LENGTH);
                        }
                        response
                    });
                    match listed.filter(|_| is_list) {
                        Some(index) => response.map(|_| {
                            let mut response = Response::new(Body::bytes(index));
                            let media_type = HeaderValue::from_static(OCI_INDEX);
                            response.headers_mut().insert(CONTENT_TYPE, media_type);
                            response
                        }),
                        None => response,
                    }
                }
            }));
        client.build().unwrap().repository_client(name).unwrap()
    }

    /// The requests since the last call, `GET /v2/app/manifests/v1`, without their queries.
    pub(super) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
