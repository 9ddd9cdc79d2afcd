//! [`RegistryBuilder`]: sets a registry up. Its profile and who may come, then switches for what some registries do, then
//! bounds of what is taken in.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use acr_clock::Clock;
use acr_protocol::{OperationClass, ScopeSet};

use crate::auth::Permissions;
#[cfg(feature = "server")]
use crate::entra::{Application, ManagedIdentity};
use crate::profile::Profile;
use crate::registry::Registry;
use crate::settings::Settings;
use crate::throttle::Throttle;

impl Registry {
    /// An empty registry with the usual settings: authentication on, every Entra token taken, no users.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Sets a registry up.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes methods that set one thing each.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident($value:ident: $type:ty) => $($field:ident).+ = $set:expr;)*) => {
        $($(#[$doc])*
        pub fn $name(mut self, $value: $type) -> Self {
            self.$($field).+ = $set;
            self
        })*
    };
}

#[cfg(feature = "server")]
pub(crate) use setters;

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
            .add_user(name.into(), password.into(), Permissions::All);
        self
    }

    /// A user who may do only this, like a token with a scope map. A name or an action `*` stands for every one.
    pub fn scoped_user(
        mut self,
        name: impl Into<String>,
        password: impl Into<String>,
        permissions: ScopeSet,
    ) -> Self {
        self.settings.identities.add_user(
            name.into(),
            password.into(),
            Permissions::Only(permissions),
        );
        self
    }

    /// An Entra token that is taken, and what its bearer may do. Once one is named, no other token is taken; without,
    /// every token that is not empty is, and gives every permission, as long as no server serves the registry beyond loopback.
    pub fn entra_token(mut self, token: impl Into<String>, permissions: ScopeSet) -> Self {
        self.settings
            .identities
            .add_entra_token(token.into(), Permissions::Only(permissions));
        self
    }

    /// Refuses every Entra token but those named by [`RegistryBuilder::entra_token`].
    pub fn refuse_entra_tokens(mut self) -> Self {
        self.settings.identities.take_unknown_entra_tokens(false);
        self
    }

    /// Takes every Entra token that is not empty, and gives every permission for it, also beside named ones and beyond
    /// loopback: whoever can reach the registry is its administrator. Of this and
    /// [`refuse_entra_tokens`](Self::refuse_entra_tokens) the last one holds.
    pub fn accept_any_entra_token(mut self) -> Self {
        self.settings.identities.take_unknown_entra_tokens(true);
        self
    }

    setters! {
        /// The life of access tokens; 75 minutes by default, as the service's. Anonymous ones live by a rule of their own.
        access_token_life(life: Duration) => settings.access_token_life = life;

        /// The life of refresh tokens; 3 hours and a quarter by default, as the service's.
        refresh_token_life(life: Duration) => settings.refresh_token_life = life;

        /// How long an upload lives after its last byte; an hour by default.
        upload_life(life: Duration) => settings.upload_life = life;

        /// The seed of the order in which a challenge names its actions. The service shuffles them from call to call;
        /// with the same seed and the same calls they come in the same orders.
        scope_order_seed(seed: u64) => settings.scope_order_seed = seed;
    }

    /// The clock that tokens, uploads, signed URLs and times go by; the machine's by default.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }
}

/// Who is known to the fake Entra ID whose tokens the registry checks. Unless somebody is named it has one tenant, with one
/// application and one managed identity, which may do everything.
#[cfg(feature = "server")]
impl RegistryBuilder {
    /// An application, which signs in at the authority that a server serves.
    pub fn application(mut self, application: Application) -> Self {
        self.settings.directory.applications.push(application);
        self
    }

    /// A managed identity, whose tokens a server gives to code on this machine.
    pub fn managed_identity(mut self, identity: ManagedIdentity) -> Self {
        self.settings.directory.managed.push(identity);
        self
    }

    setters! {
        /// Whether a token for Azure Resource Manager is taken as well, as the service does unless a policy of the registry
        /// forbids it; on by default.
        arm_audience(on: bool) => settings.arm_audience = on;
    }
}

