//! Each operation through the client, whatever comes of it.

use acr_client::{ChangeableAttributes, ContainerRegistryClient, Error, RepositoryClient};

use super::world::{CONTENT, Target};

/// What came of an operation, as far as situations differ by it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// A list of so many items.
    Items(usize),
    /// A head or a delete, and whether there was something.
    WasThere(bool),
    /// An upload began, in the place of a mount.
    Opened,
}

pub(super) async fn call(
    operation: &str,
    client: &ContainerRegistryClient,
    at: &Target,
) -> Result<Outcome, Error> {
    let repository = client.repository_client(at.repository.as_str())?;
    match operation {
        "list_repository_names" => client
            .list_repository_names()
            .collect_all()
            .await
            .map(|names| Outcome::Items(names.len())),
        "list_repositories" => client
            .list_repositories()
            .collect_all()
            .await
            .map(|names| Outcome::Items(names.len())),
        "ping" => client.ping().await.map(|()| Outcome::Done),
        "delete_repository" => {
            let deleted = client.delete_repository(at.repository.as_str()).await;
            deleted.map(|deleted| Outcome::WasThere(deleted.is_some()))
        }
        _ if operation.contains("upload") => upload(operation, &repository, at).await,
        _ if operation.contains("blob") => blob(operation, &repository, at).await,
        _ if operation.contains("manifest") => manifest(operation, &repository, at).await,
        _ => metadata(operation, &repository, at).await,
    }
}

async fn metadata(
    operation: &str,
    repository: &RepositoryClient,
    at: &Target,
) -> Result<Outcome, Error> {
    let update = ChangeableAttributes::default().can_write(true);
    let tag = at.tag.as_str();
    match operation {
        "get_repository_properties" => repository
            .get_repository_properties()
            .await
            .map(|_| Outcome::Done),
        "update_repository_properties" => repository
            .update_repository_properties(update)
            .await
            .map(|_| Outcome::Done),
        "list_tag_properties" => repository
            .list_tag_properties()
            .collect_all()
            .await
            .map(|tags| Outcome::Items(tags.len())),
        "get_tag_properties" => repository
            .get_tag_properties(tag)
            .await
            .map(|_| Outcome::Done),
        "update_tag_properties" => repository
            .update_tag_properties(tag, update)
            .await
            .map(|_| Outcome::Done),
        "delete_tag" => repository.delete_tag(tag).await.map(Outcome::WasThere),
        "list_tags" => repository
            .list_tags()
            .collect_all()
            .await
            .map(|tags| Outcome::Items(tags.len())),
        "list_referrers" => {
            let referrers = repository.list_referrers(&at.digest).collect_all().await;
            referrers.map(|referrers| Outcome::Items(referrers.len()))
        }
        other => panic!("the client is not asked for {other}"),
    }
}

async fn manifest(
    operation: &str,
    repository: &RepositoryClient,
    at: &Target,
) -> Result<Outcome, Error> {
    let update = ChangeableAttributes::default().can_write(true);
    let tag = at.tag.as_str();
    match operation {
        "list_manifest_properties" => {
            let manifests = repository.list_manifest_properties().collect_all().await;
            manifests.map(|manifests| Outcome::Items(manifests.len()))
        }
        "get_manifest_properties" => repository
            .get_manifest_properties(&at.digest)
            .await
            .map(|_| Outcome::Done),
        "update_manifest_properties" => repository
            .update_manifest_properties(&at.digest, update)
            .await
            .map(|_| Outcome::Done),
        "get_manifest" => repository.get_manifest(tag).await.map(|_| Outcome::Done),
        "head_manifest" => {
            let found = repository.head_manifest(tag).await;
            found.map(|found| Outcome::WasThere(found.is_some()))
        }
        "set_manifest" => repository
            .set_manifest(tag, &at.manifest)
            .await
            .map(|_| Outcome::Done),
        "delete_manifest" => repository
            .delete_manifest(&at.digest)
            .await
            .map(Outcome::WasThere),
        other => panic!("the client is not asked for {other}"),
    }
}

async fn blob(
    operation: &str,
    repository: &RepositoryClient,
    at: &Target,
) -> Result<Outcome, Error> {
    match operation {
        "head_blob" => {
            let found = repository.head_blob(&at.blob).await;
            found.map(|found| Outcome::WasThere(found.is_some()))
        }
        "get_blob" => repository
            .get_blob(&at.blob, 0..)
            .await
            .map(|_| Outcome::Done),
        "delete_blob" => repository
            .delete_blob(&at.blob)
            .await
            .map(Outcome::WasThere),
        "mount_blob" => {
            let mounted = repository
                .mount_blob(&at.source_blob, at.source.as_str())
                .await;
            mounted.map(|mounted| match mounted {
                None => Outcome::Done,
                Some(_) => Outcome::Opened,
            })
        }
        other => panic!("the client is not asked for {other}"),
    }
}

async fn upload(
    operation: &str,
    repository: &RepositoryClient,
    at: &Target,
) -> Result<Outcome, Error> {
    let location = at.location.as_str();
    let resumed = async || repository.resume_upload(location, 0).await.unwrap();
    let digest = acr_client::Digest::sha256(CONTENT);
    match operation {
        "start_upload" => repository.start_upload().await.map(|_| Outcome::Done),
        "get_upload_status" => repository
            .resume_upload(location, None)
            .await
            .map(|_| Outcome::Done),
        "upload_chunk" => resumed()
            .await
            .append(CONTENT)
            .await
            .map(|()| Outcome::Done),
        "complete_upload" => {
            let completed = resumed().await.complete_with(digest, CONTENT).await;
            completed.map(|_| Outcome::Done)
        }
        "cancel_upload" => resumed().await.cancel().await.map(|()| Outcome::Done),
        other => panic!("the client is not asked for {other}"),
    }
}
