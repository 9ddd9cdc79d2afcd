//! What the work costs on the wire, counted at the registry. The official SDKs need 4 requests for the
//! first call at best, and 3 to 4 for each as soon as two repositories take turns.

use acr_client::{ContainerRegistryClient, Credential};
use futures_util::future::join_all;

use crate::scene::Scene;

fn scene(repositories: usize) -> Scene {
    let scene = Scene::new();
    for at in 0..repositories {
        scene.seed(&format!("app-{at}")).image("v1").unwrap();
    }
    scene
}

fn client(scene: &Scene, known: bool) -> ContainerRegistryClient {
    let builder = scene.builder(Credential::entra_token("any"));
    builder.assume_azure_auth(known).build().unwrap()
}

fn total(scene: &Scene) -> u64 {
    let total = scene.registry.requests().total();
    scene.registry.reset_requests();
    total
}

#[test]
fn the_first_call_costs_four_requests_or_three_and_each_further_one_of_its_scope_one() {
    for (known, first) in [(false, 4), (true, 3)] {
        let scene = scene(1);
        let client = client(&scene, known);
        let app = client.repository_client("app-0").unwrap();
        scene.drive(async {
            app.get_tag_properties("v1").await.unwrap();
            assert_eq!(total(&scene), first);
            for _ in 0..10 {
                app.get_tag_properties("v1").await.unwrap();
                assert_eq!(total(&scene), 1);
            }
        });
    }
}

#[test]
fn two_repositories_in_turn_cost_one_request_each_from_the_third_call_on() {
    for known in [false, true] {
        let scene = scene(2);
        let client = client(&scene, known);
        scene.drive(async {
            for at in 0..10 {
                let name = format!("app-{}", at % 2);
                client
                    .get_repository_properties(name.as_str())
                    .await
                    .unwrap();
                let cost = total(&scene);
                assert!(at < 2 || cost == 1, "call {at} cost {cost}");
            }
        });
    }
}

#[test]
fn three_hundred_calls_in_two_scopes_of_a_hundred_repositories_cost_501_requests() {
    let scene = scene(100);
    let client = client(&scene, true);
    scene.drive(async {
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
    assert!(total(&scene) <= 501);
}

#[test]
fn sixty_four_first_calls_at_once_cost_one_exchange_and_one_token_for_each_scope() {
    for known in [false, true] {
        let scene = scene(4);
        let client = client(&scene, known);
        let calls = (0..64).map(|at| {
            let app = client.repository_client(format!("app-{}", at % 4)).unwrap();
            async move { app.get_tag_properties("v1").await.unwrap() }
        });
        scene.drive(join_all(calls));
        assert_eq!(scene.count("exchange_entra_token"), 1);
        assert_eq!(scene.count("request_access_token"), 4);
    }
}

#[test]
fn another_registry_is_asked_first_and_costs_no_token_if_it_never_asks() {
    let scene = Scene::with(|builder| builder.authentication(false));
    scene.seed("app").image("v1").unwrap();
    let builder = scene.builder_at("https://registry.example", Credential::entra_token("any"));
    let app = builder.build().unwrap().repository_client("app").unwrap();
    scene.drive(async {
        for _ in 0..3 {
            app.get_manifest("v1").await.unwrap();
            assert_eq!(total(&scene), 1);
        }
        app.upload_blob(b"x").await.unwrap();
    });
    assert_eq!(scene.count("exchange_entra_token"), 0);
    assert_eq!(scene.count("request_access_token"), 0);
}
