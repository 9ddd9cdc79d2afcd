//! How the client authenticates: one credential, or the chain of those that are tried in turn.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use acr_clock::Clock;

use super::credential::{Credential, Identity, Link, kinds};
use crate::error::{Error, ErrorKind};

/// The credentials of a client in their order, and the one that is in force.
pub(super) struct CredentialChain {
    links: Vec<Link>,
    active: Mutex<Active>,
}

/// Which one is in force, and since when nobody has looked whether one before it would do.
#[derive(Debug, Clone, Copy)]
struct Active {
    place: usize,
    since: SystemTime,
}

impl CredentialChain {
    pub(super) fn new(credential: Credential) -> Self {
        Self {
            links: credential.0,
            active: Mutex::new(Active {
                place: 0,
                since: SystemTime::UNIX_EPOCH,
            }),
        }
    }

    pub(super) fn kinds(&self) -> String {
        kinds(&self.links)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Whether this is true of one of them.
    pub(super) fn any(&self, is_true: impl Fn(&Link) -> bool) -> bool {
        self.links.iter().any(is_true)
    }

    /// Goes back to the first one.
    pub(super) fn reset(&self) {
        self.active().place = 0;
    }

    /// Takes note of the one that brought a token. `searched`: whether others were tried before it.
    pub(super) fn mark_working(&self, place: usize, searched: bool, now: SystemTime) {
        let mut active = self.active();
        if searched || active.place != place {
            *active = Active { place, since: now };
        }
    }

    /// The try_order in the order in which they are tried now: the one in force, then all others. From
    /// time to time the first ones get another chance: who was not signed in may be by now.
    pub(super) fn try_order(&self, now: SystemTime) -> impl Iterator<Item = usize> + use<> {
        let Active { place, since } = *self.active();
        // A clock that went back counts as time enough.
        let is_old = now
            .duration_since(since)
            .map_or(true, |age| age >= ANOTHER_CHANCE);
        let first = if is_old { 0 } else { place };
        let others = (0..self.links.len()).filter(move |place| *place != first);
        std::iter::once(first).chain(others)
    }

    fn active(&self) -> MutexGuard<'_, Active> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The identity at a place for a registry, with what stands elsewhere looked up.
    pub(super) async fn identity(
        &self,
        place: usize,
        registry: &str,
        clock: &dyn Clock,
    ) -> Result<Identity, Error> {
        match self.links.get(place) {
            Some(Link::Known(identity)) => Ok(identity.clone()),
            Some(Link::Lookup(lookup)) => lookup.look_up(registry, clock).await,
            None => Err(Error::new(
                ErrorKind::Credential,
                "the chain of credentials is empty",
            )),
        }
    }

    /// The error of a chain of which no link brought a token: what became of each.
    pub(super) fn all_failed(
        &self,
        failures: Vec<(usize, Error)>,
        place: usize,
        last: Error,
    ) -> Error {
        if failures.is_empty() {
            return last;
        }
        let name = |place: usize| self.links.get(place).map_or("", Link::name);
        let mut text = String::from("no credential of the chain is accepted:");
        for (place, failure) in &failures {
            text.push_str(&format!(" {}: {failure};", name(*place)));
        }
        text.push_str(&format!(" {}: {last}", name(place)));
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

/// How long a link of a chain is stayed with before those ahead of it are tried again.
const ANOTHER_CHANCE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_in_force_is_tried_first_and_then_the_others_in_order() {
        let inner = Credential::refresh_token("b").or(Credential::entra_token("c"));
        let identities = CredentialChain::new(Credential::anonymous().or(inner));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let try_order = |now| identities.try_order(now).collect::<Vec<_>>();
        assert_eq!(try_order(now), [0, 1, 2]);
        identities.mark_working(1, true, now);
        assert_eq!(try_order(now), [1, 0, 2]);
        // What is used all the time does not become the first for that.
        let later = now + ANOTHER_CHANCE;
        identities.mark_working(1, false, later);
        assert_eq!(try_order(later), [0, 1, 2]);
        identities.mark_working(1, true, later);
        assert_eq!(try_order(later), [1, 0, 2]);
        identities.reset();
        assert_eq!(try_order(later), [0, 1, 2]);
    }

    #[test]
    fn the_error_of_a_chain_says_what_became_of_each() {
        let identities =
            CredentialChain::new(Credential::entra_token("t").or(Credential::anonymous()));
        let first = Error::new(ErrorKind::Credential, "the source brought no token");
        let last = Error::new(ErrorKind::Unauthorized, "no token: 401 Unauthorized");
        let error = identities.all_failed(vec![(0, first)], 1, last);
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
        assert_eq!(
            error.to_string(),
            "no credential of the chain is accepted: the Entra token: the source brought no \
             token; anonymous access: no token: 401 Unauthorized"
        );
    }
}
