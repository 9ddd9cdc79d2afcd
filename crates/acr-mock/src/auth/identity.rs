use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use acr_protocol::{Action, Digest, Scope, ScopeSet, Secret};
use subtle::ConstantTimeEq as _;

/// The subject of anonymous tokens.
pub(crate) const ANONYMOUS: &str = "acr_anon_pull";

/// What an identity may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Permissions {
    /// Everything.
    All,
    /// This and nothing else.
    Only(ScopeSet),
}

impl Permissions {
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Only(permissions) if permissions.is_empty())
    }

    pub(crate) fn cover(&self, needed: &ScopeSet) -> bool {
        match self {
            Self::All => true,
            Self::Only(permissions) => permissions.covers(needed),
        }
    }

    /// What of the wanted scopes goes into a token: each action that the identity has. A token is given in any case.
    pub(crate) fn granted(&self, wanted: &ScopeSet) -> ScopeSet {
        match self {
            Self::All => wanted.clone(),
            Self::Only(permissions) => wanted
                .iter()
                .filter_map(|scope| granted(permissions, &scope))
                .collect(),
        }
    }
}

fn granted(permissions: &ScopeSet, wanted: &Scope) -> Option<Scope> {
    let single =
        |action: &Action| Scope::new(wanted.resource_type(), wanted.name(), [action.clone()]).ok();
    let actions = wanted
        .actions()
        .filter(|action| single(action).is_some_and(|scope| permissions.covers(&scope.into())));
    Scope::new(
        wanted.resource_type(),
        wanted.name(),
        actions.cloned().collect::<Vec<_>>(),
    )
    .ok()
}

/// Who is known to the registry: users by name, Entra identities by their token.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    users: BTreeMap<String, (Secret, Permissions)>,
    /// By a digest of the token, which is also the subject of what is made from it.
    entra: BTreeMap<String, Permissions>,
    /// Whether Entra tokens that nobody has named are taken, where it was said.
    unknown_entra: Option<bool>,
    /// Whether other machines can reach the registry.
    is_exposed: AtomicBool,
}

impl Identities {
    pub(crate) fn add_user(&mut self, name: String, password: String, permissions: Permissions) {
        self.users.insert(name, (password.into(), permissions));
    }

    /// Adds a user who may do everything, unless there is one of this name.
    pub(crate) fn add_admin(&mut self, name: &str, password: String) {
        let user = self.users.entry(name.to_owned());
        user.or_insert_with(|| (password.into(), Permissions::All));
    }

    pub(crate) fn password_of(&self, name: &str) -> Option<&str> {
        self.users.get(name).map(|(password, _)| password.expose())
    }

    pub(crate) fn add_entra_token(&mut self, token: String, permissions: Permissions) {
        self.entra.insert(entra_subject(&token), permissions);
    }

    /// Says whether Entra tokens that nobody has named are taken.
    pub(crate) fn take_unknown_entra_tokens(&mut self, taken: bool) {
        self.unknown_entra = Some(taken);
    }

    /// Whether everybody is let in because it was said so.
    #[cfg(feature = "server")]
    pub(crate) fn is_open_to_all(&self) -> bool {
        self.unknown_entra == Some(true)
    }

    /// Other machines can reach the registry from now on.
    #[cfg(any(test, feature = "server"))]
    pub(crate) fn expose(&self) {
        self.is_exposed.store(true, Ordering::Relaxed);
    }

    /// Where nothing was said, a test on this machine may come with any token, and nobody may from elsewhere.
    fn takes_unknown_entra(&self) -> bool {
        let unsaid = || self.entra.is_empty() && !self.is_exposed.load(Ordering::Relaxed);
        self.unknown_entra.unwrap_or_else(unsaid)
    }

    /// The permissions of a user whose password holds. The comparison takes as long for a wrong one.
    pub(crate) fn login(&self, name: &str, password: &str) -> Option<Permissions> {
        let (expected, permissions) = self.users.get(name)?;
        let same: bool = expected
            .expose()
            .as_bytes()
            .ct_eq(password.as_bytes())
            .into();
        same.then(|| permissions.clone())
    }

