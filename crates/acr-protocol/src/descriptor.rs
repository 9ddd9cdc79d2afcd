//! [`Descriptor`]: a pointer at content, and [`Platform`]: what a manifest of an index runs on.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;
use crate::media_type::MediaType;

/// A pointer at a manifest, config or layer.
///
/// Annotations are ordered by key, so that the same descriptor always has the same text and so the same digest.
#[doc(alias = "OciDescriptor")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// What the content is. Empty where a manifest does not say.
    #[serde(rename = "mediaType")]
    #[serde(default = "unknown", deserialize_with = "media_type")]
    pub media_type: MediaType,
    /// The content's address.
    pub digest: Digest,
    /// How long the content is, in bytes. Registries do not check it against the content, and some clients leave
    /// it out (then it is 0 here), so it is a hint, never a bound to rely on.
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    pub size: u64,
    /// Where else the content can be had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "crate::json::null_is_default")]
    pub urls: Vec<String>,
    /// The content itself in base64, where it is embedded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// What the manifest runs on, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Remarks, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[serde(deserialize_with = "crate::json::texts")]
    pub annotations: BTreeMap<String, String>,
    /// What kind of artifact the manifest is.
    #[serde(rename = "artifactType")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
}

impl Descriptor {
    /// A descriptor with the three members that every one has; `size` in bytes.
    #[must_use]
    pub fn new(media_type: impl Into<MediaType>, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            urls: Vec::new(),
            data: None,
            platform: None,
            annotations: BTreeMap::new(),
            artifact_type: None,
        }
    }

    /// The descriptor of these bytes, with their sha256 digest.
    #[must_use]
    pub fn of(media_type: impl Into<MediaType>, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        Self::new(media_type, Digest::sha256(bytes), bytes.len() as u64)
    }

    /// Sets what the content is.
    ///
    /// ```
    /// use acr_protocol::{Descriptor, MediaType};
    ///
    /// let layer = Descriptor::of("", b"..").with_media_type(MediaType::OCI_LAYER_GZIP);
    /// assert_eq!(layer.media_type, MediaType::OCI_LAYER_GZIP);
    /// ```
    #[must_use]
    pub fn with_media_type(mut self, media_type: impl Into<MediaType>) -> Self {
        self.media_type = media_type.into();
        self
    }

    /// Sets what kind of artifact the manifest is.
    #[must_use]
    pub fn with_artifact_type(mut self, artifact_type: impl Into<MediaType>) -> Self {
        self.artifact_type = Some(artifact_type.into());
        self
    }

    /// Sets what the manifest runs on.
    #[must_use]
    pub fn with_platform(mut self, platform: Platform) -> Self {
        self.platform = Some(platform);
        self
    }

    /// Adds an annotation, or replaces the one of this key.
    #[must_use]
    pub fn with_annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }
}

/// What an image runs on.
#[doc(alias = "ArtifactManifestPlatform")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// The processor, in Go's words: `amd64`, `arm64`, … or `unknown`.
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    pub architecture: String,
    /// The operating system, in Go's words: `linux`, `windows`, … or `unknown`.
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    pub os: String,
    /// The version of the operating system.
    #[serde(rename = "os.version")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features that the operating system must have.
    #[serde(rename = "os.features")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "crate::json::null_is_default")]
    pub os_features: Vec<String>,
    /// The variant of the processor, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// A platform of an operating system and a processor.
    #[must_use]
    pub fn new(os: impl Into<String>, architecture: impl Into<String>) -> Self {
        Self {
            architecture: architecture.into(),
            os: os.into(),
            ..Self::default()
        }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if let Some(variant) = &self.variant {
            write!(f, "/{variant}")?;
        }
        Ok(())
    }
}

fn unknown() -> MediaType {
    MediaType::from("")
}

fn media_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MediaType, D::Error> {
    Option::deserialize(deserializer).map(|media_type| media_type.unwrap_or_else(unknown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_without_size_is_read() {
        // The Python SDK's own samples push a config with `sizeInBytes` in the place of `size`.
        let text = format!(
            r#"{{"mediaType":"application/vnd.oci.image.config.v1+json","sizeInBytes":171,"digest":"{}","urls":null}}"#,
            Digest::sha256(b"")
        );
        let descriptor: Descriptor = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (descriptor.size, descriptor.media_type),
            (0, MediaType::OCI_CONFIG)
        );
    }

    #[test]
    fn members_come_in_the_order_of_a_referrers_list() {
        let descriptor = Descriptor::of(MediaType::OCI_MANIFEST, b"x")
            .with_annotation("b", "2")
            .with_annotation("a", "1")
            .with_artifact_type("application/x");
        let text = serde_json::to_string(&descriptor).unwrap();
        let places: Vec<_> = [
            "mediaType",
            "digest",
            "size",
            "annotations",
            "\"a\"",
            "\"b\"",
            "artifactType",
        ]
        .iter()
        .map(|m| text.find(m).unwrap())
        .collect();
        assert!(places.is_sorted(), "{text}");
    }

    #[test]
    fn platforms_display_as_docker_writes_them() {
        let mut platform = Platform::new("linux", "arm64");
        platform.variant = Some("v8".into());
        assert_eq!(platform.to_string(), "linux/arm64/v8");
    }
}
