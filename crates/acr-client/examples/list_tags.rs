//! Lists the tags of a repository, the newest first, without a login: the registry must allow anonymous pulls.
//!
//! ```text
//! cargo run -p acr-client --example list_tags [REPOSITORY]
//! ```
//!
//! Without `AZURE_CONTAINERREGISTRY_ENDPOINT` in the environment it runs on a mock inside this program.

use acr_client::transport::from_fn;
use acr_client::{ArtifactTagOrder, ContainerRegistryClient, Credential};
use acr_mock::Registry;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let name = std::env::args().nth(1);
    let name = name.unwrap_or_else(|| "samples/app".to_owned());
    let repository = connect()?.repository_client(&name)?;

    let newest_first = ArtifactTagOrder::LastUpdatedOnDescending;
    let mut tags = repository.list_tag_properties_with(newest_first);
    while let Some(tag) = tags.try_next().await? {
        let (tag, digest, updated) = (&tag.name, &tag.digest, tag.last_updated_on);
        println!("{name}:{tag}  {digest}  {updated}");
    }
    Ok(())
}

/// Connects to the registry that the environment names, or to a mock inside this program.
fn connect() -> Result<ContainerRegistryClient> {
    if let Ok(endpoint) = std::env::var("AZURE_CONTAINERREGISTRY_ENDPOINT") {
        let client = ContainerRegistryClient::builder(endpoint);
        return Ok(client.credential(Credential::anonymous()).build()?);
    }
    let mock = Registry::builder().anonymous_pull(true).build();
    mock.seed("samples/app")?.index("v1")?;
    Ok(ContainerRegistryClient::builder("https://mock.azurecr.io")
        .credential(Credential::anonymous())
        .transport(from_fn(mock.handler()))
        .build()?)
}
