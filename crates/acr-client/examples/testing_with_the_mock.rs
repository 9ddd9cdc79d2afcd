//! Tests a program against a registry in memory, without a socket and without waiting.
//!
//! ```text
//! cargo run -p acr-client --example testing_with_the_mock
//! ```

use std::time::Duration;

use acr_client::clock::VirtualClock;
use acr_client::transport::from_fn;
use acr_client::{ContainerRegistryClient, Credential, Error};
use acr_mock::{Fault, FaultResponse, Registry};

/// The program that is tested: deletes the tags of CI that are older than a day.
async fn delete_old_tags(client: &ContainerRegistryClient, name: &str) -> Result<usize, Error> {
    let repository = client.repository_client(name)?;
    let cutoff = client.now() - Duration::from_secs(24 * 60 * 60);
    let mut deleted = 0;
    let mut tags = repository.list_tag_properties();
    while let Some(tag) = tags.try_next().await? {
        if tag.name.as_str().starts_with("ci-") && tag.last_updated_on < cutoff {
            repository.delete_tag(&tag.name).await?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // One clock for both: it moves when the test says so, and jumps to the end of every wait.
    let time = VirtualClock::new();
    let registry = Registry::builder().clock(time.clone()).build();
    let client = ContainerRegistryClient::builder(registry.endpoint())
        .credential(Credential::password(
            registry.username(),
            registry.password(),
        ))
        .transport(from_fn(registry.handler()))
        .clock(registry.clock())
        .build()?;

    let repository = registry.seed("samples/app")?;
    repository.image("v1")?;
    repository.image("ci-1")?;
    time.advance(Duration::from_secs(2 * 24 * 60 * 60));
    repository.image("ci-2")?;

    // The registry is busy for two requests, and the client comes again when it is told to.
    let busy = FaultResponse::too_many_requests().retry_after(20);
    let fault = registry.inject(Fault::on("delete_tag").times(2).then(busy))?;
    let before = time.now();
    assert_eq!(time.drive(delete_old_tags(&client, "samples/app"))?, 1);
    assert_eq!(fault.count(), 2);
    assert!(time.now().duration_since(before)? >= Duration::from_secs(40));

    let tags = client.repository_client("samples/app")?.list_tags();
    let tags = time.drive(tags.collect_all())?;
    assert_eq!(tags, ["ci-2", "v1"]);
    println!("one tag deleted, after two refusals");
    Ok(())
}