    /// The subject of an Entra token that is taken.
    pub(crate) fn entra(&self, token: &str) -> Option<String> {
        let subject = entra_subject(token);
        let taken =
            !token.is_empty() && (self.entra.contains_key(&subject) || self.takes_unknown_entra());
        taken.then_some(subject)
    }

    /// The permissions of the subject of a refresh token.
    pub(crate) fn permissions_of(&self, subject: &str) -> Option<Permissions> {
        if let Some(permissions) = self.entra.get(subject) {
            return Some(permissions.clone());
        }
        (subject.starts_with(ENTRA_PREFIX) && self.takes_unknown_entra())
            .then_some(Permissions::All)
    }
}

const ENTRA_PREFIX: &str = "entra-";

/// Entra tokens are not kept: their digest stands for them.
fn entra_subject(token: &str) -> String {
    format!("{ENTRA_PREFIX}{}", &Digest::sha256(token).hex()[..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> ScopeSet {
        text.parse().unwrap()
    }

    #[test]
    fn a_token_holds_what_was_wanted_and_is_had() {
        let permissions = Permissions::Only(set("repository:a:pull repository:b/c:*"));
        assert_eq!(
            permissions.granted(&set("repository:a:pull,push")),
            set("repository:a:pull")
        );
        assert_eq!(
            permissions.granted(&set("repository:b/c:pull,delete")),
            set("repository:b/c:delete,pull")
        );
        assert!(permissions.granted(&set("registry:catalog:*")).is_empty());
        assert_eq!(
            Permissions::All.granted(&set("registry:catalog:*")),
            set("registry:catalog:*")
        );
    }

    #[test]
    fn any_entra_token_is_taken_until_one_is_named() {
        let mut identities = Identities::default();
        let subject = identities.entra("anything").unwrap();
        assert_eq!(identities.permissions_of(&subject), Some(Permissions::All));
        assert_eq!(identities.entra(""), None);
        identities.add_entra_token("named".into(), Permissions::Only(set("repository:a:pull")));
        assert_eq!(identities.entra("anything"), None);
        assert_eq!(identities.permissions_of(&subject), None);
        let subject = identities.entra("named").unwrap();
        assert_eq!(
            identities.permissions_of(&subject),
            Some(Permissions::Only(set("repository:a:pull")))
        );
        assert!(!subject.contains("named"));
    }

    #[test]
    fn what_was_taken_on_this_machine_alone_is_refused_once_others_can_come() {
        let mut identities = Identities::default();
        let subject = identities.entra("anything").unwrap();
        identities.expose();
        assert_eq!(identities.entra("anything"), None);
        assert_eq!(identities.permissions_of(&subject), None);
        identities.take_unknown_entra_tokens(true);
        assert_eq!(identities.permissions_of(&subject), Some(Permissions::All));
    }

    #[test]
    fn any_token_beside_a_named_one_is_taken_only_where_it_is_said() {
        let mut identities = Identities::default();
        identities.add_entra_token("named".into(), Permissions::Only(set("repository:a:pull")));
        identities.take_unknown_entra_tokens(true);
        let permissions = |token| identities.permissions_of(&identities.entra(token)?);
        assert_eq!(permissions("anything"), Some(Permissions::All));
        assert_eq!(
            permissions("named"),
            Some(Permissions::Only(set("repository:a:pull")))
        );
        identities.take_unknown_entra_tokens(false);
        assert_eq!(identities.entra("anything"), None);
    }

    #[test]
    fn a_login_needs_the_very_password() {
        let mut identities = Identities::default();
        identities.add_user("ci".into(), "secret".into(), Permissions::All);
        assert!(identities.login("ci", "secret").is_some());
        for (user, password) in [
            ("ci", "secre"),
            ("ci", ""),
            ("ci", "secret "),
            ("other", "secret"),
        ] {
            assert!(identities.login(user, password).is_none());
        }
        assert!(!format!("{identities:?}").contains("secret"));
    }
}
