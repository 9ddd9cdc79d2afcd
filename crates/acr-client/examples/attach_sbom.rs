//! Attaches an SBOM to an image, and lists the SBOMs that the image has.
//!
//! ```text
//! cargo run -p acr-client --example attach_sbom [REPOSITORY REFERENCE FILE]
//! ```
//!
//! Without `AZURE_CONTAINERREGISTRY_ENDPOINT` in the environment it runs on a mock inside this program.

use acr_client::image::{Artifact, AttachOptions, attach};
use acr_client::transport::from_fn;
use acr_client::{BlobSource, ContainerRegistryClient, Credential, ListReferrersOptions};
use acr_mock::Registry;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const SPDX: &str = "application/spdx+json";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "samples/app".to_owned());
    let reference = arguments.next().unwrap_or_else(|| "v1".to_owned());
    let sample = || BlobSource::bytes(r#"{"spdxVersion":"SPDX-2.3"}"#);
    let file = arguments.next().map_or_else(sample, BlobSource::file);
    let repository = connect()?.repository_client(name)?;

    // A tag may move meanwhile; a digest stays what it is.
    let image = repository.resolve(reference).await?;
    let sbom = Artifact::new(SPDX).with_layer(SPDX, file);
    let sbom = attach(&repository, &image.digest, sbom, AttachOptions::default()).await?;
    println!("attached {}", sbom.digest);

    let options = ListReferrersOptions {
        artifact_type: Some(SPDX.into()),
        ..ListReferrersOptions::default()
    };
    let mut sboms = repository.list_referrers_with(&image.digest, options);
    while let Some(sbom) = sboms.try_next().await? {
        let content = repository.get_manifest(&sbom.digest).await?.as_image()?;
        for layer in content.layers {
            println!(
                "{}  {}, {} bytes",
                layer.digest, layer.media_type, layer.size
            );
        }
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
