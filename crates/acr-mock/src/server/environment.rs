//! [`Environment`]: the variables by which a program that knows nothing of the mock comes to use it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tempfile::TempDir;

use super::no_proxy::no_proxy;
use super::trust::Roots;
use super::{AcrMock, Ready, RegistryName};

/// As whom a program signs in that takes its credentials from the environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignIn {
    /// As a managed identity, which needs neither a secret nor a certificate; every identity library does so.
    #[default]
    ManagedIdentity,
    /// As an application with a secret.
    ServicePrincipal,
    /// As an application with a token of a cluster, in a file.
    Workload,
    /// As whoever the environment has: nothing about identities is changed.
    None,
}

impl SignIn {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::ManagedIdentity,
        Self::ServicePrincipal,
        Self::Workload,
        Self::None,
    ];

    /// The word for it, such as `managed-identity`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ManagedIdentity => "managed-identity",
            Self::ServicePrincipal => "service-principal",
            Self::Workload => "workload",
            Self::None => "none",
        }
    }
}

/// The word is none of [`SignIn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is one of managed-identity, service-principal, workload, none")]
pub struct UnknownSignIn;

impl FromStr for SignIn {
    type Err = UnknownSignIn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|one| one.as_str() == text);
        found.ok_or(UnknownSignIn)
    }
}

/// What an [`Environment`] is to have.
#[derive(Clone, Copy, Debug, Default)]
pub struct EnvironmentOptions {
    /// As whom a program signs in.
    pub sign_in: SignIn,
    /// Whether tools of containers find a login, in a configuration that has this one alone.
    pub docker_login: bool,
}

/// Variables, and the files that they name, which are removed when this is dropped.
///
/// ```no_run
/// use std::process::Command;
/// use acr_mock::{AcrMock, EnvironmentOptions};
///
/// let mock = AcrMock::start()?;
/// let environment = mock.env(EnvironmentOptions::default())?;
/// let mut tests = Command::new("pytest");
/// environment.apply(&mut tests);
/// assert!(tests.status()?.success());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Environment {
    set: BTreeMap<&'static str, OsString>,
    removed: BTreeSet<&'static str>,
    files: TempDir,
}

impl AcrMock {
    /// The variables that lead a program to this mock, made from those of this process.
    ///
    /// # Errors
    ///
    /// A folder for temporary files cannot be made, or not be written to.
    pub fn env(&self, options: EnvironmentOptions) -> io::Result<Environment> {
        let token = self.registry().entra().workload_token();
        Environment::new(&self.ready(), options, &token, |name| {
            std::env::var_os(name)
        })
    }
}

impl Environment {
    /// Those that are set, with their values.
    pub fn set(&self) -> impl Iterator<Item = (&'static str, &OsStr)> {
        self.set
            .iter()
            .map(|(name, value)| (*name, value.as_os_str()))
    }

