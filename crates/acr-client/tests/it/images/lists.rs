//! Lists of referrers that clients keep under tags, and what else belongs to an image by its tag.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use acr_client::image::{Artifact, AttachOptions, CopyOptions, attach, copy, pull, push};
use acr_client::transport::{Body, from_fn};
use acr_client::{
    Credential, Descriptor, Digest, ErrorKind, ImageIndex, ImageManifest, Manifest, MediaType,
    RepositoryClient,
};
use http::{Method, Request, Response};

use super::site::Site;
use super::{new_layout, seed_image};
use crate::seeded;

fn by_tags() -> CopyOptions {
    CopyOptions {
        signature_tags: true,
        ..CopyOptions::default()
    }
}

/// A registry where clients keep the lists.
fn without_api(host: &'static str) -> Site {
    Site::new().elsewhere(host, |builder| builder.referrers_api(false))
}

async fn sign(repository: &RepositoryClient, subject: &Digest, name: &str) -> Digest {
    let artifact = Artifact::new("application/vnd.example.signature").with_annotation("by", name);
    let signed = attach(repository, subject, artifact, AttachOptions::default()).await;
    signed.unwrap().digest
}

/// The digests in the list under the tag.
async fn kept(repository: &RepositoryClient, subject: &Digest) -> Vec<Digest> {
    let index = repository.get_manifest(&list_tag(subject)).await.unwrap();
    let mut kept: Vec<_> = index.references().unwrap();
    kept.sort_by(|a, b| a.digest.as_str().cmp(b.digest.as_str()));
    kept.into_iter().map(|entry| entry.digest).collect()
}

fn list_tag(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}

fn sorted(mut digests: Vec<Digest>) -> Vec<Digest> {
    digests.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    digests
}

#[tokio::test]
async fn a_list_that_the_target_keeps_loses_no_entry_to_the_source_s() {
    let (source, target) = (
        without_api("source.example.com"),
        without_api("target.example.com"),
    );
    let image = seed_image(&source.seed("app"), Some("v1"), "app", 1).digest;
    let mut all = Vec::new();
    for name in ["one", "two"] {
        all.push(sign(&source.repository("app"), &image, name).await);
    }
    let mut images = 0;
    for all_tags in [false, true] {
        // Each time by clients that know nothing of either registry yet.
        let (from, to) = (source.repository("app"), target.repository("app"));
        let options = CopyOptions {
            all_tags,
            ..by_tags()
        };
        let copied = match all_tags {
            true => copy(&from, &to, options).await,
            false => copy((&from, "v1"), &to, options).await,
        };
        images += copied.unwrap().images.len();
        assert_eq!(
            kept(&target.repository("app"), &image).await,
            sorted(all.clone())
        );
        let name = format!("at the target {all_tags}");
        all.push(sign(&target.repository("app"), &image, &name).await);
    }
    assert_eq!(images, 2, "a list is no image");
    let (from, to) = (source.repository("app"), target.repository("app"));
    target.requests();
    copy((&from, &*list_tag(&image)), &to, CopyOptions::default())
        .await
        .unwrap();
    assert_eq!(kept(&to, &image).await, sorted(all));
    let put = format!("PUT /v2/app/manifests/{}", list_tag(&image));
    assert!(!target.requests().contains(&put));
}

#[tokio::test]
async fn a_list_is_left_out_where_the_registry_makes_it_itself() {
    let source = without_api("source.example.com");
    let image = seed_image(&source.seed("app"), Some("v1"), "app", 1).digest;
    let signature = sign(&source.repository("app"), &image, "one").await;
    let target = Site::new().elsewhere("target.example.com", |builder| builder);
    let (from, to) = (source.repository("app"), target.repository("app"));
    copy((&from, "v1"), &to, by_tags()).await.unwrap();
    let listed = to.list_referrers(&image).collect_all().await.unwrap();
    assert_eq!(listed[0].digest, signature);
    let tag = to.head_manifest(&list_tag(&image)).await.unwrap();
    assert!(tag.is_none());
}

#[tokio::test]
async fn a_list_of_a_layout_is_added_to_and_carried_on() {
    let (source, target) = (
        without_api("source.example.com"),
        without_api("target.example.com"),
    );
    let image = seed_image(&source.seed("app"), Some("v1"), "app", 1).digest;
    let from = source.repository("app");
    let first = sign(&from, &image, "one").await;
    let (_folder, layout) = new_layout();
    pull((&from, "v1"), &layout, by_tags()).await.unwrap();
    from.delete_manifest(&first).await.unwrap();
    let second = sign(&from, &image, "two").await;
    pull((&from, "v1"), &layout, by_tags()).await.unwrap();
    let to = target.repository("app");
    push(&layout, (&to, "v1"), by_tags()).await.unwrap();
    assert_eq!(kept(&to, &image).await, sorted(vec![first, second]));
}

