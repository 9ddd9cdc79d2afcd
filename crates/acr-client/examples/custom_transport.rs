//! A transport around another one: it measures every request, and names the operation that it belongs to.
//!
//! ```text
//! cargo run -p acr-client --example custom_transport
//! ```

use std::time::Instant;

use acr_client::clock::SystemClock;
use acr_client::transport::OperationContext;
use acr_client::transport::{Body, Transport, TransportError, from_fn};
use acr_client::{ContainerRegistryClient, Credential, async_trait};
use acr_mock::Registry;
use http::{Request, Response};

/// Prints a line for each request that goes through it.
#[derive(Debug)]
struct Timed<T>(T);

#[async_trait]
impl<T: Transport> Transport for Timed<T> {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let context = request.extensions().get::<OperationContext>().cloned();
        let operation = context.as_ref().map_or("?", |context| context.operation());
        let started = Instant::now();
        let response = self.0.send(request).await;
        let outcome = match &response {
            Ok(response) => response.status().to_string(),
            Err(error) => error.to_string(),
        };
        // Headers and queries hold credentials and signatures: they belong in no log.
        println!("{operation}  {outcome}  {:?}", started.elapsed());
        response
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mock = Registry::new();
    mock.seed("samples/app")?.image("v1")?;
    // In place of the mock, around a real registry: `HyperTransport::builder().build()?`.
    let inner = from_fn(mock.handler());
    let client = ContainerRegistryClient::builder("https://mock.azurecr.io")
        .credential(Credential::entra_token("any"))
        .transport(Timed(inner))
        .clock(SystemClock)
        .build()?;
    let manifest = client
        .repository_client("samples/app")?
        .get_manifest("v1")
        .await?;
    println!("v1 is {}", manifest.digest);
    Ok(())
}
