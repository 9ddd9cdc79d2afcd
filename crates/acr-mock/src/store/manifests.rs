use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use acr_protocol::{
    ArtifactManifestReference, Descriptor, Digest, ListOrder, MediaType, Timestamp,
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::quota::Counted;
use crate::store::index::{Index, Key, Sorting};
use crate::store::switches::Switches;
use crate::store::waste::{Waste, pieces_of};

/// A manifest: its bytes, and what was read off them and off its config when it came.
#[derive(Clone, Debug)]
pub(crate) struct ManifestRecord {
    pub(crate) digest: Digest,
    pub(crate) bytes: Counted<Box<[u8]>>,
    pub(crate) media_type: MediaType,
    pub(crate) created_on: Timestamp,
    pub(crate) last_updated_on: Timestamp,
    pub(crate) switches: Switches,
    pub(crate) image_size: Option<u64>,
    /// What an image runs on; most manifests of other kinds have nothing there.
    pub(crate) platform: Option<Box<PlatformWords>>,
    pub(crate) config_media_type: Option<MediaType>,
    pub(crate) subject: Option<Digest>,
    /// What kind of artifact it is, as the list of its subject's referrers says.
    pub(crate) artifact_type: Option<MediaType>,
    pub(crate) rare: Option<Box<RareMembers>>,
}

/// What few manifests have.
#[derive(Clone, Debug, Default)]
pub(crate) struct RareMembers {
    /// The manifests of an index.
    pub(crate) references: Vec<ArtifactManifestReference>,
    /// Further members of its properties, which only a snapshot brings.
    pub(crate) extra: Map<String, Value>,
}

impl RareMembers {
    /// Nothing where there are none.
    pub(crate) fn new(
        references: Vec<ArtifactManifestReference>,
        extra: Map<String, Value>,
    ) -> Option<Box<Self>> {
        let is_any = !references.is_empty() || !extra.is_empty();
        is_any.then(|| Box::new(Self { references, extra }))
    }
}

/// A record of which only the bytes are told.
struct Content(Arc<ManifestRecord>);

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl ManifestRecord {
    /// Its bytes for a response, without a copy: they are held, and counted, until that is sent.
    pub(crate) fn content(self: &Arc<Self>) -> Bytes {
        Bytes::from_owner(Content(Arc::clone(self)))
    }

    /// How it stands in the list of its subject's referrers.
    pub(crate) fn descriptor(&self) -> Descriptor {
        let size = self.bytes.len() as u64;
        let mut descriptor = Descriptor::new(&self.media_type, self.digest.clone(), size);
        descriptor.artifact_type.clone_from(&self.artifact_type);
        // Read anew: only this list tells them, and they may be as long as the manifest itself.
        let annotated = serde_json::from_slice::<Annotated>(&self.bytes);
        descriptor.annotations = annotated
            .ok()
            .and_then(|annotated| annotated.annotations)
            .unwrap_or_default();
        descriptor
    }

    /// The processor that an image is for.
    pub(crate) fn architecture(&self) -> Option<&str> {
        self.platform.as_ref()?.architecture.as_deref()
    }

    /// The operating system that an image is for.
    pub(crate) fn operating_system(&self) -> Option<&str> {
        self.platform.as_ref()?.operating_system.as_deref()
    }

    /// The manifests of an index.
    pub(crate) fn references(&self) -> &[ArtifactManifestReference] {
        self.rare.as_ref().map_or(&[], |rare| &rare.references)
    }

    /// Members of its properties beyond the named ones.
    pub(crate) fn extra(&self) -> Map<String, Value> {
        self.rare
            .as_ref()
            .map_or_else(Map::new, |rare| rare.extra.clone())
    }
}

#[derive(Deserialize)]
struct Annotated {
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// A processor and an operating system.
#[derive(Clone, Debug)]
pub(crate) struct PlatformWords {
    pub(crate) architecture: Option<Cow<'static, str>>,
    pub(crate) operating_system: Option<Cow<'static, str>>,
}

impl PlatformWords {
    /// Nothing where there is no word.
    pub(crate) fn new(
        architecture: Option<String>,
        operating_system: Option<String>,
    ) -> Option<Box<Self>> {
        let words = Self {
            architecture: architecture.map(word),
            operating_system: operating_system.map(word),
        };
        let is_any = words.architecture.is_some() || words.operating_system.is_some();
        is_any.then(|| Box::new(words))
    }
}

/// A word of a platform: the common ones are not held once for each manifest.
fn word(text: String) -> Cow<'static, str> {
    const COMMON: &[&str] = &[
        "amd64", "arm64", "arm", "386", "linux", "windows", "unknown",
    ];
    let common = COMMON.iter().find(|word| **word == text);
    common.map_or(Cow::Owned(text), |word| Cow::Borrowed(word))
}

/// By digest.
#[derive(Debug)]
struct ByDigest;
/// By time; those of the same time, which only a seed can make, by digest.
#[derive(Debug)]
struct ByTime;
/// The referrers of each subject, the latest first.
#[derive(Debug)]
struct Referring;

impl Sorting<ManifestRecord> for ByDigest {
    fn key(manifest: &ManifestRecord) -> Key<'_> {
        ("", 0, manifest.digest.as_str())
    }
}

