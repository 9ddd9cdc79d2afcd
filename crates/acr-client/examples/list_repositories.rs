//! Lists the repositories of a registry, with how many manifests and tags each has.
//!
//! ```text
//! cargo run -p acr-client --example list_repositories     # on a mock inside this program
//! AZURE_CONTAINERREGISTRY_ENDPOINT=https://name.azurecr.io cargo run -p acr-client --example list_repositories
//! ```

use acr_client::transport::from_fn;
use acr_client::{ContainerRegistryClient, Credential};
use acr_mock::Registry;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let client = connect()?;
    // Pages are fetched as they are needed.
    let mut names = client.list_repository_names();
    while let Some(name) = names.try_next().await? {
        let repository = client.repository_client(name.as_str())?;
        let properties = repository.get_repository_properties().await?;
        let (manifests, tags) = (properties.manifest_count, properties.tag_count);
        println!("{name}  {manifests} manifests, {tags} tags");
    }
    Ok(())
}

/// Connects to the registry that the environment names, or to a mock inside this program.
fn connect() -> Result<ContainerRegistryClient> {
    if std::env::var_os("AZURE_CONTAINERREGISTRY_ENDPOINT").is_some() {
        return Ok(ContainerRegistryClient::from_env()?);
    }
    let mock = Registry::new();
    for name in ["samples/app", "samples/base"] {
        mock.seed(name)?.index("v1")?;
    }
    Ok(ContainerRegistryClient::builder("https://mock.azurecr.io")
        .credential(Credential::entra_token("any"))
        .transport(from_fn(mock.handler()))
        .build()?)
}
