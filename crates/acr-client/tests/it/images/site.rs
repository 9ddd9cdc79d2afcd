//! Registries under names of their own, on one clock.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use acr_client::transport::{Body, from_fn};
use acr_client::{Credential, RepositoryClient};
use acr_mock::{Registry, RegistryBuilder, RepositorySeed, VirtualClock};
use http::Request;

use crate::seeded;

/// A registry in process, and what was asked of it.
pub(super) struct Site {
    pub(super) registry: Registry,
    host: &'static str,
    clock: VirtualClock,
    seen: Arc<Mutex<Vec<String>>>,
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
        }
    }

    pub(super) fn seed(&self, repository: &str) -> RepositorySeed {
        self.registry.seed(repository).unwrap()
    }

    /// A repository, for one who may do everything.
    pub(super) fn repository(&self, name: &str) -> RepositoryClient {
        let (registry, seen) = (self.registry.clone(), self.seen.clone());
        let client = seeded::builder(format!("https://{}", self.host))
            .credential(Credential::entra_token("of the owner"))
            .clock(self.clock.clone())
            .transport(from_fn(move |request: Request<Body>| {
                let (registry, seen) = (registry.clone(), seen.clone());
                async move {
                    let line = format!("{} {}", request.method(), request.uri().path());
                    // Neither tokens, nor the ping before a request with a body, nor where the bytes are.
                    if line.contains("/v2/") && !line.ends_with("/v2/") {
                        seen.lock().unwrap().push(line);
                    }
                    registry.try_handle(request).await
                }
            }));
        client.build().unwrap().repository_client(name).unwrap()
    }

    /// The requests since the last call, `GET /v2/app/manifests/v1`, without their queries.
    pub(super) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}
