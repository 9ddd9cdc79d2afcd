//! Locks, as a user sets, meets and removes them.

use std::time::Duration;

use acr_client::models::ErrorCode;
use acr_client::{
    Advice, ArtifactTagOrder, ChangeableAttributes, Error, ErrorKind, Manifest, RepositoryClient,
};

use crate::suite::backend::{Backend, Served, on_every_backend};

on_every_backend! {
    a_locked_tag_is_neither_moved_nor_deleted_until_it_is_unlocked
    a_tag_that_must_not_be_deleted_can_be_moved
    a_locked_manifest_is_not_deleted_until_it_is_unlocked
    a_locked_repository_takes_no_write_until_it_is_unlocked
    a_repository_with_something_locked_in_it_is_not_deleted
    a_read_lock_keeps_content_and_not_properties
    a_list_lock_hides_from_lists_and_not_from_reads
    an_update_changes_what_it_names_and_nothing_else
    a_lock_is_no_change_of_the_item
    what_was_read_can_be_restored
    a_purge_goes_on_past_what_is_locked
}

/// A repository with the tags `v1` and `also` of one image, and `other` of another; and the two.
fn app(backend: Backend) -> (Served, RepositoryClient, Manifest, Manifest) {
    let served = Served::on(backend, |builder| builder);
    let seed = served.seed("samples/app");
    let image = seed.image("v1").unwrap();
    seed.manifest(Some("also"), &image).unwrap();
    let other = seed.image("other").unwrap();
    let app = served.repository("samples/app");
    (served, app, image, other)
}

const LOCKED: ChangeableAttributes = ChangeableAttributes::LOCKED;
const UNLOCKED: ChangeableAttributes = ChangeableAttributes::UNLOCKED;

fn no_write() -> ChangeableAttributes {
    ChangeableAttributes::default().can_write(false)
}

fn no_delete() -> ChangeableAttributes {
    ChangeableAttributes::default().can_delete(false)
}

#[track_caller]
fn expect_disallowed<T: std::fmt::Debug>(result: Result<T, Error>) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disallowed, "{error}");
    assert_eq!(error.status().unwrap(), 405);
    let code = ErrorCode::REGISTRY_DISALLOWED_OPERATION;
    assert_eq!(error.code(), Some(&code));
    assert_eq!(error.advice(), Advice::Never);
    assert!(!error.is_retryable());
    assert_eq!(error.repository(), Some("samples/app"));
    assert!(error.request_id().is_some());
    assert!(error.to_string().contains("disallowed"), "{error}");
}

async fn a_locked_tag_is_neither_moved_nor_deleted_until_it_is_unlocked(backend: Backend) {
    let (_served, app, image, other) = app(backend);
    let locked = app.update_tag_properties("v1", LOCKED);
    let locked = locked.await.unwrap();
    assert!(locked.attributes.is_locked());
    expect_disallowed(app.set_manifest("v1", &other).await);
    expect_disallowed(app.set_manifest("v1", &image).await);
    expect_disallowed(app.delete_tag("v1").await);
    // The write switch alone keeps it from being deleted.
    let deletable = ChangeableAttributes::default().can_delete(true);
    app.update_tag_properties("v1", deletable).await.unwrap();
    expect_disallowed(app.delete_tag("v1").await);
    // Pulls and other tags of the same manifest go on.
    assert_eq!(app.get_manifest("v1").await.unwrap(), image);
    app.set_manifest("also", &other).await.unwrap();
    let unlocked = app.update_tag_properties("v1", UNLOCKED);
    let unlocked = unlocked.await.unwrap();
    assert!(!unlocked.attributes.is_locked());
    app.set_manifest("v1", &other).await.unwrap();
    assert!(app.delete_tag("v1").await.unwrap());
}

async fn a_tag_that_must_not_be_deleted_can_be_moved(backend: Backend) {
    let (_served, app, _, other) = app(backend);
    app.update_tag_properties("v1", no_delete()).await.unwrap();
    expect_disallowed(app.delete_tag("v1").await);
    app.set_manifest("v1", &other).await.unwrap();
    let moved = app.get_tag_properties("v1").await.unwrap();
    assert_eq!(moved.digest, other.digest);
    expect_disallowed(app.delete_tag("v1").await);
}

async fn a_locked_manifest_is_not_deleted_until_it_is_unlocked(backend: Backend) {
    let (_served, app, image, _) = app(backend);
    for switch in [no_write(), no_delete()] {
        app.update_manifest_properties(&image.digest, switch)
            .await
            .unwrap();
        expect_disallowed(app.delete_manifest(&image.digest).await);
        expect_disallowed(app.delete_manifest("v1").await);
        app.update_manifest_properties("v1", UNLOCKED)
            .await
            .unwrap();
    }
    assert!(app.delete_manifest(&image.digest).await.unwrap());
    assert_eq!(app.list_tags().collect_all().await.unwrap(), ["other"]);
}

