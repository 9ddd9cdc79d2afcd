use std::time::Duration;

use acr_client::auth::{ScopeSet, Secret};
use acr_client::{Credential, ErrorKind, Manifest, MediaType, RepositoryClient};
use acr_mock::{Fault, FaultAction, FaultResponse, OperationClass, VirtualClock};
use futures_util::future::join_all;

use crate::regressions::support::{EXCHANGE, HOUR, Scene, TOKEN};

fn repository(support: &Scene) -> RepositoryClient {
    support.owner().repository_client("app").unwrap()
}

/// Does a bit of everything: reads, writes, with bodies and without.
async fn work(app: &RepositoryClient, round: usize) {
    app.get_tag_properties("v1").await.unwrap();
    app.get_manifest("v1").await.unwrap();
    let bytes = format!("layer {round}").into_bytes();
    let blob = app.upload_blob(bytes).await.unwrap();
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"application/octet-stream","digest":"{}","size":{}}},"layers":[]}}"#,
        MediaType::OCI_MANIFEST,
        blob.digest,
        blob.size
    );
    let manifest = Manifest::new(text, MediaType::OCI_MANIFEST);
    app.set_manifest("v2", &manifest).await.unwrap();
    app.download_blob(&blob.digest)
        .await
        .unwrap()
        .bytes(99)
        .await
        .unwrap();
    assert!(app.delete_tag("v2").await.unwrap());
}

#[test]
fn a_job_does_not_end_when_its_tokens_do() {
    for abac in [false, true] {
        let support = Scene::with(|builder| builder.abac(abac));
        support.seed("app").image("v1").unwrap();
        let app = repository(&support);
        support.drive(async {
            // Three days: access tokens live for 75 minutes, refresh tokens for three hours.
            for round in 0..72 {
                work(&app, round).await;
                support.clock.advance(HOUR);
            }
        });
    }
}

#[test]
fn a_401_is_met_by_renewing_every_token_it_may_be_about() {
    let support = Scene::new();
    support.seed("app").image("v1").unwrap();
    let app = repository(&support);
    let tag = "GET /acr/v1/app/_tags/v1";
    support.drive(async {
        app.get_tag_properties("v1").await.unwrap();
        support.paths();

        support.registry.revoke_access_tokens();
        app.get_tag_properties("v1").await.unwrap();
        assert_eq!(support.paths(), [tag, TOKEN, tag]);

        support.registry.revoke_refresh_tokens();
        support.registry.revoke_access_tokens();
        app.get_tag_properties("v1").await.unwrap();
        assert_eq!(support.paths(), [tag, TOKEN, EXCHANGE, TOKEN, tag]);

        // A token that is new and refused all the same may go back to an old refresh token.
        let again = Fault::on("get_tag_properties").before_credentials();
        let again = again.times(2).then(FaultResponse::invalid_token());
        support.registry.inject(again).unwrap();
        app.get_tag_properties("v1").await.unwrap();
        assert_eq!(support.paths(), [tag, TOKEN, tag, EXCHANGE, TOKEN, tag]);
    });
}

#[test]
fn a_401_that_does_not_end_is_given_up_after_the_whole_chain() {
    let support = Scene::new();
    support.seed("app").image("v1").unwrap();
    let app = repository(&support);
    support.drive(async {
        app.get_tag_properties("v1").await.unwrap();
        let refusing = Fault::on("get_tag_properties").before_credentials();
        support
            .registry
            .inject(refusing.then(FaultResponse::invalid_token()))
            .unwrap();
        support.paths();
        let error = app.get_tag_properties("v1").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
        let tag = "GET /acr/v1/app/_tags/v1";
        assert_eq!(support.paths(), [tag, TOKEN, tag, EXCHANGE, TOKEN, tag]);
    });
}

