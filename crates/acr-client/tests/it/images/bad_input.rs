//! Layouts and images that somebody else has made wrong, by mistake or on purpose.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use acr_client::image::{CopyOptions, Layout, copy, push};
use acr_client::{
    Descriptor, Digest, Error, ErrorKind, ImageIndex, ImageManifest, Manifest, MediaType,
};
use tar::{Builder, EntryType, Header};

use super::site::Site;
use super::{new_layout, write_blob, write_index, write_layout};

/// Pushes a layout; returns the error, and what was written to the registry before it.
async fn push_fails(layout: &Path) -> (Error, Vec<String>) {
    let site = Site::new();
    let app = site.repository("app");
    let error = match Layout::open(layout) {
        Err(error) => error,
        Ok(layout) => push(&layout, (&app, "v1"), CopyOptions::default())
            .await
            .unwrap_err(),
    };
    assert!(app.head_manifest("v1").await.unwrap().is_none());
    let requests = site.requests().into_iter();
    let written = requests.filter(|r| !r.starts_with("HEAD") && !r.starts_with("GET"));
    (error, written.collect())
}

/// A layout in a folder, changed by `spoil`; returns the error of a push of it, before which nothing was written.
async fn refused(spoil: impl FnOnce(&Path, &Descriptor, &Descriptor)) -> Error {
    let folder = tempfile::tempdir().unwrap();
    let (layer, image) = write_layout(folder.path());
    spoil(folder.path(), &layer, &image);
    let (error, written) = push_fails(folder.path()).await;
    assert!(written.is_empty(), "{written:?}");
    error
}

fn file(folder: &Path, content: &Descriptor) -> PathBuf {
    folder.join("blobs/sha256").join(content.digest.hex())
}

#[tokio::test]
async fn a_layout_without_an_index_or_a_version_is_refused() {
    for name in ["index.json", "oci-layout"] {
        let error = refused(|folder, _, _| fs::remove_file(folder.join(name)).unwrap()).await;
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let text = error.to_string();
        assert!(
            text.contains(name) && text.contains("no OCI image layout"),
            "{text}"
        );
    }
    let error = Layout::open("no/such/folder").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("no/such/folder"), "{error}");
}

#[tokio::test]
async fn a_blob_of_another_length_is_refused_before_anything_is_written() {
    let error =
        refused(|folder, layer, _| fs::write(file(folder, layer), "longer than it is").unwrap());
    let error = error.await;
    assert_eq!(error.kind(), ErrorKind::DigestMismatch);
    assert!(
        error
            .to_string()
            .contains("17 bytes, but its descriptor says 9"),
        "{error}"
    );
    let error = refused(|folder, layer, _| fs::remove_file(file(folder, layer)).unwrap()).await;
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn content_of_another_digest_is_never_put_under_it() {
    let error = refused(|folder, _, image| {
        let mut bytes = fs::read(file(folder, image)).unwrap();
        bytes.reverse();
        fs::write(file(folder, image), bytes).unwrap();
    });
    assert_eq!(error.await.kind(), ErrorKind::DigestMismatch);

    let folder = tempfile::tempdir().unwrap();
    let (layer, _) = write_layout(folder.path());
    fs::write(file(folder.path(), &layer), "THE LAYER").unwrap();
    let (error, written) = push_fails(folder.path()).await;
    assert_eq!(error.kind(), ErrorKind::DigestMismatch);
    assert!(
        !written
            .iter()
            .any(|request| request.contains("/manifests/")),
        "{written:?}"
    );
}

#[tokio::test]
async fn a_path_that_leaves_the_layout_is_refused() {
    for digest in ["../../x:../../../etc/passwd", "sha256:../../x", "../..:x"] {
        let error = refused(|folder, _, image| {
            let index = fs::read_to_string(folder.join("index.json")).unwrap();
            let index = index.replace(image.digest.as_str(), digest);
            fs::write(folder.join("index.json"), index).unwrap();
        });
        let error = error.await;
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("is not a digest"), "{error}");
    }
    let error = refused(|folder, _, _| {
        let digest = Digest::new("md5:x").unwrap();
        let image = Descriptor::new(MediaType::OCI_MANIFEST, digest, 1);
        write_index(folder, &[image]);
    });
    assert!(error.await.to_string().contains("cannot be verified"));
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_that_leaves_the_layout_is_refused_and_not_written_through() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, "the layer").unwrap();
    let error = refused(|folder, layer, _| {
        fs::remove_file(file(folder, layer)).unwrap();
        symlink(&secret, file(folder, layer)).unwrap();
    });
    let error = error.await;
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(
        error.to_string().contains("outside of the layout"),
        "{error}"
    );

    // A link within it does no harm.
    let folder = tempfile::tempdir().unwrap();
    let (layer, _) = write_layout(folder.path());
    fs::rename(file(folder.path(), &layer), folder.path().join("elsewhere")).unwrap();
    symlink("../../elsewhere", file(folder.path(), &layer)).unwrap();
    let site = Site::new();
    let layout = Layout::open(folder.path()).unwrap();
    push(
        &layout,
        (&site.repository("app"), "v1"),
        CopyOptions::default(),
    )
    .await
    .unwrap();

    fs::remove_dir_all(folder.path().join("blobs")).unwrap();
    symlink(outside.path(), folder.path().join("blobs")).unwrap();
    let pulled = copy(
        (&site.repository("app"), "v1"),
        &layout,
        CopyOptions::default(),
    )
    .await;
    assert_eq!(pulled.unwrap_err().kind(), ErrorKind::InvalidInput);
    let outside = fs::read_dir(outside.path()).unwrap();
    assert_eq!(outside.count(), 1, "the secret, and no folder beside it");
}

