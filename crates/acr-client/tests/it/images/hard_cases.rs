//! Images that are well-formed but rare: content in two roles, lists that are out of date, several writers.

use std::sync::{Arc, Mutex};
use std::thread;

use acr_client::image::{Artifact, AttachOptions, CopyOptions, Layout, attach, copy, pull, push};
use acr_client::models::Platform;
use acr_client::{
    Descriptor, ErrorKind, ImageIndex, ImageManifest, ImageProgress, Manifest, MediaType,
    OnProgress, Outcome, Progress,
};
use acr_mock::{Profile, RepositorySeed};

use super::referrers::{SIGNATURE, referrers, with_referrers};
use super::site::Site;
use super::{contents, new_layout, seed_image, seed_index};

fn image_of(seed: &RepositorySeed, tag: Option<&str>, blobs: &[Descriptor]) -> Manifest {
    let image = ImageManifest::new(blobs[0].clone(), blobs[1..].to_vec());
    seed.manifest(tag, &Manifest::try_from(&image).unwrap())
        .unwrap()
}

fn index_of(seed: &RepositorySeed, tag: Option<&str>, children: Vec<Descriptor>) -> Manifest {
    let index = Manifest::try_from(&ImageIndex::new(children)).unwrap();
    seed.manifest(tag, &index).unwrap()
}

/// Options with a listener, and how far the image was at each event.
fn watched(options: CopyOptions) -> (CopyOptions, Arc<Mutex<Vec<ImageProgress>>>) {
    let events: Arc<Mutex<Vec<ImageProgress>>> = Arc::default();
    let kept = events.clone();
    let on_progress = OnProgress::from(move |event: &Progress| {
        kept.lock().unwrap().push(event.image.unwrap());
    });
    let options = CopyOptions {
        on_progress,
        ..options
    };
    (options, events)
}

