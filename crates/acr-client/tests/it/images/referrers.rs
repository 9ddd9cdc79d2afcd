//! Referrers, signatures under tags, and artifacts: what is carried with an image, and what is left.

use std::fs;

use acr_client::image::{Artifact, AttachOptions, CopyOptions, Layout, attach, copy, pull, push};
use acr_client::models::Platform;
use acr_client::{
    Descriptor, Digest, ErrorKind, ImageIndex, ImageManifest, Manifest, MediaType, Outcome,
    RepositoryClient,
};
use acr_mock::{Profile, RepositorySeed};

use super::site::Site;
use super::{contents, new_layout, seed_image, seed_index};

pub(super) const SIGNATURE: &str = "application/vnd.example.signature";

pub(super) fn with_referrers() -> CopyOptions {
    CopyOptions {
        referrers: true,
        ..CopyOptions::default()
    }
}

pub(super) async fn referrers(repository: &RepositoryClient, subject: &Digest) -> Vec<Digest> {
    let listed = repository.list_referrers(subject).collect_all().await;
    let mut listed: Vec<_> = listed
        .unwrap()
        .into_iter()
        .map(|item| item.digest)
        .collect();
    listed.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    listed
}

/// An index with a signature, whose signature is signed, and a child with an SBOM; returns all subjects.
fn seed_signed(seed: &RepositorySeed) -> (Manifest, Vec<Digest>) {
    let index = seed_index(seed, "sha", &["linux/amd64", "linux/arm64"]);
    let signature = seed.artifact(&index.digest, SIGNATURE).unwrap();
    seed.artifact(&signature.digest, SIGNATURE).unwrap();
    let child = index.references().unwrap()[0].digest.clone();
    seed.artifact(&child, "application/spdx+json").unwrap();
    let subjects = vec![index.digest.clone(), signature.digest, child];
    (index, subjects)
}

#[tokio::test]
pub(super) async fn referrers_follow_their_subjects_and_the_tag_comes_last() {
    let site = Site::new();
    let (index, subjects) = seed_signed(&site.seed("dev/app"));
    let (dev, prod) = (site.repository("dev/app"), site.repository("prod/app"));
    let copied = copy((&dev, "sha"), (&prod, "v1"), with_referrers())
        .await
        .unwrap();
    let requests = site.requests();
    let puts: Vec<_> = requests
        .iter()
        .filter_map(|request| request.strip_prefix("PUT /v2/prod/app/manifests/"))
        .collect();
    assert_eq!(puts.last(), Some(&"v1"));
    let place = |digest: &Digest| puts.iter().position(|put| *put == digest.as_str());
    let mut expected = 3 + 1;
    for subject in &subjects {
        assert_eq!(
            referrers(&prod, subject).await,
            referrers(&dev, subject).await
        );
        for referrer in referrers(&dev, subject).await {
            assert!(place(subject) < place(&referrer), "{puts:?}");
            expected += 1;
        }
    }
    assert_eq!(puts.len(), expected);
    assert_eq!(copied.images[0].descriptor.digest, index.digest);
    assert_eq!(contents(&prod, "v1").await, contents(&dev, "sha").await);

    site.requests();
    let again = copy((&dev, "sha"), (&prod, "v1"), with_referrers())
        .await
        .unwrap();
    assert_eq!(again.count(Outcome::Present), again.contents.len());
    let requests = site.requests();
    let mut to_prod = requests.iter().filter(|r| r.contains("/prod/app/"));
    assert!(to_prod.all(|r| r.starts_with("HEAD")), "{requests:?}");
}

#[tokio::test]
async fn a_registry_without_an_api_gets_the_index_that_clients_keep() {
    let site = Site::new();
    let (_, subjects) = seed_signed(&site.seed("app"));
    let old = site.elsewhere("old.example.com", |builder| builder.referrers_api(false));
    let older = site.elsewhere("older.example.com", |builder| builder.referrers_api(false));
    let (from, to, last) = (
        site.repository("app"),
        old.repository("app"),
        older.repository("app"),
    );
    copy((&from, "sha"), &to, with_referrers()).await.unwrap();
    let all = CopyOptions {
        all_tags: true,
        signature_tags: true,
        ..with_referrers()
    };
    // From such a registry to another one, with all tags.
    copy(&to, &last, all).await.unwrap();
    for subject in &subjects {
        let expected = referrers(&from, subject).await;
        assert_eq!(referrers(&to, subject).await, expected);
        assert_eq!(referrers(&last, subject).await, expected);
    }
}