#[tokio::test]
async fn an_index_that_names_itself_ends() {
    // By its true digest none can, so one lies.
    let lie = Digest::sha256("a lie");
    let error = refused(|folder, _, _| {
        let itself = Descriptor::new(MediaType::OCI_INDEX, lie.clone(), 0);
        let index = Manifest::try_from(&ImageIndex::new(vec![itself.clone()])).unwrap();
        fs::write(file(folder, &itself), &index.bytes).unwrap();
        write_index(folder, &[itself]);
    });
    assert_eq!(error.await.kind(), ErrorKind::DigestMismatch);
}

#[tokio::test]
async fn a_manifest_of_more_than_4_mib_and_an_index_of_more_than_64_are_not_read() {
    let error = refused(|folder, _, _| {
        let bytes = vec![b' '; (4 << 20) + 1];
        let image = write_blob(folder, MediaType::OCI_MANIFEST, bytes);
        write_index(folder, &[image]);
    });
    assert_eq!(error.await.kind(), ErrorKind::TooLarge);
    let error = refused(|folder, _, _| {
        let index = File::create(folder.join("index.json")).unwrap();
        index.set_len((64 << 20) + 1).unwrap();
    });
    assert_eq!(error.await.kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn indexes_that_lie_too_deep_or_are_too_many_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let (_, mut image) = write_layout(folder.path());
    for _ in 0..5 {
        let index = Manifest::try_from(&ImageIndex::new(vec![image])).unwrap();
        image = write_blob(folder.path(), index.media_type, &index.bytes);
    }
    write_index(folder.path(), &[image]);
    let layout = Layout::open(folder.path()).unwrap();
    let site = Site::new();
    let app = site.repository("app");
    let options = |max_depth, max_manifests| CopyOptions {
        max_depth,
        max_manifests,
        ..CopyOptions::default()
    };
    for (options, name) in [
        (options(4, 6), "max_depth"),
        (options(5, 5), "max_manifests"),
    ] {
        let error = push(&layout, (&app, "v1"), options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.to_string().contains(name), "{error}");
    }
    assert!(site.requests().is_empty());
    push(&layout, (&app, "v1"), options(5, 6)).await.unwrap();
}

#[tokio::test]
async fn a_size_that_is_not_the_descriptor_s_is_refused_from_a_registry_too() {
    let site = Site::new();
    let seed = site.seed("app");
    let config = seed.blob(MediaType::OCI_CONFIG, "{}");
    let mut layer = seed.blob(MediaType::OCI_LAYER_GZIP, "the layer");
    layer.size += 1;
    let image = Manifest::try_from(&ImageManifest::new(config, vec![layer])).unwrap();
    seed.manifest(Some("v1"), &image).unwrap();
    let mut child = image.descriptor();
    child.size += 1;
    let index = Manifest::try_from(&ImageIndex::new(vec![child])).unwrap();
    seed.manifest(Some("index"), &index).unwrap();
    let other = site.other();
    let (_folder, layout) = new_layout();
    for tag in ["v1", "index"] {
        let (from, to) = (site.repository("app"), other.repository("app"));
        let to_registry = copy((&from, tag), &to, CopyOptions::default()).await;
        let to_layout = copy((&from, tag), &layout, CopyOptions::default()).await;
        for error in [to_registry.unwrap_err(), to_layout.unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::DigestMismatch);
            assert!(
                error.to_string().contains("but its descriptor says"),
                "{error}"
            );
        }
        assert!(to.head_manifest(tag).await.unwrap().is_none());
    }
    assert!(layout.images().unwrap().is_empty());
}

