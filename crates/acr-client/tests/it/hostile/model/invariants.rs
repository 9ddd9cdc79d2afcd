//! What holds for every request, whatever was served before.

use std::collections::HashSet;

use acr_protocol::ScopeSet;
use http::Method;

use super::clients;
use super::server::{Seen, World};
use crate::hostile::SECRET;

/// Requests for tokens that are on their way, by whose client's they are.
pub(super) type UnderWay = HashSet<(usize, String)>;

impl World {
    /// Looks at a request before it is served.
    pub(super) fn check(&self, seen: &Seen) {
        let line = seen.line();
        let (secret, login) = (SECRET, clients::login());
        assert!(!line.contains(secret) && !line.contains(&login), "{line}");
        if !self.is_own(seen) {
            assert!(seen.authorization.is_empty(), "a credential at {line}");
            for text in [&seen.headers, &seen.body] {
                let clean = !text.contains(secret) && !text.contains(&login);
                assert!(clean, "a secret at {line}");
            }
        }
        self.check_form(seen);
        self.check_header(seen);
        if seen.is_for_a_token() {
            self.check_scope(&seen.scope());
        }
    }

    /// Secrets in a body: an Entra token is to be exchanged, a refresh token is for the token server.
    fn check_form(&self, seen: &Seen) {
        let line = seen.line();
        let exchanges = seen.method == Method::POST && seen.url.path() == "/oauth2/exchange";
        match seen.field("access_token").filter(|_| !seen.body.is_empty()) {
            Some(entra) => {
                assert!(exchanges, "an Entra token at {line}");
                assert!(self.entra.contains(&entra), "no Entra token: {entra}");
                assert_eq!(seen.body.matches(SECRET).count(), 1, "{line}");
            }
            None => assert!(!seen.body.contains("entra-"), "an Entra token at {line}"),
        }
        if seen.body.contains("refresh-") || seen.field("refresh_token").is_some() {
            let realm = seen.method == Method::POST && self.is_realm(seen);
            assert!(realm && !exchanges, "a refresh token at {line}");
            assert_eq!(seen.body.matches(SECRET).count(), 1, "{line}");
        }
        assert!(!seen.body.contains(&clients::password()), "{line}");
    }

    /// A password is for the token server, or the registry if that has asked for one. An access token is
    /// for the registry, and for what it was asked for.
    fn check_header(&self, seen: &Seen) {
        let line = seen.line();
        let Some((scheme, token)) = seen.authorization.split_once(' ') else {
            assert!(seen.authorization.is_empty());
            return;
        };
        if scheme == "Basic" {
            let for_a_token = seen.is_for_a_token() && seen.method == Method::GET;
            let welcome = if for_a_token {
                self.is_realm(seen)
            } else {
                !seen.is_for_a_token() && self.has_asked_for_a_password
            };
            assert!(welcome, "a password at {line}");
            return;
        }
        assert_eq!(scheme, "Bearer", "{line}");
        assert!(!seen.is_for_a_token(), "an access token at {line}");
        let token = self.tokens.get(token).expect("a token that was issued");
        let needed = seen.needed();
        let fits = |needed: &ScopeSet| token.asked.iter().any(|asked| asked.covers(needed));
        let scope_overrides = self.challenges.get(&needed);
        let fits = fits(&needed) || scope_overrides.is_some_and(|all| all.iter().any(fits));
        assert!(fits, "a token for {:?} at {line}", token.asked);
    }

    /// No token is asked for that is good for every repository.
    pub(super) fn check_scope(&self, scopes: &ScopeSet) {
        for scope in scopes.iter() {
            let wild = scope.resource_type() == "repository" && scope.name().contains('*');
            assert!(!wild, "a token for {scope}");
        }
        assert!(scopes.to_string().len() < 10_000);
    }

    /// Takes note of a request for a token, of which no other like it may be under way.
    pub(super) fn begin(&mut self, client: usize, seen: &Seen) -> Option<(usize, String)> {
        if !seen.is_for_a_token() {
            return None;
        }
        let whose = match seen.field("refresh_token") {
            Some(token) if token.contains("-of-") => "a login",
            Some(_) => "an exchange",
            None if seen.url.path() == "/oauth2/exchange" => "a source",
            None if seen.authorization.is_empty() => "nobody",
            None => "a password",
        };
        let key = (client, format!("of {whose} for {}", seen.scope()));
        assert!(self.in_progress.insert(key.clone()), "twice: {key:?}");
        Some(key)
    }

    /// Whether the registry has named this as the place where tokens are fetched; Azure's need not.
    fn is_realm(&self, seen: &Seen) -> bool {
        let place = format!("{}{}", self.origin(), seen.url.path());
        self.is_own(seen)
            && (self.is_azure() && place == self.realm() || self.realms.contains(&place))
    }
}
