//! The operations on manifests: getting, deleting, and their properties. Setting one is in [`push`].

mod push;

use std::sync::Arc;
use std::time::Duration;

use acr_protocol::manifest::properties::{
    GetManifestProperties, ListManifestProperties, UpdateManifestProperties,
};
use acr_protocol::manifest::{DeleteManifest, GetManifest, HeadManifest};
use acr_protocol::{
    ArtifactManifestOrder, ArtifactManifestProperties, Descriptor, Digest, Listing, Manifest,
    Reference, RepositoryName, Timestamp,
};
use http::Response;

use crate::call::Call;
use crate::error::Refusal;
use crate::paging::{Marker, Order, next_link};
use crate::registry::{Registry, respond};
use crate::store::{ManifestRecord, RepositoryRecord, Store};
use crate::{Body, locks};

impl Registry {
    /// `GET /v2/{name}/manifests/{reference}`
    ///
    /// `Accept` is not looked at: the stored bytes are given whatever it says. The service would convert Docker images
    /// to schema 1 for clients of old, and hide OCI indexes from clients that do not name them.
    pub(crate) fn get_manifest(&self, operation: &GetManifest) -> Result<Response<Body>, Refusal> {
        let store = self.store();
        let (digest, record) = self.pulled(&store, &operation.repository, &operation.reference)?;
        let manifest = Manifest {
            bytes: record.bytes.clone(),
            media_type: record.media_type.clone(),
            digest,
        };
        Ok(respond(operation, &manifest))
    }

    /// `HEAD /v2/{name}/manifests/{reference}`
    pub(crate) fn head_manifest(
        &self,
        operation: &HeadManifest,
    ) -> Result<Response<Body>, Refusal> {
        let store = self.store();
        let (digest, record) = self.pulled(&store, &operation.repository, &operation.reference)?;
        Ok(respond(
            operation,
            &Descriptor::new(&record.media_type, digest, record.bytes.len() as u64),
        ))
    }

    /// `DELETE /v2/{name}/manifests/{digest}`; by a tag only where the profile has it, and then the manifest stays.
    pub(crate) fn delete_manifest(
        &self,
        call: &Call,
        operation: &DeleteManifest,
    ) -> Result<Response<Body>, Refusal> {
        let digest = match &operation.reference {
            Reference::Digest(digest) => digest,
            Reference::Tag(tag) if self.settings().profile.deletes_by_tag() => {
                let removed = self.untag(call, &operation.repository, tag)?;
                return Ok(respond(operation, &removed.is_some()));
            }
            Reference::Tag(_) => return Err(Refusal::delete_by_tag()),
        };
        let mut store = self.store();
        let repository = store.repository(&operation.repository);
        let Some((repository, manifest)) = repository.and_then(|repository| {
            Some((repository, repository.manifests().get(digest.as_str())?))
        }) else {
            return Ok(respond(operation, &false));
        };
        locks::delete_manifest(repository, manifest)?;
        let time = store.write_time(call.now());
        let removed = store
            .repository_mut(&operation.repository)
            .and_then(|mut repository| repository.remove_manifest(digest, time));
        store.forget_if_empty(&operation.repository);
        Ok(respond(operation, &removed.is_some()))
    }

    /// `GET /acr/v1/{name}/_manifests`
    ///
    /// Chosen: a manifest whose list switch is off is left out.
    pub(crate) async fn list_manifest_properties(
        &self,
        call: &Call,
        operation: &ListManifestProperties,
    ) -> Result<Response<Body>, Refusal> {
        let order = match operation.order {
            ArtifactManifestOrder::None => Order::Name,
            ArtifactManifestOrder::LastUpdatedOnDescending => Order::NewestFirst,
            ArtifactManifestOrder::LastUpdatedOnAscending => Order::OldestFirst,
        };
        let name = &operation.repository;
        let size = self.page_size(&operation.query);
        let marker = Marker::read(order, operation.query.last.as_deref());
        let (page, has_more) = self
            .gather(size, &marker, |store, page| {
                let repository = store
                    .repository(name)
                    .ok_or_else(|| Refusal::repository_not_found(name))?;
                page.go_on(
                    |behind| repository.manifests().walk(order, behind),
                    |manifest| manifest.switches.can_list().then(|| Arc::clone(manifest)),
                    |manifest| order.place(manifest.last_updated_on, manifest.digest.as_str()),
                );
                Ok(())
            })
            .await?;
        let last = page.last().filter(|_| has_more);
        let next = last.and_then(|last| {
            let marker = Marker::at(order, last.last_updated_on, last.digest.as_str());
            next_link(call, size, order, &marker)
        });
        let store = self.store();
        let repository = store
            .repository(name)
            .ok_or_else(|| Refusal::repository_not_found(name))?;
        let items = page
            .iter()
            .map(|record| self.properties(call, name, repository, record))
            .collect();
        let registry_login_server = call.login_server().to_owned();
        Ok(respond(
            operation,
            &Listing {
                registry_login_server,
                repository_name: operation.repository.clone(),
                items,
                next,
            },
        ))
    }

