//! Reads images from an OCI image layout: a folder with `index.json` and `blobs/<algorithm>/<hex>`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use acr_client::{Descriptor, Digest, ImageIndex, Manifest};
use bytes::Bytes;

use crate::Result;
use crate::image::{Image, Walk, blobs};

/// The annotation by which `index.json` names its images.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A folder with images.
///
/// What is read from it is verified: each blob has the digest that it is named by.
#[derive(Clone, Debug)]
pub struct OciLayout {
    root: PathBuf,
    entries: Vec<Descriptor>,
}

impl OciLayout {
    /// Opens a layout; reads its `index.json`.
    ///
    /// # Errors
    ///
    /// If there is no layout in that folder; the error names the file.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        let place = root.join("index.json");
        let index: ImageIndex = serde_json::from_slice(&read(&place)?)
            .map_err(|error| format!("{}: {error}", place.display()))?;
        Ok(Self {
            root,
            entries: index.manifests,
        })
    }

    /// Opens one of the images in `fixtures/images`: `v1`, `v2`, `v3` or `docker-v2`.
    ///
    /// # Errors
    ///
    /// If this program runs on a machine without the repository it was built from.
    pub fn fixture(name: &str) -> Result<Self> {
        Self::open(fixtures().join(name))
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Reads the image of the layout with all its platforms.
    ///
    /// # Errors
    ///
    /// If the layout holds none or several, if a blob is missing, or if one does not have the digest it is named by.
    pub fn image(&self) -> Result<Image> {
        let [entry] = self.entries.as_slice() else {
            let (place, count) = (self.root.display(), self.entries.len());
            return Err(format!("{place}: index.json names {count} images, expected one").into());
        };
        let root = self.manifest(entry)?;
        let mut walk = Walk::from(&root)?;
        while let Some(descriptor) = walk.wanted() {
            walk.found(self.manifest(&descriptor)?)?;
        }
        let mut image = Image {
            manifests: walk.into_manifests(),
            blobs: BTreeMap::new(),
        };
        for manifest in &image.manifests {
            for blob in blobs(manifest)? {
                let bytes = self.blob(&blob.digest)?;
                image.blobs.insert(blob.digest, bytes);
            }
        }
        Ok(image)
    }

    /// Reads a manifest by its descriptor.
    fn manifest(&self, descriptor: &Descriptor) -> Result<Manifest> {
        Ok(Manifest::new(
            self.blob(&descriptor.digest)?,
            &descriptor.media_type,
        ))
    }

    /// Reads a blob by its digest.
    fn blob(&self, digest: &Digest) -> Result<Bytes> {
        let algorithm = digest.algorithm();
        let folder = self.root.join("blobs").join(algorithm.as_str());
        let place = folder.join(digest.hex());
        let bytes = read(&place)?;
        if digest.matches(&bytes) != Some(true) {
            return Err(format!("{}: the bytes do not have this digest", place.display()).into());
        }
        Ok(bytes.into())
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/images")
}

fn read(place: &Path) -> Result<Vec<u8>> {
    Ok(fs::read(place).map_err(|error| format!("{}: {error}", place.display()))?)
}

#[cfg(test)]
mod tests {
    use acr_client::MediaType;

    use super::*;

    #[test]
    fn the_fixtures_are_images_of_two_platforms() {
        for name in ["v1", "v2", "v3", "docker-v2"] {
            let image = OciLayout::fixture(name).unwrap().image().unwrap();
            let platforms = image.platforms().unwrap();
            let names: Vec<_> = platforms.iter().map(|(p, _)| p.to_string()).collect();
            assert_eq!(names, ["linux/amd64", "linux/arm64/v8"], "{name}");
            // A config and two layers for each platform.
            assert_eq!((image.manifests.len(), image.blobs.len()), (3, 6), "{name}");
            assert!(image.root().unwrap().media_type.is_index());
        }
    }

    #[test]
    fn a_blob_with_other_bytes_is_refused_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let digest = Digest::sha256("right");
        let entry = Descriptor::new(MediaType::OCI_MANIFEST, digest.clone(), 5);
        let index = serde_json::to_vec(&ImageIndex::new(vec![entry])).unwrap();
        fs::write(folder.path().join("index.json"), index).unwrap();
        let blobs = folder.path().join("blobs/sha256");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join(digest.hex()), "wrong").unwrap();

        let error = OciLayout::open(folder.path()).unwrap().image().unwrap_err();
        assert!(error.to_string().contains(digest.hex()), "{error}");
    }

    #[test]
    fn a_folder_without_a_layout_is_named() {
        let error = OciLayout::open("no/such/folder").unwrap_err().to_string();
        assert!(
            error.contains("no/such/folder") && error.contains("index.json"),
            "{error}"
        );
    }
}
