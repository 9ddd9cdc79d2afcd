use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use acr_protocol::{
    ArtifactManifestReference, Attributes, ChangeableAttributes, Descriptor, Digest, MediaType,
    Tag, Timestamp,
};
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::store::content::Content;
use crate::store::ordered::{Ordered, Recorded};

/// A repository: it exists from its first manifest to its last. One without manifests only holds blobs.
#[derive(Debug)]
pub(crate) struct RepositoryRecord {
    pub(crate) attributes: Attributes,
    pub(crate) created_on: Timestamp,
    pub(crate) last_updated_on: Timestamp,
    pub(crate) blobs: HashMap<Digest, Arc<Content>>,
    /// Further members of its properties, as a recording shows them.
    pub(crate) extra: Map<String, Value>,
    /// Manifests and tags that a recording counts, but does not show.
    pub(crate) unseen_manifests: u64,
    pub(crate) unseen_tags: u64,
    manifests: Ordered<Digest, ManifestRecord>,
    tags: Ordered<Tag, TagRecord>,
    tags_of: BTreeMap<Digest, BTreeSet<Tag>>,
    referrers_of: BTreeMap<Digest, BTreeSet<Digest>>,
}

impl Default for RepositoryRecord {
    fn default() -> Self {
        Self {
            attributes: Attributes::enabled(),
            created_on: Timestamp::default(),
            last_updated_on: Timestamp::default(),
            blobs: HashMap::new(),
            extra: Map::new(),
            unseen_manifests: 0,
            unseen_tags: 0,
            manifests: Ordered::default(),
            tags: Ordered::default(),
            tags_of: BTreeMap::new(),
            referrers_of: BTreeMap::new(),
        }
    }
}

/// A tag.
#[derive(Clone, Debug)]
pub(crate) struct TagRecord {
    pub(crate) digest: Digest,
    pub(crate) created_on: Timestamp,
    pub(crate) last_updated_on: Timestamp,
    pub(crate) attributes: Attributes,
    /// Further members of its properties.
    pub(crate) extra: Map<String, Value>,
}

impl TagRecord {
    /// A tag of this time, with the locks of a new one.
    pub(crate) fn new(digest: Digest, time: Timestamp) -> Self {
        let mut extra = Map::new();
        // In every recording; it stands for Docker content trust, which is gone.
        extra.insert("signed".to_owned(), false.into());
        Self {
            digest,
            created_on: time,
            last_updated_on: time,
            attributes: Attributes::enabled(),
            extra,
        }
    }
}

impl Recorded for TagRecord {
    fn last_updated_on(&self) -> Timestamp {
        self.last_updated_on
    }
}

/// A manifest: its bytes, and what was read off them and off its config when it came.
#[derive(Clone, Debug)]
pub(crate) struct ManifestRecord {
    pub(crate) bytes: Bytes,
    pub(crate) media_type: MediaType,
    pub(crate) created_on: Timestamp,
    pub(crate) last_updated_on: Timestamp,
    pub(crate) attributes: Attributes,
    pub(crate) image_size: Option<u64>,
    pub(crate) architecture: Option<String>,
    pub(crate) operating_system: Option<String>,
    pub(crate) config_media_type: Option<MediaType>,
    pub(crate) references: Vec<ArtifactManifestReference>,
    /// Further members of its properties.
    pub(crate) extra: Map<String, Value>,
    pub(crate) subject: Option<Digest>,
    /// How it stands in the list of its subject's referrers.
    pub(crate) descriptor: Descriptor,
}

impl Recorded for ManifestRecord {
    fn last_updated_on(&self) -> Timestamp {
        self.last_updated_on
    }
}

impl RepositoryRecord {
    /// Whether there is a manifest in it.
    pub(crate) fn exists(&self) -> bool {
        !self.manifests.is_empty() || self.unseen_manifests > 0
    }

    /// How many manifests it has.
    pub(crate) fn manifest_count(&self) -> u64 {
        self.manifests.len() as u64 + self.unseen_manifests
    }

    /// How many tags it has.
    pub(crate) fn tag_count(&self) -> u64 {
        self.tags.len() as u64 + self.unseen_tags
    }

    pub(crate) fn manifests(&self) -> &Ordered<Digest, ManifestRecord> {
        &self.manifests
    }

    pub(crate) fn tags(&self) -> &Ordered<Tag, TagRecord> {
        &self.tags
    }

    /// The tags of a manifest, by name.
    pub(crate) fn tags_of(&self, digest: &Digest) -> impl Iterator<Item = &Tag> {
        self.tags_of.get(digest).into_iter().flatten()
    }

