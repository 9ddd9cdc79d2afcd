//! [`RequestKey`]: whether a request is the recorded one, by method, path and query in any spelling.

use std::fmt;

use http::Method;
use percent_encoding::percent_decode_str;

use crate::{REDACTED, redact};

/// What is compared of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestKey {
    method: Method,
    /// Decoded, so that `%2F` is a slash.
    path: String,
    /// Decoded, and without `api-version`.
    query: Vec<(String, String)>,
}

impl RequestKey {
    pub(crate) fn new(method: &Method, path: &str, query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
        let mut pairs: Vec<_> = pairs.filter(|(name, _)| name != "api-version").collect();
        // Placeholders last, so that they take what nothing else fits.
        pairs.sort_by_key(|(_, value)| placeholder(value).is_some());
        Self {
            method: method.clone(),
            path: percent_decode_str(path).decode_utf8_lossy().into_owned(),
            query: pairs,
        }
    }

    /// Returns whether `sent` is a request like this recorded one.
    pub(crate) fn matches(&self, sent: &Self) -> bool {
        self.method == sent.method
            && matches(&self.path, &sent.path)
            && self.query.len() == sent.query.len()
            && self.matches_query(sent)
    }

    fn matches_query(&self, sent: &Self) -> bool {
        let mut left: Vec<_> = sent.query.iter().collect();
        self.query.iter().all(|(name, value)| {
            let found = left
                .iter()
                .position(|(sent, with)| name == sent && matches(value, with));
            found.map(|at| left.swap_remove(at)).is_some()
        })
    }

    /// Returns how similar two requests are; more is nearer.
    pub(crate) fn similarity(&self, other: &Self) -> usize {
        let segments = self.path.split('/').zip(other.path.split('/'));
        let same = segments.take_while(|(a, b)| matches(a, b)).count();
        let whole = if matches(&self.path, &other.path) {
            2
        } else {
            0
        };
        2 * (same + whole) + usize::from(self.method == other.method)
    }
}

impl fmt::Display for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        let mut separator = '?';
        for (name, value) in &self.query {
            let value = match redact::is_safe_parameter(name) {
                true => value,
                false => REDACTED,
            };
            write!(f, "{separator}{name}={value}")?;
            separator = '&';
        }
        Ok(())
    }
}

/// Returns whether a text is the recorded one, in which a placeholder stands for any text.
fn matches(recorded: &str, sent: &str) -> bool {
    let Some((before, mut rest)) = placeholder(recorded) else {
        return recorded == sent;
    };
    let Some(mut sent) = sent.strip_prefix(before) else {
        return false;
    };
    while let Some((between, behind)) = placeholder(rest) {
        let Some(at) = sent.find(between) else {
            return false;
        };
        sent = &sent[at + between.len()..];
        rest = behind;
    }
    sent.ends_with(rest)
}

/// Splits a text at its first placeholder.
fn placeholder(text: &str) -> Option<(&str, &str)> {
    let found = [REDACTED, "Sanitized"].map(|word| text.split_once(word));
    found
        .into_iter()
        .flatten()
        .min_by_key(|(before, _)| before.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(target: &str) -> RequestKey {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        RequestKey::new(&Method::GET, path, query)
    }

    #[test]
    fn spelling_order_and_redacted_values_do_not_matter() {
        for (recorded, sent) in [
            ("/acr/v1/a%2Fb/_tags", "/acr/v1/a/b/_tags"),
            ("/v2/a/blobs/sha256:ff", "/v2/a/blobs/sha256%3Aff"),
            ("/x?a=1&b=2", "/x?b=2&a=1"),
            ("/x?a=%2F+", "/x?a=/%20"),
            ("/x?api-version=2021-07-01&a=1", "/x?a=1"),
            ("/x?sv=1&sig=REDACTED", "/x?sv=1&sig=other"),
            (
                "/u/1?_state=REDACTED&digest=d",
                "/u/1?digest=d&_state=ab%3D",
            ),
            ("/v2/REDACTED/tags/list", "/v2/a/b/tags/list"),
            ("/x?a=REDACTED&a=1", "/x?a=1&a=2"),
            ("/x?a=p-Sanitized-s", "/x?a=p-any-s"),
            ("/x?a=REDACTED-Sanitized", "/x?a=1-2"),
        ] {
            assert!(key(recorded).matches(&key(sent)), "{recorded} {sent}");
        }
    }

    #[test]
    fn everything_else_matters() {
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
            assert!(!key(recorded).matches(&key(sent)), "{recorded} {sent}");
        }
        let post = RequestKey::new(&Method::POST, "/x", "");
        assert!(!key("/x").matches(&post));
    }

    #[test]
    fn the_same_path_is_nearest() {
        let sent = key("/v2/a/tags/list?n=1");
        let similarity = |target| key(target).similarity(&sent);
        assert!(similarity("/v2/a/tags/list?n=2") > similarity("/v2/a/tags/other"));
        assert!(similarity("/v2/a/tags/other") > similarity("/acr/v1/a"));
    }
}
