//! Signing in, in every way, and what happens when a token ends.

use std::time::Duration;

use acr_client::{Advice, ContainerRegistryClient, Credential, ErrorKind};

use crate::suite::backend::{Backend, Served, on_every_backend};

on_every_backend! {
    an_entra_token_signs_in
    a_user_name_and_password_sign_in
    a_refresh_token_signs_in
    a_refresh_token_signs_in_as_the_password_of_the_user_of_zeros
    a_wrong_login_is_unauthorized_and_does_not_show
    an_entra_token_that_is_refused_is_unauthorized
    an_identity_without_a_role_is_denied
    a_right_that_is_missing_is_denied_and_named
    anonymous_reads_everything_and_changes_nothing
    anonymous_is_unauthorized_where_it_is_not_allowed
    anonymous_tokens_are_renewed_for_hours
    tokens_that_ended_are_renewed_silently
    a_refresh_token_that_ended_is_unauthorized
    tokens_are_cached_by_scope
    a_registry_without_authentication_costs_no_token
}

const HOUR: Duration = Duration::from_secs(3_600);
const EXCHANGE: &str = "POST /oauth2/exchange";
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// A registry with the tag `v1` in the repository `samples/app`, and the user `ci`.
fn served(backend: Backend) -> Served {
    let served = Served::on(backend, |builder| builder.user("ci", "hunter2"));
    served.seed("samples/app").image("v1").unwrap();
    served
}

/// Uses every kind of right: lists, reads, pulls, pushes, locks and deletes.
#[track_caller]
fn expect_everything_allowed(client: &ContainerRegistryClient) -> impl Future<Output = ()> {
    let client = client.clone();
    async move {
        client.ping().await.unwrap();
        let names = client.list_repository_names().collect_all().await;
        assert_eq!(names.unwrap(), ["samples/app"]);
        let app = client.repository_client("samples/app").unwrap();
        let manifest = app.get_manifest("v1").await.unwrap();
        let blob = app.upload_blob(b"content").await.unwrap();
        let bytes = app.download_blob(&blob.digest).await.unwrap().bytes(100);
        let bytes = bytes.await.unwrap();
        assert_eq!(bytes, "content");
        app.set_manifest("v2", &manifest).await.unwrap();
        app.update_tag_properties("v2", acr_client::ChangeableAttributes::UNLOCKED)
            .await
            .unwrap();
        assert!(app.delete_tag("v2").await.unwrap());
        assert!(app.delete_blob(&blob.digest).await.unwrap());
    }
}

async fn an_entra_token_signs_in(backend: Backend) {
    let served = served(backend);
    expect_everything_allowed(&served.client(Credential::entra_token("any"))).await;
    let requests = served.requests();
    let exchanges = requests.iter().filter(|request| *request == EXCHANGE);
    assert_eq!(exchanges.count(), 1, "{requests:?}");
}

async fn a_user_name_and_password_sign_in(backend: Backend) {
    let served = served(backend);
    expect_everything_allowed(&served.client(Credential::password("ci", "hunter2"))).await;
    let requests = served.requests();
    let mut posts = requests
        .iter()
        .filter(|request| request.starts_with("POST /oauth2"));
    assert_eq!(posts.next(), None);
}

/// A refresh token of the registry, got by hand.
async fn refresh_token(served: &Served) -> String {
    let form = format!(
        "grant_type=access_token&service={}&access_token=any",
        served.login_server()
    );
    let request = http::Request::post(format!("https://{}/oauth2/exchange", served.login_server()));
    let response = served.registry.handle(request.body(form).unwrap()).await;
    let body = acr_client::transport::Body::new(response.into_body());
    let bytes = http_body_util::BodyExt::collect(body).await.unwrap();
    let bytes = bytes.to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    body["refresh_token"].as_str().unwrap().to_owned()
}

async fn a_refresh_token_signs_in(backend: Backend) {
    let served = served(backend);
    let token = refresh_token(&served).await;
    expect_everything_allowed(&served.client(Credential::refresh_token(token))).await;
    assert!(!served.requests().contains(&EXCHANGE.to_owned()));
}

async fn a_refresh_token_signs_in_as_the_password_of_the_user_of_zeros(backend: Backend) {
    let served = served(backend);
    let token = refresh_token(&served).await;
    expect_everything_allowed(&served.client(Credential::password(NOBODY, token))).await;
}

async fn a_wrong_login_is_unauthorized_and_does_not_show(backend: Backend) {
    let served = served(backend);
    for (user, password) in [
        ("ci", "wrong-hunter3"),
        ("other", "hunter2"),
        ("ci", ""),
        (NOBODY, "hunter2"),
    ] {
        let client = served.client(Credential::password(user, password));
        let app = client.repository_client("samples/app").unwrap();
        for error in [
            client.ping().await.unwrap_err(),
            client.list_repository_names().try_next().await.unwrap_err(),
            app.get_manifest("v1").await.unwrap_err(),
            app.upload_blob(b"content").await.unwrap_err(),
            app.delete_tag("v1").await.unwrap_err(),
            client.delete_repository("samples/app").await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
            assert_eq!(error.advice(), Advice::NewToken);
            assert_eq!(error.status().unwrap(), 401);
            let text = format!("{error} {error:?}");
            assert!(!text.contains("hunter"), "{text}");
        }
    }
    // Nothing was harmed.
    let app = served.repository("samples/app");
    app.get_manifest("v1").await.unwrap();
}

