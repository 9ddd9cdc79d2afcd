//! Which test programs there are, and how they are built and named.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::cargo;
use crate::tidy::packages;

/// Which tests are run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selection<'a> {
    All,
    /// The targets of this name, each with all its tests.
    Targets {
        name: &'a str,
        places: Vec<Place>,
    },
    /// The tests with this in their names, in all targets.
    Tests(&'a str),
}

/// Where cargo finds a target.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    package: String,
    /// Cargo's option for the target: `--test regressions`.
    option: Vec<String>,
    /// Whether the package has examples, which its tests may start.
    has_examples: bool,
}

impl<'a> Selection<'a> {
    /// A filter that is the name of a target with tests means the target; any other is part of tests' names.
    pub(super) fn of(metadata: &Value, filter: Option<&'a str>) -> Self {
        let Some(name) = filter else {
            return Self::All;
        };
        let mut places = Vec::new();
        for package in packages(metadata) {
            let targets = || package["targets"].as_array().into_iter().flatten();
            let own = targets().filter(|target| target["name"] == name && target["test"] == true);
            places.extend(own.map(|target| Place {
                package: text(&package["name"]),
                option: option_of(target),
                has_examples: targets().any(|target| target["kind"][0] == "example"),
            }));
        }
        if places.is_empty() {
            Self::Tests(name)
        } else {
            Self::Targets { name, places }
        }
    }

    /// What is given to each program as the part of a test's name.
    pub(super) fn tests(&self) -> Option<&'a str> {
        match self {
            Self::Tests(part) => Some(part),
            Self::All | Self::Targets { .. } => None,
        }
    }

    /// What cargo is asked to build. xtask is apart, for the reason that `cargo xtask test` has.
    fn builds(&self) -> Vec<Vec<String>> {
        let all = ["--workspace", "--exclude", "xtask", "--all-features"];
        let (all, own) = (
            all.map(str::to_owned),
            ["--package", XTASK].map(str::to_owned),
        );
        let Self::Targets { places, .. } = self else {
            return vec![all.into(), own.into()];
        };
        let (in_xtask, others): (Vec<_>, Vec<_>) =
            places.iter().partition(|place| place.package == XTASK);
        let mut builds = Vec::new();
        if !others.is_empty() {
            let mut arguments: Vec<String> = all.into();
            for place in &others {
                if !arguments.ends_with(&place.option) {
                    arguments.extend(place.option.iter().cloned());
                }
            }
            if others.iter().any(|place| place.has_examples) {
                arguments.push("--examples".to_owned());
            }
            builds.push(arguments);
        }
        builds.extend((!in_xtask.is_empty()).then(|| own.into()));
        builds
    }

    fn wants(&self, program: &Program) -> bool {
        match self {
            Self::Targets { name, .. } => program.target == *name,
            Self::All | Self::Tests(_) => true,
        }
    }
}

/// A program that holds the tests of one target.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Program {
    package: String,
    target: String,
    option: Vec<String>,
    path: PathBuf,
    folder: PathBuf,
}

impl Program {
    /// Reads one of cargo's messages, if it is about such a program.
    fn read(message: &Value) -> Option<Self> {
        if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
            return None;
        }
        let folder = Path::new(message["manifest_path"].as_str()?).parent()?;
        Some(Self {
            // The packages of this workspace are in folders of their own names.
            package: folder.file_name()?.to_str()?.to_owned(),
            target: text(&message["target"]["name"]),
            option: option_of(&message["target"]),
            path: message["executable"].as_str()?.into(),
            folder: folder.to_owned(),
        })
    }

    /// Which one it is, in words: `acr-client regressions`, `acr-client lib`.
    pub(super) fn label(&self) -> String {
        let target = self.option.join(" ");
        let target = target.trim_start_matches('-').trim_start_matches("test ");
        format!("{} {target}", self.package)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where cargo runs it.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The command that runs it, or one of its tests, once more.
    pub(super) fn again(&self, test: Option<&str>, threads: u32) -> String {
        let exact = test.map_or(String::new(), |test| format!(" --exact {test}"));
        format!(
            "cargo test --package {} --all-features {} --{exact} --test-threads {threads}",
            self.package,
            self.option.join(" ")
        )
    }
}

