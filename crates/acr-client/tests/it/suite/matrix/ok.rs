//! The first column: each operation through the client, and all that it gives.

use acr_client::models::Timestamp;
use acr_client::{ChangeableAttributes, Credential, Descriptor, Digest, MediaType};

use super::world::{APP, CONTENT, SOURCE, World};
use crate::suite::backend::{HOST, START};

fn start() -> Timestamp {
    START.parse().unwrap()
}

pub(super) async fn list_repository_names() {
    let world = World::new().await;
    world.served.seed("other").image("v1").unwrap();
    let names = world
        .served
        .owner()
        .list_repository_names()
        .collect_all()
        .await
        .unwrap();
    assert_eq!(names, ["other", APP]);
}

pub(super) async fn list_repositories() {
    let world = World::new().await;
    world.served.seed("other").image("v1").unwrap();
    let names = world.served.owner().list_repositories().collect_all().await;
    assert_eq!(names.unwrap(), ["other", APP]);
}

pub(super) async fn get_repository_properties() {
    let world = World::new().await;
    let properties = world
        .served
        .owner()
        .get_repository_properties(APP)
        .await
        .unwrap();
    assert_eq!(
        (
            properties.registry_login_server.as_str(),
            properties.name.as_str()
        ),
        (HOST, APP)
    );
    assert_eq!((properties.manifest_count, properties.tag_count), (5, 2));
    assert_eq!(properties.created_on, start());
    assert!(properties.last_updated_on > properties.created_on);
    assert!(!properties.attributes.is_locked());
    assert_eq!(
        world
            .served
            .repository(APP)
            .get_repository_properties()
            .await
            .unwrap(),
        properties
    );
}

pub(super) async fn update_repository_properties() {
    let world = World::new().await;
    let (client, app) = (world.served.owner(), world.served.repository(APP));
    let locked = client
        .update_repository_properties(APP, ChangeableAttributes::LOCKED)
        .await
        .unwrap();
    assert!(locked.attributes.is_locked() && locked.attributes.can_read());
    assert_eq!(app.get_repository_properties().await.unwrap(), locked);
    let unlocked = app
        .update_repository_properties(ChangeableAttributes::UNLOCKED)
        .await
        .unwrap();
    assert!(!unlocked.attributes.is_locked());
}

pub(super) async fn delete_repository() {
    let world = World::new().await;
    let client = world.served.owner();
    let gone = client.delete_repository(APP).await.unwrap().unwrap();
    assert_eq!(gone.deleted_tags, ["v1", "v2"]);
    assert_eq!(gone.deleted_manifests.len(), 5);
    assert!(gone.deleted_manifests.contains(&world.image.digest));
    assert!(client.delete_repository(APP).await.unwrap().is_none());
}

pub(super) async fn list_tag_properties() {
    let world = World::new().await;
    let app = world.served.repository(APP);
    let tags = app.list_tag_properties().collect_all().await.unwrap();
    let seen: Vec<(&str, &Digest)> = tags
        .iter()
        .map(|tag| (tag.name.as_str(), &tag.digest))
        .collect();
    assert_eq!(
        seen,
        [("v1", &world.image.digest), ("v2", &world.index.digest)]
    );
    for tag in &tags {
        assert_eq!(
            (
                tag.registry_login_server.as_str(),
                tag.repository_name.as_str()
            ),
            (HOST, APP)
        );
        assert_eq!(&app.get_tag_properties(&tag.name).await.unwrap(), tag);
    }
}

pub(super) async fn get_tag_properties() {
    let world = World::new().await;
    let tag = world
        .served
        .repository(APP)
        .get_tag_properties("v1")
        .await
        .unwrap();
    assert_eq!(
        (tag.name.as_str(), &tag.digest),
        ("v1", &world.image.digest)
    );
    assert_eq!((tag.created_on, tag.last_updated_on), (start(), start()));
    assert_eq!(
        (
            tag.registry_login_server.as_str(),
            tag.repository_name.as_str()
        ),
        (HOST, APP)
    );
    assert!(tag.attributes.can_delete() && tag.attributes.can_write());
}

