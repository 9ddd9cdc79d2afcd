use std::sync::Arc;

use acr_protocol::ListOrder;

use crate::quota::Quota;
use crate::snapshot::{
    self, BlobSnapshot, ManifestSnapshot, Properties, RepositorySnapshot, Snapshot, TagSnapshot,
};
use crate::store::{
    Content, Held, ManifestRecord, PlatformWords, RareMembers, RepositoryRecord, Store, TagRecord,
};

impl Store {
    /// Returns everything but the open uploads.
    pub(crate) fn to_snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (name, record) in &self.repositories {
            if record.exists() {
                let repository = RepositorySnapshot::from(&**record);
                snapshot.repositories.insert(name.clone(), repository);
            }
            for held in record.blobs.walk("", None, false) {
                let blob = snapshot.blobs.entry(held.digest().clone());
                let blob = blob.or_insert_with(|| BlobSnapshot::from(&**held));
                blob.repositories.insert(name.clone());
            }
        }
        (snapshot.last_write, snapshot.seeds) = (self.last_write, self.seeds);
        snapshot
    }

    /// Creates a store that holds the content of a snapshot.
    pub(crate) fn from_snapshot(snapshot: Snapshot, quota: &Quota) -> Self {
        let mut store = Self {
            last_write: snapshot.last_write,
            seeds: snapshot.seeds,
            ..Self::default()
        };
        for (name, repository) in snapshot.repositories {
            if repository.manifests.is_empty() {
                continue;
            }
            let mut record = store.record_mut(&name);
            let properties = repository.properties;
            record.created_on = properties.created_on;
            record.last_updated_on = properties.last_updated_on;
            record.switches = properties.attributes.into();
            let extra = properties.extra;
            record.extra = (!extra.is_empty()).then(|| Box::new(extra));
            for (digest, manifest) in repository.manifests {
                let properties = manifest.properties;
                record.restore_manifest(ManifestRecord {
                    digest,
                    bytes: quota.keep(&manifest.content.into_bytes()),
                    media_type: manifest.media_type,
                    created_on: properties.created_on,
                    last_updated_on: properties.last_updated_on,
                    switches: properties.attributes.into(),
                    image_size: manifest.image_size,
                    platform: PlatformWords::new(manifest.architecture, manifest.operating_system),
                    config_media_type: manifest.config_media_type,
                    subject: manifest.subject,
                    artifact_type: manifest.artifact_type,
                    rare: RareMembers::new(manifest.references, properties.extra),
                });
            }
            for (name, tag) in repository.tags {
                let properties = tag.properties;
                let record_of_tag = TagRecord::new(name, tag.digest, properties.last_updated_on);
                record.restore_tag(TagRecord {
                    created_on: properties.created_on,
                    switches: properties.attributes.into(),
                    ..record_of_tag.with_extra(properties.extra)
                });
            }
        }
        for (digest, blob) in snapshot.blobs {
            let bytes = quota.hold(blob.content.into_bytes());
            let content = Content::from_chunks(vec![bytes]).with_blocks(blob.blocks);
            let content = content.created(blob.created_on);
            let held = Arc::new(Held::new(digest, content, &store.tally));
            for repository in &blob.repositories {
                store.share_blob(repository, Arc::clone(&held));
            }
        }
        store
    }

    /// Exchanges everything but the open uploads with another store.
    pub(crate) fn swap_content(&mut self, other: &mut Self) {
        std::mem::swap(self, other);
        std::mem::swap(&mut self.uploads, &mut other.uploads);
        std::mem::swap(&mut self.uploads_in, &mut other.uploads_in);
        std::mem::swap(&mut self.upload_ends, &mut other.upload_ends);
    }
}

/// What the records of repositories, manifests and tags have alike, each in fields of its own.
macro_rules! properties {
    ($record:ident, $extra:expr) => {
        Properties {
            created_on: $record.created_on,
            last_updated_on: $record.last_updated_on,
            attributes: $record.switches.to_attributes(),
            extra: $extra,
        }
    };
}

impl From<&RepositoryRecord> for RepositorySnapshot {
    fn from(record: &RepositoryRecord) -> Self {
        let manifests = record.manifests.walk(ListOrder::None, None);
        let tags = record.tags.walk(ListOrder::None, None, None);
        Self {
            properties: properties!(record, record.extra.as_deref().cloned().unwrap_or_default()),
            manifests: manifests
                .map(|manifest| (manifest.digest.clone(), ManifestSnapshot::from(&**manifest)))
                .collect(),
            tags: tags
                .map(|tag| (tag.name.clone(), TagSnapshot::from(&**tag)))
                .collect(),
        }
    }
}

impl From<&ManifestRecord> for ManifestSnapshot {
    fn from(record: &ManifestRecord) -> Self {
        Self {
            media_type: record.media_type.clone(),
            properties: properties!(record, record.extra()),
            image_size: record.image_size,
            architecture: record.architecture().map(str::to_owned),
            operating_system: record.operating_system().map(str::to_owned),
            config_media_type: record.config_media_type.clone(),
            references: record.references().to_vec(),
            subject: record.subject.clone(),
            artifact_type: record.artifact_type.clone(),
            content: snapshot::Content::Bytes(record.bytes.to_vec().into()),
        }
    }
}

impl From<&TagRecord> for TagSnapshot {
    fn from(record: &TagRecord) -> Self {
        Self {
            digest: record.digest.clone(),
            properties: properties!(record, record.extra()),
        }
    }
}

impl From<&Held> for BlobSnapshot {
    fn from(held: &Held) -> Self {
        Self {
            created_on: held.created_on(),
            blocks: held.blocks(),
            content: snapshot::Content::Bytes(held.joined(u64::MAX).unwrap_or_default()),
            ..Self::default()
        }
    }
}
