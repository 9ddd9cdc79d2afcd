//! The samples of the official SDKs, as they read here, against a registry in the same process.

use crate::seeded;

use std::time::Duration;

use acr_client::transport::from_fn;
use acr_client::{
    ArtifactTagOrder, ChangeableAttributes, ContainerRegistryClient, Credential, Error, ErrorKind,
    Manifest,
};
use acr_mock::{Registry, VirtualClock};

/// A client of a registry in the same process; its clock lets no timeout pass.
fn client(registry: &Registry) -> ContainerRegistryClient {
    seeded::builder(registry.endpoint())
        .credential(Credential::entra_token("any"))
        .transport(from_fn(registry.handler()))
        .clock(VirtualClock::new())
        .build()
        .unwrap()
}

/// A registry with two tags of `my-image`.
fn registry() -> (Registry, Manifest, Manifest) {
    let registry = Registry::new();
    let image = registry.seed("my-image").unwrap();
    let (old, new) = (image.image("v1").unwrap(), image.image("latest").unwrap());
    (registry, old, new)
}

#[cfg(feature = "hyper")]
#[test]
fn a_client_is_made_of_an_endpoint_and_a_credential() {
    fn from_env() -> Result<ContainerRegistryClient, Error> {
        ContainerRegistryClient::from_env()
    }
    let _ = from_env;
    let client = ContainerRegistryClient::new("https://name.azurecr.io", Credential::anonymous());
    assert_eq!(client.unwrap().endpoint(), "https://name.azurecr.io");
}

#[tokio::test]
async fn repositories_are_listed() -> Result<(), Error> {
    let (registry, ..) = registry();
    let client = client(&registry);
    let mut seen = String::new();

    let mut names = client.list_repository_names();
    while let Some(name) = names.try_next().await? {
        seen += &format!("{name}\n");
    }

    assert_eq!(seen, "my-image\n");
    Ok(())
}

#[tokio::test]
async fn a_tag_is_locked_and_the_tags_are_listed_newest_first() -> Result<(), Error> {
    let (registry, ..) = registry();
    let client = client(&registry);
    let mut seen = String::new();

    let repository = client.repository_client("my-image")?;
    repository
        .update_tag_properties("v1", ChangeableAttributes::default().can_write(false))
        .await?;
    let mut tags = repository.list_tag_properties_with(ArtifactTagOrder::LastUpdatedOnDescending);
    while let Some(tag) = tags.try_next().await? {
        println!("{}: {}", tag.name, tag.last_updated_on);
        seen += &format!("{}\n", tag.name);
    }

    assert_eq!(seen, "latest\nv1\n");
    let tag = repository.get_tag_properties("v1").await?;
    assert!(!tag.attributes.can_write() && tag.attributes.can_delete());
    assert_eq!(tag.repository_name, "my-image");
    Ok(())
}

#[tokio::test]
async fn a_manifest_is_deleted_by_what_a_tag_pointed_at() -> Result<(), Error> {
    let (registry, old, new) = registry();
    let client = client(&registry);
    let repository = client.repository_client("my-image")?;

    let properties = repository.get_manifest_properties("v1").await?;
    repository.delete_manifest(&properties.digest).await?;

    assert_eq!(properties.digest, old.digest);
    let left = repository.list_manifest_properties().collect_all().await?;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].digest, new.digest);
    Ok(())
}

#[tokio::test]
async fn an_image_is_pulled_blob_by_blob() -> Result<(), Box<dyn std::error::Error>> {
    let (registry, _, new) = registry();
    let client = client(&registry);
    let repository = client.repository_client("my-image")?;
    let folder = tempfile::tempdir()?;

    let manifest = repository.get_manifest("latest").await?;
    for blob in manifest.as_image()?.blobs() {
        let path = folder.path().join(blob.digest.hex());
        repository
            .download_blob(&blob.digest)
            .await?
            .save(path)
            .await?;
    }

    assert_eq!(manifest, new);
    let files = std::fs::read_dir(folder.path())?.count();
    assert_eq!(files, manifest.as_image()?.blobs().count());
    for blob in manifest.as_image()?.blobs() {
        let bytes = std::fs::read(folder.path().join(blob.digest.hex()))?;
        assert_eq!(blob.digest.matches(bytes), Some(true));
    }
    Ok(())
}

#[tokio::test]
async fn a_layer_is_pushed() -> Result<(), Error> {
    let (registry, ..) = registry();
    let client = client(&registry);
    let repository = client.repository_client("my-image")?;

    let layer = repository.upload_blob(b"Sample layer").await?;

    let held = repository.head_blob(&layer.digest).await?.unwrap();
    assert_eq!((held.size, held.digest), (12, layer.digest));
    Ok(())
}

#[tokio::test]
async fn what_is_old_is_deleted_unless_it_is_locked() -> Result<(), Error> {
    let (registry, old, new) = registry();
    let client = client(&registry);
    let repository = client.repository_client("my-image")?;
    repository
        .update_manifest_properties(&old.digest, ChangeableAttributes::LOCKED)
        .await?;
    let mut seen = Vec::new();

    let cutoff = client.now() - Duration::from_secs(30 * 24 * 60 * 60);
    for digest in [old.digest, new.digest] {
        let properties = repository.get_manifest_properties(&digest).await?;
        assert!(properties.last_updated_on > cutoff);
        match repository.delete_manifest(&digest).await {
            Err(error) if error.kind() == ErrorKind::Disallowed => seen.push("locked"),
            other => {
                other?;
                seen.push("deleted");
            }
        }
    }

    assert_eq!(seen, ["locked", "deleted"]);
    Ok(())
}

#[tokio::test]
async fn errors_pass_for_io_errors_where_those_are_wanted() {
    let (registry, ..) = registry();
    let repository = client(&registry).repository_client("my-image").unwrap();
    async fn read(repository: &acr_client::RepositoryClient) -> std::io::Result<Manifest> {
        Ok(repository.get_manifest("missing").await?)
    }
    let error = read(&repository).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}
