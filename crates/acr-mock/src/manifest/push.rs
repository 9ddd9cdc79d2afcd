//! Setting a manifest: what is asked of its bytes, and what is read off them.

use acr_protocol::manifest::{AcceptedManifest, SetManifest};
use acr_protocol::{
    ArtifactManifestReference, Descriptor, Digest, ImageIndex, ImageManifest, MediaType, Reference,
    Timestamp,
};
use http::Response;
use serde::Deserialize;
use serde_json::Value;

use crate::call::Call;
use crate::error::Refusal;
use crate::registry::{Registry, respond};
use crate::store::{ManifestRecord, RareMembers, RepositoryRecord, Store, Switches, platform_word};
use crate::{Body, locks};

impl Registry {
    /// Leaves only the tags of the query that count: those of a push by digest, where the profile has them.
    pub(crate) fn settle_tags(&self, operation: &mut SetManifest) {
        if operation.reference.tag().is_some() || !self.settings().profile.sets_tags_by_query() {
            operation.tags.clear();
        }
    }

    /// Whether the locks let a manifest in. Asked before the body is read.
    pub(crate) fn may_set_manifest(&self, operation: &SetManifest) -> Result<(), Refusal> {
        let store = self.store();
        let Some(repository) = store.repository(&operation.repository) else {
            return Ok(());
        };
        for tag in operation.reference.tag().into_iter().chain(&operation.tags) {
            locks::set_manifest(
                repository,
                repository.tags().get(tag.as_str()).map(AsRef::as_ref),
            )?;
        }
        locks::push(repository)
    }

    /// `PUT /v2/{name}/manifests/{reference}`
    pub(crate) fn set_manifest(
        &self,
        call: &Call,
        operation: &SetManifest,
    ) -> Result<Response<Body>, Refusal> {
        // Asked once more: a lock may have been set while the body came.
        self.may_set_manifest(operation)?;
        Ok(respond(
            operation,
            &self.put_manifest(operation, call.now())?,
        ))
    }

    /// Checks a manifest and puts it in.
    pub(crate) fn put_manifest(
        &self,
        operation: &SetManifest,
        now: Timestamp,
    ) -> Result<AcceptedManifest, Refusal> {
        // Recorded: a manifest of the wrong type is invalid, also under a digest that is not its own.
        let content = Pushed::read(operation)?;
        let digest = match &operation.reference {
            Reference::Tag(_) => Digest::sha256(&operation.bytes),
            Reference::Digest(digest) if digest.matches(&operation.bytes) == Some(true) => {
                digest.clone()
            }
            // Chosen, after the distribution's own registry.
            Reference::Digest(_) => {
                return Err(Refusal::digest_invalid(
                    "provided digest did not match uploaded content",
                ));
            }
        };
        let mut store = self.store();
        if !self.settings().profile.takes_sparse_manifests() {
            content.check(store.record(&operation.repository))?;
        }
        let time = store.write_time(now);
        let repository = store.record(&operation.repository);
        let record = content.into_record(operation, &digest, repository, time);
        let subject = record.subject.clone();
        put(&mut store, operation, digest.clone(), record, time);
        Ok(AcceptedManifest {
            digest,
            // A registry without the list of referrers does not say that it took note.
            subject: subject.filter(|_| self.settings().referrers_api),
            tags: operation.tags.clone(),
        })
    }
}

fn put(
    store: &mut Store,
    operation: &SetManifest,
    digest: Digest,
    record: ManifestRecord,
    time: Timestamp,
) {
    let mut repository = store.record_mut(&operation.repository);
    repository.put_manifest(record);
    for tag in operation.reference.tag().into_iter().chain(&operation.tags) {
        repository.put_tag(tag.clone(), digest.clone(), time);
    }
}

/// A manifest's bytes, read.
enum Pushed {
    Image(Box<ImageManifest>),
    Index(ImageIndex),
    /// The artifact manifests of old: OCI's, withdrawn, and ORAS's.
    Artifact(ArtifactManifest),
}

#[derive(Deserialize)]
struct ArtifactManifest {
    #[serde(rename = "artifactType", default)]
    artifact_type: Option<MediaType>,
    #[serde(default)]
    blobs: Option<Vec<Descriptor>>,
    #[serde(default)]
    subject: Option<Descriptor>,
    /// Read only to be held to its form.
    #[serde(default, rename = "annotations")]
    _annotations: Option<std::collections::BTreeMap<String, String>>,
}

/// The largest config that is looked into for its platform, in bytes.
const CONFIG_LIMIT: u64 = 8 * 1024 * 1024;

impl Pushed {
    fn read(operation: &SetManifest) -> Result<Self, Refusal> {
        let invalid = |_| Refusal::manifest_invalid();
        let value: Value = serde_json::from_slice(&operation.bytes).map_err(invalid)?;
        let object = value.as_object().ok_or_else(Refusal::manifest_invalid)?;
        match object.get("mediaType").and_then(Value::as_str) {
            Some(stated) if stated != operation.media_type.as_str() => {
                return Err(Refusal::manifest_invalid());
            }
            // Docker's manifests must say what they are; OCI's need not.
            None if operation.media_type.is_docker() => return Err(Refusal::manifest_invalid()),
            _ => {}
        }
        match operation.media_type {
            MediaType::OCI_MANIFEST | MediaType::DOCKER_MANIFEST => serde_json::from_value(value)
                .map(|image| Self::Image(Box::new(image)))
                .map_err(invalid),
            MediaType::OCI_INDEX | MediaType::DOCKER_MANIFEST_LIST
                if object.contains_key("manifests") =>
            {
                serde_json::from_value(value)
                    .map(Self::Index)
                    .map_err(invalid)
            }
            MediaType::OCI_ARTIFACT_MANIFEST | MediaType::ORAS_ARTIFACT_MANIFEST => {
                serde_json::from_value(value)
                    .map(Self::Artifact)
                    .map_err(invalid)
            }
            // A manifest of a type that no registry stores, schema 1 among them.
            _ => Err(Refusal::manifest_invalid()),
        }
    }

