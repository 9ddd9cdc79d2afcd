//! What a registry can be told before it starts: its profile, who may come, the lives of tokens and uploads. The
//! switches are in [`switches`], the bounds in [`limits`].

mod limits;
mod switches;

pub(crate) use limits::Limits;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use acr_clock::{Clock, SystemClock};
use acr_protocol::{OperationClass, ScopeSet};

use crate::auth::{Identities, Rights};
use crate::profile::Profile;
use crate::registry::Registry;
use crate::throttle::Throttle;

/// Everything that a [`Registry`] was told. Fixed once it is built.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) profile: Profile,
    pub(crate) login_server: Option<String>,
    pub(crate) authentication: bool,
    pub(crate) anonymous_pull: bool,
    pub(crate) data_redirect: Option<bool>,
    pub(crate) referrers_api: bool,
    pub(crate) minimum_chunk: Option<u64>,
    pub(crate) ranges: bool,
    pub(crate) abac: bool,
    /// The client addresses that may come, if not all may.
    pub(crate) firewall: Option<BTreeSet<IpAddr>>,
    pub(crate) throttles: BTreeMap<OperationClass, Throttle>,
    pub(crate) replication_lag: Duration,
    pub(crate) metadata_lag: Duration,
    pub(crate) page_size: u32,
    pub(crate) page_size_limit: u32,
    pub(crate) referrers_page_size: u32,
    pub(crate) access_token_life: Duration,
    pub(crate) refresh_token_life: Duration,
    pub(crate) upload_life: Duration,
    pub(crate) limits: Limits,
    pub(crate) scope_order_seed: u64,
    pub(crate) identities: Identities,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            profile: Profile::Acr,
            login_server: None,
            authentication: true,
            anonymous_pull: false,
            data_redirect: None,
            referrers_api: true,
            minimum_chunk: None,
            ranges: true,
            abac: false,
            firewall: None,
            throttles: BTreeMap::new(),
            replication_lag: Duration::ZERO,
            metadata_lag: Duration::ZERO,
            // Chosen: the service's own default and bound are not known. Microsoft's tools ask for 100, the common
            // registry tools for 1,000.
            page_size: 100,
            page_size_limit: 1_000,
            // Chosen: the service has not been seen to page this list.
            referrers_page_size: 1_000,
            access_token_life: Duration::from_secs(4_500),
            refresh_token_life: Duration::from_secs(11_700),
            // Chosen: the service names no time.
            upload_life: Duration::from_secs(3_600),
            limits: Limits::default(),
            scope_order_seed: 0,
            identities: Identities::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// The most bytes of manifests that a page of referrers tells of, but for one that is longer by itself. Chosen, so that no
/// response grows beyond what clients take: a descriptor is no longer than its manifest and a few hundred bytes.
pub(crate) const REFERRERS_PAGE_BYTES: usize = 4 * 1024 * 1024;

impl Settings {
    /// Whether `GET` of a blob leads to the data origin.
    pub(crate) fn redirects_to_data(&self) -> bool {
        self.data_redirect
            .unwrap_or(self.profile.redirects_to_data())
    }
}

/// Sets a [`Registry`] up.
///
/// ```
/// use acr_mock::{Registry, VirtualClock};
/// let clock = VirtualClock::new();
/// let registry = Registry::builder().user("ci", "secret").anonymous_pull(true).clock(clock.clone()).build();
/// # let _ = registry;
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder does nothing before `build`"]
pub struct RegistryBuilder {
    settings: Settings,
}

impl RegistryBuilder {
    /// The registry, empty.
    #[must_use]
    pub fn build(self) -> Registry {
        Registry::with_settings(self.settings)
    }

    /// Whose rules hold where the service and the OCI specification differ; the service's by default.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.settings.profile = profile;
        self
    }

    /// The name that the registry gives itself in bodies, challenges and tokens. Without it the authority of each
    /// request is taken, so that mapped ports work.
    pub fn login_server(mut self, name: impl Into<String>) -> Self {
        self.settings.login_server = Some(name.into());
        self
    }

    /// Whether credentials are asked for. On by default: a client that is only tested without will fail in earnest.
    pub fn authentication(mut self, on: bool) -> Self {
        self.settings.authentication = on;
        self
    }

    /// A user who may do everything, like the registry's admin user.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.settings
            .identities
            .add_user(name.into(), password.into(), Rights::All);
        self
    }

    /// A user who may do only this, like a token with a scope map. A name or an action `*` stands for every one.
    pub fn scoped_user(
        mut self,
        name: impl Into<String>,
        password: impl Into<String>,
        rights: ScopeSet,
    ) -> Self {
        self.settings
            .identities
            .add_user(name.into(), password.into(), Rights::Only(rights));
        self
    }

    /// An Entra token that is taken, and what its bearer may do. Once one is named, no other token is taken; without,
    /// every token that is not empty is, and gives every right, as long as no server serves the registry beyond loopback.
    pub fn entra_token(mut self, token: impl Into<String>, rights: ScopeSet) -> Self {
        self.settings
            .identities
            .add_entra_token(token.into(), Rights::Only(rights));
        self
    }

    /// Refuses every Entra token but those named by [`RegistryBuilder::entra_token`].
    pub fn refuse_entra_tokens(mut self) -> Self {
        self.settings.identities.take_unknown_entra_tokens(false);
        self
    }

    /// Takes every Entra token that is not empty, and gives every right for it, also beside named ones and beyond
    /// loopback: whoever can reach the registry is its administrator. Of this and
    /// [`refuse_entra_tokens`](Self::refuse_entra_tokens) the last one holds.
    pub fn accept_any_entra_token(mut self) -> Self {
        self.settings.identities.take_unknown_entra_tokens(true);
        self
    }

    /// The life of access tokens; 75 minutes by default, as the service's. Anonymous ones live by a rule of their own.
    pub fn access_token_life(mut self, life: Duration) -> Self {
        self.settings.access_token_life = life;
        self
    }

    /// The life of refresh tokens; 3 hours and a quarter by default, as the service's.
    pub fn refresh_token_life(mut self, life: Duration) -> Self {
        self.settings.refresh_token_life = life;
        self
    }

    /// How long an upload lives after its last byte; an hour by default.
    pub fn upload_life(mut self, life: Duration) -> Self {
        self.settings.upload_life = life;
        self
    }

    /// The seed of the order in which a challenge names its actions. The service shuffles them from call to call;
    /// with the same seed and the same calls they come in the same orders.
    pub fn scope_order_seed(mut self, seed: u64) -> Self {
        self.settings.scope_order_seed = seed;
        self
    }

    /// The clock that tokens, uploads, signed URLs and times go by; the machine's by default.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }
}
