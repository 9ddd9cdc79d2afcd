//! Setting a manifest: what is asked of its bytes, and what is read off them.

use acr_protocol::manifest::{AcceptedManifest, SetManifest};
use acr_protocol::{
    ArtifactManifestReference, Descriptor, Digest, ImageIndex, ImageManifest, MediaType, Reference,
    RepositoryName, Tag, Timestamp,
};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::error::ErrorResponse;
use crate::locks;
use crate::pause::pause;
use crate::quota::Counted;
use crate::registry::Registry;
use crate::request_body::{self, RequestBody, Unread};
use crate::request_context::RequestContext;
use crate::response::respond;
use crate::serve::{Outcome, Serve};
use crate::store::{ManifestRecord, PlatformWords, RareMembers, RepositoryRecord, Switches};

/// `PUT /v2/{name}/manifests/{reference}`
impl Serve for SetManifest {
    async fn serve(
        mut self,
        registry: &Registry,
        call: &RequestContext,
        body: RequestBody,
    ) -> Outcome {
        // Only the tags of the query that count: those of a push by digest, where the profile has them.
        if self.reference.tag().is_some() || !registry.settings().profile.sets_tags_by_query() {
            self.tags.clear();
        }
        // The locks come before the body is read.
        registry.may_set_manifest(&self)?;
        let limit = registry.settings().limits.manifest;
        self.bytes = match request_body::read(body, limit, Some(registry.quota())).await {
            Err(Unread::TooLarge) => return Err(ErrorResponse::manifest_too_large()),
            read => read?,
        };
        // Checked once more: a lock may have been set while the body came.
        registry.may_set_manifest(&self)?;
        let accepted = registry.put_manifest(&self, call.now()).await?;
        Ok(respond(&self, &accepted))
    }
}

