//! Real images through a whole life in a registry: push, list, lock, be refused, unlock, pull, clean up.
//!
//! ```text
//! cargo run --example quickstart                                    # on a registry inside this program
//! cargo run --example quickstart -- --endpoint https://127.0.0.1:5000 --ca ca.pem
//! AZURE_CONTAINERREGISTRY_ENDPOINT=https://name.azurecr.io cargo run --example quickstart
//! ```
//!
//! With an endpoint, the login comes from the environment: AZURE_CONTAINERREGISTRY_USERNAME and _PASSWORD, or
//! _REFRESH_TOKEN, or _ENTRA_TOKEN. Everything happens in a repository of its own, which is removed at the end.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use acr_client::models::Platform;
use acr_client::{
    ArtifactManifestOrder, ArtifactTagOrder, ChangeableAttributes, ContainerRegistryClient,
    Credential, Descriptor, Digest, ErrorKind, Manifest, RepositoryClient,
};
use acr_mock::AcrMock;

// The other examples, for what they do: their `main` is not needed here.
#[allow(dead_code)]
mod clean_up;
#[allow(dead_code)]
mod pull_image;
#[allow(dead_code)]
mod push_image;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The images to push, the oldest first: folders in `fixtures/images`, and their tags.
const VERSIONS: [&str; 3] = ["v1", "v2", "v3"];

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nerror: {failure}");
            let mut cause = failure.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            if let Some(hint) = failure.downcast_ref().and_then(hint) {
                eprintln!("{hint}");
            }
            ExitCode::FAILURE
        }
    }
}

/// What the user can do about an error of the client.
fn hint(error: &acr_client::Error) -> Option<&'static str> {
    match error.kind() {
        ErrorKind::Transport | ErrorKind::Timeout => Some(
            "Is the endpoint right, and is the registry running? One with a CA of its own wants --ca FILE.",
        ),
        ErrorKind::Protocol | ErrorKind::NotFound => Some("Is this the endpoint of a registry?"),
        ErrorKind::Unauthorized | ErrorKind::Credential => Some(
            "Is there a login in the environment, and the right one? --help names the variables.",
        ),
        ErrorKind::Denied => Some(
            "The login is good, but lacks a permission: this program pushes, locks and deletes.",
        ),
        _ => None,
    }
}

