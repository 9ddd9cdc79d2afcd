use acr_client::{ChangeableAttributes, ErrorKind, MediaType};
use http::header::ACCEPT;

use crate::regressions::support::Scene;

#[test]
fn names_with_slashes_and_digests_reach_every_route() {
    let support = Scene::new();
    let image = support.seed("library/deep/app").image("v1.0_x-y").unwrap();
    let client = support.owner();
    let app = client.repository_client("library/deep/app").unwrap();
    support.drive(async {
        client
            .get_repository_properties("library/deep/app")
            .await
            .unwrap();
        app.get_tag_properties("v1.0_x-y").await.unwrap();
        app.get_manifest_properties(&image.digest).await.unwrap();
        app.get_manifest(&image.digest).await.unwrap();
        app.list_manifest_properties().collect_all().await.unwrap();
        let locks = ChangeableAttributes::default().can_delete(false);
        app.update_manifest_properties(&image.digest, locks)
            .await
            .unwrap();
        let blob = app.upload_blob(b"x").await.unwrap();
        app.head_blob(&blob.digest).await.unwrap().unwrap();
        assert!(app.delete_blob(&blob.digest).await.unwrap());
    });
}

#[test]
fn a_name_that_does_not_fit_is_refused_before_anything_is_sent() {
    let support = Scene::new();
    let client = support.owner();
    let app = client.repository_client("app").unwrap();
    support.drive(async {
        for name in ["..", "Upper", "a//b", "a/../b", ""] {
            let error = client.get_repository_properties(name).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}");
        }
        let error = app.get_manifest_properties("sha256:short").await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        let error = app.get_tag_properties("a b").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    });
    assert!(support.seen().is_empty());
}

#[test]
fn a_plain_text_refusal_is_an_error_like_every_other() {
    let support = Scene::new();
    let client = support.owner();
    let request = http::Request::get("/acr/v1/app/_manifests/wrong-digest").body("");
    let sent = client.authorized_request(request.unwrap(), "repository:app:metadata_read");
    let response = support.drive(sent).unwrap();
    assert_eq!(response.status(), 404);
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; charset=utf-8"
    );

    // The same text where JSON is expected.
    let text = acr_mock::Fault::on("get_tag_properties");
    let text = text.then(acr_mock::FaultResponse::status(
        http::StatusCode::IM_A_TEAPOT,
    ));
    support.registry.inject(text).unwrap();
    support.seed("app").image("v1").unwrap();
    let app = client.repository_client("app").unwrap();
    let error = support.drive(app.get_tag_properties("v1")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Registry, "{error}");
    assert_eq!(error.status().unwrap(), 418);
}

#[test]
fn no_artifact_is_refused_for_want_of_its_type_in_accept() {
    let support = Scene::new();
    let seed = support.seed("app");
    seed.image("image").unwrap();
    seed.index("index").unwrap();
    let app = support.owner().repository_client("app").unwrap();
    support.drive(async {
        for tag in ["image", "index"] {
            app.get_manifest(tag).await.unwrap();
            app.head_manifest(tag).await.unwrap().unwrap();
        }
    });
    let seen = support.seen();
    let manifests = seen.iter().filter(|seen| seen.line.contains("/manifests/"));
    let mut count = 0;
    for seen in manifests {
        count += 1;
        let accept = seen.headers[ACCEPT].to_str().unwrap();
        for known in [
            MediaType::OCI_MANIFEST,
            MediaType::OCI_INDEX,
            MediaType::DOCKER_MANIFEST,
            MediaType::DOCKER_MANIFEST_LIST,
        ] {
            assert!(accept.contains(known.as_str()), "{accept}");
        }
        // And whatever comes next.
        assert!(accept.contains("*/*"), "{accept}");
    }
    assert_eq!(count, 4);
}

#[test]
fn a_lock_goes_no_further_than_it_was_asked_to() {
    let support = Scene::new();
    let image = support.seed("app").image("v1").unwrap();
    let client = support.owner();
    let app = client.repository_client("app").unwrap();
    support.drive(async {
        // A tag that is missing does not turn into the whole repository.
        let error = app.update_tag_properties("v2", ChangeableAttributes::LOCKED);
        let error = error.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");

        let tag = app.update_tag_properties("v1", ChangeableAttributes::default().can_write(false));
        let tag = tag.await.unwrap();
        assert!(!tag.attributes.can_write() && tag.attributes.can_delete());
        let repository = app.get_repository_properties().await.unwrap();
        assert!(!repository.attributes.is_locked());
        let manifest = app.get_manifest_properties(&image.digest).await.unwrap();
        assert!(!manifest.attributes.is_locked());

        let error = app.delete_tag("v1").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disallowed, "{error}");
        app.update_tag_properties("v1", ChangeableAttributes::UNLOCKED)
            .await
            .unwrap();
        assert!(app.delete_tag("v1").await.unwrap());
    });
}
