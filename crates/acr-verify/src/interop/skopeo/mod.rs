//! skopeo on acr-mock, and acr-client on `docker-registry`: each side with a partner that we did not write.

mod copies;
mod program;

use std::fs;
use std::path::Path;
use std::process::Command;

use acr_client::{
    ContainerRegistryClient, Credential, Descriptor, ErrorKind, ImageManifest, Manifest, MediaType,
    RepositoryClient,
};

use self::program::{Skopeo, same_files};
use super::docker_registry::{self, DockerRegistry};
use super::mock::MockProcess;
use super::report::Report;
use super::{output_of, without_acr_api};
use crate::image::Image;
use crate::{Ending, Result};

const REPOSITORY: &str = "interop/app";

/// The images that travel: an OCI index, and a Docker manifest list.
const IMAGES: [&str; 2] = ["v1", "docker-v2"];

/// Runs all checks and prints their table; `install` lets Debian's package manager install what is missing, and `crane`
/// is a program whose `crane registry serve` is tried too.
///
/// # Errors
///
/// Skipped without skopeo or docker-registry; failed if a check failed.
pub async fn run(install: bool, crane: Option<&Path>) -> Result<(), Ending> {
    if install {
        install_packages()?;
    }
    let skopeo = version("skopeo", &["--version"])?;
    let registry = version("docker-registry", &["--version"])?;
    let mut report = Report::default();

    let mock = MockProcess::start(&[])?;
    let mock_version = format!("acr-mock {}", mock.ready("version")?);
    on_mock(&mock, &mut report).await?;
    mock.stop()?;
    let mock = MockProcess::start(&[])?;
    copies::run(&mock, &mut report).await?;
    mock.stop()?;
    for (with_password, server) in [
        (false, "docker-registry, open"),
        (true, "docker-registry, Basic"),
    ] {
        let server_process = DockerRegistry::start(with_password)?;
        on_docker_registry(&server_process, with_password, server, &mut report).await?;
    }

    let mut versions = format!("{skopeo}; {registry}; {mock_version}");
    if let Some(program) = crane {
        versions += &format!("; {}", super::crane::run(program, &mut report).await?);
    }

    println!("\n{versions}\n\n{}", report.table());
    if report.passed() {
        Ok(())
    } else {
        Err("not all checks passed".into())
    }
}

/// skopeo pushes, acr-client and skopeo pull; then the other way round.
async fn on_mock(mock: &MockProcess, report: &mut Report) -> Result<()> {
    let (skopeo, repository) = on_both(mock)?;
    let server = mock.ready("login_server")?;
    let user = mock.ready("username")?;

    let mut note = |client: &str, check: &str, outcome| {
        report.note(client, "acr-mock", check, outcome);
    };
    for name in IMAGES {
        let image = Image::fixture(name)?;
        let outcome = skopeo.push(&image, name);
        note("skopeo", &format!("push {name}, all platforms"), outcome);
        let outcome = skopeo
            .pull(name)
            .and_then(|files| same_files(&files, &image));
        note("skopeo", &format!("pull {name}: the same bytes"), outcome);
        let outcome = image.pull_and_compare(&repository, name).await;
        note(
            "acr-client",
            &format!("pull {name}, pushed by skopeo"),
            outcome,
        );
    }
    let image = Image::fixture("v2")?;
    let outcome = image.push(&repository, "v2").await;
    note("acr-client", "push v2, all platforms", outcome);
    let outcome = skopeo
        .pull("v2")
        .and_then(|files| same_files(&files, &image));
    note("skopeo", "pull v2, pushed by acr-client", outcome);

    let outcome = skopeo
        .tags()
        .and_then(|tags| same_tags(tags, &["docker-v2", "v1", "v2"]));
    note("skopeo", "list tags", outcome);
    let outcome = skopeo.delete("v2");
    note("skopeo", "delete v2", outcome);
    let outcome = skopeo
        .tags()
        .and_then(|tags| same_tags(tags, &["docker-v2", "v1"]));
    note("skopeo", "list tags afterwards", outcome);

    let login = Some((user, "not the password"));
    let stranger = Skopeo::new(server, Some(mock.ca()?), login)?;
    let outcome = match stranger.push(&Image::fixture("v1")?, "v1") {
        Ok(()) => Err("it was let in".into()),
        Err(failure) if failure.to_string().contains("unauthorized") => Ok(()),
        Err(failure) => Err(failure),
    };
    note("skopeo", "a wrong password is refused", outcome);
    Ok(())
}

/// skopeo and acr-client for a repository of the mock.
fn on_both(mock: &MockProcess) -> Result<(Skopeo, RepositoryClient)> {
    let (user, password) = (mock.ready("username")?, mock.ready("password")?);
    let server = mock.ready("login_server")?;
    let skopeo = Skopeo::new(server, Some(mock.ca()?), Some((user, password)))?;
    let ca = fs::read(mock.ca()?)?;
    let client = ContainerRegistryClient::builder(mock.ready("endpoint")?)
        .credential(Credential::password(user, password))
        .hyper(|hyper| hyper.root_certificate_pem(ca))
        .build()?;
    Ok((skopeo, client.repository_client(REPOSITORY)?))
}

