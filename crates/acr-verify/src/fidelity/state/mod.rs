//! [`State`]: what a registry must hold before each step of a session, so that the steps can have gone as recorded.
//!
//! What a step shows and no earlier step made is put in before it, with all that later steps show of it until the session
//! changes it. What the session made stays as the registry made it, but for its times: the service's clock shows more
//! digits than its responses. What a step says is gone and no earlier step removed, somebody else removed.

mod content;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use acr_mock::Snapshot;
use acr_mock::snapshot::{Content, ManifestSnapshot, Properties, RepositorySnapshot, TagSnapshot};
use acr_protocol::{
    Attributes, ChangeableAttributes, Digest, MediaType, RepositoryName, Timestamp,
};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use self::content::{UNKNOWN, is_unknown, properties_of, repository, set_counts, take_out};
use crate::fidelity::page::Page;
use crate::fidelity::preconditions::{Preconditions, STORAGE};
use crate::fidelity::resource::{Known, Resource};
use crate::fidelity::step::Step;

/// Where bytes of a digest may be found beside the recording.
pub(super) type RealBytes = dyn Fn(&Digest) -> Option<Bytes>;

/// What is known of a session's registry.
pub(super) struct State<'a> {
    real_bytes: &'a RealBytes,
    bytes: BTreeMap<Digest, Bytes>,
    steps: Vec<Preconditions>,
    /// What is there.
    there: BTreeMap<Resource, Presence>,
    /// Locks as they were last shown.
    attributes: BTreeMap<Resource, Attributes>,
    /// Repositories whose counts have been set.
    counted: BTreeSet<RepositoryName>,
    /// Repositories in which the session has deleted manifests.
    thinned: BTreeSet<RepositoryName>,
    /// Content that is filler.
    filler: BTreeSet<Digest>,
    /// A repository that was changed for one step alone, as it was before.
    passing: Option<(RepositoryName, Option<RepositorySnapshot>)>,
}

#[derive(Debug, Default)]
struct Presence {
    /// The session has made it.
    is_made: bool,
    /// The session has changed it since its times were shown.
    is_touched: bool,
    /// The manifest of a tag, if it is known.
    digest: Option<Digest>,
}

impl<'a> State<'a> {
    /// Collects what the steps show.
    pub(super) fn new(steps: &[Step], real_bytes: &'a RealBytes) -> Self {
        let sent = steps.iter().filter_map(Step::sent);
        let received = steps.iter().filter_map(|step| step.response.bytes());
        let bytes = sent.chain(received).filter(|bytes| !bytes.is_empty());
        Self {
            real_bytes,
            bytes: bytes.map(|bytes| (Digest::sha256(&bytes), bytes)).collect(),
            steps: steps.iter().map(Preconditions::of).collect(),
            there: BTreeMap::new(),
            attributes: BTreeMap::new(),
            counted: BTreeSet::new(),
            thinned: BTreeSet::new(),
            filler: BTreeSet::new(),
            passing: None,
        }
    }

    /// Returns the real bytes of a digest.
    pub(super) fn bytes(&self, digest: &Digest) -> Option<Bytes> {
        let known = self.bytes.get(digest).cloned();
        known.or_else(|| (self.real_bytes)(digest))
    }

    /// Returns the size of a blob, if a step shows it.
    pub(super) fn size(&self, blob: &Digest) -> Option<u64> {
        let shown = self.steps.iter().flat_map(|step| &step.present);
        let of_blob =
            |resource: &Resource| matches!(resource, Resource::Blob(_, digest) if digest == blob);
        let mut sizes =
            shown.filter_map(|(resource, known)| known.size.filter(|_| of_blob(resource)));
        sizes.find(|size| *size > 0)
    }

    /// Returns whether the content of a digest is not the real one.
    pub(super) fn is_filler(&self, digest: &Digest) -> bool {
        self.filler.contains(digest)
    }

    /// Notes that filler stands for the content of a digest.
    pub(super) fn note_filler(&mut self, digest: &Digest) {
        self.filler.insert(digest.clone());
    }

