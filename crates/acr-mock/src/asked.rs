//! [`Asked`]: the operation that a request asks for, or the refusal where it asks for none.

use acr_protocol::{Route, RouteError};

use crate::call::Call;
use crate::error::Refusal;
use crate::registry::Registry;

/// An operation that is asked for, before it is carried out.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) route: Route,
    /// A parameter that is malformed, and its value.
    pub(crate) malformed: Option<(&'static str, String)>,
    /// The challenge, where the credentials are not good.
    pub(crate) challenge: Option<Box<Refusal>>,
}

impl Asked {
    /// Whether nothing stands against it so far.
    pub(crate) fn is_good(&self) -> bool {
        self.challenge.is_none() && self.malformed.is_none()
    }
}

impl Registry {
    /// What is asked for, and whether the credentials are good; a refusal where no operation is.
    pub(crate) fn ask(
        &self,
        call: &mut Call,
        parsed: Result<Route, RouteError>,
    ) -> Result<Asked, Refusal> {
        let (route, malformed) = match parsed {
            Ok(route) => (route, None),
            Err(RouteError::Invalid {
                route,
                parameter,
                value,
            }) => (*route, Some((parameter, value))),
            Err(RouteError::UnknownPath) => return Err(Refusal::unknown_path()),
            // Reported by users (Azure/acr issue 166): this endpoint is not there for another method.
            Err(RouteError::MethodNotAllowed { .. }) if call.uri().path() == "/oauth2/exchange" => {
                return Err(Refusal::unknown_path());
            }
            Err(RouteError::MethodNotAllowed { allowed }) => {
                return Err(Refusal::method_not_allowed(allowed));
            }
            Err(_) => return Err(self.refuse_path(call)),
        };
        if matches!(route, Route::ListReferrers(_)) && !self.settings().referrers_api {
            return Err(Refusal::malformed_path());
        }
        call.within(route.repository());
        let challenge = match is_token_request(&route) {
            true => None,
            false => self
                .authorise(call, &self.settings().profile.scope(&route))
                .err()
                .map(Box::new),
        };
        Ok(Asked {
            route,
            malformed,
            challenge,
        })
    }

    /// A path that fits no grammar.
    fn refuse_path(&self, call: &Call) -> Refusal {
        let pushed = (*call.method() == http::Method::PUT)
            .then(|| call.uri().path().rsplit_once("/manifests/"))
            .flatten();
        match pushed {
            Some((_, reference)) if self.settings().profile.explains_malformed_references() => {
                Refusal::malformed_reference(reference)
            }
            _ => Refusal::malformed_path(),
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
