use std::sync::Arc;

use acr_protocol::{ChangeableAttributes, Digest, Tag, Timestamp};
use serde_json::{Map, Value};

use crate::store::index::Index;
use crate::store::manifests::{ManifestRecord, Manifests};
use crate::store::switches::Switches;
use crate::store::tags::{TagRecord, Tags};
use crate::store::tally::{ByDigest, Held};
use crate::store::waste::Waste;

/// A repository: it exists from its first manifest to its last. One without manifests only holds blobs.
#[derive(Debug)]
pub(crate) struct RepositoryRecord {
    pub(crate) switches: Switches,
    pub(crate) created_on: Timestamp,
    pub(crate) last_updated_on: Timestamp,
    pub(super) blobs: Index<ByDigest, Held>,
    /// Further members of its properties, which only a snapshot brings.
    pub(crate) extra: Option<Box<Map<String, Value>>>,
    pub(super) manifests: Manifests,
    pub(super) tags: Tags,
}

impl Default for RepositoryRecord {
    fn default() -> Self {
        Self {
            switches: Switches::enabled(),
            created_on: Timestamp::default(),
            last_updated_on: Timestamp::default(),
            blobs: Index::default(),
            extra: None,
            manifests: Manifests::default(),
            tags: Tags::default(),
        }
    }
}

impl RepositoryRecord {
    /// Goes to the waste, to be dropped with everything in it.
    pub(crate) fn into_waste(self, waste: &mut Waste) {
        self.manifests.into_waste(waste);
        self.tags.into_waste(waste);
        waste.put_blobs(self.blobs.into_records());
    }

    /// Whether there is a manifest in it.
    pub(crate) fn exists(&self) -> bool {
        !self.manifests.is_empty()
    }

    /// A blob of it.
    pub(crate) fn blob(&self, digest: &Digest) -> Option<&Arc<Held>> {
        self.blobs.get(("", 0, digest.as_str()))
    }

    pub(crate) fn manifests(&self) -> &Manifests {
        &self.manifests
    }

    pub(crate) fn tags(&self) -> &Tags {
        &self.tags
    }

    /// Puts a manifest in. The first one brings the repository to life, with times and locks of a new one.
    pub(crate) fn put_manifest(&mut self, mut record: ManifestRecord) {
        let time = record.last_updated_on;
        if !self.exists() {
            (self.created_on, self.switches) = (time, Switches::enabled());
        }
        if let Some(old) = self.manifests.get(record.digest.as_str()) {
            // The same bytes once more: they keep their age and their locks.
            record.created_on = old.created_on;
            record.switches = old.switches.clone();
            // Its tags hold this text of the digest.
            record.digest = old.digest.clone();
        }
        self.restore_manifest(record);
        self.last_updated_on = time;
    }

    /// Puts a manifest in as it is, in the place of one of the same digest.
    pub(crate) fn restore_manifest(&mut self, record: ManifestRecord) {
        self.manifests.insert(record);
    }

    /// Points a tag at a manifest. A tag that moves keeps its age and its locks.
    pub(crate) fn put_tag(&mut self, tag: Tag, digest: Digest, time: Timestamp) {
        let old = self.tags.get(tag.as_str());
        let mut record = TagRecord::new(tag, digest, time);
        if let Some(old) = old {
            record.name = old.name.clone();
            record.created_on = old.created_on;
            record.switches = old.switches.clone();
        }
        self.restore_tag(record);
        self.last_updated_on = time;
    }

    /// Puts a tag in as it is, in the place of one of the same name.
    pub(crate) fn restore_tag(&mut self, mut record: TagRecord) {
        if let Some(manifest) = self.manifests.get(record.digest.as_str()) {
            // The manifest's own text of the digest, which is held once for all tags.
            record.digest = manifest.digest.clone();
        }
        self.tags.insert(record);
    }

    /// Takes a tag away; its manifest stays.
    pub(crate) fn remove_tag(&mut self, tag: &Tag, time: Timestamp) -> Option<Arc<TagRecord>> {
        let record = self.tags.remove(tag.as_str())?;
        self.last_updated_on = time;
        Some(record)
    }

    /// Takes at most so many tags of a manifest away. Whether any are left.
    pub(crate) fn remove_tags_of(&mut self, digest: &Digest, most: usize, time: Timestamp) -> bool {
        let some: Vec<_> = self.tags.of(digest, None).take(most).cloned().collect();
        for tag in &some {
            self.remove_tag(&tag.name, time);
        }
        self.tags.of(digest, None).next().is_some()
    }

    /// Takes a manifest away, with every tag of it: where they may be many, take most of them away before.
    pub(crate) fn remove_manifest(
        &mut self,
        digest: &Digest,
        time: Timestamp,
    ) -> Option<Arc<ManifestRecord>> {
        let record = self.manifests.remove(digest.as_str())?;
        self.remove_tags_of(digest, usize::MAX, time);
        if !self.exists() {
            // The repository has gone, and its locks with it, even if blobs are left.
            self.switches = Switches::enabled();
        }
        self.last_updated_on = time;
        Some(record)
    }

    /// Changes a tag's locks, which is not a change of the tag's time.
    pub(crate) fn update_tag(
        &mut self,
        tag: &Tag,
        change: &ChangeableAttributes,
    ) -> Option<Arc<TagRecord>> {
        self.change_tag(tag, |record| record.switches.apply(change))
    }

    /// Changes a tag in any way but its name and digest.
    pub(crate) fn change_tag(
        &mut self,
        tag: &Tag,
        change: impl FnOnce(&mut TagRecord),
    ) -> Option<Arc<TagRecord>> {
        self.tags.update(tag.as_str(), change)
    }

    /// Changes a manifest's locks, which is not a change of the manifest's time.
    pub(crate) fn update_manifest(
        &mut self,
        digest: &Digest,
        change: &ChangeableAttributes,
    ) -> Option<Arc<ManifestRecord>> {
        self.change_manifest(digest, |record| record.switches.apply(change))
    }

    /// Changes what is known of a manifest beside its bytes.
    pub(crate) fn change_manifest(
        &mut self,
        digest: &Digest,
        change: impl FnOnce(&mut ManifestRecord),
    ) -> Option<Arc<ManifestRecord>> {
        self.manifests.update(digest.as_str(), change)
    }
}
