//! The operations on manifests: getting and deleting. Setting one is in [`push`], their properties are in [`properties`].

mod properties;
mod push;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use acr_protocol::manifest::{DeleteManifest, GetManifest, HeadManifest};
use acr_protocol::{Descriptor, Digest, Manifest, Reference, RepositoryName, Timestamp};

use crate::error::ErrorResponse;
use crate::locks;
use crate::pause::pause;
use crate::registry::Registry;
use crate::request_body::RequestBody;
use crate::request_context::RequestContext;
use crate::response::respond;
use crate::serve::{Outcome, Serve};
use crate::store::{ManifestRecord, Store};

/// `GET /v2/{name}/manifests/{reference}`
///
/// `Accept` is not looked at: the stored bytes are given whatever it says. The service would convert Docker images
/// to schema 1 for clients of old, and hide OCI indexes from clients that do not name them.
impl Serve for GetManifest {
    const IS_IMMEDIATE: bool = true;

    async fn serve(self, registry: &Registry, _: &RequestContext, _: RequestBody) -> Outcome {
        let store = registry.store();
        let (digest, record) = registry.pulled(&store, &self.repository, &self.reference)?;
        let manifest = Manifest {
            bytes: record.content(),
            media_type: record.media_type.clone(),
            digest,
        };
        Ok(respond(&self, &manifest))
    }
}

/// `HEAD /v2/{name}/manifests/{reference}`
impl Serve for HeadManifest {
    const IS_IMMEDIATE: bool = true;

    async fn serve(self, registry: &Registry, _: &RequestContext, _: RequestBody) -> Outcome {
        let store = registry.store();
        let (digest, record) = registry.pulled(&store, &self.repository, &self.reference)?;
        let size = record.bytes.len() as u64;
        Ok(respond(
            &self,
            &Descriptor::new(&record.media_type, digest, size),
        ))
    }
}

/// `DELETE /v2/{name}/manifests/{digest}`; by a tag only where the profile has it, and then the manifest stays.
impl Serve for DeleteManifest {
    async fn serve(self, registry: &Registry, call: &RequestContext, _: RequestBody) -> Outcome {
        let name = &self.repository;
        let was_there = match &self.reference {
            Reference::Tag(tag) if registry.settings().profile.deletes_by_tag() => {
                registry.untag(call, name, tag)?.is_some()
            }
            Reference::Tag(_) => return Err(ErrorResponse::delete_by_tag()),
            Reference::Digest(digest) => loop {
                // Chosen: where a manifest has many tags, most go before it, and others see them go.
                match registry.delete_in_a_turn(name, digest, call.now())? {
                    ControlFlow::Break(removed) => break removed.is_some(),
                    ControlFlow::Continue(()) => pause().await,
                }
            },
        };
        Ok(respond(&self, &was_there.then_some(()).into()))
    }
}

impl Registry {
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
