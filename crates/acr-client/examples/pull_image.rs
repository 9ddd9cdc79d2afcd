//! Pulls an image into an OCI image layout, for all its platforms or for one.
//!
//! ```text
//! cargo run -p acr-client --example pull_image [REPOSITORY REFERENCE FOLDER [OS ARCHITECTURE]]
//! ```
//!
//! Without `AZURE_CONTAINERREGISTRY_ENDPOINT` in the environment it runs on a mock inside this program.

use std::fs;
use std::path::{Path, PathBuf};

use acr_client::models::Platform;
use acr_client::transport::from_fn;
use acr_client::{
    ContainerRegistryClient, Credential, Descriptor, Digest, ImageIndex, Manifest, RepositoryClient,
};
use acr_mock::Registry;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "samples/app".to_owned());
    let reference = arguments.next().unwrap_or_else(|| "v1".to_owned());
    let sample = || std::env::temp_dir().join("acr-pull-image");
    let folder = arguments.next().map_or_else(sample, PathBuf::from);
    let platform = arguments.next().zip(arguments.next());
    let platform = platform.map(|(os, architecture)| Platform::new(os, architecture));
    let repository = connect()?.repository_client(name)?;

    for pulled in pull(&repository, &reference, platform.as_ref(), &folder).await? {
        println!("{}  {} bytes", pulled.digest, pulled.size);
    }
    Ok(())
}

/// Pulls an image, and returns what was pulled, the image's own manifest first.
///
/// The client verifies every manifest and blob against its digest, so this is what the reference stands for.
pub(crate) async fn pull(
    repository: &RepositoryClient,
    reference: &str,
    platform: Option<&Platform>,
    folder: &Path,
) -> Result<Vec<Descriptor>> {
    let mut root = repository.get_manifest(reference).await?;
    if let Some(platform) = platform {
        let index = root.as_index()?;
        let child = index
            .for_platform(platform)
            .ok_or_else(|| format!("{reference} has no manifest for {platform}"))?;
        root = repository.get_manifest(&child.digest).await?;
    }
    let mut pulled = vec![root.descriptor()];
    let mut manifests = vec![root];
    while let Some(manifest) = manifests.pop() {
        fs::write(blob_path(folder, &manifest.digest)?, &manifest.bytes)?;
        for reference in manifest.references()? {
            // The platforms of an image may share layers.
            if pulled.iter().any(|known| known.digest == reference.digest) {
                continue;
            }
            if manifest.media_type.is_index() {
                manifests.push(repository.get_manifest(&reference.digest).await?);
            } else {
                let blob = repository.download_blob(&reference.digest).await?;
                blob.save(blob_path(folder, &reference.digest)?).await?;
            }
            pulled.push(reference);
        }
    }
    // The index names the image, so it comes last.
    fs::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    let index = Manifest::try_from(&ImageIndex::new(vec![pulled[0].clone()]))?;
    fs::write(folder.join("index.json"), &index.bytes)?;
    Ok(pulled)
}

/// Returns the file of a blob or manifest in an OCI image layout, and makes its folder.
fn blob_path(folder: &Path, digest: &Digest) -> Result<PathBuf> {
    let folder = folder.join("blobs").join(digest.algorithm().to_string());
    fs::create_dir_all(&folder)?;
    Ok(folder.join(digest.hex()))
}

/// Connects to the registry that the environment names, or to a mock inside this program.
fn connect() -> Result<ContainerRegistryClient> {
    if std::env::var_os("AZURE_CONTAINERREGISTRY_ENDPOINT").is_some() {
        return Ok(ContainerRegistryClient::from_env()?);
    }
    let mock = Registry::new();
    mock.seed("samples/app")?.index("v1")?;
    Ok(ContainerRegistryClient::builder("https://mock.azurecr.io")
        .credential(Credential::entra_token("any"))
        .transport(from_fn(mock.handler()))
        .build()?)
}
