//! What may differ between a recording and a replay, header by header, and nothing else.

use serde_json::Value;

use super::pattern::{fits, is_placeholder, is_placeholder_host, is_uuid, without_values};

/// What of a header is compared beside its presence and its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Nothing at all, not even the presence: it depends on a history that is not known.
    Nothing,
    /// The value changes from call to call.
    Presence,
    /// An id: of the form of a UUID where the recorded one is.
    Id,
    /// The client's id: empty where the recorded one is.
    ClientId,
    /// Calls left: a number, in deletes with six digits behind the point.
    Rate,
    /// What the service calls itself: two names are recorded.
    Server,
    /// The value, but for states, signatures and placeholders.
    Value,
}

impl Rule {
    /// The rule of a header. `storage` says whether the response is that of the data origin.
    pub fn of(name: &str, storage: bool) -> Self {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "date" => Self::Presence,
            "server" => Self::Server,
            "x-ms-correlation-request-id" | "x-ms-request-id" | "docker-upload-uuid" => Self::Id,
            "x-ms-client-request-id" => Self::ClientId,
            "x-ms-ratelimit-remaining-calls-per-second" => Self::Rate,
            "etag" | "last-modified" | "x-ms-creation-time" if storage => Self::Presence,
            name if storage
                && (name.starts_with("x-ms-copy-") || name.starts_with("x-ms-meta-")) =>
            {
                Self::Nothing
            }
            _ => Self::Value,
        }
    }
}

/// Whether the recorder has added the header: `Retry-After: 0` comes from a proxy that replays it without waiting.
pub fn is_of_the_recorder(name: &str, value: &str, status: u16) -> bool {
    name.eq_ignore_ascii_case("retry-after") && value == "0" && !matches!(status, 429 | 503)
}

/// A text without what changes from call to call: upload states, signatures, ids within messages.
pub fn steady(text: &str) -> String {
    let text = without_values(text, "_state=");
    let text = without_values(&text, "sig=");
    without_correlation(&text)
}

/// The signature in a location, as it is written there; `None` if it is hidden.
pub fn signature(location: &str) -> Option<&str> {
    let (_, query) = location.split_once('?')?;
    let signature = query
        .split('&')
        .find_map(|parameter| parameter.strip_prefix("sig="))?;
    Some(signature).filter(|signature| !is_placeholder(signature))
}

/// A location without the id of its upload.
pub fn without_upload_id(location: &str) -> String {
    match upload_id(location) {
        Some(id) => location.replacen(&format!("/blobs/uploads/{id}"), "/blobs/uploads/...", 1),
        None => location.to_owned(),
    }
}

/// The id of the upload that a location names.
pub fn upload_id(location: &str) -> Option<&str> {
    let path = location.split('?').next()?;
    let (_, id) = path.split_once("/blobs/uploads/")?;
    Some(id).filter(|id| !id.is_empty() && !id.contains('/'))
}

/// Newer refusals name the correlation's id in their message.
fn without_correlation(text: &str) -> String {
    const MARK: &str = "CorrelationId: ";
    let Some(at) = text.find(MARK) else {
        return text.to_owned();
    };
    let (before, behind) = text.split_at(at + MARK.len());
    let end = behind
        .find(|c: char| !(c.is_ascii_hexdigit() || c == '-'))
        .unwrap_or(behind.len());
    format!("{before}...{}", &behind[end..])
}

/// The recorded challenge, with hosts that a recorder made up replaced by the real one of this replay, and a scope that
/// it made up by a placeholder: each of the service's scopes has colons.
pub fn challenge(recorded: &str, login_server: &str) -> String {
    let mut text = recorded.to_owned();
    for (begin, end) in [("realm=\"https://", '/'), ("service=\"", '"')] {
        let host = text
            .split_once(begin)
            .and_then(|(_, rest)| rest.split(end).next())
            .filter(|host| is_placeholder_host(host) && !is_placeholder(host))
            .map(str::to_owned);
        if let Some(host) = host {
            text = text.replacen(
                &format!("{begin}{host}{end}"),
                &format!("{begin}{login_server}{end}"),
                1,
            );
        }
    }
    let scope = text
        .split_once("scope=\"")
        .and_then(|(_, rest)| rest.split('"').next())
        .filter(|scope| !scope.is_empty() && !scope.contains(':'));
    match scope {
        Some(scope) => text.replacen(&format!("scope=\"{scope}\""), "scope=\"Sanitized\"", 1),
        None => text,
    }
}

/// Whether two counts of calls have the same form.
pub fn same_rate(recorded: &str, actual: &str, is_token: bool) -> bool {
    if is_placeholder(recorded) {
        return is_number(actual);
    }
    let padded = |text: &str| {
        text.split_once('.')
            .is_some_and(|(_, digits)| digits.len() == 6)
    };
    let fits = is_token || padded(recorded) == padded(actual);
    is_number(recorded) && is_number(actual) && fits
}

fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.split_once('.') {
        Some((whole, part)) => digits(whole) && digits(part),
        None => digits(text),
    }
}

