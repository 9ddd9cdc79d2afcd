//! [`Fault`]: what networks and busy registries do to a client, on demand and in the registry's words.
//!
//! A fault says which requests it strikes, and what becomes of them. It stops at the request that it has struck: what a
//! client makes of it is the client's matter, and what the registry holds is changed only where the action says so.

mod action;
mod active;
mod apply;

pub(crate) use self::action::Candidate;
pub use self::action::{FaultAction, FaultError, FaultResponse};
pub use self::active::FaultHandle;
pub(crate) use self::active::Faults;
pub use self::apply::ConnectionReset;

use acr_protocol::OperationClass;

use self::active::ActiveFault;
use crate::registry::Registry;

/// Which requests are struck, how often, and what becomes of them: made here, at work from [`Registry::inject`] on.
///
/// It begins with what it strikes ([`on`](Self::on), [`on_class`](Self::on_class), [`any`](Self::any),
/// [`on_data`](Self::on_data)), goes on with which of those, and ends with an action. It strikes all of them, for ever,
/// unless [`after`](Self::after), [`times`](Self::times) or [`share`](Self::share) say otherwise.
///
/// Counted and struck are operations that the registry would carry out: their credentials are good, as they are for a
/// [`Throttle`](crate::Throttle). So `after(2)` of `upload_chunk` is the third chunk, however often the client was asked
/// to sign in meanwhile. [`before_credentials`](Self::before_credentials) takes the others in too.
///
/// ```
/// use acr_mock::{Fault, FaultAction, OperationClass, FaultResponse, Registry};
///
/// let registry = Registry::new();
/// let throttled = FaultResponse::too_many_requests().retry_after(1);
/// registry.inject(Fault::on("get_manifest").in_repository("app").times(2).then(throttled))?;
/// registry.inject(Fault::on_class(OperationClass::Token).times(1).then(FaultResponse::service_unavailable()))?;
/// registry.inject(Fault::on("upload_chunk").after(2).times(1).then(FaultAction::LoseUpload))?;
/// registry.inject(Fault::on_data().times(1).then(FaultAction::CutBody(1000)))?;
///
/// // Several actions take turns.
/// let soak = registry.inject(Fault::any().share(0.05).seed(7).then(throttled).then(FaultAction::Reset))?;
/// assert_eq!(soak.count(), 0);
/// soak.remove();
/// # Ok::<(), acr_mock::FaultError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a fault does nothing before `Registry::inject`"]
pub struct Fault {
    target: Target,
    repository: Option<String>,
    before_credentials: bool,
    after: u64,
    times: Option<u64>,
    share: f64,
    seed: u64,
    actions: Vec<FaultAction>,
}

/// What a fault is aimed at, as it was said.
#[derive(Clone, Debug)]
enum Target {
    Operation(String),
    Class(OperationClass),
    AnyOperation,
    Data,
}

impl Fault {
    fn at(target: Target) -> Self {
        Self {
            target,
            repository: None,
            before_credentials: false,
            after: 0,
            times: None,
            share: 1.0,
            seed: 0,
            actions: Vec::new(),
        }
    }

    /// Strikes the operation of this name, such as `get_manifest`: the names are those of
    /// [`Route::NAMES`](crate::protocol::Route::NAMES). Another name is noticed by [`Registry::inject`].
    pub fn on(operation: impl Into<String>) -> Self {
        Self::at(Target::Operation(operation.into()))
    }

    /// Strikes the operations of a class.
    pub fn on_class(class: OperationClass) -> Self {
        Self::at(Target::Class(class))
    }

    /// Strikes every operation of the registry, those of the token endpoints included, but not the data origin. What fits
    /// no operation, such as a malformed path, is served as ever.
    pub fn any() -> Self {
        Self::at(Target::AnyOperation)
    }

    /// Strikes every request to the data origin, which is where a redirect of `get_blob` leads.
    pub fn on_data() -> Self {
        Self::at(Target::Data)
    }

    /// Strikes only where the path names this repository; of a mount it is the one that the blob is mounted into.
    pub fn in_repository(mut self, name: impl Into<String>) -> Self {
        self.repository = Some(name.into());
        self
    }

    /// Strikes whatever the credentials: also a request that would get a challenge, as the first of a client
    /// is.
    pub fn before_credentials(mut self) -> Self {
        self.before_credentials = true;
        self
    }

    /// Lets the first `matches` pass.
    pub fn after(mut self, matches: u64) -> Self {
        self.after = matches;
        self
    }

    /// Strikes so often and then no more.
    pub fn times(mut self, strikes: u64) -> Self {
        self.times = Some(strikes);
        self
    }

    /// Strikes this share of the matches, from 0 to 1, which the [`seed`](Self::seed) picks.
    pub fn share(mut self, share: f64) -> Self {
        self.share = share;
        self
    }

    /// Picks which matches a [`share`](Self::share) is made of. With the same seed they are the same ones, by their number.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Adds what becomes of them. Of several actions the first is taken at the first strike, and after the last the first
    /// again; one that does not fit every request waits for one that it fits.
    pub fn then(mut self, action: impl Into<FaultAction>) -> Self {
        self.actions.push(action.into());
        self
    }
}

impl Registry {
    /// Sets a fault to work. Of several that a request matches, the one that was injected first strikes, and the others do
    /// not see the request.
    ///
    /// The fault stays until it has struck as often as it may, or is [removed](FaultHandle::remove). Dropping the handle
    /// changes nothing.
    ///
    /// # Errors
    ///
    /// [`FaultError`]: no operation has that name, or the fault could never strike.
    ///
    /// ```
    /// use acr_mock::{Fault, FaultAction, FaultError, FaultResponse, Registry};
    /// # use futures_util::FutureExt as _;
    /// let registry = Registry::builder().authentication(false).build();
    /// let busy = registry.inject(Fault::on("ping").times(1).then(FaultResponse::too_many_requests().retry_after(3)))?;
    ///
    /// let ping = || http::Request::get("https://mock.azurecr.io/v2/").body(String::new()).unwrap();
    /// let response = registry.handle(ping()).now_or_never().unwrap();
    /// assert_eq!((response.status().as_u16(), &response.headers()["Retry-After"]), (429, &"3".parse().unwrap()));
    /// assert_eq!(busy.count(), 1);
    /// assert_eq!(registry.handle(ping()).now_or_never().unwrap().status(), 200);
    ///
    /// let mistake = registry.inject(Fault::on("get_manifst").then(FaultAction::Reset)).unwrap_err();
    /// assert!(matches!(mistake, FaultError::UnknownOperation { .. }));
    /// # Ok::<(), FaultError>(())
    /// ```
    pub fn inject(&self, fault: Fault) -> Result<FaultHandle, FaultError> {
        Ok(FaultHandle::new(self.faults(), ActiveFault::new(fault)?))
    }

    /// Removes every fault. What is struck already goes on: a body that falls silent stays silent.
    ///
    /// ```
    /// use acr_mock::{Fault, FaultAction, Registry};
    /// # use futures_util::FutureExt as _;
    /// let registry = Registry::builder().authentication(false).build();
    /// registry.inject(Fault::any().then(FaultAction::Reset))?;
    /// registry.clear_faults();
    /// let ping = http::Request::get("https://mock.azurecr.io/v2/").body(String::new()).unwrap();
    /// assert_eq!(registry.handle(ping).now_or_never().unwrap().status(), 200);
    /// # Ok::<(), acr_mock::FaultError>(())
    /// ```
    pub fn clear_faults(&self) {
        self.faults().clear();
    }
}
