//! Words that this code base does without, because its field has standard ones: one name for each idea, and the one
//! that a reader would search for.

use crate::report::Finding;

/// Found in any part of a word, in either case: an idea that has another name.
const IDEAS: &[(&str, &str)] = &[
    ("answer", "response, or respond"),
    ("suffer", "apply"),
    ("forgive", "exclude"),
    ("surround", "with, or wrap"),
    ("put_off", "defer"),
    ("went_through", "mark_open"),
];

/// Found at the beginning of a constant's name.
const PREFIXES: &[(&str, &str)] = &[("MOST_", "MAX_"), ("LONGEST_", "MAX_"), ("LEAST_", "MIN_")];

/// Found as whole words: names that have been replaced.
const NAMES: &[(&str, &str)] = &[
    ("most_of_json", "max_json_size"),
    ("with_json", "json_request"),
    ("name_of", "parse_name"),
    ("StartedUpload", "UploadStart"),
    ("begin_parts", "for_composite"),
    ("without_hope", "permanent"),
    ("not_carried_out", "not_sent"),
    ("past_deadline", "deadline_exceeded"),
    ("may_heal", "is_transient"),
    ("ask_first", "probe_scheme"),
    ("drop_root", "invalidate_refresh_token"),
    ("asked_instead", "scope_overrides"),
    ("GiveUp", "Fail"),
    ("under_way", "in_progress"),
    ("in_force", "active"),
    ("stay_with", "mark_working"),
    ("begin_anew", "reset"),
    ("none_of_them", "all_failed"),
    ("is_due", "needs_refresh"),
    ("is_over", "is_expired"),
    ("is_from_the_root", "is_fresh_exchange"),
    ("may_have", "check_may_receive"),
    ("just_pushed", "wait_for_replication"),
    ("known_realm", "assume_azure_auth"),
    ("blob_location", "blob_url"),
    ("needs_credential", "is_on_registry"),
    ("put_back", "unread"),
    ("read_to_bytes", "bytes"),
    ("unseen_manifests", "uncounted_manifests"),
    ("unplayed", "remaining"),
    ("keep_first", "no limit: a recording is whole"),
    ("keep_last", "no limit: a recording is whole"),
    ("is_good", "is_allowed"),
    ("RefusalKind", "HeaderSet"),
    ("refuse_token", "token_error"),
    ("carry_out", "execute"),
    ("break_upload", "corrupt_upload"),
    ("drip_body", "slow_body"),
    ("says_null_for_no_tags", "null_for_empty_tags"),
    (
        "explains_malformed_references",
        "rejects_malformed_references",
    ),
    ("ConnectionLost", "ConnectionReset"),
];

/// The file that has to name them.
const OWN: &str = "xtask/src/tidy/words.rs";

/// Checks a text, and the path that it is at.
pub(super) fn check(place: &str, text: &str) -> Vec<Finding> {
    if place == OWN {
        return Vec::new();
    }
    let lines = text.lines().enumerate();
    let lines = lines.map(|(index, line)| (format!("{place}:{}", index + 1), line));
    std::iter::once((place.to_owned(), place))
        .chain(lines)
        .flat_map(|(here, line)| {
            words(line).filter_map(move |word| Some((here.clone(), word, instead(word)?)))
        })
        .map(|(here, word, instead)| {
            Finding::new(
                "words",
                here,
                format!("has `{word}`; the standard word is: {instead}"),
            )
        })
        .collect()
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// What is written in place of a word, if it is one of the list.
fn instead(word: &str) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase();
    let idea = IDEAS.iter().find(|(idea, _)| lower.contains(idea));
    let prefix = PREFIXES.iter().find(|(prefix, _)| word.starts_with(prefix));
    let name = NAMES.iter().find(|(name, _)| word == *name);
    idea.or(prefix).or(name).map(|(_, instead)| *instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(place: &str, text: &str) -> Vec<String> {
        let findings = check(place, text).into_iter();
        findings.map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn every_form_of_a_word_is_found_with_what_to_write_instead() {
        assert_eq!(
            places("crates/a/src/lib.rs", "fn f() {\n    // Unanswered yet.\n"),
            [
                "[words] crates/a/src/lib.rs:2: has `Unanswered`; the standard word is: response, or respond"
            ]
        );
        for line in [
            "ANSWER_SIZE",
            "lose_answer",
            "LastAnswer,",
            "\"answers\"",
            "const MOST_TRIES",
            "a.put_back()",
        ] {
            assert_eq!(places("README.md", line).len(), 1, "{line}");
        }
        for line in [
            "UTMOST_TRIES",
            "MOST",
            "put back",
            "put_back_all",
            "the most",
        ] {
            assert_eq!(places("README.md", line), Vec::<String>::new(), "{line}");
        }
    }

    #[test]
    fn paths_are_covered_too() {
        assert_eq!(places("crates/a/src/answer.rs", "").len(), 1);
        assert_eq!(places(OWN, "answer"), Vec::<String>::new());
    }
}
