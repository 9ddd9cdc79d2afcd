//! Tasks of this repository that `cargo` alone cannot do. Run `cargo xtask help` for the list.
//!
//! Exit codes: 0 done, 1 something failed, 2 bad usage; `interop` and `conformance` pass on the code of
//! the program that they start, where 3 means skipped.

mod cargo;
mod check;
mod fixtures;
mod harness;
mod package;
mod report;
mod test;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cargo::Steps;

const HELP: &str = "\
Usage: cargo xtask <COMMAND>

  test                        everything hermetic: tests with all features and with none, doc tests, fixtures
  check                       formatting, lints, docs, repository rules, packaging
  ci                          test, then check
  tidy                        the repository rules alone: layering, dependency trees, source files
  fixtures [--check]          list the fixtures, or verify their digests, sizes and form
  bench requests              how many requests the client's work costs on the wire
  fidelity [FILE...]          replay recorded exchanges on acr-mock and compare the answers to the byte; without FILE
                              those of fixtures/
  interop python|skopeo ..    try another program against acr-mock (exit code 3: skipped)
  conformance [--suite PATH] [--results FOLDER]
                              the OCI conformance suite on acr-mock in both profiles; PATH is the built suite,
                              otherwise OCI_CONFORMANCE_SUITE names it (exit code 3: there is none)
  help                        this text

test and check begin with `cargo fetch --locked`, unless CARGO_NET_OFFLINE=true; after that they need no network.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = workspace_root();
    let outcome = match arguments.as_slice() {
        ["test"] => Steps::new("test", root).run(&[test::run]),
        ["check"] => Steps::new("check", root).run(&[check::run]),
        ["ci"] => Steps::new("ci", root).run(&[test::run, check::run]),
        ["tidy"] => Steps::new("tidy", root).run(&[tidy::run]),
        ["fixtures"] => fixtures::list(&root),
        ["fixtures", "--check"] => Steps::new("fixtures --check", root).run(&[fixtures::check]),
        ["interop", "python" | "skopeo", ..] => {
            return harness::run(&root, "interop", &arguments[1..]);
        }
        ["interop", ..] => return usage("interop wants one of: python, skopeo"),
        ["bench", "requests"] => return harness::run(&root, "bench", &arguments[1..]),
        ["bench", ..] => return usage("bench wants one of: requests"),
        ["fidelity", rest @ ..] => return harness::run(&root, "fidelity", rest),
        ["conformance", rest @ ..] => return harness::run(&root, "conformance", rest),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        [
            "test" | "check" | "ci" | "tidy" | "fixtures" | "help",
            extra,
            ..,
        ] => {
            return usage(&format!("unexpected argument `{extra}`"));
        }
        [unknown, ..] => return usage(&format!("unknown command `{unknown}`")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("cargo xtask: {problem}\n\n{HELP}");
    ExitCode::from(2)
}

/// The folder that holds the workspace's `Cargo.toml`, so that every task works from any sub-folder.
fn workspace_root() -> PathBuf {
    // cargo sets the variable when it runs a program; the compiled-in path serves who starts the binary by hand.
    let own = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    own.parent().map_or(own.clone(), PathBuf::from)
}
