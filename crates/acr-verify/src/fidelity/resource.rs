//! [`Resource`]: what can be in a registry; [`Known`]: what a recording shows of it.

use std::collections::BTreeMap;

use acr_mock::snapshot::Properties;
use acr_protocol::{
    ArtifactManifestProperties, ArtifactTagProperties, ChangeableAttributes, Descriptor, Digest,
    MediaType, Reference, RepositoryName, RepositoryProperties, Tag,
};
use bytes::Bytes;

/// Something in a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Resource {
    Repository(RepositoryName),
    Tag(RepositoryName, Tag),
    Manifest(RepositoryName, Digest),
    Blob(RepositoryName, Digest),
}

impl Resource {
    /// Returns the tag or manifest that a reference names.
    pub(super) fn referenced(repository: &RepositoryName, reference: Reference) -> Self {
        match reference {
            Reference::Tag(tag) => Self::Tag(repository.clone(), tag),
            Reference::Digest(digest) => Self::Manifest(repository.clone(), digest),
        }
    }

    /// Returns the repository that it is, or is in.
    pub(super) fn repository(&self) -> &RepositoryName {
        let (Self::Repository(name)
        | Self::Tag(name, _)
        | Self::Manifest(name, _)
        | Self::Blob(name, _)) = self;
        name
    }

    /// Returns whether it goes with another: itself, or the repository that it is in. Blobs stay.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        let is_within = matches!(other, Self::Repository(name) if name == self.repository());
        self == other || is_within && !matches!(self, Self::Blob(..))
    }
}

/// What a recording shows of a resource. What it does not show is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Known {
    /// Its times and locks.
    pub(super) properties: Option<Properties>,
    /// The numbers of manifests and tags of a repository.
    pub(super) counts: Option<(u64, u64)>,
    /// The manifest that a tag points at.
    pub(super) digest: Option<Digest>,
    /// What else is shown of a manifest.
    pub(super) manifest: Option<ArtifactManifestProperties>,
    /// What a manifest is.
    pub(super) media_type: Option<MediaType>,
    /// The number of bytes of a manifest or blob.
    pub(super) size: Option<u64>,
    /// Bytes of it, by the place of their first.
    pub(super) parts: BTreeMap<u64, Bytes>,
    /// The number of blocks of a blob.
    pub(super) blocks: Option<u64>,
    /// The subject of a manifest, its entry in the list of that one's referrers, and the entry's place.
    pub(super) referrer: Option<(Digest, Descriptor, u64)>,
}

impl Known {
    /// Knows the manifest of a tag.
    pub(super) fn of_tag(digest: Option<Digest>) -> Self {
        Self {
            digest,
            ..Self::default()
        }
    }

    /// Knows a descriptor.
    pub(super) fn of_content(descriptor: &Descriptor) -> Self {
        Self {
            size: Some(descriptor.size),
            media_type: Some(descriptor.media_type.clone()),
            ..Self::default()
        }
    }

    /// Knows all bytes, if there are any.
    pub(super) fn of_bytes(bytes: Option<Bytes>) -> Self {
        Self {
            size: bytes.as_ref().map(|bytes| bytes.len() as u64),
            parts: bytes.map(|bytes| (0, bytes)).into_iter().collect(),
            ..Self::default()
        }
    }

    /// Takes over what is not known yet: what is shown first is how it was before. Of what has `changed` since, only its
    /// age and locks are still as before.
    pub(super) fn fill(&mut self, later: Self, changed: bool) {
        let properties = later.properties.map(|shown| match changed {
            true => Properties {
                last_updated_on: shown.created_on,
                ..shown
            },
            false => shown,
        });
        self.properties = self.properties.take().or(properties);
        if changed {
            return;
        }
        self.digest = self.digest.take().or(later.digest);
        self.media_type = self.media_type.take().or(later.media_type);
        self.size = self.size.or(later.size);
        self.blocks = self.blocks.or(later.blocks);
        self.referrer = self.referrer.take().or(later.referrer);
        self.parts.extend(later.parts);
        match (&mut self.manifest, later.manifest) {
            // A list shows all but the references of an index.
            (Some(known), Some(later)) if known.references.is_empty() => {
                known.references = later.references;
            }
            (Some(_), _) => {}
            (known, later) => *known = later,
        }
    }

    /// Returns what was known before an update: each switch that it names was the other way round.
    #[must_use]
    pub(super) fn before(mut self, update: &ChangeableAttributes) -> Self {
        let not = |on: Option<bool>| on.map(|on| !on);
        let inverse = ChangeableAttributes {
            can_delete: not(update.can_delete),
            can_write: not(update.can_write),
            can_read: not(update.can_read),
            can_list: not(update.can_list),
        };
        if let Some(shown) = &mut self.properties {
            shown.attributes.apply(&inverse);
        }
        self
    }
}

macro_rules! properties {
    ($shown:ident) => {
        Some(Properties {
            created_on: $shown.created_on,
            last_updated_on: $shown.last_updated_on,
            attributes: $shown.attributes.clone(),
            extra: $shown.extra.clone(),
        })
    };
}

impl From<RepositoryProperties> for Known {
    fn from(shown: RepositoryProperties) -> Self {
        Self {
            properties: properties!(shown),
            counts: Some((shown.manifest_count, shown.tag_count)),
            ..Self::default()
        }
    }
}

impl From<ArtifactTagProperties> for Known {
    fn from(shown: ArtifactTagProperties) -> Self {
        Self {
            properties: properties!(shown),
            ..Self::of_tag(Some(shown.digest))
        }
    }
}

impl From<ArtifactManifestProperties> for Known {
    fn from(shown: ArtifactManifestProperties) -> Self {
        Self {
            properties: properties!(shown),
            media_type: shown.media_type.clone(),
            manifest: Some(shown),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn before_an_update_the_switches_that_it_names_were_the_other_way_round() {
        let shown = json!({"deleteEnabled": true, "writeEnabled": false, "teleportEnabled": true});
        let properties = Properties {
            attributes: serde_json::from_value(shown).unwrap(),
            ..Properties::new(acr_protocol::Timestamp::UNIX_EPOCH)
        };
        let known = Known {
            properties: Some(properties),
            ..Known::default()
        };
        let update = ChangeableAttributes::default().can_write(false);
        let before = known.before(&update).properties.unwrap().attributes;
        let expected =
            json!({"deleteEnabled": true, "writeEnabled": true, "teleportEnabled": true});
        assert_eq!(serde_json::to_value(before).unwrap(), expected);
    }

    #[test]
    fn what_is_shown_first_stays_and_a_single_read_adds_references() {
        let shown = |size: u64, references: Value| -> ArtifactManifestProperties {
            let body = json!({"imageName": "a", "manifest": {
                "digest": Digest::sha256("x"), "imageSize": size, "createdTime": "2024-01-01T00:00:00Z",
                "lastUpdateTime": "2024-01-01T00:00:00Z", "references": references
            }});
            let operation = acr_protocol::manifest::properties::GetManifestProperties {
                repository: RepositoryName::new("a").unwrap(),
                digest: Digest::sha256("x"),
            };
            let head = http::Response::new(()).into_parts().0;
            acr_protocol::Operation::decode(&operation, &head, body.to_string().into()).unwrap()
        };
        let mut known = Known::from(shown(1, json!([])));
        let later = shown(2, json!([{"digest": Digest::sha256("y")}]));
        known.fill(later.into(), false);
        let known = known.manifest.unwrap();
        assert_eq!((known.size_in_bytes, known.references.len()), (Some(1), 1));
    }
}
