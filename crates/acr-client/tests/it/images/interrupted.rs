//! Copies that are dropped, that run at the same time, or that are refused half-way.

use std::fs;
use std::pin::pin;
use std::task::Poll;

use acr_client::image::{CopyOptions, Layout, copy, pull, push};

use acr_client::{
    ChangeableAttributes, Descriptor, ErrorKind, ImageManifest, Manifest, MediaType, Outcome,
};
use acr_mock::RepositorySeed;

use super::site::Site;
use super::{contents, new_layout, seed_image, seed_index, write_blob, write_index};

/// Polls a future so many times; `None` where it was not ready then.
async fn polled<F: Future>(work: F, times: usize) -> Option<F::Output> {
    let mut work = pin!(work);
    let mut left = times;
    std::future::poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(cx).map(Some)
    })
    .await
}

#[tokio::test]
async fn a_copy_that_was_dropped_at_any_moment_leaves_no_tag_and_can_be_repeated() {
    let site = Site::new();
    seed_index(&site.seed("app"), "v1", &["linux/amd64", "linux/arm64"]);
    let app = site.repository("app");
    let expected = contents(&app, "v1").await;
    for times in 0.. {
        let (near, far) = (format!("near{times}"), site.other());
        let (near, far) = (site.repository(&near), far.repository("far"));
        let (_folder, layout) = new_layout();
        let tar = _folder.path().join("app.tar");
        let archive = Layout::create_tar(&tar);
        let options = || CopyOptions {
            concurrency: 2,
            ..CopyOptions::default()
        };
        let mut ready = true;
        for to in [&near, &far] {
            let done = polled(copy((&app, "v1"), to, options()), times).await;
            ready &= done.is_some();
            if done.is_none() && to.head_manifest("v1").await.unwrap().is_some() {
                assert_eq!(contents(to, "v1").await, expected, "{times}");
            }
            copy((&app, "v1"), to, options()).await.unwrap();
            assert_eq!(contents(to, "v1").await, expected, "{times}");
        }
        let done = polled(pull((&app, "v1"), &layout, options()), times).await;
        ready &= done.is_some();
        if done.is_none() {
            assert!(layout.images().unwrap().is_empty(), "{times}");
        }
        pull((&app, "v1"), &layout, options()).await.unwrap();
        let done = polled(copy(&layout, &archive, options()), times).await;
        ready &= done.is_some();
        assert_eq!(tar.exists(), done.is_some(), "{times}");
        drop(archive);
        let files = fs::read_dir(_folder.path()).unwrap().count();
        assert_eq!(files, 1 + usize::from(done.is_some()), "{times}");
        push(&layout, (&far, "v2"), options()).await.unwrap();
        assert_eq!(contents(&far, "v2").await, expected, "{times}");
        if ready {
            assert!(times > 3);
            break;
        }
    }
}

#[tokio::test]
async fn two_copies_at_once_to_one_target_both_arrive() {
    let site = Site::new();
    let seed = site.seed("app");
    seed_index(&seed, "v1", &["linux/amd64", "linux/arm64"]);
    seed_index(&seed, "v2", &["linux/amd64", "linux/s390x"]);
    let app = site.repository("app");
    let (folder, layout) = new_layout();
    let same = Layout::open(layout.path()).unwrap();
    let far = site.other().repository("app");
    let options = CopyOptions::default;
    let done = tokio::join!(
        copy((&app, "v1"), &far, options()),
        copy((&app, "v2"), &far, options()),
        copy((&app, "v1"), &far, options()),
        pull((&app, "v1"), &layout, options()),
        pull((&app, "v2"), &layout, options()),
        pull((&app, "v2"), &same, options()),
    );
    for copied in [done.0, done.1, done.2, done.3, done.4, done.5] {
        copied.unwrap();
    }
    let back = site.other().repository("back");
    for tag in ["v1", "v2"] {
        let expected = contents(&app, tag).await;
        assert_eq!(contents(&far, tag).await, expected);
        push(&layout, (&back, tag), options()).await.unwrap();
        assert_eq!(contents(&back, tag).await, expected);
    }
    drop(folder);
}

fn seed_odd(seed: &RepositorySeed) -> Manifest {
    let one = seed.blob(MediaType::OCI_CONFIG, "{}");
    let empty = seed.blob(MediaType::OCI_LAYER, "");
    let image = ImageManifest::new(one.clone(), vec![empty.clone(), one.clone(), empty, one]);
    let image = Manifest::try_from(&image).unwrap();
    seed.manifest(Some("v1"), &image).unwrap()
}

#[tokio::test]
async fn empty_and_repeated_blobs_are_carried_once() {
    let site = Site::new();
    seed_odd(&site.seed("app"));
    let app = site.repository("app");
    let (folder, layout) = new_layout();
    let archive = Layout::create_tar(folder.path().join("app.tar"));
    for to in [&layout, &archive] {
        let copied = pull((&app, "v1"), to, CopyOptions::default()).await;
        assert_eq!(copied.unwrap().count(Outcome::Received), 3);
    }
    let archive = Layout::open(archive.path()).unwrap();
    for from in [&layout, &archive] {
        let far = site.other().repository("far");
        let copied = push(from, (&far, "v1"), CopyOptions::default()).await;
        assert_eq!(copied.unwrap().count(Outcome::Sent), 3);
        assert_eq!(contents(&far, "v1").await, contents(&app, "v1").await);
    }
}

