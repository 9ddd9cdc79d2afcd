use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::descriptor::{Descriptor, Platform};
use crate::media_type::MediaType;

/// A typed view of an image index or a Docker manifest list: several manifests under one name.
///
/// A view for reading, and for building new ones; see [`super::ImageManifest`] for why not to copy by it.
#[doc(alias = "ManifestList")]
#[doc(alias = "OciIndex")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageIndex {
    /// Always 2.
    #[serde(rename = "schemaVersion")]
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    pub schema_version: u32,
    /// What the index says of itself.
    #[serde(rename = "mediaType", default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// What kind of artifact it is.
    #[serde(rename = "artifactType")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// The manifests.
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    pub manifests: Vec<Descriptor>,
    /// The manifest that this index refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Remarks, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[serde(deserialize_with = "crate::json::texts")]
    pub annotations: BTreeMap<String, String>,
}

impl ImageIndex {
    /// An OCI image index of these manifests.
    #[must_use]
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MediaType::OCI_INDEX),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Sets what kind of artifact it is, where it is not a container image.
    #[must_use]
    pub fn with_artifact_type(mut self, artifact_type: impl Into<MediaType>) -> Self {
        self.artifact_type = Some(artifact_type.into());
        self
    }

    /// Sets the manifest that it refers to, which lists it among its referrers.
    #[must_use]
    pub fn with_subject(mut self, subject: Descriptor) -> Self {
        self.subject = Some(subject);
        self
    }

    /// Adds an annotation, or replaces the one of this key.
    #[must_use]
    pub fn with_annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// The manifest that a machine of this platform runs best, as containerd chooses it: spellings are normalised
    /// ([`Platform::normalized`]), and where its own variant is missing the nearest below is taken (`arm/v7`, then v6,
    /// v5). `None` where it runs none of them.
    #[must_use]
    pub fn for_platform(&self, wanted: &Platform) -> Option<&Descriptor> {
        let offered: Vec<_> = self
            .manifests
            .iter()
            .filter_map(|manifest| Some((manifest.platform.as_ref()?.normalized(), manifest)))
            .collect();
        wanted.runs().iter().find_map(|runs| {
            let mut fitting = offered.iter().filter(|(platform, _)| runs.takes(platform));
            fitting.next().map(|(_, manifest)| *manifest)
        })
    }
}
