//! The operations on tags.

use std::sync::Arc;

use acr_protocol::tag::{
    DeleteTag, GetTagProperties, ListTagProperties, ListTags, UpdateTagProperties,
};
use acr_protocol::{
    ArtifactTagProperties, Deletion, Digest, ListOrder, ListQuery, Page, PageToken, RepositoryName,
    Tag,
};
use serde_json::json;

use crate::error::ErrorResponse;
use crate::paging::next_link;
use crate::registry::Registry;
use crate::request_body::RequestBody;
use crate::request_context::RequestContext;
use crate::response::respond;
use crate::serve::{Outcome, Serve};
use crate::store::{Store, TagRecord, place, read_marker};
use crate::{Body, listing, locks};

/// `GET /acr/v1/{name}/_tags`
///
/// Chosen: a tag whose list switch is off is left out.
impl Serve for ListTagProperties {
    fn must_exist(&self, store: &Store) -> Result<(), ErrorResponse> {
        store.find_repository(&self.repository).map(drop)
    }

    async fn serve(self, registry: &Registry, call: &RequestContext, _: RequestBody) -> Outcome {
        let of = self.digest.as_ref();
        // The service forgets the filter in the link.
        let (page, next) = registry
            .page_of_tags(call, &self.repository, &self.query, self.order, of)
            .await?;
        let mut response = respond(
            &self,
            &Page {
                next,
                ..Page::default()
            },
        );
        *response.body_mut() = listing::tags(call.login_server(), &self.repository, &page);
        Ok(response)
    }
}

/// `GET /acr/v1/{name}/_tags/{tag}`
impl Serve for GetTagProperties {
    const IS_IMMEDIATE: bool = true;

    async fn serve(self, registry: &Registry, call: &RequestContext, _: RequestBody) -> Outcome {
        let store = registry.store();
        let record = store.find_tag(&self.repository, &self.tag)?;
        Ok(respond(
            &self,
            &properties(call.login_server(), &self.repository, record),
        ))
    }
}

/// `PATCH /acr/v1/{name}/_tags/{tag}`
impl Serve for UpdateTagProperties {
    fn must_exist(&self, store: &Store) -> Result<(), ErrorResponse> {
        store.find_tag(&self.repository, &self.tag).map(drop)
    }

    async fn serve(self, registry: &Registry, call: &RequestContext, _: RequestBody) -> Outcome {
        let mut store = registry.store();
        let record = store
            .repository_mut(&self.repository)
            .and_then(|mut repository| repository.update_tag(&self.tag, &self.attributes));
        let record = record.ok_or_else(ErrorResponse::tag_unknown)?;
        Ok(respond(
            &self,
            &properties(call.login_server(), &self.repository, &record),
        ))
    }
}

/// `DELETE /acr/v1/{name}/_tags/{tag}`
///
/// Chosen: in an unknown repository the tag is what is unknown.
impl Serve for DeleteTag {
    async fn serve(self, registry: &Registry, call: &RequestContext, _: RequestBody) -> Outcome {
        let removed = registry.untag(call, &self.repository, &self.tag)?;
        let deletion = Deletion::from(removed.map(|removed| Some(removed.digest.clone())));
        Ok(respond(&self, &deletion))
    }
}

/// `GET /v2/{name}/tags/list`
impl Serve for ListTags {
    fn must_exist(&self, store: &Store) -> Result<(), ErrorResponse> {
        store.find_repository(&self.repository).map(drop)
    }

    async fn serve(self, registry: &Registry, call: &RequestContext, _: RequestBody) -> Outcome {
        let (page, next) = registry
            .page_of_tags(call, &self.repository, &self.query, ListOrder::None, None)
            .await?;
        let items: Vec<Tag> = page.iter().map(|tag| tag.name.clone()).collect();
        let is_empty = items.is_empty() && !registry.settings().profile.null_for_empty_tags();
        let mut response = respond(
            &self,
            &Page {
                items,
                next,
                ..Page::default()
            },
        );
        if is_empty {
            let body = json!({ "name": self.repository, "tags": [] });
            *response.body_mut() = Body::from(format!("{body}\n"));
        }
        Ok(response)
    }
}

impl Registry {
    /// Takes a tag away, if it is there and no lock holds it.
    pub(crate) fn untag(
        &self,
        call: &RequestContext,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<Arc<TagRecord>>, ErrorResponse> {
        let mut store = self.store();
        let found = store
            .repository(repository)
            .and_then(|record| Some((record, record.tags().get(tag.as_str())?)));
        let Some((record, tagged)) = found else {
            return Ok(None);
        };
        locks::delete_tag(record, tagged)?;
        let time = store.write_time(call.now());
        Ok(store
            .repository_mut(repository)
            .and_then(|mut record| record.remove_tag(tag, time)))
    }

    /// A page of the tags that lists may show, or of those of one manifest; and the link to the next.
    async fn page_of_tags(
        &self,
        call: &RequestContext,
        name: &RepositoryName,
        query: &ListQuery,
        order: ListOrder,
        of: Option<&Digest>,
    ) -> Result<(Vec<Arc<TagRecord>>, Option<PageToken>), ErrorResponse> {
        let size = self.page_size(query);
        let behind = read_marker(order, query.last.as_deref());
        let (page, end) = self
            .gather(size, behind, |store, page| {
                let repository = store.find_repository(name)?;
                page.go_on(
                    |behind| repository.tags().walk(order, of, behind),
                    |tag| tag.switches.can_list().then(|| Arc::clone(tag)),
                    |tag| place(order, tag.last_updated_on, tag.name.as_str()),
                );
                Ok(())
            })
            .await?;
        Ok((page, next_link(call, size, order, end)))
    }
}

pub(crate) fn properties(
    login_server: &str,
    repository: &RepositoryName,
    record: &TagRecord,
) -> ArtifactTagProperties {
    let (name, digest) = (record.name.clone(), record.digest.clone());
    let mut properties =
        ArtifactTagProperties::new(repository.clone(), name, digest, record.created_on);
    properties.registry_login_server = login_server.to_owned();
    properties.last_updated_on = record.last_updated_on;
    properties.attributes = record.switches.to_attributes();
    properties.extra = record.extra();
    properties
}