async fn run() -> Result {
    let Some(target) = Target::from_arguments(std::env::args().skip(1))? else {
        println!("{USAGE}");
        return Ok(());
    };

    // The registry inside this program ends when `_mock` is dropped.
    let (client, _mock) = connect(target)?;
    step("Sign in");
    client.ping().await?;
    say(format!("{} knows who we are", client.endpoint()));

    let name = format!("acr-quickstart/{:08x}", fastrand::u32(..));
    let repository = client.repository_client(name.as_str())?;
    match repository.get_repository_properties().await {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
        Ok(_) => return Err(format!("{name} exists already; it was not touched").into()),
    }
    say(format!(
        "all that follows happens in the new repository {name}"
    ));

    // Whatever happens from here on, the repository is removed.
    let outcome = tokio::select! {
        outcome = tour(&client, &repository) => outcome,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    if outcome.is_err() {
        remove(&repository).await;
    }
    outcome
}

/// Removes the repository after a failure, as far as it can, and says how that went.
async fn remove(repository: &RepositoryClient) {
    let name = repository.name();
    // The failure may have come while v1 was locked, which keeps the repository from being deleted. If there is no
    // v1, there is nothing to unlock.
    let _ = repository
        .update_tag_properties("v1", ChangeableAttributes::UNLOCKED)
        .await;
    match repository.delete_repository().await {
        Ok(Some(_)) => eprintln!("\n{name} was removed again"),
        Ok(None) => eprintln!("\n{name} was not made; there is nothing to remove"),
        Err(error) => eprintln!("\n{name} could not be removed; please delete it: {error}"),
    }
}

async fn tour(client: &ContainerRegistryClient, repository: &RepositoryClient) -> Result {
    step("Push three versions of an image, each for two platforms");
    let mut roots = Vec::new();
    for tag in VERSIONS {
        let pushed = push_image::push(repository, &fixture(tag), tag).await?;
        say(format!("{tag}  {}", pushed.root));
        for (digest, platform) in platforms(&repository.get_manifest(tag).await?)? {
            say(format!("    {digest}  {platform}"));
        }
        let (new, old) = (pushed.sent.len(), pushed.present);
        let bytes: u64 = pushed.sent.iter().map(|blob| blob.size).sum();
        say(format!(
            "    {new} blobs sent ({bytes} bytes), {old} were there already"
        ));
        roots.push(pushed.root);
    }

    step("List repositories, then tags and manifests, newest first");
    let mut names = client.list_repository_names();
    let mut count = 0;
    while let Some(name) = names.try_next().await? {
        count += 1;
        // A registry may have many; one's own is always shown.
        if count <= 10 || name == *repository.name() {
            say(format!("repository {name}"));
        }
    }
    say(format!("{count} in all"));
    let mut tags = repository.list_tag_properties_with(ArtifactTagOrder::LastUpdatedOnDescending);
    while let Some(tag) = tags.try_next().await? {
        say(format!(
            "tag {}  {}  {}",
            tag.name, tag.digest, tag.last_updated_on
        ));
    }
    let mut manifests =
        repository.list_manifest_properties_with(ArtifactManifestOrder::LastUpdatedOnDescending);
    while let Some(manifest) = manifests.try_next().await? {
        let what = match (&manifest.operating_system, &manifest.architecture) {
            (Some(system), Some(processor)) => format!("{system}/{processor}"),
            _ => "index".to_owned(),
        };
        say(format!("manifest {}  {what}", manifest.digest));
    }

    step("Lock v1, try to delete it, unlock it");
    let locked = repository
        .update_tag_properties("v1", ChangeableAttributes::LOCKED)
        .await?;
    say(format!(
        "v1  {}  locked: {}",
        locked.digest,
        locked.attributes.is_locked()
    ));
    match repository.delete_tag("v1").await {
        Err(error) if error.kind() == ErrorKind::Disallowed => {
            say(format!("refused, as it should be: {error}"));
        }
        Err(error) => return Err(error.into()),
        Ok(_) => return Err("the registry deleted a locked tag".into()),
    }
    let unlocked = repository
        .update_tag_properties("v1", ChangeableAttributes::UNLOCKED)
        .await?;
    say(format!(
        "v1  {}  locked: {}",
        unlocked.digest,
        unlocked.attributes.is_locked()
    ));

    step("Pull v3 with all its platforms, and compare it with what was pushed");
    let folder = std::env::temp_dir().join(repository.name().as_str());
    let pulled = pull_image::pull(repository, "v3", None, &folder).await?;
    fs::remove_dir_all(&folder)?;
    // Everything was verified against its digest, from the first one on.
    if roots.last() != pulled.first().map(|image| &image.digest) {
        return Err("the image that came back is another one".into());
    }
    for Descriptor { digest, .. } in &pulled {
        say(format!("{digest}  verified"));
    }

    step("Keep the two newest images with all that they refer to, delete the rest");
    let plan = clean_up::plan(repository, 2).await?;
    for digest in &plan.keep {
        say(format!("{digest}  kept"));
    }
    for digest in &plan.delete {
        repository.delete_manifest(digest).await?;
        say(format!("{digest}  deleted"));
    }
    match repository.get_manifest("v1").await {
        Err(error) if error.kind() == ErrorKind::NotFound => say("v1 is gone".to_owned()),
        Err(error) => return Err(error.into()),
        Ok(_) => return Err("v1 is still there".into()),
    }

    step("Pull what was kept, on each platform");
    for tag in ["v2", "v3"] {
        for (_, platform) in platforms(&repository.get_manifest(tag).await?)? {
            let pulled = pull_image::pull(repository, tag, Some(&platform), &folder).await?;
            fs::remove_dir_all(&folder)?;
            let (manifest, blobs) = (&pulled[0], &pulled[1..]);
            let bytes: u64 = blobs.iter().map(|blob| blob.size).sum();
            say(format!(
                "{tag}  {}  {platform}, {bytes} bytes",
                manifest.digest
            ));
        }
    }

    step("Remove the repository");
    let deleted = repository
        .delete_repository()
        .await?
        .ok_or("the repository was not there")?;
    for digest in &deleted.deleted_manifests {
        say(format!("{digest}  deleted"));
    }
    let tags = deleted.deleted_tags.len();
    say(format!(
        "{} and its {tags} tags are gone",
        repository.name()
    ));
    print("\nDone.");
    Ok(())
}

/// An image in the repository of this example.
fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/images"
    ))
    .join(name)
}

