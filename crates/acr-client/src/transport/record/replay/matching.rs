//! Whether a request is the recorded one: by method, path and query, in any spelling.

use http::Method;

use crate::transport::record::exchange::RecordedRequest;
use crate::transport::record::scrub::{REDACTED, is_secret_name, unescape};

/// What of a request is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    method: Method,
    /// Without escapes, so that `%2F` is a slash.
    path: String,
    /// Without escapes, and without what may differ: signatures, tokens, the API's version.
    query: Vec<(String, String)>,
}

impl Key {
    pub(super) fn of(request: &RecordedRequest) -> Self {
        Self::new(&request.method, &request.path, &request.query)
    }

    /// Whether it is a request for a token.
    pub(super) fn is_for_tokens(&self) -> bool {
        self.path.starts_with("/oauth2/")
    }

    pub(super) fn new(method: &Method, path: &str, query: &str) -> Self {
        let pairs = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (unescape(name, true), unescape(value, true))
            });
        let mut query: Vec<_> = pairs
            .filter(|(name, _)| name != "api-version" && !is_secret_name(name))
            .collect();
        // Placeholders last, so that they take what fits nothing else.
        query.sort_by_key(|(_, value)| has_placeholder(value));
        Self {
            method: method.clone(),
            path: unescape(path, false),
            query,
        }
    }

    /// Whether a request with the other key is this recorded one.
    pub(super) fn is_for(&self, sent: &Self) -> bool {
        self.method == sent.method
            && fits(&self.path, &sent.path)
            && self.query.len() == sent.query.len()
            && self.has_query_of(sent)
    }

    fn has_query_of(&self, sent: &Self) -> bool {
        let mut left: Vec<_> = sent.query.iter().collect();
        self.query.iter().all(|(name, value)| {
            let found = left
                .iter()
                .position(|(sent, with)| name == sent && fits(value, with));
            found.map(|at| left.swap_remove(at)).is_some()
        })
    }

    /// How alike two requests are; more is nearer.
    pub(super) fn likeness(&self, other: &Self) -> usize {
        let segments = self.path.split('/').zip(other.path.split('/'));
        let same = segments.take_while(|(a, b)| fits(a, b)).count();
        let whole = if fits(&self.path, &other.path) { 2 } else { 0 };
        2 * (same + whole) + usize::from(self.method == other.method)
    }
}

impl std::fmt::Display for Key {
    /// For people; without what is a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        let mut before = '?';
        for (name, value) in &self.query {
            write!(f, "{before}{name}={value}")?;
            before = '&';
        }
        Ok(())
    }
}

/// Whether the text is the recorded one, in which a placeholder stands for anything.
fn fits(recorded: &str, sent: &str) -> bool {
    let mut pieces = Vec::new();
    let mut rest = recorded;
    while let Some((at, length)) = placeholder(rest) {
        pieces.push(&rest[..at]);
        rest = &rest[at + length..];
    }
    let Some((first, between)) = pieces.split_first() else {
        return recorded == sent;
    };
    let Some(mut sent) = sent.strip_prefix(first) else {
        return false;
    };
    for piece in between {
        let Some(at) = sent.find(piece) else {
            return false;
        };
        sent = &sent[at + piece.len()..];
    }
    sent.ends_with(rest)
}

fn has_placeholder(text: &str) -> bool {
    placeholder(text).is_some()
}

/// Where the first placeholder is, and how long.
fn placeholder(text: &str) -> Option<(usize, usize)> {
    let found = PLACEHOLDERS
        .iter()
        .filter_map(|word| Some((text.find(word)?, word.len())));
    found.min()
}

/// What recorders write in the place of what they hide.
const PLACEHOLDERS: [&str; 2] = [REDACTED, "Sanitized"];

#[cfg(test)]
mod tests {
    use super::*;

    fn key(target: &str) -> Key {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Key::new(&Method::GET, path, query)
    }

    #[test]
    fn spelling_order_and_what_is_hidden_do_not_matter() {
        for (recorded, sent) in [
            ("/acr/v1/a%2Fb/_tags", "/acr/v1/a/b/_tags"),
            ("/v2/a/blobs/sha256:ff", "/v2/a/blobs/sha256%3Aff"),
            ("/x?a=1&b=2", "/x?b=2&a=1"),
            ("/x?a=%2F+", "/x?a=/%20"),
            ("/x?api-version=2021-07-01&a=1", "/x?a=1"),
            ("/x?sv=1&sig=REDACTED", "/x?sv=1&sig=other"),
            ("/x?sv=1", "/x?sv=1&sig=other"),
            (
                "/u/1?_state=REDACTED&digest=d",
                "/u/1?digest=d&_state=ab%3D",
            ),
            ("/v2/REDACTED/tags/list", "/v2/a/b/tags/list"),
            ("/x?a=REDACTED&a=1", "/x?a=1&a=2"),
            ("/x?a=p-Sanitized-s", "/x?a=p-any-s"),
        ] {
            assert!(key(recorded).is_for(&key(sent)), "{recorded} {sent}");
        }
    }

    #[test]
    fn all_else_matters() {
        for (recorded, sent) in [
            ("/x", "/y"),
            ("/x", "/x/"),
            ("/x?a=1", "/x"),
            ("/x", "/x?a=1"),
            ("/x?a=1", "/x?a=2"),
            ("/x?a=1&a=1", "/x?a=1&b=1"),
            ("/x?a=p-REDACTED", "/x?a=q-1"),
            ("/x?a=p-REDACTED-s", "/x?a=p-s"),
            ("/v2/REDACTED/tags/list", "/v2/a/manifests/b"),
        ] {
            assert!(!key(recorded).is_for(&key(sent)), "{recorded} {sent}");
        }
        let post = Key::new(&Method::POST, "/x", "");
        assert!(!key("/x").is_for(&post));
    }

    #[test]
    fn the_same_path_is_nearest() {
        let asked = key("/v2/a/tags/list?n=1");
        let likeness = |target| key(target).likeness(&asked);
        assert!(likeness("/v2/a/tags/list?n=2") > likeness("/v2/a/tags/other"));
        assert!(likeness("/v2/a/tags/other") > likeness("/acr/v1/a"));
    }
}
