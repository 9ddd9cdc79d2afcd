//! The operations on manifests: getting and deleting. Setting one is in [`push`], their properties are in [`properties`].

mod properties;
mod push;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use acr_protocol::manifest::{DeleteManifest, GetManifest, HeadManifest};
use acr_protocol::{Descriptor, Digest, Manifest, Reference, RepositoryName, Timestamp};
use http::Response;

use crate::error::ErrorResponse;
use crate::pause::pause;
use crate::registry::Registry;
use crate::request_context::RequestContext;
use crate::response::respond;
use crate::store::{ManifestRecord, Store};
use crate::{Body, locks};

impl Registry {
    /// `GET /v2/{name}/manifests/{reference}`
    ///
    /// `Accept` is not looked at: the stored bytes are given whatever it says. The service would convert Docker images
    /// to schema 1 for clients of old, and hide OCI indexes from clients that do not name them.
    pub(crate) fn get_manifest(
        &self,
        operation: &GetManifest,
    ) -> Result<Response<Body>, ErrorResponse> {
        let store = self.store();
        let (digest, record) = self.pulled(&store, &operation.repository, &operation.reference)?;
        let manifest = Manifest {
            bytes: record.content(),
            media_type: record.media_type.clone(),
            digest,
        };
        Ok(respond(operation, &manifest))
    }

    /// `HEAD /v2/{name}/manifests/{reference}`
    pub(crate) fn head_manifest(
        &self,
        operation: &HeadManifest,
    ) -> Result<Response<Body>, ErrorResponse> {
        let store = self.store();
        let (digest, record) = self.pulled(&store, &operation.repository, &operation.reference)?;
        Ok(respond(
            operation,
            &Descriptor::new(&record.media_type, digest, record.bytes.len() as u64),
        ))
    }

    /// `DELETE /v2/{name}/manifests/{digest}`; by a tag only where the profile has it, and then the manifest stays.
    pub(crate) async fn delete_manifest(
        &self,
        call: &RequestContext,
        operation: &DeleteManifest,
    ) -> Result<Response<Body>, ErrorResponse> {
        let digest = match &operation.reference {
            Reference::Digest(digest) => digest,
            Reference::Tag(tag) if self.settings().profile.deletes_by_tag() => {
                let removed = self.untag(call, &operation.repository, tag)?;
                return Ok(respond(operation, &removed.map(|_| ()).into()));
            }
            Reference::Tag(_) => return Err(ErrorResponse::delete_by_tag()),
        };
        let name = &operation.repository;
        loop {
            // Chosen: where a manifest has many tags, most go before it, and others see them go.
            match self.delete_in_a_turn(name, digest, call.now())? {
                ControlFlow::Break(removed) => {
                    return Ok(respond(operation, &removed.map(|_| ()).into()));
                }
                ControlFlow::Continue(()) => pause().await,
            }
        }
    }

    /// Takes a manifest away, or only some of its tags where they are many.
    fn delete_in_a_turn(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<ControlFlow<Option<Arc<ManifestRecord>>>, ErrorResponse> {
        let mut store = self.store();
        let found = store.repository(name);
        let found = found.and_then(|repository| {
            Some((repository, repository.manifests().get(digest.as_str())?))
        });
        let Some((repository, manifest)) = found else {
            return Ok(ControlFlow::Break(None));
        };
        locks::delete_manifest(repository, manifest)?;
        let time = store.write_time(now);
        let Some(mut repository) = store.repository_mut(name) else {
            return Ok(ControlFlow::Break(None));
        };
        if repository.remove_tags_of(digest, REMOVED_IN_A_TURN, time) {
            return Ok(ControlFlow::Continue(()));
        }
        let removed = repository.remove_manifest(digest, time);
        drop(repository);
        store.forget_if_empty(name);
        Ok(ControlFlow::Break(removed))
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
    ) -> Result<(Digest, &'a Arc<ManifestRecord>), ErrorResponse> {
        let not_found = || ErrorResponse::manifest_not_found(name, reference);
        let repository = store.repository(name).ok_or_else(not_found)?;
        let lag = self.settings().replication_lag;
        let digest = match reference {
            Reference::Digest(digest) => digest.clone(),
            Reference::Tag(tag) => repository
                .tags()
                .get(tag.as_str())
                .filter(|tag| lag.is_zero() || is_behind(self.now(), tag.last_updated_on, lag))
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
}

/// How many tags are taken away in a turn, a few places in indexes for each: about two milliseconds' work.
const REMOVED_IN_A_TURN: usize = 500;

/// Whether a write lies so far behind.
fn is_behind(now: Timestamp, write: Timestamp, lag: Duration) -> bool {
    // The times of writes run ahead of a clock that stands still, each by the smallest unit.
    let tolerance = Duration::from_millis(1);
    lag.is_zero() || write + lag <= now + tolerance
}