    /// Brings the content of a registry into the state that a step needs.
    pub(super) fn prepare(&mut self, index: usize, step: &Step, content: &mut Snapshot) {
        let needed = self.steps[index].clone();
        for resource in &needed.absent {
            if self.there.contains_key(resource) {
                match resource {
                    // Its last manifest went with a step; what is left of it is what nobody has described.
                    Resource::Repository(name) if self.thinned.contains(name) => {
                        set_counts(name, (0, 0), content);
                    }
                    _ => take_out(resource, content),
                }
            }
            self.there.retain(|other, _| !other.goes_with(resource));
        }
        // Repositories come last, for their counts.
        let is_repository = |resource: &Resource| matches!(resource, Resource::Repository(_));
        for repositories in [false, true] {
            for (resource, known) in &needed.present {
                if is_repository(resource) == repositories {
                    self.need(index, resource, known, content);
                }
            }
        }
        if let Some((resource, off)) = &needed.locked {
            self.lock(resource, off, content);
        }
        if let Some((resource, known)) = Page::of(step).and_then(|page| page.behind(step)) {
            let name = resource.repository().clone();
            self.passing = Some((name.clone(), content.repositories.get(&name).cloned()));
            self.insert(&resource, known, content);
        }
    }

    /// Notes what a step has changed.
    pub(super) fn conclude(&mut self, index: usize, content: &mut Snapshot) {
        if let Some((name, before)) = self.passing.take() {
            content.repositories.remove(&name);
            content
                .repositories
                .extend(before.map(|before| (name, before)));
        }
        let changes = self.steps[index].clone();
        for (resource, digest) in changes.made {
            let repository = Resource::Repository(resource.repository().clone());
            let is_blob = matches!(resource, Resource::Blob(..));
            let made = [(repository, None), (resource, digest)];
            for (resource, digest) in made.into_iter().skip(usize::from(is_blob)) {
                let new = || Presence {
                    is_made: true,
                    ..Presence::default()
                };
                let presence = self.there.entry(resource).or_insert_with(new);
                (presence.is_touched, presence.digest) = (true, digest);
            }
        }
        self.attributes.extend(changes.attributes);
        for resource in &changes.gone {
            let name = resource.repository();
            if let Resource::Manifest(_, manifest) = resource {
                self.thinned.insert(name.clone());
                self.there.retain(|other, presence| {
                    other.repository() != name || presence.digest.as_ref() != Some(manifest)
                });
            }
            if let Some(repository) = self.there.get_mut(&Resource::Repository(name.clone())) {
                repository.is_touched |= !matches!(resource, Resource::Blob(..));
            }
            self.there.retain(|other, _| !other.goes_with(resource));
        }
    }

    fn need(&mut self, index: usize, resource: &Resource, known: &Known, content: &mut Snapshot) {
        let name = resource.repository();
        let repository = Resource::Repository(name.clone());
        if let Resource::Blob(_, digest) = resource {
            if name.as_str() == STORAGE && content.blobs.contains_key(digest) {
                // The storage gives what any repository holds.
                return;
            }
        } else if *resource != repository {
            self.need(index, &repository, &Known::default(), content);
        }
        // With the last manifest that is known a repository goes; that it is there shows that there are others.
        let is_missing = *resource == repository && !content.repositories.contains_key(name);
        match self.there.get_mut(resource) {
            Some(presence) if !is_missing => {
                presence.digest = presence.digest.take().or_else(|| known.digest.clone());
                if let Some(shown) = known.properties.as_ref().filter(|_| presence.is_touched) {
                    presence.is_touched = false;
                    let is_made = presence.is_made;
                    self.adopt(resource, known, shown, is_made, content);
                }
            }
            _ => {
                let known = self.look_ahead(index, resource);
                let attributes = known
                    .properties
                    .as_ref()
                    .map(|shown| shown.attributes.clone());
                self.attributes
                    .extend(attributes.map(|shown| (resource.clone(), shown)));
                let digest = known.digest.clone();
                self.there.insert(
                    resource.clone(),
                    Presence {
                        digest,
                        ..Presence::default()
                    },
                );
                self.insert(resource, known, content);
            }
        }
        if let Some(counts) = known.counts.filter(|_| self.counted.insert(name.clone())) {
            set_counts(name, counts, content);
        }
    }

