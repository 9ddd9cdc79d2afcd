//! Placeholders: what recorders write in the place of what they hide, and how digests are found that they have hidden.

use acr_record::{Body, Exchange};
use http::HeaderValue;

use super::step::text;

/// The words by which recorders replace what they hide, the longer before those that begin them.
const PLACEHOLDERS: [&str; 4] = ["REDACTED-REGISTRY-ID", "REDACTED", "Sanitized", "SANITIZED"];

/// Names of hosts that recorders put in the place of the real one.
const HOSTS: [&str; 4] = [
    "myregistry.azurecr.io",
    "fake_url.azurecr.io",
    "fakeregistry.azurecr.io",
    "sanitized.azurecr.io",
];

/// A name by which Python's recorder replaces digests in paths.
const DIGEST: &str = "sha256_encoded_stream";

/// A digest for a blob or manifest of which nothing else is known.
const MADE_UP: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// Returns whether any of the text stands for something else.
pub(super) fn has_placeholder(text: &str) -> bool {
    PLACEHOLDERS.iter().any(|word| text.contains(word)) || text.contains(DIGEST)
}

/// Returns whether the whole text is one placeholder, or empty.
pub(super) fn is_placeholder(text: &str) -> bool {
    text.is_empty() || PLACEHOLDERS.contains(&text) || text == DIGEST
}

/// Returns whether the text is a host name that a recorder made up.
pub(super) fn is_placeholder_host(text: &str) -> bool {
    is_placeholder(text) || HOSTS.contains(&text)
}

/// Returns whether the recorded text fits the actual one: equal, but that each placeholder stands for some characters,
/// none of which is a quotation mark, an angle bracket or white space.
pub(super) fn fits(recorded: &str, actual: &str) -> bool {
    let found = PLACEHOLDERS.iter();
    let found = found.filter_map(|word| Some((recorded.find(word)?, *word)));
    // The first of the list wins where two begin at the same place.
    let Some((at, word)) = found.min_by_key(|(at, _)| *at) else {
        return recorded == actual;
    };
    let Some(actual) = actual.strip_prefix(&recorded[..at]) else {
        return false;
    };
    let rest = &recorded[at + word.len()..];
    let ends = actual.char_indices().map(|(at, c)| at + c.len_utf8());
    for end in ends {
        if actual[..end].ends_with(['"', '<', '>', ' ', '\n', '\t']) {
            return false;
        }
        if fits(rest, &actual[end..]) {
            return true;
        }
    }
    false
}

/// Replaces the digests that the exchanges of a session have hidden: by that of the response, or of the step before, or
/// by any.
pub(super) fn resolve_digests<'a>(session: impl Iterator<Item = &'a mut Exchange>) {
    let mut last = None;
    for exchange in session {
        let response = exchange.response.as_ref();
        let status = response.map_or(0, |response| response.status.as_u16());
        let content_type = response.and_then(|response| text(&response.headers, "Content-Type"));
        // The response says that the path fits no grammar.
        let is_malformed =
            status == 404 && content_type.is_some_and(|kind| kind.starts_with("text/plain"));
        if !is_malformed {
            lengthen(exchange);
        }
        let path = exchange.request.path.clone();
        let (before, hidden) = path.rsplit_once('/').unwrap_or(("", ""));
        let kind = before.rsplit('/').next().unwrap_or_default();
        let is_digest = ["manifests", "blobs", "_manifests", "referrers"].contains(&kind);
        // A tag may have such a name; and credentials come before what it is.
        let may_be_tag = kind == "manifests" && status >= 400;
        if is_digest && has_placeholder(hidden) && !matches!(status, 401 | 403) {
            let digest = shown_digest(exchange)
                .or_else(|| last.clone().filter(|_| status < 400))
                .or_else(|| (!may_be_tag && !is_malformed).then(|| MADE_UP.to_owned()));
            if let Some(digest) = digest {
                exchange.request.path = format!("{before}/{digest}");
            }
        }
        let response = exchange.response.as_ref();
        let named = response.and_then(|response| text(&response.headers, "Docker-Content-Digest"));
        last = named.map(str::to_owned).or(last);
    }
}

/// One recorder writes each digest as `sha256:00`: all of them are taken for the same, of the full length.
fn lengthen(exchange: &mut Exchange) {
    let request = &mut exchange.request;
    let (path, query) = (
        with_full_digests(&request.path),
        with_full_digests(&request.query),
    );
    if (&path, &query) == (&request.path, &request.query) {
        return;
    }
    (request.path, request.query) = (path, query);
    let Some(response) = &mut exchange.response else {
        return;
    };
    for value in response.headers.values_mut() {
        let full = value.to_str().map(with_full_digests);
        if let Some(Ok(full)) = full.ok().map(HeaderValue::try_from) {
            *value = full;
        }
    }
    if let Body::Json(value) = &mut response.body {
        *value = serde_json::from_str(&with_full_digests(&value.to_string())).unwrap_or_default();
    }
}

