//! Repositories.

use acr_client::models::Timestamp;
use acr_client::{ChangeableAttributes, RepositoryClient};

use super::case::{Case, Item, Locked, Missing, Outcome, Switch, call, done, items};
use super::world::{APP, Expected, OPEN, Plain, UPDATE, What, World};
use crate::suite::backend::{HOST, START};

pub(super) fn list_repository_names() -> Case {
    Case {
        request: |_| Plain::get("/acr/v1/_catalog"),
        response: |_| Expected::json(200, format!(r#""repositories":["{APP}"]"#)),
        scope: "registry:catalog:*",
        call: call!(|c| items(c.client.list_repository_names()).await),
        missing: Err("the catalogue is always there: an empty one is an empty list"),
        locked: Ok(Locked::Not(Outcome::Items(0))),
    }
}

pub(super) fn list_repositories() -> Case {
    Case {
        request: |_| Plain::get("/v2/_catalog"),
        call: call!(|c| items(c.client.list_repositories()).await),
        ..list_repository_names()
    }
}

pub(super) fn get_repository_properties() -> Case {
    Case {
        request: |at| Plain::get(format!("/acr/v1/{}", at.repository)),
        response: properties,
        scope: "repository:APP:metadata_read",
        call: call!(|c| done(c.app.get_repository_properties().await)),
        missing: Ok(Missing::not_found(What::Repository, "NAME_UNKNOWN")),
        locked: Ok(Locked::Not(Outcome::Done)),
    }
}

pub(super) fn update_repository_properties() -> Case {
    Case {
        request: |at| Plain::patch(format!("/acr/v1/{}", at.repository)),
        scope: "repository:APP:metadata_write",
        call: call!(|c| done(c.app.update_repository_properties(UPDATE).await)),
        ..get_repository_properties()
    }
}

fn properties(world: &World) -> Expected {
    Expected::json(
        200,
        format!(
            r#""registry":"{HOST}","imageName":"{APP}","createdTime":"{START}","lastUpdateTime":"{}","manifestCount":5,"tagCount":2,"changeableAttributes":{OPEN}"#,
            world.time(4)
        ),
    )
}

pub(super) fn delete_repository() -> Case {
    Case {
        request: |at| Plain::delete(format!("/acr/v1/{}", at.repository)),
        response: |world| {
            let children = world.index.as_index().unwrap().manifests;
            let digests = children.iter().map(|child| child.digest.to_string());
            let mut digests: Vec<String> = digests.collect();
            let others = [&world.image, &world.index, &world.signature];
            digests.extend(others.map(|manifest| manifest.digest.to_string()));
            digests.sort();
            let digests = digests.join("\",\"");
            Expected::json(
                202,
                format!(r#""manifestsDeleted":["{digests}"],"tagsDeleted":["v1","v2"]"#),
            )
        },
        scope: "repository:APP:delete",
        call: call!(|c| {
            let deleted = c.client.delete_repository(c.at.repository.as_str()).await?;
            Ok(Outcome::WasThere(deleted.is_some()))
        }),
        missing: Ok(Missing::was_not_there(What::Repository, "NAME_UNKNOWN")),
        locked: Ok(Locked::By(Item::Repository, Switch::Delete)),
    }
}

pub(super) mod ok {
    use super::*;

    pub(crate) async fn list_repository_names(world: World, _: RepositoryClient) {
        world.served.seed("other").image("v1").unwrap();
        let names = world.served.owner().list_repository_names();
        assert_eq!(names.collect_all().await.unwrap(), ["other", APP]);
    }

    pub(crate) async fn list_repositories(world: World, _: RepositoryClient) {
        world.served.seed("other").image("v1").unwrap();
        let names = world.served.owner().list_repositories().collect_all().await;
        assert_eq!(names.unwrap(), ["other", APP]);
    }

    pub(crate) async fn get_repository_properties(world: World, app: RepositoryClient) {
        let client = world.served.owner();
        let properties = client.get_repository_properties(APP).await.unwrap();
        assert_eq!(properties.registry_login_server, HOST);
        assert_eq!(properties.name, APP);
        assert_eq!((properties.manifest_count, properties.tag_count), (5, 2));
        assert_eq!(properties.created_on, START.parse::<Timestamp>().unwrap());
        assert!(properties.last_updated_on > properties.created_on);
        assert!(!properties.attributes.is_locked());
        assert_eq!(app.get_repository_properties().await.unwrap(), properties);
    }

    pub(crate) async fn update_repository_properties(world: World, app: RepositoryClient) {
        let client = world.served.owner();
        let locked = client.update_repository_properties(APP, ChangeableAttributes::LOCKED);
        let locked = locked.await.unwrap();
        assert!(locked.attributes.is_locked() && locked.attributes.can_read());
        assert_eq!(app.get_repository_properties().await.unwrap(), locked);
        let unlocked = app.update_repository_properties(ChangeableAttributes::UNLOCKED);
        assert!(!unlocked.await.unwrap().attributes.is_locked());
    }

    pub(crate) async fn delete_repository(world: World, _: RepositoryClient) {
        let client = world.served.owner();
        let gone = client.delete_repository(APP).await.unwrap().unwrap();
        assert_eq!(gone.deleted_tags, ["v1", "v2"]);
        assert_eq!(gone.deleted_manifests.len(), 5);
        assert!(gone.deleted_manifests.contains(&world.image.digest));
        assert!(client.delete_repository(APP).await.unwrap().is_none());
    }
}