    /// Collects what this step and later ones show of a resource, until one of them removes it.
    fn look_ahead(&self, index: usize, resource: &Resource) -> Known {
        let content = |resource: &Resource| match resource {
            Resource::Blob(_, digest) => Some(digest.clone()),
            _ => None,
        };
        let blob = content(resource);
        let (mut known, mut changed) = (Known::default(), false);
        for (at, step) in self.steps.iter().enumerate().skip(index) {
            let ends = |other: &Resource| resource.goes_with(other);
            if at > index && step.absent.iter().any(ends) {
                break;
            }
            for (other, shown) in &step.present {
                if other == resource || blob.is_some() && content(other) == blob {
                    known.fill(shown.clone(), changed);
                }
            }
            if step.gone.iter().any(ends) {
                break;
            }
            let made = step.made.iter().map(|(made, _)| made);
            // The content of a digest never changes.
            changed |= blob.is_none()
                && made
                    .chain(&step.gone)
                    .any(|other| other.goes_with(resource));
        }
        known
    }

    fn insert(&mut self, resource: &Resource, known: Known, content: &mut Snapshot) {
        let unknown = || Properties::new(Timestamp::UNIX_EPOCH);
        match resource {
            Resource::Repository(name) => {
                let repository = repository(name, content);
                repository.properties = known.properties.unwrap_or_else(unknown);
            }
            Resource::Tag(name, tag) => {
                let repository = repository(name, content);
                let stands_for = repository
                    .tags
                    .keys()
                    .find(|tag| tag.as_str().starts_with(UNKNOWN));
                if let Some(unknown) = stands_for.cloned() {
                    repository.tags.remove(&unknown);
                }
                // One of which no step shows the manifest has one that is there.
                let manifests = repository.manifests.iter();
                let first = manifests.min_by_key(|(_, manifest)| is_unknown(manifest));
                let some =
                    first.map_or_else(|| Digest::sha256(UNKNOWN), |(digest, _)| digest.clone());
                let signed = Map::from_iter([("signed".to_owned(), false.into())]);
                let usual = || Properties {
                    extra: signed,
                    ..unknown()
                };
                let snapshot = TagSnapshot {
                    digest: known.digest.unwrap_or(some),
                    properties: known.properties.unwrap_or_else(usual),
                };
                repository.tags.insert(tag.clone(), snapshot);
            }
            Resource::Manifest(name, digest) => {
                let manifest = self.manifest(digest, known);
                let repository = repository(name, content);
                let stands_for = repository
                    .manifests
                    .iter()
                    .find(|(_, manifest)| is_unknown(manifest));
                if let Some(unknown) = stands_for.map(|(digest, _)| digest.clone()) {
                    repository.manifests.remove(&unknown);
                    for tag in repository
                        .tags
                        .values_mut()
                        .filter(|tag| tag.digest == unknown)
                    {
                        tag.digest.clone_from(digest);
                    }
                }
                repository.manifests.insert(digest.clone(), manifest);
            }
            Resource::Blob(name, digest) => {
                let bytes = self.content(digest, known.size, known.parts);
                let blob = content.blobs.entry(digest.clone()).or_default();
                if blob.repositories.is_empty() {
                    (blob.content, blob.blocks) = (bytes, known.blocks.unwrap_or(1));
                }
                blob.repositories.insert(name.clone());
            }
        }
    }

