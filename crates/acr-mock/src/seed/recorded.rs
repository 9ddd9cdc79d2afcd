//! State as a recording of the real service supposes it. **For replays only**: this is how `cargo xtask fidelity` brings
//! a registry into the state in which a recorded request was made, so that the two responses can be compared.
//!
//! Nothing here is checked. Content may stand under a digest that is not its own, so that filler can take the place of
//! bytes that nobody recorded; times, sizes and counts are what the recording shows. No client has a way to any of it:
//! tests of clients use [`RepositorySeed`](crate::RepositorySeed), whose content passes the checks of a push.

use std::net::IpAddr;

use acr_protocol::{
    ArtifactManifestReference, Attributes, Descriptor, Digest, MediaType, RepositoryName, Tag,
    Timestamp,
};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value};

use crate::registry::Registry;
use crate::store::{
    Content, ManifestRecord, PlatformWords, RareMembers, RepositoryRecord, TagRecord, Upload,
};

/// A registry that is brought into the state of a recording; made by [`Registry::recorded`].
#[derive(Clone, Debug)]
pub struct Recorded {
    registry: Registry,
}

impl Registry {
    /// The way to bring this registry into the state that a recording supposes: for replays only.
    #[must_use]
    pub fn recorded(&self) -> Recorded {
        Recorded {
            registry: self.clone(),
        }
    }
}

/// What of a repository, tag or manifest is as recorded. What is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct RecordedChange {
    /// When it was made.
    pub created_on: Option<Timestamp>,
    /// When it last changed.
    pub last_updated_on: Option<Timestamp>,
    /// Its locks, with members beyond the four.
    pub attributes: Option<Attributes>,
    /// A manifest's `imageSize` in bytes. How the service counts it for an index is not known.
    pub image_size: Option<u64>,
    /// Takes a manifest's `configMediaType` away, which the service fills in some time after a push.
    pub without_config_media_type: bool,
    /// How many manifests a repository has, also where not all of them are known.
    pub manifest_count: Option<u64>,
    /// How many tags a repository has, also where not all of them are known.
    pub tag_count: Option<u64>,
    /// Further members of a repository or tag.
    pub extra: Option<Map<String, Value>>,
}

/// A manifest as it was recorded.
#[derive(Clone, Debug)]
pub struct RecordedManifest {
    /// The bytes, or filler.
    pub bytes: Bytes,
    /// What it is.
    pub media_type: MediaType,
    /// When it came.
    pub created_on: Timestamp,
    /// When it last changed.
    pub last_updated_on: Timestamp,
    /// Its locks, with members beyond the four.
    pub attributes: Attributes,
    /// The member `imageSize` in bytes, if there is one.
    pub image_size: Option<u64>,
    /// The member `architecture`.
    pub architecture: Option<String>,
    /// The member `os`.
    pub operating_system: Option<String>,
    /// The member `configMediaType`.
    pub config_media_type: Option<MediaType>,
    /// The manifests of an index.
    pub references: Vec<ArtifactManifestReference>,
    /// Further members of its properties.
    pub extra: Map<String, Value>,
    /// What it refers to, and how it stands in that list of referrers.
    pub referrer: Option<(Digest, Descriptor)>,
}

/// In which order a challenge names what it asks for. It looks random on the real service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeOrder {
    /// `push,pull` in the place of `pull,push`.
    pub actions_reversed: bool,
    /// The source of a mount before its target.
    pub scopes_reversed: bool,
}

/// How challenges were worded at the time of the recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChallengeWording {
    /// The message ends after `authentication required`, as it did until about 2020.
    pub short_message: bool,
    /// The members of the detail begin with small letters.
    pub small_letters: bool,
}

/// How the exchange of an Entra token was refused. The registry takes each of these for every token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntraError {
    /// 401 without a body: another tenant.
    Silent,
    /// 401 with `token validation failed`: another audience.
    Validation,
    /// 401 with `retrieving permissions failed`: another audience, as it was told in 2021.
    Permissions,
    /// 403 with `retrieving permissions failed`: no role on the registry.
    NoRole,
}

