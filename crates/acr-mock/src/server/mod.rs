//! The registry over TCP: HTTPS (or plain http) on a thread of its own.
//!
//! Responsible for ports, TLS, HTTP/1.1, the mock's own paths and a clean end. It stops at the request: what a path
//! means is the [`Registry`]'s matter, which is told by an [`Origin`] how the client came.

mod builder;
mod connection;
mod environment;
mod event;
mod listen;
mod local;
mod names;
mod no_proxy;
mod production;
mod proxy;
mod ready;
mod request_body;
mod reserved;
mod run;
mod start_error;
#[cfg(test)]
mod tests;
mod timeouts;
mod trust;

use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::panic::resume_unwind;
use std::thread;

pub use self::builder::AcrMockBuilder;
pub use self::environment::{Environment, EnvironmentOptions, SignIn, UnknownSignIn};
pub use self::event::ServerEvent;
pub use self::production::{InvalidRegistryName, RegistryName};
pub use self::ready::Ready;
use self::run::ServerThread;
pub use self::start_error::StartError;
use crate::entra::IDENTITY_PATH;
use crate::{Origin, Registry};

/// A running registry: two ports of this machine, one thread, and the [`Registry`] itself, to which it derefs.
///
/// The registry's host is `127.0.0.1`, that of the data origin (where blobs are read) is `localhost`: clients tell
/// origins apart by host. Both speak HTTP/1.1, over TLS with one certificate under a CA made for this server alone.
/// `GET /_mock/health` and `GET /_mock/ca.pem` need no token.
///
/// It runs until it is dropped. Dropping waits until the thread has ended, which takes less than a second, and
/// passes on the first panic of a connection, so that no test is green whose server panicked.
///
/// ```
/// # fn main() -> Result<(), acr_mock::StartError> {
/// let mock = acr_mock::AcrMock::start()?;
/// assert!(mock.endpoint().starts_with("https://127.0.0.1:"));
/// assert!(mock.data_endpoint().starts_with("https://localhost:"));
/// let ca = mock.ca_pem().expect("https is the default"); // for the client to trust
/// assert!(ca.starts_with("-----BEGIN CERTIFICATE-----"));
/// # Ok(())
/// # }
/// ```
pub struct AcrMock {
    registry: Registry,
    thread: ServerThread,
    address: SocketAddr,
    origin: Origin,
    ca_pem: Option<String>,
    authority: Option<String>,
    /// The URL of the local port, and the secret of its identity endpoint.
    local: Option<(String, String)>,
    registry_name: Option<RegistryName>,
}

impl AcrMock {
    /// Starts a new registry over TLS at a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// [`StartError`], if the machine has no free port or refuses a thread.
    pub fn start() -> Result<Self, StartError> {
        Self::builder().start()
    }

    /// Starts with other settings: plain http, another address, further host names, a registry of your own.
    pub fn builder() -> AcrMockBuilder {
        AcrMockBuilder::new()
    }

    /// The registry that is served; changes made here are seen by all clients.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The registry's URL, `https://127.0.0.1:PORT`: what a client takes as its endpoint.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.origin.base_url()
    }

    /// The data origin's URL, `https://localhost:PORT`, for a client that came by [`endpoint`](Self::endpoint).
    #[must_use]
    pub fn data_endpoint(&self) -> String {
        self.origin.data_base_url()
    }

    /// The host and port of the endpoint, as in `docker login` and in image references.
    #[must_use]
    pub fn login_server(&self) -> &str {
        self.origin.authority()
    }

    /// The address that the registry's port is bound to, wildcard included.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of the CA that clients must trust, as PEM; `None` over plain http.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// The authority of the fake Entra ID, `https://127.0.0.1:PORT`: what `AZURE_AUTHORITY_HOST` takes. `None` over plain
    /// http, or where it is turned off.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// The local port, `http://127.0.0.1:PORT`; `None` where it is turned off.
    #[must_use]
    pub fn local_endpoint(&self) -> Option<&str> {
        self.local.as_ref().map(|(url, _)| url.as_str())
    }

    /// What `IDENTITY_ENDPOINT` takes, so that `DefaultAzureCredential` of every language gets tokens of the registry's
    /// managed identities, as in Azure App Service.
    #[must_use]
    pub fn identity_endpoint(&self) -> Option<String> {
        let (url, _) = self.local.as_ref()?;
        Some(format!("{url}{IDENTITY_PATH}"))
    }

    /// What `IDENTITY_HEADER` takes beside it.
    #[must_use]
    pub fn identity_header(&self) -> Option<&str> {
        self.local.as_ref().map(|(_, header)| header.as_str())
    }

    /// The production name that this registry has for clients of [`proxy`](Self::proxy).
    #[must_use]
    pub fn registry_name(&self) -> Option<&RegistryName> {
        self.registry_name.as_ref()
    }

    /// What `HTTPS_PROXY` takes, so that a program finds the registry by its production name. `None` where it has none.
    #[must_use]
    pub fn proxy(&self) -> Option<&str> {
        self.registry_name.as_ref()?;
        self.local_endpoint()
    }

    /// Is ready once a connection has panicked, for who waits for something else: a mock that failed makes tests of it
    /// wait for nothing. It is never ready where none does.
    pub fn panicked(&self) -> impl Future<Output = ()> + Send + use<> {
        self.thread.panicked()
    }

    /// Stops: no new connections, half a second for requests in progress, then the end of the thread.
    ///
    /// It blocks until then. Dropping does the same.
    ///
    /// # Panics
    ///
    /// With the panic of a connection, if one panicked; see [`try_shutdown`](Self::try_shutdown).
    pub fn shutdown(self) {
        drop(self);
    }

    /// Stops like [`shutdown`](Self::shutdown), and returns a panic of a connection instead of passing it on.
    ///
    /// # Errors
    ///
    /// What the first panic carried, as [`std::thread::JoinHandle::join`] has it.
    pub fn try_shutdown(mut self) -> thread::Result<()> {
        self.thread.stop()
    }
}

impl Deref for AcrMock {
    type Target = Registry;

    fn deref(&self) -> &Registry {
        &self.registry
    }
}

impl Drop for AcrMock {
    fn drop(&mut self) {
        if let Err(panic) = self.thread.stop()
            && !thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

impl fmt::Debug for AcrMock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AcrMock")
            .field("endpoint", &self.endpoint())
            .field("data_endpoint", &self.data_endpoint())
            .finish_non_exhaustive()
    }
}
