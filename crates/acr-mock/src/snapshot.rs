//! [`Snapshot`]: the content of a registry as a value that can be kept in a file.

use std::collections::{BTreeMap, BTreeSet};

use acr_protocol::{
    ArtifactManifestReference, Attributes, Digest, MediaType, RepositoryName, Tag, Timestamp,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The content of a [`Registry`](crate::Registry), made by [`Registry::snapshot`](crate::Registry::snapshot) and taken by
/// [`Registry::restore`](crate::Registry::restore).
///
/// It is written and read with serde; as JSON, text is readable and other bytes are base64. The form has a version,
/// and one of another version is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    version: Version,
    /// The repositories that have a manifest.
    pub repositories: BTreeMap<RepositoryName, RepositorySnapshot>,
    /// The blobs.
    pub blobs: BTreeMap<Digest, BlobSnapshot>,
    /// The time of the latest write. The next one is later, whatever the clock says.
    #[serde(default)]
    pub last_write: Timestamp,
    /// The number of images and artifacts that were seeded, each of which has content of its own.
    #[serde(default)]
    pub seeds: u64,
}

/// What repositories, manifests and tags have alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Properties {
    /// When it came.
    pub created_on: Timestamp,
    /// When it last changed.
    pub last_updated_on: Timestamp,
    /// Its locks.
    #[serde(default)]
    pub attributes: Attributes,
    /// Further members of its properties, such as `signed` of a tag.
    #[serde(default)]
    pub extra: Map<String, Value>,
}

impl Properties {
    /// Creates the properties of something that came at this time: it is not locked.
    #[must_use]
    pub fn new(time: Timestamp) -> Self {
        Self {
            created_on: time,
            last_updated_on: time,
            attributes: Attributes::enabled(),
            extra: Map::new(),
        }
    }
}

/// A repository in a [`Snapshot`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositorySnapshot {
    /// Its times and locks.
    #[serde(flatten)]
    pub properties: Properties,
    /// Its manifests. A repository without any does not exist.
    pub manifests: BTreeMap<Digest, ManifestSnapshot>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<Tag, TagSnapshot>,
}

/// A manifest in a [`Snapshot`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestSnapshot {
    /// What it is.
    pub media_type: MediaType,
    /// Its times and locks.
    #[serde(flatten)]
    pub properties: Properties,
    /// The size of the image in bytes (`imageSize`).
    pub image_size: Option<u64>,
    /// The processor that the image is for.
    pub architecture: Option<String>,
    /// The operating system that the image is for.
    pub operating_system: Option<String>,
    /// What its config is.
    pub config_media_type: Option<MediaType>,
    /// The manifests of an index.
    #[serde(default)]
    pub references: Vec<ArtifactManifestReference>,
    /// The manifest that it refers to.
    pub subject: Option<Digest>,
    /// What kind of artifact the list of the subject's referrers says it is.
    pub artifact_type: Option<MediaType>,
    /// The bytes.
    pub content: Content,
}

impl ManifestSnapshot {
    /// Creates a manifest of these bytes, of which nothing else is known.
    #[must_use]
    pub fn new(media_type: impl Into<MediaType>, content: Content, properties: Properties) -> Self {
        Self {
            media_type: media_type.into(),
            properties,
            image_size: None,
            architecture: None,
            operating_system: None,
            config_media_type: None,
            references: Vec::new(),
            subject: None,
            artifact_type: None,
            content,
        }
    }
}

/// A tag in a [`Snapshot`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagSnapshot {
    /// The manifest that it points at.
    pub digest: Digest,
    /// Its times and locks.
    #[serde(flatten)]
    pub properties: Properties,
}

/// A blob in a [`Snapshot`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobSnapshot {
    /// The repositories that hold it. One that nobody holds is not restored.
    pub repositories: BTreeSet<RepositoryName>,
    /// When it came.
    pub created_on: Timestamp,
    /// The number of blocks that the storage has appended to hold it.
    #[serde(default)]
    pub blocks: u64,
    /// The bytes.
    pub content: Content,
}

