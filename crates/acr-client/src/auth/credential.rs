use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use acr_clock::Clock;
use acr_protocol::Secret;
use async_trait::async_trait;

use super::provider::TokenProvider;
use crate::audience::Audience;
use crate::error::Error;

/// How the client authenticates to the registry.
///
/// A credential is sent to the registry's own origin only, and never over plain `http` unless the
/// builder was told to by
/// [`danger_allow_http`](crate::ClientBuilder::danger_allow_http). `Debug` shows no secret.
///
/// ```
/// use acr_client::Credential;
///
/// let pulls = Credential::anonymous();
/// let robot = Credential::password("robot", "its password");
/// let azure = Credential::entra_token("what `az account get-access-token` prints");
/// let either = azure.clone().or(Credential::anonymous());
/// # let _ = (pulls, robot, azure, either);
/// ```
#[derive(Clone)]
pub struct Credential(pub(super) Vec<Link>);

/// One of those that are tried in turn.
#[derive(Clone)]
pub(super) enum Link {
    Known(Identity),
    /// What is looked up anew each time that a token is fetched.
    #[cfg_attr(
        not(feature = "docker-config"),
        expect(dead_code, reason = "nothing else is looked up so far")
    )]
    Lookup(Arc<dyn Lookup>),
}

/// What a token is fetched with.
#[derive(Clone)]
pub(super) enum Identity {
    Anonymous,
    Password { user: String, password: Secret },
    RefreshToken(Secret),
    Entra(Arc<dyn TokenSource>),
    Provider(Arc<dyn TokenProvider>),
}

/// Where identities are kept for several registries.
#[async_trait]
pub(super) trait Lookup: fmt::Debug + Send + Sync {
    /// What it is, for messages.
    fn name(&self) -> &'static str;

    /// Finds the identity for a registry.
    async fn look_up(&self, registry: &str, clock: &dyn Clock) -> Result<Identity, Error>;
}

impl Credential {
    /// What it is made of, for people.
    pub(crate) fn kinds(&self) -> String {
        kinds(&self.0)
    }

    /// Anonymous access. Sufficient for pulls from registries with anonymous pull enabled.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::of(Identity::Anonymous)
    }

    /// A user name and password: the admin user, a service principal (application id and secret),
    /// or a repository-scoped token (its name and password).
    ///
    /// Neither may have a control character in it, such as the line break at the end of a file:
    /// [`build`](crate::ClientBuilder::build) refuses it. `Credential::from_env` trims what it reads.
    ///
    /// With the user `00000000-0000-0000-0000-000000000000` the password is a refresh token, as
    /// `az acr login --expose-token` gives it.
    #[must_use]
    pub fn password(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self::of(Identity::Password {
            user: user.into(),
            password: password.into(),
        })
    }

    /// A refresh token of this registry, which lives for about three hours.
    #[must_use]
    pub fn refresh_token(token: impl Into<Secret>) -> Self {
        Self::of(Identity::RefreshToken(token.into()))
    }

    /// An Entra ID token that is at hand, such as the one `az account get-access-token` prints.
    ///
    /// It is good for as long as it lives, usually about an hour; a program that runs longer gives
    /// a source with [`entra`](Self::entra).
    #[must_use]
    pub fn entra_token(token: impl Into<Secret>) -> Self {
        Self::entra(FixedToken(token.into()))
    }

    /// Entra ID tokens from a source, which is asked again whenever one is needed.
    ///
    /// For a credential of the Azure SDK there is `Credential::token_credential`, with the feature
    /// `azure-core`.
    #[must_use]
    #[doc(alias = "DefaultAzureCredential")]
    #[doc(alias = "TokenCredential")]
    pub fn entra(source: impl TokenSource) -> Self {
        Self::of(Identity::Entra(Arc::new(source)))
    }

    /// Access tokens of the registry from a provider of one's own; the client then fetches none.
    #[must_use]
    pub fn token_provider(provider: impl TokenProvider) -> Self {
        Self::of(Identity::Provider(Arc::new(provider)))
    }

    /// Several credentials in the order in which they are tried.
    ///
    /// The next one is tried when one brings nothing (its source fails, docker's configuration has no
    /// entry for the registry), must not be sent to where the registry wants tokens to be fetched, or
    /// is refused by the token server. A permission that is missing is not a reason: who somebody is does not
    /// depend on what he asks for. Neither is a server that fails. The one that brought a token is
    /// stayed with until it brings none any more; after five minutes those ahead of it get another
    /// chance, since who was not signed in may be by now.
    ///
    /// Whether to go on without a credential is said in so many words, by an
    /// [`anonymous`](Self::anonymous) at the end:
    ///
    /// ```
    /// use acr_client::Credential;
    /// # let from_azure = Credential::entra_token("a token");
    ///
    /// let pulls_where_it_may = Credential::chain([from_azure, Credential::anonymous()]);
    /// # let _ = pulls_where_it_may;
    /// ```
    #[must_use]
    #[doc(alias = "ChainedTokenCredential")]
    pub fn chain(credentials: impl IntoIterator<Item = Self>) -> Self {
        Self(credentials.into_iter().flat_map(|one| one.0).collect())
    }

    /// This credential, and another one after it; see [`chain`](Self::chain).
    #[must_use]
    pub fn or(self, next: Self) -> Self {
        Self::chain([self, next])
    }

    /// Returns whether this is [`anonymous`](Self::anonymous), or a chain of nothing else.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        let is_anonymous = |link: &Link| matches!(link, Link::Known(Identity::Anonymous));
        self.0.iter().all(is_anonymous)
    }

    pub(super) fn of(identity: Identity) -> Self {
        Self(vec![Link::Known(identity)])
    }

    /// Refuses what no registry can have given, such as a password with the line break of the file that
    /// it was read from. Nothing of it is shown.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.0.iter().try_for_each(|link| match link {
            Link::Known(identity) => identity.check(),
            // What is looked up is checked when it is.
            Link::Lookup(_) => Ok(()),
        })
    }
}

