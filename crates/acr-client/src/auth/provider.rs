use std::error::Error as StdError;
use std::fmt;

use acr_protocol::{ScopeSet, Secret};
use async_trait::async_trait;

/// Where access tokens of the registry come from, if the client is not to fetch them itself.
///
/// For a program that has its own token service, or shares tokens with another client. The client
/// caches what it gets, by scope, for as long as the token says that it lives, and asks again when
/// the registry refuses it; one request for each scope is under way at a time.
///
/// ```
/// use acr_client::Credential;
/// use acr_client::auth::{Secret, TokenProvider, TokenRequest};
///
/// #[derive(Debug)]
/// struct Vault;
///
/// #[acr_client::async_trait]
/// impl TokenProvider for Vault {
///     async fn access_token(
///         &self,
///         request: &TokenRequest,
///     ) -> Result<Secret, Box<dyn std::error::Error + Send + Sync>> {
///         # fn look_up(_registry: &str, _scope: &str) -> Option<String> { None }
///         let token = look_up(&request.registry, &request.scope.to_string());
///         Ok(token.ok_or("the vault has no such token")?.into())
///     }
/// }
///
/// let credential = Credential::token_provider(Vault);
/// # let _ = credential;
/// ```
///
/// Its `Debug` is a part of that of the credential and the builder, and must show no secret.
#[async_trait]
pub trait TokenProvider: fmt::Debug + Send + Sync + 'static {
    /// Brings an access token that covers the request's scope.
    ///
    /// # Errors
    ///
    /// Whatever kept the provider from bringing one; the operation then fails with
    /// [`ErrorKind::Credential`](crate::ErrorKind::Credential) and this as its source. It must not
    /// hold the secrets that the provider works with.
    async fn access_token(
        &self,
        request: &TokenRequest,
    ) -> Result<Secret, Box<dyn StdError + Send + Sync>>;
}

/// What a [`TokenProvider`] is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenRequest {
    /// The registry that the token will be sent to: the host of the client's endpoint, with its port
    /// unless that is the usual one, such as `name.azurecr.io`.
    ///
    /// This is what decides whose token may be given away.
    pub registry: String,
    /// For whom the token is to be, in the registry's own words: the `service` of its challenge, by
    /// which token servers know it.
    ///
    /// Nothing keeps a registry from naming another one here, so a provider that has tokens of several
    /// does not go by it.
    pub service: String,
    /// What the token must allow; its text is what stands in a request, such as
    /// `repository:app:pull`. Empty where any token of the registry will do.
    pub scope: ScopeSet,
}
