//! Where a challenge sends the client for a token, and whether it may go there.

use acr_protocol::Challenge;
use acr_protocol::auth::TOKEN_PATH;
use http::Uri;

use crate::error::{Error, ErrorKind};
use crate::url::{Endpoint, absolute, origin_text};

/// A token server, from a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Realm {
    pub(super) url: Uri,
    /// For whom the token is to be; the registry's login server.
    pub(super) service: String,
    /// Which server it is, if it is not the registry itself.
    elsewhere: Option<String>,
}

impl Realm {
    /// Reads the realm of a challenge.
    pub(super) fn of(challenge: &Challenge, endpoint: &Endpoint) -> Result<Self, Error> {
        let unusable = |reason: &str| {
            Error::protocol(format!(
                "the registry asks for a token, but not from where: its realm {reason}"
            ))
        };
        let realm = challenge.realm().ok_or_else(|| unusable("is missing"))?;
        let url = absolute(realm)
            .map_err(|reason| unusable(&format!("is not a usable URL: {reason}")))?;
        let service = challenge.service().unwrap_or_default();
        if service.len() > MAX_SERVICE_LEN || realm.len() > MAX_REALM_LEN {
            return Err(unusable("or service is longer than any name"));
        }
        let origin = origin_text(&url);
        if endpoint.is_https() && url.scheme_str() != Some("https") {
            return Err(refused(format!(
                "the registry wants tokens to be fetched over plain http, from {origin}"
            )));
        }
        Ok(Self {
            elsewhere: (!endpoint.is_origin_of(&url)).then_some(origin),
            url,
            service: service.to_owned(),
        })
    }

    /// Where every Azure container registry has its tokens, and under which name.
    pub(super) fn of_azure(endpoint: &Endpoint) -> Option<Self> {
        Some(Self {
            url: endpoint.absolute(&Uri::from_static(TOKEN_PATH)).ok()?,
            service: endpoint.authority(),
            elsewhere: None,
        })
    }

    /// Refuses a secret that must not be sent there: it belongs to the registry alone.
    pub(super) fn check_may_receive(&self, secret: Option<&str>) -> Result<(), Error> {
        match (&self.elsewhere, secret) {
            (Some(origin), Some(secret)) => Err(refused(format!(
                "the registry wants {secret} to be sent to another server, {origin}"
            ))),
            _ => Ok(()),
        }
    }
}

/// Enough for a host with its port.
const MAX_SERVICE_LEN: usize = 512;
const MAX_REALM_LEN: usize = 4096;

fn refused(reason: String) -> Error {
    Error::new(ErrorKind::Credential, format!("{reason}; refused"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Credential;

    fn realm(text: &str, endpoint: &str, credential: &Credential) -> Result<Realm, Error> {
        let challenge = Challenge::bearer(text, "service", None, None);
        let realm = Realm::of(&challenge, &Endpoint::parse(endpoint).unwrap())?;
        realm.check_may_receive(credential.0[0].secret())?;
        Ok(realm)
    }

    #[test]
    fn a_credential_goes_to_the_registry_alone() {
        let login = Credential::password("u", "p");
        let endpoint = "https://r.example";
        let own = realm("https://r.example:443/oauth2/token", endpoint, &login).unwrap();
        assert_eq!(own.url, "https://r.example/oauth2/token");
        for foreign in ["https://evil.example/t", "https://r.example:444/t"] {
            let error = realm(foreign, endpoint, &login).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Credential);
            assert!(error.to_string().contains("another server"), "{error}");
            assert!(realm(foreign, endpoint, &Credential::anonymous()).is_ok());
        }
    }

    #[test]
    fn the_realm_that_azure_s_registries_have_is_that_of_their_challenges() {
        let endpoint = Endpoint::parse("https://NAME.azurecr.io").unwrap();
        let text = "https://name.azurecr.io/oauth2/token";
        let challenge = Challenge::bearer(text, "name.azurecr.io", None, None);
        assert_eq!(
            Realm::of_azure(&endpoint).unwrap(),
            Realm::of(&challenge, &endpoint).unwrap()
        );
    }

    #[test]
    fn nobody_fetches_tokens_over_plain_http_for_a_registry_on_https() {
        let anonymous = Credential::anonymous();
        let error = realm("http://r.example/t", "https://r.example", &anonymous).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Credential);
        assert!(realm("http://r.example/t", "http://r.example", &anonymous).is_ok());
    }

    #[test]
    fn a_realm_that_is_no_url_is_a_protocol_error() {
        let anonymous = Credential::anonymous();
        let long = format!("https://r.example/{}", "t".repeat(5000));
        for text in [
            "",
            "/oauth2/token",
            "file:///etc",
            "https://",
            "https://user:hunter2@r.example/oauth2/token",
            &long,
        ] {
            let error = realm(text, "https://r.example", &anonymous).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{text}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