    /// Those that are taken out: they would lead to other identities, with their real secrets.
    pub fn removed(&self) -> impl Iterator<Item = &'static str> {
        self.removed.iter().copied()
    }

    /// Gives them to a program that is to be started.
    pub fn apply(&self, command: &mut Command) {
        for name in &self.removed {
            command.env_remove(name);
        }
        command.envs(&self.set);
    }

    pub(super) fn new(
        ready: &Ready,
        options: EnvironmentOptions,
        workload_token: &str,
        outer: impl Fn(&str) -> Option<OsString>,
    ) -> io::Result<Self> {
        let files = tempfile::Builder::new().prefix("acr-mock-").tempdir()?;
        let mut this = Self {
            set: BTreeMap::new(),
            removed: BTreeSet::new(),
            files,
        };
        this.registry(ready);
        this.identity(ready, options.sign_in, workload_token)?;
        if let Some(pem) = &ready.ca_pem {
            this.trust(pem, &outer)?;
        }
        this.proxy(ready, &outer);
        if options.docker_login {
            this.docker_login(ready)?;
        }
        Ok(this)
    }

    fn put(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.removed.remove(name);
        self.set.insert(name, value.into());
    }

    /// Writes a file that this user alone can read; returns where it is.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> io::Result<PathBuf> {
        let path = self.files.path().join(name);
        fs::write(&path, content)?;
        Ok(path)
    }

    fn registry(&mut self, ready: &Ready) {
        let endpoint = match ready.registries.first() {
            Some(production) => format!("https://{production}"),
            None => ready.endpoint.clone(),
        };
        self.put("AZURE_CONTAINERREGISTRY_ENDPOINT", endpoint);
        self.put("AZURE_CONTAINERREGISTRY_USERNAME", &ready.username);
        self.put("AZURE_CONTAINERREGISTRY_PASSWORD", &ready.password);
        self.put("ACR_MOCK_ENDPOINT", &ready.endpoint);
        self.put("ACR_MOCK_LOGIN_SERVER", &ready.login_server);
        if let Some(control) = &ready.control {
            self.put("ACR_MOCK_CONTROL", control);
        }
    }

    fn identity(&mut self, ready: &Ready, sign_in: SignIn, workload_token: &str) -> io::Result<()> {
        if sign_in == SignIn::None {
            return Ok(());
        }
        self.removed.extend(OF_IDENTITIES);
        let missing = |what: &str| {
            let text = format!("{} needs {what}, which this mock has not", sign_in.as_str());
            io::Error::new(io::ErrorKind::Unsupported, text)
        };
        if sign_in == SignIn::ManagedIdentity {
            let (Some(endpoint), Some(header)) = (&ready.identity_endpoint, &ready.identity_header)
            else {
                return Err(missing("the local port"));
            };
            self.put("IDENTITY_ENDPOINT", endpoint);
            self.put("IDENTITY_HEADER", header);
            self.put("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential");
            return Ok(());
        }
        let (Some(tenant), Some(client), Some(secret)) =
            (&ready.tenant_id, &ready.client_id, &ready.client_secret)
        else {
            return Err(missing("an application with a secret"));
        };
        self.put("AZURE_TENANT_ID", tenant);
        self.put("AZURE_CLIENT_ID", client);
        // The proxy serves the hosts at which programs sign in by themselves.
        if ready.proxy.is_none() {
            let authority = ready.authority.as_ref();
            let authority = authority.ok_or_else(|| missing("the authority"))?;
            self.put("AZURE_AUTHORITY_HOST", authority);
        }
        if sign_in == SignIn::Workload {
            let file = self.file("workload-token", workload_token)?;
            self.put("AZURE_FEDERATED_TOKEN_FILE", file);
            self.put("AZURE_TOKEN_CREDENTIALS", "WorkloadIdentityCredential");
        } else {
            self.put("AZURE_CLIENT_SECRET", secret);
            self.put("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential");
        }
        Ok(())
    }

    /// Everybody who is trusted outside stays trusted: most of these variables take the place of the system's roots.
    fn trust(&mut self, ca_pem: &str, outer: &impl Fn(&str) -> Option<OsString>) -> io::Result<()> {
        let mut roots = Roots::of_system();
        for name in BUNDLES {
            if let Some(path) = outer(name) {
                roots.add_file(Path::new(&path));
            }
        }
        roots.add(ca_pem.as_bytes());
        let bundle = self.file("roots.pem", roots.pem())?;
        for name in BUNDLES {
            self.put(name, &bundle);
        }
        // Node adds those of a file to its own.
        let mut additional = Roots::default();
        if let Some(path) = outer("NODE_EXTRA_CA_CERTS") {
            additional.add_file(Path::new(&path));
        }
        additional.add(ca_pem.as_bytes());
        let additional = self.file("node.pem", additional.pem())?;
        self.put("NODE_EXTRA_CA_CERTS", additional);
        let ca = self.file("ca.pem", ca_pem)?;
        self.put("ACR_MOCK_CA", ca);
        #[cfg(feature = "cli")]
        {
            let store = self.file("roots.p12", roots.java_store(STORE_PASSWORD)?)?;
            let option =
                |name: &str, value: &str| format!("-Djavax.net.ssl.trustStore{name}={value}");
            let store = store.to_string_lossy();
            let mut options = outer("JAVA_TOOL_OPTIONS").unwrap_or_default();
            for option in [
                option("", &store),
                option("Password", STORE_PASSWORD),
                option("Type", "PKCS12"),
            ] {
                if !options.is_empty() {
                    options.push(" ");
                }
                // Java takes a word in quotes for one, whatever is in it.
                let quote = if option.contains(' ') { "\"" } else { "" };
                options.push(format!("{quote}{option}{quote}"));
            }
            self.put("JAVA_TOOL_OPTIONS", options);
        }
        Ok(())
    }

    /// Leads the production names through the proxy.
    fn proxy(&mut self, ready: &Ready, outer: &impl Fn(&str) -> Option<OsString>) {
        let Some(proxy) = &ready.proxy else { return };
        for name in ["HTTPS_PROXY", "https_proxy"] {
            self.put(name, proxy);
        }
        let registries = ready.registries.iter();
        let names: Vec<RegistryName> = registries.filter_map(|name| name.parse().ok()).collect();
        let served = names.iter().flat_map(RegistryName::hosts);
        let spellings = ["no_proxy", "NO_PROXY"];
        let given = spellings.into_iter().filter_map(outer);
        let given: Vec<_> = given
            .map(|text| text.to_string_lossy().into_owned())
            .collect();
        // Where both are given, clients differ in which one they read.
        for (index, name) in spellings.into_iter().enumerate() {
            let given = given.get(index).or(given.first());
            self.put(
                name,
                no_proxy(given.map_or("", String::as_str), served.clone()),
            );
        }
        #[cfg(feature = "cli")]
        if let Some((host, port)) = proxy
            .strip_prefix("http://")
            .and_then(|address| address.rsplit_once(':'))
        {
            let mut options = self.set.remove("JAVA_TOOL_OPTIONS").unwrap_or_default();
            let host = host.trim_matches(['[', ']']);
            // Azure's SDK asks the proxy for loopback names too, unless it is told not to.
            options.push(format!(
                " -Dhttps.proxyHost={host} -Dhttps.proxyPort={port} -Dhttp.nonProxyHosts=localhost|127.*|[::1]"
            ));
            self.put("JAVA_TOOL_OPTIONS", options);
        }
    }

    fn docker_login(&mut self, ready: &Ready) -> io::Result<()> {
        let auth = STANDARD.encode(format!("{}:{}", ready.username, ready.password));
        let config = json!({ "auths": { ready.registries.first().unwrap_or(&ready.login_server): { "auth": auth } } });
        let file = self.file("config.json", config.to_string())?;
        let folder = self.files.path().to_owned();
        self.put("DOCKER_CONFIG", folder);
        self.put("REGISTRY_AUTH_FILE", file);
        Ok(())
    }
}

