//! What a manifest of any kind refers to.

use serde::Deserialize;

use super::{InvalidManifest, Manifest};
use crate::descriptor::Descriptor;
use crate::json::null_is_default;

impl Manifest {
    /// Returns the manifest that this one refers to as its subject: an image, for a signature or an SBOM of it.
    ///
    /// # Errors
    /// The bytes are not a JSON manifest.
    pub fn subject(&self) -> Result<Option<Descriptor>, InvalidManifest> {
        Ok(self.view()?.subject)
    }

    /// Returns everything that must be in the repository for this manifest to be complete: the config and layers of an
    /// image, the manifests of an index, the blobs of an OCI artifact manifest. The subject is not among it, because
    /// it may be missing.
    ///
    /// ```
    /// use acr_protocol::{Descriptor, ImageManifest, Manifest, MediaType};
    ///
    /// let config = Descriptor::of(MediaType::OCI_EMPTY, b"{}");
    /// let layer = Descriptor::of(MediaType::OCI_LAYER_GZIP, b"..");
    /// let subject = Descriptor::of(MediaType::OCI_MANIFEST, b"an image");
    /// let signature = ImageManifest::new(config.clone(), vec![layer.clone()]).with_subject(subject.clone());
    /// let manifest = Manifest::try_from(&signature)?;
    /// assert_eq!(manifest.references()?, [config, layer]);
    /// assert_eq!(manifest.subject()?, Some(subject));
    /// # Ok::<(), acr_protocol::manifest::InvalidManifest>(())
    /// ```
    ///
    /// # Errors
    /// The bytes are not a JSON manifest.
    pub fn references(&self) -> Result<Vec<Descriptor>, InvalidManifest> {
        let view = self.view()?;
        let mut references = Vec::from_iter(view.config);
        for list in [view.layers, view.blobs, view.manifests] {
            references.extend(list);
        }
        Ok(references)
    }

    fn view(&self) -> Result<View, InvalidManifest> {
        serde_json::from_slice(&self.bytes)
            .map_err(|error| InvalidManifest::json("a manifest", &error))
    }
}

/// The members of all kinds. A kind has no member of another kind's that means something else.
#[derive(Deserialize)]
struct View {
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default, deserialize_with = "null_is_default")]
    layers: Vec<Descriptor>,
    #[serde(default, deserialize_with = "null_is_default")]
    blobs: Vec<Descriptor>,
    #[serde(default, deserialize_with = "null_is_default")]
    manifests: Vec<Descriptor>,
    #[serde(default)]
    subject: Option<Descriptor>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media_type::MediaType;
    use crate::{Digest, ImageIndex};

    #[test]
    fn an_oci_artifact_manifest_refers_to_its_blobs() {
        let (blob, subject) = (Digest::sha256("blob"), Digest::sha256("subject"));
        let text = format!(
            r#"{{"mediaType":"application/vnd.oci.artifact.manifest.v1+json","artifactType":"application/x","blobs":[{{"mediaType":"text/plain","digest":"{blob}","size":4}}],"layers":null,"subject":{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{subject}","size":7}}}}"#
        );
        let manifest = Manifest::new(text, MediaType::OCI_ARTIFACT_MANIFEST);
        let digests: Vec<_> = manifest
            .references()
            .unwrap()
            .into_iter()
            .map(|d| d.digest)
            .collect();
        assert_eq!(digests, [blob]);
        assert_eq!(manifest.subject().unwrap().map(|d| d.digest), Some(subject));
    }

    #[test]
    fn an_index_refers_to_its_manifests() {
        let child = Descriptor::of(MediaType::OCI_MANIFEST, b"child");
        let index = Manifest::try_from(&ImageIndex::new(vec![child.clone()])).unwrap();
        assert_eq!(index.references().unwrap(), [child]);
        assert_eq!(index.subject().unwrap(), None);
    }

    #[test]
    fn what_is_not_json_is_an_error() {
        let manifest = Manifest::new("<html>", MediaType::OCI_MANIFEST);
        assert!(manifest.references().is_err() && manifest.subject().is_err());
    }
}