/// The storage account behind the recorded registry. What is `None` is the mock's own.
#[derive(Clone, Debug, Default)]
pub struct RecordedStorage {
    /// The host in the redirects' `Location`.
    pub host: Option<String>,
    /// The registry's id in the path and query there.
    pub registry_id: Option<String>,
    /// The first segment of the path there, where it is not the id alone: older registries have a suffix behind it.
    pub folder: Option<String>,
    /// The version of the storage API, such as `2018-03-28`.
    pub version: Option<String>,
}

impl Recorded {
    /// A repository that exists, of which nothing else need be known.
    pub fn repository(&self, name: &RepositoryName) {
        let mut store = self.registry.store();
        let mut record = store.record_mut(name);
        if !record.exists() {
            record.unseen_manifests = 1;
        }
    }

    /// Changes a repository, which is there from then on.
    pub fn change_repository(&self, name: &RepositoryName, change: &RecordedChange) {
        let mut store = self.registry.store();
        let mut record = store.record_mut(name);
        if let Some(count) = change.manifest_count {
            record.unseen_manifests = count.saturating_sub(record.manifests().len() as u64);
        } else if !record.exists() {
            record.unseen_manifests = 1;
        }
        if let Some(count) = change.tag_count {
            record.unseen_tags = count.saturating_sub(record.tags().len() as u64);
        }
        record.created_on = change.created_on.unwrap_or(record.created_on);
        record.last_updated_on = change.last_updated_on.unwrap_or(record.last_updated_on);
        if let Some(attributes) = &change.attributes {
            record.switches = attributes.clone().into();
        }
        if let Some(extra) = &change.extra {
            record.extra = Some(Box::new(extra.clone()));
        }
    }

    /// Takes a repository out with everything in it.
    pub fn remove_repository(&self, name: &RepositoryName) {
        self.registry.store().remove_repository(name);
    }

    /// Forgets the manifests that a repository was only said to have, so that it ends with the last one that is known.
    pub fn forget_unseen(&self, name: &RepositoryName) {
        let mut store = self.registry.store();
        let mut record = store.record_mut(name);
        (record.unseen_manifests, record.unseen_tags) = (0, 0);
        drop(record);
        store.forget_if_empty(name);
    }

    /// Points a tag at a manifest, which need not be there. The repository's own times stay.
    pub fn tag(&self, repository: &RepositoryName, tag: &Tag, digest: &Digest) {
        let mut store = self.registry.store();
        let mut record = store.record_mut(repository);
        if !record.exists() {
            record.unseen_manifests = 1;
        }
        record.restore_tag(TagRecord::new(tag.clone(), digest.clone(), SOME_TIME));
    }

    /// Changes a tag.
    pub fn change_tag(&self, repository: &RepositoryName, tag: &Tag, change: &RecordedChange) {
        self.change(repository, |record| {
            record.change_tag(tag, |tag| {
                tag.created_on = change.created_on.unwrap_or(tag.created_on);
                tag.last_updated_on = change.last_updated_on.unwrap_or(tag.last_updated_on);
                if let Some(attributes) = &change.attributes {
                    tag.switches = attributes.clone().into();
                }
                if let Some(extra) = &change.extra {
                    tag.extra = Some(Box::new(extra.clone()));
                }
            });
        });
    }

    /// Takes a tag out. The repository's own times stay.
    pub fn remove_tag(&self, repository: &RepositoryName, tag: &Tag) {
        self.change(repository, |record| {
            let time = record.last_updated_on;
            record.remove_tag(tag, time);
        });
    }

