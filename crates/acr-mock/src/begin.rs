//! What is done with a request by its head alone: most are served there, without a future.

use std::error::Error;

use acr_protocol::{Route, RouteError};
use http::header::CONTENT_LENGTH;
use http::{Response, request};

use crate::error::{ErrorResponse, HeaderSet};
use crate::fault::{Candidate, ConnectionReset, FaultAction};
use crate::registry::{Registry, refuse, token_error};
use crate::request_context::RequestContext;
use crate::resolved_request::{ResolvedRequest, is_token_request};
use crate::service_headers::{with_length, with_service_headers};
use crate::{Body, ClientAddress, Origin, data};

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
    Unhurried(ResolvedRequest),
    Struck(FaultAction, ResolvedRequest),
    StruckData(FaultAction),
}

impl Begun {
    fn waiting(call: RequestContext, rest: Rest) -> Self {
        Self::Waiting(Box::new(Waiting { call, rest }))
    }
}

impl Registry {
    /// Handles a request whose head is enough for it, and that takes no time. `came` says how it came in, unless its extensions do.
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
            let refusal = ErrorResponse::body_too_large();
            return Begun::Done(match call.uri().path().starts_with("/oauth2/") {
                true => token_error(&call, refusal),
                false => refuse(&call, refusal),
            });
        }
        if data::is_data_request(call.uri()) {
            self.counters().count_data();
            return match self.faults().take_match(&Candidate::Data) {
                None => Begun::Done(with_length(&call, self.get_data(&call))),
                Some(action) => Begun::waiting(call, Rest::StruckData(action)),
            };
        }
        let parsed = Route::parse(call.head());
        match &parsed {
            Ok(route) => self.counters().count_operation(route),
            Err(RouteError::Invalid { route, .. }) => self.counters().count_operation(route),
            Err(_) => {}
        }
        if let Err(refusal) = self.pass_firewall(&call) {
            let is_token = call.uri().path().starts_with("/oauth2/");
            return Begun::Done(match is_token {
                true => token_error(&call, refusal),
                false => refuse(&call, refusal),
            });
        }
        let asked = match self.ask(&mut call, parsed) {
            Ok(asked) => asked,
            Err(refusal) => return Begun::Done(refuse(&call, refusal)),
        };
        let aim = Candidate::Operation {
            route: &asked.route,
            authorised: asked.challenge.is_none(),
        };
        match self.faults().take_match(&aim) {
            Some(action) => Begun::waiting(call, Rest::Struck(action, asked)),
            None if asked.challenge.is_some() || is_immediate(&asked.route) => {
                Begun::Done(self.execute_now(&call, asked))
            }
            None => Begun::waiting(call, Rest::Unhurried(asked)),
        }
    }

    /// Handles a request that needs its body or pauses, or that a fault has struck.
    pub(crate) async fn finish<B>(
        self,
        waiting: Waiting,
        body: B,
    ) -> Result<Response<Body>, ConnectionReset>
    where
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let Waiting { call, rest } = waiting;
        match rest {
            Rest::Unhurried(asked) => Ok(self.execute(&call, asked, body).await),
            Rest::Struck(action, asked) => self.apply_fault(action, &call, asked, body).await,
            Rest::StruckData(action) => {
                let response = self.apply_data_fault(action, &call).await?;
                Ok(with_length(&call, response))
            }
        }
    }

    /// The response to an operation without a body, whether it may be carried out or not.
    fn execute_now(&self, call: &RequestContext, asked: ResolvedRequest) -> Response<Body> {
        let ResolvedRequest {
            route,
            malformed,
            challenge,
        } = asked;
        if let Some(challenge) = challenge {
            return refuse(call, *challenge);
        }
        let admitted = self.admit(call, &route);
        if is_token_request(&route) {
            return match admitted {
                Ok(()) => self.give_token(call, &route),
                Err(refusal) => token_error(call, refusal),
            };
        }
        let result = admitted
            .and_then(|()| self.heed_malformed(&route, malformed))
            .and_then(|()| self.dispatch_now(call, route));
        self.conclude(call, result)
    }

    /// Puts around the outcome of an operation what the service puts there.
    pub(crate) fn conclude(
        &self,
        call: &RequestContext,
        result: Result<Response<Body>, ErrorResponse>,
    ) -> Response<Body> {
        let (kind, response) = match result {
            Ok(response) => (HeaderSet::Authorised, response),
            Err(refusal) => (refusal.kind(), refusal.into_response()),
        };
        let left = (call.method() == http::Method::DELETE && kind == HeaderSet::Authorised)
            .then(|| self.deletes_left(call.now()));
        with_service_headers(call, kind, left, response)
    }
}

/// Whether an operation is most of what a registry does, and never waits: neither for a body nor in a pause.
fn is_immediate(route: &Route) -> bool {
    matches!(
        route,
        Route::Ping(_)
            | Route::GetRepositoryProperties(_)
            | Route::GetTagProperties(_)
            | Route::GetManifest(_)
            | Route::HeadManifest(_)
            | Route::HeadBlob(_)
            | Route::GetBlob(_)
            | Route::GetUploadStatus(_)
            | Route::RequestAccessTokenWithLogin(_)
    )
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