#[tokio::test]
async fn a_layer_that_is_foreign_in_one_image_alone_is_not_left_out() {
    for plain_first in [false, true] {
        let site = Site::with(|builder| builder.profile(Profile::Oci));
        let seed = site.seed("app");
        let config = seed.blob(MediaType::OCI_CONFIG, "{}");
        let plain = seed.blob(MediaType::OCI_LAYER_GZIP, "a layer of Windows");
        let mut foreign = plain.clone();
        foreign.media_type = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip".into();
        foreign.urls = vec!["https://example.com/layer".to_owned()];
        let mut children = [foreign, plain.clone()]
            .map(|layer| image_of(&seed, None, &[config.clone(), layer]).descriptor());
        if plain_first {
            children.reverse();
        }
        index_of(&seed, Some("v1"), children.to_vec());
        let other = site.elsewhere("oci.example.com", |builder| builder.profile(Profile::Oci));
        let (app, other) = (site.repository("app"), other.repository("app"));
        let copied = copy((&app, "v1"), &other, CopyOptions::default()).await;
        assert_eq!(copied.unwrap().left_out, [], "{plain_first}");
        assert!(other.head_blob(&plain.digest).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn content_that_is_a_manifest_and_a_layer_is_put_as_both() {
    let site = Site::new();
    let seed = site.seed("app");
    let packed = seed_image(&seed, None, "packed", 1);
    let config = seed.blob(MediaType::OCI_CONFIG, "{}");
    let layer = seed.blob(MediaType::OCTET_STREAM, packed.bytes.clone());
    let bundle = image_of(&seed, None, &[config, layer]);
    index_of(
        &seed,
        Some("v1"),
        vec![bundle.descriptor(), packed.descriptor()],
    );
    let app = site.repository("app");
    let expected = contents(&app, "v1").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.tar");
    for layout in [
        Layout::create(folder.path().join("layout")).unwrap(),
        Layout::create_tar(&file),
    ] {
        let (options, events) = watched(CopyOptions::default());
        pull((&app, "v1"), &layout, options).await.unwrap();
        let last = *events.lock().unwrap().last().unwrap();
        assert_eq!(
            (last.bytes, last.contents_done),
            (last.total, last.contents)
        );
        let layout = Layout::open(layout.path()).unwrap();
        let far = site.other().repository("app");
        push(&layout, (&far, "v1"), CopyOptions::default())
            .await
            .unwrap();
        assert_eq!(contents(&far, "v1").await, expected);
    }
    let far = site.other().repository("app");
    copy((&app, "v1"), &far, CopyOptions::default())
        .await
        .unwrap();
    assert_eq!(contents(&far, "v1").await, expected);
}

#[tokio::test]
async fn two_tags_of_one_image_are_told_once() {
    let site = Site::new();
    let seed = site.seed("app");
    let image = seed_image(&seed, Some("v1"), "app", 2);
    seed.manifest(Some("v2"), &image).unwrap();
    seed_image(&seed, Some("v3"), "another", 2);
    let (app, far) = (site.repository("app"), site.other().repository("app"));
    let (options, events) = watched(CopyOptions {
        all_tags: true,
        ..CopyOptions::default()
    });
    let copied = copy(&app, &far, options).await.unwrap();
    assert_eq!((copied.images.len(), copied.contents.len()), (3, 8));
    let last = *events.lock().unwrap().last().unwrap();
    assert_eq!((last.contents_done, last.contents), (8, 8));
    assert_eq!(last.bytes, last.total);
}

#[tokio::test]
async fn content_whose_size_was_left_out_is_never_more_than_the_total() {
    let site = Site::new();
    let seed = site.seed("app");
    let layer = "a layer".repeat(10_000);
    let mut blobs = ["{}".to_owned(), layer].map(|text| seed.blob(MediaType::OCTET_STREAM, text));
    blobs[1].size = 0;
    image_of(&seed, Some("v1"), &blobs);
    let (_folder, layout) = new_layout();
    let (options, events) = watched(CopyOptions::default());
    pull((&site.repository("app"), "v1"), &layout, options)
        .await
        .unwrap();
    for event in events.lock().unwrap().iter() {
        assert!(event.bytes <= event.total, "{event:?}");
    }
}

#[tokio::test]
async fn a_choice_of_platforms_does_not_choose_among_signatures() {
    let site = Site::new();
    let old = site.elsewhere("old.example.com", |builder| builder.referrers_api(false));
    seed_index(&old.seed("app"), "v1", &["linux/amd64", "linux/arm64"]);
    let app = old.repository("app");
    let child = app.get_manifest("v1").await.unwrap().references().unwrap()[0].clone();
    let signature = attach(
        &app,
        &child.digest,
        Artifact::new(SIGNATURE),
        AttachOptions::default(),
    );
    let signature = signature.await.unwrap();
    let options = CopyOptions {
        platforms: vec![Platform::new("linux", "amd64")],
        signature_tags: true,
        ..CopyOptions::default()
    };
    let to = site.other().repository("app");
    let copied = copy((&app, "v1"), &to, options).await.unwrap();
    assert_eq!(copied.images.len(), 1);
    assert_eq!(referrers(&to, &child.digest).await, [signature.digest]);
}

#[tokio::test]
async fn a_platform_of_an_index_within_an_index_is_its_image() {
    let site = Site::new();
    let seed = site.seed("app");
    let inner = seed_index(&seed, "inner", &["linux/amd64", "linux/arm64"]);
    let amd64 = inner.references().unwrap()[0].digest.clone();
    let with_platform = inner
        .descriptor()
        .with_platform(Platform::new("linux", "amd64"));
    for (tag, entry) in [("with", with_platform), ("without", inner.descriptor())] {
        index_of(&seed, Some(tag), vec![entry]);
        let options = CopyOptions {
            platforms: vec![Platform::new("linux", "amd64")],
            ..CopyOptions::default()
        };
        let to = site.other().repository("app");
        let copied = copy((&site.repository("app"), tag), &to, options).await;
        assert_eq!(copied.unwrap().images[0].descriptor.digest, amd64, "{tag}");
    }
}

#[tokio::test]
async fn a_referrer_that_is_there_but_in_no_list_is_listed() {
    let site = Site::new();
    let old = site.elsewhere("old.example.com", |builder| builder.referrers_api(false));
    let mut signatures = Vec::new();
    // Whoever put it there was stopped before it was listed.
    for seed in [site.seed("app"), old.seed("app")] {
        let image = seed_image(&seed, Some("v1"), "app", 1);
        let signature = seed.artifact(&image.digest, SIGNATURE).unwrap();
        signatures.push((image.digest, signature.digest));
    }
    assert_eq!(signatures[0], signatures[1]);
    let (image, signature) = signatures.remove(0);
    let (from, to) = (site.repository("app"), old.repository("app"));
    for _ in 0..2 {
        let copied = copy((&from, "v1"), &to, with_referrers()).await.unwrap();
        assert_eq!(copied.count(Outcome::Present), copied.contents.len());
        assert_eq!(
            referrers(&to, &image).await,
            std::slice::from_ref(&signature)
        );
    }
}

#[tokio::test]
async fn a_copied_list_does_not_replace_the_target_s_own() {
    let site = Site::new();
    let settings = |builder: acr_mock::RegistryBuilder| builder.referrers_api(false);
    let old = site.elsewhere("old.example.com", settings);
    let older = site.elsewhere("older.example.com", settings);
    let image = seed_image(&older.seed("app"), Some("v1"), "app", 1);
    let from = older.repository("app");
    let sign = async |repository, kind: &str| {
        let artifact = Artifact::new(kind);
        let attached = attach(repository, "v1", artifact, AttachOptions::default());
        attached.await.unwrap().digest
    };
    let mut all = vec![sign(&from, "application/first").await];
    let options = CopyOptions {
        signature_tags: true,
        ..CopyOptions::default()
    };
    copy((&from, "v1"), &old.repository("app"), options.clone())
        .await
        .unwrap();
    all.push(sign(&old.repository("app"), "application/second").await);
    all.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    // Of another process, which knows nothing of the registry.
    let to = old.repository("app");
    copy((&from, "v1"), &to, options).await.unwrap();
    assert_eq!(referrers(&to, &image.digest).await, all);
}

#[test]
fn pulls_into_one_folder_through_several_layouts_lose_no_image() {
    const THREADS: usize = 4;
    const IMAGES: usize = 8;
    let folder = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let folder = folder.path();
            scope.spawn(move || {
                let site = Site::new();
                let seed = site.seed("app");
                let app = site.repository("app");
                for image in 0..IMAGES {
                    let name = format!("{thread}-{image}");
                    seed_image(&seed, Some(&name), &name, 1);
                    let layout = Layout::create(folder).unwrap();
                    let pulled = pull((&app, &*name), &layout, CopyOptions::default());
                    site.drive(pulled).unwrap();
                }
            });
        }
    });
    let layout = Layout::open(folder.path()).unwrap();
    assert_eq!(layout.images().unwrap().len(), THREADS * IMAGES);
}