#[tokio::test]
async fn a_locked_tag_stays_and_is_a_typed_error() {
    let site = Site::new();
    seed_image(&site.seed("app"), Some("v1"), "app", 1);
    let far_site = site.other();
    let old = seed_image(&far_site.seed("far"), Some("v1"), "old", 1);
    let (app, far) = (site.repository("app"), far_site.repository("far"));
    let locked = ChangeableAttributes::default().can_write(false);
    far.update_tag_properties("v1", locked).await.unwrap();
    let error = copy((&app, "v1"), &far, CopyOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disallowed, "{error:?}");
    assert_eq!(far.resolve("v1").await.unwrap().digest, old.digest);
}

#[tokio::test]
async fn a_copy_between_layouts_gives_way_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let config = write_blob(path, MediaType::OCI_CONFIG, "{}");
    let layer = write_blob(path, MediaType::OCI_LAYER, vec![0; 8 << 20]);
    let image = Manifest::try_from(&ImageManifest::new(config, vec![layer])).unwrap();
    let image = write_blob(path, image.media_type, &image.bytes);
    write_index(path, &[image]);
    let from = Layout::open(path).unwrap();
    let to = tempfile::tempdir().unwrap();
    for to in [
        Layout::create(to.path().join("layout")).unwrap(),
        Layout::create_tar(to.path().join("app.tar")),
    ] {
        let work = copy(&from, &to, CopyOptions::default());
        assert!(polled(work, 8).await.is_none());
    }
}

#[tokio::test]
async fn an_index_that_says_it_is_an_image_is_not_copied_without_its_images() {
    let site = Site::new();
    let index = seed_index(&site.seed("app"), "v1", &["linux/amd64"]);
    let (folder, layout) = new_layout();
    pull(
        (&site.repository("app"), "v1"),
        &layout,
        CopyOptions::default(),
    )
    .await
    .unwrap();
    let says = Descriptor::new(
        MediaType::OCI_MANIFEST,
        index.digest.clone(),
        index.bytes.len() as u64,
    );
    write_index(layout.path(), &[says]);
    let archive = Layout::create_tar(folder.path().join("app.tar"));
    let error = copy(&layout, &archive, CopyOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
    assert!(!archive.path().exists());
}

#[tokio::test]
async fn a_name_that_no_tag_can_be_is_refused_before_other_images_are_written() {
    let site = Site::new();
    let seed = site.seed("app");
    seed_image(&seed, Some("a"), "a", 1);
    let app = site.repository("app");
    let (_folder, layout) = new_layout();
    let options = CopyOptions::default;
    pull((&app, "a"), &layout, options()).await.unwrap();
    copy((&app, "a"), (&layout, "example.com/a:b"), options())
        .await
        .unwrap();
    let all = CopyOptions {
        all_tags: true,
        ..options()
    };
    let far_site = site.other();
    let error = copy(&layout, &far_site.repository("far"), all)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
    assert_eq!(far_site.requests(), [""; 0]);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_no_archive_and_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let error = Layout::open(&pipe).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
}

#[test]
fn a_registry_without_tokens_for_two_repositories_is_streamed_to() {
    let site = Site::new().with_narrow_tokens();
    seed_image(&site.seed("app"), Some("v1"), "app", 2);
    let (app, near) = (site.repository("app"), site.repository("near"));
    let copied = site.drive(copy((&app, "v1"), &near, CopyOptions::default()));
    assert_eq!(copied.unwrap().count(Outcome::Sent), 4);
}

#[test]
fn blobs_whose_length_no_server_says_are_held_against_their_descriptor() {
    for wrong in [0, 1, -1] {
        let site = Site::new().without_lengths();
        let seed = site.seed("app");
        let config = seed.blob(MediaType::OCI_CONFIG, "{}");
        let mut layer = seed.blob(MediaType::OCI_LAYER, "the layer");
        layer.size = layer.size.saturating_add_signed(wrong);
        let image = Manifest::try_from(&ImageManifest::new(config, vec![layer])).unwrap();
        seed.manifest(Some("v1"), &image).unwrap();
        let app = site.repository("app");
        let (folder, layout) = new_layout();
        let archive = Layout::create_tar(folder.path().join("app.tar"));
        let far = site.other().repository("far");
        let options = CopyOptions::default;
        let copies = [
            site.drive(copy((&app, "v1"), &layout, options())),
            site.drive(copy((&app, "v1"), &archive, options())),
            site.drive(copy((&app, "v1"), &far, options())),
        ];
        for copied in copies {
            assert_eq!(copied.is_ok(), wrong == 0, "{wrong}: {copied:?}");
        }
        assert_eq!(layout.images().unwrap().is_empty(), wrong != 0);
        let tagged = site.drive(far.head_manifest("v1")).unwrap();
        assert_eq!(tagged.is_some(), wrong == 0);
        assert_eq!(archive.path().exists(), wrong == 0);
    }
}