/// Builds the programs, in the order in which cargo names them.
pub(super) fn build(root: &Path, selection: &Selection<'_>) -> Result<Vec<Program>, String> {
    let mut programs = Vec::new();
    for arguments in selection.builds() {
        let shown = format!("cargo test --no-run {}", arguments.join(" "));
        println!("[build] {shown}");
        let output = cargo::offline(root)
            .args(["test", "--no-run", "--locked", "--offline"])
            .arg("--message-format=json-render-diagnostics")
            .args(&arguments)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("cannot start `{shown}`: {error}"))?;
        if !output.status.success() {
            return Err(format!("`{shown}` failed ({})", output.status));
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        let messages = messages
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let built = messages.filter_map(|message| Program::read(&message));
        programs.extend(built.filter(|program| selection.wants(program)));
    }
    // Cargo tells of them as they are done.
    programs.sort_by_key(Program::label);
    Ok(programs)
}

fn option_of(target: &Value) -> Vec<String> {
    let name = text(&target["name"]);
    match target["kind"][0].as_str() {
        Some(kind @ ("test" | "bin" | "example" | "bench")) => vec![format!("--{kind}"), name],
        _ => vec!["--lib".to_owned()],
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

const XTASK: &str = "xtask";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata() -> Value {
        let target = |kind: &str, name: &str| json!({"kind": [kind], "name": name, "test": kind != "example"});
        json!({"packages": [
            {"name": "acr-client", "targets": [
                target("lib", "acr_client"), target("test", "regressions"), target("test", "record")
            ]},
            {"name": "acr-harness", "targets": [
                target("lib", "acr_harness"), target("test", "record"), target("example", "quickstart"),
                target("test", "quickstart")
            ]},
            {"name": "xtask", "targets": [target("bin", "xtask")]}
        ]})
    }

    fn builds(filter: &str) -> Vec<String> {
        let builds = Selection::of(&metadata(), Some(filter)).builds();
        builds.iter().map(|build| build.join(" ")).collect()
    }

    const ALL: &str = "--workspace --exclude xtask --all-features";

    #[test]
    fn a_filter_that_names_a_target_runs_all_its_tests() {
        let metadata = metadata();
        let selection = Selection::of(&metadata, Some("regressions"));
        assert!(
            matches!(&selection, Selection::Targets { name: "regressions", places } if places.len() == 1)
        );
        assert_eq!(selection.tests(), None);
        assert_eq!(builds("regressions"), [format!("{ALL} --test regressions")]);
        assert_eq!(builds("acr_client"), [format!("{ALL} --lib")]);
    }

    #[test]
    fn any_other_filter_is_part_of_tests_names_in_all_targets() {
        for filter in ["job", "demand", "acr-client"] {
            let metadata = metadata();
            let selection = Selection::of(&metadata, Some(filter));
            assert_eq!(selection, Selection::Tests(filter));
            assert_eq!(selection.tests(), Some(filter));
            assert_eq!(builds(filter), [ALL, "--package xtask"]);
        }
    }

    #[test]
    fn a_name_of_two_targets_runs_both_with_what_they_start() {
        let built = [format!("{ALL} --test record --examples")];
        assert_eq!(builds("record"), built);
        assert_eq!(builds("xtask"), ["--package xtask"]);
    }

    #[test]
    fn programs_are_read_from_cargos_messages() {
        let message = |kind: &str, name: &str, test: bool| {
            json!({
                "reason": "compiler-artifact",
                "manifest_path": "/w/crates/acr-client/Cargo.toml",
                "target": {"kind": [kind], "name": name},
                "profile": {"test": test},
                "executable": "/w/target/debug/deps/x-1"
            })
        };
        let program = Program::read(&message("test", "regressions", true)).expect("a test program");
        assert_eq!(program.label(), "acr-client regressions");
        assert_eq!(program.folder(), Path::new("/w/crates/acr-client"));
        assert_eq!(
            program.again(Some("job::holds"), 8),
            "cargo test --package acr-client --all-features --test regressions -- --exact job::holds --test-threads 8"
        );
        let unit = Program::read(&message("lib", "acr_client", true)).expect("a test program");
        assert_eq!(unit.label(), "acr-client lib");
        assert_eq!(
            unit.again(None, 1),
            "cargo test --package acr-client --all-features --lib -- --test-threads 1"
        );
        let binary = Program::read(&message("bin", "acr-mock", true)).expect("a test program");
        assert_eq!(binary.label(), "acr-client bin acr-mock");
        assert_eq!(Program::read(&message("bin", "acr-mock", false)), None);
        assert_eq!(Program::read(&json!({"reason": "build-finished"})), None);
    }
}
