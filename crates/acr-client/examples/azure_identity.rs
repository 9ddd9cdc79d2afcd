//! Signs in with a credential of the Azure SDK for Rust (feature `azure-core`).
//!
//! ```text
//! cargo run -p acr-client --features azure-core --example azure_identity
//! ```
//!
//! With the crate `azure_identity` the credential is `DeveloperToolsCredential::new(None)?`, `ManagedIdentityCredential`
//! or any other of its types, and the client takes it as it is. Here it is one of our own, which asks the Azure CLI.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use acr_client::clock::SystemClock;
use acr_client::transport::from_fn;
use acr_client::{ContainerRegistryClient, Credential, async_trait};
use acr_mock::Registry;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::{Error, ErrorKind};

/// The identity that is signed in to `az`.
#[derive(Debug)]
struct AzureCli;

#[async_trait]
impl TokenCredential for AzureCli {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let output = Command::new("az")
            .args([
                "account",
                "get-access-token",
                "--query=accessToken",
                "--output=tsv",
                "--scope",
            ])
            .args(scopes)
            .output()?;
        if !output.status.success() {
            return Err(Error::with_message(
                ErrorKind::Credential,
                "`az login` comes first",
            ));
        }
        let token = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let expires_on = SystemTime::now() + Duration::from_secs(300);
        Ok(AccessToken::new(token, expires_on.into()))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let credential = Credential::token_credential(Arc::new(AzureCli));
    let client = match std::env::var("AZURE_CONTAINERREGISTRY_ENDPOINT") {
        Ok(endpoint) => ContainerRegistryClient::new(endpoint, credential)?,
        // Without a registry: a mock inside this program, which takes any token.
        Err(_) => {
            let mock = Registry::new();
            ContainerRegistryClient::builder("https://mock.azurecr.io")
                .credential(credential.or(Credential::entra_token("any")))
                .transport(from_fn(mock.handler()))
                .clock(SystemClock)
                .build()?
        }
    };
    client.ping().await?;
    println!("signed in at {}", client.endpoint());
    Ok(())
}
