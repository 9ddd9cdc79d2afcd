use std::time::Duration;

/// Options for the calls of one handle, which a client and a repository make by
/// [`with`](crate::RepositoryClient::with). `None` is the setting of the client.
///
/// ```
/// # use acr_client::{CallOptions, Error, Manifest, RepositoryClient};
/// # async fn example(repository: RepositoryClient, manifest: Manifest) -> Result<(), Error> {
/// use std::time::Duration;
///
/// repository.set_manifest("v1", &manifest).await?;
/// let replicated = repository.with(CallOptions {
///     wait_for_replication: Some(Duration::from_secs(30)),
///     ..CallOptions::default()
/// });
/// let properties = replicated.get_tag_properties("v1").await?;
/// # drop(properties);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// How long each operation may take, in place of
    /// [`RetryOptions::deadline`](crate::RetryOptions::deadline). The wait for a token
    /// is part of it, its request's time in the client's own limiter included; time that the operation's
    /// own requests are queued there is not.
    pub deadline: Option<Duration>,
    /// How often a failed attempt is repeated, in place of
    /// [`RetryOptions::max_retries`](crate::RetryOptions::max_retries). Requests
    /// for tokens, which other calls wait for too, keep the client's setting.
    pub max_retries: Option<u32>,
    /// How long what is not found is asked for again, from the first miss on. The default is not at
    /// all.
    ///
    /// A geo-replicated registry responds from the nearest replica, which may not have heard of a push
    /// yet: a tag is missing, or a manifest is refused because its blobs are. That is a matter of
    /// seconds; what is really missing costs the whole time.
    pub wait_for_replication: Option<Duration>,
}
