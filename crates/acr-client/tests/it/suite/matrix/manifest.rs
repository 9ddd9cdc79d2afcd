//! Manifests.

use acr_client::{ChangeableAttributes, Descriptor, ErrorKind, MediaType, RepositoryClient};
use http::Method;

use super::case::{Case, Item, Locked, Missing, Outcome, Switch, call, done, items};
use super::world::{APP, AROUND, Expected, OPEN, Plain, Target, UPDATE, What, World};
use crate::suite::backend::{HOST, START};

/// The properties of the image in a body.
fn properties(world: &World) -> String {
    let image = &world.image;
    format!(
        r#"{{"digest":"{}","imageSize":{},"createdTime":"{START}","lastUpdateTime":"{START}","architecture":"amd64","os":"linux","mediaType":"{}","configMediaType":"application/vnd.oci.image.config.v1+json","tags":["v1"],"changeableAttributes":{OPEN}}}"#,
        image.digest,
        image.as_image().unwrap().layers[0].size,
        image.media_type
    )
}

fn metadata_path(at: &Target) -> String {
    format!("/acr/v1/{}/_manifests/{}", at.repository, at.digest)
}

fn content_path(at: &Target) -> String {
    format!("/v2/{}/manifests/{}", at.repository, at.tag)
}

pub(super) fn list_manifest_properties() -> Case {
    Case {
        request: |at| {
            Plain::get(format!(
                "/acr/v1/{}/_manifests?n=1&orderby=timeasc",
                at.repository
            ))
        },
        response: |world| {
            let next = format!(
                "</acr/v1/{APP}/_manifests?last=638120483543176692%26sha256%3A{}&n=1&orderby=timeasc>; rel=\"next\"",
                world.image.digest.hex()
            );
            let body = format!(r#"{AROUND},"manifests":[{}]"#, properties(world));
            Expected::json(200, body).header("link", next)
        },
        scope: "repository:APP:metadata_read",
        call: call!(|c| items(c.app.list_manifest_properties()).await),
        missing: Ok(Missing::not_found(What::Repository, "NAME_UNKNOWN")),
        // Without the image of `v1`.
        locked: Ok(Locked::Not(Outcome::Items(4))),
    }
}

pub(super) fn get_manifest_properties() -> Case {
    Case {
        request: |at| Plain::get(metadata_path(at)),
        response: |world| {
            Expected::json(200, format!(r#"{AROUND},"manifest":{}"#, properties(world)))
        },
        scope: "repository:APP:metadata_read",
        call: call!(|c| done(c.app.get_manifest_properties(&c.at.digest).await)),
        missing: Ok(Missing::not_found(What::Item, "MANIFEST_UNKNOWN")),
        locked: Ok(Locked::Not(Outcome::Done)),
    }
}

pub(super) fn update_manifest_properties() -> Case {
    Case {
        request: |at| Plain::patch(metadata_path(at)),
        scope: "repository:APP:metadata_write",
        call: call!(|c| done(c.app.update_manifest_properties(&c.at.digest, UPDATE).await)),
        ..get_manifest_properties()
    }
}

pub(super) fn get_manifest() -> Case {
    Case {
        request: |at| Plain::get(content_path(at)),
        response: |world| {
            let image = &world.image;
            Expected::empty(200)
                .body(String::from_utf8(image.bytes.to_vec()).unwrap())
                .header("content-type", &image.media_type)
                .header("content-length", image.bytes.len())
                .header("docker-content-digest", &image.digest)
                .header("etag", format!("\"{}\"", image.digest))
        },
        scope: "repository:APP:pull",
        call: call!(|c| done(c.app.get_manifest(c.at.tag).await)),
        missing: Ok(Missing::not_found(What::Item, "MANIFEST_UNKNOWN")),
        locked: Ok(Locked::By(Item::Tag, Switch::Read)),
    }
}

pub(super) fn head_manifest() -> Case {
    Case {
        request: |at| Plain::new(Method::HEAD, content_path(at)),
        response: |world| (get_manifest().response)(world).body(""),
        call: call!(|c| {
            let found = c.app.head_manifest(c.at.tag).await?;
            Ok(Outcome::WasThere(found.is_some()))
        }),
        missing: Ok(Missing::was_not_there(What::Item, None)),
        ..get_manifest()
    }
}

pub(super) fn set_manifest() -> Case {
    Case {
        request: |at| {
            let (media_type, bytes) = (&at.manifest.media_type, at.manifest.bytes.clone());
            Plain::new(Method::PUT, content_path(at)).body(media_type.as_str(), bytes)
        },
        response: |world| {
            let digest = &world.image.digest;
            Expected::empty(201)
                .header("location", format!("/v2/{APP}/manifests/{digest}"))
                .header("docker-content-digest", digest)
        },
        scope: "repository:APP:pull,push",
        call: call!(|c| done(c.app.set_manifest(c.at.tag, &c.at.manifest).await)),
        // A blob that the manifest names.
        missing: Ok(Missing {
            what: What::Item,
            status: 400,
            code: Some("MANIFEST_BLOB_UNKNOWN"),
            outcome: Err(ErrorKind::Registry),
        }),
        locked: Ok(Locked::By(Item::Tag, Switch::Write)),
    }
}

pub(super) fn delete_manifest() -> Case {
    Case {
        request: |at| Plain::delete(format!("/v2/{}/manifests/{}", at.repository, at.digest)),
        response: |_| Expected::empty(202).header("content-length", 0),
        scope: "repository:APP:delete",
        call: call!(|c| c
            .app
            .delete_manifest(&c.at.digest)
            .await
            .map(Outcome::WasThere)),
        missing: Ok(Missing::was_not_there(What::Item, "MANIFEST_UNKNOWN")),
        locked: Ok(Locked::By(Item::Manifest, Switch::Delete)),
    }
}

pub(super) mod ok {
    use super::*;

    pub(crate) async fn list_manifest_properties(_: World, app: RepositoryClient) {
        let manifests = app.list_manifest_properties().collect_all().await.unwrap();
        assert_eq!(manifests.len(), 5);
        assert!(manifests.is_sorted_by(|a, b| a.digest < b.digest));
        for listed in manifests {
            assert_eq!(listed.registry_login_server, HOST);
            assert_eq!(listed.repository_name, APP);
            let mut single = app.get_manifest_properties(&listed.digest).await.unwrap();
            // A list leaves out what an index is made of.
            single.references.clear();
            assert_eq!(single, listed);
        }
    }

    pub(crate) async fn get_manifest_properties(world: World, app: RepositoryClient) {
        let image = app.get_manifest_properties(&world.image.digest).await;
        let image = image.unwrap();
        assert_eq!(image.tags, ["v1"]);
        let layer = &world.image.as_image().unwrap().layers[0];
        assert_eq!(image.size_in_bytes, Some(layer.size));
        assert_eq!(image.architecture.as_deref(), Some("amd64"));
        assert_eq!(image.operating_system.as_deref(), Some("linux"));
        assert_eq!(image.media_type, Some(MediaType::OCI_MANIFEST));
        assert_eq!(image.config_media_type, Some(MediaType::OCI_CONFIG));
        let start = START.parse().unwrap();
        assert_eq!((image.created_on, image.last_updated_on), (start, start));
        // By a tag as well, which is resolved first.
        assert_eq!(app.get_manifest_properties("v1").await.unwrap(), image);
        let index = app.get_manifest_properties("v2").await.unwrap();
        assert_eq!(index.media_type, Some(MediaType::OCI_INDEX));
        let children = index.references.iter();
        let platforms: Vec<_> = children
            .map(|child| child.architecture.as_deref())
            .collect();
        assert_eq!(platforms, [Some("amd64"), Some("arm64")]);
        let untagged = app.get_manifest_properties(&world.signature.digest).await;
        let untagged = untagged.unwrap();
        assert!(untagged.tags.is_empty() && untagged.architecture.is_none());
    }

    pub(crate) async fn update_manifest_properties(world: World, app: RepositoryClient) {
        let change = ChangeableAttributes::default().can_delete(false);
        let by_digest = app
            .update_manifest_properties(&world.image.digest, change)
            .await;
        let attributes = by_digest.unwrap().attributes;
        assert!(!attributes.can_delete() && attributes.can_write());
        let by_tag = app
            .update_manifest_properties("v1", change.can_delete(true))
            .await;
        let by_tag = by_tag.unwrap();
        assert_eq!(by_tag.digest, world.image.digest);
        assert!(by_tag.attributes.can_delete());
    }

    pub(crate) async fn get_manifest(world: World, app: RepositoryClient) {
        assert_eq!(app.get_manifest("v1").await.unwrap(), world.image);
        assert_eq!(
            app.get_manifest(&world.image.digest).await.unwrap(),
            world.image
        );
        assert_eq!(app.get_manifest("v2").await.unwrap(), world.index);
    }

    pub(crate) async fn head_manifest(world: World, app: RepositoryClient) {
        let (digest, size) = (&world.image.digest, world.image.bytes.len() as u64);
        let expected = Descriptor::new(MediaType::OCI_MANIFEST, digest.clone(), size);
        assert_eq!(app.head_manifest("v1").await.unwrap().unwrap(), expected);
        assert_eq!(app.resolve(digest).await.unwrap(), expected);
    }

    pub(crate) async fn set_manifest(world: World, app: RepositoryClient) {
        let accepted = app.set_manifest("copy", &world.image).await.unwrap();
        assert_eq!(
            (&accepted.digest, &accepted.subject),
            (&world.image.digest, &None)
        );
        assert_eq!(app.get_manifest("copy").await.unwrap(), world.image);
        let accepted = app.set_manifest(&world.signature.digest, &world.signature);
        let accepted = accepted.await.unwrap();
        assert_eq!(accepted.subject.as_ref(), Some(&world.image.digest));
    }

    pub(crate) async fn delete_manifest(world: World, app: RepositoryClient) {
        assert!(app.delete_manifest(&world.image.digest).await.unwrap());
        assert!(!app.delete_manifest(&world.image.digest).await.unwrap());
        assert_eq!(app.list_tags().collect_all().await.unwrap(), ["v2"]);
        // A tag is resolved first.
        assert!(app.delete_manifest("v2").await.unwrap());
        assert!(!app.delete_manifest("v2").await.unwrap());
    }
}
