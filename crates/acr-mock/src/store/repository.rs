use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use acr_protocol::{
    ArtifactManifestReference, Attributes, ChangeableAttributes, Descriptor, Digest, MediaType,
    Tag, Timestamp,
};
use bytes::Bytes;

use crate::store::content::Content;
use crate::store::ordered::{Ordered, Recorded};

/// A repository: it exists from its first manifest to its last. One without manifests only holds blobs.
#[derive(Debug)]
pub(crate) struct RepositoryRecord {
    pub(crate) attributes: Attributes,
    pub(crate) created_on: Timestamp,
    pub(crate) last_updated_on: Timestamp,
    pub(crate) blobs: HashMap<Digest, Arc<Content>>,
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
    pub(crate) image_size: u64,
    pub(crate) architecture: Option<String>,
    pub(crate) operating_system: Option<String>,
    pub(crate) config_media_type: Option<MediaType>,
    pub(crate) references: Vec<ArtifactManifestReference>,
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
        !self.manifests.is_empty()
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
        if let Some(subject) = &record.subject {
            self.referrers_of
                .entry(subject.clone())
                .or_default()
                .insert(digest.clone());
        }
        self.manifests.insert(digest, record);
        self.last_updated_on = time;
    }

    /// Points a tag at a manifest. A tag that moves keeps its age and its locks.
    pub(crate) fn put_tag(&mut self, tag: Tag, digest: Digest, time: Timestamp) {
        let old = self.tags.get(tag.as_str()).cloned();
        if let Some(old) = &old {
            self.untie(&old.digest, &tag);
        }
        let record = TagRecord {
            digest: digest.clone(),
            created_on: old.as_ref().map_or(time, |old| old.created_on),
            last_updated_on: time,
            attributes: old.map_or_else(Attributes::enabled, |old| old.attributes.clone()),
        };
        self.tags_of.entry(digest).or_default().insert(tag.clone());
        self.tags.insert(tag, record);
        self.last_updated_on = time;
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
        self.tags
            .update(tag.as_str(), |record| record.attributes.apply(change))
    }

    /// Changes a manifest's locks, which is no change of the manifest's time.
    pub(crate) fn update_manifest(
        &mut self,
        digest: &Digest,
        change: &ChangeableAttributes,
    ) -> Option<Arc<ManifestRecord>> {
        self.manifests
            .update(digest.as_str(), |record| record.attributes.apply(change))
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