async fn a_locked_repository_takes_no_write_until_it_is_unlocked(backend: Backend) {
    let (served, app, image, _) = app(backend);
    let client = served.owner();
    let layer = image.as_image().unwrap().layers[0].digest.clone();
    let mountable = served
        .seed("source")
        .blob("application/octet-stream", "content");
    let mut upload = app.start_upload().await.unwrap();
    app.update_repository_properties(no_write()).await.unwrap();

    expect_disallowed(app.set_manifest("fresh", &image).await);
    expect_disallowed(app.set_manifest(&image.digest, &image).await);
    expect_disallowed(app.upload_blob(b"content").await);
    expect_disallowed(upload.append("x").await);
    expect_disallowed(app.mount_blob(&mountable.digest, "source").await);
    expect_disallowed(app.delete_blob(&layer).await);
    expect_disallowed(app.delete_tag("v1").await);
    expect_disallowed(app.delete_manifest(&image.digest).await);
    expect_disallowed(app.delete_repository().await);
    expect_disallowed(client.delete_repository("samples/app").await);
    app.get_manifest("v1").await.unwrap();
    app.download_blob(&layer).await.unwrap();

    app.update_repository_properties(UNLOCKED).await.unwrap();
    upload.append("x").await.unwrap();
    let gone = app.delete_repository().await.unwrap().unwrap();
    assert_eq!(gone.deleted_tags, ["also", "other", "v1"]);
}

async fn a_repository_with_something_locked_in_it_is_not_deleted(backend: Backend) {
    let (served, app, image, _) = app(backend);
    let client = served.owner();
    app.update_tag_properties("v1", no_write()).await.unwrap();
    expect_disallowed(client.delete_repository("samples/app").await);
    app.update_tag_properties("v1", UNLOCKED).await.unwrap();
    app.update_manifest_properties(&image.digest, no_write())
        .await
        .unwrap();
    expect_disallowed(client.delete_repository("samples/app").await);
    app.update_manifest_properties(&image.digest, UNLOCKED)
        .await
        .unwrap();
    // The repository's own delete switch keeps nothing but itself.
    let keep = no_delete();
    app.update_repository_properties(keep).await.unwrap();
    expect_disallowed(client.delete_repository("samples/app").await);
    assert!(app.delete_tag("v1").await.unwrap());
    assert!(app.delete_manifest(&image.digest).await.unwrap());
    app.update_repository_properties(UNLOCKED).await.unwrap();
    let deleted = client.delete_repository("samples/app").await;
    assert!(deleted.unwrap().is_some());
}

async fn a_read_lock_keeps_content_and_not_properties(backend: Backend) {
    let (_served, app, image, _) = app(backend);
    let layer = image.as_image().unwrap().layers[0].digest.clone();
    let no_read = ChangeableAttributes::default().can_read(false);
    let read = ChangeableAttributes::default().can_read(true);

    app.update_tag_properties("v1", no_read).await.unwrap();
    expect_disallowed(app.get_manifest("v1").await);
    // A HEAD has no body to say why.
    let error = app.head_manifest("v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disallowed, "{error}");
    app.get_manifest("also").await.unwrap();
    app.get_tag_properties("v1").await.unwrap();
    app.update_tag_properties("v1", read).await.unwrap();

    app.update_manifest_properties(&image.digest, no_read)
        .await
        .unwrap();
    expect_disallowed(app.get_manifest("also").await);
    expect_disallowed(app.get_manifest(&image.digest).await);
    app.get_manifest_properties(&image.digest).await.unwrap();
    app.update_manifest_properties(&image.digest, read)
        .await
        .unwrap();

    app.update_repository_properties(no_read).await.unwrap();
    expect_disallowed(app.get_manifest("other").await);
    expect_disallowed(app.download_blob(&layer).await);
    let error = app.head_blob(&layer).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disallowed);
    app.get_repository_properties().await.unwrap();
    app.update_repository_properties(read).await.unwrap();
    app.get_manifest("other").await.unwrap();
}

