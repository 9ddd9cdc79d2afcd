//! Layouts: what is pulled is what was pushed, from and into folders and archives.

use std::fs;

use acr_client::image::{CopyOptions, Layout, copy, pull, push};
use acr_client::models::Platform;
use acr_client::{ErrorKind, Manifest, Outcome};

use super::site::Site;
use super::{contents, new_layout, roots, seed_image, seed_index};

const PLATFORMS: [&str; 3] = ["linux/amd64", "linux/arm64", "windows/amd64"];

fn name(image: &acr_client::Descriptor) -> Option<&str> {
    let name = image.annotations.get("org.opencontainers.image.ref.name");
    name.map(String::as_str)
}

#[tokio::test]
async fn a_folder_and_an_archive_bring_back_every_byte() {
    let site = Site::new();
    seed_index(&site.seed("app"), "v1", &PLATFORMS);
    let app = site.repository("app");
    let expected = contents(&app, "v1").await;
    let (folder, files) = new_layout();
    let archive = folder.path().join("app.tar");
    let again = folder.path().join("again.tar");
    let none = CopyOptions::default();

    let pulled = pull((&app, "v1"), &files, none.clone()).await.unwrap();
    assert_eq!(pulled.count(Outcome::Received), pulled.contents.len());
    pull((&app, "v1"), &Layout::create_tar(&archive), none.clone())
        .await
        .unwrap();
    let archive = Layout::open(&archive).unwrap();
    copy(&archive, &Layout::create_tar(&again), none.clone())
        .await
        .unwrap();
    for (number, layout) in [files, archive, Layout::open(&again).unwrap()]
        .iter()
        .enumerate()
    {
        let images = layout.images().unwrap();
        assert_eq!(images.iter().map(name).collect::<Vec<_>>(), [Some("v1")]);
        let back = site.other().repository(&format!("back-{number}"));
        let pushed = push(layout, &back, none.clone()).await.unwrap();
        assert_eq!(roots(&pushed), roots(&pulled));
        assert_eq!(contents(&back, "v1").await, expected);
    }
    // Nothing is left beside them.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[tokio::test]
async fn a_second_pull_into_a_folder_reads_the_manifests_alone_and_keeps_other_images() {
    let site = Site::new();
    let seed = site.seed("app");
    seed_image(&seed, Some("v1"), "one", 2);
    seed_image(&seed, Some("v2"), "two", 2);
    let app = site.repository("app");
    let (_folder, layout) = new_layout();
    for tag in ["v1", "v2"] {
        pull((&app, tag), &layout, CopyOptions::default())
            .await
            .unwrap();
    }
    site.requests();
    let again = pull((&app, "v1"), &layout, CopyOptions::default())
        .await
        .unwrap();
    assert_eq!(again.count(Outcome::Present), again.contents.len());
    assert_eq!(site.requests(), ["GET /v2/app/manifests/v1"]);
    let moved = seed_image(&seed, Some("v1"), "three", 1);
    pull((&app, "v1"), &layout, CopyOptions::default())
        .await
        .unwrap();
    let images = layout.images().unwrap();
    assert_eq!(
        images.iter().map(name).collect::<Vec<_>>(),
        [Some("v1"), Some("v2")]
    );
    assert_eq!(images[0].digest, moved.digest);
    // One of several is pushed by its name.
    let other = site.other().repository("app");
    push(&layout, (&other, "v2"), CopyOptions::default())
        .await
        .unwrap();
    let error = push(&layout, &other, CopyOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let copied = copy((&layout, "v1"), (&other, "v3"), CopyOptions::default())
        .await
        .unwrap();
    assert_eq!(roots(&copied), [moved.digest.to_string()]);
}

#[tokio::test]
async fn one_platform_is_its_image_and_several_are_a_new_index() {
    let site = Site::new();
    let index = seed_index(&site.seed("app"), "v1", &PLATFORMS);
    let app = site.repository("app");
    let some = |platforms: &[&str]| CopyOptions {
        platforms: platforms
            .iter()
            .map(|platform| platform.split_once('/').unwrap())
            .map(|(os, architecture)| Platform::new(os, architecture))
            .collect(),
        ..CopyOptions::default()
    };
    let children = index.references().unwrap();
    let (_folder, layout) = new_layout();
    let one = pull((&app, "v1"), &layout, some(&["linux/arm64"]))
        .await
        .unwrap();
    assert_eq!(roots(&one), [children[1].digest.to_string()]);
    assert_eq!(one.images[0].source, index.descriptor());
    assert_eq!(one.contents.len(), 1 + 3);

    let two = some(&["linux/aarch64", "linux/amd64"]);
    let two = copy((&app, "v1"), (&app, "linux"), two).await.unwrap();
    let linux: Manifest = app.get_manifest("linux").await.unwrap();
    assert_eq!(roots(&two), [linux.digest.to_string()]);
    assert_eq!(linux.as_index().unwrap().manifests, children[..2]);
    assert_eq!(linux.media_type, index.media_type);
    // All of them are the index as it is.
    let all = copy((&app, "v1"), (&app, "all"), some(&PLATFORMS))
        .await
        .unwrap();
    assert_eq!(roots(&all), [index.digest.to_string()]);

    let error = pull((&app, "v1"), &layout, some(&["plan9/mips"]))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("plan9/mips"), "{error}");
}

#[tokio::test]
async fn a_pull_by_digest_has_no_name() {
    let site = Site::new();
    let image = seed_image(&site.seed("app"), Some("v1"), "app", 1);
    let app = site.repository("app");
    let (_folder, layout) = new_layout();
    pull((&app, &image.digest), &layout, CopyOptions::default())
        .await
        .unwrap();
    let images = layout.images().unwrap();
    assert_eq!(images, [image.descriptor()]);
    let error = push(&layout, (&app, "-"), CopyOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    push(&layout, (&app, "v2"), CopyOptions::default())
        .await
        .unwrap();
    assert_eq!(app.resolve("v2").await.unwrap().digest, image.digest);
}

#[tokio::test]
async fn an_archive_is_there_when_it_is_complete_and_is_written_once() {
    let site = Site::new();
    seed_image(&site.seed("app"), Some("v1"), "app", 2);
    let app = site.repository("app");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.tar");
    fs::write(&file, "an old file").unwrap();
    let lost = acr_client::Digest::sha256("app, layer 1");
    app.delete_blob(&lost).await.unwrap();
    let archive = Layout::create_tar(&file);
    let error = pull((&app, "v1"), &archive, CopyOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    drop(archive);
    assert_eq!(fs::read(&file).unwrap(), b"an old file");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    app.upload_blob(b"app, layer 1".to_vec()).await.unwrap();
    let archive = Layout::create_tar(&file);
    pull((&app, "v1"), &archive, CopyOptions::default())
        .await
        .unwrap();
    let error = pull((&app, "v1"), &archive, CopyOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let archive = Layout::open(&file).unwrap();
    assert_eq!(archive.images().unwrap().len(), 1);
    let error = pull((&app, "v1"), &archive, CopyOptions::default())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("nothing can be added"),
        "{error}"
    );
}

#[tokio::test]
async fn an_archive_is_gone_on_with_after_each_kind_of_failure() {
    let site = Site::new();
    seed_image(&site.seed("app"), Some("v1"), "app", 2);
    let app = site.repository("app");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("missing").join("app.tar");
    let archive = Layout::create_tar(&file);
    let options = || CopyOptions {
        concurrency: 1,
        ..CopyOptions::default()
    };
    let error = pull((&app, "v1"), &archive, options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    fs::create_dir(folder.path().join("missing")).unwrap();

    // The config, the first layer and the second one each break off on their way.
    for after in 0..3 {
        let fault = acr_mock::Fault::on_data().after(u64::from(after > 0));
        let fault = fault.then(acr_mock::FaultAction::FlipByte(2));
        site.registry.inject(fault).unwrap();
        let error = pull((&app, "v1"), &archive, options()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
        site.registry.clear_faults();
    }
    let copied = pull((&app, "v1"), &archive, options()).await.unwrap();
    assert_eq!(copied.count(Outcome::Present), 2, "{copied:?}");
    let back = site.other().repository("back");
    push(&Layout::open(&file).unwrap(), &back, options())
        .await
        .unwrap();
    assert_eq!(contents(&back, "v1").await, contents(&app, "v1").await);
}

#[tokio::test]
async fn a_layout_of_so_many_images_that_its_index_is_large_is_opened_again() {
    const TAGS: usize = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let (_, image) = super::write_layout(folder.path());
    let images: Vec<_> = (0..TAGS)
        .map(|tag| {
            image
                .clone()
                .with_annotation("org.opencontainers.image.ref.name", format!("v{tag}"))
        })
        .collect();
    super::write_index(folder.path(), &images);
    let index = fs::metadata(folder.path().join("index.json")).unwrap();
    assert!(index.len() > 4 << 20);
    let layout = Layout::open(folder.path()).unwrap();
    let site = Site::new();
    let app = site.repository("app");
    push(&layout, (&app, "v1"), CopyOptions::default())
        .await
        .unwrap();
    let added = pull((&app, "v1"), &layout, CopyOptions::default()).await;
    added.unwrap();
    assert_eq!(layout.images().unwrap().len(), TAGS);

    // The list is read once, or this would take hours.
    let (_folder, copied) = new_layout();
    let options = CopyOptions {
        all_tags: true,
        ..CopyOptions::default()
    };
    copy(&layout, &copied, options).await.unwrap();
    assert_eq!(copied.images().unwrap(), layout.images().unwrap());
}

#[tokio::test]
async fn content_by_sha512_is_carried_too() {
    let site = Site::new();
    let app = site.repository("app");
    let options = acr_client::UploadBlobOptions {
        algorithm: acr_client::models::Algorithm::SHA512,
        ..Default::default()
    };
    let layer = app
        .upload_blob_with(b"layer".to_vec(), options)
        .await
        .unwrap();
    let config = app.upload_blob(b"{}").await.unwrap();
    let image = acr_client::ImageManifest::new(config, vec![layer.clone()]);
    app.set_manifest("v1", &image).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.tar");
    pull(
        (&app, "v1"),
        &Layout::create_tar(&file),
        CopyOptions::default(),
    )
    .await
    .unwrap();
    let back = site.other().repository("app");
    let archive = Layout::open(&file).unwrap();
    push(&archive, &back, CopyOptions::default()).await.unwrap();
    assert!(back.head_blob(&layer.digest).await.unwrap().is_some());
}

#[tokio::test]
async fn an_archive_that_was_written_is_read_by_the_same_layout() {
    let site = Site::new();
    let digest = seed_index(&site.seed("app"), "v1", &["linux/amd64"]).digest;
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create_tar(folder.path().join("app.tar"));
    assert!(layout.images().unwrap().is_empty());
    let app = site.repository("app");
    pull((&app, "v1"), &layout, CopyOptions::default())
        .await
        .unwrap();
    assert_eq!(layout.images().unwrap()[0].digest, digest);
    let far = site.other().repository("far");
    let pushed = push(&layout, (&far, "v2"), CopyOptions::default())
        .await
        .unwrap();
    assert_eq!(pushed.images[0].descriptor.digest, digest);
    assert_eq!(far.resolve("v2").await.unwrap().digest, digest);
    let error = pull((&app, "v1"), &layout, CopyOptions::default()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput);
}
