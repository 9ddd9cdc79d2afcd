//! Texts with places that stand for others: `REDACTED` and `Sanitized`, and the values that change from call to call.

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

/// Whether any of the text stands for something else.
pub fn has_placeholder(text: &str) -> bool {
    PLACEHOLDERS.iter().any(|word| text.contains(word)) || text.contains(DIGEST)
}

/// Whether the whole text is one placeholder, or nothing.
pub fn is_placeholder(text: &str) -> bool {
    text.is_empty() || PLACEHOLDERS.contains(&text) || text == DIGEST
}

/// Whether the text is the name of a host that a recorder made up.
pub fn is_placeholder_host(text: &str) -> bool {
    is_placeholder(text) || HOSTS.contains(&text)
}

/// Whether the recorded text fits the actual one: equal, but that each placeholder stands for some characters, of which
/// none is a quotation mark, an angle bracket or white space.
pub fn fits(recorded: &str, actual: &str) -> bool {
    let Some((at, word)) = next_placeholder(recorded) else {
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

fn next_placeholder(text: &str) -> Option<(usize, &'static str)> {
    let found = PLACEHOLDERS
        .iter()
        .filter_map(|word| Some((text.find(word)?, *word)));
    // The first of the list wins where two begin at the same place.
    found.min_by_key(|(at, _)| *at)
}

/// Replaces the value behind each `name` (such as `sig=`) by three dots, up to what ends a value in a query or in HTML.
pub fn without_values(text: &str, name: &str) -> String {
    let mut cleared = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (before, behind) = rest.split_at(at + name.len());
        cleared.push_str(before);
        // Another parameter may end in the same letters.
        let begins = rest[..at]
            .chars()
            .next_back()
            .is_none_or(|c| matches!(c, '?' | '&' | ';'));
        let end = behind
            .find(['&', '"', '>', '<', ' ', '\n'])
            .unwrap_or(behind.len());
        if begins && end > 0 {
            cleared.push_str("...");
            rest = &behind[end..];
        } else {
            rest = behind;
        }
    }
    cleared.push_str(rest);
    cleared
}

/// Whether the text has the form of a UUID.
pub fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn values_are_taken_out_but_their_names_stay() {
        assert_eq!(
            without_values("/u?_nouploadcache=false&_state=abc%3D&digest=d", "_state="),
            "/u?_nouploadcache=false&_state=...&digest=d"
        );
        assert_eq!(
            without_values("?se=1&amp;sig=a%2B&amp;sp=r\">x", "sig="),
            "?se=1&amp;sig=...&amp;sp=r\">x"
        );
        assert_eq!(without_values("?design=1&sig=", "sig="), "?design=1&sig=");
    }

    #[test]
    fn a_uuid_is_known_by_its_form() {
        assert!(is_uuid("0f305926-cc88-486b-a50e-563e4f94152e"));
        assert!(!is_uuid("0f305926-cc88-486b-a50e-563e4f94152"));
        assert!(!is_uuid("Sanitized"));
    }
}