/// Whether an id has the form of the recorded one.
pub fn same_id(recorded: &str, actual: &str) -> bool {
    if is_uuid(recorded) {
        is_uuid(actual)
    } else {
        recorded.is_empty() == actual.is_empty()
    }
}

/// Whether both are names of the service's front, or the same name.
pub fn same_server(recorded: &str, actual: &str) -> bool {
    const FRONTS: [&str; 2] = ["openresty", "AzureContainerRegistry"];
    recorded == actual
        || is_placeholder(recorded) && !actual.is_empty()
        || FRONTS.contains(&recorded) && FRONTS.contains(&actual)
}

/// Whether two header values are the same, but for what may differ.
pub fn same_value(recorded: &str, actual: &str) -> bool {
    recorded == actual || fits(&steady(recorded), &steady(actual))
}

/// Replaces what a path such as `errors.0.detail` or `manifests[*].imageSize` names by `null`.
pub fn clear(value: &mut Value, path: &str) {
    let path = path.replace('[', ".").replace(']', "");
    let (first, rest) = match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path.as_str(), None),
    };
    if first.is_empty() {
        if let Some(rest) = rest {
            clear(value, rest);
        }
        return;
    }
    let inner = |value: &mut Value| match rest {
        Some(rest) => clear(value, rest),
        None => *value = Value::Null,
    };
    match value {
        Value::Array(items) if first == "*" => items.iter_mut().for_each(inner),
        Value::Array(items) => {
            let index = first.parse::<usize>().ok();
            if let Some(item) = index.and_then(|index| items.get_mut(index)) {
                inner(item);
            }
        }
        Value::Object(members) if first == "*" => members.values_mut().for_each(inner),
        Value::Object(members) => {
            if let Some(member) = members.get_mut(first) {
                inner(member);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_header_has_the_rule_of_the_origin_that_sends_it() {
        assert_eq!(Rule::of("ETag", false), Rule::Value);
        assert_eq!(Rule::of("ETag", true), Rule::Presence);
        assert_eq!(Rule::of("x-ms-copy-id", true), Rule::Nothing);
        assert_eq!(Rule::of("x-ms-copy-id", false), Rule::Value);
        assert_eq!(Rule::of("x-ms-blob-type", true), Rule::Value);
        assert_eq!(Rule::of("CONTENT-LENGTH", false), Rule::Value);
    }

    #[test]
    fn only_states_signatures_and_placeholders_may_differ() {
        let recorded = "/v2/a/blobs/uploads/1?_nouploadcache=false&_state=REDACTED";
        assert!(same_value(
            recorded,
            "/v2/a/blobs/uploads/1?_nouploadcache=false&_state=ab%3D"
        ));
        assert!(!same_value(
            recorded,
            "/v2/a/blobs/uploads/1?_nouploadcache=true&_state=ab"
        ));
        assert!(!same_value(
            recorded,
            "/v2/a/blobs/uploads/1?_nouploadcache=false"
        ));
        assert!(!same_value("0-0", "0-1"));
        assert_eq!(
            steady("grant access. CorrelationId: 12-ab.\""),
            "grant access. CorrelationId: ....\""
        );
    }

    #[test]
    fn counts_ids_and_names_are_compared_by_form() {
        assert!(same_rate("8.000000", "7.000000", false));
        assert!(!same_rate("8.000000", "7", false));
        assert!(!same_rate("8.000000", "x", false));
        assert!(same_rate("166.5", "166.666666", true));
        assert!(same_server("openresty", "AzureContainerRegistry"));
        assert!(!same_server("openresty", "nginx"));
        assert!(!same_id("5f47a34c-a896-4a74-99ee-b0cff529fd28", "x"));
        assert!(same_id("", "") && !same_id("", "x") && same_id("Sanitized", "x"));
    }

    #[test]
    fn a_made_up_host_in_a_challenge_is_the_replay_s() {
        let recorded = "Bearer realm=\"https://myregistry.azurecr.io/oauth2/token\",service=\"real.azurecr.io\"";
        assert_eq!(
            challenge(recorded, "real.azurecr.io"),
            "Bearer realm=\"https://real.azurecr.io/oauth2/token\",service=\"real.azurecr.io\""
        );
        assert_eq!(
            challenge("Bearer scope=\"fake_scope\"", "real.azurecr.io"),
            "Bearer scope=\"Sanitized\""
        );
        let scoped = "Bearer scope=\"registry:catalog:*\"";
        assert_eq!(challenge(scoped, "real.azurecr.io"), scoped);
        let wrong = recorded.replace("myregistry", "other");
        assert_eq!(challenge(&wrong, "real.azurecr.io"), wrong);
    }

    #[test]
    fn a_path_into_json_clears_what_it_names() {
        let mut value = json!({"m": [{"a": 1, "b": 2}, {"a": 3}], "n": 4});
        clear(&mut value, "m[*].a");
        clear(&mut value, "n");
        clear(&mut value, "x.y");
        assert_eq!(
            value,
            json!({"m": [{"a": null, "b": 2}, {"a": null}], "n": null})
        );
        clear(&mut value, "m.0.b");
        assert_eq!(value["m"][0]["b"], json!(null));
    }
}
