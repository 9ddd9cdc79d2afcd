//! Deletes a blob that nothing needs, such as the layer of a push that was given up.
//!
//! ```text
//! cargo run -p acr-client --example delete_blob [REPOSITORY DIGEST]
//! ```
//!
//! The registry deletes a blob that an image needs too, and the image cannot be pulled any more: whoever wants an image
//! away deletes its manifest. Without `AZURE_CONTAINERREGISTRY_ENDPOINT` in the environment it runs on a mock inside this
//! program.

use acr_client::transport::from_fn;
use acr_client::{ContainerRegistryClient, Credential};
use acr_mock::Registry;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "samples/app".to_owned());
    let repository = connect()?.repository_client(name)?;
    let digest = match arguments.next() {
        Some(digest) => digest.parse()?,
        None => repository.upload_blob(b"sample layer").await?.digest,
    };

    match repository.delete_blob(&digest).await? {
        true => println!("{digest} is deleted"),
        false => println!("{digest} was not there"),
    }
    Ok(())
}

/// Connects to the registry that the environment names, or to a mock inside this program.
fn connect() -> Result<ContainerRegistryClient> {
    if std::env::var_os("AZURE_CONTAINERREGISTRY_ENDPOINT").is_some() {
        return Ok(ContainerRegistryClient::from_env()?);
    }
    Ok(ContainerRegistryClient::builder("https://mock.azurecr.io")
        .credential(Credential::entra_token("any"))
        .transport(from_fn(Registry::new().handler()))
        .build()?)
}
