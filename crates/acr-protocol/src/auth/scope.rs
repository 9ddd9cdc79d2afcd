use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::reference::RepositoryName;
use crate::text::excerpt;
use crate::text::open_text;

/// What a token may do to a thing, such as `pull`. Open: an action of another name is kept.
///
/// The constants can be used in a `match`.
#[derive(Clone, PartialEq, Eq)]
pub struct Action(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Wildcard,
    Delete,
    MetadataRead,
    MetadataWrite,
    Pull,
    Push,
    Other(Box<str>),
}

impl Action {
    /// Every action (`*`); what the catalogue asks for.
    pub const ALL: Self = Self(Kind::Wildcard);
    /// Deleting repositories, tags, manifests, blobs; also cancelling an upload.
    pub const DELETE: Self = Self(Kind::Delete);
    /// Reading properties, and listing tags.
    pub const METADATA_READ: Self = Self(Kind::MetadataRead);
    /// Changing properties.
    pub const METADATA_WRITE: Self = Self(Kind::MetadataWrite);
    /// Getting manifests and blobs.
    pub const PULL: Self = Self(Kind::Pull);
    /// Setting manifests and uploading blobs. Useful only together with `pull`.
    pub const PUSH: Self = Self(Kind::Push);

    /// The action as it stands in a scope.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Kind::Wildcard => "*",
            Kind::Delete => "delete",
            Kind::MetadataRead => "metadata_read",
            Kind::MetadataWrite => "metadata_write",
            Kind::Pull => "pull",
            Kind::Push => "push",
            Kind::Other(text) => text,
        }
    }
}

open_text!(Action);

impl From<&str> for Action {
    fn from(text: &str) -> Self {
        match text {
            "*" => Self::ALL,
            "delete" => Self::DELETE,
            "metadata_read" => Self::METADATA_READ,
            "metadata_write" => Self::METADATA_WRITE,
            "pull" => Self::PULL,
            "push" => Self::PUSH,
            other => Self(Kind::Other(other.into())),
        }
    }
}

/// One thing and what may be done to it: `repository:samples/app:pull,push`.
///
/// The order of the actions means nothing: the service shuffles it from call to call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    resource_type: Box<str>,
    name: Box<str>,
    actions: BTreeSet<Action>,
}

impl Scope {
    /// A scope of any kind of resource.
    ///
    /// # Errors
    /// A part is empty or holds what separates parts: a blank, a comma, a quote, or a colon in the type.
    pub fn new(
        resource_type: &str,
        name: &str,
        actions: impl IntoIterator<Item = Action>,
    ) -> Result<Self, InvalidScope> {
        let actions: BTreeSet<_> = actions.into_iter().collect();
        let whole = || excerpt(&format!("{resource_type}:{name}"));
        let unfit = |text: &str| text.is_empty() || text.chars().any(separates);
        if unfit(resource_type) || resource_type.contains(':') {
            return Err(InvalidScope {
                text: whole(),
                reason: "the resource type is empty or holds a separator",
            });
        }
        if unfit(name) {
            return Err(InvalidScope {
                text: whole(),
                reason: "the name is empty or holds a separator",
            });
        }
        if actions.is_empty()
            || actions
                .iter()
                .any(|action| unfit(action.as_str()) || action.as_str().contains(':'))
        {
            return Err(InvalidScope {
                text: whole(),
                reason: "there is no action, or one holds a separator",
            });
        }
        Ok(Self {
            resource_type: resource_type.into(),
            name: name.into(),
            actions,
        })
    }

    /// The permission to do these things to a repository.
    ///
    /// A name that a server sent may hold what separates the parts of a scope; that is escaped, so that no name can
    /// ask for more than itself.
    #[must_use]
    pub fn repository(name: &RepositoryName, actions: impl IntoIterator<Item = Action>) -> Self {
        let mut scope_name = String::with_capacity(name.as_str().len());
        for c in name.as_str().chars() {
            if separates(c) {
                scope_name.extend(utf8_percent_encode(
                    c.encode_utf8(&mut [0; 4]),
                    NON_ALPHANUMERIC,
                ));
            } else {
                scope_name.push(c);
            }
        }
        Self {
            resource_type: "repository".into(),
            name: scope_name.into(),
            actions: actions.into_iter().collect(),
        }
    }

    /// `registry:catalog:*`, the permission to list the repositories.
    #[must_use]
    pub fn catalog() -> Self {
        Self {
            resource_type: "registry".into(),
            name: "catalog".into(),
            actions: BTreeSet::from([Action::ALL]),
        }
    }

    /// The kind of thing: `repository` or `registry`.
    #[must_use]
    pub fn resource_type(&self) -> &str {
        &self.resource_type
    }

    /// The thing: a repository's name, or `catalog`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What may be done, in the order of the alphabet.
    pub fn actions(&self) -> impl ExactSizeIterator<Item = &Action> {
        self.actions.iter()
    }

    /// Whether who holds this scope may do all that `needed` names. A name or an action `*` covers every one;
    /// otherwise no action implies another.
    #[must_use]
    pub fn covers(&self, needed: &Self) -> bool {
        self.covers_thing(needed)
            && needed
                .actions
                .iter()
                .all(|action| covers_action(&self.actions, action))
    }

    fn covers_thing(&self, needed: &Self) -> bool {
        self.resource_type == needed.resource_type
            && (self.name == needed.name || &*self.name == "*")
    }
}

