use std::fmt;

use acr_protocol::{RepositoryName, Timestamp};

use super::repository::RepositoryClient;
use super::runtime::Runtime;
use crate::argument::Argument;
use crate::call_options::CallOptions;
use crate::client::ClientBuilder;
use crate::error::Error;

/// A registry, for programs without an async runtime.
///
/// The twin of [`acr_client::ContainerRegistryClient`](crate::ContainerRegistryClient). The
/// [module](super) says how calls are carried out, and where they are refused.
#[derive(Clone)]
pub struct ContainerRegistryClient {
    pub(super) inner: crate::ContainerRegistryClient,
    pub(super) runtime: Runtime,
}

impl ContainerRegistryClient {
    /// Creates a client for the registry at an endpoint such as `https://name.azurecr.io`.
    ///
    /// It has the default transport and clock. Sends nothing.
    ///
    /// # Errors
    ///
    /// Those of the async [`new`](crate::ContainerRegistryClient::new) and of [`over`](Self::over).
    pub fn new(
        endpoint: impl Into<String>,
        credential: crate::auth::Credential,
    ) -> Result<Self, Error> {
        Self::over(crate::ContainerRegistryClient::new(endpoint, credential)?)
    }

    /// Creates a client with the endpoint and credential that the environment names; the
    /// [crate's front page](crate#environment) lists the variables.
    ///
    /// # Errors
    ///
    /// Those of the async [`from_env`](crate::ContainerRegistryClient::from_env) and of
    /// [`over`](Self::over).
    pub fn from_env() -> Result<Self, Error> {
        Self::over(crate::ContainerRegistryClient::from_env()?)
    }

    /// Starts building a client for the registry at an endpoint such as `https://name.azurecr.io`;
    /// [`build_blocking`](ClientBuilder::build_blocking) ends it.
    ///
    /// The settings are those of the async [`builder`](crate::ContainerRegistryClient::builder).
    pub fn builder(endpoint: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(endpoint)
    }

    /// Puts a blocking face on an async client, with which it shares connections and tokens.
    ///
    /// A connection is driven by the runtime of the call that opened it: by the thread of the blocking
    /// client, or by the runtime of the async one. It stands still while that one does not run, and
    /// breaks when it ends; a call that uses it then fails with
    /// [`Timeout`](crate::ErrorKind::Timeout) or [`Transport`](crate::ErrorKind::Transport). So for
    /// both at the same time, build two clients.
    ///
    /// ```
    /// use acr_client::{ContainerRegistryClient, blocking};
    ///
    /// let client = ContainerRegistryClient::builder("https://name.azurecr.io").build()?;
    /// let client = blocking::ContainerRegistryClient::over(client)?;
    /// # Ok::<(), acr_client::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) when the system has no more threads or files.
    pub fn over(client: crate::ContainerRegistryClient) -> Result<Self, Error> {
        Ok(Self {
            inner: client,
            runtime: Runtime::start()?,
        })
    }

    /// Returns the endpoint as an URL without a slash at its end, as the async
    /// [`endpoint`](crate::ContainerRegistryClient::endpoint) does.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.inner.endpoint()
    }

    /// Returns the current time by the client's clock, as the async
    /// [`now`](crate::ContainerRegistryClient::now) does.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.now()
    }

    /// Returns a handle whose calls have these options, as the async
    /// [`with`](crate::ContainerRegistryClient::with) does.
    #[must_use]
    pub fn with(&self, options: CallOptions) -> Self {
        Self {
            inner: self.inner.with(options),
            runtime: self.runtime.clone(),
        }
    }

    /// Returns a handle for one repository. Sends nothing; the repository need not exist.
    ///
    /// # Errors
    ///
    /// Those of the async
    /// [`repository_client`](crate::ContainerRegistryClient::repository_client).
    pub fn repository_client(
        &self,
        name: impl Argument<RepositoryName>,
    ) -> Result<RepositoryClient, Error> {
        let inner = self.inner.repository_client(name)?;
        Ok(RepositoryClient::new(inner, self.runtime.clone()))
    }
}

impl ClientBuilder {
    /// Builds a client for programs without an async runtime. Sends nothing, but starts the thread
    /// [behind it](crate::blocking#the-thread-behind-it).
    ///
    /// ```
    /// use acr_client::blocking::ContainerRegistryClient;
    ///
    /// let client = ContainerRegistryClient::builder("https://name.azurecr.io")
    ///     .application("tool/1.0")
    ///     .build_blocking()?;
    /// # Ok::<(), acr_client::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`build`](Self::build) and of
    /// [`over`](crate::blocking::ContainerRegistryClient::over).
    pub fn build_blocking(self) -> Result<ContainerRegistryClient, Error> {
        ContainerRegistryClient::over(self.build()?)
    }
}

impl fmt::Debug for ContainerRegistryClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
