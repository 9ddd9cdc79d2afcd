//! Clients whose pauses between attempts are the same at each run, and transfers that are drawn from a seed.

mod transfers;

use acr_client::{ClientBuilder, ContainerRegistryClient, RetryOptions};

/// What every client of these tests draws its pauses from.
const SEED: u64 = 20_210_701;

/// Settings for a client of this endpoint, with [`retry`].
pub(crate) fn builder(endpoint: impl Into<String>) -> ClientBuilder {
    ContainerRegistryClient::builder(endpoint).retry(retry())
}

/// The default options with the seed, which a test that fails has printed.
pub(crate) fn retry() -> RetryOptions {
    println!("the pauses between attempts are drawn from the seed {SEED}");
    RetryOptions {
        seed: Some(SEED),
        ..RetryOptions::default()
    }
}
