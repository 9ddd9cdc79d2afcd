//! The operations on the properties of manifests, each of which may have a million tags.

use std::sync::Arc;

use acr_protocol::manifest::properties::{
    GetManifestProperties, ListManifestProperties, UpdateManifestProperties,
};
use acr_protocol::{ArtifactManifestProperties, Operation, Page, RepositoryName, Tag};
use bytes::Bytes;
use http::Response;
use serde_json::json;

use crate::Body;
use crate::error::ErrorResponse;
use crate::manifest::is_behind;
use crate::paging::next_link;
use crate::pause::pause;
use crate::registry::Registry;
use crate::request_body::RequestBody;
use crate::request_context::RequestContext;
use crate::response::respond;
use crate::serve::{Outcome, Serve};
use crate::store::{ManifestRecord, RepositoryRecord, Store, place, read_marker};
use crate::text::Text;

/// How many tags are looked at in a turn: less than a millisecond's work.
const TAGS_IN_A_TURN: usize = 2_000;

/// `GET /acr/v1/{name}/_manifests`
///
/// Chosen: a manifest whose list switch is off is left out.
impl Serve for ListManifestProperties {
    fn must_exist(&self, store: &Store) -> Result<(), ErrorResponse> {
        store.find_repository(&self.repository).map(drop)
    }

    async fn serve(self, registry: &Registry, call: &RequestContext, _: RequestBody) -> Outcome {
        let (name, order) = (&self.repository, self.order);
        let size = registry.page_size(&self.query);
        let behind = read_marker(order, self.query.last.as_deref());
        let (page, end) = registry
            .gather(size, behind, |store, page| {
                let repository = store.find_repository(name)?;
                page.go_on(
                    |behind| repository.manifests().walk(order, behind),
                    |manifest| manifest.switches.can_list().then(|| Arc::clone(manifest)),
                    |manifest| place(order, manifest.last_updated_on, manifest.digest.as_str()),
                );
                Ok(())
            })
            .await?;
        let mut items: Vec<ArtifactManifestProperties> = Vec::with_capacity(page.len());
        while items.len() < page.len() {
            let mut most = TAGS_IN_A_TURN;
            {
                let store = registry.store();
                // Where the repository has gone meanwhile, so have the tags.
                let repository = store.repository(name);
                for record in &page[items.len()..] {
                    let item = registry.properties(call, name, repository, record, most);
                    most = most.saturating_sub(item.tags.len() + 1);
                    items.push(item);
                    if most == 0 {
                        break;
                    }
                }
            }
            if most == 0 {
                pause().await;
                if let Some(last) = items.last_mut() {
                    registry.complete_tags(name, last).await;
                }
            }
        }
        let mut listing = Page {
            registry_login_server: call.login_server().to_owned(),
            items,
            next: next_link(call, size, order, end),
            ..Page::default()
        };
        let rest = rest_of_tags(&mut listing.items);
        Ok(with_rest(self.respond(&listing), &listing.items, rest).await)
    }
}

/// `GET /acr/v1/{name}/_manifests/{digest}`
impl Serve for GetManifestProperties {
    async fn serve(self, registry: &Registry, call: &RequestContext, _: RequestBody) -> Outcome {
        let name = &self.repository;
        let properties = {
            let store = registry.store();
            let record = store.find_manifest(name, &self.digest)?;
            registry.properties(call, name, store.repository(name), record, TAGS_IN_A_TURN)
        };
        Ok(registry.respond_with(&self, properties).await)
    }
}

/// `PATCH /acr/v1/{name}/_manifests/{digest}`
impl Serve for UpdateManifestProperties {
    fn must_exist(&self, store: &Store) -> Result<(), ErrorResponse> {
        store
            .find_manifest(&self.repository, &self.digest)
            .map(drop)
    }

    async fn serve(self, registry: &Registry, call: &RequestContext, _: RequestBody) -> Outcome {
        let name = &self.repository;
        let properties = {
            let mut store = registry.store();
            let record = store.repository_mut(name).and_then(|mut repository| {
                repository.update_manifest(&self.digest, &self.attributes)
            });
            let record = record.ok_or_else(ErrorResponse::manifest_unknown)?;
            registry.properties(call, name, store.repository(name), &record, TAGS_IN_A_TURN)
        };
        Ok(registry.respond_with(&self, properties).await)
    }
}