    /// `GET /acr/v1/{name}/_manifests/{digest}`
    pub(crate) fn get_manifest_properties(
        &self,
        call: &Call,
        operation: &GetManifestProperties,
    ) -> Result<Response<Body>, Refusal> {
        let store = self.store();
        let repository = store
            .repository(&operation.repository)
            .ok_or_else(Refusal::manifest_unknown)?;
        let record = repository
            .manifests()
            .get(operation.digest.as_str())
            .ok_or_else(Refusal::manifest_unknown)?;
        Ok(respond(
            operation,
            &self.properties(call, &operation.repository, repository, record),
        ))
    }

    /// `PATCH /acr/v1/{name}/_manifests/{digest}`
    pub(crate) fn update_manifest_properties(
        &self,
        call: &Call,
        operation: &UpdateManifestProperties,
    ) -> Result<Response<Body>, Refusal> {
        let mut store = self.store();
        let mut repository = store
            .repository_mut(&operation.repository)
            .ok_or_else(Refusal::manifest_unknown)?;
        let record = repository
            .update_manifest(&operation.digest, &operation.attributes)
            .ok_or_else(Refusal::manifest_unknown)?;
        Ok(respond(
            operation,
            &self.properties(call, &operation.repository, &repository, &record),
        ))
    }
}

impl Registry {
    /// The manifest behind a tag or digest, for a pull.
    ///
    /// Chosen: in an unknown repository the manifest is what is unknown.
    fn pulled<'a>(
        &self,
        store: &'a Store,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<(Digest, &'a ManifestRecord), Refusal> {
        let not_found = || Refusal::manifest_not_found(name, reference);
        let repository = store.repository(name).ok_or_else(not_found)?;
        let lag = self.settings().replication_lag;
        let digest = match reference {
            Reference::Digest(digest) => digest.clone(),
            Reference::Tag(tag) => repository
                .tags()
                .get(tag.as_str())
                .filter(|tag| is_behind(self.now(), tag.last_updated_on, lag))
                .ok_or_else(not_found)?
                .digest
                .clone(),
        };
        let record = repository
            .manifests()
            .get(digest.as_str())
            .ok_or_else(not_found)?;
        locks::get_manifest(repository, reference, record)?;
        Ok((digest, record))
    }

    fn properties(
        &self,
        call: &Call,
        name: &RepositoryName,
        repository: &RepositoryRecord,
        record: &ManifestRecord,
    ) -> ArtifactManifestProperties {
        let lag = self.settings().metadata_lag;
        let known = is_behind(call.now(), record.created_on, lag);
        ArtifactManifestProperties {
            registry_login_server: call.login_server().to_owned(),
            repository_name: name.clone(),
            digest: record.digest.clone(),
            tags: repository
                .tags()
                .of(&record.digest)
                .map(|tag| tag.name.clone())
                .collect(),
            size_in_bytes: record.image_size,
            created_on: record.created_on,
            last_updated_on: record.last_updated_on,
            architecture: record.architecture.as_deref().map(str::to_owned),
            operating_system: record.operating_system.as_deref().map(str::to_owned),
            media_type: Some(record.media_type.clone()),
            config_media_type: record.config_media_type.clone().filter(|_| known),
            references: record.references().to_vec(),
            attributes: record.switches.to_attributes(),
            extra: record.extra(),
        }
    }
}

/// Whether a write lies so far behind.
fn is_behind(now: Timestamp, write: Timestamp, lag: Duration) -> bool {
    // The times of writes run ahead of a clock that stands still, each by the smallest unit.
    let tolerance = Duration::from_millis(1);
    lag.is_zero() || write + lag <= now + tolerance
}
