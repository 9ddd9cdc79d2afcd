//! Entra tokens from the credentials of the Azure SDK.

use std::error::Error as StdError;
use std::fmt;
use std::iter;
use std::sync::Arc;

use acr_protocol::Secret;
use async_trait::async_trait;
use azure_core::credentials::TokenCredential;
use azure_core::error::ErrorKind;

use super::credential::{Credential, TokenSource};
use crate::audience::Audience;

impl Credential {
    /// Entra ID tokens from a credential of the Azure SDK: whatever the crate `azure_identity` has,
    /// and all else that implements `azure_core::credentials::TokenCredential`.
    ///
    /// What `azure_identity` makes is handed over as it is:
    /// `Credential::token_credential(DeveloperToolsCredential::new(None)?)`.
    ///
    /// The credential is asked with the scope [`Audience::default_scope`] of the registry's cloud,
    /// whenever a [`TokenSource`] is asked. If it fails, the operation fails with
    /// [`ErrorKind::Credential`](crate::ErrorKind::Credential), and the error's sources are texts: what
    /// the SDK's errors say, shortened, and without what looks like a token. The SDK's own errors
    /// hold whole responses of the token service, so they are not passed on.
    ///
    /// One that is made by hand:
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::{Duration, SystemTime};
    ///
    /// use acr_client::Credential;
    /// use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
    ///
    /// #[derive(Debug)]
    /// struct FromVault;
    ///
    /// #[acr_client::async_trait]
    /// impl TokenCredential for FromVault {
    ///     async fn get_token(
    ///         &self,
    ///         scopes: &[&str],
    ///         _: Option<TokenRequestOptions<'_>>,
    ///     ) -> azure_core::Result<AccessToken> {
    ///         assert_eq!(scopes, ["https://containerregistry.azure.net/.default"]);
    ///         let end = SystemTime::now() + Duration::from_secs(3600);
    ///         Ok(AccessToken::new("what the vault holds", end.into()))
    ///     }
    /// }
    ///
    /// # let registry = acr_mock::Registry::builder().build();
    /// # let time = acr_mock::VirtualClock::new();
    /// # let transport = acr_client::transport::from_fn(registry.handler());
    /// let client = acr_client::ContainerRegistryClient::builder("https://name.azurecr.io")
    ///     .credential(Credential::token_credential(Arc::new(FromVault)))
    /// #   .transport(transport)
    /// #   .clock(time.clone())
    ///     .build()?;
    /// # time.drive(client.ping())?;
    /// # Ok::<(), acr_client::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "azure_identity")]
    #[doc(alias = "azure_core")]
    #[doc(alias = "DefaultAzureCredential")]
    #[doc(alias = "DeveloperToolsCredential")]
    #[doc(alias = "AzureCliCredential")]
    #[doc(alias = "ManagedIdentityCredential")]
    #[doc(alias = "WorkloadIdentityCredential")]
    #[doc(alias = "ClientSecretCredential")]
    #[doc(alias = "ClientCertificateCredential")]
    #[doc(alias = "AzurePipelinesCredential")]
    pub fn token_credential(credential: Arc<dyn TokenCredential>) -> Self {
        Self::entra(OfAzureSdk(credential))
    }
}

struct OfAzureSdk(Arc<dyn TokenCredential>);

#[async_trait]
impl TokenSource for OfAzureSdk {
    async fn token(&self, audience: &Audience) -> Result<Secret, Box<dyn StdError + Send + Sync>> {
        let scope = audience.default_scope();
        match self.0.get_token(&[&scope], None).await {
            Ok(token) => Ok(token.token.secret().into()),
            Err(error) => Err(Failure::of(&error).into()),
        }
    }
}

impl fmt::Debug for OfAzureSdk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the credential's own text: nothing obliges it to hide its secrets.
        f.write_str("TokenCredential")
    }
}

/// What an error and its causes say, without what may be a secret.
///
/// The errors themselves are not kept. `azure_core::Error` holds the response of the token service with
/// its headers, and shows its body as its own text where that is in no known form; the errors of the
/// developer tools repeat what a command printed.
#[derive(Debug)]
struct Failure {
    text: String,
    cause: Option<Box<Self>>,
}

