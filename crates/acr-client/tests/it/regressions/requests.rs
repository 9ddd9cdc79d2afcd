//! What the work costs on the wire, counted at the registry. The official SDKs need 4 requests for the
//! first call at best, and 3 to 4 for each as soon as two repositories take turns.

use acr_client::{ContainerRegistryClient, Credential};
use futures_util::future::join_all;

use crate::regressions::support::Scene;

fn support(repositories: usize) -> Scene {
    let support = Scene::new();
    for at in 0..repositories {
        support.seed(&format!("app-{at}")).image("v1").unwrap();
    }
    support
}

fn client(support: &Scene, known: bool) -> ContainerRegistryClient {
    let builder = support.builder(Credential::entra_token("any"));
    builder.assume_azure_auth(known).build().unwrap()
}

fn total(support: &Scene) -> u64 {
    let total = support.registry.requests().total();
    support.registry.reset_requests();
    total
}

#[test]
fn the_first_call_costs_four_requests_or_three_and_each_further_one_of_its_scope_one() {
    for (known, first) in [(false, 4), (true, 3)] {
        let support = support(1);
        let client = client(&support, known);
        let app = client.repository_client("app-0").unwrap();
        support.drive(async {
            app.get_tag_properties("v1").await.unwrap();
            assert_eq!(total(&support), first);
            for _ in 0..10 {
                app.get_tag_properties("v1").await.unwrap();
                assert_eq!(total(&support), 1);
            }
        });
    }
}

#[test]
fn two_repositories_in_turn_cost_one_request_each_from_the_third_call_on() {
    for known in [false, true] {
        let support = support(2);
        let client = client(&support, known);
        support.drive(async {
            for at in 0..10 {
                let name = format!("app-{}", at % 2);
                client
                    .get_repository_properties(name.as_str())
                    .await
                    .unwrap();
                let cost = total(&support);
                assert!(at < 2 || cost == 1, "call {at} cost {cost}");
            }
        });
    }
}

#[test]
fn three_hundred_calls_in_two_scopes_of_a_hundred_repositories_cost_501_requests() {
    let support = support(100);
    let client = client(&support, true);
    support.drive(async {
        for round in 0..3 {
            for at in 0..100 {
                let app = client.repository_client(format!("app-{at}")).unwrap();
                // Two scopes: metadata_read and pull.
                if round == 1 {
                    app.get_manifest("v1").await.unwrap();
                } else {
                    app.get_tag_properties("v1").await.unwrap();
                }
            }
        }
    });
    assert!(total(&support) <= 501);
}

#[test]
fn sixty_four_first_calls_at_once_cost_one_exchange_and_one_token_for_each_scope() {
    for known in [false, true] {
        let support = support(4);
        let client = client(&support, known);
        let calls = (0..64).map(|at| {
            let app = client.repository_client(format!("app-{}", at % 4)).unwrap();
            async move { app.get_tag_properties("v1").await.unwrap() }
        });
        support.drive(join_all(calls));
        assert_eq!(support.count("exchange_entra_token"), 1);
        assert_eq!(support.count("request_access_token"), 4);
    }
}

#[test]
fn another_registry_is_asked_first_and_costs_no_token_if_it_never_asks() {
    let support = Scene::with(|builder| builder.authentication(false));
    support.seed("app").image("v1").unwrap();
    let builder = support.builder_at("https://registry.example", Credential::entra_token("any"));
    let app = builder.build().unwrap().repository_client("app").unwrap();
    support.drive(async {
        for _ in 0..3 {
            app.get_manifest("v1").await.unwrap();
            assert_eq!(total(&support), 1);
        }
        app.upload_blob(b"x").await.unwrap();
    });
    assert_eq!(support.count("exchange_entra_token"), 0);
    assert_eq!(support.count("request_access_token"), 0);
}