    /// Everything that the manifest names must be there: the config first, then the layers. Chosen: an index needs
    /// its entries, as manifests or as blobs (BuildKit keeps a cache as an index of layers). Layers that are to be had elsewhere, by a URL, need not be here. Sizes are not held against anything.
    fn check(&self, repository: Option<&RepositoryRecord>) -> Result<(), Refusal> {
        let has_blob = |blob: &&Descriptor| {
            repository.is_some_and(|repository| repository.blob(&blob.digest).is_some())
        };
        let has_entry = |child: &&Descriptor| {
            has_blob(child)
                || repository.is_some_and(|repository| {
                    repository.manifests().get(child.digest.as_str()).is_some()
                })
        };
        let missing: Vec<&Digest> = match self {
            Self::Image(image) => image
                .blobs()
                .filter(|blob| blob.urls.is_empty() && !has_blob(blob))
                .map(|blob| &blob.digest)
                .collect(),
            Self::Index(index) => index
                .manifests
                .iter()
                .filter(|child| child.urls.is_empty() && !has_entry(child))
                .map(|child| &child.digest)
                .collect(),
            Self::Artifact(artifact) => artifact
                .blobs
                .iter()
                .flatten()
                .filter(|blob| !has_blob(blob))
                .map(|blob| &blob.digest)
                .collect(),
        };
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Refusal::content_missing(missing))
        }
    }

    fn into_record(
        self,
        operation: &SetManifest,
        digest: &Digest,
        repository: Option<&RepositoryRecord>,
        time: Timestamp,
    ) -> ManifestRecord {
        let size_of = |descriptors: &[Descriptor]| {
            descriptors
                .iter()
                .map(|descriptor| descriptor.size)
                .fold(0, u64::saturating_add)
        };
        let mut record = ManifestRecord {
            digest: digest.clone(),
            // A handle: the bytes were copied when they came, and are counted as long as there is one.
            bytes: operation.bytes.clone(),
            media_type: operation.media_type.clone(),
            created_on: time,
            last_updated_on: time,
            switches: Switches::enabled(),
            image_size: Some(0),
            architecture: None,
            operating_system: None,
            config_media_type: None,
            subject: None,
            artifact_type: None,
            rare: None,
        };
        match self {
            Self::Image(image) => {
                // The service counts the layers, not the config.
                record.image_size = Some(size_of(&image.layers));
                let platform = platform(&image.config, repository);
                record.operating_system = platform.os.map(platform_word);
                record.architecture = platform.architecture.map(platform_word);
                record.subject = image.subject.map(|subject| subject.digest);
                record.artifact_type = Some(
                    image
                        .artifact_type
                        .unwrap_or_else(|| image.config.media_type.clone()),
                );
                record.config_media_type = Some(image.config.media_type);
            }
            Self::Index(index) => {
                let children = index
                    .manifests
                    .iter()
                    .filter_map(|child| repository?.manifests().get(child.digest.as_str()));
                let sizes = children.filter_map(|child| child.image_size);
                record.image_size = Some(sizes.fold(0, u64::saturating_add));
                if !index.manifests.is_empty() {
                    record.rare = Some(Box::new(RareMembers {
                        references: index.manifests.iter().map(reference).collect(),
                        ..RareMembers::default()
                    }));
                }
                record.subject = index.subject.map(|subject| subject.digest);
                record.artifact_type = index.artifact_type;
            }
            Self::Artifact(artifact) => {
                let blobs = artifact.blobs.as_deref().unwrap_or_default();
                record.image_size = Some(size_of(blobs));
                record.subject = artifact.subject.map(|subject| subject.digest);
                record.artifact_type = artifact.artifact_type;
            }
        }
        record
    }
}

#[derive(Default, Deserialize)]
struct ConfigPlatform {
    architecture: Option<String>,
    os: Option<String>,
}

/// What the config says the image runs on; nothing where it is no image's config.
fn platform(config: &Descriptor, repository: Option<&RepositoryRecord>) -> ConfigPlatform {
    let blob = repository.and_then(|repository| repository.blob(&config.digest));
    let bytes = blob.and_then(|blob| blob.joined(CONFIG_LIMIT));
    let platform: ConfigPlatform = bytes
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let named = |text: Option<String>| text.filter(|text| !text.is_empty());
    ConfigPlatform {
        architecture: named(platform.architecture),
        os: named(platform.os),
    }
}

fn reference(child: &Descriptor) -> ArtifactManifestReference {
    let platform = child.platform.clone().unwrap_or_default();
    let named = |text: String| (!text.is_empty()).then_some(text);
    ArtifactManifestReference {
        digest: child.digest.clone(),
        architecture: named(platform.architecture),
        operating_system: named(platform.os),
    }
}
