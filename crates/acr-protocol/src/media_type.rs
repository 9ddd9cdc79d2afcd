//! [`MediaType`]: what a manifest or a blob is, and the list of manifest types that a client asks for.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::text::open_text;

/// The media type of a manifest, config or layer. Open: a type that this crate does not know is kept as it came. A cheap
/// clone.
///
/// The constants can be used in a `match`.
#[derive(Clone, PartialEq, Eq)]
pub struct MediaType(Known);

macro_rules! media_types {
    ($($(#[$doc:meta])* $constant:ident $variant:ident $text:literal;)*) => {
        // The box makes two words of three: a registry holds several types with each manifest.
        #[derive(Clone, PartialEq, Eq)]
        enum Known { $($variant,)* Other(Arc<Box<str>>) }

        impl MediaType {
            $($(#[$doc])* pub const $constant: Self = Self(Known::$variant);)*

            /// Every type that this crate knows by name.
            pub const KNOWN: &'static [Self] = &[$(Self::$constant),*];

            /// The type as it stands on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match &self.0 { $(Known::$variant => $text,)* Known::Other(text) => text }
            }
        }

        impl From<&str> for MediaType {
            fn from(text: &str) -> Self {
                match text { $($text => Self::$constant,)* other => Self(Known::Other(Arc::new(other.into()))) }
            }
        }
    };
}

media_types! {
    /// An OCI image manifest, also used for artifacts of other kinds.
    OCI_MANIFEST OciManifest "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image index: several manifests, usually one for each platform.
    OCI_INDEX OciIndex "application/vnd.oci.image.index.v1+json";
    /// A Docker image manifest, version 2 schema 2.
    DOCKER_MANIFEST DockerManifest "application/vnd.docker.distribution.manifest.v2+json";
    /// A Docker manifest list.
    DOCKER_MANIFEST_LIST DockerManifestList "application/vnd.docker.distribution.manifest.list.v2+json";
    /// The OCI artifact manifest, withdrawn before OCI 1.1 but still found.
    OCI_ARTIFACT_MANIFEST OciArtifactManifest "application/vnd.oci.artifact.manifest.v1+json";
    /// The artifact manifest of ORAS, which came before OCI's.
    ORAS_ARTIFACT_MANIFEST OrasArtifactManifest "application/vnd.cncf.oras.artifact.manifest.v1+json";
    /// A Docker image manifest, version 2 schema 1, signed. Only ever generated for old clients.
    DOCKER_MANIFEST_SCHEMA1 DockerManifestSchema1 "application/vnd.docker.distribution.manifest.v1+prettyjws";
    /// An OCI image config.
    OCI_CONFIG OciConfig "application/vnd.oci.image.config.v1+json";
    /// A Docker image config.
    DOCKER_CONFIG DockerConfig "application/vnd.docker.container.image.v1+json";
    /// An OCI layer: a tar archive.
    OCI_LAYER OciLayer "application/vnd.oci.image.layer.v1.tar";
    /// An OCI layer: a tar archive under gzip.
    OCI_LAYER_GZIP OciLayerGzip "application/vnd.oci.image.layer.v1.tar+gzip";
    /// An OCI layer: a tar archive under zstd.
    OCI_LAYER_ZSTD OciLayerZstd "application/vnd.oci.image.layer.v1.tar+zstd";
    /// A Docker layer: a tar archive under gzip.
    DOCKER_LAYER_GZIP DockerLayerGzip "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// OCI's empty JSON object `{}`, the config of an artifact that has none.
    OCI_EMPTY OciEmpty "application/vnd.oci.empty.v1+json";
    /// Bytes of no further known kind.
    OCTET_STREAM OctetStream "application/octet-stream";
}

impl MediaType {
    /// The manifest types that a client can read; all of them are asked for with every pull, because a registry
    /// responds with 404, or converts, when the stored type is not among them.
    pub const ACCEPTED_MANIFESTS: &'static [Self] = &[
        Self::OCI_MANIFEST,
        Self::OCI_INDEX,
        Self::DOCKER_MANIFEST,
        Self::DOCKER_MANIFEST_LIST,
        Self::OCI_ARTIFACT_MANIFEST,
        Self::ORAS_ARTIFACT_MANIFEST,
    ];

    /// [`MediaType::ACCEPTED_MANIFESTS`] and further types as the value of an `Accept` header.
    pub(crate) fn accept_manifests(further: &[Self]) -> String {
        let mut list = String::new();
        for media_type in Self::ACCEPTED_MANIFESTS.iter().chain(further) {
            let separator = if list.is_empty() { "" } else { ", " };
            let _infallible = write!(list, "{separator}{media_type}");
        }
        // `*/*` last and least: a type that is new to this crate is still served rather than refused.
        list.push_str(", */*;q=0.1");
        list
    }

    /// Reads the value of a `Content-Type` header: parameters such as `charset` are cut off.
    #[must_use]
    pub fn from_content_type(value: &str) -> Self {
        Self::from(value.split(';').next().unwrap_or(value).trim())
    }

    /// Whether it is the same type: the case of letters does not count (RFC 6838), but is kept. `==` compares the texts.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.as_str().eq_ignore_ascii_case(other.as_str())
    }

    /// Whether its text begins so, whatever the case of its letters: `application/`.
    #[must_use]
    pub fn begins_with(&self, prefix: &str) -> bool {
        let beginning = self.as_str().get(..prefix.len());
        beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(prefix))
    }

    /// Whether it is an image manifest: a config and layers.
    #[must_use]
    pub fn is_image(&self) -> bool {
        self.is(&Self::OCI_MANIFEST) || self.is(&Self::DOCKER_MANIFEST)
    }

    /// Whether it is an index or a manifest list: a list of further manifests.
    #[must_use]
    pub fn is_index(&self) -> bool {
        self.is(&Self::OCI_INDEX) || self.is(&Self::DOCKER_MANIFEST_LIST)
    }

    /// Whether it is a manifest of any kind: an image, an index, an artifact.
    #[must_use]
    pub fn is_manifest(&self) -> bool {
        let mut known = Self::ACCEPTED_MANIFESTS.iter();
        known.any(|known| self.is(known)) || self.is(&Self::DOCKER_MANIFEST_SCHEMA1)
    }

    /// Whether it is a layer that is not to be distributed by others than its owner: Docker's foreign and OCI's
    /// non-distributable types.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.begins_with("application/vnd.docker.image.rootfs.foreign.")
            || self.begins_with("application/vnd.oci.image.layer.nondistributable.")
    }

    /// Whether it is one of Docker's types.
    #[must_use]
    pub fn is_docker(&self) -> bool {
        self.begins_with("application/vnd.docker.")
    }
}

