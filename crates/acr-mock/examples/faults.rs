//! Faults: what a busy registry and a bad network do to a client, on demand.
//!
//! ```text
//! cargo run -p acr-mock --example faults
//! ```

use acr_mock::{Fault, FaultAction, FaultResponse, Registry, VirtualClock};
use http::Request;

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = VirtualClock::new();
    let registry = Registry::builder().clock(clock.clone()).build();
    registry.seed("samples/app")?.image("v1")?;
    let token = registry.access_token("repository:samples/app:metadata_read")?;

    // The first request is told to come again in a second; the connection of the second breaks.
    let busy = FaultResponse::too_many_requests().retry_after(1);
    registry.inject(Fault::on("get_tag_properties").times(1).then(busy))?;
    let broken = registry.inject(
        Fault::on("get_tag_properties")
            .after(1)
            .times(1)
            .then(FaultAction::Reset),
    )?;

    for _ in 0..3 {
        let request = Request::get("https://mock.azurecr.io/acr/v1/samples/app/_tags/v1")
            .header("Authorization", format!("Bearer {token}"))
            .body(String::new())?;
        match clock.drive(registry.try_handle(request)) {
            Ok(response) => println!(
                "{}  {:?}",
                response.status(),
                response.headers().get("retry-after")
            ),
            Err(error) => println!("{error}"),
        }
    }
    assert_eq!(broken.count(), 1);
    Ok(())
}
