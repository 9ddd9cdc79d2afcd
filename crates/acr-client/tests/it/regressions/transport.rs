use acr_client::{Credential, ErrorKind, MediaType};
use acr_mock::{Fault, FaultResponse};
use http::Request;

use crate::regressions::support::{HOST, Scene};

#[test]
fn a_transport_knows_what_each_request_is_part_of() {
    let support = Scene::new();
    support.seed("app").image("v1").unwrap();
    let app = support.owner().repository_client("app").unwrap();
    let down = Fault::on("get_manifest")
        .times(2)
        .then(FaultResponse::service_unavailable());
    support.registry.inject(down).unwrap();
    support.drive(app.get_manifest("v1")).unwrap();
    let requests = support.seen();
    let seen: Vec<_> = requests
        .iter()
        .map(|seen| {
            let context = &seen.context;
            (
                context.operation(),
                context.repository(),
                context.reference(),
                context.attempt(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("exchange_entra_token", None, None, 1),
            ("request_access_token", None, None, 1),
            ("get_manifest", Some("app"), Some("v1"), 1),
            ("get_manifest", Some("app"), Some("v1"), 2),
            ("get_manifest", Some("app"), Some("v1"), 3),
        ]
    );
}

#[test]
fn what_a_challenge_or_a_redirect_repeats_is_the_same_attempt() {
    let support = Scene::new();
    let layer = support
        .seed("app")
        .blob(MediaType::OCTET_STREAM, "Sample layer");
    let down = Fault::on_data()
        .times(1)
        .then(FaultResponse::service_unavailable());
    support.registry.inject(down).unwrap();
    let client = support.builder(Credential::entra_token("any"));
    let client = client.assume_azure_auth(false).build().unwrap();
    let app = client.repository_client("app").unwrap();
    support.drive(app.download_blob(&layer.digest)).unwrap();
    let seen: Vec<_> = support
        .seen()
        .iter()
        .filter(|seen| seen.context.operation() == "get_blob")
        .map(|seen| (seen.context.attempt(), seen.context.is_redirect()))
        .collect();
    let expected = [(1, false), (1, false), (1, true), (2, false), (2, true)];
    assert_eq!(seen, expected);
}

#[test]
fn what_no_method_covers_can_be_asked_for_with_the_client_s_credential() {
    let support = Scene::new();
    support.seed("app").image("v1").unwrap();
    let client = support.owner();
    support.drive(async {
        let busy = Fault::on("list_tags")
            .times(2)
            .then(FaultResponse::too_many_requests());
        support.registry.inject(busy).unwrap();
        // The scope that the registry asks for is another one, and is met.
        let request = Request::get("/v2/app/tags/list?n=5").body("").unwrap();
        let response = client.authorized_request(request, "repository:app:pull");
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        let body = response.into_body().read(1 << 20).await.unwrap();
        assert_eq!(body, "{\"name\":\"app\",\"tags\":[\"v1\"]}\n");

        let request = Request::delete(format!("https://{HOST}/acr/v1/app/_tags/v9")).body("");
        let response = client
            .authorized_request(request.unwrap(), "repository:app:delete")
            .await;
        assert_eq!(
            response.unwrap().status(),
            404,
            "every response is given as it is"
        );

        support.registry.clear_faults();
        let down = Fault::on("get_manifest").then(FaultResponse::service_unavailable());
        support.registry.inject(down).unwrap();
        let request = Request::get("/v2/app/manifests/v1").body("").unwrap();
        let response = client.authorized_request(request, "repository:app:pull");
        let response = response.await.unwrap();
        assert_eq!(response.status(), 503);
        let body = response.into_body().read(1 << 20).await.unwrap();
        assert!(!body.is_empty(), "the last response keeps its body");
    });
}

#[test]
fn a_request_of_one_s_own_does_not_take_the_credential_elsewhere() {
    let support = Scene::new();
    let client = support.owner();
    for url in [
        "https://evil.example/v2/",
        "http://mock.azurecr.io/v2/",
        // What is not a path is not taken for the root.
        "mock.azurecr.io",
        "*",
    ] {
        let request = Request::get(url).body("").unwrap();
        let error = support
            .drive(client.authorized_request(request, ""))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    assert!(support.seen().is_empty());
}

#[test]
fn the_token_in_use_can_be_had_and_given_to_another_client() {
    let support = Scene::new();
    support.seed("app").image("v1").unwrap();
    let client = support.owner();
    let token = support.drive(client.access_token("repository:app:pull"));
    let token = token.unwrap().unwrap();
    assert_eq!(token.granted().unwrap().to_string(), "repository:app:pull");
    let end = client.now() + std::time::Duration::from_secs(75 * 60);
    assert_eq!(token.expires_on(), end);
    assert!(!format!("{token:?}").contains(token.token().expose()));

    #[derive(Debug)]
    struct Lent(acr_client::auth::Secret);
    #[acr_client::async_trait]
    impl acr_client::auth::TokenProvider for Lent {
        async fn access_token(
            &self,
            _: &acr_client::auth::TokenRequest,
        ) -> Result<acr_client::auth::Secret, Box<dyn std::error::Error + Send + Sync>> {
            Ok(self.0.clone())
        }
    }
    let other = support.client(Credential::token_provider(Lent(token.token().clone())));
    let app = other.repository_client("app").unwrap();
    support.drive(app.get_manifest("v1")).unwrap();
}

#[test]
fn a_registry_without_tokens_has_none_to_give() {
    let support = Scene::with(|builder| builder.authentication(false));
    let builder = support.builder_at("https://registry.example", Credential::anonymous());
    let client = builder.build().unwrap();
    let token = support.drive(client.access_token("repository:app:pull"));
    assert_eq!(token.unwrap(), None);
}
