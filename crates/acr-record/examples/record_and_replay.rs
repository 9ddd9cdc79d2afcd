//! Records a session with a registry, and plays it back without the registry.
//!
//! ```text
//! cargo run -p acr-record --example record_and_replay
//! ```

use acr_client::transport::{Transport, from_fn};
use acr_client::{ContainerRegistryClient, Credential, clock::SystemClock};
use acr_mock::Registry;
use acr_record::{Recorder, Recording, Replay};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result {
    // In place of a registry in memory, give the transport to a real one, such as `HyperTransport`.
    let registry = Registry::new();
    registry.seed("samples/app")?.image("v1")?;
    let recorder = Recorder::new(from_fn(registry.handler()));
    let recorded = pull(recorder.clone(), "a token").await?;
    let text = recorder.recording().to_jsonl();
    println!("{text}");

    // Any other token will do: the recording has none.
    let replay = Replay::new(Recording::from_jsonl(&text)?);
    let replayed = pull(replay.clone(), "another token").await?;
    assert_eq!(recorded, replayed);
    assert!(replay.remaining().is_empty());
    Ok(())
}

/// The program that is tested.
async fn pull(transport: impl Transport, token: &str) -> Result<String> {
    let client = ContainerRegistryClient::builder("https://myregistry.azurecr.io")
        .credential(Credential::entra_token(token))
        .transport(transport)
        .clock(SystemClock)
        .build()?;
    let repository = client.repository_client("samples/app")?;
    let manifest = repository.get_manifest("v1").await?;
    Ok(manifest.digest.to_string())
}