/// The manifests of an index, by their platforms.
fn platforms(index: &Manifest) -> Result<Vec<(Digest, Platform)>> {
    let children = index.as_index()?.manifests.into_iter();
    Ok(children
        .filter_map(|child| Some((child.digest, child.platform?)))
        .collect())
}

/// Which registry to use.
enum Target {
    /// One inside this program.
    Embedded,
    /// The one that the environment names, with a CA to trust.
    Environment { ca: Option<String> },
    /// One named by an argument.
    Endpoint { url: String, ca: Option<String> },
}

impl Target {
    /// Reads the arguments; `None` if they ask for help.
    fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let (mut endpoint, mut ca) = (None, None);
        while let Some(argument) = arguments.next() {
            let place = match argument.as_str() {
                "--endpoint" => &mut endpoint,
                "--ca" => &mut ca,
                "--help" | "-h" => return Ok(None),
                other => return Err(format!("unknown argument {other:?}\n\n{USAGE}").into()),
            };
            let value = arguments
                .next()
                .ok_or_else(|| format!("{argument} wants a value"))?;
            *place = Some(value);
        }
        let in_environment = std::env::var_os("AZURE_CONTAINERREGISTRY_ENDPOINT");
        match (endpoint, in_environment.filter(|value| !value.is_empty())) {
            (Some(url), _) => Ok(Some(Self::Endpoint { url, ca })),
            (None, Some(_)) => Ok(Some(Self::Environment { ca })),
            (None, None) if ca.is_some() => Err("--ca is of no use without --endpoint".into()),
            (None, None) => Ok(Some(Self::Embedded)),
        }
    }
}

/// Makes the client, and where there is no registry yet, the registry.
fn connect(target: Target) -> Result<(ContainerRegistryClient, Option<AcrMock>)> {
    let (builder, ca) = match target {
        Target::Embedded => {
            step("Start a registry in this program");
            let mock = AcrMock::start()?;
            say(format!(
                "{} over TLS, with a CA of its own",
                mock.endpoint()
            ));
            let ca = mock.ca_pem().ok_or("a registry over TLS has a CA")?;
            let client = ContainerRegistryClient::builder(mock.endpoint())
                .credential(Credential::entra_token("entra-token-of-a-developer"))
                .hyper(|hyper| hyper.root_certificate_pem(ca))
                .build()?;
            return Ok((client, Some(mock)));
        }
        Target::Environment { ca } => (acr_client::ClientBuilder::from_env()?, ca),
        Target::Endpoint { url, ca } => {
            let credential = login_from_environment()?;
            (
                ContainerRegistryClient::builder(url).credential(credential),
                ca,
            )
        }
    };
    let builder = match ca {
        Some(file) => {
            let pem = fs::read(&file).map_err(|error| format!("--ca {file}: {error}"))?;
            builder.hyper(|hyper| hyper.root_certificate_pem(pem))
        }
        None => builder,
    };
    Ok((builder.build()?, None))
}

/// The login for a registry that was named by an argument.
fn login_from_environment() -> Result<Credential> {
    let credential = Credential::from_env()?;
    if credential.is_anonymous() {
        return Err(format!("there is no login, and pushing needs one\n\n{USAGE}").into());
    }
    Ok(credential)
}

fn step(what: &str) {
    print(&format!("\n== {what}"));
}

fn say(line: String) {
    print(&format!("   {line}"));
}

fn print(line: &str) {
    // A reader that went away, as in `.. | head`, must not leave the repository behind.
    let _ = writeln!(std::io::stdout(), "{line}");
}

const USAGE: &str = "\
usage: cargo run --example quickstart [-- --endpoint URL [--ca FILE]]

Without an endpoint, by argument or in AZURE_CONTAINERREGISTRY_ENDPOINT, a registry inside this program is used.
With one, the login comes from the environment: AZURE_CONTAINERREGISTRY_USERNAME and AZURE_CONTAINERREGISTRY_PASSWORD,
or AZURE_CONTAINERREGISTRY_REFRESH_TOKEN, or AZURE_CONTAINERREGISTRY_ENTRA_TOKEN.";
