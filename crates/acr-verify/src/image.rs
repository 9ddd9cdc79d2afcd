//! [`Image`]: an image of `fixtures/images` in memory, for interop and benches.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use acr_client::image::{self, CopyOptions, Layout};
use acr_client::{Descriptor, Digest, Manifest, MediaType, RepositoryClient};
use bytes::Bytes;

use crate::Result;

/// An image for all its platforms.
#[derive(Clone, Debug)]
pub struct Image {
    /// The OCI image layout that it is from.
    pub folder: PathBuf,
    /// Each manifest comes before those that it refers to, so the first one is the image's own.
    pub manifests: Vec<Manifest>,
    /// The configs and layers by digest.
    pub blobs: BTreeMap<Digest, Bytes>,
}

impl Image {
    /// Reads one of the images in `fixtures/images`: `v1`, `v2`, `v3` or `docker-v2`.
    ///
    /// # Errors
    ///
    /// A file is missing or malformed.
    pub fn fixture(name: &str) -> Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/images");
        let folder = folder.join(name);
        let layout = Manifest::new(fs::read(folder.join("index.json"))?, MediaType::OCI_INDEX);
        let mut open = layout.references()?;
        let (mut manifests, mut blobs) = (Vec::new(), BTreeMap::new());
        while let Some(Descriptor {
            media_type, digest, ..
        }) = open.pop()
        {
            let bytes = fs::read(folder.join("blobs/sha256").join(digest.hex()))?;
            if media_type.is_index() || media_type.is_image() {
                let manifest = Manifest::new(bytes, media_type);
                open.extend(manifest.references()?);
                manifests.push(manifest);
            } else {
                blobs.insert(digest, bytes.into());
            }
        }
        Ok(Self {
            folder,
            manifests,
            blobs,
        })
    }

    /// Pushes the image.
    ///
    /// # Errors
    ///
    /// The registry refuses something.
    pub async fn push(&self, repository: &RepositoryClient, tag: &str) -> Result<()> {
        let layout = Layout::open(&self.folder)?;
        image::push(&layout, (repository, tag), CopyOptions::default()).await?;
        Ok(())
    }

    /// Pulls the image, and compares every byte.
    ///
    /// # Errors
    ///
    /// The registry refuses something, or has other bytes.
    pub async fn pull_and_compare(&self, repository: &RepositoryClient, tag: &str) -> Result<()> {
        let mut is_same = repository.get_manifest(tag).await? == self.manifests[0];
        for manifest in &self.manifests {
            is_same &= repository.get_manifest(&manifest.digest).await? == *manifest;
        }
        for (digest, bytes) in &self.blobs {
            let blob = repository.download_blob(digest).await?;
            is_same &= blob.bytes(bytes.len()).await? == bytes;
        }
        if is_same {
            Ok(())
        } else {
            Err("the bytes differ".into())
        }
    }
}