impl Failure {
    fn of(error: &(dyn StdError + 'static)) -> Box<Self> {
        let chain = iter::successors(Some(error), |error| (**error).source());
        let mut texts: Vec<String> = chain.take(MAX_CAUSES).map(say).collect();
        // An error of the SDK that only wraps another one shows the other one's text.
        texts.dedup();
        let last = texts.pop().unwrap_or_default();
        let last = Box::new(Self {
            text: last,
            cause: None,
        });
        texts.into_iter().rfold(last, |cause, text| {
            let cause = Some(cause);
            Box::new(Self { text, cause })
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let cause = self.cause.as_deref()?;
        Some(cause)
    }
}

/// What one error says, its causes left out.
fn say(error: &(dyn StdError + 'static)) -> String {
    let kind = error
        .downcast_ref::<azure_core::Error>()
        .map(azure_core::Error::kind);
    match kind {
        Some(ErrorKind::HttpResponse {
            status, error_code, ..
        }) => {
            let status = u16::from(*status);
            let code = error_code.as_deref().map(redact).unwrap_or_default();
            format!("the token service responded with {status} {code}")
                .trim_end()
                .to_owned()
        }
        _ => redact(&error.to_string()),
    }
}

/// Brings a text into one line of bounded length, without queries of URLs and what looks like a secret.
fn redact(text: &str) -> String {
    let named = text.to_ascii_lowercase();
    let value_of = |name: &&str| {
        let (at, _) = named.match_indices(*name).find(|(at, _)| {
            let rest = named[at + name.len()..].trim_start_matches(['"', '\'', '\\', ' ']);
            rest.starts_with(['=', ':'])
        })?;
        Some(at + name.len())
    };
    let end = NAMES_OF_SECRETS.iter().filter_map(value_of).min();
    let mut line = String::new();
    for word in text[..end.unwrap_or(text.len())].split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        redact_word(word, &mut line);
        if line.len() > MAX_TEXT {
            let bound = (0..=MAX_TEXT).rev().find(|at| line.is_char_boundary(*at));
            line.truncate(bound.unwrap_or_default());
            line.push_str("..");
            return line;
        }
    }
    if end.is_some() {
        line.push_str(" ***");
    }
    line
}

fn redact_word(word: &str, line: &mut String) {
    let word = match word.split_once("://") {
        Some((scheme, rest)) => {
            let query = rest.find(['?', '#']).unwrap_or(rest.len());
            &word[..scheme.len() + "://".len() + query]
        }
        None => word,
    };
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let in_token = is_of_token(first);
        let end = rest.find(|c| is_of_token(c) != in_token);
        let (run, after) = rest.split_at(end.unwrap_or(rest.len()));
        let secret = in_token && (run.len() >= MIN_SECRET_LEN || run.starts_with("eyJ"));
        line.push_str(if secret { "***" } else { run });
        rest = after;
    }
}

const fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | '+' | '=')
}

/// Fields of the token service's requests and responses that hold secrets.
const NAMES_OF_SECRETS: &[&str] = &[
    "access_token",
    "accesstoken",
    "assertion",
    "client_secret",
    "id_token",
    "password",
    "refresh_token",
];
/// Longer than an identifier of Entra ID, which is 36, and as long as a client's secret.
const MIN_SECRET_LEN: usize = 40;
/// Enough for what each of several developer tools has to say.
const MAX_TEXT: usize = 1000;
const MAX_CAUSES: usize = 8;

#[cfg(test)]
mod tests {
    use std::io;

    use azure_core::Error;
    use azure_core::http::RawResponse;
    use azure_core::http::headers::Headers;

    use super::*;

    fn chain(error: &(dyn StdError + 'static)) -> Vec<String> {
        iter::successors(Some(error), |error| (**error).source())
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn the_words_of_the_sdk_are_kept() {
        let io = io::Error::new(io::ErrorKind::NotFound, "no such file");
        let error = Error::with_error(
            ErrorKind::Credential,
            Error::new(ErrorKind::Io, io),
            "AzureCliCredential authentication failed.\nTo troubleshoot, visit \
             https://aka.ms/azsdk/rust/identity/troubleshoot#azure-cli",
        );
        assert_eq!(
            chain(&*Failure::of(&error)),
            [
                "AzureCliCredential authentication failed. To troubleshoot, visit \
                 https://aka.ms/azsdk/rust/identity/troubleshoot",
                "no such file"
            ]
        );
    }

    #[test]
    fn of_a_response_its_status_and_code_are_kept_alone() {
        let mut headers = Headers::new();
        headers.insert("set-cookie", "hunter2");
        let kind = ErrorKind::HttpResponse {
            status: 503.into(),
            error_code: Some("ServerBusy".to_owned()),
            raw_response: Some(Box::new(RawResponse::from_bytes(
                503.into(),
                headers,
                "hunter2",
            ))),
        };
        let error = Error::with_message(kind, "hunter2").with_context("hunter2");
        let failure = Failure::of(&error);
        assert_eq!(
            chain(&*failure),
            ["the token service responded with 503 ServerBusy"]
        );
        assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
    }

    #[test]
    fn what_looks_like_a_secret_is_left_out() {
        let jwt = "eyJhbGciOiJub25lIn0.e30.c2ln";
        let secret = "abc8Q~ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefgh";
        for (text, expected) in [
            (format!("bad token '{jwt}'"), "bad token '***'"),
            (format!("bad secret {secret}."), "bad secret ***"),
            (
                r#"{"access_token":"short","expires_in":1}"#.to_owned(),
                r#"{"access_token ***"#,
            ),
            (
                "sent grant_type=x&client_secret=short".to_owned(),
                "sent grant_type=x&client_secret ***",
            ),
            (
                "GET https://login.example/token?code=short failed".to_owned(),
                "GET https://login.example/token failed",
            ),
        ] {
            assert_eq!(redact(&text), expected);
        }
    }

    #[test]
    fn words_about_secrets_and_identifiers_are_kept() {
        for text in [
            "AADSTS7000218: The request body must contain the following parameter: \
             'client_assertion' or 'client_secret'.",
            "Trace ID: 6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            "https://login.microsoftonline.com/6ba7b810-9dad-11d1-80b4-00c04fd430c8/oauth2/v2.0/token",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn texts_and_chains_have_a_bound() {
        let text = redact(&"ä ".repeat(1 << 20));
        assert!(text.len() <= MAX_TEXT + "..".len() && text.ends_with(".."));
        let mut error = Error::with_message(ErrorKind::Other, "0");
        for index in 1..100 {
            error = Error::with_error(ErrorKind::Other, error, format!("{index}"));
        }
        assert_eq!(chain(&*Failure::of(&error)).len(), MAX_CAUSES);
    }
}
