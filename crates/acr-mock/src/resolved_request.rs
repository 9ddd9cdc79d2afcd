//! [`ResolvedRequest`]: the operation that a request asks for, or the refusal where it asks for none.

use acr_protocol::{Route, RouteError};

use crate::error::ErrorResponse;
use crate::registry::Registry;
use crate::request_context::RequestContext;

/// An operation that is asked for, before it is carried out.
#[derive(Debug)]
pub(crate) struct ResolvedRequest {
    pub(crate) route: Route,
    /// A parameter that is malformed, and its value.
    pub(crate) malformed: Option<(&'static str, String)>,
    /// The challenge, where the credentials are not good.
    pub(crate) challenge: Option<Box<ErrorResponse>>,
}

impl ResolvedRequest {
    /// Whether nothing stands against it so far.
    pub(crate) fn is_allowed(&self) -> bool {
        self.challenge.is_none() && self.malformed.is_none()
    }
}

impl Registry {
    /// What is asked for, and whether the credentials are good; a refusal where no operation is.
    pub(crate) fn resolve(
        &self,
        call: &mut RequestContext,
        parsed: Result<Route, RouteError>,
    ) -> Result<ResolvedRequest, ErrorResponse> {
        let (route, malformed) = match parsed {
            Ok(route) => (route, None),
            Err(RouteError::Invalid {
                route,
                parameter,
                value,
            }) => (*route, Some((parameter, value))),
            Err(RouteError::UnknownPath) => return Err(ErrorResponse::unknown_path()),
            // Reported by users (Azure/acr issue 166): this endpoint is not there for another method.
            Err(RouteError::MethodNotAllowed { .. }) if call.uri().path() == "/oauth2/exchange" => {
                return Err(ErrorResponse::unknown_path());
            }
            Err(RouteError::MethodNotAllowed { allowed }) => {
                return Err(ErrorResponse::method_not_allowed(allowed));
            }
            Err(_) => return Err(self.refuse_path(call)),
        };
        if matches!(route, Route::ListReferrers(_)) && !self.settings().referrers_api {
            return Err(ErrorResponse::malformed_path());
        }
        call.set_repository(route.repository());
        let challenge = match is_token_request(&route) {
            true => None,
            false => self
                .authorise(call, &self.settings().profile.scope(&route))
                .err()
                .map(Box::new),
        };
        Ok(ResolvedRequest {
            route,
            malformed,
            challenge,
        })
    }

    /// A path that fits no grammar.
    fn refuse_path(&self, call: &RequestContext) -> ErrorResponse {
        let pushed = (*call.method() == http::Method::PUT)
            .then(|| call.uri().path().rsplit_once("/manifests/"))
            .flatten();
        match pushed {
            Some((_, reference)) if self.settings().profile.rejects_malformed_references() => {
                ErrorResponse::malformed_reference(reference)
            }
            _ => ErrorResponse::malformed_path(),
        }
    }
}

/// Whether it is for the token endpoints, which ask for no token and have headers of their own.
pub(crate) fn is_token_request(route: &Route) -> bool {
    matches!(
        route,
        Route::ExchangeEntraToken(_)
            | Route::RequestAccessToken(_)
            | Route::RequestAccessTokenWithLogin(_)
    )
}