    fn manifest(&mut self, digest: &Digest, mut known: Known) -> ManifestSnapshot {
        let mut time = Timestamp::UNIX_EPOCH;
        if let Some((_, entry, place)) = &known.referrer {
            // The first of a list of referrers is the newest.
            time = Timestamp::from_ticks(Timestamp::new(SOME_TIME, 0).ticks() - place);
            let annotated = json!({ "annotations": entry.annotations }).to_string();
            if !entry.annotations.is_empty() {
                known.parts.entry(0).or_insert_with(|| annotated.into());
            }
        }
        let content = self.content(digest, known.size, known.parts);
        let stated = match &content {
            Content::Bytes(bytes) => serde_json::from_slice::<Value>(bytes).unwrap_or_default(),
            Content::Filler { .. } => Value::Null,
        };
        let shown = known
            .manifest
            .as_ref()
            .and_then(|shown| shown.media_type.clone());
        let stated = stated["mediaType"].as_str().map(MediaType::from);
        let media_type = shown.or(stated).or(known.media_type);
        let properties = known.properties.unwrap_or_else(|| Properties::new(time));
        let media_type = media_type.unwrap_or(MediaType::DOCKER_MANIFEST);
        let mut manifest = ManifestSnapshot::new(media_type, content, properties);
        manifest.image_size = Some(0);
        if let Some((subject, entry, _)) = known.referrer {
            (manifest.subject, manifest.artifact_type) = (Some(subject), entry.artifact_type);
        }
        if let Some(shown) = known.manifest {
            manifest.image_size = shown.size_in_bytes;
            manifest.architecture = shown.architecture;
            manifest.operating_system = shown.operating_system;
            manifest.config_media_type = shown.config_media_type;
            manifest.references = shown.references;
        }
        manifest
    }

    /// Real bytes, or filler with what is known of them.
    fn content(
        &mut self,
        digest: &Digest,
        size: Option<u64>,
        known: BTreeMap<u64, Bytes>,
    ) -> Content {
        if let Some(bytes) = self.bytes(digest) {
            return Content::Bytes(bytes);
        }
        self.filler.insert(digest.clone());
        let ends = known.iter().map(|(start, part)| start + part.len() as u64);
        let size = size.or(ends.max()).unwrap_or_default().min(MAX_FILLER);
        Content::Filler { size, known }
    }

    /// Takes over of what the session has made or changed what it cannot have the same: times, what an index counts as its
    /// size, what the service fills in late or reads off a config that nobody has recorded, and further attributes.
    fn adopt(
        &self,
        resource: &Resource,
        known: &Known,
        shown: &Properties,
        is_made: bool,
        content: &mut Snapshot,
    ) {
        if let Some(properties) = properties_of(resource, content) {
            properties.last_updated_on = shown.last_updated_on;
            if is_made {
                properties.created_on = shown.created_on;
            }
            if is_made && !self.attributes.contains_key(resource) {
                properties
                    .attributes
                    .extra
                    .clone_from(&shown.attributes.extra);
            }
        }
        let (Some(shown), Resource::Manifest(name, digest)) = (&known.manifest, resource) else {
            return;
        };
        let repository = content.repositories.get_mut(name);
        let Some(manifest) = repository.and_then(|found| found.manifests.get_mut(digest)) else {
            return;
        };
        let bytes = manifest.content.clone().into_bytes();
        let parsed: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let config = parsed["config"]["digest"].as_str();
        let config = config.and_then(|digest| Digest::new(digest).ok());
        if config.is_some_and(|config| self.filler.contains(&config)) {
            manifest.architecture.clone_from(&shown.architecture);
            manifest
                .operating_system
                .clone_from(&shown.operating_system);
        }
        if manifest.media_type.is_index() {
            manifest.image_size = shown.size_in_bytes.or(manifest.image_size);
        }
        if shown.config_media_type.is_none() {
            manifest.config_media_type = None;
        }
    }

    /// A lock has refused a step: one that was shown, or else one that must be there.
    fn lock(&self, resource: &Resource, off: &ChangeableAttributes, content: &mut Snapshot) {
        let is_off = |attributes: &Attributes| match off.can_read {
            Some(_) => !attributes.can_read(),
            None => attributes.is_locked(),
        };
        let repository = Resource::Repository(resource.repository().clone());
        let shown = [resource, &repository].map(|resource| self.attributes.get(resource));
        if !shown.into_iter().flatten().any(is_off)
            && let Some(properties) = properties_of(resource, content)
        {
            properties.attributes.apply(off);
        }
    }
}

/// A time without a meaning, in seconds since 1970.
const SOME_TIME: i64 = 1_600_000_000;

/// The most filler, in bytes.
pub(super) const MAX_FILLER: u64 = 1 << 30;
