//! [`Profile`]: whose rules a registry follows where the service and the OCI specification differ.

use std::fmt;
use std::str::FromStr;

use acr_protocol::{Action, Route, Scope, ScopeSet};

/// Whose rules a [`Registry`](crate::Registry) follows where the service and the OCI distribution specification differ:
/// see [the table](crate#profiles). Each of the builder's switches combines with either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// The service as it is recorded.
    #[default]
    Acr,
    /// A registry that takes and does whatever the OCI distribution specification leaves open, so that its conformance
    /// suite has nothing to skip. For clients that are to work with other registries too.
    Oci,
}

impl Profile {
    /// The profile's name, as [`Profile::from_str`] and the binary take it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acr => "acr",
            Self::Oci => "oci",
        }
    }

    /// Whether blobs come from the data origin unless the registry is told otherwise.
    pub(crate) fn redirects_to_data(self) -> bool {
        self == Self::Acr
    }

    /// Whether `DELETE` of a manifest takes a tag, and then removes that alone.
    pub(crate) fn deletes_by_tag(self) -> bool {
        self == Self::Oci
    }

    /// Whether a manifest may name what is not there.
    pub(crate) fn takes_sparse_manifests(self) -> bool {
        self == Self::Oci
    }

    /// Whether a mount that names no source looks for one.
    pub(crate) fn mounts_from_anywhere(self) -> bool {
        self == Self::Oci
    }

    /// Whether a push by digest may set tags by its query.
    pub(crate) fn sets_tags_by_query(self) -> bool {
        self == Self::Oci
    }

    /// Whether a push to a malformed reference is a bad request, and not only a path that leads nowhere.
    pub(crate) fn rejects_malformed_references(self) -> bool {
        self == Self::Oci
    }

    /// Whether a range that ends before it begins is one that cannot be satisfied. HTTP has it passed over as malformed.
    pub(crate) fn refuses_reversed_ranges(self) -> bool {
        self == Self::Oci
    }

    /// Whether the list of no tags at all is `null`, as the service's own lists have it, or an empty array.
    pub(crate) fn null_for_empty_tags(self) -> bool {
        self == Self::Acr
    }

    /// The scopes that an operation needs.
    pub(crate) fn scope(self, route: &Route) -> ScopeSet {
        match (self, route) {
            (Self::Oci, Route::ListTags(operation)) => {
                Scope::repository(&operation.repository, [Action::PULL]).into()
            }
            _ => route.scope(),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "acr" => Ok(Self::Acr),
            "oci" => Ok(Self::Oci),
            _ => Err(UnknownProfile),
        }
    }
}

/// A text that names no [`Profile`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a profile is \"acr\" or \"oci\"")]
pub struct UnknownProfile;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_known_by_its_name() {
        for profile in [Profile::Acr, Profile::Oci] {
            assert_eq!(profile.as_str().parse(), Ok(profile));
            assert_eq!(format!("{profile:>5}"), format!("  {}", profile.as_str()));
        }
        for text in ["", "ACR", "docker"] {
            assert_eq!(text.parse::<Profile>(), Err(UnknownProfile));
        }
        assert_eq!(Profile::default(), Profile::Acr);
    }
}
