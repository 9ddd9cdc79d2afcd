//! The entrance: from a request to its response, in the service's order. Firewall, scope, a fault, throttle, existence and
//! locks, the body.

use std::pin::Pin;

use acr_protocol::auth::RequestAccessToken;
use acr_protocol::{Route, RouteError};
use http::header::{CONTENT_LENGTH, RANGE};
use http::{Request, Response, request};

use crate::body::Body;
use crate::data;
use crate::error::{ErrorResponse, HeaderSet};
use crate::fault::{Candidate, ConnectionReset, FaultAction};
use crate::origin::{ClientAddress, Origin};
use crate::pause::without_pause;
use crate::registry::Registry;
use crate::request_body::{self, RequestBody};
use crate::request_context::RequestContext;
use crate::resolved_request::{ResolvedRequest, is_token_request};
use crate::response::{refuse, token_error, with_length, with_service_headers};
use crate::serve::{Outcome, is_immediate};

impl Registry {
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
    {
        let response = self.clone().respond(request);
        async move {
            let response = response.await;
            response.unwrap_or_else(ConnectionReset::into_response)
        }
    }

    /// Returns [`Registry::handle`] as a function of its own, for whatever calls one with each request: the transport of
    /// a client, say.
    ///
    /// ```
    /// # use futures_util::FutureExt as _;
    /// let handler = acr_mock::Registry::new().handler();
    /// let request = http::Request::get("https://mock.azurecr.io/v2/").body(String::new()).unwrap();
    /// assert_eq!(handler(request).now_or_never().unwrap().status(), 401);
    /// ```
    pub fn handler<B>(
        &self,
    ) -> impl Fn(Request<B>) -> ResponseFuture + Clone + Send + Sync + use<B> + 'static
    where
        B: http_body::Body + Send + 'static,
    {
        let registry = self.clone();
        move |request| Box::pin(registry.handle(request))
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
    {
        self.clone().respond(request)
    }

    async fn respond<B>(self, request: Request<B>) -> Result<Response<Body>, ConnectionReset>
    where
        B: http_body::Body + Send + 'static,
    {
        let (head, body) = request.into_parts();
        match self.begin(head, None) {
            Begun::Done(response) => Ok(response),
            // In a box, so that requests which are served at once need no room for this.
            Begun::Waiting(waiting) => {
                Box::pin(self.finish(*waiting, request_body::erase(body))).await
            }
        }
    }

    /// Handles a request whose head is enough for it, and that takes no time: most are served here, without a future on
    /// the heap. `came` says how it came in, unless its extensions do.
    pub(crate) fn begin(
        &self,
        head: request::Parts,
        came: Option<(Origin, ClientAddress)>,
    ) -> Begun {
        let mut call = RequestContext::new(self, head, came);
        self.expire_uploads(call.now());
        self.shed_in_passing();
        self.counters().count();
        if head_size(&call) > self.settings().limits.head {
            return Begun::Done(refuse(&call, ErrorResponse::head_too_large()));
        }
        if announced_length(&call) > self.settings().limits.largest().into() {
            // Whatever it asks for, and whoever asks: nothing takes so much.
            return Begun::Done(refuse_early(&call, ErrorResponse::body_too_large()));
        }
        if data::is_data_request(call.uri()) {
            self.counters().count_data();
            let has_range = call.headers().contains_key(RANGE);
            return match self.faults().take_match(&Candidate::Data { has_range }) {
                None => Begun::Done(with_length(&call, self.get_data(&call))),
                Some(action) => Begun::waiting(call, Rest::FaultOfData(action)),
            };
        }
        let parsed = Route::parse(call.head());
        match &parsed {
            Ok(route) => self.counters().count_operation(route),
            Err(RouteError::Invalid { route, .. }) => self.counters().count_operation(route),
            Err(_) => {}
        }
        if let Err(refusal) = self.pass_firewall(&call) {
            return Begun::Done(refuse_early(&call, refusal));
        }
        let resolved = match self.resolve(&mut call, parsed) {
            Ok(resolved) => resolved,
            Err(refusal) => return Begun::Done(refuse(&call, refusal)),
        };
        let candidate = Candidate::Operation {
            route: &resolved.route,
            authorised: resolved.challenge.is_none(),
        };
        let fault = self.faults().take_match(&candidate);
        if fault.is_none() && (resolved.challenge.is_some() || is_immediate(&resolved.route)) {
            return Begun::Done(without_pause(self.execute(
                &call,
                resolved,
                RequestBody::default(),
            )));
        }
        Begun::waiting(call, Rest::Operation(resolved, fault))
    }

    /// Handles a request that needs its body or pauses, or that a fault has struck.
    pub(crate) async fn finish(
        self,
        waiting: Waiting,
        body: RequestBody,
    ) -> Result<Response<Body>, ConnectionReset> {
        let Waiting { mut call, rest } = waiting;
        match rest {
            Rest::Operation(resolved, None) => Ok(self.execute(&call, resolved, body).await),
            Rest::Operation(resolved, Some(action)) => {
                self.apply_fault(action, &call, resolved, body).await
            }
            Rest::FaultOfData(action) => {
                let response = self.apply_data_fault(action, &mut call).await?;
                Ok(with_length(&call, response))
            }
        }
    }

    /// The response to an operation, whether it may be carried out or not.
    pub(crate) async fn execute(
        &self,
        call: &RequestContext,
        resolved: ResolvedRequest,
        body: RequestBody,
    ) -> Response<Body> {
        let is_token = is_token_request(&resolved.route);
        let outcome = self.outcome(call, resolved, body).await;
        self.conclude(call, is_token, outcome)
    }

    /// Does what comes before the operation, and the operation.
    async fn outcome(
        &self,
        call: &RequestContext,
        resolved: ResolvedRequest,
        body: RequestBody,
    ) -> Outcome {
        let ResolvedRequest {
            route,
            malformed,
            challenge,
        } = resolved;
        if let Some(challenge) = challenge {
            return Err(*challenge);
        }
        self.check_throttle(route.spec().class, call.now())?;
        if !is_token_request(&route) {
            self.check_malformed(&route, malformed)?;
        }
        // A manifest is read by its operation: the locks come first, and it counts as content.
        if !route.has_small_body() || matches!(route, Route::SetManifest(_)) {
            return self.serve(call, route, body).await;
        }
        // In a box, so that requests which are served at once need no room for this.
        let route = Box::pin(self.read_small_body(route, body)).await?;
        self.serve(call, route, RequestBody::default()).await
    }

    async fn read_small_body(
        &self,
        route: Route,
        body: RequestBody,
    ) -> Result<Route, ErrorResponse> {
        let bytes = request_body::read(body, self.settings().limits.body, None).await?;
        // Existence comes before the body's form.
        self.must_exist(&route)?;
        let is_token = is_token_request(&route);
        match route.with_body(bytes) {
            Err(_) if is_token => Ok(RequestAccessToken::default().into()),
            read => read.map_err(|error| ErrorResponse::invalid_body(&error.to_string())),
        }
    }

    /// Refuses an operation of which a parameter is malformed.
    fn check_malformed(
        &self,
        route: &Route,
        malformed: Option<(&'static str, String)>,
    ) -> Result<(), ErrorResponse> {
        match malformed {
            Some((parameter, value)) if !self.ignores(parameter) => {
                Err(self.refuse_parameter(route, parameter, &value))
            }
            _ => Ok(()),
        }
    }

    /// Whether a query parameter means nothing here, so that a malformed one does no harm.
    fn ignores(&self, parameter: &str) -> bool {
        parameter == "tag" && !self.settings().profile.sets_tags_by_query()
    }

    /// A malformed parameter is named only after what it belongs to was found.
    fn refuse_parameter(&self, route: &Route, parameter: &str, value: &str) -> ErrorResponse {
        if let Err(refusal) = self.must_exist(route) {
            return refusal;
        }
        match (parameter, route) {
            ("content-range", Route::UploadChunk(operation)) => {
                self.refuse_chunk_range(&operation.repository, &operation.location, value)
            }
            ("content-range", Route::CompleteUpload(operation)) => {
                self.refuse_chunk_range(&operation.repository, &operation.location, value)
            }
            _ => ErrorResponse::invalid_parameter(parameter, value),
        }
    }

    /// Puts around the outcome of an operation what the service puts there.
    fn conclude(&self, call: &RequestContext, is_token: bool, result: Outcome) -> Response<Body> {
        let (kind, response) = match result {
            Ok(response) if is_token => return with_length(call, response),
            Err(refusal) if is_token => return token_error(call, refusal),
            Ok(response) => (HeaderSet::Authorised, response),
            Err(refusal) => (refusal.kind(), refusal.into_response()),
        };
        let left = (call.method() == http::Method::DELETE && kind == HeaderSet::Authorised)
            .then(|| self.deletes_left(call.now()));
        with_service_headers(call, kind, left, response)
    }
}

/// The future that a [`Registry::handler`] returns.
pub type ResponseFuture = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// How far a request has come by its head alone.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "most requests are served, and a box is what they do without"
)]
pub(crate) enum Begun {
    Done(Response<Body>),
    /// In a box: few requests wait, and the others need no room for them.
    Waiting(Box<Waiting>),
}

/// A request that needs its body or pauses, or that a fault has struck.
#[derive(Debug)]
pub(crate) struct Waiting {
    call: RequestContext,
    rest: Rest,
}

#[derive(Debug)]
enum Rest {
    Operation(ResolvedRequest, Option<FaultAction>),
    FaultOfData(FaultAction),
}

impl Begun {
    fn waiting(call: RequestContext, rest: Rest) -> Self {
        Self::Waiting(Box::new(Waiting { call, rest }))
    }
}

/// Refuses a request before it is known what it asks for.
fn refuse_early(call: &RequestContext, refusal: ErrorResponse) -> Response<Body> {
    match call.uri().path().starts_with("/oauth2/") {
        true => token_error(call, refusal),
        false => refuse(call, refusal),
    }
}

/// How long the body is going to be by the head's word; nothing where it is silent.
fn announced_length(call: &RequestContext) -> u128 {
    let value = call.headers().get(CONTENT_LENGTH);
    value
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .unwrap_or_default()
}

/// How many bytes the head of a request has, but for the separators.
fn head_size(call: &RequestContext) -> usize {
    let headers = call.headers().iter();
    let headers: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    let uri = call.uri();
    uri.path().len() + uri.query().unwrap_or_default().len() + headers
}