#[tokio::test]
async fn a_layout_carries_referrers_there_and_back() {
    let site = Site::new();
    let (_, subjects) = seed_signed(&site.seed("app"));
    let (app, back) = (site.repository("app"), site.other().repository("app"));
    let (_folder, layout) = new_layout();
    pull((&app, "sha"), &layout, with_referrers())
        .await
        .unwrap();
    assert_eq!(layout.images().unwrap().len(), 1 + 3);
    let again = pull((&app, "sha"), &layout, with_referrers())
        .await
        .unwrap();
    assert_eq!(again.count(Outcome::Present), again.contents.len());
    assert_eq!(layout.images().unwrap().len(), 1 + 3);
    push(&layout, (&back, "sha"), with_referrers())
        .await
        .unwrap();
    for subject in &subjects {
        assert_eq!(
            referrers(&back, subject).await,
            referrers(&app, subject).await
        );
    }
}

#[tokio::test]
async fn circles_of_subjects_end_and_what_is_listed_wrongly_is_left() {
    let site = Site::new();
    let seed = site.seed("app");
    let image = seed_image(&seed, Some("v1"), "app", 1);
    let signature = seed.artifact(&image.digest, SIGNATURE).unwrap();
    let stranger = seed
        .artifact(&Digest::sha256("another"), SIGNATURE)
        .unwrap();
    let gone = Descriptor::of(MediaType::OCI_MANIFEST, "gone");
    // By their true digests no two are each other's subjects, so a list lies: everything refers to everything.
    let listed = [&image, &signature, &stranger].map(Manifest::descriptor);
    let listed = ImageIndex::new([&listed[..], &[gone]].concat());
    site.lists(Manifest::try_from(&listed).unwrap().bytes);
    let (app, other) = (site.repository("app"), site.other().repository("app"));
    let copied = copy((&app, "v1"), &other, with_referrers()).await.unwrap();
    // The image, its signature, and their blobs.
    assert_eq!(copied.contents.len(), 3 + 3);
    assert_eq!(referrers(&other, &image.digest).await, [signature.digest]);
    assert!(
        other
            .head_manifest(&stranger.digest)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn more_referrers_than_allowed_are_an_error() {
    let site = Site::with(|builder| builder.referrers_page_size(2));
    let seed = site.seed("app");
    let image = seed_image(&seed, Some("v1"), "app", 1);
    for _ in 0..5 {
        seed.artifact(&image.digest, SIGNATURE).unwrap();
    }
    let (app, other) = (site.repository("app"), site.other().repository("app"));
    for (max_manifests, is_enough) in [(5, false), (6, true)] {
        let options = CopyOptions {
            max_manifests,
            ..with_referrers()
        };
        let copied = copy((&app, "v1"), &other, options).await;
        let kind = copied.as_ref().err().map(acr_client::Error::kind);
        assert_eq!(kind, (!is_enough).then_some(ErrorKind::TooLarge));
    }
    assert_eq!(referrers(&other, &image.digest).await.len(), 5);
}

#[tokio::test]
async fn signatures_under_tags_are_carried_on_request() {
    let site = Site::new();
    let seed = site.seed("app");
    let image = seed_image(&seed, Some("v1"), "app", 1);
    let tag = |suffix: &str| format!("sha256-{}{suffix}", image.digest.hex());
    for suffix in [".sig", ".sbom"] {
        seed_image(&seed, Some(&tag(suffix)), suffix, 1);
    }
    let (app, other) = (site.repository("app"), site.other().repository("app"));
    let copied = copy((&app, "v1"), &other, CopyOptions::default())
        .await
        .unwrap();
    assert_eq!(copied.images.len(), 1);
    let options = CopyOptions {
        signature_tags: true,
        ..CopyOptions::default()
    };
    let copied = copy((&app, "v1"), (&other, "v2"), options).await.unwrap();
    let names = copied
        .images
        .iter()
        .map(|image| image.name.clone().unwrap());
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["v2".to_owned(), tag(".sig"), tag(".sbom")]
    );
    for suffix in [".sig", ".sbom"] {
        let tag = tag(suffix);
        assert_eq!(contents(&other, &tag).await, contents(&app, &tag).await);
    }
}

#[tokio::test]
async fn signatures_under_tags_are_looked_for_whatever_the_digest_s_algorithm() {
    let site = Site::new();
    let seed = site.seed("app");
    let config = seed.blob(MediaType::OCI_CONFIG, "{}");
    let image = Manifest::try_from(&ImageManifest::new(config.clone(), vec![config])).unwrap();
    let digest = Digest::sha512(&image.bytes);
    let (app, other) = (site.repository("app"), site.other().repository("app"));
    app.set_manifest(&digest, &image).await.unwrap();
    let options = CopyOptions {
        signature_tags: true,
        ..CopyOptions::default()
    };
    let copied = copy((&app, digest.as_str()), &other, options)
        .await
        .unwrap();
    assert_eq!(copied.images[0].descriptor.digest, digest);
}

#[tokio::test]
async fn a_choice_of_platforms_keeps_what_refers_to_them() {
    let site = Site::new();
    let (index, subjects) = seed_signed(&site.seed("app"));
    let (app, other) = (site.repository("app"), site.other().repository("app"));
    let platforms = ["amd64", "arm64"].map(|arch| Platform::new("linux", arch));
    let options = CopyOptions {
        platforms: platforms[..1].to_vec(),
        ..with_referrers()
    };
    copy((&app, "sha"), &other, options).await.unwrap();
    assert_eq!(referrers(&other, &subjects[2]).await.len(), 1);
    assert!(other.head_manifest(&index.digest).await.unwrap().is_none());
    assert!(referrers(&other, &index.digest).await.is_empty());
}

#[tokio::test]
async fn artifact_manifests_are_carried_byte_for_byte() {
    let site = Site::new();
    let seed = site.seed("app");
    let image = seed_image(&seed, Some("v1"), "app", 1);
    let blob = seed.blob(MediaType::OCTET_STREAM, "the artifact");
    let mut expected = Vec::new();
    for media_type in [
        MediaType::ORAS_ARTIFACT_MANIFEST,
        MediaType::OCI_ARTIFACT_MANIFEST,
    ] {
        let text = format!(
            r#"{{ "mediaType": "{media_type}", "artifactType": "{SIGNATURE}",
                "blobs": [{{"mediaType":"{}","digest":"{}","size":{}}}],
                "subject": {{"mediaType":"{}","digest":"{}","size":{}}} }}"#,
            blob.media_type, blob.digest, blob.size, image.media_type, image.digest, 0
        );
        let artifact = Manifest::new(text, media_type);
        expected.push(seed.manifest(None, &artifact).unwrap());
    }
    let (app, other) = (site.repository("app"), site.other().repository("app"));
    copy((&app, "v1"), &other, with_referrers()).await.unwrap();
    for artifact in expected {
        assert_eq!(
            other.get_manifest(&artifact.digest).await.unwrap(),
            artifact
        );
    }
    assert!(other.head_blob(&blob.digest).await.unwrap().is_some());
}

