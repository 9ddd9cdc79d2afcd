//! Which members a published crate may depend on, and what may not be in its dependency tree without its default
//! features.
//!
//! The first keeps client and mock honest: a mock that used the client's code would agree with the client's mistakes.
//! The second keeps their cores free of a runtime, and the protocol crate free of I/O.

use std::path::Path;

use crate::cargo;
use crate::report::Finding;
use crate::workspace::{Dependency, Member};

/// A published crate and its rules.
struct Rules {
    name: &'static str,
    may_use: &'static [&'static str],
    /// Allowed in `[dev-dependencies]` alone and by path without a version: cargo then leaves it out of the package,
    /// so that the crate can be published before the other one.
    may_test_with: &'static [&'static str],
    /// Beginnings of the names of packages.
    without: &'static [&'static str],
}

const CRATES: &[Rules] = &[
    Rules {
        name: "acr-clock",
        may_use: &[],
        may_test_with: &[],
        without: &["tokio", "futures", "mio"],
    },
    Rules {
        name: "acr-protocol",
        may_use: &[],
        may_test_with: &["acr-record"],
        without: &["tokio", "hyper", "futures", "async-", "mio"],
    },
    Rules {
        name: "acr-client",
        may_use: &["acr-clock", "acr-protocol"],
        may_test_with: &["acr-mock", "acr-record"],
        without: &["tokio", "hyper", "mio"],
    },
    Rules {
        name: "acr-mock",
        may_use: &["acr-clock", "acr-protocol"],
        may_test_with: &[],
        without: &["tokio", "hyper", "mio", "clap"],
    },
    Rules {
        name: "acr-record",
        may_use: &["acr-client"],
        may_test_with: &["acr-mock"],
        without: &["acr-", "tokio", "hyper", "futures", "async-", "mio"],
    },
];

/// Checks the manifests of the published crates, and what `cargo tree` says of them.
pub(super) fn check(root: &Path, members: &[Member]) -> Result<Vec<Finding>, String> {
    let mut findings = check_manifests(members);
    for rules in CRATES {
        let tree = [
            "tree",
            "--edges",
            "normal",
            "--no-default-features",
            "--prefix",
            "none",
            "--package",
            rules.name,
        ];
        findings.extend(rules.check_tree(&cargo::ask(root, &tree)?));
    }
    Ok(findings)
}

fn check_manifests(members: &[Member]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in members.iter().filter(|member| member.is_published()) {
        let name = member.name.as_str();
        let Some(rules) = CRATES.iter().find(|rules| rules.name == name) else {
            let problem = "is not in the table of xtask/src/tidy/dependencies.rs";
            findings.push(Finding::new("layering", name, problem));
            continue;
        };
        for dependency in &member.dependencies {
            let target = dependency.name.as_str();
            if members.iter().any(|member| member.name == target)
                && let Some(problem) = rules.problem(dependency)
            {
                findings.push(Finding::new(
                    "layering",
                    format!("{name} -> {target}"),
                    problem,
                ));
            }
        }
    }
    findings
}

impl Rules {
    fn problem(&self, dependency: &Dependency) -> Option<&'static str> {
        let target = dependency.name.as_str();
        if self.may_use.contains(&target) {
            return None;
        }
        if !self.may_test_with.contains(&target) {
            return Some("must not depend on it");
        }
        if dependency.kind.as_deref() != Some("dev") {
            return Some("may have it in its development dependencies only");
        }
        (dependency.req != "*" || dependency.path.is_none()).then_some(
            "give it by path without a version, or the crate cannot be packaged before it is published",
        )
    }

    /// Checks lines of a package's name and version. The first is the crate itself.
    fn check_tree(&self, tree: &str) -> Vec<Finding> {
        let names = tree
            .lines()
            .skip(1)
            .filter_map(|line| line.split(' ').next());
        let is_banned = |name: &&str| self.without.iter().any(|banned| name.starts_with(banned));
        let mut found: Vec<&str> = names.filter(is_banned).collect();
        found.sort_unstable();
        found.dedup();
        let findings = found.into_iter().map(|package| {
            let problem = format!(
                "must not depend on {package} without default features; see `cargo tree --no-default-features \
                 --edges normal --package {} --invert {package}`",
                self.name
            );
            Finding::new("dependency-tree", self.name, problem)
        });
        findings.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong when `name` has this dependency.
    fn problems(name: &str, kind: Option<&str>, target: &str, req: &str) -> Vec<String> {
        let mut members = vec![Member::made_up(name, &[(target, kind, req)])];
        members.extend(CRATES.iter().map(|rules| Member::made_up(rules.name, &[])));
        let findings = check_manifests(&members).into_iter();
        findings.map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn allowed_dependencies_pass() {
        for (name, kind, target, req) in [
            ("acr-client", None, "acr-protocol", "^0.1.0"),
            ("acr-client", Some("dev"), "acr-mock", "*"),
            ("acr-protocol", None, "serde", "^1"),
        ] {
            let found = problems(name, kind, target, req);
            assert_eq!(found, Vec::<String>::new(), "{name} -> {target}");
        }
    }

    #[test]
    fn other_dependencies_are_rejected() {
        for (name, kind, target, req, wanted) in [
            ("acr-protocol", None, "acr-mock", "^0.1.0", "must not"),
            ("acr-mock", Some("dev"), "acr-client", "*", "must not"),
            (
                "acr-client",
                Some("dev"),
                "acr-mock",
                "^0.1.0",
                "without a version",
            ),
            (
                "acr-client",
                None,
                "acr-mock",
                "*",
                "development dependencies only",
            ),
            ("acr-new", None, "serde", "^1", "is not in the table"),
        ] {
            let found = problems(name, kind, target, req);
            assert_eq!(found.len(), 1, "{name} -> {target}");
            assert!(found[0].contains(wanted), "{found:?}");
        }
    }

    #[test]
    fn a_runtime_deep_in_the_tree_is_found_once() {
        let tree = "acr-client v0.1.0 (/w)\nacr-protocol v0.1.0 (/w)\nhttp v1.0.0\ntokio-util v0.7.0\n\
                    tokio v1.0.0\ntokio v1.0.0 (*)\nasync-trait v0.1.0 (proc-macro)\n";
        let rules = CRATES.iter().find(|rules| rules.name == "acr-client");
        let found = rules.expect("in the table").check_tree(tree);
        let names: Vec<_> = found
            .iter()
            .map(|finding| finding.problem.split(' ').nth(4))
            .collect();
        assert_eq!(names, [Some("tokio"), Some("tokio-util")]);
    }
}
