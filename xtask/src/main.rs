//! Tasks of this repository that `cargo` alone cannot do. Run `cargo xtask help` for the list.
//!
//! Exit codes: 0 done, 1 something failed, 2 bad usage, 3 skipped, of tasks that need what is not there; what
//! acr-verify does ends with its code.

mod cargo;
mod check;
mod external_types;
mod fuzz;
mod package;
mod release;
mod repeat;
mod report;
mod test;
mod tidy;
mod tools;
mod verify;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cargo::Steps;

const HELP: &str = "\
Usage: cargo xtask <COMMAND>

  test                        everything hermetic: tests with all features and with none, doc tests, fixtures
  test --repeat N [FILTER]    the tests N times, built once with all features, with one, two and eight threads in turn;
                              ends at the first run in which a test fails, is missing or is new. FILTER is a part of
                              tests' names, or chooses targets as for `cargo test` (--lib, --test it). Doc tests
                              are left out
  check [--allow-missing-tools]
                              formatting, lints, docs, repository rules, sets of features, types in public APIs, and
                              what a release needs: dependencies, oldest versions, platforms, packages; a tool that
                              is missing is a failure unless allowed, and then the last line names what was not
                              checked
  ci [--allow-missing-tools]  test, then check
  tidy                        the repository rules alone: layering, imports, dependency trees, words, source files
  bench content [--quick]     uploads, downloads and files beside the shortest client that does the same, and beside other
                              clients where they are to be had; up to 25 minutes, built with --release
  bench requests              how many requests the client's work costs on the wire
  bench mock                  what acr-mock costs beside a bare server and, where installed, docker-registry and wrk; up to ten
                              minutes, built with --release
  fidelity [FILE...]          replay recorded exchanges on acr-mock and compare the responses to the byte; without FILE
                              those of fixtures/
  interop python              Microsoft's Python SDK against acr-mock (exit code 3: skipped)
  interop run [--install]     `acr-mock run` around programs in Python, JavaScript, Go and Java that know nothing of it; their
                              packages are installed into the target folder (exit code 3: not without --install)
  interop skopeo [--install] [--crane PATH]
                              skopeo against acr-mock, acr-client against docker-registry and, where PATH names
                              crane, against `crane registry serve` (exit code 3: skipped)
  conformance [--suite PATH] [--results FOLDER]
                              the OCI conformance suite on acr-mock in both profiles; PATH is the built suite,
                              otherwise OCI_CONFORMANCE_SUITE names it (exit code 3: there is none)
  fuzz [TARGET] [--seconds N] libFuzzer on what reads a server's bytes, each target for 10 s or N (exit code 3: cargo-fuzz
                              or a nightly toolchain is missing)
  help                        this text

test and check begin with `cargo fetch --locked`, unless CARGO_NET_OFFLINE=true; after that they need no network.
XTASK_NIGHTLY names another nightly toolchain than `nightly`, such as nightly-2026-05-20.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = workspace_root();
    let outcome = match arguments.as_slice() {
        ["test"] => Steps::new("test", root).run(&[test::run]),
        ["test", rest @ ..] => match repeat::Options::parse(rest) {
            Ok(options) => repeat::run(root, &options),
            Err(problem) => return usage(&problem),
        },
        ["check", rest @ ..] => match allows_missing_tools(rest) {
            Ok(allow) => Steps::new("check", root)
                .allow_missing_tools(allow)
                .run(&[check::equip, check::run]),
            Err(problem) => return usage(&problem),
        },
        ["ci", rest @ ..] => match allows_missing_tools(rest) {
            Ok(allow) => Steps::new("ci", root).allow_missing_tools(allow).run(&[
                check::equip,
                test::run,
                check::run,
            ]),
            Err(problem) => return usage(&problem),
        },
        ["tidy"] => Steps::new("tidy", root).run(&[tidy::run]),
        ["bench" | "conformance" | "fidelity" | "interop", ..] => {
            return verify::run(&root, &arguments);
        }
        ["fuzz", rest @ ..] => match fuzz::Options::parse(rest) {
            Ok(options) => match tools::FUZZ.lacking(&root).as_slice() {
                [] => fuzz::run(root, &options),
                lacking => {
                    println!("skipped: a tool is missing ({})", lacking.join("; "));
                    return ExitCode::from(3);
                }
            },
            Err(problem) => return usage(&problem),
        },
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        ["tidy" | "help", extra, ..] => {
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

/// Reads what follows `check` and `ci`.
fn allows_missing_tools(arguments: &[&str]) -> Result<bool, String> {
    match arguments {
        [] => Ok(false),
        ["--allow-missing-tools"] => Ok(true),
        ["--allow-missing-tools", extra, ..] | [extra, ..] => {
            Err(format!("unexpected argument `{extra}`"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_tools_are_allowed_by_the_flag_alone() {
        assert_eq!(allows_missing_tools(&[]), Ok(false));
        assert_eq!(allows_missing_tools(&["--allow-missing-tools"]), Ok(true));
        for (arguments, extra) in [
            (&["--allow"][..], "--allow"),
            (&["--allow-missing-tools", "x"], "x"),
        ] {
            let refused = Err(format!("unexpected argument `{extra}`"));
            assert_eq!(allows_missing_tools(arguments), refused);
        }
    }
}