impl Default for Credential {
    /// Anonymous access.
    fn default() -> Self {
        Self::anonymous()
    }
}

/// What each of them is, for people.
pub(super) fn kinds(links: &[Link]) -> String {
    let names: Vec<_> = links.iter().map(Link::name).collect();
    names.join(", ")
}

impl Link {
    /// What it is, for messages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Known(identity) => identity.name(),
            Self::Lookup(lookup) => lookup.name(),
        }
    }

    /// What of it is sent to a token server and must not go to another one than the registry's own.
    pub(super) fn secret(&self) -> Option<&'static str> {
        match self {
            Self::Known(identity) => identity.secret(),
            Self::Lookup(lookup) => Some(lookup.name()),
        }
    }
}

impl Identity {
    const fn name(&self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous access",
            Self::Password { .. } => "the password",
            Self::RefreshToken(_) => "the refresh token",
            Self::Entra(_) => "the Entra token",
            Self::Provider(_) => "the token provider",
        }
    }

    /// What of it is sent to a token server and must not go to another one than the registry's own.
    pub(super) const fn secret(&self) -> Option<&'static str> {
        match self {
            // A provider fetches the tokens itself.
            Self::Anonymous | Self::Provider(_) => None,
            secret => Some(secret.name()),
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        match self {
            Self::Password { user, password } => {
                check_secret("the user name", user)?;
                check_secret("the password", password.expose())
            }
            Self::RefreshToken(token) => check_secret("the refresh token", token.expose()),
            // What a source brings is looked at when it does.
            Self::Anonymous | Self::Entra(_) | Self::Provider(_) => Ok(()),
        }
    }
}

/// Refuses a secret, or a name, with a line break or another control character in it.
///
/// Those that come from a variable or a file of docker's are trimmed where they come from; what is given
/// in code is taken as it is meant.
pub(crate) fn check_secret(what: &str, secret: &str) -> Result<(), Error> {
    let trimmed = without_line_break(secret);
    if !trimmed.contains(char::is_control) && trimmed.len() == secret.len() {
        return Ok(());
    }
    let text = if trimmed.contains(char::is_control) {
        format!("{what} has a control character in it, which none has; look at where it comes from")
    } else {
        format!(
            "{what} has a line break at its end, as files and Kubernetes secrets often have; trim it \
             (`trim_end`) before it is given"
        )
    };
    Err(Error::invalid(text))
}

/// A text without the line breaks that editors and `echo` leave at the end of a file.
pub(crate) fn without_line_break(text: &str) -> &str {
    text.trim_end_matches(['\r', '\n'])
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            [link] => link.fmt(f),
            links => f.debug_list().entries(links).finish(),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(identity) => identity.fmt(f),
            Self::Lookup(lookup) => lookup.fmt(f),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Password { user, .. } => f
                .debug_struct("Password")
                .field("user", user)
                .finish_non_exhaustive(),
            Self::RefreshToken(_) => f.write_str("RefreshToken(***)"),
            Self::Entra(source) => f.debug_tuple("Entra").field(source).finish(),
            Self::Provider(provider) => f.debug_tuple("Provider").field(provider).finish(),
        }
    }
}