#[tokio::test]
async fn foreign_layers_are_left_out_unless_they_are_asked_for() {
    let site = Site::with(|builder| builder.profile(Profile::Oci));
    let seed = site.seed("app");
    let config = seed.blob(MediaType::OCI_CONFIG, "{}");
    let own = seed.blob(MediaType::OCI_LAYER_GZIP, "own");
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let mut foreign = seed.blob(foreign, "foreign");
    foreign.urls = vec!["https://example.com/layer".to_owned()];
    let image = ImageManifest::new(config, vec![own, foreign.clone()]);
    let image = Manifest::try_from(&image).unwrap();
    seed.manifest(Some("v1"), &image).unwrap();
    let other = site.elsewhere("oci.example.com", |builder| builder.profile(Profile::Oci));
    let (app, other) = (site.repository("app"), other.repository("app"));
    let (_folder, layout) = new_layout();
    for (foreign_layers, count) in [(false, 3), (true, 4)] {
        let options = CopyOptions {
            foreign_layers,
            ..CopyOptions::default()
        };
        for copied in [
            copy((&app, "v1"), &other, options.clone()).await.unwrap(),
            pull((&app, "v1"), &layout, options.clone()).await.unwrap(),
        ] {
            assert_eq!(copied.contents.len(), count);
            let left_out = if foreign_layers {
                vec![]
            } else {
                vec![foreign.clone()]
            };
            assert_eq!(copied.left_out, left_out);
        }
        let there = other.head_blob(&foreign.digest).await.unwrap();
        assert_eq!(there.is_some(), foreign_layers);
    }
}

