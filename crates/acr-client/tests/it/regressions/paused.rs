use std::time::Duration;

use acr_client::clock::TokioClock;
use acr_client::transport::from_fn;
use acr_client::{ContainerRegistryClient, Credential, RepositoryClient};
use acr_mock::{Fault, FaultResponse, Registry, RegistryBuilder};
use tokio::time::Instant;

use crate::seeded;

/// A client with the default clock, and its registry, both on tokio's time.
fn scene(
    settings: impl FnOnce(RegistryBuilder) -> RegistryBuilder,
) -> (Registry, RepositoryClient) {
    let registry = settings(Registry::builder().clock(TokioClock)).build();
    registry.seed("app").unwrap().image("v1").unwrap();
    let client: ContainerRegistryClient = seeded::builder("https://mock.azurecr.io")
        .credential(Credential::entra_token("any"))
        .transport(from_fn(registry.handler()))
        .build()
        .unwrap();
    (registry, client.repository_client("app").unwrap())
}

#[tokio::test(start_paused = true)]
async fn tokens_age_while_tokio_s_time_is_paused() {
    let (registry, app) = scene(|builder| builder.access_token_life(Duration::from_secs(600)));
    app.get_tag_properties("v1").await.unwrap();
    registry.reset_requests();
    tokio::time::sleep(Duration::from_secs(599)).await;
    app.get_tag_properties("v1").await.unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    app.get_tag_properties("v1").await.unwrap();
    let requests = registry.requests();
    // Both were renewed before they were sent in vain.
    let renewed = requests.of("request_access_token");
    assert_eq!(
        (requests.of("get_tag_properties"), renewed),
        (Some(2), Some(2))
    );
}

#[tokio::test(start_paused = true)]
async fn three_pauses_of_20_seconds_cost_60_to_65_of_paused_time() {
    let (registry, app) = scene(|builder| builder);
    let busy = FaultResponse::too_many_requests().retry_after(20);
    let busy = Fault::on("get_manifest").times(3).then(busy);
    let busy = registry.inject(busy).unwrap();
    let start = Instant::now();
    app.get_manifest("v1").await.unwrap();
    let took = start.elapsed().as_secs_f64();
    assert_eq!(busy.count(), 3);
    assert!((60.0..65.0).contains(&took), "{took}");
}
