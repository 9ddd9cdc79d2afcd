//! What docker's credentials are to this crate.

use acr_protocol::Secret;
use docker_credential::DockerCredential;

use crate::auth::credential::{Identity, without_line_break};

/// There is a password, but nobody whose it is.
#[derive(Debug)]
pub(super) struct NoUser;

/// What a credential of docker's is to this crate. One without a secret is none: docker keeps an entry
/// for a registry whose secret is elsewhere, and some helpers respond so when they have nothing.
pub(super) fn identity(found: DockerCredential) -> Result<Option<Identity>, NoUser> {
    let (user, secret) = match found {
        DockerCredential::IdentityToken(token) => (None, without_line_break(&token).to_owned()),
        DockerCredential::UsernamePassword(user, password) => {
            // Old versions of docker padded the password, and `echo` adds a line break to what is
            // encoded by hand.
            let password = without_line_break(password.trim_matches('\0'));
            (Some(user), password.to_owned())
        }
    };
    let secret = Some(Secret::from(secret)).filter(|secret| !secret.is_empty());
    match (user, secret) {
        (_, None) => Ok(None),
        // `az acr login` signs docker in as nobody, with a refresh token for the password. It is
        // used as what it is, so that it goes to the token endpoint as a refresh token.
        (None, Some(token)) => Ok(Some(Identity::RefreshToken(token))),
        (Some(user), Some(token)) if user == NOBODY => Ok(Some(Identity::RefreshToken(token))),
        (Some(user), Some(_)) if user.is_empty() => Err(NoUser),
        (Some(user), Some(password)) => Ok(Some(Identity::Password { user, password })),
    }
}

const NOBODY: &str = "00000000-0000-0000-0000-000000000000";
