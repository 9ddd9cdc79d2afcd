//! acr-client on `crane registry serve`, the registry of go-containerregistry: it has neither Azure's API nor one for
//! referrers, and responds to chunks with other statuses than the specification's.

use std::path::Path;
use std::process::{Command, Stdio};

use acr_client::{ContainerRegistryClient, Credential, Manifest, MediaType};

use super::process::Running;
use super::report::Report;
use super::{output_of, without_acr_api};
use crate::{Ending, Result};

/// Runs the checks; returns the program's version.
///
/// # Errors
///
/// Skipped where the program does not start.
pub async fn run(program: &Path, report: &mut Report) -> Result<String, Ending> {
    let version = output_of(Command::new(program).arg("version"))
        .map_err(|reason| Ending::skipped(format!("{reason}; --crane names the program")))?;
    let version = format!("crane {}", version.trim());
    let (_server, address) = Running::listening(|address| {
        let mut command = Command::new(program);
        command.args(["registry", "serve", "--address", &address.to_string()]);
        command.stderr(Stdio::null());
        Ok(command)
    })?;
    let client = ContainerRegistryClient::builder(format!("http://{address}"))
        .credential(Credential::anonymous())
        .danger_allow_http(true)
        .build()?;
    let app = client.repository_client("interop/app")?;
    let mut note = |what: &str, outcome: Result<()>| {
        report.note("acr-client", "crane registry serve", what, outcome);
    };
    note("ping", client.ping().await.map_err(Into::into));

    // More than two chunks of 4 MiB.
    let layer: Vec<u8> = (0..9_000_000_u32).map(|at| (at % 251) as u8).collect();
    let outcome = async {
        let descriptor = app.upload_blob(layer.clone()).await?;
        let blob = app.download_blob(&descriptor.digest).await?;
        if blob.bytes(layer.len()).await? == layer {
            Ok(())
        } else {
            Err("the bytes differ".into())
        }
    };
    note("9 MB blob up and down: the same bytes", outcome.await);
    let outcome = async {
        let index = Manifest::new(
            r#"{"schemaVersion":2,"manifests":[]}"#,
            MediaType::OCI_INDEX,
        );
        app.set_manifest("v1", &index).await?;
        without_acr_api(&app, "v1").await
    };
    note("delete of a tag is an error, and it stays", outcome.await);
    Ok(version)
}