pub(super) async fn update_tag_properties() {
    let world = World::new().await;
    let app = world.served.repository(APP);
    let change = ChangeableAttributes::default().can_write(false);
    let tag = app.update_tag_properties("v1", change).await.unwrap();
    assert!(!tag.attributes.can_write() && tag.attributes.can_delete());
    assert_eq!(app.get_tag_properties("v1").await.unwrap(), tag);
}

pub(super) async fn delete_tag() {
    let world = World::new().await;
    let app = world.served.repository(APP);
    assert!(app.delete_tag("v1").await.unwrap());
    assert!(!app.delete_tag("v1").await.unwrap());
    assert_eq!(app.list_tags().collect_all().await.unwrap(), ["v2"]);
    // Its manifest stays.
    app.get_manifest(&world.image.digest).await.unwrap();
}

pub(super) async fn list_manifest_properties() {
    let world = World::new().await;
    let app = world.served.repository(APP);
    let manifests = app.list_manifest_properties().collect_all().await.unwrap();
    assert_eq!(manifests.len(), 5);
    assert!(manifests.is_sorted_by(|a, b| a.digest < b.digest));
    for listed in manifests {
        assert_eq!(
            (
                listed.registry_login_server.as_str(),
                listed.repository_name.as_str()
            ),
            (HOST, APP)
        );
        let mut single = app.get_manifest_properties(&listed.digest).await.unwrap();
        // A list leaves out what an index is made of.
        single.references.clear();
        assert_eq!(single, listed);
    }
}

pub(super) async fn get_manifest_properties() {
    let world = World::new().await;
    let app = world.served.repository(APP);
    let image = app
        .get_manifest_properties(&world.image.digest)
        .await
        .unwrap();
    assert_eq!(image.tags, ["v1"]);
    assert_eq!(
        image.size_in_bytes,
        Some(world.image.as_image().unwrap().layers[0].size)
    );
    assert_eq!(
        (
            image.architecture.as_deref(),
            image.operating_system.as_deref()
        ),
        (Some("amd64"), Some("linux"))
    );
    assert_eq!(image.media_type, Some(MediaType::OCI_MANIFEST));
    assert_eq!(image.config_media_type, Some(MediaType::OCI_CONFIG));
    assert_eq!(
        (image.created_on, image.last_updated_on),
        (start(), start())
    );
    // By a tag as well, which is resolved first.
    assert_eq!(app.get_manifest_properties("v1").await.unwrap(), image);
    let index = app.get_manifest_properties("v2").await.unwrap();
    assert_eq!(index.media_type, Some(MediaType::OCI_INDEX));
    let platforms: Vec<_> = index
        .references
        .iter()
        .map(|child| child.architecture.as_deref())
        .collect();
    assert_eq!(platforms, [Some("amd64"), Some("arm64")]);
    let untagged = app
        .get_manifest_properties(&world.signature.digest)
        .await
        .unwrap();
    assert!(untagged.tags.is_empty() && untagged.architecture.is_none());
}

pub(super) async fn update_manifest_properties() {
    let world = World::new().await;
    let app = world.served.repository(APP);
    let change = ChangeableAttributes::default().can_delete(false);
    let by_digest = app
        .update_manifest_properties(&world.image.digest, change)
        .await
        .unwrap();
    assert!(!by_digest.attributes.can_delete() && by_digest.attributes.can_write());
    let by_tag = app
        .update_manifest_properties("v1", change.can_delete(true))
        .await
        .unwrap();
    assert_eq!(by_tag.digest, world.image.digest);
    assert!(by_tag.attributes.can_delete());
}

pub(super) async fn ping() {
    let world = World::new().await;
    world.served.owner().ping().await.unwrap();
}

