//! Where a registry is, and how one gets in.

use acr_client::{ContainerRegistryClient, Credential, RepositoryClient};
use serde::{Deserialize, Serialize};

use crate::Result;

/// The repository of all that is measured.
pub(super) const REPOSITORY: &str = "bench/app";

/// A registry, as its process says when it is ready.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) endpoint: String,
    /// The certificate that clients must trust, where it speaks https.
    pub(super) ca: Option<String>,
    /// Name and password, where it wants them.
    pub(super) login: Option<(String, String)>,
    /// An access token for the repository, where it wants one.
    pub(super) token: Option<String>,
}

impl Place {
    /// A registry that lets everybody in over plain http.
    pub(super) fn open(endpoint: String) -> Self {
        Self {
            endpoint,
            ca: None,
            login: None,
            token: None,
        }
    }

    /// Our client of it.
    pub(super) fn client(&self) -> Result<ContainerRegistryClient> {
        let mut builder =
            ContainerRegistryClient::builder(&self.endpoint).danger_allow_http(self.ca.is_none());
        if let Some((name, password)) = &self.login {
            builder = builder.credential(Credential::password(&**name, &**password));
        }
        if let Some(pem) = &self.ca {
            builder = builder.hyper(|hyper| hyper.root_certificate_pem(&**pem));
        }
        Ok(builder.build()?)
    }

    pub(super) fn repository(&self) -> Result<RepositoryClient> {
        Ok(self.client()?.repository_client(REPOSITORY)?)
    }
}
