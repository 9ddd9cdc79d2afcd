//! Uploads.

use acr_client::{BlobUpload, Digest, RepositoryClient, UploadState};
use http::Method;

use super::case::{Caller, Case, Item, Locked, Missing, Outcome, Switch, call, done};
use super::world::{APP, CONTENT, Expected, Plain, What, World};

/// The upload of the target as the client resumes it, without asking for its status.
async fn resumed(c: &Caller) -> BlobUpload {
    let state = serde_json::json!({ "location": c.at.location, "offset": 0 });
    let state: UploadState = serde_json::from_value(state).unwrap();
    c.app.resume_upload(state).await.unwrap()
}

/// The response of an upload, whose location has another state each time.
fn at_location(status: u16, world: &World, range: String) -> Expected {
    let path = world.target.location.split('?').next().unwrap();
    Expected::empty(status)
        .header("location", path)
        .header("range", range)
}

pub(super) fn start_upload() -> Case {
    Case {
        request: |at| {
            Plain::new(
                Method::POST,
                format!("/v2/{}/blobs/uploads/", at.repository),
            )
        },
        response: |_| {
            let location = format!("/v2/{APP}/blobs/uploads/");
            Expected::empty(202)
                .header("location", location)
                .header("range", "0-0")
        },
        scope: "repository:APP:pull,push",
        call: call!(|c| done(c.app.start_upload().await)),
        // There is no create: the repository need not exist.
        missing: Ok(Missing {
            what: What::Repository,
            status: 202,
            code: None,
            outcome: Ok(Outcome::Done),
        }),
        locked: Ok(Locked::By(Item::Repository, Switch::Write)),
    }
}

pub(super) fn get_upload_status() -> Case {
    Case {
        request: |at| Plain::get(at.location.clone()),
        response: |world| at_location(204, world, "0-0".to_owned()),
        scope: "repository:APP:pull",
        call: call!(|c| done(c.app.resume_upload(c.at.location.as_str()).await)),
        missing: Ok(Missing::not_found(What::Item, "BLOB_UPLOAD_UNKNOWN")),
        locked: Ok(Locked::Not(Outcome::Done)),
    }
}

pub(super) fn upload_chunk() -> Case {
    Case {
        request: |at| {
            Plain::new(Method::PATCH, at.location.clone()).body("application/octet-stream", CONTENT)
        },
        response: |world| at_location(202, world, format!("0-{}", CONTENT.len() - 1)),
        call: call!(|c| done(resumed(&c).await.append(CONTENT).await)),
        missing: Ok(Missing::not_found(What::Item, "BLOB_UPLOAD_UNKNOWN")),
        ..start_upload()
    }
}

pub(super) fn complete_upload() -> Case {
    Case {
        request: |at| {
            let path = format!("{}&digest={}", at.location, Digest::sha256(CONTENT));
            Plain::new(Method::PUT, path).body("application/octet-stream", CONTENT)
        },
        response: |_| {
            let digest = Digest::sha256(CONTENT);
            Expected::empty(201)
                .header("location", format!("/v2/{APP}/blobs/{digest}"))
                .header("docker-content-digest", digest)
        },
        call: call!(|c| {
            let digest = Digest::sha256(CONTENT);
            let mut upload = resumed(&c).await;
            done(upload.complete_with(digest, CONTENT).await)
        }),
        ..upload_chunk()
    }
}

pub(super) fn cancel_upload() -> Case {
    Case {
        request: |at| Plain::delete(at.location.clone()),
        response: |_| Expected::empty(204).header("docker-upload-uuid", ""),
        scope: "repository:APP:delete",
        call: call!(|c| done(resumed(&c).await.cancel().await)),
        ..get_upload_status()
    }
}

pub(super) mod ok {
    use super::*;

    pub(crate) async fn start_upload(_: World, app: RepositoryClient) {
        let upload = app.start_upload().await.unwrap();
        assert_eq!((upload.offset(), upload.minimum_chunk()), (0, None));
        let location = upload.location().as_str();
        assert!(location.starts_with(&format!("/v2/{APP}/blobs/uploads/")));
    }

    pub(crate) async fn get_upload_status(_: World, app: RepositoryClient) {
        let mut upload = app.start_upload().await.unwrap();
        let old = upload.location().clone();
        upload.append(CONTENT).await.unwrap();
        let resumed = app.resume_upload(&old).await.unwrap();
        assert_eq!(resumed.offset(), CONTENT.len() as u64);
        assert_ne!(resumed.location(), &old);
        assert_eq!(upload.status().await.unwrap(), CONTENT.len() as u64);
    }

    pub(crate) async fn upload_chunk(_: World, app: RepositoryClient) {
        let mut upload = app.start_upload().await.unwrap();
        let mut offset = 0;
        for part in CONTENT.split_inclusive(' ') {
            upload.append(part).await.unwrap();
            offset += part.len() as u64;
            assert_eq!(upload.offset(), offset);
            assert_eq!(upload.status().await.unwrap(), offset);
        }
        let digest = upload.complete(Digest::sha256(CONTENT)).await.unwrap();
        let found = app.head_blob(digest).await.unwrap().unwrap();
        assert_eq!(found.size, CONTENT.len() as u64);
    }

    pub(crate) async fn complete_upload(world: World, app: RepositoryClient) {
        let mut resumed = app.resume_upload(&world.target.location).await.unwrap();
        let expected = Digest::sha256(CONTENT);
        let digest = resumed.complete_with(&expected, CONTENT).await.unwrap();
        assert_eq!(digest, expected);
        let stream = app.download_blob(digest).await.unwrap();
        assert_eq!(stream.bytes(100).await.unwrap(), CONTENT);
    }

    pub(crate) async fn cancel_upload(world: World, app: RepositoryClient) {
        let resumed = app.resume_upload(&world.target.location).await;
        let mut upload = resumed.unwrap();
        upload.cancel().await.unwrap();
        upload.cancel().await.unwrap_err();
    }
}