/// An archive of an image, with one more entry; returns the error of opening it.
fn archive(path: &str, kind: EntryType, link: Option<&str>) -> Option<Error> {
    let folder = tempfile::tempdir().unwrap();
    write_layout(folder.path());
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut tar = Builder::new(File::create(file.path()).unwrap());
    tar.append_dir_all(".", folder.path()).unwrap();
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    // The crate would refuse some of these paths.
    header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
    if let Some(link) = link {
        header.set_link_name_literal(link).unwrap();
    }
    header.set_size(0);
    header.set_cksum();
    tar.append(&header, std::io::empty()).unwrap();
    tar.finish().unwrap();
    Layout::open(file.path()).err()
}

#[test]
fn an_archive_with_links_with_dots_or_with_a_path_twice_is_refused() {
    use EntryType::{Block, Directory, Link, Regular, Symlink};
    assert!(archive("manifest.json", Regular, None).is_none());
    assert!(archive("blobs/sha512", Directory, None).is_none());
    for (path, kind, link, reason) in [
        ("blobs/sha256/x", Symlink, Some("/etc/passwd"), "is a link"),
        ("blobs/sha256/x", Link, Some("index.json"), "is a link"),
        ("elsewhere", Symlink, Some("x"), "is a link"),
        ("blobs/sha256/x", Block, None, "neither a file"),
        ("../index.json", Regular, None, "leaves the layout"),
        ("blobs/../../x", Regular, None, "leaves the layout"),
        ("/index.json", Regular, None, "leaves the layout"),
        ("index.json", Regular, None, "is there twice"),
        ("./blobs/../index.json", Regular, None, "leaves the layout"),
    ] {
        let error = archive(path, kind, link).unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{path}");
        let text = error.to_string();
        assert!(text.contains(reason) && text.contains(path), "{text}");
    }
}

#[tokio::test]
async fn an_archive_that_was_cut_off_or_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_layout(folder.path());
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut tar = Builder::new(File::create(file.path()).unwrap());
    tar.append_dir_all(".", folder.path()).unwrap();
    tar.finish().unwrap();
    let whole = fs::read(file.path()).unwrap();
    // Of the last block, padding may be missing; the end of the archive is two blocks more.
    for length in (0..=whole.len() - 3 * 512).step_by(256) {
        fs::write(file.path(), &whole[..length]).unwrap();
        // Where the end is missing, what is missing is told when it is wanted.
        let (error, written) = push_fails(file.path()).await;
        assert!(written.is_empty(), "{length}: {written:?}");
        let kinds = [ErrorKind::InvalidInput, ErrorKind::NotFound];
        assert!(kinds.contains(&error.kind()), "{length}: {error:?}");
    }
}

#[test]
fn a_file_that_is_no_archive_is_refused_without_a_word_of_its_content() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for (content, told) in [
        (
            &b"the password is hunter2 "[..],
            "is not a tar archive, or a damaged one",
        ),
        (b"\x1f\x8bhunter2", "is compressed with gzip"),
        (b"\x28\xb5\x2f\xfdhunter2", "is compressed with zstd"),
    ] {
        fs::write(file.path(), content.repeat(100)).unwrap();
        let error = Layout::open(file.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(told), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn what_docker_save_wrote_is_told_from_a_file_that_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("manifest.json"), "[]").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut tar = Builder::new(File::create(file.path()).unwrap());
    tar.append_dir_all(".", folder.path()).unwrap();
    tar.finish().unwrap();
    let error = Layout::open(file.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("docker-archive:"), "{error}");
}