open_text!(MediaType);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_type_round_trips() {
        for media_type in MediaType::KNOWN {
            assert_eq!(MediaType::from(media_type.as_str()), *media_type);
        }
        assert_eq!(
            MediaType::from("application/x-new").as_str(),
            "application/x-new"
        );
    }

    #[test]
    fn the_case_of_letters_is_kept_and_does_not_count() {
        let written = MediaType::from("Application/VND.oci.Image.manifest.v1+JSON");
        assert_eq!(
            written.as_str(),
            "Application/VND.oci.Image.manifest.v1+JSON"
        );
        assert!(written.is_image() && written.is(&MediaType::OCI_MANIFEST));
        assert!(written.begins_with("application/") && !written.is_docker() && !written.is_index());
        let list = "application/vnd.DOCKER.distribution.manifest.list.v2+json";
        assert!(MediaType::from(list).is_index() && MediaType::from(list).is_docker());
        assert!(!MediaType::from("app").begins_with("application/"));
    }

    #[test]
    fn manifests_and_foreign_layers_are_told_from_the_rest() {
        for media_type in MediaType::KNOWN {
            let named = media_type.as_str().contains("manifest") || media_type.is_index();
            assert_eq!(media_type.is_manifest(), named, "{media_type}");
            assert!(!media_type.is_foreign());
        }
        for foreign in [
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        ] {
            assert!(MediaType::from(foreign).is_foreign());
        }
    }

    #[test]
    fn parameters_of_a_content_type_are_cut_off() {
        assert_eq!(
            MediaType::from_content_type("application/vnd.oci.image.index.v1+json; charset=utf-8"),
            MediaType::OCI_INDEX
        );
    }

    #[test]
    fn the_accept_list_names_every_manifest_type() {
        let accept = MediaType::accept_manifests(&[MediaType::from("application/x-new")]);
        for media_type in MediaType::ACCEPTED_MANIFESTS {
            assert!(accept.contains(media_type.as_str()));
        }
        assert!(accept.contains("application/x-new"));
    }
}