#[test]
fn an_upload_goes_on_when_the_token_dies_between_its_chunks() {
    let support = Scene::new();
    let app = repository(&support);
    let (registry, clock) = (support.registry.clone(), support.clock.clone());
    let chunks = (0..8).map(move |at: u8| {
        registry.revoke_access_tokens();
        if at % 3 == 2 {
            registry.revoke_refresh_tokens();
        }
        // The first two are read before one is sent, and an open upload lives for an hour.
        clock.advance(HOUR / 4);
        Ok(bytes::Bytes::from(vec![at; 1000]))
    });
    let source = acr_client::BlobSource::stream(futures_util::stream::iter(chunks));
    let options = acr_client::UploadBlobOptions {
        chunk_size: Some(1000),
        ..Default::default()
    };
    let blob = support
        .drive(app.upload_blob_with(source, options))
        .unwrap();
    assert_eq!(blob.size, 8000);
    let held = support.drive(app.head_blob(&blob.digest)).unwrap().unwrap();
    assert_eq!(held.size, 8000);
}

#[test]
fn a_role_that_was_assigned_meanwhile_is_seen_but_a_denied_call_costs_no_exchange_each_time() {
    let reader: ScopeSet = "repository:app:pull,metadata_read".parse().unwrap();
    let support = Scene::with(|builder| builder.entra_token("reader", reader));
    support.seed("app").image("v1").unwrap();
    let client = support.client(Credential::entra_token("reader"));
    let app = client.repository_client("app").unwrap();
    support.drive(async {
        for _ in 0..10 {
            let error = app.delete_tag("v1").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        }
        assert_eq!(support.count("exchange_entra_token"), 1);
        support.clock.advance(HOUR / 4);
        app.delete_tag("v1").await.unwrap_err();
        assert_eq!(support.count("exchange_entra_token"), 2);
    });
}

#[test]
fn callers_at_once_do_not_storm_the_token_server() {
    let support = Scene::new();
    for name in ["a", "b"] {
        support.seed(name).image("v1").unwrap();
    }
    let client = support.owner();
    let calls = (0..64).map(|at| {
        let clone = client.clone();
        async move {
            let name = if at % 2 == 0 { "a" } else { "b" };
            clone.get_repository_properties(name).await.unwrap();
        }
    });
    support.drive(join_all(calls));
    assert_eq!(support.count("exchange_entra_token"), 1);
    assert_eq!(support.count("request_access_token"), 2);
}

#[test]
fn a_request_for_a_token_is_tried_again_when_the_token_server_is_busy_or_down() {
    let support = Scene::new();
    support.seed("app").image("v1").unwrap();
    for refuse in [
        FaultResponse::too_many_requests().retry_after(7),
        FaultResponse::service_unavailable(),
    ] {
        let busy = Fault::on_class(OperationClass::Token).times(3).then(refuse);
        support.registry.inject(busy).unwrap();
        let reset = Fault::on("request_access_token")
            .times(1)
            .then(FaultAction::Reset);
        support.registry.inject(reset).unwrap();
        support
            .drive(repository(&support).get_tag_properties("v1"))
            .unwrap();
    }
}

#[test]
fn a_login_that_is_throttled_is_no_matter_of_permission() {
    let support = Scene::new();
    let busy = Fault::on_class(OperationClass::Token).then(FaultResponse::too_many_requests());
    support.registry.inject(busy).unwrap();
    let error = support
        .drive(repository(&support).get_tag_properties("v1"))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled, "{error}");
    assert!(error.is_retryable());
    // Not five times five: what a token request has tried is not tried again around it.
    assert_eq!(support.count("exchange_entra_token"), 5);
    assert!(error.to_string().contains("tried 5 times"), "{error}");
}

#[test]
fn an_anonymous_token_with_minutes_left_is_used_for_them() {
    let support = Scene::with(|builder| builder.anonymous_pull(true));
    support.seed("app").image("v1").unwrap();
    let client = support.client(Credential::anonymous());
    let app = client.repository_client("app").unwrap();
    support.drive(async {
        for _ in 0..180 {
            app.get_manifest("v1").await.unwrap();
            support.clock.advance(Duration::from_secs(20));
        }
    });
    let tokens = support.count("request_access_token");
    assert!(tokens <= 40, "{tokens} tokens for an hour of calls");
}

