//! The operations on repositories.

use acr_protocol::repository::{
    DeleteRepository, GetRepositoryProperties, ListRepositories, ListRepositoryNames,
    UpdateRepositoryProperties,
};
use acr_protocol::{
    DeletedRepository, Deletion, ListOrder, ListQuery, Page, RepositoryName, RepositoryProperties,
};

use crate::error::ErrorResponse;
use crate::locks;
use crate::paging::next_link;
use crate::registry::Registry;
use crate::removed::Removed;
use crate::request_body::RequestBody;
use crate::request_context::RequestContext;
use crate::response::respond;
use crate::serve::{Outcome, Serve};
use crate::store::{RepositoryRecord, Store, read_marker};
use crate::text::Text;

/// `GET /acr/v1/_catalog`
impl Serve for ListRepositoryNames {
    async fn serve(self, registry: &Registry, call: &RequestContext, _: RequestBody) -> Outcome {
        Ok(respond(&self, &registry.catalog(call, &self.query).await?))
    }
}

/// `GET /v2/_catalog`
impl Serve for ListRepositories {
    async fn serve(self, registry: &Registry, call: &RequestContext, _: RequestBody) -> Outcome {
        Ok(respond(&self, &registry.catalog(call, &self.query).await?))
    }
}

impl Registry {
    /// By name. Chosen: a repository whose list switch is off is left out.
    async fn catalog(
        &self,
        call: &RequestContext,
        query: &ListQuery,
    ) -> Result<Page<RepositoryName>, ErrorResponse> {
        let size = self.page_size(query);
        let behind = read_marker(ListOrder::None, query.last.as_deref());
        let (items, end) = self
            .gather(size, behind, |store, page| {
                page.go_on(
                    |behind| store.repositories_behind(behind.map_or("", |(_, name)| name)),
                    |(name, repository)| {
                        let is_listed = repository.exists() && repository.switches.can_list();
                        is_listed.then(|| RepositoryName::clone(name))
                    },
                    |(name, _)| (0, name.to_string()),
                );
                Ok(())
            })
            .await?;
        Ok(Page {
            items,
            next: next_link(call, size, ListOrder::None, end),
            ..Page::default()
        })
    }
}

/// `GET /acr/v1/{name}`
impl Serve for GetRepositoryProperties {
    const IS_IMMEDIATE: bool = true;

    async fn serve(self, registry: &Registry, call: &RequestContext, _: RequestBody) -> Outcome {
        let store = registry.store();
        let repository = store.find_repository(&self.repository)?;
        let output = properties(call, &self.repository, repository);
        Ok(respond(&self, &output))
    }
}

/// `PATCH /acr/v1/{name}`
impl Serve for UpdateRepositoryProperties {
    fn must_exist(&self, store: &Store) -> Result<(), ErrorResponse> {
        store.find_repository(&self.repository).map(drop)
    }

    async fn serve(self, registry: &Registry, call: &RequestContext, _: RequestBody) -> Outcome {
        let mut store = registry.store();
        let mut repository = store
            .repository_mut(&self.repository)
            .ok_or_else(|| ErrorResponse::repository_not_found(&self.repository))?;
        repository.switches.apply(&self.attributes);
        let output = properties(call, &self.repository, &repository);
        Ok(respond(&self, &output))
    }
}

/// `DELETE /acr/v1/{name}`
impl Serve for DeleteRepository {
    async fn serve(self, registry: &Registry, _: &RequestContext, _: RequestBody) -> Outcome {
        let removed = {
            let mut store = registry.store();
            let Some(repository) = store.repository(&self.repository) else {
                return Ok(respond(&self, &Deletion::NotFound));
            };
            locks::delete_repository(repository)?;
            Removed::new(registry, store.remove_repository(&self.repository))
        };
        // It is out of the others' way from here on: there may be a million names to be written and dropped.
        let mut response = respond(&self, &Deletion::Deleted(DeletedRepository::default()));
        if let Some(repository) = removed.repository() {
            let manifests = repository.manifests().walk(ListOrder::None, None);
            let tags = repository.tags().walk(ListOrder::None, None, None);
            let mut text = Text::default();
            text.push(b"{\"manifestsDeleted\":");
            text.push_list(manifests.map(|manifest| &manifest.digest))
                .await;
            text.push(b",\"tagsDeleted\":");
            text.push_list(tags.map(|tag| &tag.name)).await;
            text.push(b"}\n");
            *response.body_mut() = text.into_body();
        }
        drop(removed);
        registry.shed_all().await;
        Ok(response)
    }
}

fn properties(
    call: &RequestContext,
    name: &RepositoryName,
    repository: &RepositoryRecord,
) -> RepositoryProperties {
    let mut properties = RepositoryProperties::new(name.clone(), repository.created_on);
    properties.registry_login_server = call.login_server().to_owned();
    properties.last_updated_on = repository.last_updated_on;
    properties.manifest_count = repository.manifests().len() as u64;
    properties.tag_count = repository.tags().len() as u64;
    properties.attributes = repository.switches.to_attributes();
    properties.extra = repository.extra.as_deref().cloned().unwrap_or_default();
    properties
}