#[tokio::test]
async fn an_artifact_that_is_attached_is_listed_with_or_without_an_api() {
    for has_api in [true, false] {
        let site =
            Site::new().elsewhere("some.example.com", |builder| builder.referrers_api(has_api));
        let image = seed_image(&site.seed("app"), Some("v1"), "app", 1);
        let app = site.repository("app");
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "an sbom").unwrap();
        let sbom = Artifact::new("application/spdx+json")
            .with_layer("text/spdx", file.path())
            .with_annotation("a", "b");
        let sbom = attach(&app, "v1", sbom, AttachOptions::default())
            .await
            .unwrap();
        let none = Artifact::new(SIGNATURE);
        let none = attach(&app, &image.digest, none, AttachOptions::default())
            .await
            .unwrap();
        let mut listed = app
            .list_referrers(&image.digest)
            .collect_all()
            .await
            .unwrap();
        listed.sort_by_key(|item| item.digest != sbom.digest);
        assert_eq!(listed, [sbom.clone(), none]);
        let manifest = app.get_manifest(&sbom.digest).await.unwrap();
        assert_eq!(manifest.subject().unwrap(), Some(image.descriptor()));
        assert_eq!(
            manifest.as_image().unwrap().layers[0].media_type.as_str(),
            "text/spdx"
        );
        let again = attach(
            &app,
            "v1",
            Artifact::new(SIGNATURE),
            AttachOptions::default(),
        );
        again.await.unwrap();
        assert_eq!(referrers(&app, &image.digest).await.len(), 2);
    }
    let site = Site::new();
    let artifact = Artifact::new(SIGNATURE);
    let app = site.repository("app");
    let error = attach(&app, "v1", artifact, AttachOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        !site
            .requests()
            .iter()
            .any(|request| request.starts_with("P"))
    );
}

#[tokio::test]
async fn a_layout_s_list_that_clients_keep_is_read_too() {
    let folder = tempfile::tempdir().unwrap();
    let (_, image) = super::write_layout(folder.path());
    let config = super::write_blob(folder.path(), MediaType::OCI_EMPTY, "{}");
    let signature = ImageManifest::new(config.clone(), vec![config])
        .with_artifact_type(SIGNATURE)
        .with_subject(image.clone());
    let signature = Manifest::try_from(&signature).unwrap();
    let signature = super::write_blob(folder.path(), signature.media_type, &signature.bytes);
    let gone = Descriptor::of(MediaType::OCI_MANIFEST, "gone");
    let list = Manifest::try_from(&ImageIndex::new(vec![gone, signature.clone()])).unwrap();
    let list = super::write_blob(folder.path(), list.media_type, &list.bytes);
    let name = "org.opencontainers.image.ref.name";
    let tag = format!("sha256-{}", image.digest.hex());
    let image = image.with_annotation(name, "v1");
    super::write_index(
        folder.path(),
        &[image.clone(), list.with_annotation(name, tag)],
    );
    let site = Site::new();
    let app = site.repository("app");
    let layout = Layout::open(folder.path()).unwrap();
    copy((&layout, "v1"), &app, with_referrers()).await.unwrap();
    assert_eq!(referrers(&app, &image.digest).await, [signature.digest]);
}
