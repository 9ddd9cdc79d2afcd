//! Downloads the blobs of an image, four at a time.
//!
//! ```text
//! cargo run -p acr-client --example parallel_blobs [REPOSITORY REFERENCE FOLDER]
//! ```
//!
//! Without `AZURE_CONTAINERREGISTRY_ENDPOINT` in the environment it runs on a mock inside this program.

use std::path::PathBuf;

use acr_client::transport::from_fn;
use acr_client::{ContainerRegistryClient, Credential};
use acr_mock::Registry;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "samples/app".to_owned());
    let reference = arguments.next().unwrap_or_else(|| "v1".to_owned());
    let sample = || std::env::temp_dir().join("acr-parallel-blobs");
    let folder = arguments.next().map_or_else(sample, PathBuf::from);
    std::fs::create_dir_all(&folder)?;
    let repository = connect()?.repository_client(name)?;

    let image = repository.get_manifest(reference).await?.as_image()?;
    // Handles are cheap to clone, and share connections, tokens and rate limits. A file appears when it is complete.
    let downloads = stream::iter(image.blobs().cloned()).map(|blob| {
        let (repository, file) = (repository.clone(), folder.join(blob.digest.hex()));
        async move {
            let bytes = repository
                .download_blob(&blob.digest)
                .await?
                .save(&file)
                .await?;
            println!("{}  {bytes} bytes", file.display());
            Ok::<u64, acr_client::Error>(bytes)
        }
    });
    let sizes: Vec<u64> = downloads.buffer_unordered(4).try_collect().await?;
    println!("{} blobs, {} bytes", sizes.len(), sizes.iter().sum::<u64>());
    Ok(())
}

/// Connects to the registry that the environment names, or to a mock inside this program.
fn connect() -> Result<ContainerRegistryClient> {
    if std::env::var_os("AZURE_CONTAINERREGISTRY_ENDPOINT").is_some() {
        return Ok(ContainerRegistryClient::from_env()?);
    }
    let mock = Registry::new();
    mock.seed("samples/app")?.image("v1")?;
    Ok(ContainerRegistryClient::builder("https://mock.azurecr.io")
        .credential(Credential::entra_token("any"))
        .transport(from_fn(mock.handler()))
        .build()?)
}