impl Registry {
    /// Whether the locks let a manifest in.
    fn may_set_manifest(&self, operation: &SetManifest) -> Result<(), ErrorResponse> {
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

    /// Checks a manifest and puts it in.
    pub(crate) async fn put_manifest(
        &self,
        operation: &SetManifest,
        now: Timestamp,
    ) -> Result<AcceptedManifest, ErrorResponse> {
        // Recorded: a manifest of the wrong type is invalid, also under a digest that is not its own.
        let content = Pushed::read(operation)?;
        let digest = match &operation.reference {
            Reference::Tag(_) => Digest::sha256(&operation.bytes),
            Reference::Digest(digest) if digest.matches(&operation.bytes) == Some(true) => {
                digest.clone()
            }
            // Chosen, after the distribution's own registry.
            Reference::Digest(_) => {
                return Err(ErrorResponse::digest_invalid(
                    "provided digest did not match uploaded content",
                ));
            }
        };
        let name = &operation.repository;
        let platform = self.platform(name, &content);
        let entries: Vec<Entry<'_>> = content.entries().collect();
        let (most, last) = entries.split_at(entries.len().saturating_sub(LOOKED_UP_IN_A_TURN));
        let mut found = Found::default();
        for some in most.chunks(LOOKED_UP_IN_A_TURN) {
            found.look_up(self.store().record(name), some);
            pause().await;
        }
        let tags: Vec<&Tag> = (operation.reference.tag().into_iter())
            .chain(&operation.tags)
            .collect();
        let (first, more) = tags.split_at(tags.len().min(CHANGED_IN_A_TURN));
        let bytes = self.quota().keep(&operation.bytes);
        let (time, subject);
        {
            let mut store = self.store();
            found.look_up(store.record(name), last);
            if !self.settings().profile.takes_sparse_manifests() && !found.missing.is_empty() {
                return Err(ErrorResponse::content_missing(&found.missing));
            }
            time = store.write_time(now);
            let record = content.into_record(operation, &digest, bytes, &found, platform, time);
            subject = record.subject.clone();
            let mut repository = store.record_mut(name);
            repository.put_manifest(record);
            for &tag in first {
                repository.put_tag(tag.clone(), digest.clone(), time);
            }
        }
        for some in more.chunks(CHANGED_IN_A_TURN) {
            pause().await;
            let mut store = self.store();
            let Some(mut repository) = store.repository_mut(name) else {
                break;
            };
            if repository.manifests().get(digest.as_str()).is_none() {
                // Deleted meanwhile, and the tags that were set with it.
                break;
            }
            for &tag in some {
                repository.put_tag(tag.clone(), digest.clone(), time);
            }
        }
        let mut accepted = AcceptedManifest::new(digest);
        // A registry without the list of referrers does not say that it took note.
        accepted.subject = subject.filter(|_| self.settings().referrers_api);
        accepted.tags.clone_from(&operation.tags);
        Ok(accepted)
    }

    /// What the config of an image says it runs on. It may be long, so it is read without the lock.
    fn platform(&self, name: &RepositoryName, content: &Pushed) -> ConfigPlatform {
        let Pushed::Image(image) = content else {
            return ConfigPlatform::default();
        };
        let config = self.store().blob(name, &image.config.digest).cloned();
        let bytes = config.and_then(|config| config.joined(CONFIG_LIMIT));
        let platform: ConfigPlatform = bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let named = |text: Option<String>| text.filter(|text| !text.is_empty());
        ConfigPlatform {
            architecture: named(platform.architecture),
            os: named(platform.os),
        }
    }
}

/// How many entries of a manifest are looked up in a turn: a manifest of 4 MiB can name 30,000.
const LOOKED_UP_IN_A_TURN: usize = 2_000;

/// How many blobs that are missing a refusal names: chosen, for each takes its place in the response.
const MAX_MISSING: usize = 100;

/// What is found of the blobs and manifests that a manifest names.
#[derive(Debug, Default)]
struct Found {
    /// The first of those that are not there.
    missing: Vec<Digest>,
    /// The sizes of the manifests that are there, together.
    size: u64,
}

impl Found {
    /// Looks entries up. Layers that are to be had elsewhere, by a URL, need not be here.
    fn look_up(&mut self, repository: Option<&RepositoryRecord>, entries: &[Entry<'_>]) {
        for entry in entries {
            let digest = &entry.descriptor.digest;
            let manifest = repository
                .filter(|_| entry.may_be_manifest)
                .and_then(|repository| repository.manifests().get(digest.as_str()));
            if let Some(manifest) = manifest {
                let size = manifest.image_size.unwrap_or_default();
                self.size = self.size.saturating_add(size);
                continue;
            }
            let is_blob = repository.is_some_and(|repository| repository.blob(digest).is_some());
            let may_lack = is_blob || !entry.descriptor.urls.is_empty();
            if !may_lack && self.missing.len() < MAX_MISSING {
                self.missing.push(digest.clone());
            }
        }
    }
}

/// A blob or manifest that a manifest names.
struct Entry<'a> {
    descriptor: &'a Descriptor,
    may_be_manifest: bool,
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
    #[serde(rename = "mediaType", default)]
    media_type: Option<MediaType>,
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

/// What makes an index one: its list, even an empty one or `null`.
#[derive(Deserialize)]
struct Manifests {
    #[serde(rename = "manifests")]
    _manifests: IgnoredAny,
}

/// Reads what is known of a manifest, and passes over the rest: as a tree of values, 4 MiB of it could be 150 MB, and take
/// as many milliseconds. Chosen: a member that is there twice is invalid, for readers differ in which one they take.
fn read<T: DeserializeOwned>(text: &str) -> Result<T, ErrorResponse> {
    serde_json::from_str(text).map_err(|_| ErrorResponse::manifest_invalid())
}

/// How many tags are set in a turn: a query can name 20,000.
const CHANGED_IN_A_TURN: usize = 500;

/// The largest config that is looked into for its platform, in bytes.
const CONFIG_LIMIT: u64 = 8 * 1024 * 1024;

impl Pushed {
    fn read(operation: &SetManifest) -> Result<Self, ErrorResponse> {
        // A list would do for a struct, too.
        let text = std::str::from_utf8(&operation.bytes)
            .ok()
            .filter(|text| text.trim_ascii_start().starts_with('{'))
            .ok_or_else(ErrorResponse::manifest_invalid)?;
        let content = match operation.media_type {
            MediaType::OCI_MANIFEST | MediaType::DOCKER_MANIFEST => Self::Image(read(text)?),
            MediaType::OCI_INDEX | MediaType::DOCKER_MANIFEST_LIST => {
                let index: ImageIndex = read(text)?;
                if index.manifests.is_empty() {
                    let _there: Manifests = read(text)?;
                }
                Self::Index(index)
            }
            MediaType::OCI_ARTIFACT_MANIFEST | MediaType::ORAS_ARTIFACT_MANIFEST => {
                Self::Artifact(read(text)?)
            }
            // A manifest of a type that no registry stores, schema 1 among them.
            _ => return Err(ErrorResponse::manifest_invalid()),
        };
        match content.stated_type() {
            Some(stated) if *stated != operation.media_type => {
                Err(ErrorResponse::manifest_invalid())
            }
            // Docker's manifests must say what they are; OCI's need not.
            None if operation.media_type.is_docker() => Err(ErrorResponse::manifest_invalid()),
            _ => Ok(content),
        }
    }