pub(super) async fn list_tags() {
    let world = World::new().await;
    assert_eq!(
        world
            .served
            .repository(APP)
            .list_tags()
            .collect_all()
            .await
            .unwrap(),
        ["v1", "v2"]
    );
}

pub(super) async fn get_manifest() {
    let world = World::new().await;
    let app = world.served.repository(APP);
    assert_eq!(app.get_manifest("v1").await.unwrap(), world.image);
    assert_eq!(
        app.get_manifest(&world.image.digest).await.unwrap(),
        world.image
    );
    assert_eq!(app.get_manifest("v2").await.unwrap(), world.index);
}

pub(super) async fn head_manifest() {
    let world = World::new().await;
    let app = world.served.repository(APP);
    for found in [
        app.head_manifest("v1").await.unwrap().unwrap(),
        app.resolve(&world.image.digest).await.unwrap(),
    ] {
        let expected = Descriptor::new(
            MediaType::OCI_MANIFEST,
            world.image.digest.clone(),
            world.image.bytes.len() as u64,
        );
        assert_eq!(found, expected);
    }
}

pub(super) async fn set_manifest() {
    let world = World::new().await;
    let app = world.served.repository(APP);
    let accepted = app.set_manifest("copy", &world.image).await.unwrap();
    assert_eq!(
        (&accepted.digest, &accepted.subject),
        (&world.image.digest, &None)
    );
    assert_eq!(app.get_manifest("copy").await.unwrap(), world.image);
    let accepted = app
        .set_manifest(&world.signature.digest, &world.signature)
        .await
        .unwrap();
    assert_eq!(accepted.subject.as_ref(), Some(&world.image.digest));
}

pub(super) async fn delete_manifest() {
    let world = World::new().await;
    let app = world.served.repository(APP);
    assert!(app.delete_manifest(&world.image.digest).await.unwrap());
    assert!(!app.delete_manifest(&world.image.digest).await.unwrap());
    assert_eq!(app.list_tags().collect_all().await.unwrap(), ["v2"]);
    // A tag is resolved first.
    assert!(app.delete_manifest("v2").await.unwrap());
    assert!(!app.delete_manifest("v2").await.unwrap());
}

pub(super) async fn list_referrers() {
    let world = World::new().await;
    let app = world.served.repository(APP);
    let referrers = app
        .list_referrers(&world.image.digest)
        .collect_all()
        .await
        .unwrap();
    assert_eq!(referrers.len(), 1);
    assert_eq!(referrers[0].digest, world.signature.digest);
    assert_eq!(referrers[0].size, world.signature.bytes.len() as u64);
    assert_eq!(
        referrers[0].artifact_type.as_ref().unwrap(),
        "application/vnd.example.signature"
    );
}

pub(super) async fn head_blob() {
    let world = World::new().await;
    let found = world
        .served
        .repository(APP)
        .head_blob(&world.target.blob)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (&found.digest, found.size),
        (&world.target.blob, "content of a blob".len() as u64)
    );
}

pub(super) async fn get_blob() {
    let world = World::new().await;
    let app = world.served.repository(APP);
    let whole = app.download_blob(&world.target.blob).await.unwrap();
    assert_eq!(whole.digest(), &world.target.blob);
    assert_eq!(
        whole.content_length(),
        Some("content of a blob".len() as u64)
    );
    assert_eq!(whole.bytes(100).await.unwrap(), "content of a blob");
    let part = app.get_blob(&world.target.blob, 8..).await.unwrap();
    assert_eq!(part.bytes(100).await.unwrap(), "of a blob");
}

pub(super) async fn delete_blob() {
    let world = World::new().await;
    let app = world.served.repository(APP);
    assert!(app.delete_blob(&world.target.blob).await.unwrap());
    assert!(!app.delete_blob(&world.target.blob).await.unwrap());
    let found = app.head_blob(&world.target.blob).await.unwrap();
    assert_eq!(found, None);
}

