//! The two ways to a registry, in process and over TCP, behind one face.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use acr_client::transport::{Body, from_fn};
use acr_client::{ClientBuilder, ContainerRegistryClient, Credential, RepositoryClient};
#[cfg(feature = "hyper")]
use acr_mock::{AcrMock, ServerEvent};
use acr_mock::{Registry, RegistryBuilder, RepositorySeed, VirtualClock};
use http::Request;

use crate::seeded;

/// When every test begins, so that times in bodies can be written out.
pub(crate) const START: &str = "2023-02-15T08:59:14.3176692Z";
/// Where a registry in process is.
pub(crate) const HOST: &str = "mock.azurecr.io";

/// How the client reaches the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// By a function call.
    InProcess,
    /// Over TLS on a port of this machine, with the default transport.
    #[cfg(feature = "hyper")]
    OverTcp,
}

/// A registry on a clock that the test moves, and the way to it.
pub(crate) struct Served {
    pub(crate) registry: Registry,
    pub(crate) clock: VirtualClock,
    seen: Arc<Mutex<Vec<String>>>,
    #[cfg(feature = "hyper")]
    mock: Option<AcrMock>,
}

impl Served {
    /// In process, with the usual settings.
    pub(crate) fn new() -> Self {
        Self::on(Backend::InProcess, |builder| builder)
    }

    pub(crate) fn on(
        backend: Backend,
        settings: impl FnOnce(RegistryBuilder) -> RegistryBuilder,
    ) -> Self {
        let start = SystemTime::UNIX_EPOCH + Duration::new(1_676_451_554, 317_669_200);
        let clock = VirtualClock::starting_at(start);
        let registry = settings(Registry::builder().clock(clock.clone())).build();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        #[cfg(feature = "hyper")]
        let mock = (backend == Backend::OverTcp).then(|| {
            let seen = seen.clone();
            let mock = AcrMock::builder()
                .registry(registry.clone())
                .on_event(move |event| {
                    if let ServerEvent::Request { method, path, .. } = event {
                        seen.lock().unwrap().push(format!("{method} {path}"));
                    }
                });
            mock.start().unwrap()
        });
        #[cfg(not(feature = "hyper"))]
        assert_eq!(backend, Backend::InProcess);
        Self {
            registry,
            clock,
            seen,
            #[cfg(feature = "hyper")]
            mock,
        }
    }

    pub(crate) fn seed(&self, repository: &str) -> RepositorySeed {
        self.registry.seed(repository).unwrap()
    }

    /// The requests that have come since the last call, without their queries.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    /// How the registry is called by its clients.
    pub(crate) fn login_server(&self) -> String {
        #[cfg(feature = "hyper")]
        if let Some(mock) = &self.mock {
            return mock.login_server().to_owned();
        }
        HOST.to_owned()
    }

    pub(crate) fn builder(&self, credential: Credential) -> ClientBuilder {
        let builder = seeded::builder(format!("https://{}", self.login_server()))
            .credential(credential)
            // In process as over TCP, where the registry's host tells nothing.
            .assume_azure_auth(false)
            // The clock stands still unless a test moves it, so a wait for the next second of the
            // registry would not end.
            .limiter(None)
            .clock(self.clock.clone());
        #[cfg(feature = "hyper")]
        if let Some(mock) = &self.mock {
            let transport = acr_client::transport::HyperTransport::builder()
                .platform_roots(false)
                .root_certificate_pem(mock.ca_pem().unwrap());
            return builder.transport(transport.build().unwrap());
        }
        let (registry, seen) = (self.registry.clone(), self.seen.clone());
        builder.transport(from_fn(move |request: Request<Body>| {
            let line = format!("{} {}", request.method(), request.uri().path());
            seen.lock().unwrap().push(line);
            registry.handle(request)
        }))
    }

    pub(crate) fn client(&self, credential: Credential) -> ContainerRegistryClient {
        self.builder(credential).build().unwrap()
    }

    /// One who may do everything.
    pub(crate) fn owner(&self) -> ContainerRegistryClient {
        self.client(Credential::entra_token("of the owner"))
    }

    /// A repository, for one who may do everything.
    pub(crate) fn repository(&self, name: &str) -> RepositoryClient {
        self.owner().repository_client(name).unwrap()
    }
}

/// Makes a test of each function on each backend. One that is not named here is not used, which is an error.
macro_rules! on_every_backend {
    ($($test:ident)*) => {
        mod in_process {
            use crate::suite::backend::Backend;
            $(#[tokio::test]
            async fn $test() {
                super::$test(Backend::InProcess).await;
            })*
        }

        #[cfg(feature = "hyper")]
        mod over_tcp {
            use crate::suite::backend::Backend;
            $(#[tokio::test]
            async fn $test() {
                super::$test(Backend::OverTcp).await;
            })*
        }
    };
}
pub(crate) use on_every_backend;