async fn an_entra_token_that_is_refused_is_unauthorized(backend: Backend) {
    let served = Served::on(backend, |builder| builder.refuse_entra_tokens());
    let client = served.client(Credential::entra_token("hunter2"));
    let error = client.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
    let text = error.to_string();
    assert!(text.contains("token validation failed"), "{text}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

async fn an_identity_without_a_role_is_denied(backend: Backend) {
    let served = Served::on(backend, |builder| {
        builder.entra_token("nobody", "".parse().unwrap())
    });
    let client = served.client(Credential::entra_token("nobody"));
    let error = client.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let text = error.to_string();
    assert!(text.contains("retrieving permissions failed"), "{text}");
}

async fn a_right_that_is_missing_is_denied_and_named(backend: Backend) {
    let served = Served::on(backend, |builder| {
        builder.scoped_user(
            "puller",
            "word",
            "repository:samples/app:pull".parse().unwrap(),
        )
    });
    served.seed("samples/app").image("v1").unwrap();
    served.seed("other").image("v1").unwrap();
    let client = served.client(Credential::password("puller", "word"));
    let app = client.repository_client("samples/app").unwrap();
    let other = client.repository_client("other").unwrap();
    app.get_manifest("v1").await.unwrap();
    let delete_tag = app.delete_tag("v1").await.map(drop);
    let read_tag = app.get_tag_properties("v1").await.map(drop);
    let upload = app.upload_blob(b"x").await.map(drop);
    let pull = other.get_manifest("v1").await.map(drop);
    let list = client.list_repository_names().try_next().await.map(drop);
    let delete = client.delete_repository("other").await.map(drop);
    for (result, scope) in [
        (delete_tag, "repository:samples/app:delete"),
        (read_tag, "repository:samples/app:metadata_read"),
        (upload, "repository:samples/app:pull,push"),
        (pull, "repository:other:pull"),
        (list, "registry:catalog:*"),
        (delete, "repository:other:delete"),
    ] {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert_eq!(error.missing_scope(), Some(scope));
        assert_eq!(error.advice(), Advice::Never);
        assert!(error.to_string().contains(scope), "{error}");
    }
    // What is allowed still is.
    app.get_manifest("v1").await.unwrap();
}

async fn anonymous_reads_everything_and_changes_nothing(backend: Backend) {
    let served = Served::on(backend, |builder| builder.anonymous_pull(true));
    let seed = served.seed("samples/app");
    let image = seed.image("v1").unwrap();
    let client = served.client(Credential::anonymous());
    let app = client.repository_client("samples/app").unwrap();

    client.ping().await.unwrap();
    let names = client.list_repository_names().collect_all().await;
    assert_eq!(names.unwrap(), ["samples/app"]);
    let properties = app.get_repository_properties().await.unwrap();
    assert_eq!(properties.tag_count, 1);
    let tags = app.list_tag_properties().collect_all().await.unwrap();
    assert_eq!(tags.len(), 1);
    let manifests = app.list_manifest_properties().collect_all().await;
    assert_eq!(manifests.unwrap().len(), 1);
    assert_eq!(app.list_tags().collect_all().await.unwrap(), ["v1"]);
    app.get_tag_properties("v1").await.unwrap();
    app.get_manifest_properties("v1").await.unwrap();
    assert_eq!(app.get_manifest("v1").await.unwrap(), image);
    for blob in image.as_image().unwrap().blobs() {
        let bytes = app.download_blob(&blob.digest).await.unwrap();
        let bytes = bytes.bytes(1 << 20).await.unwrap();
        assert_eq!(bytes.len() as u64, blob.size);
    }

    let locks = acr_client::ChangeableAttributes::LOCKED;
    let (digest, config) = (&image.digest, &image.as_image().unwrap().config.digest);
    let lock_repository = app.update_repository_properties(locks).await.map(drop);
    let lock_tag = app.update_tag_properties("v1", locks).await.map(drop);
    let lock_manifest = app.update_manifest_properties(digest, locks).await;
    let lock_manifest = lock_manifest.map(drop);
    for (result, action) in [
        (lock_repository, "metadata_write"),
        (lock_tag, "metadata_write"),
        (lock_manifest, "metadata_write"),
        (app.set_manifest("v2", &image).await.map(drop), "pull,push"),
        (app.upload_blob(b"x").await.map(drop), "pull,push"),
        (app.delete_tag("v1").await.map(drop), "delete"),
        (app.delete_manifest(digest).await.map(drop), "delete"),
        (app.delete_blob(config).await.map(drop), "delete"),
        (app.delete_repository().await.map(drop), "delete"),
    ] {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        let scope = format!("repository:samples/app:{action}");
        assert_eq!(error.missing_scope(), Some(&*scope));
    }
    assert_eq!(app.get_manifest("v1").await.unwrap(), image);
}

async fn anonymous_is_unauthorized_where_it_is_not_allowed(backend: Backend) {
    let served = served(backend);
    let client = served.client(Credential::anonymous());
    let app = client.repository_client("samples/app").unwrap();
    for error in [
        client.ping().await.unwrap_err(),
        client.list_repository_names().try_next().await.unwrap_err(),
        app.get_repository_properties().await.unwrap_err(),
        app.get_manifest("v1").await.unwrap_err(),
        app.delete_tag("v1").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
    }
}

async fn anonymous_tokens_are_renewed_for_hours(backend: Backend) {
    // They come with minutes left, and the same one may come again.
    let served = Served::on(backend, |builder| builder.anonymous_pull(true));
    served.seed("samples/app").image("v1").unwrap();
    let app = served.client(Credential::anonymous());
    let app = app.repository_client("samples/app").unwrap();
    app.get_manifest("v1").await.unwrap();
    served.requests();
    for _ in 0..(3 * 60) {
        served.clock.advance(Duration::from_secs(60));
        app.get_manifest("v1").await.unwrap();
    }
    let requests = served.requests();
    let tokens = requests
        .iter()
        .filter(|request| request.contains("/oauth2/token"));
    let tokens = tokens.count();
    // No request was refused on the way.
    assert_eq!(requests.len() - tokens, 180);
    assert!((30..=180).contains(&tokens), "{tokens}");
}

async fn tokens_that_ended_are_renewed_silently(backend: Backend) {
    let served = served(backend);
    for credential in [
        Credential::entra_token("any"),
        Credential::password("ci", "hunter2"),
    ] {
        let client = served.client(credential);
        let app = client.repository_client("samples/app").unwrap();
        let mut upload = app.start_upload().await.unwrap();
        for (at, hours) in [0, 2, 5, 100].into_iter().enumerate() {
            served.clock.advance(HOUR * hours);
            app.get_manifest("v1").await.unwrap();
            app.get_tag_properties("v1").await.unwrap();
            client.list_repository_names().collect_all().await.unwrap();
            // A body goes with it, too.
            if hours > 0 {
                upload = app.start_upload().await.unwrap();
            }
            upload.append(format!("chunk {at}")).await.unwrap();
            assert_eq!(upload.status().await.unwrap(), 7);
        }
    }
}

async fn a_refresh_token_that_ended_is_unauthorized(backend: Backend) {
    let served = served(backend);
    let token = refresh_token(&served).await;
    let client = served.client(Credential::refresh_token(token.clone()));
    client.ping().await.unwrap();
    served.clock.advance(HOUR * 2);
    client.ping().await.unwrap();
    served.clock.advance(HOUR * 2);
    let error = client.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
    assert!(!format!("{error} {error:?}").contains(&token));
}

async fn tokens_are_cached_by_scope(backend: Backend) {
    let served = served(backend);
    served.seed("other").image("v1").unwrap();
    let client = served.owner();
    let (app, other) = (
        client.repository_client("samples/app").unwrap(),
        client.repository_client("other").unwrap(),
    );
    app.get_manifest("v1").await.unwrap();
    other.get_manifest("v1").await.unwrap();
    served.requests();
    for _ in 0..20 {
        app.get_manifest("v1").await.unwrap();
        other.get_manifest("v1").await.unwrap();
    }
    let requests = served.requests();
    assert_eq!(requests.len(), 40, "{requests:?}");
}

async fn a_registry_without_authentication_costs_no_token(backend: Backend) {
    let served = Served::on(backend, |builder| builder.authentication(false));
    served.seed("samples/app").image("v1").unwrap();
    for credential in [
        Credential::anonymous(),
        Credential::password("a", "b"),
        Credential::entra_token("any"),
    ] {
        let client = served.client(credential);
        expect_everything_allowed(&client).await;
        let requests = served.requests();
        assert!(
            !requests.iter().any(|request| request.contains("/oauth2/")),
            "{requests:?}"
        );
    }
}

#[tokio::test]
async fn tokens_that_the_registry_no_longer_knows_are_replaced_silently() {
    // A registry that takes the first one's place has another key: both kinds of token are worthless there.
    let (old, new) = (served(Backend::InProcess), served(Backend::InProcess));
    let registry = std::sync::Arc::new(std::sync::Mutex::new(old.registry.clone()));
    let current = registry.clone();
    let client = old
        .builder(Credential::entra_token("any"))
        .transport(acr_client::transport::from_fn(move |request| {
            current.lock().unwrap().handle(request)
        }))
        .build()
        .unwrap();
    let app = client.repository_client("samples/app").unwrap();
    app.get_manifest("v1").await.unwrap();
    *registry.lock().unwrap() = new.registry.clone();
    app.get_manifest("v1").await.unwrap();
    app.upload_blob(b"content").await.unwrap();
}
