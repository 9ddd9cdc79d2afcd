//! Locks a tag, so that nobody deletes a release or pushes another image under its name.
//!
//! ```text
//! cargo run -p acr-client --example lock_release [REPOSITORY TAG]
//! ```
//!
//! Without `AZURE_CONTAINERREGISTRY_ENDPOINT` in the environment it runs on a mock inside this program.

use acr_client::transport::from_fn;
use acr_client::{ChangeableAttributes, ContainerRegistryClient, Credential, ErrorKind};
use acr_mock::Registry;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "samples/app".to_owned());
    let tag = arguments.next().unwrap_or_else(|| "v1".to_owned());
    let repository = connect()?.repository_client(name)?;

    // `LOCKED` forbids writes and deletes, and leaves lists and pulls alone.
    let properties = repository
        .update_tag_properties(tag.as_str(), ChangeableAttributes::LOCKED)
        .await?;
    println!("{tag} is locked at {}", properties.digest);

    match repository.delete_tag(tag.as_str()).await {
        Err(error) if error.kind() == ErrorKind::Disallowed => println!("refused: {error}"),
        Err(error) => return Err(error.into()),
        Ok(_) => return Err("the registry deleted a locked tag".into()),
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
