//! [`Settings`]: what a registry was told before it started. [`RegistryBuilder`](crate::RegistryBuilder) explains each.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use acr_clock::{Clock, SystemClock};
use acr_protocol::OperationClass;

use crate::auth::Identities;
#[cfg(feature = "server")]
use crate::entra::Directory;
use crate::profile::Profile;
use crate::throttle::Throttle;

/// Everything that a registry was told. Fixed once it is built.
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
    /// Who is known to the fake Entra ID, where it was said.
    #[cfg(feature = "server")]
    pub(crate) directory: Directory,
    /// Whether a token for ARM's audience is taken.
    #[cfg(feature = "server")]
    pub(crate) arm_audience: bool,
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
            #[cfg(feature = "server")]
            directory: Directory::default(),
            #[cfg(feature = "server")]
            arm_audience: true,
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

/// The bounds of what a registry takes in, in bytes but for the uploads. What the service responds beyond its own is not
/// known, so all of these are chosen.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) head: usize,
    pub(crate) body: usize,
    pub(crate) manifest: usize,
    pub(crate) blob: u64,
    pub(crate) uploads: usize,
    pub(crate) repository_uploads: usize,
    pub(crate) bytes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 128 * 1024,
            body: 256 * 1024,
            manifest: 4 * 1024 * 1024,
            // The service's documented bound of a layer.
            blob: 200 * 1024 * 1024 * 1024,
            uploads: 10_000,
            repository_uploads: 1_000,
            bytes: None,
        }
    }
}

impl Limits {
    /// The most that any body may have, in bytes.
    pub(crate) fn largest(&self) -> u64 {
        self.blob.max(self.body.max(self.manifest) as u64)
    }
}
