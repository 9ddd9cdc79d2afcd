//! The example `clean_up`: what it deletes, and what it must not.

use acr_client::{
    ChangeableAttributes, Descriptor, ImageIndex, ImageManifest, Manifest, MediaType,
    RepositoryClient,
};
use acr_mock::Registry;

use super::{Running, fixture};

const NAME: &str = "samples/app";

fn push(mock: &Running, image: &str, tag: &str) {
    let folder = fixture(image);
    mock.run("push_image", &[folder.to_str().unwrap(), NAME, tag]);
}

/// Sets the signature of an image, which has no tag.
async fn sign(repository: &RepositoryClient, image: &Manifest) -> Manifest {
    let mut config = repository.upload_blob(b"{}").await.unwrap();
    config.media_type = MediaType::OCI_EMPTY;
    let signature = ImageManifest::new(config, Vec::<Descriptor>::new());
    let signature = Manifest::try_from(&signature.with_subject(image.descriptor())).unwrap();
    let digest = &signature.digest;
    repository.set_manifest(digest, &signature).await.unwrap();
    signature
}

#[tokio::test]
async fn what_belongs_to_the_newest_images_stays() {
    let mock = Running::start(Registry::builder());
    let repository = mock.client().repository_client(NAME).unwrap();
    let mut signatures = Vec::new();
    let mut roots = Vec::new();
    for image in ["v1", "v2", "v3"] {
        push(&mock, image, image);
        let root = repository.get_manifest(image).await.unwrap();
        // Neither a signature nor the manifest of a platform has a tag.
        signatures.push(sign(&repository, &root).await.digest);
        roots.push(root);
    }
    // Two tags are one image, and an old image that is tagged anew is new.
    push(&mock, "v1", "stable");
    push(&mock, "v3", "latest");
    let output = mock.run("clean_up", &[NAME, "--newest", "2", "--yes"]);
    let deleted = deleted(&output);
    let place = |digest: &str| deleted.iter().position(|deleted| *deleted == digest);
    let index = place(roots[1].digest.as_str()).expect("v2 is the oldest");
    assert!(place(signatures[1].as_str()).unwrap() < index);
    assert_eq!(deleted.len(), 4, "{output}");
    for child in roots[1].references().unwrap() {
        assert!(place(child.digest.as_str()).unwrap() > index);
    }
    for (root, signature) in roots.iter().zip(&signatures) {
        let kept = usize::from(root != &roots[1]);
        assert_eq!(count(&repository, root.digest.as_str()).await, kept);
        assert_eq!(count(&repository, signature.as_str()).await, kept);
        for child in root.references().unwrap() {
            assert_eq!(count(&repository, child.digest.as_str()).await, kept);
        }
    }
}

#[tokio::test]
async fn an_index_is_deleted_before_what_it_refers_to() {
    let mock = Running::start(Registry::builder());
    let repository = mock.client().repository_client(NAME).unwrap();
    let images = mock.server.seed(NAME).unwrap();
    let (leaf, gone) = (images.image("a").unwrap(), images.image("b").unwrap());
    let mut expected = vec![leaf.digest.to_string()];
    let mut children = vec![leaf.descriptor(), gone.descriptor()];
    for tag in ["inner", "outer"] {
        let index = Manifest::try_from(&ImageIndex::new(children)).unwrap();
        repository.set_manifest(tag, &index).await.unwrap();
        children = vec![index.descriptor()];
        expected.insert(0, index.digest.to_string());
    }
    // A child that is not there changes nothing.
    repository.delete_manifest(&gone.digest).await.unwrap();
    images.image("newest").unwrap();
    assert_eq!(
        deleted(&mock.run("clean_up", &[NAME, "--newest", "1", "--yes"])),
        expected
    );
}

#[tokio::test]
async fn what_is_untagged_stays_where_an_image_needs_it_or_a_lock_holds_it() {
    let mock = Running::start(Registry::builder());
    let repository = mock.client().repository_client(NAME).unwrap();
    let images = mock.server.seed(NAME).unwrap();
    let moved = images.index("v1").unwrap();
    let orphan = sign(&repository, &moved).await;
    let current = images.index("v1").unwrap();
    let signature = sign(&repository, &current).await;
    let locked = images.untagged_image().unwrap();
    let lock = ChangeableAttributes::LOCKED;
    let lock = repository.update_manifest_properties(&locked.digest, lock);
    lock.await.unwrap();
    let alone = images.untagged_image().unwrap();

    let mut expected = vec![orphan.digest, alone.digest, moved.digest.clone()];
    expected.extend(
        moved
            .references()
            .unwrap()
            .into_iter()
            .map(|child| child.digest),
    );
    // Nothing goes that is younger, and nothing without the word for it.
    for arguments in [&["--untagged", "1", "--yes"][..], &["--untagged", "0"], &[]] {
        let output = mock.run("clean_up", &[&[NAME], arguments].concat());
        assert!(deleted(&output).is_empty(), "{arguments:?}: {output}");
        let planned = output.matches("would be deleted with --yes").count();
        let all = if arguments == ["--untagged", "0"] {
            expected.len()
        } else {
            0
        };
        assert_eq!(planned, all, "{arguments:?}: {output}");
    }
    let output = mock.run("clean_up", &[NAME, "--untagged", "0", "--yes"]);
    let mut deleted = deleted(&output);
    deleted.sort_unstable();
    let mut expected: Vec<&str> = expected.iter().map(|digest| digest.as_str()).collect();
    expected.sort_unstable();
    assert_eq!(deleted, expected);
    for kept in [&current, &signature, &locked] {
        assert_eq!(count(&repository, kept.digest.as_str()).await, 1);
    }
}

#[tokio::test]
async fn signatures_under_tags_count_as_no_image_and_go_with_theirs() {
    let mock = Running::start(Registry::builder());
    let repository = mock.client().repository_client(NAME).unwrap();
    let images = mock.server.seed(NAME).unwrap();
    let (old, new) = (images.image("v1").unwrap(), images.image("v2").unwrap());
    let mut signatures = Vec::new();
    for image in [&new, &old] {
        let tag = format!("{}.sig", image.digest.as_str().replace(':', "-"));
        // Each with content of its own.
        let wrapped = ImageIndex::new(vec![image.descriptor()]);
        let signature = Manifest::try_from(&wrapped).unwrap();
        repository
            .set_manifest(tag.as_str(), &signature)
            .await
            .unwrap();
        signatures.push(signature.digest.to_string());
    }
    let output = mock.run("clean_up", &[NAME, "--newest", "1", "--yes"]);
    assert_eq!(deleted(&output), [&signatures[1], old.digest.as_str()]);
}

#[test]
fn an_option_that_is_not_understood_deletes_nothing() {
    let mock = Running::start(Registry::builder());
    mock.server.seed(NAME).unwrap().image("v1").unwrap();
    let error = mock.fail("clean_up", &[NAME, "--newest", "0", "--yes", "--dry-run"]);
    assert!(error.contains("unknown option --dry-run"), "{error}");
    mock.fail("clean_up", &[NAME, "--yes", "--newest"]);
    mock.fail("clean_up", &[NAME, "--yes", "--newest", "-1"]);
    assert_eq!(mock.server.statistics().manifests, 1);
}

/// The digests of what the clean-up has deleted, in order.
fn deleted(output: &str) -> Vec<&str> {
    let lines = output.lines();
    lines
        .filter_map(|line| line.strip_suffix("  deleted"))
        .collect()
}

async fn count(repository: &RepositoryClient, digest: &str) -> usize {
    usize::from(repository.get_manifest(digest).await.is_ok())
}
