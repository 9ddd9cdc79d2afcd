//! The Rust of the README, each block within a test that runs it.

use std::error::Error;
use std::process::Command;
use std::time::Duration;

use acr_client::transport::from_fn;
use acr_client::transport::record::{Recorder, Recording, Replay};
use acr_client::{
    ArtifactTagOrder, Audience, ChangeableAttributes, ContainerRegistryClient, Credential, Digest,
    DockerConfig, ErrorKind, ImageManifest, LimiterOptions, ListTagPropertiesOptions, Manifest,
    MediaType, Platform, RetryOptions, Secret, TokenSource, clock,
};
use acr_mock::{AcrMock, Clock as _, Fault, FaultAction, Refuse, Registry, VirtualClock};

type Result<T = (), E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// A client of the registry, in this process.
fn client_of(registry: &Registry) -> Result<ContainerRegistryClient> {
    let registry = registry.clone();
    let client = ContainerRegistryClient::builder("https://mock.azurecr.io")
        .credential(Credential::entra_token("any"))
        .transport(from_fn(move |request| registry.handle(request)))
        .build()?;
    Ok(client)
}

/// Says in the environment of this test's second run that the variables are set.
const AGAIN: &str = "README_SNIPPET_RUNS_AGAIN";

#[tokio::test]
async fn the_environment_names_the_registry() -> Result {
    if std::env::var_os(AGAIN).is_none() {
        // A program cannot safely set its own variables, so the test runs itself with them.
        let registry = Registry::builder().user("robot", "secret").build();
        registry.seed("samples/app")?.image("v1")?;
        let mock = AcrMock::builder().registry(registry).start()?;
        let folder = tempfile::tempdir()?;
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, mock.ca_pem().unwrap_or_default())?;
        let output = Command::new(std::env::current_exe()?)
            .args([
                "--exact",
                "snippets::the_environment_names_the_registry",
                "--nocapture",
            ])
            .env(AGAIN, "1")
            .env("AZURE_CONTAINERREGISTRY_ENDPOINT", mock.endpoint())
            .env("AZURE_CONTAINERREGISTRY_USERNAME", "robot")
            .env("AZURE_CONTAINERREGISTRY_PASSWORD", "secret")
            .env_remove("AZURE_CONTAINERREGISTRY_REFRESH_TOKEN")
            .env_remove("AZURE_CONTAINERREGISTRY_ENTRA_TOKEN")
            .env("SSL_CERT_FILE", &ca)
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}");
        assert!(text.contains("samples/app\n"), "{text}");
        return Ok(());
    }

    let client = ContainerRegistryClient::from_env()?;
    let mut names = client.list_repository_names();
    while let Some(name) = names.try_next().await? {
        println!("{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_test_in_process_is_short() -> Result {
    let registry = Registry::new();
    registry.seed("samples/app")?.image("v1")?;
    let client = ContainerRegistryClient::builder("https://mock.azurecr.io")
        .credential(Credential::entra_token("any"))
        .transport(from_fn(move |request| registry.handle(request)))
        .build()?;
    assert!(
        client
            .repository_client("samples/app")?
            .delete_tag("v1")
            .await?
    );

    assert!(
        !client
            .repository_client("samples/app")?
            .delete_tag("v1")
            .await?
    );
    Ok(())
}

#[test]
fn a_client_needs_no_network_to_be_made() -> Result {
    let client = ContainerRegistryClient::new(
        "https://myregistry.azurecr.io",
        Credential::password("robot", std::env::var("ROBOT_PASSWORD").unwrap_or_default()),
    )?;

    assert_eq!(client.endpoint(), "https://myregistry.azurecr.io");
    Ok(())
}

#[derive(Debug)]
struct AzureCli;

#[acr_client::async_trait]
impl TokenSource for AzureCli {
    async fn token(&self, audience: &Audience) -> Result<Secret, Box<dyn Error + Send + Sync>> {
        let scope = audience.default_scope();
        let output = Command::new("az")
            .args([
                "account",
                "get-access-token",
                "--query",
                "accessToken",
                "--output",
                "tsv",
            ])
            .args(["--scope", &scope])
            .output()?;
        if !output.status.success() {
            return Err("`az account get-access-token` failed; try `az login`".into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().into())
    }
}

#[test]
fn a_token_source_is_a_credential() -> Result {
    let client =
        ContainerRegistryClient::new("https://myregistry.azurecr.io", Credential::entra(AzureCli))?;

    assert!(format!("{client:?}").contains("AzureCli"));
    Ok(())
}

#[tokio::test]
async fn tags_are_listed_newest_first() -> Result {
    let registry = Registry::new();
    let seed = registry.seed("samples/app")?;
    seed.image("v1")?;
    seed.image("v2")?;
    let client = client_of(&registry)?;

    let repository = client.repository_client("samples/app")?;
    let mut tags = repository.list_tag_properties_with(ArtifactTagOrder::LastUpdatedOnDescending);
    while let Some(tag) = tags.try_next().await? {
        println!("{}  {}  {}", tag.name, tag.digest, tag.last_updated_on);
    }

    let tags = repository.list_tag_properties_with(ArtifactTagOrder::LastUpdatedOnDescending);
    let names: Vec<_> = tags
        .collect_all()
        .await?
        .into_iter()
        .map(|tag| tag.name)
        .collect();
    assert_eq!(names, ["v2", "v1"]);
    Ok(())
}

#[tokio::test]
async fn a_list_goes_on_from_where_a_page_led() -> Result {
    let registry = Registry::new();
    let seed = registry.seed("samples/app")?;
    for tag in ["v1", "v2", "v3"] {
        seed.image(tag)?;
    }
    let repository = client_of(&registry)?.repository_client("samples/app")?;

    let options = ListTagPropertiesOptions {
        page_size: Some(2),
        ..Default::default()
    };
    let mut pages = repository.list_tag_properties_with(options).by_page();
    let first = pages.try_next().await?.ok_or("a list has a first page")?;
    let rest = ListTagPropertiesOptions {
        resume: first.next,
        ..Default::default()
    };
    let rest = repository
        .list_tag_properties_with(rest)
        .collect_all()
        .await?;

    assert_eq!((first.items.len(), rest.len()), (2, 1));
    Ok(())
}

#[tokio::test]
async fn a_locked_tag_is_not_deleted() -> Result {
    let registry = Registry::new();
    registry.seed("samples/app")?.image("v1")?;
    let repository = client_of(&registry)?.repository_client("samples/app")?;

    let tag = repository
        .update_tag_properties("v1", ChangeableAttributes::LOCKED)
        .await?;
    assert!(tag.attributes.is_locked());
    match repository.delete_tag("v1").await {
        Err(error) if error.kind() == ErrorKind::Disallowed => println!("locked"),
        deleted => println!("it was there: {}", deleted?),
    }
    repository
        .update_tag_properties("v1", ChangeableAttributes::UNLOCKED)
        .await?;

    assert!(repository.delete_tag("v1").await?);
    Ok(())
}

#[tokio::test]
async fn old_tags_are_removed() -> Result {
    let time = VirtualClock::new();
    let registry = Registry::builder().clock(time.clone()).build();
    let seed = registry.seed("samples/app")?;
    seed.image("ci-1")?;
    seed.image("v1")?;
    time.advance(Duration::from_secs(31 * 24 * 60 * 60));
    seed.image("ci-2")?;
    let (now, sleep) = (time.clone(), time.clone());
    let client = ContainerRegistryClient::builder("https://mock.azurecr.io")
        .credential(Credential::entra_token("any"))
        .clock(clock::from_fn(
            move || now.now(),
            move |duration| sleep.sleep(duration),
        ))
        .transport(from_fn({
            let registry = registry.clone();
            move |request| registry.handle(request)
        }))
        .build()?;
    let repository = client.repository_client("samples/app")?;

    let cutoff = client.now() - Duration::from_secs(30 * 24 * 60 * 60);
    let mut tags = repository.list_tag_properties_with(ArtifactTagOrder::LastUpdatedOnAscending);
    while let Some(tag) = tags.try_next().await? {
        if tag.last_updated_on >= cutoff {
            break;
        }
        if tag.name.as_str().starts_with("ci-") {
            repository.delete_tag(&tag.name).await?;
        }
    }

    let names = repository.list_tags().collect_all().await?;
    assert_eq!(names, ["ci-2", "v1"]);
    Ok(())
}

#[tokio::test]
async fn an_artifact_is_pushed_and_pulled() -> Result {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    std::fs::write(folder.join("report.tar.gz"), "not really an archive")?;
    let client = client_of(&Registry::new())?;

    let repository = client.repository_client("samples/report")?;
    let mut config = repository.upload_blob(b"{}").await?;
    config.media_type = MediaType::OCI_EMPTY;
    let mut layer = repository.upload_blob(folder.join("report.tar.gz")).await?;
    layer.media_type = MediaType::OCI_LAYER_GZIP;
    let mut artifact = ImageManifest::new(config, vec![layer]);
    artifact.artifact_type = Some("application/vnd.example.report".into());
    repository
        .set_manifest("v1", Manifest::try_from(&artifact)?)
        .await?;

    let manifest = repository.get_manifest("v1").await?;
    for blob in manifest.as_image()?.blobs() {
        let target = folder.join(blob.digest.hex());
        repository
            .download_blob(&blob.digest)
            .await?
            .save(target)
            .await?;
    }

    let layer = Digest::sha256("not really an archive");
    assert_eq!(
        std::fs::read(folder.join(layer.hex()))?,
        b"not really an archive"
    );
    Ok(())
}

#[tokio::test]
async fn one_platform_of_an_image_is_found() -> Result {
    let registry = Registry::new();
    registry.seed("samples/app")?.index("v2")?;
    let repository = client_of(&registry)?.repository_client("samples/app")?;

    let index = repository.get_manifest("v2").await?.as_index()?;
    let platform = Platform::new("linux", "arm64");
    let found = index
        .for_platform(&platform)
        .ok_or("v2 has no image for linux/arm64")?;
    let image = repository.get_manifest(&found.digest).await?.as_image()?;

    assert_eq!(image.layers.len(), 1);
    Ok(())
}

#[tokio::test]
async fn one_clock_moves_the_registry_and_the_client() -> Result {
    let time = VirtualClock::new();
    let registry = Registry::builder()
        .user("ci", "secret")
        .clock(time.clone())
        .build();
    let (now, sleep) = (time.clone(), time.clone());
    let client = ContainerRegistryClient::builder("https://mock.azurecr.io")
        .credential(Credential::password("ci", "secret"))
        .transport(from_fn(move |request| registry.handle(request)))
        .clock(clock::from_fn(
            move || now.now(),
            move |duration| sleep.sleep(duration),
        ))
        .build()?;
    client.ping().await?;
    time.advance(Duration::from_secs(2 * 60 * 60)); // longer than an access token lives
    client.ping().await?; // with a new one

    Ok(())
}

#[tokio::test]
async fn a_server_is_reached_over_tls() -> Result {
    let mock = AcrMock::start()?;
    let client = ContainerRegistryClient::builder(mock.endpoint())
        .credential(Credential::entra_token("any"))
        .root_certificate_pem(mock.ca_pem().unwrap_or_default())
        .build()?;
    client.ping().await?;

    Ok(())
}

#[tokio::test]
async fn an_error_has_a_kind() -> Result {
    let registry = Registry::new();
    registry.seed("samples/app")?.image("v1")?;
    let repository = client_of(&registry)?.repository_client("samples/app")?;

    match repository.get_tag_properties("v9").await {
        Ok(tag) => println!("{}", tag.digest),
        Err(error) => match error.kind() {
            ErrorKind::NotFound => println!("there is no v9"),
            ErrorKind::Denied => println!("the right {:?} is missing", error.missing_scope()),
            _ if error.is_retryable() => println!("later, after {:?}", error.retry_after()),
            _ => return Err(error.into()),
        },
    }

    Ok(())
}

#[test]
fn a_chain_ends_anonymously_when_it_says_so() -> Result {
    let credential = Credential::docker_config(DockerConfig::new()).or(Credential::anonymous());

    assert!(!credential.is_anonymous());
    Ok(())
}

#[tokio::test]
async fn a_request_of_ones_own_carries_the_credential() -> Result {
    let registry = Registry::new();
    let client = client_of(&registry)?;

    let request = http::Request::get("/v2/samples/app/_custom").body("")?;
    let answer = client
        .authorized_request(request, "repository:samples/app:pull")
        .await?;
    println!("{}", answer.status());

    assert_eq!(answer.status(), 404);
    Ok(())
}

#[test]
fn retries_and_limits_are_settings() -> Result {
    let credential = Credential::anonymous();
    let client = ContainerRegistryClient::builder("https://myregistry.azurecr.io")
        .credential(credential)
        .retry(RetryOptions {
            deadline: Some(Duration::from_secs(120)),
            ..Default::default()
        })
        .limiter(LimiterOptions {
            max_in_flight: 16,
            ..Default::default()
        })
        .idle_timeout(Duration::from_secs(30))
        .build()?;

    assert_eq!(client.endpoint(), "https://myregistry.azurecr.io");
    Ok(())
}

#[test]
fn faults_come_when_a_test_wants_them() -> Result {
    let clock = VirtualClock::new();
    let registry = Registry::builder().clock(clock.clone()).build();
    registry.seed("samples/app")?.image("v1")?;

    let busy = Refuse::too_many_requests().retry_after(1);
    registry.inject(
        Fault::on("get_manifest")
            .in_repository("samples/app")
            .times(2)
            .answer(busy),
    )?;
    registry.inject(Fault::on("upload_chunk").after(2).times(1).lose_answer())?;
    registry.inject(
        Fault::any()
            .share(0.05)
            .seed(7)
            .cycle([FaultAction::Answer(busy), FaultAction::Reset]),
    )?;
    registry.revoke_access_tokens();

    let (now, sleep, served) = (clock.clone(), clock.clone(), registry.clone());
    let client = ContainerRegistryClient::builder("https://mock.azurecr.io")
        .credential(Credential::entra_token("any"))
        .transport(from_fn(move |request| served.try_handle(request)))
        .clock(clock::from_fn(
            move || now.now(),
            move |duration| sleep.sleep(duration),
        ))
        .build()?;
    let repository = client.repository_client("samples/app")?;
    clock.drive(repository.get_manifest("v1"))?;
    assert!(registry.requests().of("get_manifest") >= Some(3));
    Ok(())
}

#[tokio::test]
async fn a_session_is_kept_and_played_again() -> Result {
    let registry = Registry::new();
    registry.seed("samples/app")?.image("v1")?;
    let transport = from_fn(move |request| registry.handle(request));
    let credential = Credential::entra_token("any");
    let folder = tempfile::tempdir()?;
    let folder = folder.path();

    let recorder = Recorder::new(transport);
    let client = ContainerRegistryClient::builder("https://myregistry.azurecr.io")
        .credential(credential.clone())
        .transport(recorder.clone())
        .build()?;
    client
        .repository_client("samples/app")?
        .get_manifest("v1")
        .await?;
    recorder.recording().save(folder.join("session.jsonl"))?;

    let replay = Replay::new(Recording::load(folder.join("session.jsonl"))?);
    let client = ContainerRegistryClient::builder("https://myregistry.azurecr.io")
        .credential(credential) // or any other: what it would send is not looked at
        .transport(replay.clone())
        .build()?;
    client
        .repository_client("samples/app")?
        .get_manifest("v1")
        .await?;
    assert!(replay.unplayed().is_empty());

    Ok(())
}
