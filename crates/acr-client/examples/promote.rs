//! Promotes an image with what refers to it, such as its signatures: from the repository of the developers to that of
//! production, under the tag of a release.
//!
//! ```text
//! cargo run -p acr-client --example promote
//! ```
//!
//! Without `AZURE_CONTAINERREGISTRY_ENDPOINT` in the environment it runs on a mock inside this program.

use acr_client::image::{CopyOptions, copy};
use acr_client::transport::from_fn;
use acr_client::{ContainerRegistryClient, Credential, Outcome};
use acr_mock::Registry;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let client = connect()?;
    let dev = client.repository_client("dev/app")?;
    let prod = client.repository_client("prod/app")?;
    let options = CopyOptions {
        referrers: true,
        ..CopyOptions::default()
    };
    let copied = copy((&dev, "sha"), (&prod, "v1"), options).await?;
    let digest = &copied.images[0].descriptor.digest;
    let mounted = copied.count(Outcome::Mounted);
    println!("prod/app:v1 is {digest}, {mounted} mounted");
    Ok(())
}

/// Connects to the registry that the environment names, or to a mock inside this program.
fn connect() -> Result<ContainerRegistryClient> {
    if std::env::var_os("AZURE_CONTAINERREGISTRY_ENDPOINT").is_some() {
        return Ok(ContainerRegistryClient::from_env()?);
    }
    let mock = Registry::new();
    let dev = mock.seed("dev/app")?;
    let image = dev.index("sha")?;
    dev.artifact(&image.digest, "application/vnd.example.signature")?;
    Ok(ContainerRegistryClient::builder("https://mock.azurecr.io")
        .credential(Credential::entra_token("any"))
        .transport(from_fn(mock.handler()))
        .build()?)
}