#[test]
fn a_token_that_arrives_expired_serves_its_call_and_does_not_loop() {
    let support = Scene::with(|builder| builder.access_token_life(HOUR));
    support.seed("app").image("v1").unwrap();
    let ahead = support.clock.now() + 2 * HOUR;
    let client = support
        .builder(Credential::password("ci", "hunter2"))
        .clock(VirtualClock::starting_at(ahead))
        .build()
        .unwrap();
    let app = client.repository_client("app").unwrap();
    for _ in 0..3 {
        support.drive(app.get_tag_properties("v1")).unwrap();
        let tag = "GET /acr/v1/app/_tags/v1";
        assert_eq!(support.paths(), ["GET /oauth2/token", tag]);
    }
}

#[test]
fn a_wildcard_is_never_asked_for_and_an_abac_registry_serves_all_the_same() {
    let support = Scene::with(|builder| builder.abac(true));
    for name in ["app", "team/app"] {
        support.seed(name).image("v1").unwrap();
    }
    let client = support.owner();
    support.drive(async {
        assert_eq!(
            client
                .list_repository_names()
                .collect_all()
                .await
                .unwrap()
                .len(),
            2
        );
        for name in ["app", "team/app"] {
            let repository = client.repository_client(name).unwrap();
            work(&repository, 0).await;
            repository.list_tags().collect_all().await.unwrap();
            repository
                .list_manifest_properties()
                .collect_all()
                .await
                .unwrap();
        }
    });
    let mut asked = 0;
    for seen in support.seen() {
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        let scopes = url::form_urlencoded::parse(body.as_bytes())
            .filter(|(name, _)| name == "scope")
            .map(|(_, value)| value.into_owned());
        for scope in scopes {
            asked += 1;
            assert!(!scope.contains("repository:*"), "{scope}");
        }
    }
    assert!(asked >= 7, "{asked}");
}

#[test]
fn a_wildcard_on_an_abac_registry_is_an_error_and_no_empty_response() {
    let support = Scene::with(|builder| builder.abac(true));
    support.seed("app").image("v1").unwrap();
    // As `az acr login` leaves one.
    let refresh_token = support.registry.refresh_token("any").unwrap();
    for client in [
        support.owner(),
        support.client(Credential::refresh_token(refresh_token)),
    ] {
        let error = support
            .drive(client.access_token("repository:*:pull"))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("ABAC"), "{error}");
        let token = support.drive(client.access_token("repository:app:pull"));
        let granted = token.unwrap().unwrap().granted().unwrap();
        assert_eq!(granted.to_string(), "repository:app:pull");
    }
}

