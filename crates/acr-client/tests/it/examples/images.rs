//! The examples `push_image` and `pull_image` on one registry.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use acr_mock::Registry;

use super::{Running, fixture};

const NAME: &str = "samples/app";

fn push(mock: &Running, image: &str, tag: &str) -> String {
    let folder = fixture(image);
    mock.run("push_image", &[folder.to_str().unwrap(), NAME, tag])
}

/// The blobs and manifests of a layout, by their digests without the algorithm.
fn blobs(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder.join("blobs/sha256")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read(&path).unwrap())
        })
        .collect()
}

#[test]
fn what_is_pulled_is_what_was_pushed() {
    let mock = Running::start(Registry::builder());
    for image in ["v1", "docker-v2"] {
        push(&mock, image, image);
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().to_str().unwrap();
        mock.run("pull_image", &[NAME, image, files]);
        assert_eq!(blobs(folder.path()), blobs(&fixture(image)), "{image}");
        let archive = folder.path().join("image.tar");
        mock.run("pull_image", &[NAME, image, archive.to_str().unwrap()]);
        mock.run("push_image", &[archive.to_str().unwrap(), NAME, "tar"]);
        // The layout can be pushed again, and is the same image.
        let again = mock.run("push_image", &[files, NAME, "again"]);
        assert!(
            again.contains("1 blobs and manifests sent, 8 present"),
            "{again}"
        );
    }
    let platform = tempfile::tempdir().unwrap();
    let files = platform.path().to_str().unwrap();
    let pulled = mock.run("pull_image", &[NAME, "v1", files, "linux", "amd64"]);
    // A manifest, a config and two layers.
    assert_eq!(blobs(platform.path()).len(), 4);
    let by_digest = tempfile::tempdir().unwrap();
    let digest = pulled.split(' ').next().unwrap();
    assert!(digest.starts_with("sha256:"), "{pulled}");
    let files = by_digest.path().to_str().unwrap();
    mock.run("pull_image", &[NAME, digest, files]);
    assert_eq!(blobs(by_digest.path()), blobs(platform.path()));
}

#[test]
fn what_cannot_be_pulled_or_pushed_is_named() {
    let mock = Running::start(Registry::builder());
    push(&mock, "v1", "v1");
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().to_str().unwrap();
    let error = mock.fail("pull_image", &[NAME, "v1", files, "plan9", "mips"]);
    assert!(error.contains("plan9/mips"), "{error}");
    let error = mock.fail("pull_image", &[NAME, "v9", files]);
    assert!(error.contains("NotFound"), "{error}");

    let error = mock.fail("push_image", &["no/such/folder", NAME, "v1"]);
    assert!(error.contains("no/such/folder"), "{error}");
    mock.run("pull_image", &[NAME, "v1", files]);
    for (digest, bytes) in blobs(folder.path()) {
        let file = folder.path().join("blobs/sha256").join(&digest);
        fs::write(&file, "other bytes").unwrap();
        let other = format!("samples/{}", &digest[..8]);
        let error = mock.fail("push_image", &[files, &other, "v1"]);
        assert!(error.contains(&digest), "{digest}: {error}");
        fs::write(&file, bytes).unwrap();
    }
}

#[test]
fn a_push_sends_only_the_blobs_that_are_missing() {
    let mock = Running::start(Registry::builder());
    for (image, expected) in [
        ("v1", "9 blobs and manifests sent, 0 present"),
        ("v1", "0 blobs and manifests sent, 9 present"),
        ("v2", "7 blobs and manifests sent, 2 present"),
    ] {
        let output = push(&mock, image, image);
        assert!(output.contains(expected), "{image}: {output}");
    }
}