/// acr-client pushes and pulls; skopeo, as a witness, pulls what it pushed.
async fn on_docker_registry(
    registry: &DockerRegistry,
    with_password: bool,
    server: &str,
    report: &mut Report,
) -> Result<()> {
    let login = with_password.then_some((docker_registry::USER, docker_registry::PASSWORD));
    let skopeo = Skopeo::new(&registry.login_server(), None, login)?;
    let credential = login.map_or(Credential::anonymous(), |(user, password)| {
        Credential::password(user, password)
    });
    let client_with = |credential| {
        ContainerRegistryClient::builder(registry.endpoint())
            .credential(credential)
            .danger_allow_http(true)
            .build()
    };
    let client = client_with(credential)?;
    let repository = client.repository_client(REPOSITORY)?;

    let mut note = |client: &str, check: &str, outcome| {
        report.note(client, server, check, outcome);
    };
    note(
        "acr-client",
        "ping",
        client.ping().await.map_err(Into::into),
    );
    for name in IMAGES {
        let image = Image::fixture(name)?;
        let outcome = image.push(&repository, name).await;
        note(
            "acr-client",
            &format!("push {name}, all platforms"),
            outcome,
        );
        let outcome = image.pull_and_compare(&repository, name).await;
        note(
            "acr-client",
            &format!("pull {name}: the same bytes"),
            outcome,
        );
        let outcome = skopeo
            .pull(name)
            .and_then(|files| same_files(&files, &image));
        note(
            "skopeo",
            &format!("pull {name}, pushed by acr-client"),
            outcome,
        );
    }
    let outcome = tags(&repository)
        .await
        .and_then(|tags| same_tags(tags, &IMAGES));
    note("acr-client", "list tags", outcome);
    let outcome = delete_and_miss(&repository, IMAGES[0]).await;
    note("acr-client", "delete v1", outcome);
    let outcome = without_acr_api(&repository, IMAGES[1]).await;
    note(
        "acr-client",
        "delete of a tag is an error, and it stays",
        outcome,
    );
    let outcome = refer_and_delete(&repository, &skopeo).await;
    note(
        "acr-client",
        "artifact with a subject: listed, then not",
        outcome,
    );
    if with_password {
        let stranger = client_with(Credential::password(docker_registry::USER, "wrong"))?;
        let outcome = match stranger.ping().await {
            Ok(()) => Err("it was let in".into()),
            Err(error) if error.kind() == ErrorKind::Unauthorized => Ok(()),
            Err(error) => Err(error.into()),
        };
        note("acr-client", "a wrong password is refused", outcome);
    }
    Ok(())
}

async fn tags(repository: &RepositoryClient) -> Result<Vec<String>> {
    let tags = repository.list_tags().collect_all().await?;
    Ok(tags.iter().map(ToString::to_string).collect())
}

async fn delete_and_miss(repository: &RepositoryClient, tag: &str) -> Result<()> {
    if !repository.delete_manifest(tag).await? {
        return Err(format!("{tag} was not there").into());
    }
    match repository.get_manifest(tag).await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Err(format!("{tag} is still there").into()),
    }
}

/// Sets an artifact with a subject, finds it among the subject's referrers and its list by skopeo, and deletes it.
async fn refer_and_delete(repository: &RepositoryClient, skopeo: &Skopeo) -> Result<()> {
    let subject = repository.resolve(IMAGES[1]).await?;
    let config = Descriptor::of(MediaType::OCI_EMPTY, "{}");
    repository.upload_blob(b"{}").await?;
    let mut artifact = ImageManifest::new(config.clone(), vec![config]);
    artifact.artifact_type = Some(MediaType::from("application/vnd.interop.signature"));
    artifact.subject = Some(subject.clone());
    let artifact = Manifest::try_from(&artifact)?;
    repository.set_manifest(&artifact.digest, &artifact).await?;
    let listed = async || {
        let listed = repository
            .list_referrers(&subject.digest)
            .collect_all()
            .await?;
        Ok::<_, acr_client::Error>(
            listed
                .into_iter()
                .map(|entry| entry.digest)
                .collect::<Vec<_>>(),
        )
    };
    if listed().await? != [artifact.digest.clone()] {
        return Err("it is not in the list of referrers".into());
    }
    let tag = format!("sha256-{}", subject.digest.hex());
    if !skopeo.tags()?.contains(&tag) {
        return Err(format!("there is no tag {tag}").into());
    }
    repository.delete_manifest(&artifact.digest).await?;
    match listed().await?.as_slice() {
        [] => Ok(()),
        _ => Err("it is in the list of referrers after it was deleted".into()),
    }
}

fn same_tags(mut found: Vec<String>, expected: &[&str]) -> Result<()> {
    found.sort_unstable();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    if found == expected {
        Ok(())
    } else {
        Err(format!("found {found:?}, expected {expected:?}").into())
    }
}

fn install_packages() -> Result<(), Ending> {
    for arguments in [
        &["update", "--quiet"][..],
        &[
            "install",
            "--yes",
            "--quiet",
            "--no-install-recommends",
            "skopeo",
            "docker-registry",
        ],
    ] {
        let mut apt = Command::new("apt-get");
        apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        output_of(&mut apt).map_err(|reason| {
            Ending::skipped(format!(
                "apt-get installs nothing (it needs root): {reason}"
            ))
        })?;
    }
    Ok(())
}

/// The first line that a program says about itself.
fn version(program: &str, arguments: &[&str]) -> Result<String, Ending> {
    let output = output_of(Command::new(program).args(arguments)).map_err(|reason| {
        Ending::skipped(format!(
            "{reason}; `cargo xtask interop skopeo --install` as root installs Debian's packages"
        ))
    })?;
    Ok(output.lines().next().unwrap_or(program).to_owned())
}
