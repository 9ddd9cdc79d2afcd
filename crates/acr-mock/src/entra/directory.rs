//! Who is known: applications and managed identities of tenants.

use acr_protocol::{ScopeSet, Secret};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::certificate::Certificate;
use crate::auth::Permissions;

/// An application, which signs in as a service principal: with a secret, a certificate, or a token of somebody else.
///
/// ```
/// use acr_mock::{Application, Registry};
///
/// let mut deployer = Application::new("contoso.example", "11111111-2222-3333-4444-555555555555");
/// deployer.secrets.push("secret".into());
/// deployer.permissions = Some("repository:samples/app:pull,push".parse()?);
/// let registry = Registry::builder().application(deployer).build();
/// # let _ = registry;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Application {
    /// Its tenant: an id or a domain name, in any case of letters.
    pub tenant: String,
    /// Its id.
    pub client_id: String,
    /// Each of these lets it in. They are read and never written.
    #[serde(default, skip_serializing)]
    pub secrets: Vec<Secret>,
    /// Whoever signs with the key of one of these is let in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
    /// Whoever has a token of one of these is let in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub federated: Vec<FederatedCredential>,
    /// What it may do; everything by default. A name or an action `*` stands for every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<ScopeSet>,
}

impl Application {
    /// Creates one that may do everything, and has nothing yet to sign in with.
    pub fn new(tenant: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            tenant: tenant.into(),
            client_id: client_id.into(),
            secrets: Vec::new(),
            certificates: Vec::new(),
            federated: Vec::new(),
            permissions: None,
        }
    }

    /// Whether this is one of its secrets; it takes as long to find that it is none.
    pub(super) fn has_secret(&self, secret: &str) -> bool {
        let is_same = |own: &Secret| own.expose().as_bytes().ct_eq(secret.as_bytes());
        let none = Choice::from(0);
        self.secrets
            .iter()
            .fold(none, |found, own| found | is_same(own))
            .into()
    }
}

/// Whose tokens an application may come with, as on a cluster with workload identity.
///
/// Their signature is not checked, for the issuer's keys are not known: so no authority that knows such an application is
/// served where other machines can reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FederatedCredential {
    /// The claim `iss` of the token.
    pub issuer: String,
    /// Its claim `sub`.
    pub subject: String,
    /// One of its claim `aud`.
    #[serde(default = "exchange_audience")]
    pub audience: String,
}

impl FederatedCredential {
    /// Creates one with the audience that clusters use, `api://AzureADTokenExchange`.
    pub fn new(issuer: impl Into<String>, subject: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            subject: subject.into(),
            audience: exchange_audience(),
        }
    }
}

fn exchange_audience() -> String {
    "api://AzureADTokenExchange".to_owned()
}

/// A managed identity, which code on this machine has without a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ManagedIdentity {
    /// Its tenant.
    pub tenant: String,
    /// The id by which a program asks for it; the one assigned by the system has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// What it may do; everything by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<ScopeSet>,
}

impl ManagedIdentity {
    /// Creates the one assigned by the system, which may do everything.
    pub fn system_assigned(tenant: impl Into<String>) -> Self {
        Self {
            tenant: tenant.into(),
            client_id: None,
            permissions: None,
        }
    }

    /// Creates one that programs ask for by this id, and which may do everything.
    pub fn user_assigned(tenant: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            client_id: Some(client_id.into()),
            ..Self::system_assigned(tenant)
        }
    }
}

/// The identity that a token is given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) tenant: String,
    pub(super) client_id: String,
    /// The id of its principal, which permissions go by.
    pub(super) object_id: String,
}

/// Everybody who is known.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    pub(crate) applications: Vec<Application>,
    pub(crate) managed: Vec<ManagedIdentity>,
}

impl Directory {
    /// These, or where nobody was named a tenant with an application and a managed identity, which may do everything.
    pub(crate) fn or_one_tenant(self, secret: String) -> Self {
        if !self.applications.is_empty() || !self.managed.is_empty() {
            return self;
        }
        let mut application = Application::new(TENANT, CLIENT);
        application.secrets.push(Secret::new(secret));
        application.federated.push(of_workload());
        Self {
            applications: vec![application],
            managed: vec![ManagedIdentity::system_assigned(TENANT)],
        }
    }