/// Where Entra ID tokens come from.
///
/// A source is asked once per refresh token of the registry, that is every three hours or so, and
/// again when the registry refuses the token. It may cache; the client does not cache for it. The
/// client waits for it as long as an operation may take by
/// [`RetryOptions::deadline`](crate::RetryOptions::deadline), and without a bound where there is none,
/// since a person may be signing in meanwhile.
///
/// The credentials of the crate `azure_identity` need no source of one's own: with the feature
/// `azure-core`, `Credential::token_credential` takes them as they are. A source for something else, in
/// full:
///
/// ```
/// use acr_client::auth::{Audience, Secret, TokenSource};
///
/// #[derive(Debug)]
/// struct FromFile(std::path::PathBuf);
///
/// #[acr_client::async_trait]
/// impl TokenSource for FromFile {
///     async fn token(
///         &self,
///         _audience: &Audience,
///     ) -> Result<Secret, Box<dyn std::error::Error + Send + Sync>> {
///         Ok(std::fs::read_to_string(&self.0)?.trim().into())
///     }
/// }
/// ```
///
/// Its `Debug` is a part of that of the credential and the builder, and must show no secret.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source of Entra ID tokens",
    note = "a credential of the Azure SDK is given by `Credential::token_credential`, with the feature `azure-core`",
    note = "a token that is at hand is given by `Credential::entra_token`"
)]
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// Brings a token for an audience.
    ///
    /// Libraries that ask for an OAuth 2 scope take
    /// [`audience.default_scope()`](Audience::default_scope).
    ///
    /// # Errors
    ///
    /// Whatever kept the source from bringing one; the operation then fails with
    /// [`ErrorKind::Credential`](crate::ErrorKind::Credential) and this as its source. It must not
    /// hold the secrets that the source works with.
    async fn token(&self, audience: &Audience) -> Result<Secret, Box<dyn StdError + Send + Sync>>;
}

/// A token that somebody else fetched.
#[derive(Debug)]
struct FixedToken(Secret);

#[async_trait]
impl TokenSource for FixedToken {
    async fn token(&self, _: &Audience) -> Result<Secret, Box<dyn StdError + Send + Sync>> {
        Ok(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn debug_shows_no_secret() {
        for credential in [
            Credential::password("robot", "hunter2"),
            Credential::refresh_token("hunter2"),
            Credential::entra_token("hunter2"),
            Credential::entra_token("hunter2").or(Credential::password("robot", "hunter2")),
        ] {
            let text = format!("{credential:?}");
            assert!(!text.contains("hunter2"), "{text}");
        }
        let text = format!("{:?}", Credential::password("robot", "hunter2"));
        assert!(text.contains("robot"), "{text}");
    }

    #[test]
    fn a_chain_is_anonymous_when_all_of_it_is() {
        let anonymous = Credential::anonymous;
        assert!(anonymous().or(anonymous().or(anonymous())).is_anonymous());
        assert!(
            !anonymous()
                .or(Credential::refresh_token("t"))
                .is_anonymous()
        );
    }

    #[test]
    fn a_secret_with_a_control_character_is_refused_with_a_hint_and_not_shown() {
        for (credential, what) in [
            (Credential::password("robot", "hunter2\n"), "the password"),
            (Credential::password("robot", "hunter2\r\n"), "the password"),
            (Credential::password("hunter2\n", "x"), "the user name"),
            (Credential::refresh_token("hunter2\n"), "the refresh token"),
            (
                Credential::anonymous().or(Credential::password("robot", "hunter2\n")),
                "the password",
            ),
        ] {
            let error = credential.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let text = format!("{error} {error:?}");
            assert!(text.contains(what) && text.contains("trim"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
        for secret in ["hun\nter2", "\thunter2", "hunter2\0", "hunter2\u{7f}\n"] {
            let error = Credential::refresh_token(secret).check().unwrap_err();
            let text = error.to_string();
            assert!(text.contains("control character"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
        Credential::password("robot", "pass word ä ")
            .check()
            .unwrap();
    }
}
