//! [`Entra`]: a fake Entra ID, so that production code signs in to the mock as it does to the service.
//!
//! Who is known is in `directory`, what tokens say and how they are signed in `token`. Above them stand the two ways to
//! get one: `authority`, where applications come with a secret or an assertion, and `managed`, where code that runs on
//! Azure comes with nothing. The least that satisfies the identity libraries of Microsoft is served, and no more.

mod assertion;
mod authority;
mod certificate;
mod directory;
mod managed;
mod refusal;
#[cfg(test)]
mod tests;
mod token;

pub(crate) use self::managed::{IDENTITY_PATH, METADATA_PATH};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use acr_clock::Clock;
use acr_protocol::Timestamp;
use serde_json::json;

pub use self::certificate::{Certificate, InvalidCertificate};
pub(crate) use self::directory::Directory;
pub use self::directory::{Application, FederatedCredential, ManagedIdentity};
use self::token::{Read, Signer};
use crate::auth::Permissions;
use crate::random::Ids;

/// The tokens' audience that the service's own clients ask for.
const REGISTRY_AUDIENCE: &str = "https://containerregistry.azure.net";

/// ARM's, which the registry takes too; `az` asks for it.
const ARM_AUDIENCES: [&str; 2] = [
    "https://management.azure.com",
    "https://management.core.windows.net",
];

/// The life of tokens; chosen: the service draws 60 to 90 minutes.
const LIFE: Duration = Duration::from_secs(3599);

/// The identities of a registry, and the tokens that they get.
#[derive(Debug)]
pub(crate) struct Entra {
    directory: Mutex<Directory>,
    signer: Signer,
    ids: Arc<Ids>,
    clock: Arc<dyn Clock>,
    takes_arm: bool,
}

/// What the registry makes of a token of this authority.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It is none of this authority's.
    Foreign,
    /// The identity that it is of.
    Of(String),
    /// It is forged, for another audience or past its life, or its identity is gone.
    Invalid,
    /// It is of another tenant than was asked for.
    OtherTenant,
}

impl Entra {
    pub(crate) fn new(
        directory: Directory,
        ids: Arc<Ids>,
        clock: Arc<dyn Clock>,
        takes_arm: bool,
    ) -> Self {
        Self {
            directory: Mutex::new(directory),
            signer: Signer::default(),
            ids,
            clock,
            takes_arm,
        }
    }

    fn directory(&self) -> MutexGuard<'_, Directory> {
        self.directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        Timestamp::from(self.clock.now())
    }

    /// The audience that a scope or a resource names, as tokens have it; `None` where nobody is known by it.
    fn audience(named: &str) -> Option<&'static str> {
        let named = named.trim_end_matches('/');
        std::iter::once(REGISTRY_AUDIENCE)
            .chain(ARM_AUDIENCES)
            .find(|audience| audience.eq_ignore_ascii_case(named))
    }

    /// Looks at a token that came to the exchange, for this tenant if the request names one.
    pub(crate) fn judge(&self, token: &str, tenant: Option<&str>) -> Judgement {
        let claims = match self.signer.read(token) {
            Read::Own(claims) => claims,
            Read::Forged => return Judgement::Invalid,
            Read::Foreign => return Judgement::Foreign,
        };
        let is_for_registry = claims.audience == REGISTRY_AUDIENCE
            || (self.takes_arm && ARM_AUDIENCES.contains(&claims.audience.as_str()));
        let is_alive = self.now().seconds() < claims.expires;
        if !is_for_registry || !is_alive || self.permissions_of(&claims.subject).is_none() {
            return Judgement::Invalid;
        }
        // An empty one says nothing.
        let named = tenant.filter(|tenant| !tenant.is_empty());
        match named {
            Some(tenant) if !tenant.eq_ignore_ascii_case(&claims.tenant) => Judgement::OtherTenant,
            _ => Judgement::Of(claims.subject),
        }
    }

    /// What an identity may do; `None` where it is not known (any more).
    pub(crate) fn permissions_of(&self, subject: &str) -> Option<Permissions> {
        self.directory().permissions_of(subject)
    }

    /// Whether it may be served to other machines: everybody whom it lets in has shown a secret.
    pub(crate) fn may_be_exposed(&self) -> bool {
        !self.directory().takes_unsigned()
    }

    /// A token of a cluster, which lets the application in that is there unless others were named.
    pub(crate) fn workload_token(&self) -> String {
        let credential = directory::of_workload();
        self.signer.sign(&json!({
            "iss": credential.issuer, "sub": credential.subject, "aud": [credential.audience],
            // By the machine's clock, as that of a cluster; for as long as a run of tests may take.
            "iat": wall_seconds(), "nbf": wall_seconds(), "exp": wall_seconds() + 24 * 60 * 60
        }))
    }

    /// The first application with a secret, and its first secret: what the mock tells its user.
    pub(crate) fn service_principal(&self) -> Option<(String, String, String)> {
        self.directory().service_principal()
    }
}

/// The seconds of the machine's clock, which is what clients compare with their own.
fn wall_seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}