    /// The media type that the manifest itself says.
    fn stated_type(&self) -> Option<&MediaType> {
        match self {
            Self::Image(image) => image.media_type.as_ref(),
            Self::Index(index) => index.media_type.as_ref(),
            Self::Artifact(artifact) => artifact.media_type.as_ref(),
        }
    }

    /// Everything that the manifest names and that must be there: the config first, then the layers. Chosen: an index needs
    /// its entries, as manifests or as blobs (BuildKit keeps a cache as an index of layers). Sizes are not held against
    /// anything.
    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let (image, index, artifact) = match self {
            Self::Image(image) => (Some(image.blobs()), &[][..], &[][..]),
            Self::Index(index) => (None, &index.manifests[..], &[][..]),
            Self::Artifact(artifact) => {
                (None, &[][..], artifact.blobs.as_deref().unwrap_or_default())
            }
        };
        let blobs = image.into_iter().flatten().chain(artifact);
        let blobs = blobs.map(|descriptor| (descriptor, false));
        let children = index.iter().map(|descriptor| (descriptor, true));
        let entries = blobs.chain(children);
        entries.map(|(descriptor, may_be_manifest)| Entry {
            descriptor,
            may_be_manifest,
        })
    }

    fn into_record(
        self,
        operation: &SetManifest,
        digest: &Digest,
        bytes: Counted<Box<[u8]>>,
        found: &Found,
        platform: ConfigPlatform,
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
            bytes,
            media_type: operation.media_type.clone(),
            created_on: time,
            last_updated_on: time,
            switches: Switches::enabled(),
            image_size: Some(0),
            platform: None,
            config_media_type: None,
            subject: None,
            artifact_type: None,
            rare: None,
        };
        match self {
            Self::Image(image) => {
                // The service counts the layers, not the config.
                record.image_size = Some(size_of(&image.layers));
                record.platform = PlatformWords::new(platform.architecture, platform.os);
                record.subject = image.subject.map(|subject| subject.digest);
                record.artifact_type = Some(
                    image
                        .artifact_type
                        .unwrap_or_else(|| image.config.media_type.clone()),
                );
                record.config_media_type = Some(image.config.media_type);
            }
            Self::Index(index) => {
                record.image_size = Some(found.size);
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

fn reference(child: &Descriptor) -> ArtifactManifestReference {
    let platform = child.platform.clone().unwrap_or_default();
    let named = |text: String| (!text.is_empty()).then_some(text);
    let mut reference = ArtifactManifestReference::new(child.digest.clone());
    reference.architecture = named(platform.architecture);
    reference.operating_system = named(platform.os);
    reference
}
