//! Mirrors a registry: every tag of every repository, with referrers, and shows how far it is.
//!
//! ```text
//! cargo run -p acr-client --example mirror [FROM TO]
//! ```
//!
//! FROM and TO are endpoints: FROM is read anonymously, the login at TO comes from the environment. Without them it runs on
//! two mocks inside this program.

use acr_client::image::{CopyOptions, copy};
use acr_client::transport::from_fn;
use acr_client::{ContainerRegistryClient, Credential, Progress};
use acr_mock::Registry;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let (from, to) = connect()?;
    let options = CopyOptions {
        all_tags: true,
        referrers: true,
        on_progress: show.into(),
        ..CopyOptions::default()
    };
    let mut names = from.list_repositories();
    while let Some(name) = names.try_next().await? {
        let (from, to) = (from.repository_client(&name)?, to.repository_client(&name)?);
        let copied = copy(&from, &to, options.clone()).await?;
        println!("{name}: {} tags", copied.images.len());
    }
    Ok(())
}

/// Shows how far an image is, at the end of each of its blobs and manifests.
fn show(progress: &Progress) {
    if let (Some(image), Some(outcome)) = (progress.image, progress.outcome) {
        let (done, all) = (image.contents_done, image.contents);
        println!(
            "{done} of {all}, {} of {} bytes, {outcome:?}",
            image.bytes, image.total
        );
    }
}

/// Connects to the registries at FROM and TO, or to two mocks inside this program.
fn connect() -> Result<(ContainerRegistryClient, ContainerRegistryClient)> {
    let mut arguments = std::env::args().skip(1);
    if let Some(from) = arguments.next() {
        let to = arguments.next().ok_or("TO is missing")?;
        let from = ContainerRegistryClient::new(from, Credential::anonymous())?;
        let to = ContainerRegistryClient::new(to, Credential::from_env()?)?;
        return Ok((from, to));
    }
    let (from, to) = (Registry::new(), Registry::new());
    for name in ["samples/app", "samples/tool"] {
        let image = from.seed(name)?.index("v1")?;
        from.seed(name)?.image("v2")?;
        from.seed(name)?
            .artifact(&image.digest, "application/vnd.example.signature")?;
    }
    // By endpoints of their own: two clients of one endpoint are clients of one registry.
    let client = |host: &str, mock: &Registry| {
        ContainerRegistryClient::builder(format!("https://{host}.azurecr.io"))
            .credential(Credential::entra_token("any"))
            .transport(from_fn(mock.handler()))
            .build()
    };
    Ok((client("from", &from)?, client("to", &to)?))
}
