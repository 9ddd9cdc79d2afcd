//! Deletes an image: the manifest that a tag points at, with all its other tags.
//!
//! ```text
//! cargo run -p acr-client --example delete_manifest [REPOSITORY REFERENCE]
//! ```
//!
//! To take only a tag away there is `delete_tag`. Blobs go by themselves when no manifest names them any more. Without
//! `AZURE_CONTAINERREGISTRY_ENDPOINT` in the environment it runs on a mock inside this program.

use acr_client::transport::from_fn;
use acr_client::{ContainerRegistryClient, Credential};
use acr_mock::Registry;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "samples/app".to_owned());
    let reference = arguments.next().unwrap_or_else(|| "v1".to_owned());
    let repository = connect()?.repository_client(name)?;

    match repository.delete_manifest(reference.as_str()).await? {
        true => println!("{reference} is deleted"),
        false => println!("{reference} was not there"),
    }
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