/// Switches, each for something that real registries do or that stands in front of them. They combine with either profile.
impl RegistryBuilder {
    setters! {
        /// Whether anybody may list, read and pull, as on a Standard or Premium registry with anonymous pull. Off by default.
        anonymous_pull(on: bool) => settings.anonymous_pull = on;

        /// Whether `GET` of a blob responds with 307 to the data origin, as the service does, or 200 with the bytes, as most other
        /// registries do. The profile decides unless it is said here.
        data_redirect(on: bool) => settings.data_redirect = Some(on);

        /// Whether there is a referrers API; on by default. Registries from before OCI 1.1 respond with a plain 404 there and send
        /// no `OCI-Subject`, and clients keep the list themselves, in an index under a tag.
        referrers_api(on: bool) => settings.referrers_api = on;

        /// The shortest chunk of an upload but for the last, in bytes; none by default. Stands for registries that store
        /// chunks as parts of an object store, which has such a bound, and say so by `OCI-Chunk-Min-Length`.
        ///
        /// Any chunk may be the last, so a short one is taken, and what comes behind it is refused: 400 (chosen).
        minimum_chunk_length(bytes: u64) => settings.minimum_chunk = Some(bytes);

        /// Whether the `Range` of a request for a blob is heeded; on by default. Some registries, and caches in front of
        /// them, always give the whole: a client that resumes must notice.
        ranges(on: bool) => settings.ranges = on;

        /// Whether permissions go by repository, as on a registry with attribute-based access control (ABAC); off by default.
        ///
        /// Such a registry leaves a scope with a wildcard in its repository out of tokens without a word, and its refresh
        /// tokens have the claim `aad_identity` (both documented; that the claim holds the identity's name is chosen).
        abac(on: bool) => settings.abac = on;
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

    setters! {
        /// How long after a push a manifest is not found by its tag, though it is by its digest; no time by default. Stands
        /// for a geo-replicated registry whose nearest replica has not heard of the push yet. A seed counts as a push.
        replication_lag(lag: Duration) => settings.replication_lag = lag;

        /// How long after its first push a manifest's properties lack `configMediaType`; no time by default. Stands for the
        /// service's catalogue of properties, which was seen to be filled in some seconds behind the push.
        metadata_lag(lag: Duration) => settings.metadata_lag = lag;

        /// How many items a page has where the request does not say; 100 by default (chosen: the service's own is not known).
        /// Small pages find clients that do not follow the link.
        page_size(items: u32) => settings.page_size = items;

        /// The most items a page may have, however many are asked for; 1,000 by default (chosen).
        page_size_limit(items: u32) => settings.page_size_limit = items;

        /// The most referrers a page of their list has; 1,000 by default (chosen), and fewer where their manifests have more
        /// than 4 MiB together. Small pages find clients that do not follow the link.
        referrers_page_size(items: u32) => settings.referrers_page_size = items;
    }
}

/// Bounds, beyond which a request is refused.
impl RegistryBuilder {
    setters! {
        /// The largest head of a request, in bytes of its URL, header names and values; 128 KiB by default. Beyond it comes
        /// 431. (The server itself takes no more than the default.)
        head_limit(bytes: usize) => settings.limits.head = bytes;

        /// The largest body of a request that carries no content, such as a token request or a change of attributes, in
        /// bytes; 256 KiB by default. Beyond it comes 413.
        body_limit(bytes: usize) => settings.limits.body = bytes;

        /// The largest manifest that is taken, in bytes; 4 MiB by default. Beyond it comes 413.
        manifest_limit(bytes: usize) => settings.limits.manifest = bytes;

        /// The largest blob that is taken, in bytes; 200 GiB by default. A request that would go beyond it gets 413,
        /// and an upload stays as it was before.
        blob_limit(bytes: u64) => settings.limits.blob = bytes;

        /// How many bytes of content may be held at once, in bodies that are still coming, open uploads, blobs and manifests;
        /// any number of them by default. A push beyond it is refused with 405 `REGISTRY_DISALLOWED_OPERATION`, as by a registry
        /// that is over its storage (the detail is chosen), until something is deleted, cancelled or over.
        ///
        /// A blob is counted once however many repositories have it, and until the last response that gives it has gone out.
        /// Seeds are counted, but not refused. What is not content (names, tags, tokens) is not counted.
        max_bytes(bytes: u64) => settings.limits.bytes = Some(bytes);

        /// How many uploads may be open at once; 10,000 by default. One more gets 429 with `Retry-After`, until one of
        /// them ends, is cancelled, or has waited for its next byte longer than [`upload_life`](Self::upload_life).
        upload_limit(uploads: usize) => settings.limits.uploads = uploads;

        /// How many of them one repository may have, so that it does not use up those of the others; 1,000 by default. One
        /// more is refused in the same way.
        repository_upload_limit(uploads: usize) => settings.limits.repository_uploads = uploads;
    }
}
