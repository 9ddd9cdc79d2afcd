//! Pushes an image: its blobs, then its manifests, then its tag.

use std::collections::BTreeMap;

use acr_client::{Digest, ErrorKind, RepositoryClient};

use crate::Result;
use crate::image::Image;

/// What a push did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Blobs that were uploaded, with their sizes in bytes.
    pub uploaded: BTreeMap<Digest, usize>,
    /// Blobs that the repository had already.
    pub present: BTreeMap<Digest, usize>,
}

/// Pushes an image under a tag. What the repository has already is not sent again.
///
/// The order matters: a registry refuses a manifest whose blobs are missing, and readers must never see a tag on an
/// incomplete image.
///
/// # Errors
///
/// If the registry refuses, or responds with another digest than that of the bytes.
pub async fn push(repository: &RepositoryClient, image: &Image, tag: &str) -> Result<Pushed> {
    let mut pushed = Pushed::default();
    for (digest, bytes) in &image.blobs {
        match repository.head_blob(digest).await {
            Ok(_) => {
                pushed.present.insert(digest.clone(), bytes.len());
                continue;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        let descriptor = repository.upload_blob(bytes.clone()).await?;
        if descriptor.digest != *digest {
            return Err(format!("{digest} became {} in the upload", descriptor.digest).into());
        }
        pushed.uploaded.insert(digest.clone(), bytes.len());
    }
    let root = image.root()?;
    for manifest in &image.manifests {
        // The manifests of the platforms have no tag; the image's own gets one.
        let accepted = if manifest == root {
            repository.set_manifest(tag, manifest).await?
        } else {
            repository.set_manifest(&manifest.digest, manifest).await?
        };
        if accepted.digest != manifest.digest {
            let (was, is) = (&manifest.digest, &accepted.digest);
            return Err(format!("{was} became {is} in the registry").into());
        }
    }
    Ok(pushed)
}
