//! Images copied by acr-client between servers and layouts, with skopeo as a witness.

use acr_client::image::{self, CopyOptions, Layout};
use acr_client::{ContainerRegistryClient, Credential, RepositoryClient};

use super::program::{Skopeo, same_files};
use super::{IMAGES, REPOSITORY, on_both};
use crate::Result;
use crate::image::Image;
use crate::interop::docker_registry::DockerRegistry;
use crate::interop::mock::MockProcess;
use crate::interop::report::Report;

/// Copies images from docker-registry to the mock and on to another docker-registry; writes layouts that skopeo reads,
/// and reads those that it writes.
pub(super) async fn run(mock: &MockProcess, report: &mut Report) -> Result<()> {
    let (skopeo, on_mock) = on_both(mock)?;
    let (first, last) = (DockerRegistry::start(false)?, DockerRegistry::start(false)?);
    let (_, from) = on(&first)?;
    let (witness, back) = on(&last)?;
    let mut note = |client: &str, server: &str, check: String, outcome| {
        report.note(client, server, &check, outcome);
    };
    for name in IMAGES {
        let fixture = Image::fixture(name)?;
        fixture.push(&from, name).await?;
        let outcome = copy(&from, &on_mock, name).await;
        let outcome = outcome
            .and_then(|()| skopeo.pull(name))
            .and_then(|files| same_files(&files, &fixture));
        let check = format!("copy {name} from docker-registry: the same to skopeo");
        note("acr-client", "acr-mock", check, outcome);
        let outcome = copy(&on_mock, &back, name).await;
        let outcome = outcome
            .and_then(|()| witness.pull(name))
            .and_then(|files| same_files(&files, &fixture));
        let check = format!("copy {name} from acr-mock: the same to skopeo");
        note("acr-client", "docker-registry, open", check, outcome);
    }

    let name = IMAGES[0];
    let fixture = Image::fixture(name)?;
    for (kind, file) in [("oci", "layout"), ("oci-archive", "layout.tar")] {
        let folder = tempfile::tempdir()?;
        let place = |file: &str| folder.path().join(file);
        let layout = match kind {
            "oci" => Layout::create(place(file))?,
            _ => Layout::create_tar(place(file)),
        };
        let pulled = image::pull((&on_mock, name), &layout, CopyOptions::default()).await;
        let from = format!("{kind}:{}:{name}", layout.path().display());
        let to = format!("dir:{}", place("files").display());
        let outcome = pulled
            .map_err(Into::into)
            .and_then(|_| skopeo.copy(&from, &to))
            .and_then(|()| same_files(&place("files"), &fixture));
        note(
            "skopeo",
            "files",
            format!("read {kind}: written by acr-client"),
            outcome,
        );

        let theirs = place(&format!("their-{file}"));
        let to = format!("{kind}:{}:{name}", theirs.display());
        let written = skopeo.copy(&skopeo.place(name), &to);
        let outcome = match written {
            Ok(()) => push(&Layout::open(&theirs)?, &on_mock, &fixture, kind).await,
            Err(error) => Err(error),
        };
        note(
            "acr-client",
            "files",
            format!("read {kind}: written by skopeo"),
            outcome,
        );
    }
    Ok(())
}

async fn copy(from: &RepositoryClient, to: &RepositoryClient, name: &str) -> Result<()> {
    image::copy((from, name), to, CopyOptions::default()).await?;
    Ok(())
}

async fn push(layout: &Layout, to: &RepositoryClient, fixture: &Image, tag: &str) -> Result<()> {
    image::push(layout, (to, tag), CopyOptions::default()).await?;
    fixture.pull_and_compare(to, tag).await
}

/// skopeo and acr-client for a repository of a docker-registry.
fn on(server: &DockerRegistry) -> Result<(Skopeo, RepositoryClient)> {
    let skopeo = Skopeo::new(&server.login_server(), None, None)?;
    let client = ContainerRegistryClient::builder(server.endpoint())
        .credential(Credential::anonymous())
        .danger_allow_http(true)
        .build()?;
    Ok((skopeo, client.repository_client(REPOSITORY)?))
}