impl Sorting<ManifestRecord> for ByTime {
    fn key(manifest: &ManifestRecord) -> Key<'_> {
        let time = manifest.last_updated_on.ticks();
        ("", time, manifest.digest.as_str())
    }
}

impl Sorting<ManifestRecord> for Referring {
    fn key(manifest: &ManifestRecord) -> Key<'_> {
        let subject = manifest.subject.as_ref().map_or("", Digest::as_str);
        let time = since_the_end(manifest.last_updated_on.ticks());
        (subject, time, manifest.digest.as_str())
    }
}

/// A number that is the smaller the later the time is.
fn since_the_end(ticks: u64) -> u64 {
    (u64::MAX - 1).saturating_sub(ticks)
}

/// The manifests of a repository: each record is held once, and stands in every order.
#[derive(Debug, Default)]
pub(crate) struct Manifests {
    by_digest: Index<ByDigest, ManifestRecord>,
    by_time: Index<ByTime, ManifestRecord>,
    referring: Index<Referring, ManifestRecord>,
    /// Bytes of all of them.
    bytes: u64,
    /// How many a lock holds.
    locked: usize,
}

impl Manifests {
    pub(crate) fn len(&self) -> usize {
        self.by_digest.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_digest.is_empty()
    }

    /// Bytes of all manifests.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a lock holds any.
    pub(crate) fn are_locked(&self) -> bool {
        self.locked > 0
    }

    pub(crate) fn get(&self, digest: &str) -> Option<&Arc<ManifestRecord>> {
        self.by_digest.get(("", 0, digest))
    }

    /// The manifests behind a place in this order.
    pub(crate) fn walk<'a>(
        &'a self,
        order: ListOrder,
        behind: Option<(u64, &str)>,
    ) -> Box<dyn Iterator<Item = &'a Arc<ManifestRecord>> + Send + 'a> {
        match order {
            ListOrder::None => Box::new(self.by_digest.walk("", behind, false)),
            _ => Box::new(self.by_time.walk(
                "",
                behind,
                order == ListOrder::LastUpdatedOnDescending,
            )),
        }
    }

    /// The manifests whose subject this is, the latest push first, behind the one of this time (in ticks) and digest.
    pub(crate) fn referrers_of<'a>(
        &'a self,
        subject: &Digest,
        behind: Option<(u64, &str)>,
    ) -> impl Iterator<Item = &'a Arc<ManifestRecord>> + use<'a> {
        let behind = behind.map(|(ticks, digest)| (since_the_end(ticks), digest));
        self.referring.walk(subject.as_str(), behind, false)
    }

    /// Puts a manifest in, in the place of one of the same digest.
    pub(crate) fn insert(&mut self, mut record: ManifestRecord) -> Arc<ManifestRecord> {
        self.remove(record.digest.as_str());
        if let Some(subject) = &record.subject
            && let Some(beside) = self.referring.first(subject.as_str())
        {
            // The texts of the latest referrer: many may name the same subject, and be of one kind.
            record.subject.clone_from(&beside.subject);
            if record.artifact_type == beside.artifact_type {
                record.artifact_type.clone_from(&beside.artifact_type);
            }
        }
        self.bytes += record.bytes.len() as u64;
        self.locked += usize::from(record.switches.is_locked());
        let record = Arc::new(record);
        self.by_digest.insert(Arc::clone(&record));
        self.by_time.insert(Arc::clone(&record));
        if record.subject.is_some() {
            self.referring.insert(Arc::clone(&record));
        }
        record
    }

    /// Changes what is known of a manifest beside its digest and bytes. `None` where there is none of this digest.
    pub(crate) fn update(
        &mut self,
        digest: &str,
        change: impl FnOnce(&mut ManifestRecord),
    ) -> Option<Arc<ManifestRecord>> {
        let mut record = Arc::unwrap_or_clone(self.remove(digest)?);
        change(&mut record);
        Some(self.insert(record))
    }

    pub(crate) fn remove(&mut self, digest: &str) -> Option<Arc<ManifestRecord>> {
        let record = self.by_digest.remove(("", 0, digest))?;
        self.by_time.remove(ByTime::key(&record));
        self.referring.remove(Referring::key(&record));
        self.bytes -= record.bytes.len() as u64;
        self.locked -= usize::from(record.switches.is_locked());
        Some(record)
    }

    /// Hands everything over to be dropped bit by bit.
    pub(super) fn into_waste(self, waste: &mut Waste) {
        waste.put_index(self.referring, |_| 1);
        waste.put_index(self.by_digest, |_| 1);
        waste.put_index(self.by_time, |manifest| pieces_of(manifest.bytes.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_s_record_stays_small() {
        // With its counts and the allocator's own 8 bytes: 208. Beside it there are its bytes, the text of its digest (96)
        // and two or three places in indexes (about 18 each).
        assert!(
            size_of::<ManifestRecord>() <= 176,
            "{}",
            size_of::<ManifestRecord>()
        );
    }
}