    /// Puts a manifest in, under a digest that need not be its own. The repository's own times stay.
    pub fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        manifest: RecordedManifest,
    ) {
        let (subject, descriptor) = manifest.referrer.unzip();
        let mut store = self.registry.store();
        store
            .record_mut(repository)
            .restore_manifest(ManifestRecord {
                digest: digest.clone(),
                bytes: self.registry.quota().keep(&manifest.bytes),
                media_type: manifest.media_type,
                created_on: manifest.created_on,
                last_updated_on: manifest.last_updated_on,
                switches: manifest.attributes.into(),
                image_size: manifest.image_size,
                platform: PlatformWords::new(manifest.architecture, manifest.operating_system),
                config_media_type: manifest.config_media_type,
                subject,
                artifact_type: None,
                rare: Some(Box::new(RareMembers {
                    references: manifest.references,
                    extra: manifest.extra,
                    descriptor,
                })),
            });
    }

    /// Changes what is known of a manifest beside its bytes.
    pub fn change_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        change: &RecordedChange,
    ) {
        self.change(repository, |record| {
            record.change_manifest(digest, |manifest| {
                manifest.created_on = change.created_on.unwrap_or(manifest.created_on);
                manifest.last_updated_on =
                    change.last_updated_on.unwrap_or(manifest.last_updated_on);
                manifest.image_size = change.image_size.or(manifest.image_size);
                if change.without_config_media_type {
                    manifest.config_media_type = None;
                }
                if let Some(attributes) = &change.attributes {
                    manifest.switches = attributes.clone().into();
                }
            });
        });
    }

    /// Takes a manifest out, with its tags. The repository's own times stay.
    pub fn remove_manifest(&self, repository: &RepositoryName, digest: &Digest) {
        let mut store = self.registry.store();
        let mut record = store.record_mut(repository);
        let time = record.last_updated_on;
        record.remove_manifest(digest, time);
        drop(record);
        store.forget_if_empty(repository);
    }

    /// Puts a blob in, under a digest that need not be its own. `properties` are what storage says of it, such as
    /// `x-ms-blob-type`, in the place of what the mock would say.
    pub fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        bytes: Bytes,
        properties: HeaderMap,
    ) {
        let now = self.registry.now();
        let bytes = self.registry.quota().hold(bytes);
        let content = Content::from_chunks(vec![bytes]).with_properties(properties);
        self.registry
            .store()
            .put_blob(repository, digest.clone(), content, now);
    }

    /// Takes a blob out.
    pub fn remove_blob(&self, repository: &RepositoryName, digest: &Digest) {
        self.registry.store().remove_blob(repository, digest);
    }

    /// An open upload of this id, which holds these bytes; in the place of one of the same id.
    pub fn upload(&self, repository: &RepositoryName, id: &str, bytes: Bytes) {
        let now = self.registry.now();
        let mut upload = Upload::new(id.to_owned(), repository.clone(), now);
        upload.digester.update(&bytes);
        if !bytes.is_empty() {
            let quota = self.registry.quota();
            upload.content.append(vec![quota.hold(bytes)], quota);
        }
        let mut store = self.registry.store();
        store.take_upload(repository, id);
        store.add_upload(upload, now + self.registry.settings().upload_life);
    }

    /// The location that this upload had when it held `offset` bytes; `None` where there is no such upload.
    #[must_use]
    pub fn upload_location(
        &self,
        repository: &RepositoryName,
        id: &str,
        offset: u64,
    ) -> Option<String> {
        let store = self.registry.store();
        let upload = store.upload(repository, id)?;
        Some(self.registry.location_at(upload, offset).to_string())
    }

    /// Says what digest the upload's content is to have: its bytes are filler.
    pub fn claim_upload(&self, repository: &RepositoryName, id: &str, digest: &Digest) {
        let mut store = self.registry.store();
        if let Some(mut upload) = store.take_upload(repository, id) {
            upload.claimed = Some(digest.clone());
            let end = upload.end;
            store.add_upload(upload, end);
        }
    }

    /// Takes an upload out.
    pub fn remove_upload(&self, repository: &RepositoryName, id: &str) {
        self.registry.store().take_upload(repository, id);
    }

    /// The order of the next challenge's scopes and actions.
    pub fn scope_order(&self, order: ScopeOrder) {
        self.registry.recording().scope_order = Some(order);
    }

    /// How all challenges are worded from now on.
    pub fn challenge_wording(&self, wording: ChallengeWording) {
        self.registry.recording().wording = wording;
    }

    /// How Entra tokens are refused from now on; with `None` they are looked at again.
    pub fn entra_refusal(&self, refusal: Option<EntraError>) {
        self.registry.recording().entra_refusal = refusal;
    }

    /// The address of a client that the firewall refuses from now on, wherever the request really came from; and whether
    /// the refusal names the correlation's id, as newer ones do. With `None` the firewall is that of the settings.
    pub fn refused_client(&self, client: Option<(IpAddr, bool)>) {
        self.registry.recording().refused_client = client;
    }

    /// Where redirects lead to from now on.
    pub fn storage(&self, storage: RecordedStorage) {
        self.registry.recording().storage = storage;
    }

    fn change(&self, repository: &RepositoryName, change: impl FnOnce(&mut RepositoryRecord)) {
        if let Some(mut record) = self.registry.store().repository_mut(repository) {
            change(&mut record);
        }
    }
}