pub(super) async fn mount_blob() {
    let world = World::new().await;
    let app = world.served.repository(APP);
    let mounted = app
        .mount_blob(&world.target.source_blob, SOURCE)
        .await
        .unwrap();
    assert!(mounted.is_none());
    let stream = app.download_blob(&world.target.source_blob).await.unwrap();
    assert_eq!(stream.bytes(100).await.unwrap(), "content of the source");
}

pub(super) async fn start_upload() {
    let world = World::new().await;
    let upload = world.served.repository(APP).start_upload().await.unwrap();
    assert_eq!((upload.offset(), upload.minimum_chunk()), (0, None));
    assert!(
        upload
            .location()
            .as_str()
            .starts_with(&format!("/v2/{APP}/blobs/uploads/"))
    );
}

pub(super) async fn get_upload_status() {
    let world = World::new().await;
    let app = world.served.repository(APP);
    let mut upload = app.start_upload().await.unwrap();
    let old = upload.location().clone();
    upload.append(CONTENT).await.unwrap();
    let resumed = app.resume_upload(&old, None).await.unwrap();
    assert_eq!(resumed.offset(), CONTENT.len() as u64);
    assert_ne!(resumed.location(), &old);
    assert_eq!(upload.status().await.unwrap(), CONTENT.len() as u64);
}

pub(super) async fn upload_chunk() {
    let world = World::new().await;
    let app = world.served.repository(APP);
    let mut upload = app.start_upload().await.unwrap();
    let mut offset = 0;
    for part in CONTENT.split_inclusive(' ') {
        upload.append(part).await.unwrap();
        offset += part.len() as u64;
        assert_eq!(upload.offset(), offset);
        assert_eq!(upload.status().await.unwrap(), offset);
    }
    let digest = upload.complete(Digest::sha256(CONTENT)).await.unwrap();
    assert_eq!(
        app.head_blob(digest).await.unwrap().unwrap().size,
        CONTENT.len() as u64
    );
}

pub(super) async fn complete_upload() {
    let world = World::new().await;
    let app = world.served.repository(APP);
    let resumed = app.resume_upload(&world.target.location, 0).await;
    let expected = Digest::sha256(CONTENT);
    let completed = resumed.unwrap().complete_with(&expected, CONTENT).await;
    let digest = completed.unwrap();
    assert_eq!(digest, expected);
    assert_eq!(
        app.download_blob(digest)
            .await
            .unwrap()
            .bytes(100)
            .await
            .unwrap(),
        CONTENT
    );
}

pub(super) async fn cancel_upload() {
    let world = World::new().await;
    let app = world.served.repository(APP);
    let resumed = app.resume_upload(&world.target.location, 0).await;
    let mut upload = resumed.unwrap();
    upload.cancel().await.unwrap();
    upload.cancel().await.unwrap_err();
}

pub(super) async fn exchange_entra_token() {
    let world = World::new().await;
    world.served.requests();
    world
        .client(Credential::entra_token("of an owner"))
        .ping()
        .await
        .unwrap();
    let expected = [
        "GET /v2/",
        "POST /oauth2/exchange",
        "POST /oauth2/token",
        "GET /v2/",
    ];
    assert_eq!(world.served.requests(), expected);
}

pub(super) async fn request_access_token() {
    let world = World::with(|builder| builder.anonymous_pull(true)).await;
    world.served.requests();
    world.client(Credential::anonymous()).ping().await.unwrap();
    assert_eq!(
        world.served.requests(),
        ["GET /v2/", "POST /oauth2/token", "GET /v2/"]
    );
}

pub(super) async fn request_access_token_with_login() {
    let world = World::with(|builder| builder.user("ci", "secret")).await;
    world.served.requests();
    world
        .client(Credential::password("ci", "secret"))
        .ping()
        .await
        .unwrap();
    assert_eq!(
        world.served.requests(),
        ["GET /v2/", "GET /oauth2/token", "GET /v2/"]
    );
}