#[tokio::test]
async fn a_list_that_no_layout_can_have_is_not_written() {
    let site = Site::new();
    seed_image(&site.seed("app"), Some("v1"), "app", 1);
    let (_folder, layout) = new_layout();
    // Just as much as is read again, so that there is no room for another image.
    let room = "x".repeat((64 << 20) - 200);
    let index = format!(r#"{{"schemaVersion":2,"manifests":[],"annotations":{{"a":"{room}"}}}}"#);
    std::fs::write(layout.path().join("index.json"), index).unwrap();
    let app = site.repository("app");
    let pulled = pull((&app, "v1"), &layout, CopyOptions::default()).await;
    let error = pulled.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error:?}");
    assert!(layout.images().unwrap().is_empty());
}

#[tokio::test]
async fn what_was_pulled_with_its_referrers_is_pushed_under_another_tag() {
    let site = Site::new();
    let seed = site.seed("app");
    let image = seed_image(&seed, Some("v1"), "app", 1);
    let signature = seed.artifact(&image.digest, SIGNATURE).unwrap();
    let (_folder, layout) = new_layout();
    pull((&site.repository("app"), "v1"), &layout, with_referrers())
        .await
        .unwrap();
    let to = site.other().repository("app");
    push(&layout, (&to, "prod"), with_referrers())
        .await
        .unwrap();
    assert_eq!(referrers(&to, &image.digest).await, [signature.digest]);
    assert_eq!(to.resolve("prod").await.unwrap().digest, image.digest);
}

#[tokio::test]
async fn a_manifest_of_schema_1_is_no_image_without_layers() {
    let (folder, layout) = new_layout();
    let text = r#"{"schemaVersion":1,"name":"app","tag":"v1","fsLayers":[{"blobSum":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]}"#;
    let media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let image = super::write_blob(layout.path(), media_type.into(), text);
    super::write_index(layout.path(), &[image]);
    let archive = Layout::create_tar(folder.path().join("app.tar"));
    let error = copy(&layout, &archive, CopyOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
}

#[tokio::test]
async fn an_image_that_was_first_pulled_by_its_digest_has_its_tag_too() {
    let site = Site::new();
    let image = seed_image(&site.seed("app"), Some("v1"), "app", 1);
    let app = site.repository("app");
    let (_folder, layout) = new_layout();
    for reference in [image.digest.as_str(), "v1"] {
        let options = CopyOptions::default();
        pull((&app, reference), &layout, options).await.unwrap();
    }
    let far = site.other().repository("far");
    let copied = copy(&layout, &far, CopyOptions::default()).await.unwrap();
    assert_eq!(copied.images[0].name.as_deref(), Some("v1"));
    assert!(far.head_manifest("v1").await.unwrap().is_some());
}
