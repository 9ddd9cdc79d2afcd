//! Blobs.

use acr_client::RepositoryClient;
use http::Method;

use super::case::{Case, Item, Locked, Missing, Outcome, Switch, call, done};
use super::world::{APP, BLOB, Expected, Plain, SOURCE, Target, What, World};

fn path(at: &Target) -> String {
    format!("/v2/{}/blobs/{}", at.repository, at.blob)
}

pub(super) fn head_blob() -> Case {
    Case {
        request: |at| Plain::new(Method::HEAD, path(at)),
        response: |world| {
            Expected::empty(200)
                .header("content-length", BLOB.len())
                .header("content-type", "application/octet-stream")
                .header("docker-content-digest", &world.target.blob)
        },
        scope: "repository:APP:pull",
        call: call!(|c| {
            let found = c.app.head_blob(&c.at.blob).await?;
            Ok(Outcome::WasThere(found.is_some()))
        }),
        missing: Ok(Missing::was_not_there(What::Item, None)),
        locked: Ok(Locked::By(Item::Repository, Switch::Read)),
    }
}

pub(super) fn get_blob() -> Case {
    Case {
        request: |at| Plain::get(path(at)),
        // The page that comes with a redirect repeats its target, which is signed; a test of the mock looks at it.
        response: |world| {
            Expected::beginning(307, "<a href=")
                .header("location", "https://mock.data.invalid/")
                .header("docker-content-digest", &world.target.blob)
        },
        call: call!(|c| done(c.app.get_blob(&c.at.blob, 0..).await)),
        missing: Ok(Missing::not_found(What::Item, "BLOB_UNKNOWN")),
        ..head_blob()
    }
}

pub(super) fn delete_blob() -> Case {
    Case {
        request: |at| Plain::delete(path(at)),
        response: |_| Expected::empty(202).header("content-length", 0),
        scope: "repository:APP:delete",
        call: call!(|c| c.app.delete_blob(&c.at.blob).await.map(Outcome::WasThere)),
        missing: Ok(Missing::was_not_there(What::Item, "BLOB_UNKNOWN")),
        locked: Ok(Locked::By(Item::Repository, Switch::Write)),
    }
}

pub(super) fn mount_blob() -> Case {
    Case {
        request: |at| {
            let (to, from) = (&at.repository, SOURCE.replace('/', "%2F"));
            let path = format!(
                "/v2/{to}/blobs/uploads/?from={from}&mount={}",
                at.source_blob
            );
            Plain::new(Method::POST, path)
        },
        response: |world| {
            let digest = &world.target.source_blob;
            Expected::empty(201)
                .header("location", format!("/v2/{APP}/blobs/{digest}"))
                .header("docker-content-digest", digest)
        },
        scope: "repository:APP:pull,push repository:SOURCE:pull",
        call: call!(|c| {
            let upload = c.app.mount_blob(&c.at.source_blob, SOURCE).await?;
            Ok(upload.map_or(Outcome::Done, |_| Outcome::Opened))
        }),
        missing: Ok(Missing {
            what: What::Item,
            status: 202,
            code: None,
            outcome: Ok(Outcome::Opened),
        }),
        locked: Ok(Locked::By(Item::Repository, Switch::Write)),
    }
}

pub(super) mod ok {
    use super::*;

    pub(crate) async fn head_blob(world: World, app: RepositoryClient) {
        let found = app.head_blob(&world.target.blob).await.unwrap().unwrap();
        assert_eq!(
            (&found.digest, found.size),
            (&world.target.blob, BLOB.len() as u64)
        );
    }

    pub(crate) async fn get_blob(world: World, app: RepositoryClient) {
        let whole = app.download_blob(&world.target.blob).await.unwrap();
        assert_eq!(whole.digest(), &world.target.blob);
        assert_eq!(whole.content_length(), Some(BLOB.len() as u64));
        assert_eq!(whole.bytes(100).await.unwrap(), BLOB);
        let part = app.get_blob(&world.target.blob, 8..).await.unwrap();
        assert_eq!(part.bytes(100).await.unwrap(), BLOB[8..]);
    }

    pub(crate) async fn delete_blob(world: World, app: RepositoryClient) {
        assert!(app.delete_blob(&world.target.blob).await.unwrap());
        assert!(!app.delete_blob(&world.target.blob).await.unwrap());
        assert_eq!(app.head_blob(&world.target.blob).await.unwrap(), None);
    }

    pub(crate) async fn mount_blob(world: World, app: RepositoryClient) {
        let digest = &world.target.source_blob;
        assert!(app.mount_blob(digest, SOURCE).await.unwrap().is_none());
        let stream = app.download_blob(digest).await.unwrap();
        assert_eq!(stream.bytes(100).await.unwrap(), "content of the source");
    }
}