fn covers_action(held: &BTreeSet<Action>, action: &Action) -> bool {
    held.contains(action) || held.contains(&Action::ALL)
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.resource_type, self.name)?;
        for (index, action) in self.actions.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{action}")?;
        }
        Ok(())
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |reason| InvalidScope {
            text: excerpt(text),
            reason,
        };
        let (resource_type, rest) = text
            .split_once(':')
            .ok_or_else(|| fail("there is no colon"))?;
        // The last colon ends the name: a name may hold a host with a port.
        let (name, actions) = rest
            .rsplit_once(':')
            .ok_or_else(|| fail("there is no second colon"))?;
        Self::new(resource_type, name, actions.split(',').map(Action::from))
            .map_err(|error| fail(error.reason))
    }
}

/// Several scopes as one set: scopes of the same thing are merged, their order means nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScopeSet(BTreeMap<(Box<str>, Box<str>), BTreeSet<Action>>);

impl ScopeSet {
    /// The empty set: what the ping needs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a scope; its actions join those of the same thing.
    pub fn insert(&mut self, scope: Scope) {
        self.0
            .entry((scope.resource_type, scope.name))
            .or_default()
            .extend(scope.actions);
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many things it names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The scopes, in order of type and name.
    pub fn iter(&self) -> impl Iterator<Item = Scope> {
        self.0.iter().map(|((resource_type, name), actions)| Scope {
            resource_type: resource_type.clone(),
            name: name.clone(),
            actions: actions.clone(),
        })
    }

    /// Whether who holds this set may do all that `needed` names.
    #[must_use]
    pub fn covers(&self, needed: &Self) -> bool {
        // Nothing is cloned: a server asks this at every request.
        needed.0.iter().all(|((resource_type, name), actions)| {
            let of_the_thing = self.0.iter().filter(|((held_type, held_name), _)| {
                held_type == resource_type && (held_name == name || **held_name == *"*")
            });
            actions.iter().all(|action| {
                of_the_thing
                    .clone()
                    .any(|(_, held)| covers_action(held, action))
            })
        })
    }
}

impl Extend<Scope> for ScopeSet {
    fn extend<I: IntoIterator<Item = Scope>>(&mut self, scopes: I) {
        scopes.into_iter().for_each(|scope| self.insert(scope));
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut set = Self::new();
        set.extend(scopes);
        set
    }
}

impl From<Scope> for ScopeSet {
    fn from(scope: Scope) -> Self {
        Self::from_iter([scope])
    }
}

/// The scopes joined by blanks, as one `scope` parameter carries them.
impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            write!(f, "{separator}{scope}")?;
        }
        Ok(())
    }
}

impl FromStr for ScopeSet {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_ascii_whitespace().map(Scope::from_str).collect()
    }
}

impl Serialize for ScopeSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ScopeSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The text is not a scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a scope such as \"repository:samples/app:pull,push\": {reason}")]
pub struct InvalidScope {
    text: String,
    reason: &'static str,
}

/// What no part of a scope can hold: it separates scopes, actions, or the parameters of a challenge.
fn separates(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, ',' | '"' | '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> ScopeSet {
        text.parse().unwrap()
    }

    #[test]
    fn the_order_of_actions_means_nothing() {
        assert_eq!(
            set("repository:a/b:push,pull"),
            set("repository:a/b:pull repository:a/b:push")
        );
        assert_eq!(
            set("repository:b:pull repository:a:push,pull").to_string(),
            "repository:a:pull,push repository:b:pull"
        );
    }

    #[test]
    fn no_action_implies_another() {
        assert!(!set("repository:a:delete").covers(&set("repository:a:metadata_read")));
        assert!(!set("repository:a:pull,push").covers(&set("repository:a:delete")));
        assert!(!set("repository:a:pull").covers(&set("repository:b:pull")));
        assert!(set("repository:a:pull,push").covers(&set("repository:a:push")));
    }

    #[test]
    fn wildcards_cover_every_name_or_action() {
        assert!(set("repository:*:pull").covers(&set("repository:a/b:pull")));
        assert!(!set("repository:*:pull").covers(&set("repository:a/b:push")));
        assert!(set("repository:*:pull repository:a:push").covers(&set("repository:a:pull,push")));
        assert!(set("repository:*:*").covers(&set("repository:a:pull,push,delete")));
        assert!(!set("repository:*:*").covers(&set("registry:catalog:*")));
        assert!(set("").covers(&set("")) && set("registry:catalog:*").covers(&set("")));
    }

    #[test]
    fn a_name_from_a_server_cannot_ask_for_more_than_itself() {
        let name = RepositoryName::from_server("a:pull repository:b").unwrap();
        let scopes = ScopeSet::from(Scope::repository(&name, [Action::PULL]));
        assert_eq!(scopes.to_string(), "repository:a:pull%20repository:b:pull");
        assert_eq!(set(&scopes.to_string()), scopes);
        assert!(!scopes.covers(&set("repository:b:pull")));
    }

    #[test]
    fn malformed_scopes_are_refused() {
        for text in [
            "repository",
            "repository:a",
            "repository::pull",
            ":a:pull",
            "repository:a:",
            "repository:a:pull,",
        ] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
        assert!(Scope::new("repository", "a b", [Action::PULL]).is_err());
        assert_eq!(
            "repository:localhost:5000/a:pull"
                .parse::<Scope>()
                .unwrap()
                .name(),
            "localhost:5000/a"
        );
    }
}
