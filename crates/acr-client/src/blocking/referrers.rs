use acr_protocol::{Descriptor, Digest};

use super::paging::Pager;
use super::repository::RepositoryClient;
use crate::error::Error;
use crate::referrers::ListReferrersOptions;

/// Referrers.
impl RepositoryClient {
    /// Lists the manifests that name a manifest as their subject, such as signatures and SBOMs, the
    /// latest first: `GET /v2/{name}/referrers/{digest}`.
    ///
    /// The twin of the async [`list_referrers`](crate::RepositoryClient::list_referrers).
    pub fn list_referrers(
        &self,
        digest: impl TryInto<Digest, Error: Into<Error>>,
    ) -> Pager<Descriptor> {
        Pager::new(self.inner.list_referrers(digest), &self.runtime)
    }

    /// Lists the manifests of one artifact type that name a manifest as their subject:
    /// `GET /v2/{name}/referrers/{digest}?artifactType=`.
    ///
    /// The twin of the async
    /// [`list_referrers_with`](crate::RepositoryClient::list_referrers_with).
    pub fn list_referrers_with(
        &self,
        digest: impl TryInto<Digest, Error: Into<Error>>,
        options: impl Into<ListReferrersOptions>,
    ) -> Pager<Descriptor> {
        Pager::new(
            self.inner.list_referrers_with(digest, options),
            &self.runtime,
        )
    }
}
