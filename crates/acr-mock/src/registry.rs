//! [`Registry`]: the whole registry, its state and its one entrance.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use acr_protocol::auth::RequestAccessToken;
use acr_protocol::manifest::SetManifest;
use acr_protocol::{OperationClass, Route, Timestamp};
use bytes::Bytes;
use http::{HeaderValue, Request, Response};

use crate::auth::{SigningKey, Tokens, oauth};
use crate::begin::Begun;
use crate::error::ErrorResponse;
use crate::fault::{ConnectionReset, Faults};
use crate::quota::Quota;
use crate::random::Ids;
use crate::rate::{self, Counter};
use crate::request_body::{self, ReadBody};
use crate::request_context::RequestContext;
use crate::requests::Counters;
use crate::resolved_request::{ResolvedRequest, is_token_request};
use crate::service_headers::{with_length, with_service_headers};
use crate::settings::{RegistryBuilder, Settings};
use crate::store::{Store, Waste};
use crate::throttle::Throttles;
use crate::{Body, random};

/// An Azure container registry in memory. A cheap clone: all clones are the same registry.
///
/// It is one registry whatever the `Host` says; realm, service and login server follow the request unless
/// [`RegistryBuilder::login_server`] sets them. It does no I/O, needs no runtime, and takes its time from its clock.
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
    ids: Arc<Ids>,
    challenges: AtomicU64,
    faults: Arc<Faults>,
    counters: Counters,
}

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

    pub(crate) fn with_settings(settings: Settings) -> Self {
        let key = SigningKey::random();
        let ids = Arc::new(Ids::random());
        let challenges = AtomicU64::new(settings.scope_order_seed);
        let per_second = |class| settings.throttles.get(&class)?.calls_per_second();
        let deletes = Counter::deletes(per_second(OperationClass::Delete));
        let token_calls = Counter::tokens(per_second(OperationClass::Token));
        let throttles = Throttles::new(settings.throttles.clone());
        let quota = Quota::new(settings.limits.bytes);
        Self(Arc::new(Inner {
            settings,
            tokens: Tokens::new(key.clone(), ids.clone()),
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

    /// Handles one request, of the registry's origin or of its data origin. Never fails: what is wrong with the request
    /// is in the response.
    ///
    /// Where a [`Fault`](crate::Fault) ends the connection without a response, it gives one that nobody can take for the
    /// registry's: 502, without its headers, and a body that breaks with a [`BodyError`](crate::BodyError) before its first
    /// byte. [`Registry::try_handle`] gives an error there.
    ///
    /// The future does no I/O of its own; it waits only for the request's body and for what a fault demands, and holds no
    /// lock meanwhile.
    pub fn handle<B>(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Response<Body>> + Send + use<B> + 'static
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let response = self.clone().response(request);
        async move {
            let response = response.await;
            response.unwrap_or_else(ConnectionReset::into_response)
        }
    }

    /// Handles one request like [`Registry::handle`], or gives an error where a [`Fault`](crate::Fault) ends the connection
    /// without a response. Nothing else makes it fail.
    ///
    /// ```
    /// use acr_mock::{ConnectionReset, Fault, FaultAction, Registry};
    /// # use futures_util::FutureExt as _;
    /// let registry = Registry::new();
    /// registry.inject(Fault::on("ping").before_credentials().times(1).then(FaultAction::Reset))?;
    /// let ping = || http::Request::get("https://mock.azurecr.io/v2/").body(String::new()).unwrap();
    /// let response = registry.try_handle(ping()).now_or_never().unwrap();
    /// assert!(matches!(response, Err(ConnectionReset { .. })));
    /// assert_eq!(registry.try_handle(ping()).now_or_never().unwrap().unwrap().status(), 401);
    /// # Ok::<(), acr_mock::FaultError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConnectionReset`]: a fault wanted it so.
    pub fn try_handle<B>(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<Body>, ConnectionReset>> + Send + use<B> + 'static
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        self.clone().response(request)
    }

    async fn response<B>(self, request: Request<B>) -> Result<Response<Body>, ConnectionReset>
    where
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        match self.begin(head, None) {
            Begun::Done(response) => Ok(response),
            // In a box, so that requests which are served at once need no room for this.
            Begun::Waiting(waiting) => Box::pin(self.finish(*waiting, body)).await,
        }
    }

    /// The response to an operation, whether it may be carried out or not.
    pub(crate) async fn execute<B>(
        &self,
        call: &RequestContext,
        asked: ResolvedRequest,
        body: B,
    ) -> Response<Body>
    where
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let ResolvedRequest {
            route,
            malformed,
            challenge,
        } = asked;
        if let Some(challenge) = challenge {
            return refuse(call, *challenge);
        }
        if is_token_request(&route) {
            return self.response_token(call, route, body).await;
        }
        let result = match self.admit(call, &route) {
            Ok(()) => self.run_operation(call, route, malformed, body).await,
            Err(refusal) => Err(refusal),
        };
        self.conclude(call, result)
    }

    async fn response_token<B>(
        &self,
        call: &RequestContext,
        route: Route,
        body: B,
    ) -> Response<Body>
    where
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if let Err(refusal) = self.admit(call, &route) {
            return token_error(call, refusal);
        }
        let route = if route.has_small_body() {
            match request_body::read(body, self.settings().limits.body, None).await {
                ReadBody::Whole(bytes) => route
                    .with_body(bytes)
                    .unwrap_or(Route::RequestAccessToken(RequestAccessToken::default())),
                ReadBody::TooLarge | ReadBody::Full => {
                    return token_error(call, ErrorResponse::body_too_large());
                }
                ReadBody::Broken => return token_error(call, ErrorResponse::size_invalid()),
            }
        } else {
            route
        };
        self.give_token(call, &route)
    }

    pub(crate) fn give_token(&self, call: &RequestContext, route: &Route) -> Response<Body> {
        let response = match route {
            Route::ExchangeEntraToken(operation) => self.exchange_entra_token(call, operation),
            Route::RequestAccessTokenWithLogin(operation) => {
                self.request_access_token_with_login(call, operation)
            }
            Route::RequestAccessToken(operation) => self.request_access_token(call, operation),
            _ => ErrorResponse::unknown_path().into_response(),
        };
        with_length(call, response)
    }

    async fn run_operation<B>(
        &self,
        call: &RequestContext,
        route: Route,
        malformed: Option<(&'static str, String)>,
        body: B,
    ) -> Result<Response<Body>, ErrorResponse>
    where
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        self.heed_malformed(&route, malformed)?;
        match route {
            Route::StartUpload(operation) => self.start_upload(call, &operation, body).await,
            Route::UploadChunk(operation) => self.upload_chunk(call, &operation, body).await,
            Route::CompleteUpload(operation) => self.complete_upload(&operation, body).await,
            Route::SetManifest(mut operation) => {
                self.settle_tags(&mut operation);
                // The locks come before the body is read.
                self.may_set_manifest(&operation)?;
                let limit = self.settings().limits.manifest;
                let bytes = match request_body::read(body, limit, Some(self.quota())).await {
                    ReadBody::Whole(bytes) => bytes,
                    ReadBody::TooLarge => return Err(ErrorResponse::manifest_too_large()),
                    ReadBody::Full => {
                        return Err(ErrorResponse::registry_full(self.quota().most()));
                    }
                    ReadBody::Broken => return Err(ErrorResponse::size_invalid()),
                };
                self.set_manifest(call, &SetManifest { bytes, ..operation })
                    .await
            }
            route if route.has_small_body() => {
                let bytes = match request_body::read(body, self.settings().limits.body, None).await
                {
                    ReadBody::Whole(bytes) => bytes,
                    ReadBody::TooLarge | ReadBody::Full => {
                        return Err(ErrorResponse::body_too_large());
                    }
                    ReadBody::Broken => return Err(ErrorResponse::size_invalid()),
                };
                // Existence comes before the body's form.
                self.must_exist(&route)?;
                let route = route
                    .with_body(bytes)
                    .map_err(|error| ErrorResponse::invalid_body(&error.to_string()))?;
                self.dispatch(call, route).await
            }
            route => self.dispatch(call, route).await,
        }
    }

    /// Operations whose request is complete with its head, or with a small body that was read.
    async fn dispatch(
        &self,
        call: &RequestContext,
        route: Route,
    ) -> Result<Response<Body>, ErrorResponse> {
        match route {
            Route::ListRepositoryNames(operation) => {
                self.list_repository_names(call, &operation).await
            }
            Route::ListRepositories(operation) => self.list_repositories(call, &operation).await,
            Route::UpdateRepositoryProperties(operation) => {
                self.update_repository_properties(call, &operation)
            }
            Route::DeleteRepository(operation) => self.delete_repository(&operation).await,
            Route::ListTagProperties(operation) => self.list_tag_properties(call, &operation).await,
            Route::ListTags(operation) => self.list_tags(call, &operation).await,
            Route::ListManifestProperties(operation) => {
                self.list_manifest_properties(call, &operation).await
            }
            Route::GetManifestProperties(operation) => {
                self.get_manifest_properties(call, &operation).await
            }
            Route::UpdateManifestProperties(operation) => {
                self.update_manifest_properties(call, &operation).await
            }
            Route::DeleteManifest(operation) => self.delete_manifest(call, &operation).await,
            Route::ListReferrers(operation) => self.list_referrers(call, &operation).await,
            Route::DeleteBlob(operation) => self.delete_blob(&operation).await,
            Route::CancelUpload(operation) => self.cancel_upload(&operation).await,
            route => self.dispatch_now(call, route),
        }
    }

    /// Operations that never make a pause.
    pub(crate) fn dispatch_now(
        &self,
        call: &RequestContext,
        route: Route,
    ) -> Result<Response<Body>, ErrorResponse> {
        match route {
            Route::Ping(operation) => Ok(respond(&operation, &())),
            Route::GetRepositoryProperties(operation) => {
                self.get_repository_properties(call, &operation)
            }
            Route::GetTagProperties(operation) => self.get_tag_properties(call, &operation),
            Route::UpdateTagProperties(operation) => self.update_tag_properties(call, &operation),
            Route::DeleteTag(operation) => self.delete_tag(call, &operation),
            Route::GetManifest(operation) => self.get_manifest(&operation),
            Route::HeadManifest(operation) => self.head_manifest(&operation),
            Route::HeadBlob(operation) => self.head_blob(&operation),
            Route::GetBlob(operation) => self.get_blob(call, &operation),
            Route::MountBlob(operation) => self.mount_blob(call, &operation),
            Route::GetUploadStatus(operation) => self.get_upload_status(&operation),
            // The rest has been served before it could come here.
            _ => Err(ErrorResponse::unknown_path()),
        }
    }

    /// Refuses an operation of which a parameter is malformed.
    pub(crate) fn heed_malformed(
        &self,
        route: &Route,
        malformed: Option<(&'static str, String)>,
    ) -> Result<(), ErrorResponse> {
        match malformed {
            Some((parameter, value)) if !self.passes_over(parameter) => {
                Err(self.refuse_parameter(route, parameter, &value))
            }
            _ => Ok(()),
        }
    }

    /// Whether a query parameter means nothing here, so that a malformed one does no harm.
    fn passes_over(&self, parameter: &str) -> bool {
        parameter == "tag" && !self.settings().profile.sets_tags_by_query()
    }

    /// A malformed parameter is named only after what it belongs to was found.
    fn refuse_parameter(&self, route: &Route, parameter: &str, value: &str) -> ErrorResponse {
        if let Err(refusal) = self.must_exist(route) {
            return refusal;
        }
        match route {
            Route::UploadChunk(operation) => {
                self.refuse_chunk_range(&operation.repository, &operation.location, value)
            }
            Route::CompleteUpload(operation) if parameter == "content-range" => {
                self.refuse_chunk_range(&operation.repository, &operation.location, value)
            }
            _ => ErrorResponse::invalid_parameter(parameter, value),
        }
    }

    /// Counts an operation whose credentials are good.
    pub(crate) fn admit(&self, call: &RequestContext, route: &Route) -> Result<(), ErrorResponse> {
        self.0.throttles.admit(route.spec().class, call.now())
    }

    /// A number that no seed had before, so that each has content of its own.
    pub(crate) fn next_seed(&self) -> u64 {
        self.store().next_seed()
    }

    /// The registry's clock, as the wire counts time.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from(self.0.settings.clock.now())
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

    pub(crate) fn token_calls_left(&self, call: &RequestContext) -> HeaderValue {
        rate::trimmed(lock(&self.0.token_calls).count(call.now()))
    }

    pub(crate) fn deletes_left(&self, now: Timestamp) -> HeaderValue {
        rate::padded(lock(&self.0.deletes).count(now))
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

/// The response of an operation that has gone well.
pub(crate) fn respond<O: acr_protocol::Operation>(
    operation: &O,
    output: &O::Output,
) -> Response<Body> {
    operation
        .respond(output)
        .map(|bytes: Bytes| Body::from(bytes))
}

/// The same at the token endpoints, which put fewer headers around it.
pub(crate) fn token_error(call: &RequestContext, refusal: ErrorResponse) -> Response<Body> {
    with_length(call, oauth::refused(call, refusal))
}

/// The response that says no, with what the registry puts around it.
pub(crate) fn refuse(call: &RequestContext, refusal: ErrorResponse) -> Response<Body> {
    with_service_headers(call, refusal.kind(), None, refusal.into_response())
}

/// A panic while the lock was held has broken nothing: each operation checks before it changes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
