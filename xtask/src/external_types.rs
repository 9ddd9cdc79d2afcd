//! Which crates' types the public API of acr-client may name, checked on rustdoc's JSON by
//! cargo-check-external-types: a breaking change of any other dependency is then none of ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::{self, Steps};
use crate::tidy;
use crate::tools::EXTERNAL_TYPES;

/// Allowed with any features, next to std. The protocol crate is also re-exported as a whole. The last one is a macro:
/// the attribute for the client's traits.
const ALWAYS: &[&str] = &[
    "acr_clock::*",
    "acr_protocol",
    "acr_protocol::*",
    "bytes::*",
    "futures_core::*",
    "http::*",
    "http_body::*",
    "serde::*",
    "serde_json::*",
    "async_trait::async_trait",
];

/// The features, each on its own, and what more each may bring: the one crate that it adapts.
const SETS: &[Set] = &[
    Set::new("", &[]),
    Set::new("default", &[]),
    Set::new("reqwest", &["reqwest::*"]),
    Set::new("tower", &["tower_service::*"]),
    // azure_core gives types of these two under its own name, such as its `Error`.
    Set::new(
        "azure-core",
        &["azure_core::*", "typespec::*", "typespec_client_core::*"],
    ),
    Set::new("docker-config", &[]),
    Set::new("blocking", &[]),
];

struct Set {
    /// As `--features` takes it.
    features: &'static str,
    adapted: &'static [&'static str],
}

/// Checks every set of the table, and that the table has every feature of the crate.
pub(crate) fn run(steps: &mut Steps) -> Result<(), String> {
    if !steps.can(&EXTERNAL_TYPES) {
        return Ok(());
    }
    let metadata = tidy::metadata(steps.root())?;
    let client = tidy::packages(&metadata).find(|package| package["name"] == "acr-client");
    let features = client.and_then(|client| client["features"].as_object());
    let features = features.ok_or("cargo metadata shows no features of acr-client")?;
    for name in features.keys() {
        if name != "hyper" && !SETS.iter().any(|set| set.features == name) {
            return Err(format!(
                "external types: the feature `{name}` of acr-client is not in the table; \
                 give it a row in xtask/src/external_types.rs"
            ));
        }
    }
    let target = metadata["target_directory"].as_str().unwrap_or("target");
    // A folder of its own: nightly's artifacts are of no use to stable, and the other way round.
    let target = steps.root().join(target).join("external-types");
    fs::create_dir_all(&target).map_err(|error| format!("{}: {error}", target.display()))?;
    for set in SETS {
        match set.check(steps, &target)? {
            Verdict::Passed => {}
            Verdict::Failed(output) => {
                return Err(format!("{output}\nexternal types: {}", set.rule()));
            }
            Verdict::Unreadable => return steps.unfit(&EXTERNAL_TYPES, unreadable()),
        }
    }
    Ok(())
}

impl Set {
    const fn new(features: &'static str, adapted: &'static [&'static str]) -> Self {
        Self { features, adapted }
    }

    fn check(&self, steps: &mut Steps, target: &Path) -> Result<Verdict, String> {
        let config = self.write_config(target)?;
        let mut command = self.command(steps.root(), target, &config);
        steps.step(&format!(
            "cargo +{} check-external-types --manifest-path {MANIFEST} --features \"{}\"",
            cargo::nightly_name(),
            self.features
        ));
        let output = command
            .output()
            .map_err(|error| format!("cannot start `rustup run`: {error}"))?;
        if output.status.success() {
            return Ok(Verdict::Passed);
        }
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(Verdict::of_failure(text))
    }

    /// Names the features even where there are none: asked for `--no-default-features` alone, the tool asks rustdoc
    /// for what the whole workspace makes of the crate.
    fn command(&self, root: &Path, target: &Path, config: &Path) -> Command {
        let mut command = cargo::nightly(root, "cargo");
        command
            .args(["check-external-types", "--manifest-path", MANIFEST])
            .args(["--features", self.features, "--config"])
            .arg(config)
            .env("CARGO_TARGET_DIR", target);
        command
    }

    fn write_config(&self, target: &Path) -> Result<PathBuf, String> {
        let name = if self.features.is_empty() {
            "none"
        } else {
            self.features
        };
        let path = target.join(format!("{name}.toml"));
        fs::write(&path, self.config()).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }

    fn config(&self) -> String {
        let allowed: String = ALWAYS
            .iter()
            .chain(self.adapted)
            .map(|pattern| format!("    \"{pattern}\",\n"))
            .collect();
        format!("allowed_external_types = [\n{allowed}]\n")
    }

    fn rule(&self) -> String {
        let allowed: Vec<&str> = ALWAYS.iter().chain(self.adapted).copied().collect();
        format!(
            "with the features \"{}\" the public API of acr-client may name, next to std, {} alone",
            self.features,
            allowed.join(", ")
        )
    }
}

enum Verdict {
    Passed,
    /// What the tool said.
    Failed(String),
    /// The tool does not know the form of this nightly's JSON.
    Unreadable,
}

impl Verdict {
    fn of_failure(output: String) -> Self {
        if output.contains(OTHER_FORMAT) || output.contains("Failed to parse rustdoc output") {
            Self::Unreadable
        } else {
            Self::Failed(output)
        }
    }
}

fn unreadable() -> String {
    format!(
        "it does not read the rustdoc JSON of the toolchain `{nightly}`: update the one that is older, by `{install}` or \
         `rustup update {nightly}`, or choose the nightly that the tool's README names, by XTASK_NIGHTLY=nightly-<date>",
        nightly = cargo::nightly_name(),
        install = EXTERNAL_TYPES.install,
    )
}

const MANIFEST: &str = "crates/acr-client/Cargo.toml";
const OTHER_FORMAT: &str = "produces JSON format version";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_adds_the_crate_that_it_adapts_and_nothing_else() {
        let config = |features: &str| {
            let set = SETS.iter().find(|set| set.features == features);
            set.expect("in the table").config()
        };
        let none = config("");
        assert!(none.contains("    \"http::*\",\n") && !none.contains("reqwest"));
        assert_eq!(config("default"), none);
        assert_eq!(
            config("reqwest"),
            none.replace("]\n", "    \"reqwest::*\",\n]\n")
        );
    }

    #[test]
    fn no_type_is_allowed_twice() {
        // The tool takes two patterns for one type as a mistake.
        for set in SETS {
            let mut all: Vec<&str> = ALWAYS.iter().chain(set.adapted).copied().collect();
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), count, "{}", set.features);
        }
    }

    #[test]
    fn no_features_are_asked_for_by_name() {
        let command = SETS[0].command(Path::new("/w"), Path::new("/w/t"), Path::new("/w/c.toml"));
        let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
        let at = arguments
            .iter()
            .position(|argument| argument == "--features");
        assert_eq!(arguments[at.expect("there") + 1], "");
    }

    #[test]
    fn another_format_of_the_json_is_told_from_a_finding() {
        let other = "The version of rustdoc being used produces JSON format version 60, but this tool requires";
        assert!(matches!(
            Verdict::of_failure(other.to_owned()),
            Verdict::Unreadable
        ));
        let finding = "error: Unapproved external type `url::Url` referenced in public API";
        assert!(matches!(
            Verdict::of_failure(finding.to_owned()),
            Verdict::Failed(_)
        ));
    }
}
