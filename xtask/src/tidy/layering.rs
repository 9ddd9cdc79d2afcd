//! The layering rule: the clock and the protocol crate stand alone, client and mock stand on it side by side, recordings on the
//! client, the harness on all.
//!
//! It keeps the two sides honest: a mock that used the client's code would agree with the client's mistakes.

use serde_json::Value;

use super::packages;
use crate::report::Finding;

const RULE: &str = "layering";

/// What a member may depend on among the members.
struct Layer {
    name: &'static str,
    may_use: &'static [&'static str],
    /// Allowed in `[dev-dependencies]` alone and by path without a version: cargo then leaves it out of the package,
    /// so that the crate can be published before the other one.
    may_test_with: &'static [&'static str],
}

const LAYERS: &[Layer] = &[
    Layer {
        name: "acr-clock",
        may_use: &[],
        may_test_with: &[],
    },
    Layer {
        name: "acr-protocol",
        may_use: &[],
        may_test_with: &["acr-record"],
    },
    Layer {
        name: "acr-client",
        may_use: &["acr-clock", "acr-protocol"],
        may_test_with: &["acr-mock", "acr-record"],
    },
    Layer {
        name: "acr-mock",
        may_use: &["acr-clock", "acr-protocol"],
        may_test_with: &[],
    },
    Layer {
        name: "acr-record",
        may_use: &["acr-client"],
        may_test_with: &["acr-mock"],
    },
    Layer {
        name: "acr-harness",
        may_use: &[
            "acr-clock",
            "acr-protocol",
            "acr-client",
            "acr-mock",
            "acr-record",
        ],
        may_test_with: &[],
    },
    Layer {
        name: "xtask",
        may_use: &["acr-record"],
        may_test_with: &[],
    },
];

/// Checks the output of `cargo metadata --no-deps`.
pub(super) fn check(metadata: &Value) -> Vec<Finding> {
    let members: Vec<&str> = packages(metadata)
        .filter_map(|package| package["name"].as_str())
        .collect();
    let mut findings = Vec::new();
    for package in packages(metadata) {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
            findings.push(Finding::new(
                RULE,
                name,
                "is a member that the layering rule does not know; give it a row in xtask/src/tidy/layering.rs",
            ));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let target = dependency["name"].as_str().unwrap_or_default();
            if members.contains(&target)
                && let Some(problem) = layer.problem(target, dependency)
            {
                findings.push(Finding::new(RULE, format!("{name} -> {target}"), problem));
            }
        }
    }
    findings
}

impl Layer {
    fn problem(&self, target: &str, dependency: &Value) -> Option<String> {
        if self.may_use.contains(&target) {
            return None;
        }
        if !self.may_test_with.contains(&target) {
            let allowed = if self.may_use.is_empty() {
                "no other member".to_owned()
            } else {
                format!("{} only", self.may_use.join(", "))
            };
            return Some(format!("{} may depend on {allowed}", self.name));
        }
        if dependency["kind"].as_str() != Some("dev") {
            return Some(format!(
                "{target} may be a development dependency of {} only",
                self.name
            ));
        }
        if dependency["req"].as_str() != Some("*") || !dependency["path"].is_string() {
            return Some(format!(
                "give {target} by path without a version, or {} cannot be packaged before it is published",
                self.name
            ));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A workspace of the real members, where `name` has one dependency more.
    fn workspace_with(name: &str, dependency: &Value) -> Value {
        let packages: Vec<Value> = LAYERS
            .iter()
            .map(|layer| {
                let more = if layer.name == name {
                    vec![dependency.clone()]
                } else {
                    vec![]
                };
                json!({"name": layer.name, "dependencies": more})
            })
            .collect();
        json!({ "packages": packages })
    }

    fn normal(target: &str) -> Value {
        json!({"name": target, "kind": null, "req": "^0.1.0", "path": "/w/x"})
    }

    #[track_caller]
    fn problem_of(name: &str, dependency: &Value) -> Finding {
        let mut findings = check(&workspace_with(name, dependency));
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings.remove(0)
    }

    #[test]
    fn allowed_dependencies_pass() {
        for (name, target) in [
            ("acr-client", "acr-protocol"),
            ("acr-client", "acr-clock"),
            ("acr-mock", "acr-protocol"),
            ("acr-harness", "acr-client"),
            ("acr-harness", "acr-mock"),
            ("acr-protocol", "serde"),
        ] {
            assert_eq!(
                check(&workspace_with(name, &normal(target))),
                [],
                "{name} -> {target}"
            );
        }
    }

    #[test]
    fn protocol_on_anything_is_refused() {
        let finding = problem_of("acr-protocol", &normal("acr-mock"));
        assert_eq!(
            finding.to_string(),
            "[layering] acr-protocol -> acr-mock: acr-protocol may depend on no other member"
        );
    }

    #[test]
    fn mock_on_client_is_refused_even_for_tests() {
        let mut dependency = normal("acr-client");
        dependency["kind"] = json!("dev");
        let finding = problem_of("acr-mock", &dependency);
        assert_eq!(finding.place, "acr-mock -> acr-client");
        assert!(finding.problem.contains("acr-protocol only"), "{finding}");
    }

    #[test]
    fn xtask_on_a_member_is_refused() {
        assert_eq!(
            problem_of("xtask", &normal("acr-protocol")).rule,
            "layering"
        );
    }

    #[test]
    fn client_may_use_the_mock_in_tests_by_path_only() {
        let dependency = |kind: Value, req: &str| json!({"name": "acr-mock", "kind": kind, "req": req, "path": "/w/m"});
        assert_eq!(
            check(&workspace_with(
                "acr-client",
                &dependency(json!("dev"), "*")
            )),
            []
        );
        let versioned = problem_of("acr-client", &dependency(json!("dev"), "^0.1.0"));
        assert!(
            versioned.problem.contains("without a version"),
            "{versioned}"
        );
        let normal = problem_of("acr-client", &dependency(Value::Null, "*"));
        assert!(
            normal.problem.contains("development dependency"),
            "{normal}"
        );
    }

    #[test]
    fn unknown_member_is_refused() {
        let findings = check(&json!({"packages": [{"name": "acr-extra", "dependencies": []}]}));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].place, "acr-extra");
    }
}