fn with_full_digests(text: &str) -> String {
    let zeros = "0".repeat(64);
    let mut full = text.to_owned();
    for short in ["sha256:", "sha256%3A", "/sha256/00/"] {
        let mut rest = std::mem::take(&mut full);
        while let Some(at) = rest.find(short) {
            let begin = at + short.len();
            let end = rest[begin..].find(|c: char| !c.is_ascii_hexdigit());
            let end = end.map_or(rest.len(), |end| begin + end);
            full.push_str(&rest[..begin]);
            full.push_str(match &rest[begin..end] {
                "00" => &zeros,
                digits => digits,
            });
            rest.drain(..end);
        }
        full.push_str(&rest);
    }
    full
}

/// The digest that a response names.
fn shown_digest(exchange: &Exchange) -> Option<String> {
    let response = exchange.response.as_ref()?;
    let header = |name| text(&response.headers, name).map(|value| value.trim_matches('"'));
    let named = header("Docker-Content-Digest").or(header("ETag"));
    if let Some(digest) = named.filter(|digest| digest.starts_with("sha256:")) {
        return Some(digest.to_owned());
    }
    let text = response.body.json()?.to_string();
    let at = text.find("sha256:")?;
    Some(text.get(at..at + MADE_UP.len())?.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_placeholder_stands_for_something_but_not_for_anything() {
        for (recorded, actual, expected) in [
            ("a", "a", true),
            ("a", "b", false),
            ("a", "aREDACTED", false),
            ("sig=REDACTED&sp=r", "sig=x%2By&sp=r", true),
            ("sig=REDACTED&sp=r", "sig=&sp=r", false),
            ("sig=REDACTED&sp=r", "sig=x&sp=w", false),
            (
                "realm=\"https://REDACTED\",service=\"REDACTED\",scope=\"a\"",
                "realm=\"https://h/oauth2/token\",service=\"h\",scope=\"a\"",
                true,
            ),
            (
                "realm=\"https://REDACTED\",service=\"REDACTED\"",
                "realm=\"https://h\",error=\"h\"",
                false,
            ),
            ("/REDACTED-REGISTRY-ID//docker", "/ab12//docker", true),
            ("Sanitized", "x y", false),
            ("REDACTED", "", false),
        ] {
            assert_eq!(fits(recorded, actual), expected, "{recorded} {actual}");
        }
    }

    fn line(method: &str, path: &str, response: Value) -> Exchange {
        let line = json!({ "request": {"method": method, "path": path}, "response": response });
        serde_json::from_value(line).unwrap()
    }

    #[test]
    fn a_hidden_digest_is_that_of_the_response_or_of_the_step_before_or_any() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let path = "/v2/a/manifests/sha256_encoded_stream";
        let shown = json!({"status": 200, "headers": {"Docker-Content-Digest": digest}});
        let mut steps = [
            line("DELETE", path, json!({"status": 202})),
            line("GET", path, shown),
            line("DELETE", path, json!({"status": 202})),
            line("DELETE", path, json!({"status": 401})),
            line("DELETE", path, json!({"status": 405})),
        ];
        resolve_digests(steps.iter_mut());
        let paths = steps.map(|step| step.request.path);
        let full = |digest: &str| format!("/v2/a/manifests/{digest}");
        let (found, made_up) = (full(&digest), full(MADE_UP));
        // What fails before the digest matters stays as it is: it may be a tag.
        assert_eq!(paths, [&made_up, &found, &found, path, path]);
    }

    #[test]
    fn a_short_digest_becomes_a_full_one_everywhere() {
        let response = json!({"status": 201, "headers": {"Docker-Content-Digest": "sha256:00"}});
        let mut steps = [line("HEAD", "/v2/a/blobs/sha256%3A00", response)];
        resolve_digests(steps.iter_mut());
        let response = steps[0].response.as_ref().unwrap();
        assert_eq!(
            text(&response.headers, "Docker-Content-Digest"),
            Some(MADE_UP)
        );
        assert!(steps[0].request.path.ends_with(&MADE_UP[7..]));
        let malformed = "/v2/a/blobs/uploads/1?digest=sha256%3A00000000";
        assert_eq!(with_full_digests(malformed), malformed);
    }
}