    /// A tenant, as it is written here.
    pub(super) fn tenant(&self, named: &str) -> Option<&str> {
        let applications = self.applications.iter().map(|one| &one.tenant);
        let mut all = applications.chain(self.managed.iter().map(|one| &one.tenant));
        all.find(|tenant| tenant.eq_ignore_ascii_case(named))
            .map(String::as_str)
    }

    pub(super) fn application(&self, tenant: &str, client_id: &str) -> Option<&Application> {
        self.applications.iter().find(|one| {
            one.tenant.eq_ignore_ascii_case(tenant) && one.client_id.eq_ignore_ascii_case(client_id)
        })
    }

    pub(super) fn managed(&self, client_id: Option<&str>) -> Option<&ManagedIdentity> {
        let is_it = |one: &&ManagedIdentity| match (&one.client_id, client_id) {
            (None, None) => true,
            (Some(own), Some(named)) => own.eq_ignore_ascii_case(named),
            _ => false,
        };
        // Where one alone is assigned, no id need be given: as on a machine of Azure.
        let only = || match (client_id, self.managed.as_slice()) {
            (None, [one]) => Some(one),
            _ => None,
        };
        self.managed.iter().find(is_it).or_else(only)
    }

    /// What the identity of a token may do; `None` where it is not known (any more).
    pub(super) fn permissions_of(&self, subject: &str) -> Option<Permissions> {
        let applications = self.applications.iter();
        let applications = applications.map(|one| (one.identity(), &one.permissions));
        let managed = self.managed.iter();
        let managed = managed.map(|one| (one.identity(), &one.permissions));
        let mut all = applications.chain(managed);
        let (_, permissions) = all.find(|(identity, _)| identity.object_id == subject)?;
        Some(
            permissions
                .clone()
                .map_or(Permissions::All, Permissions::Only),
        )
    }

    /// Whether somebody is let in by a token whose signature is not checked.
    pub(super) fn takes_unsigned(&self) -> bool {
        let mut credentials = self.applications.iter().flat_map(|one| &one.federated);
        credentials.any(|one| one.issuer != OWN_ISSUER)
    }

    pub(super) fn service_principal(&self) -> Option<(String, String, String)> {
        self.applications.iter().find_map(|one| {
            let secret = one.secrets.first()?.expose().to_owned();
            Some((one.tenant.clone(), one.client_id.clone(), secret))
        })
    }
}

impl Application {
    pub(super) fn identity(&self) -> Identity {
        Identity {
            tenant: self.tenant.to_ascii_lowercase(),
            client_id: self.client_id.to_ascii_lowercase(),
            object_id: object_id("application", &self.tenant, &self.client_id),
        }
    }
}

impl ManagedIdentity {
    pub(super) fn identity(&self) -> Identity {
        let object_id = object_id(
            "managed",
            &self.tenant,
            self.client_id.as_deref().unwrap_or(""),
        );
        Identity {
            tenant: self.tenant.to_ascii_lowercase(),
            // Each has one in its tokens; that of the system-assigned one nobody can ask for.
            client_id: self.client_id.clone().unwrap_or_else(|| object_id.clone()),
            object_id,
        }
    }
}

/// The same identity has the same id in each run.
fn object_id(kind: &str, tenant: &str, client_id: &str) -> String {
    let text = format!("{kind} {tenant} {client_id}").to_ascii_lowercase();
    let bytes = Sha256::digest(text);
    let bytes = std::array::from_fn(|at| bytes[at]);
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}

/// Whose tokens the application takes that is there unless others were named.
pub(super) fn of_workload() -> FederatedCredential {
    FederatedCredential::new(OWN_ISSUER, "system:serviceaccount:default:default")
}

/// The cluster that the mock stands for itself.
pub(super) const OWN_ISSUER: &str = "https://acr-mock.invalid/";

const TENANT: &str = "ac20ac20-0000-4000-8000-000000000001";
const CLIENT: &str = "ac20ac20-0000-4000-8000-000000000002";
