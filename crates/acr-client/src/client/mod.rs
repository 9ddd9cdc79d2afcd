mod builder;

use std::fmt;
use std::num::NonZeroU32;

use acr_protocol::repository::{ListRepositories, ListRepositoryNames};
use acr_protocol::{
    ChangeableAttributes, DeletedRepository, ListQuery, PageToken, Ping, RepositoryName,
    RepositoryProperties, Timestamp,
};

pub use self::builder::ClientBuilder;
use crate::argument::Argument;
use crate::call_options::CallOptions;
use crate::error::Error;
use crate::paging::Pager;
use crate::pipeline::Pipeline;
use crate::repository::RepositoryClient;

/// A registry.
///
/// A client is a handle: cheap to clone, with one connection pool and one cache of tokens for all
/// clones. There is nothing to close. Work within one repository goes through
/// [`repository_client`](Self::repository_client).
///
/// # What it tells `tracing`
///
/// Each operation is a span `acr.operation` of the target `acr_client` and the level `INFO`, with the
/// fields `acr.operation`, `acr.repository` and, where it fails, `acr.attempts` and `error.type`. Each
/// request in it is a span `http.request`, with `http.request.method`, `url.full` without the query,
/// `server.address`, `server.port`, `http.response.status_code`, `http.request.resend_count` and
/// `error.type`, as OpenTelemetry names them. An upload is several operations, one for each step. That an
/// attempt is repeated is an event of the level `DEBUG`. No credential, header or query is in any of
/// them.
///
/// Spans by themselves are lines of no log. With the crate `tracing-subscriber` each is one when it
/// ends, so that requests and what came of them are seen:
///
/// ```text
/// tracing_subscriber::fmt()
///     .with_writer(std::io::stderr)
///     .with_env_filter("acr_client=debug")
///     .with_span_events(FmtSpan::CLOSE)
///     .init();
/// ```
#[derive(Clone)]
#[doc(alias = "ContainerRegistryContentClient")]
pub struct ContainerRegistryClient {
    pub(crate) pipeline: Pipeline,
}

impl ContainerRegistryClient {
    /// Creates a client for the registry at an endpoint such as `https://name.azurecr.io`.
    ///
    /// It has the default transport and clock. Sends nothing.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the endpoint is malformed, or is plain
    /// `http` with a credential; see [`ClientBuilder::danger_allow_http`].
    #[cfg(feature = "hyper")]
    pub fn new(
        endpoint: impl Into<String>,
        credential: crate::auth::Credential,
    ) -> Result<Self, Error> {
        Self::builder(endpoint).credential(credential).build()
    }

    /// Creates a client with the endpoint and credential that the environment names; the
    /// [crate's front page](crate#environment) lists the variables.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when a variable is missing, malformed or
    /// one too many; it is named.
    #[cfg(feature = "hyper")]
    pub fn from_env() -> Result<Self, Error> {
        ClientBuilder::from_env()?.build()
    }

    /// Starts building a client for the registry at an endpoint such as `https://name.azurecr.io`;
    /// without a scheme it is `https`.
    pub fn builder(endpoint: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(endpoint)
    }

