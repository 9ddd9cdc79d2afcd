use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::descriptor::Descriptor;
use crate::media_type::MediaType;

/// A typed view of an image manifest: a config and layers, OCI's or Docker's.
///
/// A view for reading, and for building new manifests. To copy a manifest, pass its bytes on: writing the view again
/// may give other bytes, and so another digest.
#[doc(alias = "OciImageManifest")]
#[doc(alias = "OciManifest")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageManifest {
    /// Always 2. Missing in some of the service's older artifacts; then 0 here.
    #[serde(rename = "schemaVersion")]
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    pub schema_version: u32,
    /// What the manifest says of itself. Optional in OCI's, required in Docker's.
    #[serde(rename = "mediaType", default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// What kind of artifact it is, where it is not a container image.
    #[serde(rename = "artifactType")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// The config.
    pub config: Descriptor,
    /// The layers, the lowest first.
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one refers to, for a signature, an SBOM and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Remarks, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[serde(deserialize_with = "crate::json::texts")]
    pub annotations: BTreeMap<String, String>,
}

impl ImageManifest {
    /// An OCI image manifest of this config and these layers.
    #[must_use]
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MediaType::OCI_MANIFEST),
            artifact_type: None,
            config,
            layers,
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

    /// Everything that must be there before the manifest can be: the config, then the layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}
