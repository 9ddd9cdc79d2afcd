//! Copies within a registry and between registries: what goes over the wire, and in which order.

use acr_client::image::{CopyOptions, copy, push};
use acr_client::{Descriptor, ErrorKind, MediaType, Outcome};
use http::Method;

use super::site::Site;
use super::{contents, new_layout, roots, seed_image, seed_index};

/// How many requests begin so.
fn count(requests: &[String], beginning: &str) -> usize {
    let begin = requests.iter();
    begin
        .filter(|request| request.starts_with(beginning))
        .count()
}

#[tokio::test]
async fn a_copy_within_a_registry_mounts_each_layer_and_sends_no_byte() {
    let site = Site::new();
    let image = seed_image(&site.seed("dev/app"), Some("sha"), "app", 50);
    let (dev, prod) = (site.repository("dev/app"), site.repository("prod/app"));
    let copied = copy((&dev, "sha"), (&prod, "v1"), CopyOptions::default())
        .await
        .unwrap();
    assert_eq!(roots(&copied), [image.digest.to_string()]);
    assert_eq!(copied.count(Outcome::Mounted), 51);
    assert_eq!(copied.count(Outcome::Sent), 1);
    let requests = site.requests();
    assert_eq!(count(&requests, "POST /v2/prod/app/blobs/uploads/"), 51);
    assert_eq!(count(&requests, "PATCH"), 0);
    // The image is got, its tag asked for, and put.
    assert_eq!(requests.len(), 51 + 3, "{requests:?}");
    assert_eq!(requests.last().unwrap(), "PUT /v2/prod/app/manifests/v1");
    assert_eq!(contents(&prod, "v1").await, contents(&dev, "sha").await);
}

#[tokio::test]
async fn a_mount_that_is_refused_goes_on_in_the_upload_that_it_has_opened() {
    let site = Site::new().without_mounts();
    seed_image(&site.seed("dev/app"), Some("sha"), "app", 3);
    let (dev, prod) = (site.repository("dev/app"), site.repository("prod/app"));
    let copied = copy((&dev, "sha"), (&prod, "v1"), CopyOptions::default());
    assert_eq!(copied.await.unwrap().count(Outcome::Sent), 4 + 1);
    let requests = site.requests();
    assert_eq!(count(&requests, "POST /v2/prod/app/blobs/uploads/"), 4);
    assert_eq!(count(&requests, "PUT /v2/prod/app/blobs/uploads/"), 4);
    assert_eq!(count(&requests, "DELETE"), 0);
    assert_eq!(contents(&prod, "v1").await, contents(&dev, "sha").await);
}

#[tokio::test]
async fn a_copy_of_what_is_there_sends_heads_only() {
    let site = Site::new();
    seed_index(
        &site.seed("dev/app"),
        "sha",
        &["linux/amd64", "linux/arm64"],
    );
    let (dev, prod) = (site.repository("dev/app"), site.repository("prod/app"));
    copy((&dev, "sha"), (&prod, "v1"), CopyOptions::default())
        .await
        .unwrap();
    site.requests();
    let again = copy((&dev, "sha"), (&prod, "v1"), CopyOptions::default())
        .await
        .unwrap();
    assert_eq!(again.count(Outcome::Present), again.contents.len());
    let requests = site.requests();
    let to_prod: Vec<_> = requests
        .iter()
        .filter(|r| r.contains("/prod/app/"))
        .collect();
    assert!(
        to_prod.iter().all(|r| r.starts_with("HEAD")),
        "{requests:?}"
    );
    // The tag, two manifests, two times a config and two layers.
    assert_eq!(to_prod.len(), 9, "{requests:?}");
    assert_eq!(requests.len() - to_prod.len(), 3, "the manifests are read");
}

#[tokio::test]
async fn a_tag_within_a_repository_costs_two_requests_beside_the_image() {
    let site = Site::new();
    seed_image(&site.seed("app"), Some("sha"), "app", 3);
    let app = site.repository("app");
    let copied = copy((&app, "sha"), (&app, "v1"), CopyOptions::default())
        .await
        .unwrap();
    assert_eq!(copied.count(Outcome::Present), copied.contents.len());
    assert_eq!(
        site.requests(),
        [
            "GET /v2/app/manifests/sha",
            "HEAD /v2/app/manifests/v1",
            "PUT /v2/app/manifests/v1"
        ]
    );
}

#[tokio::test]
async fn children_are_put_before_their_index_and_the_tag_comes_last() {
    let one = Site::new();
    let other = one.other();
    let index = seed_index(&one.seed("app"), "v1", &["linux/amd64", "linux/arm64"]);
    let (from, to) = (one.repository("app"), other.repository("mirror/app"));
    let copied = copy((&from, "v1"), &to, CopyOptions::default())
        .await
        .unwrap();
    assert_eq!(copied.images[0].name.as_deref(), Some("v1"));
    let requests = other.requests();
    let puts = requests
        .iter()
        .skip_while(|r| !r.starts_with("PUT /v2/mirror/app/manifests/"));
    let puts: Vec<_> = puts.collect();
    let mut children: Vec<_> = puts[..2].iter().map(|r| r[29..].to_owned()).collect();
    children.sort();
    let references = index.references().unwrap();
    let mut expected: Vec<_> = references.iter().map(|r| r.digest.to_string()).collect();
    expected.sort();
    assert_eq!(children, expected, "{requests:?}");
    assert_eq!(puts[2..], [&"PUT /v2/mirror/app/manifests/v1".to_owned()]);
    assert_eq!(contents(&to, "v1").await, contents(&from, "v1").await);
}

