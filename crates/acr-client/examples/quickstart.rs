//! Real images through a whole life in a registry: push, list, lock, be refused, unlock, pull, clean up.
//!
//! ```text
//! cargo run --example quickstart     # on a registry inside this program
//! AZURE_CONTAINERREGISTRY_ENDPOINT=https://name.azurecr.io cargo run --example quickstart
//! ```
//!
//! With an endpoint, the login comes from the environment too: AZURE_CONTAINERREGISTRY_USERNAME and _PASSWORD, or
//! _REFRESH_TOKEN, or _ENTRA_TOKEN; SSL_CERT_FILE names the CA of a registry with one of its own. Everything happens in
//! a repository of its own, which is removed at the end.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use acr_client::image::{self, CopyOptions, Layout};
use acr_client::models::Platform;
use acr_client::{
    ArtifactManifestOrder, ArtifactTagOrder, ChangeableAttributes, ContainerRegistryClient,
    Credential, ErrorKind, Outcome, RepositoryClient,
};
use acr_mock::AcrMock;

// Another example, for what it does: its `main` is not needed here.
#[allow(dead_code)]
mod clean_up;

/// Prints a line. A reader that went away, as in `.. | head`, must not leave the repository behind.
macro_rules! say {
    ($($line:tt)*) => {{
        let _ = writeln!(std::io::stdout(), $($line)*);
    }};
}

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    let Err(failure) = run().await else {
        return ExitCode::SUCCESS;
    };
    eprintln!("\nerror: {failure}");
    let mut cause = failure.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}

async fn run() -> Result {
    // The registry inside this program ends when `_mock` is dropped.
    let (client, _mock) = connect()?;
    client.ping().await?;
    let name = format!("acr-quickstart/{:08x}", fastrand::u32(..));
    let repository = client.repository_client(name.as_str())?;
    if repository.get_repository_properties().await.is_ok() {
        return Err(format!("{name} exists already; it was not touched").into());
    }
    say!("Signed in at {}", client.endpoint());
    say!("All that follows happens in the new repository {name}");

    // Whatever happens from here on, the repository is removed.
    let outcome = tokio::select! {
        outcome = tour(&client, &repository) => outcome,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    // A failure may have come while v1 was locked, which keeps the repository from being deleted.
    let unlocked = ChangeableAttributes::UNLOCKED;
    let _ = repository.update_tag_properties("v1", unlocked).await;
    match repository.delete_repository().await {
        Ok(_) if outcome.is_err() => eprintln!("\n{name} was removed again"),
        Ok(_) => say!("\n{name} is gone\n\nDone."),
        Err(error) => {
            eprintln!("\n{name} could not be removed; please delete it");
            return outcome.and(Err(error.into()));
        }
    }
    outcome
}

async fn tour(client: &ContainerRegistryClient, repository: &RepositoryClient) -> Result {
    say!("\n== Push three versions of an image, each for two platforms");
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/images");
    let mut root = None;
    for tag in ["v1", "v2", "v3"] {
        let layout = Layout::open(images.join(tag))?;
        let pushed = image::push(&layout, (repository, tag), CopyOptions::default()).await?;
        let digest = &pushed.images[0].descriptor.digest;
        let (sent, present) = (pushed.count(Outcome::Sent), pushed.count(Outcome::Present));
        say!("{tag} {digest} {sent} blobs and manifests sent, {present} present");
        root = Some(digest.clone());
    }

    say!("\n== List repositories, then tags and manifests, newest first");
    let mut names = client.list_repository_names();
    while let Some(name) = names.try_next().await? {
        say!("repository {name}");
    }
    let mut tags = repository.list_tag_properties_with(ArtifactTagOrder::LastUpdatedOnDescending);
    while let Some(tag) = tags.try_next().await? {
        say!("tag {} {} {}", tag.name, tag.digest, tag.last_updated_on);
    }
    let newest_first = ArtifactManifestOrder::LastUpdatedOnDescending;
    let mut manifests = repository.list_manifest_properties_with(newest_first);
    while let Some(manifest) = manifests.try_next().await? {
        let processor = manifest.architecture.as_deref().unwrap_or("index");
        say!("manifest {} {processor}", manifest.digest);
    }

    say!("\n== Lock v1, try to delete it, unlock it");
    let set = |attributes| repository.update_tag_properties("v1", attributes);
    set(ChangeableAttributes::LOCKED).await?;
    match repository.delete_tag("v1").await {
        Err(error) if error.kind() == ErrorKind::Disallowed => {
            say!("refused, as it should be: {error}")
        }
        Err(error) => return Err(error.into()),
        Ok(_) => return Err("the registry deleted a locked tag".into()),
    }
    set(ChangeableAttributes::UNLOCKED).await?;

    say!("\n== Pull v3 with all its platforms");
    let folder = std::env::temp_dir().join(repository.name().as_str());
    let all = CopyOptions::default();
    let pulled = image::pull((repository, "v3"), &Layout::create(&folder)?, all).await?;
    std::fs::remove_dir_all(&folder)?;
    // Everything was verified against its digest, from the first one on.
    if root.as_ref() != Some(&pulled.images[0].descriptor.digest) {
        return Err("the image that came back is another one".into());
    }
    for (content, _) in &pulled.contents {
        say!("{} {} bytes, verified", content.digest, content.size);
    }

    say!("\n== Keep the two newest images with all that they refer to, delete the rest");
    let plan = clean_up::plan(repository, clean_up::Rule::Newest(2)).await?;
    for digest in &plan.keep {
        say!("{digest} kept");
    }
    for digest in &plan.delete {
        repository.delete_manifest(digest).await?;
        say!("{digest} deleted");
    }
    match repository.get_manifest("v1").await {
        Err(error) if error.kind() == ErrorKind::NotFound => say!("v1 is gone"),
        Err(error) => return Err(error.into()),
        Ok(_) => return Err("v1 is still there".into()),
    }

    say!("\n== Pull what was kept, on one platform");
    let platform = Platform::new("linux", "arm64");
    for tag in ["v2", "v3"] {
        let one = CopyOptions {
            platforms: vec![platform.clone()],
            ..CopyOptions::default()
        };
        let pulled = image::pull((repository, tag), &Layout::create(&folder)?, one).await?;
        std::fs::remove_dir_all(&folder)?;
        let manifest = &pulled.images[0].descriptor.digest;
        let blobs = pulled.contents.len() - 1;
        say!("{tag} {manifest} {platform}, {blobs} blobs");
    }
    Ok(())
}

/// Connects to the registry that the environment names, or to one inside this program.
fn connect() -> Result<(ContainerRegistryClient, Option<AcrMock>)> {
    if std::env::var_os("AZURE_CONTAINERREGISTRY_ENDPOINT").is_some() {
        if Credential::from_env()?.is_anonymous() {
            return Err("there is no login in the environment, and pushing needs one".into());
        }
        return Ok((ContainerRegistryClient::from_env()?, None));
    }
    let mock = AcrMock::start()?;
    let ca = mock.ca_pem().ok_or("a registry over TLS has a CA")?;
    let client = ContainerRegistryClient::builder(mock.endpoint())
        .credential(Credential::entra_token("entra-token-of-a-developer"))
        .hyper(|hyper| hyper.root_certificate_pem(ca))
        .build()?;
    Ok((client, Some(mock)))
}
