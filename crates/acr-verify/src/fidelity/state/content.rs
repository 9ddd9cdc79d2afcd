//! Changes of a registry's content that no client makes, and what stands in it for manifests and tags that no step shows.

use std::collections::BTreeMap;

use acr_mock::Snapshot;
use acr_mock::snapshot::{Content, ManifestSnapshot, Properties, RepositorySnapshot, TagSnapshot};
use acr_protocol::{ChangeableAttributes, Digest, RepositoryName, Tag, Timestamp};

use crate::fidelity::resource::Resource;

/// What the names of manifests and tags begin with that stand for those that no step shows. Lists leave them out.
pub(super) const UNKNOWN: &str = "unknown-";

/// A repository, which is there from now on.
pub(super) fn repository<'a>(
    name: &RepositoryName,
    content: &'a mut Snapshot,
) -> &'a mut RepositorySnapshot {
    let new = || RepositorySnapshot {
        properties: Properties::new(Timestamp::UNIX_EPOCH),
        manifests: BTreeMap::new(),
        tags: BTreeMap::new(),
    };
    let repository = content.repositories.entry(name.clone()).or_insert_with(new);
    if repository.manifests.is_empty() {
        add_unknown_manifest(repository);
    }
    repository
}

pub(super) fn is_unknown(manifest: &ManifestSnapshot) -> bool {
    manifest.media_type.as_str() == UNKNOWN
}

fn unlisted() -> Properties {
    let attributes = ChangeableAttributes::UNLOCKED
        .can_read(true)
        .can_list(false);
    Properties {
        attributes: attributes.into(),
        ..Properties::new(Timestamp::UNIX_EPOCH)
    }
}

fn add_unknown_manifest(repository: &mut RepositorySnapshot) {
    let mut digests = (0..).map(|number: u64| Digest::sha256(format!("{UNKNOWN}{number}")));
    let free = digests.find(|digest| !repository.manifests.contains_key(digest));
    let manifest = ManifestSnapshot::new(UNKNOWN, Content::default(), unlisted());
    repository
        .manifests
        .extend(free.map(|digest| (digest, manifest)));
}

/// Adds or removes as many unknown manifests and tags as a repository has beside those that are known.
pub(super) fn set_counts(
    name: &RepositoryName,
    (manifests, tags): (u64, u64),
    content: &mut Snapshot,
) {
    let Some(repository) = content.repositories.get_mut(name) else {
        return;
    };
    repository
        .manifests
        .retain(|_, manifest| !is_unknown(manifest));
    repository
        .tags
        .retain(|tag, _| !tag.as_str().starts_with(UNKNOWN));
    while (repository.manifests.len() as u64) < manifests {
        add_unknown_manifest(repository);
    }
    for number in repository.tags.len() as u64..tags {
        let tag = TagSnapshot {
            // Of no manifest, whose properties would show the tag.
            digest: Digest::sha256(UNKNOWN),
            properties: unlisted(),
        };
        let name = Tag::new(format!("{UNKNOWN}{number}"));
        repository.tags.extend(name.ok().map(|name| (name, tag)));
    }
    if repository.manifests.is_empty() {
        content.repositories.remove(name);
    }
}

pub(super) fn properties_of<'a>(
    resource: &Resource,
    content: &'a mut Snapshot,
) -> Option<&'a mut Properties> {
    let repository = content.repositories.get_mut(resource.repository())?;
    match resource {
        Resource::Repository(_) => Some(&mut repository.properties),
        Resource::Tag(_, tag) => Some(&mut repository.tags.get_mut(tag)?.properties),
        Resource::Manifest(_, digest) => {
            Some(&mut repository.manifests.get_mut(digest)?.properties)
        }
        Resource::Blob(..) => None,
    }
}

pub(super) fn take_out(resource: &Resource, content: &mut Snapshot) {
    let name = resource.repository();
    let repository = content.repositories.get_mut(name);
    match (resource, repository) {
        (Resource::Repository(_), _) => drop(content.repositories.remove(name)),
        (Resource::Tag(_, tag), Some(repository)) => drop(repository.tags.remove(tag)),
        (Resource::Manifest(_, digest), Some(repository)) => {
            repository.manifests.remove(digest);
            repository.tags.retain(|_, tag| tag.digest != *digest);
        }
        (Resource::Blob(_, digest), _) => {
            if let Some(blob) = content.blobs.get_mut(digest) {
                blob.repositories.remove(name);
            }
        }
        _ => {}
    }
}
