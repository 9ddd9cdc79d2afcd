//! Pulls an image: its manifests from the root down, then all blobs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use acr_client::{Digest, Platform, RepositoryClient};
use bytes::Bytes;

use crate::Result;
use crate::image::{Image, Walk, blobs};

/// Pulls an image with all its platforms, by tag or digest.
///
/// The client verifies the digest of every manifest and blob on the way, so what this returns is what the tag stands
/// for, byte for byte.
///
/// # Errors
///
/// If something is missing in the registry, or is not what its digest says.
pub async fn pull(repository: &RepositoryClient, reference: &str) -> Result<Image> {
    let root = repository.get_manifest(reference).await?;
    let mut walk = Walk::from(&root)?;
    while let Some(descriptor) = walk.wanted() {
        walk.found(repository.get_manifest(&descriptor.digest).await?)?;
    }
    let mut image = Image {
        manifests: walk.into_manifests(),
        blobs: BTreeMap::new(),
    };
    for manifest in &image.manifests {
        for blob in blobs(manifest)? {
            // Images of a platform share layers, and each is pulled once.
            if let Entry::Vacant(entry) = image.blobs.entry(blob.digest) {
                let bytes = download(repository, entry.key()).await?;
                entry.insert(bytes);
            }
        }
    }
    Ok(image)
}

/// What a machine of one platform pulls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformImage {
    /// The manifest for the platform.
    pub digest: Digest,
    /// The sizes of config and layers in bytes.
    pub blobs: Vec<usize>,
}

/// Pulls an image as a machine of one platform does: the index, the platform's manifest, its config and layers.
///
/// # Errors
///
/// If the index has no manifest for the platform, or if something is missing or is not what its digest says.
pub async fn pull_platform(
    repository: &RepositoryClient,
    reference: &str,
    platform: &Platform,
) -> Result<PlatformImage> {
    let index = repository.get_manifest(reference).await?.as_index()?;
    let descriptor = index
        .for_platform(platform)
        .ok_or_else(|| format!("{reference} has no manifest for {platform}"))?;
    let manifest = repository.get_manifest(&descriptor.digest).await?;
    let mut sizes = Vec::new();
    for blob in blobs(&manifest)? {
        sizes.push(download(repository, &blob.digest).await?.len());
    }
    Ok(PlatformImage {
        digest: manifest.digest,
        blobs: sizes,
    })
}

async fn download(repository: &RepositoryClient, digest: &Digest) -> Result<Bytes> {
    Ok(repository
        .download_blob(digest)
        .await?
        .read(LARGEST)
        .await?)
}

/// The most bytes of one blob that these programs hold in memory. Larger ones are for
/// [`BlobStream::save`](acr_client::BlobStream::save).
const LARGEST: usize = 64 << 20;