async fn a_list_lock_hides_from_lists_and_not_from_reads(backend: Backend) {
    let (served, app, image, other) = app(backend);
    let client = served.owner();
    served.seed("seen").image("v1").unwrap();
    let hidden = ChangeableAttributes::default().can_list(false);
    app.update_tag_properties("v1", hidden).await.unwrap();
    app.update_manifest_properties(&image.digest, hidden)
        .await
        .unwrap();
    app.update_repository_properties(hidden).await.unwrap();

    let names = client.list_repository_names().collect_all().await;
    assert_eq!(names.unwrap(), ["seen"]);
    let tags = app.list_tags().collect_all().await.unwrap();
    assert_eq!(tags, ["also", "other"]);
    let newest_first = app.list_tag_properties_with(ArtifactTagOrder::LastUpdatedOnDescending);
    assert_eq!(newest_first.collect_all().await.unwrap().len(), 2);
    let manifests = app.list_manifest_properties().collect_all().await.unwrap();
    let digests = manifests.into_iter().map(|manifest| manifest.digest);
    assert_eq!(digests.collect::<Vec<_>>(), [other.digest]);

    app.get_repository_properties().await.unwrap();
    app.get_manifest("v1").await.unwrap();
    let tag = app.get_tag_properties("v1").await.unwrap();
    assert!(!tag.attributes.can_list());
    app.get_manifest_properties(&image.digest).await.unwrap();
}

async fn an_update_changes_what_it_names_and_nothing_else(backend: Backend) {
    let (_served, app, image, _) = app(backend);
    let switches = |attributes: &acr_client::models::Attributes| {
        [
            attributes.can_delete(),
            attributes.can_write(),
            attributes.can_list(),
            attributes.can_read(),
        ]
    };
    let change = ChangeableAttributes::default;
    for (update, expected) in [
        (change().can_list(false), [true, true, false, true]),
        (change(), [true, true, false, true]),
        (
            change().can_delete(false).can_list(true),
            [false, true, true, true],
        ),
        (LOCKED, [false, false, true, true]),
        (change().can_read(false), [false, false, true, false]),
        (UNLOCKED, [true, true, true, false]),
    ] {
        let repository = app.update_repository_properties(update).await.unwrap();
        let tag = app.update_tag_properties("v1", update).await.unwrap();
        let manifest = app.update_manifest_properties(&image.digest, update).await;
        let manifest = manifest.unwrap();
        for attributes in [repository.attributes, tag.attributes, manifest.attributes] {
            assert_eq!(switches(&attributes), expected, "{update:?}");
        }
        let tag = app.get_tag_properties("v1").await.unwrap();
        assert_eq!(switches(&tag.attributes), expected);
    }
    // Each of the others is as it was.
    let also = app.get_tag_properties("also").await.unwrap();
    assert_eq!(switches(&also.attributes), [true; 4]);
}

async fn a_lock_is_no_change_of_the_item(backend: Backend) {
    let (served, app, image, _) = app(backend);
    let repository = app.get_repository_properties().await.unwrap();
    let tag = app.get_tag_properties("v1").await.unwrap();
    let manifest = app.get_manifest_properties(&image.digest).await.unwrap();
    served.clock.advance(Duration::from_secs(60));
    for update in [LOCKED, UNLOCKED] {
        let changed = app.update_tag_properties("v1", update).await.unwrap();
        assert_eq!(changed.last_updated_on, tag.last_updated_on);
        let changed = app.update_manifest_properties(&image.digest, update).await;
        let changed = changed.unwrap();
        assert_eq!(changed.last_updated_on, manifest.last_updated_on);
        let changed = app.update_repository_properties(update).await.unwrap();
        assert_eq!(changed.last_updated_on, repository.last_updated_on);
    }
    assert_eq!(app.get_repository_properties().await.unwrap(), repository);
    assert_eq!(app.get_tag_properties("v1").await.unwrap(), tag);
    let again = app.get_manifest_properties(&image.digest).await;
    assert_eq!(again.unwrap(), manifest);
}

async fn what_was_read_can_be_restored(backend: Backend) {
    let (_served, app, _, _) = app(backend);
    let odd = ChangeableAttributes::default()
        .can_list(false)
        .can_delete(false);
    let before = app.update_tag_properties("v1", odd).await.unwrap();
    let other = UNLOCKED.can_list(true).can_read(false);
    app.update_tag_properties("v1", other).await.unwrap();
    let restored = app.update_tag_properties("v1", ChangeableAttributes::from(&before.attributes));
    let restored = restored.await.unwrap();
    assert_eq!(restored, before);
}

async fn a_purge_goes_on_past_what_is_locked(backend: Backend) {
    let (_served, app, _, _) = app(backend);
    app.update_tag_properties("also", LOCKED).await.unwrap();
    let (mut deleted, mut locked) = (Vec::new(), Vec::new());
    let mut tags = app.list_tag_properties();
    while let Some(tag) = tags.try_next().await.unwrap() {
        match app.delete_tag(&tag.name).await {
            Ok(was_there) => deleted.extend(was_there.then_some(tag.name)),
            Err(error) if error.kind() == ErrorKind::Disallowed => locked.push(tag.name),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(
        (deleted.len(), locked.as_slice()),
        (2, &["also".try_into().unwrap()][..])
    );
}
