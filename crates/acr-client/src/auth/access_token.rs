use std::time::SystemTime;

use acr_protocol::{ScopeSet, Secret, Timestamp, TokenClaims};

/// A token for a scope of the registry: the response of [`access_token`](crate::ContainerRegistryClient::access_token).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    pub(super) token: Secret,
    pub(super) expires_at: SystemTime,
}

impl AccessToken {
    /// Returns the token, which stands behind `Bearer` in the header `Authorization`.
    #[must_use]
    pub const fn token(&self) -> &Secret {
        &self.token
    }

    /// Returns when its life ends; of a token that does not say, a minute after it came.
    #[must_use]
    pub fn expires_on(&self) -> Timestamp {
        self.expires_at.into()
    }

    /// Returns what it allows, as far as it can be read; `None` where it cannot.
    #[must_use]
    pub fn granted(&self) -> Option<ScopeSet> {
        let claims = TokenClaims::read(self.token.expose())?;
        Some(claims.access)
    }
}
