//! Which members a published crate may depend on, and what may not be in its dependency tree without its default
//! features.
//!
//! The first keeps client and mock honest: a mock that used the client's code would agree with the client's mistakes.
//! The second keeps their cores free of a runtime, and the protocol crate free of I/O.

use std::path::Path;

use serde_json::Value;

use super::{packages, published};
use crate::cargo;
use crate::report::Finding;

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
pub(super) fn check(root: &Path, metadata: &Value) -> Result<Vec<Finding>, String> {
    let mut findings = check_manifests(metadata);
    for rules in CRATES {
        let tree = [
            "tree",
            "--edges",
            "normal",
            "--no-default-features",
            "--prefix",
            "none",
        ];
        let tree = cargo::ask(root, &[&tree[..], &["--package", rules.name]].concat())?;
        findings.extend(rules.check_tree(&tree));
    }
    Ok(findings)
}

fn check_manifests(metadata: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    let name_of_value = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let members: Vec<String> = packages(metadata).map(name_of_value).collect();
    for package in published(metadata) {
        let name = name_of_value(package);
        let Some(rules) = CRATES.iter().find(|rules| rules.name == name) else {
            let problem = "is not in the table of xtask/src/tidy/dependencies.rs";
            findings.push(Finding::new("layering", name, problem));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let target = name_of_value(dependency);
            if members.contains(&target)
                && let Some(problem) = rules.problem(&target, dependency)
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
    fn problem(&self, target: &str, dependency: &Value) -> Option<&'static str> {
        if self.may_use.contains(&target) {
            return None;
        }
        if !self.may_test_with.contains(&target) {
            return Some("must not depend on it");
        }
        if dependency["kind"] != "dev" {
            return Some("may have it in its development dependencies only");
        }
        (dependency["req"] != "*" || !dependency["path"].is_string()).then_some(
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
    use serde_json::json;

    /// What is wrong when `name` has one dependency more.
    fn problems(name: &str, kind: Option<&str>, target: &str, req: &str) -> Vec<String> {
        let packages =
            ["acr-protocol", "acr-client", "acr-mock", "acr-other", name].map(|member| {
                let dependency = json!({"name": target, "kind": kind, "req": req, "path": "/w/x"});
                let dependencies = if member == name {
                    vec![dependency]
                } else {
                    vec![]
                };
                let publish = if member == "acr-other" {
                    Some(Vec::<String>::new())
                } else {
                    None
                };
                json!({"name": member, "dependencies": dependencies, "publish": publish})
            });
        let findings = check_manifests(&json!({ "packages": packages })).into_iter();
        findings.map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn allowed_dependencies_pass() {
        for (name, kind, target, req) in [
            ("acr-client", None, "acr-protocol", "^0.1.0"),
            ("acr-client", Some("dev"), "acr-mock", "*"),
            ("acr-protocol", None, "serde", "^1"),
            ("acr-other", None, "acr-client", "^0.1.0"),
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
            assert!(!found.is_empty(), "{name} -> {target}");
            assert!(
                found.iter().all(|found| found.contains(wanted)),
                "{found:?}"
            );
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
