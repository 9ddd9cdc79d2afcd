//! The endpoints of managed identities, which ask for no secret: that of App Service, and that of a virtual machine (IMDS).
//!
//! `GET /msi/token` with the header `X-IDENTITY-HEADER`, and `GET /metadata/identity/oauth2/token` with `Metadata: true`.

use std::collections::BTreeMap;

use http::{HeaderMap, Method, Response, StatusCode, request};
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use super::authority::respond;
use super::{Entra, LIFE, wall_seconds};
use crate::Body;

/// The path of App Service's endpoint; the service's own.
pub(crate) const IDENTITY_PATH: &str = "/msi/token";
/// The path of a virtual machine's.
pub(crate) const METADATA_PATH: &str = "/metadata/identity/oauth2/token";

impl Entra {
    /// The response at App Service's endpoint. `secret` is what `IDENTITY_HEADER` has.
    ///
    /// What the service says without the header, or with a wrong one, is not known: 400 and 401 (chosen).
    pub(crate) fn app_service(&self, head: &request::Parts, secret: &str) -> Response<Body> {
        let given = head.headers.get("X-IDENTITY-HEADER");
        let is_right = given.map(|given| bool::from(given.as_bytes().ct_eq(secret.as_bytes())));
        match is_right {
            None => refuse(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "the header X-IDENTITY-HEADER is missing",
            ),
            Some(false) => refuse(
                StatusCode::UNAUTHORIZED,
                "invalid_request",
                "the header X-IDENTITY-HEADER is wrong",
            ),
            Some(true) => self.managed(head),
        }
    }

    /// The response at a virtual machine's endpoint.
    pub(crate) fn metadata(&self, head: &request::Parts) -> Response<Body> {
        if !is_metadata(&head.headers) {
            let text = "Required metadata header not specified";
            return refuse(StatusCode::BAD_REQUEST, "invalid_request", text);
        }
        self.managed(head)
    }

    fn managed(&self, head: &request::Parts) -> Response<Body> {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return refuse(
                StatusCode::METHOD_NOT_ALLOWED,
                "invalid_request",
                "the endpoint is read with GET",
            );
        }
        match self.managed_token(head) {
            Ok(token) => respond(StatusCode::OK, &token),
            Err((error, text)) => refuse(StatusCode::BAD_REQUEST, error, &text),
        }
    }

    fn managed_token(&self, head: &request::Parts) -> Result<Value, (&'static str, String)> {
        let query: BTreeMap<_, _> =
            form_urlencoded::parse(head.uri.query().unwrap_or("").as_bytes()).collect();
        let invalid = |text: &str| Err(("invalid_request", text.to_owned()));
        let named = |name: &str| query.get(name).filter(|value| !value.is_empty());
        if named("api-version").is_none() {
            return invalid("Required query variable 'api-version' is missing");
        }
        let Some(resource) = named("resource") else {
            return invalid("Required query variable 'resource' is missing");
        };
        let Some(audience) = Self::audience(resource) else {
            let text = format!(
                "AADSTS500011: The resource principal named {resource} was not found in the tenant."
            );
            return Err(("invalid_resource", text));
        };
        // By another name than its client id none is known here.
        if ["object_id", "principal_id", "mi_res_id", "msi_res_id"]
            .iter()
            .any(|name| named(name).is_some())
        {
            return invalid("Identity not found");
        }
        let identity = self
            .directory()
            .managed(named("client_id").map(AsRef::as_ref))
            .map(|one| one.identity());
        let Some(identity) = identity else {
            return invalid("Identity not found");
        };
        Ok(json!({
            "access_token": self.access_token(&identity, audience, "2"),
            "client_id": identity.client_id,
            "expires_in": LIFE.as_secs().to_string(),
            // A text, and by the machine's clock, which is the one that the client compares it with.
            "expires_on": (wall_seconds() + LIFE.as_secs()).to_string(),
            "not_before": wall_seconds().to_string(),
            "resource": resource,
            "token_type": "Bearer"
        }))
    }
}

fn is_metadata(headers: &HeaderMap) -> bool {
    let value = headers
        .get("Metadata")
        .and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn refuse(status: StatusCode, error: &str, text: &str) -> Response<Body> {
    respond(
        status,
        &json!({ "error": error, "error_description": text, "statusCode": status.as_u16(), "message": text }),
    )
}
