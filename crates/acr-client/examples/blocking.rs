//! The client without async (feature `blocking`): prints the layers of an image, and reads the first.
//!
//! ```text
//! cargo run -p acr-client --features blocking --example blocking [REPOSITORY REFERENCE]
//! ```
//!
//! Without `AZURE_CONTAINERREGISTRY_ENDPOINT` in the environment it runs on a mock inside this program.

use std::io::Read as _;

use acr_client::Credential;
use acr_client::blocking::ContainerRegistryClient;
use acr_client::transport::from_fn;
use acr_mock::Registry;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "samples/app".to_owned());
    let reference = arguments.next().unwrap_or_else(|| "v1".to_owned());
    let repository = connect()?.repository_client(name)?;

    for tag in repository.list_tags() {
        println!("tag {}", tag?);
    }
    let image = repository.get_manifest(reference)?.as_image()?;
    for layer in &image.layers {
        println!("layer {}  {} bytes", layer.digest, layer.size);
    }
    if let Some(layer) = image.layers.first() {
        let mut bytes = Vec::new();
        repository
            .download_blob(&layer.digest)?
            .read_to_end(&mut bytes)?;
        println!("read and verified {} bytes", bytes.len());
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
        .build_blocking()?)
}
