//! Uploads a file as a blob and downloads it again, and shows how far it is. Killed at any time and started again, it
//! goes on where it was.
//!
//! ```text
//! cargo run -p acr-client --example large_blob [FILE REPOSITORY TARGET]
//! ```
//!
//! Without `AZURE_CONTAINERREGISTRY_ENDPOINT` in the environment it runs on a mock inside this program.

use std::io::Write as _;
use std::path::PathBuf;

use acr_client::transport::from_fn;
use acr_client::{
    ContainerRegistryClient, Credential, OnProgress, Progress, SaveBlobOptions, UploadBlobOptions,
};
use acr_mock::Registry;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let file = match arguments.next() {
        Some(file) => PathBuf::from(file),
        None => sample()?,
    };
    let name = arguments.next().unwrap_or_else(|| "samples/app".to_owned());
    let beside = || file.with_extension("downloaded");
    let target = arguments.next().map_or_else(beside, PathBuf::from);
    let repository = connect()?.repository_client(name)?;

    let options = UploadBlobOptions {
        state_file: Some(file.with_extension("upload")),
        on_progress: OnProgress::new(show),
        ..UploadBlobOptions::default()
    };
    let blob = repository.upload_blob_with(&file, options).await?;
    println!("{} is {}", file.display(), blob.digest);

    let options = SaveBlobOptions {
        resume: true,
        on_progress: OnProgress::new(show),
        ..SaveBlobOptions::default()
    };
    let bytes = repository
        .download_blob_to(&blob.digest, &target, options)
        .await?;
    println!("{} has {bytes} verified bytes", target.display());
    Ok(())
}

/// Shows a bar, which is done when the content is.
fn show(progress: &Progress) {
    let total = progress.total.unwrap_or(progress.bytes).max(1);
    let width = usize::try_from(progress.bytes * 40 / total).unwrap_or(40);
    let end = if progress.outcome.is_some() { "\n" } else { "" };
    eprint!(
        "\r[{:<40}] {} bytes{end}",
        "#".repeat(width),
        progress.bytes
    );
    // What cannot be shown is no reason to stop.
    let _ = std::io::stderr().flush();
}

/// Writes a file of some MiB.
fn sample() -> Result<PathBuf> {
    let file = std::env::temp_dir().join("acr-large-blob.bin");
    std::fs::write(&file, vec![7; 5 << 20])?;
    Ok(file)
}

/// Connects to the registry that the environment names, or to a mock inside this program.
fn connect() -> Result<ContainerRegistryClient> {
    if std::env::var_os("AZURE_CONTAINERREGISTRY_ENDPOINT").is_some() {
        return Ok(ContainerRegistryClient::from_env()?);
    }
    let mock = Registry::new();
    Ok(ContainerRegistryClient::builder("https://mock.azurecr.io")
        .credential(Credential::entra_token("any"))
        .transport(from_fn(mock.handler()))
        .build()?)
}
