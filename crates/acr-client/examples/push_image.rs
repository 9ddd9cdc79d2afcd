//! Pushes an image with all its platforms from an OCI image layout, such as `skopeo copy .. oci:FOLDER` writes.
//!
//! ```text
//! cargo run -p acr-client --example push_image [FOLDER REPOSITORY TAG]
//! ```
//!
//! Without `AZURE_CONTAINERREGISTRY_ENDPOINT` in the environment it runs on a mock inside this program.

use std::fs;
use std::path::{Path, PathBuf};

use acr_client::transport::from_fn;
use acr_client::{
    ContainerRegistryClient, Credential, Descriptor, Digest, ImageIndex, ImageManifest, Manifest,
    MediaType, RepositoryClient,
};
use acr_mock::Registry;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let folder = match arguments.next() {
        Some(folder) => PathBuf::from(folder),
        None => sample()?,
    };
    let name = arguments.next().unwrap_or_else(|| "samples/app".to_owned());
    let tag = arguments.next().unwrap_or_else(|| "v1".to_owned());
    let repository = connect()?.repository_client(name)?;

    let pushed = push(&repository, &folder, &tag).await?;
    println!("{}:{tag} is {}", repository.name(), pushed.root);
    println!(
        "{} blobs sent, {} present",
        pushed.sent.len(),
        pushed.present
    );
    Ok(())
}

/// What a push did.
pub(crate) struct Pushed {
    /// The digest of the image.
    pub(crate) root: Digest,
    /// The blobs that were uploaded.
    pub(crate) sent: Vec<Descriptor>,
    /// How many blobs the repository had already.
    pub(crate) present: usize,
}

/// Pushes the image of a layout: blobs, then manifests, then the tag, because a registry refuses a manifest that refers
/// to something it lacks, and nobody must see a tag on an incomplete image.
pub(crate) async fn push(
    repository: &RepositoryClient,
    folder: &Path,
    tag: &str,
) -> Result<Pushed> {
    let file = folder.join("index.json");
    let index = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let index = Manifest::new(index, MediaType::OCI_INDEX).as_index()?;
    let [image] = index.manifests.as_slice() else {
        return Err(format!("{} images in {}", index.manifests.len(), folder.display()).into());
    };
    let root = image.digest.clone();
    let (mut sent, mut present) = (Vec::new(), 0);
    // Every manifest comes after those that refer to it.
    let mut manifests = vec![read_manifest(folder, image)?];
    let mut next = 0;
    while let Some(manifest) = manifests.get(next).cloned() {
        next += 1;
        for reference in manifest.references()? {
            if manifest.media_type.is_index() {
                manifests.push(read_manifest(folder, &reference)?);
            } else if repository.head_blob(&reference.digest).await?.is_some() {
                present += 1;
            } else {
                let file = blob_path(folder, &reference.digest);
                let uploaded = repository.upload_blob(file).await?;
                if uploaded.digest != reference.digest {
                    return Err(format!("{} is {}", reference.digest, uploaded.digest).into());
                }
                sent.push(reference);
            }
        }
    }
    for manifest in manifests.iter().rev() {
        repository.set_manifest(&manifest.digest, manifest).await?;
    }
    repository.set_manifest(tag, &manifests[0]).await?;
    Ok(Pushed {
        root,
        sent,
        present,
    })
}

fn read_manifest(folder: &Path, descriptor: &Descriptor) -> Result<Manifest> {
    let bytes = fs::read(blob_path(folder, &descriptor.digest))?;
    let manifest = Manifest::new(bytes, &descriptor.media_type);
    if manifest.digest != descriptor.digest {
        return Err(format!("{} is {}", descriptor.digest, manifest.digest).into());
    }
    Ok(manifest)
}

/// Writes an image with one small layer, as an OCI image layout.
fn sample() -> Result<PathBuf> {
    let folder = std::env::temp_dir().join("acr-push-image");
    fs::create_dir_all(folder.join("blobs/sha256"))?;
    let write = |media_type, bytes: &[u8]| -> Result<Descriptor> {
        let digest = Digest::sha256(bytes);
        fs::write(blob_path(&folder, &digest), bytes)?;
        Ok(Descriptor::new(media_type, digest, bytes.len() as u64))
    };
    let config = write(
        MediaType::OCI_CONFIG,
        br#"{"architecture":"amd64","os":"linux"}"#,
    )?;
    let layer = write(MediaType::OCTET_STREAM, b"content of the layer")?;
    let image = Manifest::try_from(&ImageManifest::new(config, vec![layer]))?;
    let image = write(image.media_type, &image.bytes)?;
    let index = Manifest::try_from(&ImageIndex::new(vec![image]))?;
    fs::write(folder.join("index.json"), &index.bytes)?;
    Ok(folder)
}

/// Returns the file of a blob or manifest in an OCI image layout.
fn blob_path(folder: &Path, digest: &Digest) -> PathBuf {
    let algorithm = digest.algorithm().to_string();
    folder.join("blobs").join(algorithm).join(digest.hex())
}

/// Connects to the registry that the environment names, or to a mock inside this program.
fn connect() -> Result<ContainerRegistryClient> {
    if std::env::var_os("AZURE_CONTAINERREGISTRY_ENDPOINT").is_some() {
        return Ok(ContainerRegistryClient::from_env()?);
    }
    let mock = Registry::new();
    Ok(ContainerRegistryClient::builder("https://mock.azurecr.io")
        .credential(Credential::entra_token("any"))
        .transport(from_fn(mock.handler()))
        .build()?)
}
