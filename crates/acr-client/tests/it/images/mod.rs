//! Images: layouts, copies within and between registries, referrers.

mod bad_input;
mod copies;
mod faults;
mod hard_cases;
mod interrupted;
mod layouts;
mod lists;
mod progress;
mod referrers;
mod site;

use std::fs;
use std::path::Path;

use acr_client::image::{Copied, Layout};
use acr_client::models::Platform;
use acr_client::{Descriptor, ImageIndex, ImageManifest, Manifest, MediaType, RepositoryClient};
use acr_mock::RepositorySeed;

/// Puts an image of so many layers, whose content begins with its name; returns its manifest.
fn seed_image(seed: &RepositorySeed, tag: Option<&str>, name: &str, layers: usize) -> Manifest {
    let blob = |media_type, text: String| seed.blob(media_type, text.into_bytes());
    let config = blob(MediaType::OCI_CONFIG, format!(r#"{{"name":"{name}"}}"#));
    let layers =
        (0..layers).map(|layer| blob(MediaType::OCI_LAYER_GZIP, format!("{name}, layer {layer}")));
    let image = ImageManifest::new(config, layers.collect());
    let image = Manifest::try_from(&image).unwrap();
    seed.manifest(tag, &image).unwrap()
}

/// Puts an index of images for these platforms.
fn seed_index(seed: &RepositorySeed, tag: &str, platforms: &[&str]) -> Manifest {
    let children = platforms.iter().map(|platform| {
        let (os, architecture) = platform.split_once('/').unwrap();
        let image = seed_image(seed, None, platform, 2);
        let platform = Platform::new(os, architecture);
        image.descriptor().with_platform(platform)
    });
    let index = Manifest::try_from(&ImageIndex::new(children.collect())).unwrap();
    seed.manifest(Some(tag), &index).unwrap()
}

/// Writes content into a layout's folder; returns its descriptor.
fn write_blob(folder: &Path, media_type: MediaType, bytes: impl AsRef<[u8]>) -> Descriptor {
    let blob = Descriptor::of(media_type, bytes.as_ref());
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(blob.digest.hex()), bytes).unwrap();
    blob
}

/// Writes a layout with one image of one layer; returns the layer and the image.
fn write_layout(folder: &Path) -> (Descriptor, Descriptor) {
    let config = write_blob(folder, MediaType::OCI_CONFIG, "{}");
    let layer = write_blob(folder, MediaType::OCI_LAYER_GZIP, "the layer");
    let image = ImageManifest::new(config, vec![layer.clone()]);
    let image = Manifest::try_from(&image).unwrap();
    let image = write_blob(folder, image.media_type, &image.bytes);
    write_index(folder, std::slice::from_ref(&image));
    (layer, image)
}

fn write_index(folder: &Path, images: &[Descriptor]) {
    let version = r#"{"imageLayoutVersion":"1.0.0"}"#;
    fs::write(folder.join("oci-layout"), version).unwrap();
    let index = Manifest::try_from(&ImageIndex::new(images.to_vec())).unwrap();
    fs::write(folder.join("index.json"), &index.bytes).unwrap();
}

/// Everything that a repository has under a reference: manifests and blobs, by digest, each read anew.
async fn contents(repository: &RepositoryClient, reference: &str) -> Vec<(String, Vec<u8>)> {
    let mut open = vec![repository.get_manifest(reference).await.unwrap()];
    let mut all = Vec::new();
    while let Some(manifest) = open.pop() {
        for reference in manifest.references().unwrap() {
            if manifest.media_type.is_index() {
                open.push(repository.get_manifest(&reference.digest).await.unwrap());
            } else {
                let blob = repository.download_blob(&reference.digest).await.unwrap();
                let bytes = blob.bytes(1 << 20).await.unwrap();
                all.push((reference.digest.to_string(), bytes.to_vec()));
            }
        }
        all.push((manifest.digest.to_string(), manifest.bytes.to_vec()));
    }
    all.sort();
    all.dedup();
    all
}

/// The digests of the images that were copied.
fn roots(copied: &Copied) -> Vec<String> {
    let images = copied.images.iter();
    images
        .map(|image| image.descriptor.digest.to_string())
        .collect()
}

fn new_layout() -> (tempfile::TempDir, Layout) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path().join("layout")).unwrap();
    (folder, layout)
}
