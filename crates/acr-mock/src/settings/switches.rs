//! Switches, each for something that real registries do or that stands in front of them. They combine with either profile.

use std::net::IpAddr;
use std::time::Duration;

use acr_protocol::OperationClass;

use crate::settings::RegistryBuilder;
use crate::throttle::Throttle;

impl RegistryBuilder {
    /// Whether anybody may list, read and pull, as on a Standard or Premium registry with anonymous pull. Off by default.
    pub fn anonymous_pull(mut self, on: bool) -> Self {
        self.settings.anonymous_pull = on;
        self
    }

    /// Whether `GET` of a blob responds with 307 to the data origin, as the service does, or 200 with the bytes, as most other
    /// registries do. The profile decides unless it is said here.
    pub fn data_redirect(mut self, on: bool) -> Self {
        self.settings.data_redirect = Some(on);
        self
    }

    /// Whether there is a referrers API; on by default. Registries from before OCI 1.1 response a plain 404 there and send
    /// no `OCI-Subject`, and clients keep the list themselves, in an index under a tag.
    pub fn referrers_api(mut self, on: bool) -> Self {
        self.settings.referrers_api = on;
        self
    }

    /// The shortest chunk of an upload but for the last, in bytes; none by default. Stands for registries that store
    /// chunks as parts of an object store, which has such a bound, and say so by `OCI-Chunk-Min-Length`.
    ///
    /// Any chunk may be the last, so a short one is taken, and what comes behind it is refused: 400 (chosen).
    pub fn minimum_chunk_length(mut self, bytes: u64) -> Self {
        self.settings.minimum_chunk = Some(bytes);
        self
    }

    /// Whether the `Range` of a request for a blob is heeded; on by default. Some registries, and caches in front of
    /// them, always give the whole: a client that resumes must notice.
    pub fn ranges(mut self, on: bool) -> Self {
        self.settings.ranges = on;
        self
    }

    /// Whether permissions go by repository, as on a registry with attribute-based access control (ABAC); off by default.
    ///
    /// Such a registry leaves a scope with a wildcard in its repository out of tokens without a word, and its refresh
    /// tokens have the claim `aad_identity` (both documented; that the claim holds the identity's name is chosen).
    pub fn abac(mut self, on: bool) -> Self {
        self.settings.abac = on;
        self
    }

    /// Lets only these client addresses in, as the firewall of a Premium registry does. All others, or all with an empty
    /// list, are told 403 `DENIED` with their address, at the token endpoints too; the data origin has no firewall.
    ///
    /// Over TCP the address is the connection's; in process it is that of the request extension
    /// [`ClientAddress`](crate::ClientAddress), or else 127.0.0.1.
    pub fn firewall(mut self, allowed: impl IntoIterator<Item = IpAddr>) -> Self {
        let allowed = allowed.into_iter().map(|address| address.to_canonical());
        self.settings.firewall = Some(allowed.collect());
        self
    }

    /// Lets only so many operations of a class through in a time; unlimited by default. Stands for the service's own
    /// limits, which depend on the tier and are tightest for referrers and deletes. Each class can be given once.
    pub fn throttle(mut self, class: OperationClass, throttle: Throttle) -> Self {
        self.settings.throttles.insert(class, throttle);
        self
    }

    /// How long after a push a manifest is not found by its tag, though it is by its digest; no time by default. Stands
    /// for a geo-replicated registry whose nearest replica has not heard of the push yet. A seed counts as a push.
    pub fn replication_lag(mut self, lag: Duration) -> Self {
        self.settings.replication_lag = lag;
        self
    }

    /// How long after its first push a manifest's properties lack `configMediaType`; no time by default. Stands for the
    /// service's catalogue of properties, which was seen to be filled in some seconds behind the push.
    pub fn metadata_lag(mut self, lag: Duration) -> Self {
        self.settings.metadata_lag = lag;
        self
    }

    /// How many items a page has where the request does not say; 100 by default (chosen: the service's own is not known).
    /// Small pages find clients that do not follow the link.
    pub fn page_size(mut self, items: u32) -> Self {
        self.settings.page_size = items;
        self
    }

    /// The most items a page may have, however many are asked for; 1,000 by default (chosen).
    pub fn page_size_limit(mut self, items: u32) -> Self {
        self.settings.page_size_limit = items;
        self
    }

    /// The most referrers a page of their list has; 1,000 by default (chosen), and fewer where their manifests have more
    /// than 4 MiB together. Small pages find clients that do not follow the link.
    pub fn referrers_page_size(mut self, items: u32) -> Self {
        self.settings.referrers_page_size = items;
        self
    }
}
