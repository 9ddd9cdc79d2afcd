//! [`Registry`]: the state. The entrance above it is in `service.rs`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use acr_clock::Clock;
use acr_protocol::{OperationClass, Timestamp};
use http::HeaderValue;

use crate::auth::{SigningKey, Tokens};
#[cfg(feature = "server")]
use crate::entra::Entra;
use crate::error::ErrorResponse;
use crate::fault::Faults;
use crate::quota::Quota;
use crate::random::{self, Ids};
use crate::rate::{self, Counter};
use crate::requests::{Counters, RequestCounts};
use crate::settings::Settings;
use crate::store::{Statistics, Store, Waste};
use crate::throttle::Throttles;

/// An Azure container registry in memory. A cheap clone: all clones are the same registry.
///
/// It is one registry whatever the `Host` says; realm, service and login server follow the request unless
/// [`RegistryBuilder::login_server`](crate::RegistryBuilder::login_server) sets them. It does no I/O, needs no runtime, and
/// takes its time from its clock.
///
/// ```
/// use acr_mock::Registry;
/// # use futures_util::FutureExt as _;
/// let registry = Registry::new();
/// let request = http::Request::get("https://mock.azurecr.io/v2/").body(String::new()).unwrap();
/// # let response = registry.handle(request).now_or_never().unwrap();
/// # let _ = "
/// let response = registry.handle(request).await;
/// # ";
/// assert_eq!(response.status(), 401);
/// ```
#[derive(Clone, Debug)]
pub struct Registry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    key: SigningKey,
    tokens: Tokens,
    store: Mutex<Store>,
    quota: Quota,
    waste: Mutex<Waste>,
    deletes: Mutex<Counter>,
    token_calls: Mutex<Counter>,
    throttles: Throttles,
    #[cfg(feature = "server")]
    entra: Entra,
    ids: Arc<Ids>,
    challenges: AtomicU64,
    faults: Arc<Faults>,
    counters: Counters,
}

impl Registry {
    pub(crate) fn with_settings(mut settings: Settings) -> Self {
        let key = SigningKey::random();
        let ids = Arc::new(Ids::random());
        let challenges = AtomicU64::new(settings.scope_order_seed);
        let per_second = |class| settings.throttles.get(&class)?.calls_per_second();
        let deletes = Counter::deletes(per_second(OperationClass::Delete));
        let token_calls = Counter::tokens(per_second(OperationClass::Token));
        let throttles = Throttles::new(settings.throttles.clone());
        let quota = Quota::new(settings.limits.bytes);
        let password = hex::encode(&key.sign("password", USERNAME.as_bytes())[..16]);
        settings.identities.add_admin(USERNAME, password);
        #[cfg(feature = "server")]
        let entra = {
            let secret = hex::encode(&key.sign("client secret", b"")[..16]);
            let directory = std::mem::take(&mut settings.directory).or_one_tenant(secret);
            Entra::new(
                directory,
                ids.clone(),
                settings.clock.clone(),
                settings.arm_audience,
            )
        };
        Self(Arc::new(Inner {
            settings,
            tokens: Tokens::new(key.clone(), ids.clone()),
            #[cfg(feature = "server")]
            entra,
            ids,
            key,
            store: Mutex::default(),
            quota,
            waste: Mutex::default(),
            deletes: Mutex::new(deletes),
            token_calls: Mutex::new(token_calls),
            throttles,
            challenges,
            faults: Arc::default(),
            counters: Counters::default(),
        }))
    }

