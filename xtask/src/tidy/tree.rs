//! What may not be in the dependency tree of a crate without its default features: a runtime, an HTTP stack, a
//! command line parser. The cores of client and mock name no runtime, and the protocol crate does no I/O.

use std::path::Path;

use crate::cargo;
use crate::report::Finding;

const RULE: &str = "dependency-tree";

/// A crate and the packages it must do without; `*` at the end stands for any rest.
struct Ban {
    name: &'static str,
    without: &'static [&'static str],
}

const BANS: &[Ban] = &[
    Ban {
        name: "acr-clock",
        without: &["tokio*", "futures*", "mio"],
    },
    Ban {
        name: "acr-protocol",
        without: &["tokio*", "hyper*", "futures*", "async-*", "mio"],
    },
    Ban {
        name: "acr-client",
        without: &["tokio*", "hyper*", "mio"],
    },
    Ban {
        name: "acr-mock",
        without: &["tokio*", "hyper*", "mio", "clap*"],
    },
    Ban {
        name: "acr-record",
        without: &[
            "acr-client",
            "acr-protocol",
            "tokio*",
            "hyper*",
            "futures*",
            "async-*",
            "mio",
        ],
    },
];

/// Asks `cargo tree` for each crate of the table.
pub(super) fn check(root: &Path) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for ban in BANS {
        let arguments = [
            "tree",
            "--edges",
            "normal",
            "--no-default-features",
            "--prefix",
            "depth",
            "--package",
            ban.name,
        ];
        findings.extend(ban.check(&cargo::ask(root, &arguments)?));
    }
    Ok(findings)
}

impl Ban {
    /// Checks the text of `cargo tree --prefix depth`: lines of a depth, a name, a version.
    fn check(&self, tree: &str) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        let mut chain: Vec<&str> = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for line in tree.lines() {
            let digits = line.chars().take_while(char::is_ascii_digit).count();
            let (depth, package) = line.split_at(digits);
            let Ok(depth) = depth.parse::<usize>() else {
                continue; // An empty line between two trees.
            };
            let name = package.split(' ').next().unwrap_or_default();
            chain.truncate(depth);
            chain.push(name);
            if self.is_banned(name) && !seen.contains(&name) {
                seen.push(name);
                findings.push(Finding::new(
                    RULE,
                    self.name,
                    format!(
                        "without default features must not depend on {name}, but: {}",
                        chain.join(" -> ")
                    ),
                ));
            }
        }
        if chain.is_empty() {
            findings.push(Finding::new(RULE, self.name, "cargo tree printed no tree"));
        }
        findings
    }

    fn is_banned(&self, name: &str) -> bool {
        self.without
            .iter()
            .any(|banned| match banned.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == *banned,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn ban(name: &str) -> &'static Ban {
        BANS.iter()
            .find(|ban| ban.name == name)
            .expect("in the table")
    }

    #[test]
    fn clean_tree_passes() {
        let tree = "0acr-client v0.1.0 (/w/crates/acr-client)\n\
                    1acr-protocol v0.1.0 (/w/crates/acr-protocol)\n\
                    2serde v1.0.0\n\
                    1async-trait v0.1.0 (proc-macro)\n\
                    1futures-core v0.3.0\n";
        assert_eq!(ban("acr-client").check(tree), []);
    }

    #[test]
    fn runtime_deep_in_the_tree_is_found_with_the_way_to_it() {
        let tree = "0acr-client v0.1.0 (/w/crates/acr-client)\n\
                    1http v1.0.0\n\
                    1helper v2.0.0\n\
                    2tokio-util v0.7.0\n\
                    3tokio v1.0.0\n\
                    1other v1.0.0\n\
                    2tokio v1.0.0 (*)\n";
        let findings = ban("acr-client").check(tree);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert_eq!(
            findings[1].to_string(),
            "[dependency-tree] acr-client: without default features must not depend on tokio, but: \
             acr-client -> helper -> tokio-util -> tokio"
        );
    }

    #[test]
    fn each_crate_has_its_own_bans() {
        for (name, package, banned) in [
            ("acr-protocol", "futures-core", true),
            ("acr-protocol", "async-trait", true),
            ("acr-client", "async-trait", false),
            ("acr-client", "hyper-util", true),
            ("acr-client", "clap", false),
            ("acr-mock", "clap_builder", true),
            ("acr-mock", "http-body", false),
        ] {
            assert_eq!(ban(name).is_banned(package), banned, "{name}: {package}");
        }
    }

    #[test]
    fn an_empty_response_is_no_success() {
        assert_eq!(ban("acr-mock").check("").len(), 1);
    }
}
