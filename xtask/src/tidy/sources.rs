//! What a file of `crates/`, of `xtask/` or a document at the root may look like, and what every published crate has to
//! bring along.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::words;
use crate::report::Finding;
use crate::workspace::Member;

const MAX_LINES: usize = 600;

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

/// Checks every text file that git knows or would add, and the folder of each published member.
pub(super) fn check(root: &Path, members: &[Member]) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for place in files(root)? {
        // A file that is gone, but not yet from git, has no text.
        if let Ok(text) = fs::read_to_string(root.join(&place)) {
            findings.extend(check_text(&place, &text));
            findings.extend(words::check(&place, &text));
        }
    }
    for member in members.iter().filter(|member| member.is_published()) {
        findings.extend(check_licences(root, member.folder())?);
    }
    Ok(findings)
}

/// The files, as paths below the root.
fn files(root: &Path) -> Result<Vec<String>, String> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "-z",
        ])
        .args(["--", "crates", "xtask", ":(glob)*.md"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cannot start `git ls-files`: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let paths = String::from_utf8_lossy(&output.stdout);
    let paths = paths.split_terminator('\0').map(str::to_owned);
    Ok(paths.collect())
}

fn check_text(place: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !place.ends_with(".rs") {
        return findings;
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        let problem = format!("has {lines} lines, more than {MAX_LINES}; split it by concept");
        findings.push(Finding::new("file-length", place, problem));
    }
    let unseeded = unseeded_marks(place, text);
    for (number, line) in text.lines().enumerate() {
        for mark in unseeded.iter().filter(|mark| line.contains(**mark)) {
            findings.push(Finding::new(
                "unseeded",
                format!("{place}:{}", number + 1),
                format!(
                    "has `{mark}`; draw from a seed in the source, so that no test fails by chance"
                ),
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

fn check_licences(root: &Path, folder: &Path) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for name in LICENCES {
        let wanted = fs::read(root.join(name)).map_err(|error| format!("{name}: {error}"))?;
        let place = folder.join(name);
        if fs::read(&place).ok().as_ref() != Some(&wanted) {
            let problem = format!("must be a copy of {name} at the root");
            findings.push(Finding::new(
                "licence",
                place.display().to_string(),
                problem,
            ));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(place: &str, text: &str) -> Vec<(&'static str, String)> {
        let findings = check_text(place, text).into_iter();
        findings
            .map(|finding| (finding.rule, finding.place))
            .collect()
    }

    #[test]
    fn a_source_file_of_more_than_600_lines_is_rejected() {
        assert_eq!(rules("a.rs", &"// x\n".repeat(MAX_LINES)), []);
        assert_eq!(
            rules("a.rs", &"// x\n".repeat(MAX_LINES + 1)),
            [("file-length", "a.rs".to_owned())]
        );
        assert_eq!(rules("a.md", &"x\n".repeat(MAX_LINES + 1)), []);
    }

    #[test]
    fn a_test_that_draws_without_a_seed_is_rejected() {
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
            assert_eq!(found("crates/acr-mock/tests/images.rs", mark), 0);
            let seeded = format!("{mark} {SEED}7)");
            assert_eq!(found("crates/acr-client/tests/tls.rs", &seeded), 0);
        }
    }

    #[test]
    fn files_are_those_of_crates_tasks_and_documents() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let files = files(&root).expect("a repository");
        let has = |name: &str| files.iter().any(|file| file == name);
        assert!(has("README.md") && has("xtask/src/tidy/sources.rs"));
        assert!(!files.iter().any(|file| file.starts_with("target/")));
    }
}
