//! The operations on repositories.

use std::sync::Arc;

use acr_protocol::repository::{
    DeleteRepository, GetRepositoryProperties, ListRepositories, ListRepositoryNames,
    UpdateRepositoryProperties,
};
use acr_protocol::{
    DeletedRepository, Deletion, ListQuery, Page, RepositoryName, RepositoryProperties, Route,
};
use http::Response;

use crate::error::ErrorResponse;
use crate::paging::next_link;
use crate::registry::Registry;
use crate::removed::Removed;
use crate::request_context::RequestContext;
use crate::response::respond;
use crate::store::RepositoryRecord;
use crate::store::{Marker, Order};
use crate::text::Text;
use crate::{Body, locks};

impl Registry {
    /// `GET /acr/v1/_catalog`
    pub(crate) async fn list_repository_names(
        &self,
        call: &RequestContext,
        operation: &ListRepositoryNames,
    ) -> Result<Response<Body>, ErrorResponse> {
        let page = self.catalog(call, &operation.query).await?;
        Ok(respond(operation, &page))
    }

    /// `GET /v2/_catalog`
    pub(crate) async fn list_repositories(
        &self,
        call: &RequestContext,
        operation: &ListRepositories,
    ) -> Result<Response<Body>, ErrorResponse> {
        let page = self.catalog(call, &operation.query).await?;
        Ok(respond(operation, &page))
    }

    /// By name. Chosen: a repository whose list switch is off is left out.
    async fn catalog(
        &self,
        call: &RequestContext,
        query: &ListQuery,
    ) -> Result<Page<RepositoryName>, ErrorResponse> {
        let size = self.page_size(query);
        let marker = Marker::read(Order::Name, query.last.as_deref());
        let (items, has_more) = self
            .gather(size, &marker, |store, page| {
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
        let last = items.last().filter(|_| has_more);
        let next = last
            .and_then(|name| next_link(call, size, Order::Name, &Marker::Name(name.to_string())));
        Ok(Page {
            items,
            next,
            ..Page::default()
        })
    }

    /// `GET /acr/v1/{name}`
    pub(crate) fn get_repository_properties(
        &self,
        call: &RequestContext,
        operation: &GetRepositoryProperties,
    ) -> Result<Response<Body>, ErrorResponse> {
        let store = self.store();
        let repository = store
            .repository(&operation.repository)
            .ok_or_else(|| ErrorResponse::repository_not_found(&operation.repository))?;
        Ok(respond(
            operation,
            &properties(call, &operation.repository, repository),
        ))
    }

    /// `PATCH /acr/v1/{name}`
    pub(crate) fn update_repository_properties(
        &self,
        call: &RequestContext,
        operation: &UpdateRepositoryProperties,
    ) -> Result<Response<Body>, ErrorResponse> {
        let mut store = self.store();
        let mut repository = store
            .repository_mut(&operation.repository)
            .ok_or_else(|| ErrorResponse::repository_not_found(&operation.repository))?;
        repository.switches.apply(&operation.attributes);
        Ok(respond(
            operation,
            &properties(call, &operation.repository, &repository),
        ))
    }

    /// `DELETE /acr/v1/{name}`
    pub(crate) async fn delete_repository(
        &self,
        operation: &DeleteRepository,
    ) -> Result<Response<Body>, ErrorResponse> {
        let removed = {
            let mut store = self.store();
            let Some(repository) = store.repository(&operation.repository) else {
                return Ok(respond(operation, &Deletion::NotFound));
            };
            locks::delete_repository(repository)?;
            Removed::new(self, store.remove_repository(&operation.repository))
        };
        // It is out of the others' way from here on: there may be a million names to be written and dropped.
        let mut response = respond(operation, &Deletion::Deleted(DeletedRepository::default()));
        if let Some(repository) = removed.repository() {
            let manifests = repository.manifests().walk(Order::Name, None);
            let tags = repository.tags().walk(Order::Name, None, None);
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
        self.shed_all().await;
        Ok(response)
    }

    /// What an update needs to find before its body is looked at, and what a list needs before its parameters are.
    pub(crate) fn must_exist(&self, route: &Route) -> Result<(), ErrorResponse> {
        let store = self.store();
        let repository = |name: &RepositoryName| {
            store
                .repository(name)
                .ok_or_else(|| ErrorResponse::repository_not_found(name))
        };
        match route {
            Route::UpdateRepositoryProperties(operation) => {
                repository(&operation.repository).map(drop)
            }
            Route::ListTagProperties(operation) => repository(&operation.repository).map(drop),
            Route::ListManifestProperties(operation) => repository(&operation.repository).map(drop),
            Route::ListTags(operation) => repository(&operation.repository).map(drop),
            Route::UpdateTagProperties(operation) => {
                let found = store
                    .repository(&operation.repository)
                    .and_then(|repository| repository.tags().get(operation.tag.as_str()));
                found
                    .map(|_: &Arc<_>| ())
                    .ok_or_else(ErrorResponse::tag_unknown)
            }
            Route::UpdateManifestProperties(operation) => {
                let found = store
                    .repository(&operation.repository)
                    .and_then(|repository| repository.manifests().get(operation.digest.as_str()));
                found
                    .map(|_: &Arc<_>| ())
                    .ok_or_else(ErrorResponse::manifest_unknown)
            }
            Route::UploadChunk(operation) => store
                .upload(&operation.repository, operation.location.uuid())
                .map(drop)
                .ok_or_else(ErrorResponse::upload_unknown),
            Route::CompleteUpload(operation) => store
                .upload(&operation.repository, operation.location.uuid())
                .map(drop)
                .ok_or_else(ErrorResponse::upload_unknown),
            _ => Ok(()),
        }
    }
}

fn properties(
    call: &RequestContext,
    name: &RepositoryName,
    repository: &RepositoryRecord,
) -> RepositoryProperties {
    RepositoryProperties {
        registry_login_server: call.login_server().to_owned(),
        name: name.clone(),
        created_on: repository.created_on,
        last_updated_on: repository.last_updated_on,
        manifest_count: repository.manifests().len() as u64,
        tag_count: repository.tags().len() as u64,
        attributes: repository.switches.to_attributes(),
        extra: repository.extra.as_deref().cloned().unwrap_or_default(),
    }
}
