//! How the authority says no: the service's envelope, with its code in the text as libraries and users look for it.
//!
//! The form, and the codes of a wrong or missing secret, an unknown application, tenant or resource and of an unknown federated
//! identity are those that users have quoted from the service. The other codes are those of Microsoft's list of error codes
//! (learn.microsoft.com, Entra identity platform, reference-error-codes), of which none was seen with these very requests: chosen.

use acr_protocol::Timestamp;
use http::StatusCode;
use serde_json::{Value, json};

use crate::random::Ids;

/// A refusal. Of most the service's status is not known: 401 where the client is not who it says, else 400 (chosen).
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    error: &'static str,
    code: u32,
    text: String,
}

impl Refusal {
    fn invalid_request(code: u32, text: String) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: "invalid_request",
            code,
            text,
        }
    }

    fn invalid_client(code: u32, text: String) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            error: "invalid_client",
            code,
            text,
        }
    }

    pub(super) fn missing(parameter: &str) -> Self {
        let text = format!("The request body must contain the following parameter: '{parameter}'.");
        Self::invalid_request(900_144, text)
    }

    pub(super) fn twice(parameter: &str) -> Self {
        let text = format!("The request has the parameter '{parameter}' more than once.");
        Self::invalid_request(90_013, text)
    }

    pub(super) fn not_a_form() -> Self {
        let text = "The body must be of the type 'application/x-www-form-urlencoded'.".to_owned();
        Self::invalid_request(900_144, text)
    }

    pub(super) fn too_large() -> Self {
        let text = "The body is larger than a token request can be.".to_owned();
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            ..Self::invalid_request(90_013, text)
        }
    }

    pub(super) fn method(allowed: &str, method: &str) -> Self {
        let text =
            format!("The endpoint only accepts {allowed} requests. Received a {method} request.");
        Self {
            status: StatusCode::METHOD_NOT_ALLOWED,
            ..Self::invalid_request(900_561, text)
        }
    }

    pub(super) fn unknown_tenant(tenant: &str) -> Self {
        let text = format!(
            "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the \
             correct cloud. Check with your subscription administrator, this may happen if there are no active \
             subscriptions for the tenant."
        );
        Self::invalid_request(90_002, text)
    }

    pub(super) fn unknown_application(client_id: &str, tenant: &str) -> Self {
        let text = format!(
            "Application with identifier '{client_id}' was not found in the directory '{tenant}'."
        );
        Self {
            error: "unauthorized_client",
            ..Self::invalid_request(700_016, text)
        }
    }

    pub(super) fn unsupported_grant(grant: &str) -> Self {
        let text = format!("The app requested an unsupported grant type '{grant}'.");
        Self {
            error: "unsupported_grant_type",
            ..Self::invalid_request(70_003, text)
        }
    }

    pub(super) fn scope_without_default(scope: &str) -> Self {
        let text = format!(
            "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with \
             /.default suffixed to the resource identifier (application ID URI)."
        );
        Self {
            error: "invalid_scope",
            ..Self::invalid_request(1_002_012, text)
        }
    }

    pub(super) fn unknown_resource(resource: &str, tenant: &str) -> Self {
        let text = format!(
            "The resource principal named {resource} was not found in the tenant named {tenant}. This can happen if the \
             application has not been installed by the administrator of the tenant or consented to by any user in the tenant."
        );
        Self {
            error: "invalid_resource",
            ..Self::invalid_request(500_011, text)
        }
    }

    pub(super) fn no_secret() -> Self {
        let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
        Self::invalid_client(7_000_216, text.to_owned())
    }

    pub(super) fn wrong_secret(client_id: &str) -> Self {
        let text = format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not \
             the client secret ID, for a secret added to app '{client_id}'."
        );
        Self::invalid_client(7_000_215, text)
    }

    pub(super) fn assertion_type(given: &str) -> Self {
        let text = format!("Client assertion type '{given}' is not supported.");
        Self::invalid_request(90_013, text)
    }

    pub(super) fn malformed_assertion() -> Self {
        Self::invalid_client(50_027, "JWT token is invalid or malformed.".to_owned())
    }

    pub(super) fn assertion_signature(reason: &str) -> Self {
        let text = format!("Client assertion contains an invalid signature. [Reason - {reason}]");
        Self::invalid_client(700_027, text)
    }

    pub(super) fn assertion_time() -> Self {
        let text = "Client assertion is not within its valid time range.".to_owned();
        Self::invalid_client(700_024, text)
    }

    pub(super) fn assertion_audience(audience: &str) -> Self {
        let text =
            format!("Client assertion audience claim does not match Realm issuer: '{audience}'.");
        Self::invalid_client(700_023, text)
    }

    pub(super) fn assertion_subject() -> Self {
        let text = "Client assertion must have the application's id in the claims 'iss' and 'sub'."
            .to_owned();
        Self::invalid_client(700_021, text)
    }

    pub(super) fn no_federated_identity(issuer: &str, subject: &str, audience: &str) -> Self {
        let text = format!(
            "No matching federated identity record found for presented assertion. Assertion Issuer: '{issuer}'. Assertion \
             Subject: '{subject}'. Assertion Audience: '{audience}'."
        );
        Self::invalid_client(70_021, text)
    }

    /// The service's envelope.
    pub(super) fn envelope(&self, ids: &Ids, now: Timestamp, authority: &str) -> Value {
        let (trace, correlation) = (ids.next().to_string(), ids.next().to_string());
        let time = now.to_string();
        let time = format!("{} {}Z", &time[..10], &time[11..19]);
        let Self { code, text, .. } = self;
        json!({
            "error": self.error,
            "error_description": format!(
                "AADSTS{code}: {text}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {time}"
            ),
            "error_codes": [code],
            "timestamp": time,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("{authority}/error?code={code}")
        })
    }
}