/// Without the values, for some are secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("set", &self.set.keys())
            .field("removed", &self.removed)
            .finish_non_exhaustive()
    }
}

/// Each of these names a PEM file in the place of the system's roots.
const BUNDLES: [&str; 3] = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];

/// Java wants one where the store has one; this is the usual.
#[cfg(feature = "cli")]
const STORE_PASSWORD: &str = "changeit";

/// What the identity libraries and this project's client read. Of two kinds of credential some take the wrong one, and a
/// real secret must not leave the machine.
const OF_IDENTITIES: [&str; 24] = [
    "AZURE_ADDITIONALLY_ALLOWED_TENANTS",
    "AZURE_AUTHORITY_HOST",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN",
    "AZURE_CONTAINERREGISTRY_ENTRA_TOKEN",
    "AZURE_CONTAINERREGISTRY_REFRESH_TOKEN",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_PASSWORD",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "AZURE_REGIONAL_AUTHORITY_NAME",
    "AZURE_TENANT_ID",
    "AZURE_TOKEN_CREDENTIALS",
    "AZURE_USERNAME",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "IDENTITY_SERVER_THUMBPRINT",
    "IMDS_ENDPOINT",
    "MSI_ENDPOINT",
    "MSI_SECRET",
    "SYSTEM_ACCESSTOKEN",
    "SYSTEM_OIDCREQUESTURI",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_shows_in_debug_output() {
        let mock = AcrMock::start().unwrap();
        let options = EnvironmentOptions {
            sign_in: SignIn::ServicePrincipal,
            ..EnvironmentOptions::default()
        };
        let (environment, ready) = (mock.env(options).unwrap(), mock.ready());
        let shown = format!("{environment:?} {ready:?}");
        let secrets = [
            Some(&ready.password),
            ready.client_secret.as_ref(),
            ready.identity_header.as_ref(),
        ];
        for secret in secrets.into_iter().flatten() {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("AZURE_CLIENT_SECRET"));
    }

    #[test]
    fn what_a_mock_has_not_is_told_by_name() {
        let mock = AcrMock::builder()
            .local(None)
            .authority(None)
            .start()
            .unwrap();
        for (sign_in, missing) in [
            (SignIn::ManagedIdentity, "the local port"),
            (SignIn::ServicePrincipal, "the authority"),
            (SignIn::Workload, "the authority"),
        ] {
            let options = EnvironmentOptions {
                sign_in,
                ..EnvironmentOptions::default()
            };
            let error = mock.env(options).unwrap_err();
            assert!(error.to_string().contains(missing), "{error}");
        }
    }
}
