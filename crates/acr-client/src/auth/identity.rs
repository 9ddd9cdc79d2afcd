//! Who the client is: one credential, or the chain of those that are tried in turn.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::credential::{Credential, Kind};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};

/// The credentials of a client in their order, and the one that is in force.
#[derive(Debug)]
pub(super) struct Identities {
    links: Vec<Credential>,
    current: AtomicUsize,
}

impl Identities {
    /// Takes a credential apart: a chain into its links, those of chains within it too.
    pub(super) fn new(credential: Credential) -> Self {
        fn flatten(credential: Credential, into: &mut Vec<Credential>) {
            match credential.0 {
                Kind::Chain(links) => links.iter().for_each(|link| flatten(link.clone(), into)),
                kind => into.push(Credential(kind)),
            }
        }
        let mut links = Vec::new();
        flatten(credential, &mut links);
        Self {
            links,
            current: AtomicUsize::new(0),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// The place of the one that is in force.
    pub(super) fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    /// Puts another one in force.
    pub(super) fn stay_with(&self, place: usize) {
        self.current.store(place, Ordering::Relaxed);
    }

    /// The places in the order in which they are tried now: the one in force, then all others.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let current = self.current();
        let others = (0..self.links.len()).filter(move |place| *place != current);
        std::iter::once(current).chain(others)
    }

    /// The credential at a place for a registry, with what stands elsewhere looked up.
    pub(super) async fn credential(
        &self,
        place: usize,
        registry: &str,
        clock: &dyn Clock,
    ) -> Result<Credential, Error> {
        let Some(credential) = self.links.get(place) else {
            return Err(Error::new(
                ErrorKind::Credential,
                "the chain of credentials is empty",
            ));
        };
        #[cfg(feature = "docker-config")]
        if let Kind::Docker(config) = &credential.0 {
            return config.find(registry, clock).await?.ok_or_else(|| {
                Error::new(
                    ErrorKind::Credential,
                    format!("docker's configuration has no credential for {registry}"),
                )
            });
        }
        #[cfg(not(feature = "docker-config"))]
        let _ = (registry, clock);
        Ok(credential.clone())
    }

    /// The error of a chain of which no link brought a token: what became of each.
    pub(super) fn none_of_them(&self, failures: Vec<(usize, Error)>, last: Error) -> Error {
        if failures.is_empty() {
            return last;
        }
        let name = |place: usize| self.links.get(place).map_or("", Credential::name);
        let mut text = String::from("no credential of the chain is accepted:");
        for (place, failure) in &failures {
            text.push_str(&format!(" {}: {failure};", name(*place)));
        }
        let last_place = self.places().last().unwrap_or_default();
        text.push_str(&format!(" {}: {last}", name(last_place)));
        last.with_message(text)
    }
}

/// Whether a failure to get a token is one of the identity, so that the next one of a chain is tried.
pub(super) fn moves_on(failure: &Error) -> bool {
    matches!(
        failure.kind(),
        ErrorKind::Credential | ErrorKind::Unauthorized | ErrorKind::Denied
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_in_force_is_tried_first_and_then_the_others_in_order() {
        let inner = Credential::refresh_token("b").or(Credential::entra_token("c"));
        let identities = Identities::new(Credential::anonymous().or(inner));
        assert_eq!(identities.places().collect::<Vec<_>>(), [0, 1, 2]);
        identities.stay_with(1);
        assert_eq!(identities.places().collect::<Vec<_>>(), [1, 0, 2]);
    }

    #[test]
    fn the_error_of_a_chain_says_what_became_of_each() {
        let identities = Identities::new(Credential::entra_token("t").or(Credential::anonymous()));
        let first = Error::new(ErrorKind::Credential, "the source brought no token");
        let last = Error::new(ErrorKind::Unauthorized, "no token: 401 Unauthorized");
        let error = identities.none_of_them(vec![(0, first)], last);
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
        assert_eq!(
            error.to_string(),
            "no credential of the chain is accepted: the Entra token: the source brought no \
             token; anonymous access: no token: 401 Unauthorized"
        );
    }
}
