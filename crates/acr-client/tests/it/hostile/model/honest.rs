//! How an honest registry and an honest token server respond.

use std::time::SystemTime;

use acr_client::transport::Body;
use acr_protocol::ScopeSet;
use http::{Method, Response};

use super::clients::{self, Kind, Link, Rights};
use super::server::{Refresh, Seen, World};
use crate::hostile::response;

/// What an honest registry wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    Nothing,
    Basic,
    Bearer,
}

impl World {
    /// What one of these credentials may do at an honest registry; `None` where none is accepted.
    pub(super) fn rights_of(&self, links: &[Link]) -> Option<Rights> {
        let good = |link: &&Link| link.good;
        match self.honest {
            // Azure's are not asked first, and who cannot fetch a token does not get that far.
            Some(Wants::Nothing) => links.iter().find(good).map(|_| Rights::All),
            Some(Wants::Basic) => {
                let password = links.iter().filter(good);
                let mut password = password.filter(|link| link.kind == Kind::Password);
                password.next().map(|_| Rights::All)
            }
            _ => links.iter().find(good).map(|link| match link.kind {
                Kind::Anonymous => Rights::Read,
                _ => Rights::All,
            }),
        }
    }

    /// A request to the registry.
    pub(super) fn honest_registry(&mut self, seen: &Seen) -> Response<Body> {
        let needed = seen.needed();
        let refusal = match self.honest.unwrap_or(Wants::Bearer) {
            Wants::Nothing => return content(seen),
            Wants::Basic => {
                if seen.authorization == format!("Basic {}", clients::login()) {
                    return content(seen);
                }
                return response(401, &[("www-authenticate", "Basic realm=\"r\"")], "");
            }
            Wants::Bearer => self.refusal(seen, &needed),
        };
        let Some(error) = refusal else {
            return content(seen);
        };
        let asked = self.in_its_own_words(&needed).to_string();
        self.challenge_by(&seen.needed(), &asked);
        let mut text = format!(r#"Bearer realm="{}",service="{}""#, self.realm(), self.host);
        if !asked.is_empty() {
            text.push_str(&format!(r#",scope="{asked}""#));
        }
        if !error.is_empty() {
            text.push_str(&format!(r#",error="{error}""#));
        }
        response(401, &[("www-authenticate", &text)], "")
    }

    /// Why a token is refused; empty where there is none.
    fn refusal(&self, seen: &Seen, needed: &ScopeSet) -> Option<&'static str> {
        let Some(token) = seen.authorization.strip_prefix("Bearer ") else {
            return Some("");
        };
        let token = self.tokens.get(token);
        let alive = token.filter(|token| !token.dead && self.now() < token.dies_at);
        let Some(token) = alive else {
            return Some("invalid_token");
        };
        let reads = !needed.iter().any(|scope| {
            let mut actions = scope.actions();
            actions.any(|action| !matches!(action.as_str(), "pull" | "metadata_read"))
        });
        let may = match token.rights {
            Rights::None => needed.is_empty(),
            Rights::Read => reads,
            Rights::All => true,
        };
        let granted = token.granted.covers(&self.in_its_own_words(needed));
        (!may || !granted).then_some("insufficient_scope")
    }

    /// Registries other than Azure's have no `metadata_read`.
    fn in_its_own_words(&self, needed: &ScopeSet) -> ScopeSet {
        if self.is_azure() {
            return needed.clone();
        }
        let text = needed.to_string().replace("metadata_read", "pull");
        text.parse().unwrap()
    }

    /// A request to the registry's own token server.
    pub(super) fn honest_tokens(&mut self, seen: &Seen) -> Response<Body> {
        let is_elsewhere = !seen.url.path().starts_with("/oauth2/");
        if is_elsewhere || self.is_wrong_service(seen) {
            self.misled = true;
            // Under `/v2/` all is challenged, tokens too.
            let status = match seen.url.path() {
                "/v2/token" => 401,
                _ if is_elsewhere => 404,
                _ => self.says_of_others,
            };
            return response(status, &[], "");
        }
        if seen.url.path() == "/oauth2/exchange" {
            let entra = seen.field("access_token").unwrap_or_default();
            if !self.entra.contains(&entra) {
                return response(401, &[], "");
            }
            let token = self.refresh_token();
            return response(200, &[], &format!(r#"{{"refresh_token":"{token}"}}"#));
        }
        let rights = match (&seen.method, seen.field("refresh_token")) {
            (_, Some(token)) => self.rights_of_refresh_token(&token),
            (&Method::POST, None) if !self.is_azure() => return response(405, &[], ""),
            (_, None) if seen.authorization.is_empty() => Some(Rights::Read),
            (_, None) => {
                let login = format!("Basic {}", clients::login());
                (seen.authorization == login).then_some(Rights::All)
            }
        };
        let Some(rights) = rights else {
            return response(401, &[], "");
        };
        let token = self.access_token(seen.scope(), rights, false);
        response(200, &[], &format!(r#"{{"access_token":"{token}"}}"#))
    }

    fn is_wrong_service(&self, seen: &Seen) -> bool {
        seen.field("service").as_deref() != Some(self.host)
    }

    fn rights_of_refresh_token(&self, token: &str) -> Option<Rights> {
        if token == clients::refresh_token() {
            return Some(Rights::All);
        }
        let Refresh { dies_at, rights } = self.refresh_tokens.get(token)?;
        (self.now() < *dies_at).then_some(*rights)
    }

    pub(super) fn now(&self) -> SystemTime {
        acr_mock::Clock::now(&self.clock)
    }
}

/// What there is to be had.
pub(super) fn content(seen: &Seen) -> Response<Body> {
    let path = seen.url.path();
    let json = ("content-type", "application/json");
    let digest = ("docker-content-digest", DIGEST);
    match seen.method {
        Method::DELETE => response(202, &[], ""),
        Method::PUT => response(201, &[digest], ""),
        _ if path.contains("/manifests/") => {
            let kind = ("content-type", "application/vnd.oci.image.manifest.v1+json");
            response(200, &[kind, digest], "{}")
        }
        _ if path.contains("_catalog") => response(200, &[json], r#"{"repositories":["app"]}"#),
        _ if path.contains("/_tags/") => response(200, &[json], &properties()),
        _ => response(200, &[json], "{}"),
    }
}

fn properties() -> String {
    format!(
        r#"{{"registry":"r","imageName":"app","tag":{{"name":"v1","digest":"{DIGEST}","createdTime":"2024-01-24T06:16:24Z","lastUpdateTime":"2024-01-24T06:16:24Z","signed":false,"changeableAttributes":{{}}}}}}"#
    )
}

/// Of `{}`.
pub(super) const DIGEST: &str =
    "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
