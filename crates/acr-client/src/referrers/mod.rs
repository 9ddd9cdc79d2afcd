mod fallback;
mod kept;

use acr_protocol::referrers::{ListReferrers, fallback_tag};
use acr_protocol::{Descriptor, Digest, ErrorCode, MediaType, Page, PageToken};
use http::StatusCode;

use crate::argument::Argument;
use crate::error::{Error, ErrorKind};
use crate::paging::Pager;
use crate::repository::RepositoryClient;

pub(crate) use self::kept::Kept;

/// Referrers.
impl RepositoryClient {
    /// Lists the manifests that name a manifest as their subject, such as signatures and SBOMs, the
    /// latest first: `GET /v2/{name}/referrers/{digest}`.
    ///
    /// The subject need not exist; the list is then empty, or has what waits for it. On a registry
    /// without this API the list comes from the index under the tag that the OCI specification
    /// keeps for it.
    pub fn list_referrers(&self, digest: impl Argument<Digest>) -> Pager<Descriptor> {
        self.list_referrers_with(digest, ListReferrersOptions::default())
    }

    /// Lists the manifests of one artifact type that name a manifest as their subject:
    /// `GET /v2/{name}/referrers/{digest}?artifactType=`.
    ///
    /// A registry that does not filter is filtered here.
    pub fn list_referrers_with(
        &self,
        digest: impl Argument<Digest>,
        options: impl Into<ListReferrersOptions>,
    ) -> Pager<Descriptor> {
        let digest = match digest.into_argument() {
            Ok(digest) => digest,
            Err(error) => return Pager::failed(error),
        };
        let ListReferrersOptions {
            artifact_type,
            resume,
        } = options.into();
        let operation = ListReferrers {
            repository: self.name.clone(),
            digest,
            artifact_type,
            query: acr_protocol::ListQuery::default(),
        };
        if let Some(token) = &resume
            && let Err(error) = self.pipeline.check_token(&operation, token)
        {
            let info = self.pipeline.info(&operation);
            return Pager::failed(info.annotate(error, 0));
        }
        let repository = self.clone();
        Pager::new(move |at| {
            let (repository, operation) = (repository.clone(), operation.clone());
            Box::pin(async move { page(&repository, &operation, at).await })
        })
        .resumed_at(resume)
    }
}

/// Options of [`RepositoryClient::list_referrers_with`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListReferrersOptions {
    /// The artifact type to list alone. `None`: every one.
    pub artifact_type: Option<MediaType>,
    /// Where to go on: the token of a page of an earlier list, whose artifact type then holds on the
    /// registry's side.
    pub resume: Option<PageToken>,
}

impl From<MediaType> for ListReferrersOptions {
    fn from(artifact_type: MediaType) -> Self {
        Self {
            artifact_type: Some(artifact_type),
            resume: None,
        }
    }
}

async fn page(
    repository: &RepositoryClient,
    operation: &ListReferrers,
    at: Option<PageToken>,
) -> Result<Page<Descriptor>, Error> {
    let is_first = at.is_none();
    let pipeline = &repository.pipeline;
    let info = pipeline.info(operation);
    let request = pipeline.page_request(operation, at);
    let kept = pipeline.kept_referrers();
    let mut page = match pipeline.run_with(operation, &info, request, Ok).await {
        Err(error) if is_first && lacks_the_api(&error) => {
            let listed = fallback(repository, operation).await?;
            kept.learn(false);
            listed
        }
        other => {
            let listed = other?;
            kept.learn(true);
            listed
        }
    };
    if let Some(wanted) = &operation.artifact_type
        && !page.filtered
    {
        page.items.retain(|item| {
            item.artifact_type
                .as_ref()
                .is_some_and(|found| found.is(wanted))
        });
    }
    Ok(page)
}

/// Whether the registry may not know the route. One that does responds with 404 for a repository that is
/// missing, if at all, and says so.
///
/// A proxy's page says as much. Then the tag is asked for, and whether that is there only a registry says.
fn lacks_the_api(error: &Error) -> bool {
    error.is_own()
        && (error.kind() == ErrorKind::Unsupported
            || error.status() == Some(StatusCode::NOT_FOUND)
                && error.code() != Some(&ErrorCode::NAME_UNKNOWN))
}

/// Reads the index that clients keep by hand on a registry without the API.
async fn fallback(
    repository: &RepositoryClient,
    operation: &ListReferrers,
) -> Result<Page<Descriptor>, Error> {
    let mut items = Vec::new();
    if let Some(tag) = fallback_tag(&operation.digest)
        && let Some(manifest) = repository.kept_index(&tag).await?
    {
        let index = manifest.as_index().map_err(|error| {
            let info = repository.pipeline.info(operation);
            info.annotate(error.into(), 1)
        })?;
        items = index.manifests;
    }
    Ok(Page::complete(items))
}