/// The bytes of a manifest or blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Form", try_from = "Form")]
pub enum Content {
    /// All bytes.
    Bytes(Bytes),
    /// Bytes of which only a part is known. Spaces are served in the place of the others, so a client that verifies
    /// digests refuses them. A registry never makes such an entry: its snapshot has the bytes that are served.
    Filler {
        /// The number of bytes.
        size: u64,
        /// The parts that are known, by the place of their first byte. What is behind the end is left out.
        known: BTreeMap<u64, Bytes>,
    },
}

impl Content {
    /// Returns the bytes that are served.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        let (size, known) = match self {
            Self::Bytes(bytes) => return bytes,
            Self::Filler { size, known } => (size, known),
        };
        let mut bytes = vec![b' '; usize::try_from(size).unwrap_or_default()];
        for (start, part) in known {
            let rest = usize::try_from(start).ok();
            let rest = rest.and_then(|start| bytes.get_mut(start..));
            for (byte, known) in rest.into_iter().flatten().zip(part) {
                *byte = known;
            }
        }
        bytes.into()
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}

/// The written form of [`Content`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Text(String),
    Base64(String),
    Filler {
        size: u64,
        #[serde(default)]
        known: BTreeMap<u64, Self>,
    },
}

impl From<Content> for Form {
    fn from(content: Content) -> Self {
        match content {
            Content::Bytes(bytes) => match std::str::from_utf8(&bytes) {
                Ok(text) => Self::Text(text.to_owned()),
                Err(_) => Self::Base64(STANDARD.encode(&bytes)),
            },
            Content::Filler { size, known } => {
                let known = known.into_iter();
                let known = known.map(|(start, part)| (start, Content::Bytes(part).into()));
                Self::Filler {
                    size,
                    known: known.collect(),
                }
            }
        }
    }
}

impl TryFrom<Form> for Content {
    // A text, because the implementation is public and base64 is not.
    type Error = String;

    fn try_from(form: Form) -> Result<Self, String> {
        Ok(match form {
            Form::Text(text) => Self::Bytes(text.into()),
            Form::Base64(text) => match STANDARD.decode(text) {
                Ok(bytes) => Self::Bytes(bytes.into()),
                Err(error) => return Err(format!("not valid base64: {error}")),
            },
            Form::Filler { size, known } => {
                let known = known.into_iter();
                let known = known.map(|(start, part)| {
                    Ok::<_, String>((start, Self::try_from(part)?.into_bytes()))
                });
                Self::Filler {
                    size,
                    known: known.collect::<Result<_, _>>()?,
                }
            }
        })
    }
}

/// The version of the written form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u32", try_from = "u32")]
struct Version;

const VERSION: u32 = 1;

impl From<Version> for u32 {
    fn from(_: Version) -> Self {
        VERSION
    }
}

impl TryFrom<u32> for Version {
    type Error = String;

    fn try_from(version: u32) -> Result<Self, String> {
        match version {
            VERSION => Ok(Self),
            other => Err(format!(
                "version {other} of a snapshot; this one is {VERSION}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn content_is_written_as_text_where_it_is_text_and_with_what_is_known_of_it() {
        let filler = Content::Filler {
            size: 5,
            known: BTreeMap::from([(3, Bytes::from_static(b"abc"))]),
        };
        assert_eq!(filler.clone().into_bytes(), "   ab");
        for (content, form) in [
            (Content::Bytes("a\n".into()), json!({"text": "a\n"})),
            (
                Content::Bytes(Bytes::from_static(&[0xff])),
                json!({"base64": "/w=="}),
            ),
            (
                filler,
                json!({"filler": {"size": 5, "known": {"3": {"text": "abc"}}}}),
            ),
        ] {
            assert_eq!(serde_json::to_value(&content).unwrap(), form);
            let text = form.to_string();
            assert_eq!(serde_json::from_str::<Content>(&text).unwrap(), content);
        }
        assert!(serde_json::from_str::<Content>(r#"{"base64":"?"}"#).is_err());
    }

    #[test]
    fn a_snapshot_of_another_version_is_an_error() {
        let text = r#"{"version":1,"repositories":{},"blobs":{}}"#;
        let snapshot: Snapshot = serde_json::from_str(text).unwrap();
        assert_eq!(snapshot, Snapshot::default());
        let error = serde_json::from_str::<Snapshot>(&text.replace('1', "2")).unwrap_err();
        assert!(error.to_string().contains("version 2"), "{error}");
    }
}