/// The time of what no recording shows the time of.
const SOME_TIME: Timestamp = Timestamp::UNIX_EPOCH;

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> (Registry, Recorded, RepositoryName) {
        let registry = Registry::new();
        let recorded = registry.recorded();
        (registry, recorded, RepositoryName::new("a/b").unwrap())
    }

    #[test]
    fn a_repository_is_there_without_a_manifest_that_is_known() {
        let (registry, recorded, name) = registry();
        recorded.repository(&name);
        assert!(registry.store().repository(&name).is_some());
        let change = RecordedChange {
            manifest_count: Some(15),
            tag_count: Some(5),
            ..RecordedChange::default()
        };
        recorded.change_repository(&name, &change);
        let digest = Digest::sha256(b"x");
        recorded.tag(&name, &Tag::new("v1").unwrap(), &digest);
        let store = registry.store();
        let record = store.repository(&name).unwrap();
        assert_eq!((record.manifest_count(), record.tag_count()), (15, 6));
    }

    #[test]
    fn a_repository_ends_with_its_last_known_manifest_once_the_unseen_are_forgotten() {
        let (registry, recorded, name) = registry();
        recorded.repository(&name);
        recorded.forget_unseen(&name);
        assert!(registry.store().repository(&name).is_none());
    }

    #[test]
    fn filler_counts_as_the_content_that_it_stands_for() {
        let (registry, recorded, name) = registry();
        let digest = Digest::sha256(b"the real bytes");
        recorded.blob(
            &name,
            &digest,
            Bytes::from_static(b"....."),
            HeaderMap::new(),
        );
        assert_eq!(registry.store().blob(&name, &digest).unwrap().length(), 5);
        recorded.upload(&name, "1", Bytes::from_static(b"...."));
        recorded.claim_upload(&name, "1", &digest);
        let store = registry.store();
        let upload = store.upload(&name, "1").unwrap();
        assert_eq!(
            (upload.offset(), upload.claimed.as_ref()),
            (4, Some(&digest))
        );
    }

    #[test]
    fn an_older_location_of_an_upload_can_be_had() {
        let (_, recorded, name) = registry();
        recorded.upload(&name, "1", Bytes::from_static(b"...."));
        let first = recorded.upload_location(&name, "1", 0).unwrap();
        let second = recorded.upload_location(&name, "1", 4).unwrap();
        assert!(first != second && first.starts_with("/v2/a/b/blobs/uploads/1?"));
        assert_eq!(recorded.upload_location(&name, "2", 0), None);
    }
}
