//! What may differ between a recording and a replay, header by header, and nothing else.

use serde_json::Value;

use super::placeholder::{fits, is_placeholder};

/// What of a header is compared beside its presence and its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
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
    /// How a blob was written: one of three ways.
    BlobType,
    /// The value, but for placeholders.
    Value,
}

impl Rule {
    /// Returns the rule of a header. `storage` says whether the response is that of the storage.
    pub(super) fn of(name: &str, storage: bool) -> Self {
        let of_the_writer = |begin: &&str| name.starts_with(*begin);
        match name {
            "date" => Self::Presence,
            "server" => Self::Server,
            "x-ms-correlation-request-id" | "x-ms-request-id" => Self::Id,
            "x-ms-client-request-id" => Self::ClientId,
            "x-ms-ratelimit-remaining-calls-per-second" => Self::Rate,
            "etag" | "last-modified" | "x-ms-creation-time" if storage => Self::Presence,
            "x-ms-blob-type" if storage => Self::BlobType,
            _ if storage && OF_THE_WRITER.iter().any(of_the_writer) => Self::Nothing,
            _ => Self::Value,
        }
    }

    /// Returns whether the lines of a header are the same as far as this rule goes.
    pub(super) fn accepts(self, recorded: &str, actual: &str, is_token_request: bool) -> bool {
        match self {
            Self::Nothing => true,
            Self::Presence => !actual.is_empty(),
            Self::Id if is_uuid(recorded) => is_uuid(actual),
            Self::Id | Self::ClientId => recorded.is_empty() == actual.is_empty(),
            Self::Rate if is_placeholder(recorded) => is_number(actual),
            Self::Rate => {
                let padded = |text: &str| {
                    text.split_once('.')
                        .is_some_and(|(_, part)| part.len() == 6)
                };
                let fits = is_token_request || padded(recorded) == padded(actual);
                is_number(recorded) && is_number(actual) && fits
            }
            Self::Server => {
                let fronts = |name| ["openresty", "AzureContainerRegistry"].contains(&name);
                recorded == actual || is_placeholder(recorded) || fronts(recorded) && fronts(actual)
            }
            Self::BlobType => ["AppendBlob", "BlockBlob", "PageBlob"].contains(&recorded),
            Self::Value => same_value(recorded, actual),
        }
    }
}

/// What the storage says of a blob that depends on who wrote it, by the beginnings of the headers' names.
const OF_THE_WRITER: [&str; 5] = [
    "content-md5",
    "x-ms-access-tier",
    "x-ms-blob-content-md5",
    "x-ms-copy-",
    "x-ms-meta-",
];

/// Returns whether the recorder has added the header: `Retry-After: 0` comes from a proxy that replays it without waiting.
pub(super) fn is_of_the_recorder(name: &str, value: &str, status: u16) -> bool {
    name == "retry-after" && value == "0" && !matches!(status, 429 | 503)
}

/// Returns whether two texts are the same, but for placeholders.
pub(super) fn same_value(recorded: &str, actual: &str) -> bool {
    recorded == actual || fits(recorded, actual)
}

fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.split_once('.') {
        Some((whole, part)) => digits(whole) && digits(part),
        None => digits(text),
    }
}

fn is_uuid(text: &str) -> bool {
    let groups = text.split('-').map(str::len);
    groups.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

/// Replaces what a path such as `errors.0.detail` or `manifests[*].imageSize` names by `null`.
pub(super) fn clear(value: &mut Value, path: &str) {
    let path = path.replace('[', ".").replace(']', "");
    let mut values = vec![value];
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let inner = values.into_iter().flat_map(|value| children(value, part));
        values = inner.collect();
    }
    for value in values {
        *value = Value::Null;
    }
}

fn children<'a>(value: &'a mut Value, part: &str) -> Vec<&'a mut Value> {
    let is_named = |name: &str| part == "*" || part == name;
    match value {
        Value::Array(items) => {
            let items = items.iter_mut().enumerate();
            let named = items.filter(|(index, _)| is_named(&index.to_string()));
            named.map(|(_, item)| item).collect()
        }
        Value::Object(members) => {
            let named = members.iter_mut().filter(|(name, _)| is_named(name));
            named.map(|(_, member)| member).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_header_has_the_rule_of_the_origin_that_sends_it() {
        assert_eq!(Rule::of("etag", false), Rule::Value);
        assert_eq!(Rule::of("etag", true), Rule::Presence);
        assert_eq!(Rule::of("x-ms-copy-id", true), Rule::Nothing);
        assert_eq!(Rule::of("x-ms-copy-id", false), Rule::Value);
        assert_eq!(Rule::of("x-ms-blob-type", true), Rule::BlobType);
        assert_eq!(Rule::of("content-length", false), Rule::Value);
    }

    #[test]
    fn counts_ids_and_names_are_compared_by_form() {
        let uuid = "5f47a34c-a896-4a74-99ee-b0cff529fd28";
        for (rule, recorded, actual, expected) in [
            (Rule::Rate, "8.000000", "7.000000", true),
            (Rule::Rate, "8.000000", "7", false),
            (Rule::Rate, "8.000000", "x", false),
            (Rule::Server, "openresty", "AzureContainerRegistry", true),
            (Rule::Server, "openresty", "nginx", false),
            (Rule::Id, uuid, "x", false),
            (Rule::Id, uuid, uuid, true),
            (Rule::Id, "", "", true),
            (Rule::Id, "", "x", false),
            (Rule::Id, "Sanitized", "x", true),
            (Rule::BlobType, "BlockBlob", "AppendBlob", true),
            (Rule::BlobType, "0BlockBlob", "AppendBlob", false),
            (Rule::Value, "0-0", "0-1", false),
        ] {
            assert_eq!(
                rule.accepts(recorded, actual, false),
                expected,
                "{recorded} {actual}"
            );
        }
        assert!(Rule::Rate.accepts("166.5", "166.666666", true));
    }

    #[test]
    fn a_path_into_json_clears_what_it_names() {
        let mut value = json!({"m": [{"a": 1, "b": 2}, {"a": 3}], "n": 4});
        for path in ["m[*].a", "n", "x.y"] {
            clear(&mut value, path);
        }
        let cleared = json!({"m": [{"a": null, "b": 2}, {"a": null}], "n": null});
        assert_eq!(value, cleared);
        clear(&mut value, ".m.0.b");
        assert_eq!(value["m"][0]["b"], json!(null));
    }
}