impl Registry {
    /// The response with the properties of one manifest.
    async fn respond_with<O: Operation<Output = ArtifactManifestProperties> + Sync>(
        &self,
        operation: &O,
        mut properties: ArtifactManifestProperties,
    ) -> Response<Body> {
        if properties.tags.len() < TAGS_IN_A_TURN {
            return respond(operation, &properties);
        }
        let name = properties.repository_name.clone();
        self.complete_tags(&name, &mut properties).await;
        let mut items = [properties];
        let rest = rest_of_tags(&mut items);
        with_rest(operation.respond(&items[0]), &items, rest).await
    }

    /// The properties of a manifest with the first of its tags, of which `most` are looked at.
    fn properties(
        &self,
        call: &RequestContext,
        name: &RepositoryName,
        repository: Option<&RepositoryRecord>,
        record: &ManifestRecord,
        most: usize,
    ) -> ArtifactManifestProperties {
        let lag = self.settings().metadata_lag;
        let known = is_behind(call.now(), record.created_on, lag);
        let tags = repository
            .into_iter()
            .flat_map(|repository| repository.tags().of(&record.digest, None))
            .take(most);
        let digest = record.digest.clone();
        let mut item = ArtifactManifestProperties::new(name.clone(), digest, record.created_on);
        item.registry_login_server = call.login_server().to_owned();
        item.tags = tags.map(|tag| tag.name.clone()).collect();
        item.size_in_bytes = record.image_size;
        item.last_updated_on = record.last_updated_on;
        item.architecture = record.architecture().map(str::to_owned);
        item.operating_system = record.operating_system().map(str::to_owned);
        item.media_type = Some(record.media_type.clone());
        item.config_media_type = record.config_media_type.clone().filter(|_| known);
        item.references = record.references().to_vec();
        item.attributes = record.switches.to_attributes();
        item.extra = record.extra();
        item
    }

    /// Adds the tags behind those that are there. Others may set and remove tags meanwhile: each is seen as it is when it is
    /// looked at.
    async fn complete_tags(&self, name: &RepositoryName, item: &mut ArtifactManifestProperties) {
        loop {
            let before = item.tags.len();
            if let Some(repository) = self.store().repository(name) {
                let tags = repository.tags().of(&item.digest, item.tags.last());
                let more: Vec<_> = tags
                    .take(TAGS_IN_A_TURN)
                    .map(|tag| tag.name.clone())
                    .collect();
                item.tags.extend(more);
            }
            if item.tags.len() < before + TAGS_IN_A_TURN {
                return;
            }
            pause().await;
        }
    }
}

/// Takes the tags away that are written piece by piece: all but the first of each manifest, where they are many.
fn rest_of_tags(items: &mut [ArtifactManifestProperties]) -> Vec<Vec<Tag>> {
    let all: usize = items.iter().map(|item| item.tags.len()).sum();
    if all <= TAGS_IN_A_TURN {
        return Vec::new();
    }
    let rest = |item: &mut ArtifactManifestProperties| {
        let at = item.tags.len().min(1);
        item.tags.split_off(at)
    };
    items.iter_mut().map(rest).collect()
}

/// Writes the rest of the tags behind the first of each manifest.
async fn with_rest(
    response: Response<Bytes>,
    items: &[ArtifactManifestProperties],
    rest: Vec<Vec<Tag>>,
) -> Response<Body> {
    if rest.is_empty() {
        return response.map(Body::from);
    }
    let (head, bytes) = response.into_parts();
    let written = String::from_utf8_lossy(&bytes);
    let (mut text, mut at) = (Text::default(), 0);
    for (item, rest) in items.iter().zip(&rest) {
        let Some(first) = item.tags.first().filter(|_| !rest.is_empty()) else {
            continue;
        };
        // The members before the tags are texts and numbers, and no text holds a quote without a backslash before it.
        for needle in [
            format!("\"digest\":\"{}\"", item.digest),
            format!("\"tags\":[{}", json!(first)),
        ] {
            let found = written[at..].find(&needle);
            let end = found.map_or(at, |found| at + found + needle.len());
            text.push(&bytes[at..end]);
            at = end;
        }
        text.push(b",");
        text.push_items(rest.iter()).await;
    }
    text.push(&bytes[at..]);
    Response::from_parts(head, text.into_body())
}