#[test]
fn tokens_do_not_outgrow_a_header() {
    // A registry that takes heads of 4 KiB, and a job over 200 repositories.
    let support = Scene::with(|builder| builder.head_limit(4096));
    let names: Vec<String> = (0..200).map(|at| format!("team/app-{at:03}")).collect();
    for name in &names {
        support.seed(name).image("v1").unwrap();
    }
    let client = support.owner();
    support.drive(async {
        for name in &names {
            client
                .get_repository_properties(name.as_str())
                .await
                .unwrap();
        }
    });
    let longest = support
        .seen()
        .iter()
        .filter_map(|seen| Some(seen.headers.get("authorization")?.len()))
        .max();
    assert!(longest.unwrap() < 2048, "{longest:?}");

    let many: Vec<String> = (0..17).map(|at| format!("repository:r{at}:pull")).collect();
    let error = support
        .drive(client.access_token(many.join(" ")))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

#[test]
fn an_entra_token_of_any_length_goes_in_a_body_and_in_no_url_or_header() {
    let support = Scene::new();
    support.seed("app").image("v1").unwrap();
    let long = "t".repeat(20_000);
    let client = support.client(Credential::entra_token(long.as_str()));
    let app = client.repository_client("app").unwrap();
    support.drive(app.get_tag_properties("v1")).unwrap();
    for seen in support.seen() {
        assert!(seen.line.len() < 200, "{}", seen.line.len());
        assert!(seen.headers.values().all(|value| value.len() < 4096));
    }
}

#[test]
fn a_mount_asks_for_both_repositories_in_one_token() {
    let support = Scene::new();
    let layer = support
        .seed("base")
        .blob("application/octet-stream", "layer");
    let app = repository(&support);
    let mounted = support
        .drive(app.mount_blob(&layer.digest, "base"))
        .unwrap();
    assert!(mounted.is_none());
    assert_eq!(support.count("request_access_token"), 1);
    assert_eq!(support.count("mount_blob"), 1);
}

#[test]
fn a_mount_that_finds_nothing_leaves_an_upload_to_go_on_with() {
    let support = Scene::new();
    support.seed("base").image("v1").unwrap();
    let app = repository(&support);
    support.drive(async {
        let digest = acr_client::Digest::sha256("layer");
        let started = app.mount_blob(&digest, "base").await.unwrap();
        let mut upload = started.expect("there is no such blob to mount");
        upload.complete_with(&digest, "layer").await.unwrap();
        app.head_blob(&digest).await.unwrap().unwrap();
    });
    assert_eq!(support.count("start_upload"), 0);
}

#[test]
fn a_source_without_the_right_to_pull_names_the_right_that_a_mount_lacks() {
    let rights: ScopeSet = "repository:app:pull,push".parse().unwrap();
    let support = Scene::with(|builder| builder.scoped_user("pusher", "hunter2", rights));
    let layer = support
        .seed("base")
        .blob("application/octet-stream", "layer");
    let client = support.client(Credential::password("pusher", "hunter2"));
    let app = client.repository_client("app").unwrap();
    let error = support
        .drive(app.mount_blob(&layer.digest, "base"))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let missing = error.missing_scope().unwrap();
    assert!(missing.contains("repository:base:pull"), "{missing}");
}

#[test]
fn the_audience_follows_the_cloud_and_can_be_set() {
    #[derive(Debug, Clone, Default)]
    struct Asked(std::sync::Arc<std::sync::Mutex<Vec<String>>>);

    #[acr_client::async_trait]
    impl acr_client::auth::TokenSource for Asked {
        async fn token(
            &self,
            audience: &acr_client::auth::Audience,
        ) -> Result<Secret, Box<dyn std::error::Error + Send + Sync>> {
            self.0.lock().unwrap().push(audience.to_string());
            Ok("token".into())
        }
    }

    for (host, set, expected) in [
        (
            "name.azurecr.io",
            None,
            "https://containerregistry.azure.net",
        ),
        (
            "name.azurecr.cn",
            None,
            "https://containerregistry.azure.cn",
        ),
        (
            "name.azurecr.us",
            None,
            "https://containerregistry.azure.us",
        ),
        (
            "registry.example",
            None,
            "https://containerregistry.azure.net",
        ),
        (
            "name.azurecr.us",
            Some(acr_client::auth::Audience::RESOURCE_MANAGER_US_GOVERNMENT),
            "https://management.usgovcloudapi.net",
        ),
    ] {
        let support = Scene::new();
        support.seed("app").image("v1").unwrap();
        let asked = Asked::default();
        let endpoint = format!("https://{host}");
        let mut builder = support.builder_at(&endpoint, Credential::entra(asked.clone()));
        if let Some(audience) = set {
            builder = builder.audience(audience);
        }
        let client = builder.build().unwrap();
        support
            .drive(client.get_repository_properties("app"))
            .unwrap();
        assert_eq!(*asked.0.lock().unwrap(), [expected]);
    }
}
