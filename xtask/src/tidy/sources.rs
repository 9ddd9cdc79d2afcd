//! What a file of the repository may look like, and what every published crate has to bring along.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{is_published, packages};
use crate::report::Finding;

const MAX_LINES: usize = 600;

/// Macros that mark unfinished code. Written in two parts, so that this file passes its own rule.
const UNFINISHED: &[&str] = &[concat!("todo", "!("), concat!("unimplemented", "!(")];

/// What draws in tests from a generator whose seed nobody can name.
const UNSEEDED: &[&str] = &["fastrand::seed(", "Rng::new()"];

/// What does so in acr-client's own, unless the file sets a seed: there, clients are built by `seeded::builder`, and
/// options for their retries end in `..seeded::retry()`.
const UNSEEDED_CLIENT: &[&str] = &[
    "RetryOptions::default()",
    "ContainerRegistryClient::builder(",
];
const SEED: &str = "seed: Some(";

/// Texts that each published crate carries in its own folder, because a package holds nothing from above it.
const LICENCES: &[&str] = &["LICENSE-MIT", "LICENSE-APACHE"];

/// Checks every text file below the root, and the folder of each published member.
pub(super) fn check(root: &Path, metadata: &Value) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    let mut files = Vec::new();
    collect(root, &mut files)?;
    files.sort();
    for file in files {
        let bytes = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let place = file
            .strip_prefix(root)
            .unwrap_or(&file)
            .display()
            .to_string();
        if let Ok(text) = std::str::from_utf8(&bytes) {
            findings.extend(check_text(&place, text));
        }
    }
    for package in packages(metadata).filter(|package| is_published(package)) {
        findings.extend(check_licences(root, package)?);
    }
    Ok(findings)
}

fn check_text(place: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(line) = first_line_with(text, '\r') {
        findings.push(Finding::new(
            "line-ends",
            format!("{place}:{line}"),
            "has a CR; files end their lines with LF",
        ));
    }
    if !place.ends_with(".rs") {
        return findings;
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        findings.push(Finding::new(
            "file-length",
            place,
            format!("has {lines} lines, more than {MAX_LINES}; split it by concept"),
        ));
    }
    let unseeded = unseeded_marks(place, text);
    for (number, line) in text.lines().enumerate() {
        let here = || format!("{place}:{}", number + 1);
        for mark in UNFINISHED {
            if line.contains(mark) {
                findings.push(Finding::new(
                    "unfinished",
                    here(),
                    format!("has `{mark}..)`; finish it or leave it out"),
                ));
            }
        }
        for mark in unseeded.iter().filter(|mark| line.contains(**mark)) {
            findings.push(Finding::new(
                "unseeded",
                here(),
                format!(
                    "has `{mark}`; draw from a seed in the source, so that no test fails by chance"
                ),
            ));
        }
        // Looked for, not used: an attribute with a reason in it is another line.
        if line.trim() == "#[ignore]" {
            findings.push(Finding::new(
                "ignored-test",
                here(),
                "says no reason; write `#[ignore = \"reason\"]`",
            ));
        }
    }
    findings
}

/// What draws random numbers without a seed, if the file is a test.
fn unseeded_marks(place: &str, text: &str) -> Vec<&'static str> {
    let mut folders = place.split('/').skip_while(|folder| *folder != "crates");
    let (package, folder) = (folders.nth(1), folders.next());
    if folder != Some("tests") {
        return Vec::new();
    }
    if package == Some("acr-client") && !text.contains(SEED) {
        [UNSEEDED, UNSEEDED_CLIENT].concat()
    } else {
        UNSEEDED.to_vec()
    }
}

fn first_line_with(text: &str, wanted: char) -> Option<usize> {
    text.split('\n')
        .position(|line| line.contains(wanted))
        .map(|index| index + 1)
}

