//! Tags.

use acr_client::{ChangeableAttributes, Digest, RepositoryClient};

use super::case::{Case, Item, Locked, Missing, Outcome, Switch, call, done, items};
use super::world::{APP, AROUND, Expected, OPEN, Plain, Target, UPDATE, What, World};
use crate::suite::backend::{HOST, START};

fn path(at: &Target) -> String {
    format!("/acr/v1/{}/_tags/{}", at.repository, at.tag)
}

/// A tag in a body, by how many ticks it came after the first.
fn tag(world: &World, name: &str, digest: &Digest, ticks: u8) -> String {
    let time = world.time(ticks);
    format!(
        r#"{{"name":"{name}","digest":"{digest}","createdTime":"{time}","lastUpdateTime":"{time}","signed":false,"changeableAttributes":{OPEN}}}"#
    )
}

pub(super) fn list_tag_properties() -> Case {
    Case {
        request: |at| Plain::get(format!("/acr/v1/{}/_tags", at.repository)),
        response: |world| {
            let v1 = tag(world, "v1", &world.image.digest, 0);
            let v2 = tag(world, "v2", &world.index.digest, 3);
            Expected::json(200, format!(r#"{AROUND},"tags":[{v1},{v2}]"#))
        },
        scope: "repository:APP:metadata_read",
        call: call!(|c| items(c.app.list_tag_properties()).await),
        missing: Ok(Missing::not_found(What::Repository, "NAME_UNKNOWN")),
        // Without `v1`.
        locked: Ok(Locked::Not(Outcome::Items(1))),
    }
}

pub(super) fn get_tag_properties() -> Case {
    Case {
        request: |at| Plain::get(path(at)),
        response: |world| {
            let tag = tag(world, "v1", &world.image.digest, 0);
            Expected::json(200, format!(r#"{AROUND},"tag":{tag}"#))
        },
        scope: "repository:APP:metadata_read",
        call: call!(|c| done(c.app.get_tag_properties(c.at.tag).await)),
        missing: Ok(Missing::not_found(What::Item, "TAG_UNKNOWN")),
        locked: Ok(Locked::Not(Outcome::Done)),
    }
}

pub(super) fn update_tag_properties() -> Case {
    Case {
        request: |at| Plain::patch(path(at)),
        scope: "repository:APP:metadata_write",
        call: call!(|c| done(c.app.update_tag_properties(c.at.tag, UPDATE).await)),
        ..get_tag_properties()
    }
}

pub(super) fn delete_tag() -> Case {
    Case {
        request: |at| Plain::delete(path(at)),
        response: |world| {
            Expected::empty(202).header("x-ms-int-docker-content-digest", &world.image.digest)
        },
        scope: "repository:APP:delete",
        call: call!(|c| c.app.delete_tag(c.at.tag).await.map(Outcome::WasThere)),
        missing: Ok(Missing::was_not_there(What::Item, "TAG_UNKNOWN")),
        locked: Ok(Locked::By(Item::Tag, Switch::Write)),
    }
}

pub(super) fn list_tags() -> Case {
    Case {
        request: |at| Plain::get(format!("/v2/{}/tags/list", at.repository)),
        response: |_| Expected::json(200, format!(r#""name":"{APP}","tags":["v1","v2"]"#)),
        call: call!(|c| items(c.app.list_tags()).await),
        ..list_tag_properties()
    }
}

pub(super) mod ok {
    use super::*;

    pub(crate) async fn list_tag_properties(world: World, app: RepositoryClient) {
        let tags = app.list_tag_properties().collect_all().await.unwrap();
        let seen = tags.iter().map(|tag| (tag.name.as_str(), &tag.digest));
        let seen: Vec<_> = seen.collect();
        assert_eq!(
            seen,
            [("v1", &world.image.digest), ("v2", &world.index.digest)]
        );
        for tag in &tags {
            assert_eq!(tag.registry_login_server, HOST);
            assert_eq!(tag.repository_name, APP);
            assert_eq!(&app.get_tag_properties(&tag.name).await.unwrap(), tag);
        }
    }

    pub(crate) async fn get_tag_properties(world: World, app: RepositoryClient) {
        let tag = app.get_tag_properties("v1").await.unwrap();
        assert_eq!(
            (tag.name.as_str(), &tag.digest),
            ("v1", &world.image.digest)
        );
        let start = START.parse().unwrap();
        assert_eq!((tag.created_on, tag.last_updated_on), (start, start));
        assert_eq!(tag.registry_login_server, HOST);
        assert_eq!(tag.repository_name, APP);
        assert!(tag.attributes.can_delete() && tag.attributes.can_write());
    }

    pub(crate) async fn update_tag_properties(_: World, app: RepositoryClient) {
        let change = ChangeableAttributes::default().can_write(false);
        let tag = app.update_tag_properties("v1", change).await.unwrap();
        assert!(!tag.attributes.can_write() && tag.attributes.can_delete());
        assert_eq!(app.get_tag_properties("v1").await.unwrap(), tag);
    }

    pub(crate) async fn delete_tag(world: World, app: RepositoryClient) {
        assert!(app.delete_tag("v1").await.unwrap());
        assert!(!app.delete_tag("v1").await.unwrap());
        assert_eq!(app.list_tags().collect_all().await.unwrap(), ["v2"]);
        // Its manifest stays.
        app.get_manifest(&world.image.digest).await.unwrap();
    }

    pub(crate) async fn list_tags(_: World, app: RepositoryClient) {
        assert_eq!(app.list_tags().collect_all().await.unwrap(), ["v1", "v2"]);
    }
}
