//! Requests on the wire, counted at the mock in this process: every machine has the same.

use std::fs::File;
use std::path::Path;

use acr_client::transport::from_fn;
use acr_client::{ContainerRegistryClient, Credential};
use acr_mock::Registry;

use super::Bench;
use super::figures::{Figures, Kind};
use super::place::REPOSITORY;
use crate::Result;

/// Requests that sign a client in.
pub(super) const SIGN_IN: [&str; 4] = [
    "ping",
    "exchange_entra_token",
    "request_access_token",
    "request_access_token_with_login",
];

pub(super) fn measure(bench: &Bench, figures: &mut Figures) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let file = bench.folder.path().join("hole");
    for (name, mebibytes, goal) in [
        ("1 MiB", 1, 2),
        ("64 MiB", 64, 3),
        ("1 GiB", 1 << 10, 3),
        // Of five parts.
        ("1.25 GiB", 5 << 8, 7),
    ] {
        File::create(&file)?.set_len(mebibytes << 20)?;
        let (up, down) = runtime.block_on(count(&file))?;
        let name = |what| format!("requests, {what} of {name}");
        let (up, down) = (Some(up as f64), Some(down as f64));
        figures.at_most(f64::from(goal), Kind::Other, &name("upload"), up);
        figures.at_most(2.0, Kind::Other, &name("download"), down);
    }
    Ok(())
}

/// Uploads and downloads a file; gives the requests of both beside the sign-in and, of the upload, beside a `HEAD` that
/// asks whether the blob is there.
async fn count(file: &Path) -> Result<(u64, u64)> {
    let registry = Registry::new();
    let sending = registry.clone();
    let client = ContainerRegistryClient::builder("https://mock.azurecr.io")
        .credential(Credential::entra_token("any"))
        .transport(from_fn(move |request| sending.try_handle(request)))
        .build()?;
    let repository = client.repository_client(REPOSITORY)?;
    let counted = || {
        let requests = registry.requests();
        registry.reset_requests();
        let beside = SIGN_IN.iter().chain(&["head_blob"]);
        requests.total() - beside.filter_map(|name| requests.of(name)).sum::<u64>()
    };
    let digest = repository.upload_blob(file).await?.digest;
    let up = counted();
    let mut blob = repository.download_blob(digest).await?;
    while blob.try_next().await?.is_some() {}
    Ok((up, counted()))
}
