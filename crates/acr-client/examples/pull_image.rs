//! Pulls an image into an OCI image layout, a folder or a tar archive, for all its platforms or for one.
//!
//! ```text
//! cargo run -p acr-client --example pull_image [REPOSITORY REFERENCE LAYOUT [OS ARCHITECTURE]]
//! ```
//!
//! LAYOUT is a folder, or a file if it ends in `.tar`. Without `AZURE_CONTAINERREGISTRY_ENDPOINT` in the environment it
//! runs on a mock inside this program.

use std::path::PathBuf;

use acr_client::image::{self, CopyOptions, Layout};
use acr_client::models::Platform;
use acr_client::transport::from_fn;
use acr_client::{ContainerRegistryClient, Credential};
use acr_mock::Registry;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "samples/app".to_owned());
    let reference = arguments.next().unwrap_or_else(|| "v1".to_owned());
    let sample = || std::env::temp_dir().join("acr-pull-image");
    let path = arguments.next().map_or_else(sample, PathBuf::from);
    let platform = arguments.next().zip(arguments.next());
    let platform = platform.map(|(os, architecture)| Platform::new(os, architecture));
    let repository = connect()?.repository_client(name)?;

    let layout = match path.extension() {
        Some(extension) if extension == "tar" => Layout::create_tar(path),
        _ => Layout::create(path)?,
    };
    let options = CopyOptions {
        platforms: Vec::from_iter(platform),
        ..CopyOptions::default()
    };
    let pulled = image::pull((&repository, reference), &layout, options).await?;

    println!("{} is complete", pulled.images[0].descriptor.digest);
    for (content, outcome) in pulled.contents {
        println!("{}  {} bytes  {outcome:?}", content.digest, content.size);
    }
    Ok(())
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
