//! A registry, a clock that moves by itself, and clients of both.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use acr_client::transport::OperationContext;
use acr_client::transport::{Body, from_fn};
use acr_client::{ClientBuilder, ContainerRegistryClient, Credential};
use acr_mock::{Registry, RegistryBuilder, RepositorySeed, VirtualClock};
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;

use crate::seeded;

/// The registry's name, by which its realm is known.
pub(crate) const HOST: &str = "mock.azurecr.io";

pub(crate) struct Scene {
    pub(crate) registry: Registry,
    pub(crate) clock: VirtualClock,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request as the transport was given it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// `GET https://mock.azurecr.io/v2/`, with its query.
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) context: OperationContext,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(settings: impl FnOnce(RegistryBuilder) -> RegistryBuilder) -> Self {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let clock = VirtualClock::starting_at(start);
        let builder = Registry::builder().user("ci", "hunter2");
        Self {
            registry: settings(builder.clock(clock.clone())).build(),
            clock,
            seen: Arc::default(),
        }
    }

    pub(crate) fn seed(&self, repository: &str) -> RepositorySeed {
        self.registry.seed(repository).unwrap()
    }

    pub(crate) fn builder(&self, credential: Credential) -> ClientBuilder {
        self.builder_at(&format!("https://{HOST}"), credential)
    }

    pub(crate) fn builder_at(&self, endpoint: &str, credential: Credential) -> ClientBuilder {
        let (registry, seen) = (self.registry.clone(), self.seen.clone());
        seeded::builder(endpoint)
            .credential(credential)
            .transport(from_fn(move |request: Request<Body>| {
                let (registry, seen) = (registry.clone(), seen.clone());
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    seen.lock().unwrap().push(Seen {
                        line: format!("{} {}", head.method, head.uri),
                        headers: head.headers.clone(),
                        body: body.clone(),
                        context: head.extensions.get().cloned().unwrap(),
                    });
                    let request = Request::from_parts(head, http_body_util::Full::new(body));
                    registry.try_handle(request).await
                }
            }))
            .clock(self.clock.clone())
    }

    pub(crate) fn client(&self, credential: Credential) -> ContainerRegistryClient {
        self.builder(credential).build().unwrap()
    }

    /// One who may do everything.
    pub(crate) fn owner(&self) -> ContainerRegistryClient {
        self.client(Credential::entra_token("of the owner"))
    }

    /// Runs to the end, with time passing as it is waited for.
    pub(crate) fn drive<F: Future>(&self, work: F) -> F::Output {
        self.clock.drive(work)
    }

    /// The requests since the last call.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    /// The same, as `GET /v2/`, without what stands before and behind the path.
    pub(crate) fn paths(&self) -> Vec<String> {
        let path = |seen: &Seen| {
            let (method, url) = seen.line.split_once(' ').unwrap();
            let uri: http::Uri = url.parse().unwrap();
            format!("{method} {}", uri.path())
        };
        self.seen().iter().map(path).collect()
    }

    /// How many requests of an operation came to the registry.
    pub(crate) fn count(&self, operation: &str) -> u64 {
        self.registry.requests().of(operation).unwrap()
    }

    /// How long the work takes by the clock.
    pub(crate) fn timed<F: Future>(&self, work: F) -> (F::Output, Duration) {
        let start = self.clock.now();
        let output = self.drive(work);
        (output, self.clock.now().duration_since(start).unwrap())
    }
}

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) const EXCHANGE: &str = "POST /oauth2/exchange";
pub(crate) const TOKEN: &str = "POST /oauth2/token";