    /// The manifests whose subject this is, the latest push first.
    pub(crate) fn referrers_of(&self, subject: &Digest) -> Vec<Arc<ManifestRecord>> {
        let digests = self.referrers_of.get(subject).into_iter().flatten();
        let mut referrers: Vec<_> = digests
            .filter_map(|digest| self.manifests.get(digest.as_str()).cloned())
            .collect();
        referrers.sort_by_key(|referrer| std::cmp::Reverse(referrer.last_updated_on));
        referrers
    }

    /// Puts a manifest in. The first one brings the repository to life, with times and locks of a new one.
    pub(crate) fn put_manifest(&mut self, digest: Digest, mut record: ManifestRecord) {
        let time = record.last_updated_on;
        if !self.exists() {
            (self.created_on, self.attributes) = (time, Attributes::enabled());
        }
        if let Some(old) = self.manifests.get(digest.as_str()) {
            // The same bytes once more: they keep their age and their locks.
            record.created_on = old.created_on;
            record.attributes = old.attributes.clone();
        }
        self.restore_manifest(digest, record);
        self.last_updated_on = time;
    }

    /// Puts a manifest in as it is, in the place of one of the same digest.
    pub(crate) fn restore_manifest(&mut self, digest: Digest, record: ManifestRecord) {
        if let Some(subject) = &record.subject {
            let referrers = self.referrers_of.entry(subject.clone()).or_default();
            referrers.insert(digest.clone());
        }
        self.manifests.insert(digest, record);
    }

    /// Points a tag at a manifest. A tag that moves keeps its age and its locks.
    pub(crate) fn put_tag(&mut self, tag: Tag, digest: Digest, time: Timestamp) {
        let old = self.tags.get(tag.as_str()).cloned();
        let mut record = TagRecord::new(digest, time);
        if let Some(old) = old {
            record.created_on = old.created_on;
            record.attributes = old.attributes.clone();
        }
        self.restore_tag(tag, record);
        self.last_updated_on = time;
    }

    /// Puts a tag in as it is, in the place of one of the same name.
    pub(crate) fn restore_tag(&mut self, tag: Tag, record: TagRecord) {
        if let Some(old) = self.tags.remove(tag.as_str()) {
            self.untie(&old.digest, &tag);
        }
        let tags = self.tags_of.entry(record.digest.clone()).or_default();
        tags.insert(tag.clone());
        self.tags.insert(tag, record);
    }

    /// Takes a tag away; its manifest stays.
    pub(crate) fn remove_tag(&mut self, tag: &Tag, time: Timestamp) -> Option<Arc<TagRecord>> {
        let record = self.tags.remove(tag.as_str())?;
        self.untie(&record.digest, tag);
        self.last_updated_on = time;
        Some(record)
    }

    /// Takes a manifest away, with every tag of it.
    pub(crate) fn remove_manifest(
        &mut self,
        digest: &Digest,
        time: Timestamp,
    ) -> Option<Arc<ManifestRecord>> {
        let record = self.manifests.remove(digest.as_str())?;
        for tag in self.tags_of.remove(digest).unwrap_or_default() {
            self.tags.remove(tag.as_str());
        }
        if let Some(subject) = &record.subject
            && let Some(referrers) = self.referrers_of.get_mut(subject)
        {
            referrers.remove(digest);
            if referrers.is_empty() {
                self.referrers_of.remove(subject);
            }
        }
        if !self.exists() {
            // The repository has gone, and its locks with it, even if blobs are left.
            self.attributes = Attributes::enabled();
        }
        self.last_updated_on = time;
        Some(record)
    }

    /// Changes a tag's locks, which is no change of the tag's time.
    pub(crate) fn update_tag(
        &mut self,
        tag: &Tag,
        change: &ChangeableAttributes,
    ) -> Option<Arc<TagRecord>> {
        self.change_tag(tag, |record| record.attributes.apply(change))
    }

    /// Changes a tag in any way but its name and digest.
    pub(crate) fn change_tag(
        &mut self,
        tag: &Tag,
        change: impl FnOnce(&mut TagRecord),
    ) -> Option<Arc<TagRecord>> {
        self.tags.update(tag.as_str(), change)
    }

    /// Changes a manifest's locks, which is no change of the manifest's time.
    pub(crate) fn update_manifest(
        &mut self,
        digest: &Digest,
        change: &ChangeableAttributes,
    ) -> Option<Arc<ManifestRecord>> {
        self.change_manifest(digest, |record| record.attributes.apply(change))
    }

    /// Changes what is known of a manifest beside its bytes.
    pub(crate) fn change_manifest(
        &mut self,
        digest: &Digest,
        change: impl FnOnce(&mut ManifestRecord),
    ) -> Option<Arc<ManifestRecord>> {
        self.manifests.update(digest.as_str(), change)
    }

    fn untie(&mut self, digest: &Digest, tag: &Tag) {
        if let Some(tags) = self.tags_of.get_mut(digest) {
            tags.remove(tag);
            if tags.is_empty() {
                self.tags_of.remove(digest);
            }
        }
    }
}