#[tokio::test]
async fn a_layout_pulled_with_signatures_is_pushed_under_another_tag() {
    let source = without_api("source.example.com");
    let seed = source.seed("app");
    let image = seed_image(&seed, Some("v1"), "app", 1).digest;
    seed_image(&seed, Some(&format!("{}.sig", list_tag(&image))), "sig", 1);
    let from = source.repository("app");
    let listed = sign(&from, &image, "one").await;
    let (_folder, layout) = new_layout();
    pull((&from, "v1"), &layout, by_tags()).await.unwrap();
    let to = without_api("target.example.com").repository("app");
    push(&layout, (&to, "v2"), by_tags()).await.unwrap();
    assert_eq!(to.resolve("v2").await.unwrap().digest, image);
    assert_eq!(kept(&to, &image).await, [listed]);
}

#[tokio::test]
async fn an_entry_of_a_list_that_is_gone_ends_no_copy() {
    let source = without_api("source.example.com");
    let seed = source.seed("app");
    let image = seed_image(&seed, Some("v1"), "app", 1).digest;
    let there = sign(&source.repository("app"), &image, "one").await;
    // Some clients list what has no subject.
    let other = seed_image(&seed, None, "other", 1).descriptor();
    let gone = seed_image(&seed, None, "gone", 1).descriptor();
    let from = source.repository("app");
    let index = from.get_manifest(&list_tag(&image)).await.unwrap();
    let entries = index.as_index().unwrap().manifests;
    let entries = [&entries[..], &[gone.clone(), other.clone()]].concat();
    from.set_manifest(&list_tag(&image), &ImageIndex::new(entries))
        .await
        .unwrap();
    from.delete_manifest(&gone.digest).await.unwrap();
    let target = without_api("target.example.com");
    let to = target.repository("app");
    copy((&from, "v1"), &to, by_tags()).await.unwrap();
    assert_eq!(
        kept(&to, &image).await,
        sorted(vec![there.clone(), other.digest])
    );
    assert!(to.head_manifest(&there).await.unwrap().is_some());
}

/// A registry that has a signature for everything, as long as it is asked for no more than so many manifests.
fn signs_everything(asked: &Arc<AtomicUsize>) -> RepositoryClient {
    let asked = asked.clone();
    let client = seeded::builder("https://endless.example.com")
        .credential(Credential::anonymous())
        .clock(acr_client::clock::VirtualClock::new())
        .transport(from_fn(move |request: Request<Body>| {
            let path = request.uri().path().to_owned();
            let reference = path.rsplit('/').next().unwrap_or_default();
            let is_wanted = reference.ends_with(".sig") || reference == "v1";
            let mut response = Response::builder();
            let mut body = Body::empty();
            if path.contains("/blobs/") {
                body = Body::bytes("{}");
            } else if is_wanted && asked.fetch_add(1, Ordering::Relaxed) < 500 {
                let config = Descriptor::of(MediaType::OCI_CONFIG, "{}");
                let mut image = ImageManifest::new(config.clone(), vec![config]);
                image
                    .annotations
                    .insert("under".to_owned(), reference.to_owned());
                let image = Manifest::try_from(&image).unwrap();
                response = response
                    .header("content-type", image.media_type.as_str())
                    .header("docker-content-digest", image.digest.as_str())
                    .header("content-length", image.bytes.len());
                if request.method() == Method::GET {
                    body = Body::bytes(image.bytes);
                }
            } else {
                response = response
                    .status(404)
                    .header("docker-distribution-api-version", "registry/2.0");
                body = Body::bytes(r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no"}]}"#);
            }
            std::future::ready(response.body(body))
        }));
    client.build().unwrap().repository_client("app").unwrap()
}

#[tokio::test]
async fn signatures_of_signatures_that_a_source_makes_up_come_to_an_end() {
    for (max_depth, max_manifests, name) in [(5, 4096, "max_depth"), (1000, 20, "max_manifests")] {
        let asked = Arc::default();
        let app = signs_everything(&asked);
        let (_folder, layout) = new_layout();
        let options = CopyOptions {
            max_depth,
            max_manifests,
            ..by_tags()
        };
        let error = pull((&app, "v1"), &layout, options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
        let asked = asked.load(Ordering::Relaxed);
        assert!(asked < 60, "{asked}");
    }
}