    /// Returns the endpoint as an URL without a slash at its end.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.pipeline.endpoint().to_string()
    }

    /// Returns the current time by the client's clock, to compare with the times of the registry.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.pipeline.clock().now().into()
    }

    /// Returns a handle whose calls, and those of its repositories, have these options, in place of
    /// those of this handle. Sends nothing.
    #[must_use]
    pub fn with(&self, options: CallOptions) -> Self {
        Self::over(self.pipeline.with(options))
    }

    /// Returns a handle for one repository. Sends nothing; the repository need not exist.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the name is malformed.
    #[doc(alias = "GetRepository")]
    #[doc(alias = "getRepository")]
    pub fn repository_client(
        &self,
        name: impl Argument<RepositoryName>,
    ) -> Result<RepositoryClient, Error> {
        let name = name.into_argument()?;
        Ok(RepositoryClient::new(self.pipeline.clone(), name))
    }

    /// Checks that there is a registry and that it accepts the credential: `GET /v2/`.
    ///
    /// # Errors
    ///
    /// [`Unauthorized`](crate::ErrorKind::Unauthorized) when it does not accept the credential,
    /// [`Protocol`](crate::ErrorKind::Protocol) or [`Unsupported`](crate::ErrorKind::Unsupported) when
    /// there is another server, such as a portal that wants a login, [`Transport`](crate::ErrorKind::Transport) when there is none.
    pub async fn ping(&self) -> Result<(), Error> {
        self.pipeline.run(&Ping).await
    }

    /// Lists the names of the repositories, ordered by name: `GET /acr/v1/_catalog`.
    #[doc(alias = "GetRepositoryNames")]
    #[doc(alias = "NewListRepositoriesPager")]
    #[doc(alias = "catalog")]
    pub fn list_repository_names(&self) -> Pager<RepositoryName> {
        self.list_repository_names_with(ListRepositoryNamesOptions::default())
    }

    /// Lists the names of the repositories with options, such as the page size:
    /// `GET /acr/v1/_catalog`.
    pub fn list_repository_names_with(
        &self,
        options: impl Into<ListRepositoryNamesOptions>,
    ) -> Pager<RepositoryName> {
        let ListRepositoryNamesOptions { page_size, resume } = options.into();
        let operation = ListRepositoryNames {
            query: ListQuery {
                page_size: page_size.map(NonZeroU32::get),
                last: None,
            },
        };
        self.pipeline
            .list(operation, resume, std::convert::identity)
    }

    /// Lists the names of the repositories of a registry without the ACR API: `GET /v2/_catalog`, which
    /// Docker's and OCI's registries have. Not each of them orders it.
    pub fn list_repositories(&self) -> Pager<RepositoryName> {
        self.list_repositories_with(ListRepositoryNamesOptions::default())
    }

    /// Lists the names of the repositories of a registry without the ACR API with options, such as the
    /// page size: `GET /v2/_catalog`.
    pub fn list_repositories_with(
        &self,
        options: impl Into<ListRepositoryNamesOptions>,
    ) -> Pager<RepositoryName> {
        let ListRepositoryNamesOptions { page_size, resume } = options.into();
        let operation = ListRepositories {
            query: ListQuery {
                page_size: page_size.map(NonZeroU32::get),
                last: None,
            },
        };
        self.pipeline
            .list(operation, resume, std::convert::identity)
    }

    /// Reads the properties of a repository: `GET /acr/v1/{name}`.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no such repository.
    pub async fn get_repository_properties(
        &self,
        name: impl Argument<RepositoryName>,
    ) -> Result<RepositoryProperties, Error> {
        self.repository_client(name)?
            .get_repository_properties()
            .await
    }

    /// Changes the locks of a repository: `PATCH /acr/v1/{name}`. What is not set stays as it is.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no such repository.
    pub async fn update_repository_properties(
        &self,
        name: impl Argument<RepositoryName>,
        attributes: ChangeableAttributes,
    ) -> Result<RepositoryProperties, Error> {
        self.repository_client(name)?
            .update_repository_properties(attributes)
            .await
    }

    /// Deletes a repository with everything in it: `DELETE /acr/v1/{name}`.
    ///
    /// Returns what went, or `None` if there was no such repository.
    ///
    /// # Errors
    ///
    /// [`Disallowed`](crate::ErrorKind::Disallowed) when the repository or something in it is
    /// locked.
    pub async fn delete_repository(
        &self,
        name: impl Argument<RepositoryName>,
    ) -> Result<Option<DeletedRepository>, Error> {
        self.repository_client(name)?.delete_repository().await
    }

    pub(crate) const fn over(pipeline: Pipeline) -> Self {
        Self { pipeline }
    }
}

impl fmt::Debug for ContainerRegistryClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut handle = f.debug_struct("ContainerRegistryClient");
        self.pipeline.describe(&mut handle)
    }
}

/// Options of [`ContainerRegistryClient::list_repository_names_with`] and
/// [`list_repositories_with`](ContainerRegistryClient::list_repositories_with).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListRepositoryNamesOptions {
    /// The most names that a page may hold. `None`: the registry's default.
    pub page_size: Option<NonZeroU32>,
    /// Where to go on: the token of a page of an earlier list, whose page size then holds.
    pub resume: Option<PageToken>,
}
