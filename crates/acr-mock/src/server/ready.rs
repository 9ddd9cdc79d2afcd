//! [`Ready`]: what somebody outside this process has to know of a running mock.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::AcrMock;

/// Where a running mock is, whom to trust and how to sign in: the line that the program writes when it is ready.
///
/// Members are only ever added, and `schema` stays 1 as long as none changes its meaning.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Ready {
    /// The version of this form.
    pub schema: u32,
    /// The registry's URL.
    pub endpoint: String,
    /// The data origin's URL.
    pub data_endpoint: String,
    /// The registry's host and port, as in image references.
    pub login_server: String,
    /// The file with the certificate of the CA; `None` over plain http, and where no file could be written.
    pub ca: Option<PathBuf>,
    /// That certificate, as PEM.
    pub ca_pem: Option<String>,
    /// A user who may do everything.
    pub username: String,
    /// The user's password.
    pub password: String,
    /// Whose rules hold where they differ.
    pub profile: String,
    /// The version of the mock.
    pub version: String,
    /// The process that serves it.
    pub pid: u32,
    /// The URL of the local port.
    #[serde(default)]
    pub control: Option<String>,
    /// The URL of the fake Entra ID's authority.
    #[serde(default)]
    pub authority: Option<String>,
    /// What `IDENTITY_ENDPOINT` takes.
    #[serde(default)]
    pub identity_endpoint: Option<String>,
    /// What `IDENTITY_HEADER` takes.
    #[serde(default)]
    pub identity_header: Option<String>,
    /// The tenant of the application that may do everything.
    #[serde(default)]
    pub tenant_id: Option<String>,
    /// Its id.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Its secret.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// What `HTTPS_PROXY` takes, where the registry has a production name.
    #[serde(default)]
    pub proxy: Option<String>,
    /// The login servers that the proxy leads to.
    #[serde(default)]
    pub registries: Vec<String>,
}

impl AcrMock {
    /// What a program outside this process has to know. There is no file with the CA's certificate.
    #[must_use]
    pub fn ready(&self) -> Ready {
        let principal = self.service_principal();
        let (tenant_id, client_id, client_secret) = match principal {
            Some((tenant, client, secret)) => (Some(tenant), Some(client), Some(secret)),
            None => (None, None, None),
        };
        Ready {
            schema: 1,
            endpoint: self.endpoint(),
            data_endpoint: self.data_endpoint(),
            login_server: self.login_server().to_owned(),
            ca: None,
            ca_pem: self.ca_pem().map(str::to_owned),
            username: self.username().to_owned(),
            password: self.password().to_owned(),
            profile: self.registry().settings().profile.as_str().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            control: self.local_endpoint().map(str::to_owned),
            authority: self.authority().map(str::to_owned),
            identity_endpoint: self.identity_endpoint(),
            identity_header: self.identity_header().map(str::to_owned),
            tenant_id,
            client_id,
            client_secret,
            proxy: self.proxy().map(str::to_owned),
            registries: self
                .registry_name()
                .map(ToString::to_string)
                .into_iter()
                .collect(),
        }
    }
}

/// Without its secrets.
impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ready")
            .field("endpoint", &self.endpoint)
            .field("control", &self.control)
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}