fn check_licences(root: &Path, package: &Value) -> Result<Vec<Finding>, String> {
    let manifest = package["manifest_path"].as_str().unwrap_or_default();
    let folder = Path::new(manifest).parent().unwrap_or(root);
    let mut findings = Vec::new();
    for name in LICENCES {
        let wanted = fs::read(root.join(name)).map_err(|error| format!("{name}: {error}"))?;
        let place = folder.join(name);
        if fs::read(&place).ok().as_ref() != Some(&wanted) {
            let place = place
                .strip_prefix(root)
                .unwrap_or(&place)
                .display()
                .to_string();
            findings.push(Finding::new(
                "licence",
                place,
                format!("must be a copy of {name} at the root"),
            ));
        }
    }
    Ok(findings)
}

/// Every file of the repository: no version control data, no build output, no virtual environment, no bytes of
/// images or inputs.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let unreadable = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        let kind = entry.file_type().map_err(unreadable)?;
        let name = entry.file_name();
        if kind.is_file() {
            files.push(path);
        } else if kind.is_dir()
            && ![".git", ".venv", "__pycache__", "target"].iter().any(|skipped| name == *skipped)
            && !path.ends_with("fixtures/images")
            && !path.ends_with("fixtures/fuzz")
            // Where cargo builds under another name.
            && !path.join("CACHEDIR.TAG").exists()
        {
            collect(&path, files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(place: &str, text: &str) -> Vec<(&'static str, String)> {
        check_text(place, text)
            .into_iter()
            .map(|finding| (finding.rule, finding.place))
            .collect()
    }

    #[test]
    fn a_plain_file_passes() {
        assert_eq!(rules("a.rs", "fn main() {}\n"), []);
    }

    #[test]
    fn a_carriage_return_is_found_in_any_text() {
        assert_eq!(
            rules("README.md", "one\ntwo\r\n"),
            [("line-ends", "README.md:2".to_owned())]
        );
    }

    #[test]
    fn a_source_file_of_more_than_600_lines_is_refused() {
        assert_eq!(rules("a.rs", &"// x\n".repeat(MAX_LINES)), []);
        assert_eq!(
            rules("a.rs", &"// x\n".repeat(MAX_LINES + 1)),
            [("file-length", "a.rs".to_owned())]
        );
        assert_eq!(rules("a.md", &"x\n".repeat(MAX_LINES + 1)), []);
    }

    #[test]
    fn unfinished_code_is_refused() {
        for mark in UNFINISHED {
            assert_eq!(
                rules("a.rs", &format!("fn f() {{\n    {mark})\n}}\n")),
                [("unfinished", "a.rs:2".to_owned())]
            );
        }
    }

    #[test]
    fn a_test_that_draws_without_a_seed_is_refused() {
        let found = |place: &str, text: &str| {
            let found = rules(place, text);
            assert!(
                found.iter().all(|(rule, _)| *rule == "unseeded"),
                "{found:?}"
            );
            found.len()
        };
        for mark in UNSEEDED {
            assert_eq!(found("crates/acr-mock/tests/raw/main.rs", mark), 1);
            assert_eq!(found("crates/acr-mock/src/server/tests/mod.rs", mark), 0);
        }
        for mark in UNSEEDED_CLIENT {
            assert_eq!(found("crates/acr-client/tests/tls.rs", mark), 1);
            assert_eq!(found("crates/acr-harness/tests/images.rs", mark), 0);
            let seeded = format!("{mark} {SEED}7)");
            assert_eq!(found("crates/acr-client/tests/tls.rs", &seeded), 0);
        }
    }

    #[test]
    fn a_test_is_ignored_only_with_a_reason() {
        // The text that the rule is there to find; no test is ignored by it.
        assert_eq!(
            rules("a.rs", "  #[ignore]\n"),
            [("ignored-test", "a.rs:1".to_owned())]
        );
        assert_eq!(
            rules("a.rs", "  #[ignore = \"needs a live registry\"]\n"),
            []
        );
    }
}
