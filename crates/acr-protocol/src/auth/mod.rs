//! Who may do what: challenges, scopes, tokens, and the three operations of `/oauth2`.

mod challenge;
pub(crate) mod scope;
mod secret;
mod token;

pub use challenge::{Challenge, InvalidChallenge};
pub use scope::{Action, InvalidScope, Scope, ScopeSet};
pub use secret::Secret;
pub use token::{
    EXCHANGE_PATH, ExchangeEntraToken, Grant, RequestAccessToken, RequestAccessTokenWithLogin,
    TOKEN_PATH, TokenClaims, basic_login, parse_basic_login,
};
