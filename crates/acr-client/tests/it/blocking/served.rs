//! The two ways to a registry, behind one face.

use acr_client::blocking::{ContainerRegistryClient, RepositoryClient};
use acr_client::transport::{Body, from_fn};
use acr_client::{Credential, Error};
use acr_mock::{AcrMock, Registry};
use http::{Request, Response};

use crate::seeded;

/// A registry and a client of it.
pub(crate) struct Served {
    pub(crate) registry: Registry,
    pub(crate) client: ContainerRegistryClient,
    /// Kept, because it stops when it is dropped.
    _mock: Option<AcrMock>,
}

impl Served {
    /// Behind a function call.
    pub(crate) fn in_process() -> Self {
        let registry = Registry::new();
        let client = seeded::builder("https://mock.azurecr.io")
            .credential(Credential::entra_token("any"))
            .transport(from_fn(registry.handler()))
            .build_blocking();
        Self {
            registry,
            client: client.unwrap(),
            _mock: None,
        }
    }

    /// On a port of this machine, by the default transport.
    pub(crate) fn over_tls() -> Self {
        let mock = AcrMock::start().unwrap();
        Self {
            registry: mock.registry().clone(),
            client: async_client(&mock).build_blocking().unwrap(),
            _mock: Some(mock),
        }
    }

    pub(crate) fn both() -> [Self; 2] {
        [Self::in_process(), Self::over_tls()]
    }

    pub(crate) fn repository(&self, name: &str) -> RepositoryClient {
        self.client.repository_client(name).unwrap()
    }
}

/// Settings for a client of a server.
pub(crate) fn async_client(mock: &AcrMock) -> acr_client::ClientBuilder {
    seeded::builder(mock.endpoint())
        .credential(Credential::entra_token("any"))
        .hyper(|hyper| hyper.root_certificate_pem(mock.ca_pem().unwrap()))
}

/// A repository that a function responds for.
pub(crate) fn over<F>(response: F) -> RepositoryClient
where
    F: Fn(Request<Body>) -> Response<Body> + Send + Sync + 'static,
{
    let transport = from_fn(move |request| std::future::ready(response(request)));
    let client = seeded::builder("https://r.example").transport(transport);
    let client = client.build_blocking().unwrap();
    client.repository_client("app").unwrap()
}

/// The error of this crate that an I/O error has inside.
#[track_caller]
pub(crate) fn inner(error: &std::io::Error) -> &Error {
    error.get_ref().unwrap().downcast_ref().unwrap()
}
