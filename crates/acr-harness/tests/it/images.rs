//! Pushing, pulling and cleaning up whole images, in process.

use acr_client::{
    ContainerRegistryClient, Credential, Descriptor, ErrorKind, ImageManifest, Manifest, MediaType,
    Platform, RepositoryClient, RetryOptions, transport,
};
use acr_harness::cleanup::plan;
use acr_harness::image::Image;
use acr_harness::layout::OciLayout;
use acr_harness::pull::{pull, pull_platform};
use acr_harness::push::push;
use acr_mock::Registry;

#[tokio::test]
async fn what_is_pulled_is_what_was_pushed() {
    let repository = repository();
    for name in ["v1", "docker-v2"] {
        let image = fixture(name);
        push(&repository, &image, name).await.unwrap();
        assert_eq!(pull(&repository, name).await.unwrap(), image, "by tag");
        let digest = image.root().unwrap().digest.as_str();
        assert_eq!(pull(&repository, digest).await.unwrap(), image, "by digest");
    }
}

#[tokio::test]
async fn a_second_push_sends_no_blob_and_a_next_version_only_the_new_ones() {
    let repository = repository();
    let image = fixture("v1");
    let first = push(&repository, &image, "v1").await.unwrap();
    assert_eq!((first.uploaded.len(), first.present.len()), (6, 0));
    let again = push(&repository, &image, "again").await.unwrap();
    assert_eq!(again.uploaded.len(), 0);
    assert_eq!(again.present, first.uploaded);
    let next = push(&repository, &fixture("v2"), "v2").await.unwrap();
    assert_eq!((next.uploaded.len(), next.present.len()), (4, 2));
}

#[tokio::test]
async fn a_platform_pulls_its_own_manifest_and_blobs() {
    let repository = repository();
    let image = fixture("v3");
    push(&repository, &image, "v3").await.unwrap();
    for (platform, descriptor) in image.platforms().unwrap() {
        let pulled = pull_platform(&repository, "v3", &platform).await.unwrap();
        assert_eq!(pulled.digest, descriptor.digest);
        assert_eq!(pulled.blobs.len(), 3, "a config and two layers");
    }
    let error = pull_platform(&repository, "v3", &Platform::new("plan9", "mips"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("plan9/mips"), "{error}");
}

#[tokio::test]
async fn a_tag_that_is_missing_is_not_found() {
    let repository = repository();
    push(&repository, &fixture("v1"), "v1").await.unwrap();
    let error = pull(&repository, "v9").await.unwrap_err();
    let error: &acr_client::Error = error.downcast_ref().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn the_newest_images_stay_with_all_their_platforms() {
    let repository = repository();
    for name in ["v1", "v2", "v3"] {
        push(&repository, &fixture(name), name).await.unwrap();
    }
    let plan = plan(&repository, 2).await.unwrap();
    for digest in &plan.delete {
        assert!(repository.delete_manifest(digest).await.unwrap());
    }
    let old = fixture("v1");
    assert_eq!(plan.delete.len(), 3);
    assert_eq!(
        &plan.delete[0],
        &old.root().unwrap().digest,
        "the index goes first"
    );
    for name in ["v2", "v3"] {
        assert_eq!(pull(&repository, name).await.unwrap(), fixture(name));
    }
    let properties = repository.get_repository_properties().await.unwrap();
    assert_eq!((properties.manifest_count, properties.tag_count), (6, 2));
}

#[tokio::test]
async fn an_old_image_that_was_tagged_anew_counts_as_new_and_two_tags_as_one_image() {
    let repository = repository();
    for (name, tag) in [
        ("v1", "v1"),
        ("v2", "v2"),
        ("v3", "v3"),
        ("v3", "latest"),
        ("v1", "stable"),
    ] {
        push(&repository, &fixture(name), tag).await.unwrap();
    }
    let plan = plan(&repository, 2).await.unwrap();
    for name in ["v1", "v3"] {
        assert!(
            plan.keep.contains(&fixture(name).root().unwrap().digest),
            "{name}"
        );
    }
    assert_eq!(plan.delete[0], fixture("v2").root().unwrap().digest);
}

#[tokio::test]
async fn a_signature_without_a_tag_stays_with_the_image_it_signs() {
    let repository = repository();
    let mut signatures = Vec::new();
    for name in ["v1", "v2"] {
        let image = fixture(name);
        push(&repository, &image, name).await.unwrap();
        let config = repository.upload_blob(b"{}").await.unwrap();
        let mut signature = ImageManifest::new(
            Descriptor::new(MediaType::OCI_EMPTY, config.digest, 2),
            Vec::new(),
        );
        signature.subject = Some(image.root().unwrap().descriptor());
        let signature = Manifest::try_from(&signature).unwrap();
        repository
            .set_manifest(&signature.digest, &signature)
            .await
            .unwrap();
        signatures.push(signature.digest);
    }
    let plan = plan(&repository, 1).await.unwrap();
    assert_eq!(
        plan.delete[0], signatures[0],
        "before the image that it signs"
    );
    assert!(plan.keep.contains(&signatures[1]));
    assert_eq!((plan.keep.len(), plan.delete.len()), (4, 4));
}

fn fixture(name: &str) -> Image {
    OciLayout::fixture(name).unwrap().image().unwrap()
}

/// A repository of a new registry.
fn repository() -> RepositoryClient {
    let registry = Registry::new();
    let client = ContainerRegistryClient::builder("https://mock.azurecr.io")
        .credential(Credential::entra_token("a token"))
        .transport(transport::from_fn(move |request| registry.handle(request)))
        .retry(RetryOptions::none())
        .build()
        .unwrap();
    client.repository_client("samples/app").unwrap()
}
