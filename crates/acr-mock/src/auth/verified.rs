use std::collections::HashMap;
use std::sync::Arc;

use acr_protocol::{Action, Scope, ScopeSet, Timestamp};

/// What a token allows.
#[derive(Debug)]
pub(crate) struct Access {
    scopes: ScopeSet,
    /// The first moment at which it does not hold any more.
    end: Timestamp,
}

impl Access {
    /// An anonymous token names only `pull`, and yet reads properties and lists (recorded).
    pub(crate) fn new(mut scopes: ScopeSet, anonymous: bool, end: Timestamp) -> Self {
        if anonymous
            && scopes
                .iter()
                .any(|scope| scope.resource_type() == "repository")
        {
            scopes.extend(anonymous_permissions());
        }
        Self { scopes, end }
    }

    pub(crate) fn covers(&self, needed: &ScopeSet) -> bool {
        self.scopes.covers(needed)
    }

    pub(crate) fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }

    pub(crate) fn end(&self) -> Timestamp {
        self.end
    }
}

/// Access tokens whose signature held: a client sends the same one with every request, and to check it anew takes longer
/// than most operations.
#[derive(Debug, Default)]
pub(crate) struct Verified {
    /// By their signatures, which differ as the tokens do.
    tokens: HashMap<Box<str>, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// The whole token: the signature alone proves nothing.
    token: Box<str>,
    /// How often access tokens had been revoked when it was checked.
    generation: u64,
    access: Arc<Access>,
}

impl Entry {
    fn holds(&self, generation: u64, now: Timestamp) -> bool {
        self.generation == generation && now < self.access.end()
    }
}

/// How many tokens are kept, and how long one may be, in bytes. The others are checked each time.
const MAX_TOKENS: usize = 1024;
const MAX_LENGTH: usize = 8 * 1024;

impl Verified {
    /// What a token allows that was checked before and holds still.
    pub(crate) fn get(
        &mut self,
        token: &str,
        generation: u64,
        now: Timestamp,
    ) -> Option<Arc<Access>> {
        let signature = signature(token);
        let entry = self
            .tokens
            .get(signature)
            .filter(|entry| *entry.token == *token)?;
        if entry.holds(generation, now) {
            return Some(entry.access.clone());
        }
        self.tokens.remove(signature);
        None
    }

    /// Keeps a token that was checked.
    pub(crate) fn keep(
        &mut self,
        token: &str,
        generation: u64,
        now: Timestamp,
        access: &Arc<Access>,
    ) {
        if token.len() > MAX_LENGTH {
            return;
        }
        if self.tokens.len() >= MAX_TOKENS {
            self.tokens.retain(|_, entry| entry.holds(generation, now));
        }
        if self.tokens.len() >= MAX_TOKENS {
            // So many at once are seldom; who is still there is checked once more.
            self.tokens.clear();
        }
        let entry = Entry {
            token: token.into(),
            generation,
            access: access.clone(),
        };
        self.tokens.insert(signature(token).into(), entry);
    }

    pub(crate) fn clear(&mut self) {
        self.tokens.clear();
    }
}

fn signature(token: &str) -> &str {
    token
        .rsplit_once('.')
        .map_or(token, |(_, signature)| signature)
}

fn anonymous_permissions() -> Option<Scope> {
    Scope::new("repository", "*", [Action::PULL, Action::METADATA_READ]).ok()
}

#[cfg(test)]
mod tests {
    use acr_protocol::ScopeSet;

    use super::*;

    fn access(end: i64) -> Arc<Access> {
        Arc::new(Access::new(ScopeSet::new(), false, Timestamp::new(end, 0)))
    }

    #[test]
    fn a_token_is_known_to_the_letter_until_its_end_or_its_revocation() {
        let mut verified = Verified::default();
        let now = Timestamp::new(0, 0);
        verified.keep("a.b.c", 0, now, &access(10));
        assert!(verified.get("a.b.c", 0, now).is_some());
        for other in ["a.x.c", "a.b.d", "c", ""] {
            assert!(verified.get(other, 0, now).is_none(), "{other}");
        }
        assert!(verified.get("a.b.c", 1, now).is_none());
        verified.keep("a.b.c", 1, now, &access(10));
        assert!(verified.get("a.b.c", 1, Timestamp::new(10, 0)).is_none());
        assert!(verified.tokens.is_empty());
    }

    #[test]
    fn no_more_tokens_are_kept_than_the_bound_nor_longer_ones() {
        let mut verified = Verified::default();
        let now = Timestamp::new(0, 0);
        for number in 0..3 * MAX_TOKENS {
            verified.keep(&format!("a.b.{number}"), 0, now, &access(10));
            assert!(verified.tokens.len() <= MAX_TOKENS);
        }
        let long = "x".repeat(MAX_LENGTH + 1);
        verified.keep(&long, 0, now, &access(10));
        assert!(verified.get(&long, 0, now).is_none());
    }
}
