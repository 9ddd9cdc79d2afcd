//! What a replay has told a registry of the recording that it replays: whatever the service decides by means that no
//! request shows. In every other registry there is nothing here.

use std::net::IpAddr;

use crate::recorded::{ChallengeWording, EntraError, RecordedStorage, ScopeOrder};

/// What is known of a recording beside its content.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    /// For the next challenge; those behind it are random again.
    pub(crate) scope_order: Option<ScopeOrder>,
    pub(crate) wording: ChallengeWording,
    pub(crate) entra_refusal: Option<EntraError>,
    /// The client's address that the firewall refuses, and whether it says the correlation's id.
    pub(crate) refused_client: Option<(IpAddr, bool)>,
    pub(crate) storage: RecordedStorage,
}
