//! [`Handed`]: what a step hands to the next: tokens, locations of uploads, URLs of data. In the recording they are
//! other ones, or hidden; the replay uses those that the mock gave.

use std::collections::BTreeMap;

use serde_json::Value;

use super::exchange::{Exchange, pairs, parameter};
use super::mask::upload_id;
use super::raw_http::RawResponse;
use super::target::Target;

/// What the mock has given out so far.
#[derive(Debug, Default)]
pub struct Handed {
    /// Access tokens with the scopes that were asked for, the newest last.
    tokens: Vec<(Vec<String>, String)>,
    refresh_token: Option<String>,
    /// The mock's ids of uploads, by those of the recording.
    uploads: BTreeMap<String, String>,
    /// Locations of uploads by the mock's ids, the newest last.
    locations: BTreeMap<String, Vec<String>>,
    /// URLs of data by digest.
    data: BTreeMap<String, String>,
}

impl Handed {
    /// Notes what a response hands out.
    pub fn note(&mut self, exchange: &Exchange, respond: &RawResponse) {
        match &exchange.target {
            Target::Exchange | Target::Token => self.note_tokens(exchange, respond),
            Target::Blob { digest, .. } => {
                if let (301..=308, Some(location)) = (respond.status, respond.first("Location")) {
                    self.data.insert(digest.clone(), location.to_owned());
                }
            }
            Target::NewUpload { .. } | Target::Upload { .. } => self.note_upload(exchange, respond),
            _ => {}
        }
    }

    fn note_tokens(&mut self, exchange: &Exchange, respond: &RawResponse) {
        let body: Value = serde_json::from_slice(&respond.body).unwrap_or_default();
        if let Some(token) = body["refresh_token"].as_str() {
            self.refresh_token = Some(token.to_owned());
        }
        if let Some(token) = body["access_token"].as_str() {
            let form = exchange.request.body.text().unwrap_or_default();
            let asked = [form, &exchange.request.query].map(pairs);
            let scopes = asked
                .into_iter()
                .flatten()
                .filter(|(name, _)| name == "scope")
                .flat_map(|(_, value)| value.split(' ').map(str::to_owned).collect::<Vec<_>>());
            self.tokens.push((scopes.collect(), token.to_owned()));
        }
    }

    fn note_upload(&mut self, exchange: &Exchange, respond: &RawResponse) {
        let Some(location) = respond.first("Location") else {
            return;
        };
        let Some(id) = upload_id(location) else {
            return;
        };
        let locations = self.locations.entry(id.to_owned()).or_default();
        locations.push(location.to_owned());
        let headers = &exchange.response.headers;
        let recorded = headers
            .first("Docker-Upload-Uuid")
            .or_else(|| upload_id(headers.first("Location")?));
        if let (Target::NewUpload { .. }, Some(recorded)) = (&exchange.target, recorded) {
            self.uploads.insert(recorded.to_owned(), id.to_owned());
        }
    }

    /// A token that was handed out for these scopes.
    pub fn token_for(&self, needed: &[String]) -> Option<&str> {
        let newest = self.tokens.iter().rev();
        let mut fitting = newest.filter(|(asked, _)| covers(asked, needed));
        fitting.next().map(|(_, token)| token.as_str())
    }

    /// A token that was handed out for other scopes.
    pub fn token_without(&self, needed: &[String]) -> Option<&str> {
        let newest = self.tokens.iter().rev();
        let mut fitting = newest.filter(|(asked, _)| !covers(asked, needed));
        fitting.next().map(|(_, token)| token.as_str())
    }

    /// The refresh token that was handed out last.
    pub fn refresh_token(&self) -> Option<&str> {
        self.refresh_token.as_deref()
    }

    /// The mock's id of an upload of the recording.
    pub fn upload(&self, recorded: &str) -> String {
        let actual = self.uploads.get(recorded);
        actual.map_or_else(|| recorded.to_owned(), Clone::clone)
    }

    /// The newest location of an upload, by the mock's id.
    pub fn location(&self, id: &str) -> Option<&str> {
        self.locations.get(id)?.last().map(String::as_str)
    }

    /// Forgets the locations of an upload that was brought into another state.
    pub fn forget_locations(&mut self, id: &str) {
        self.locations.remove(id);
    }

    /// Where the data of a digest can be read.
    pub fn data(&self, digest: &str) -> Option<&str> {
        self.data.get(digest).map(String::as_str)
    }
}

/// Whether every action of every needed scope was asked for.
fn covers(asked: &[String], needed: &[String]) -> bool {
    fn parts(scope: &str) -> Option<(&str, Vec<&str>)> {
        let (name, actions) = scope.rsplit_once(':')?;
        Some((name, actions.split(',').collect()))
    }
    needed.iter().all(|needed| {
        let Some((name, actions)) = parts(needed) else {
            return false;
        };
        actions.iter().all(|action| {
            asked
                .iter()
                .filter_map(|asked| parts(asked))
                .any(|(of, may)| of == name && (may.contains(action) || may.contains(&"*")))
        })
    })
}

/// The value of a query's parameter in a location.
pub fn location_parameter(location: &str, name: &str) -> Option<String> {
    parameter(location.split_once('?')?.1, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_covers_what_was_asked_for() {
        let set = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        for (asked, needed, expected) in [
            ("repository:a:pull,push", "repository:a:pull", true),
            ("repository:a:pull", "repository:a:pull,push", false),
            (
                "repository:a:pull repository:a:push",
                "repository:a:pull,push",
                true,
            ),
            ("repository:a/b:*", "repository:a/b:delete", true),
            ("repository:a:delete", "repository:b:delete", false),
            ("registry:catalog:*", "registry:catalog:*", true),
        ] {
            assert_eq!(
                covers(&set(asked), &set(needed)),
                expected,
                "{asked} {needed}"
            );
        }
        assert!(covers(&[], &[]));
    }
}