#[tokio::test]
async fn a_blob_that_several_manifests_share_goes_over_once() {
    let one = Site::new();
    let other = one.other();
    let seed = one.seed("app");
    // The same layers and configs under two tags.
    seed_image(&seed, Some("v1"), "app", 3);
    seed_image(&seed, Some("v2"), "app", 4);
    let (from, to) = (one.repository("app"), other.repository("app"));
    let options = CopyOptions {
        all_tags: true,
        ..CopyOptions::default()
    };
    let copied = copy(&from, &to, options).await.unwrap();
    let names = copied
        .images
        .iter()
        .map(|image| image.name.as_deref().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["v1", "v2"]);
    // A config, four layers, two manifests.
    assert_eq!((copied.contents.len(), copied.count(Outcome::Sent)), (7, 7));
    assert_eq!(count(&one.requests(), "GET /v2/app/blobs/"), 5);
    assert_eq!(count(&other.requests(), "POST /v2/app/blobs/uploads/"), 5);
    for tag in ["v1", "v2"] {
        assert_eq!(contents(&to, tag).await, contents(&from, tag).await);
    }
}

#[tokio::test]
async fn a_copy_that_broke_off_and_is_repeated_sends_what_is_missing() {
    let one = Site::new();
    let other = one.other();
    seed_image(&one.seed("app"), Some("v1"), "app", 8);
    let from = one.repository("app");
    let lost = Descriptor::of(MediaType::OCI_LAYER_GZIP, "app, layer 5");
    let bytes = b"app, layer 5".to_vec();
    from.delete_blob(&lost.digest).await.unwrap();
    let to = other.repository("app");
    let options = CopyOptions {
        concurrency: 1,
        ..CopyOptions::default()
    };
    let error = copy((&from, "v1"), &to, options.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(to.head_manifest("v1").await.unwrap().is_none());
    from.upload_blob(bytes).await.unwrap();
    let copied = copy((&from, "v1"), &to, options).await.unwrap();
    assert_eq!(copied.count(Outcome::Present), 6);
    assert_eq!(copied.count(Outcome::Sent), 3 + 1);
    assert_eq!(contents(&to, "v1").await, contents(&from, "v1").await);
}

#[tokio::test]
async fn a_push_of_a_hundred_layers_takes_no_request_more_than_it_needs() {
    let one = Site::new();
    let other = one.other();
    seed_image(&one.seed("app"), Some("v1"), "app", 100);
    let (_folder, layout) = new_layout();
    let from = one.repository("app");
    acr_client::image::pull((&from, "v1"), &layout, CopyOptions::default())
        .await
        .unwrap();
    let to = other.repository("app");
    push(&layout, &to, CopyOptions::default()).await.unwrap();
    let requests = other.requests();
    // Each blob is asked for, begun and completed; so is the tag, and put.
    assert_eq!(count(&requests, Method::HEAD.as_str()), 101 + 1);
    assert_eq!(count(&requests, "POST"), 101);
    assert_eq!(count(&requests, "PUT"), 101 + 1);
    assert_eq!(requests.len(), 3 * 101 + 2, "{requests:?}");
    assert_eq!(contents(&to, "v1").await, contents(&from, "v1").await);
}

#[tokio::test]
async fn names_and_options_that_contradict_each_other_are_refused() {
    let site = Site::new();
    let image = seed_image(&site.seed("app"), Some("v1"), "app", 1);
    let (app, other) = (site.repository("app"), site.repository("other"));
    let all = CopyOptions {
        all_tags: true,
        ..CopyOptions::default()
    };
    site.requests();
    let none = CopyOptions::default();
    let errors = [
        copy((&app, "v1"), &other, all).await.unwrap_err(),
        copy(&app, &other, none.clone()).await.unwrap_err(),
        copy((&app, "-"), &other, none.clone()).await.unwrap_err(),
    ];
    assert!(
        errors
            .iter()
            .all(|error| error.kind() == ErrorKind::InvalidInput)
    );
    assert!(site.requests().is_empty());
    let wrong = acr_client::Digest::sha256("another image");
    let error = copy((&app, "v1"), (&other, &wrong), none.clone())
        .await
        .unwrap_err();
    assert!(error.to_string().contains(image.digest.as_str()), "{error}");
    copy((&app, "v1"), (&other, &image.digest), none)
        .await
        .unwrap();
    assert!(other.list_tags().collect_all().await.unwrap().is_empty());
    assert!(other.head_manifest(&image.digest).await.unwrap().is_some());
}