    /// What the registry holds now. Uploads whose time is over are gone, as they are at each request.
    ///
    /// ```
    /// let registry = acr_mock::Registry::new();
    /// registry.seed("a")?.blob("application/octet-stream", "content");
    /// registry.seed("b")?.blob("application/octet-stream", "content");
    /// assert_eq!((registry.statistics().blobs, registry.statistics().held_bytes()), (1, 7));
    /// # Ok::<(), acr_mock::SeedError>(())
    /// ```
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.expire_uploads(self.now());
        self.store().statistics()
    }

    /// The endpoint for a client in the same process: `https://` and the login server, by default `mock.azurecr.io`.
    ///
    /// Two registries of one test need a [login server](crate::RegistryBuilder::login_server) each, or a client that has both
    /// takes them for one.
    ///
    /// ```
    /// let registry = acr_mock::Registry::new();
    /// assert_eq!(registry.endpoint(), "https://mock.azurecr.io");
    /// ```
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.login_server())
    }

    /// The name of the registry's own user, who may do everything; the [password](Self::password) is random.
    #[must_use]
    pub fn username(&self) -> &'static str {
        USERNAME
    }

    /// The password of the registry's own user.
    ///
    /// ```
    /// let registry = acr_mock::Registry::builder().refuse_entra_tokens().build();
    /// let login = (registry.username(), registry.password());
    /// # assert_eq!((login.0, login.1.len()), ("mock", 32));
    /// ```
    #[must_use]
    pub fn password(&self) -> &str {
        let password = self.settings().identities.password_of(USERNAME);
        password.unwrap_or_default()
    }

    /// The application whose secret the mock tells its user: tenant, client id and secret, which
    /// `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET` take. `None` where the applications that were named
    /// have no secret.
    #[cfg(feature = "server")]
    #[must_use]
    pub fn service_principal(&self) -> Option<(String, String, String)> {
        self.entra().service_principal()
    }

    /// The registry's clock, for a client that is to share its time.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.settings().clock.clone()
    }

    /// The name of the registry where no request has named it.
    pub(crate) fn login_server(&self) -> &str {
        let named = self.settings().login_server.as_deref();
        named.unwrap_or(DEFAULT_AUTHORITY)
    }

    /// How many requests came since the registry was made, or since [`Registry::reset_requests`].
    ///
    /// ```
    /// # use futures_util::FutureExt as _;
    /// let registry = acr_mock::Registry::new();
    /// let request = http::Request::get("https://mock.azurecr.io/v2/").body(String::new()).unwrap();
    /// registry.handle(request).now_or_never().unwrap();
    /// let requests = registry.requests();
    /// assert_eq!((requests.of("ping"), requests.of("get_blob"), requests.of("pnig")), (Some(1), Some(0), None));
    /// assert_eq!(requests.iter().collect::<Vec<_>>(), [("ping", 1)]);
    /// ```
    #[must_use]
    pub fn requests(&self) -> RequestCounts {
        self.counters().read()
    }

    /// Counts requests from nothing on again.
    pub fn reset_requests(&self) {
        self.counters().reset();
    }

    /// Counts an operation whose credentials are good.
    pub(crate) fn check_throttle(
        &self,
        class: OperationClass,
        now: Timestamp,
    ) -> Result<(), ErrorResponse> {
        self.0.throttles.admit(class, now)
    }

    /// A number that no seed had before, so that each has content of its own.
    pub(crate) fn next_seed(&self) -> u64 {
        self.store().next_seed()
    }

    /// The registry's clock, as the wire counts time.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from(self.0.settings.clock.now())
    }

    /// The secret of the endpoint of managed identities.
    #[cfg(feature = "server")]
    pub(crate) fn identity_header(&self) -> String {
        hex::encode(&self.0.key.sign("identity header", b"")[..16])
    }

    #[cfg(feature = "server")]
    pub(crate) fn entra(&self) -> &Entra {
        &self.0.entra
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    pub(crate) fn ids(&self) -> &Ids {
        &self.0.ids
    }

    pub(crate) fn key(&self) -> &SigningKey {
        &self.0.key
    }

    /// The state. Held for the time of one operation, never across an await.
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.0.store)
    }

    /// The count of the bytes that are held.
    pub(crate) fn quota(&self) -> &Quota {
        &self.0.quota
    }

    /// What was taken out of the state, and is still to be dropped. Never taken within the lock of the state.
    pub(crate) fn waste(&self) -> MutexGuard<'_, Waste> {
        lock(&self.0.waste)
    }

    /// Whether this challenge names its actions the other way round.
    pub(crate) fn next_scope_order(&self) -> bool {
        // The service's order looks random, and a test must be able to repeat it.
        let state = self.0.challenges.fetch_add(random::STEP, Ordering::Relaxed);
        random::mix(state) & 1 == 1
    }

    pub(crate) fn faults(&self) -> &Arc<Faults> {
        &self.0.faults
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    pub(crate) fn token_calls_left(&self, now: Timestamp) -> HeaderValue {
        rate::trimmed(lock(&self.0.token_calls).count(now))
    }

    pub(crate) fn deletes_left(&self, now: Timestamp) -> HeaderValue {
        rate::padded(lock(&self.0.deletes).count(now))
    }
}

/// The name of a registry that nobody has named.
pub(crate) const DEFAULT_AUTHORITY: &str = "mock.azurecr.io";
/// The registry's own user is called as the registry is, like the service's admin user.
const USERNAME: &str = "mock";

/// A panic while the lock was held has broken nothing: each operation checks before it changes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
