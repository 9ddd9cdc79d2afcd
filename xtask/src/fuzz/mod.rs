//! `cargo xtask fuzz`: libFuzzer on the functions of acr-fuzz, where the tools for it are there.
//!
//! What it writes is below `target/fuzz`: the inputs that reached something new, those that break a property, and what
//! the programs said. The files of `fixtures/fuzz` are read and never written.

mod outcome;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use self::outcome::Outcome;
use crate::cargo;
use crate::fixtures;
use crate::tools::FUZZ;

/// The fuzz crate's folder.
const CRATE: &str = "crates/fuzz";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options<'a> {
    /// One function; `None` for all of them.
    target: Option<&'a str>,
    /// How long each is run.
    seconds: u32,
}

impl<'a> Options<'a> {
    /// Reads what follows `cargo xtask fuzz`.
    pub(crate) fn parse(arguments: &[&'a str]) -> Result<Self, String> {
        let mut options = Self {
            target: None,
            seconds: 10,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match *argument {
                "--seconds" => {
                    let seconds = rest.next().and_then(|text| text.parse().ok());
                    options.seconds = seconds
                        .filter(|seconds| *seconds > 0)
                        .ok_or("fuzz: --seconds wants a number from 1 on")?;
                }
                target if !target.starts_with('-') && options.target.is_none() => {
                    options.target = Some(target);
                }
                extra => return Err(format!("fuzz: unexpected argument `{extra}`")),
            }
        }
        Ok(options)
    }
}

/// Runs the task and says how it ended, as the other tasks with other people's programs do: 3 is for skipped.
pub(crate) fn run(root: &Path, options: &Options<'_>) -> ExitCode {
    let ended = match targets(root) {
        Ok(all) => match options.target {
            Some(name) if !all.iter().any(|target| target == name) => {
                eprintln!(
                    "cargo xtask fuzz: there is no target `{name}`, only {}",
                    all.join(", ")
                );
                return ExitCode::from(2);
            }
            Some(name) => run_targets(root, &[name.to_owned()], options.seconds),
            None => run_targets(root, &all, options.seconds),
        },
        Err(failure) => Err(failure),
    };
    match ended {
        Ok(Ended::Passed(line)) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Ok(Ended::Found(line)) => {
            println!("{line}");
            ExitCode::FAILURE
        }
        Ok(Ended::Skipped(reason)) => {
            println!("skipped: {reason}");
            ExitCode::from(3)
        }
        Err(failure) => {
            eprintln!("xtask fuzz: {failure}");
            ExitCode::FAILURE
        }
    }
}

enum Ended {
    Passed(String),
    Found(String),
    Skipped(String),
}

/// The names of the programs, which are those of the functions.
fn targets(root: &Path) -> Result<Vec<String>, String> {
    let paths = fixtures::entries(&root.join(CRATE).join("src/bin"))?;
    Ok(paths
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect())
}

fn run_targets(root: &Path, targets: &[String], seconds: u32) -> Result<Ended, String> {
    let lacking = FUZZ.lacking(root);
    if !lacking.is_empty() {
        return Ok(Ended::Skipped(format!(
            "a tool is missing ({})",
            lacking.join("; ")
        )));
    }
    let started = Instant::now();
    // cargo-fuzz builds one program, if it is named, or all.
    let programs = build(root, if targets.len() == 1 { targets } else { &[] })?;
    let (mut runs, mut failed) = (0, Vec::new());
    for target in targets {
        let outcome = run_target(root, &programs, target, seconds)?;
        println!("{}", outcome.line(target));
        runs += outcome.runs;
        if !outcome.is_ok() {
            failed.push(target.as_str());
        }
    }
    let all = targets.len();
    if failed.is_empty() {
        let seconds = started.elapsed().as_secs();
        return Ok(Ended::Passed(format!(
            "xtask fuzz: {all} target(s), {runs} runs, nothing found, in {seconds} s"
        )));
    }
    Ok(Ended::Found(format!(
        "xtask fuzz: {} of {all} target(s) failed: {}",
        failed.len(),
        failed.join(", ")
    )))
}

/// Builds the programs and gives the folder that they are in.
fn build(root: &Path, targets: &[String]) -> Result<PathBuf, String> {
    let host = host(root)?;
    // This is the only step that may need the network.
    let mut fetch = cargo::command(root);
    fetch.args(["fetch", "--locked"]);
    cargo::succeed(fetch, "cargo fetch")?;
    let folder = root.join("target/fuzz/build");
    let mut build = cargo::toolchain(root, &cargo::nightly(), "cargo");
    build
        .args(["fuzz", "build", "--target", &host, "--fuzz-dir", CRATE])
        .arg("--target-dir")
        .arg(&folder)
        .args(targets)
        .env("CARGO_NET_OFFLINE", "true");
    println!("[build] cargo +{} fuzz build", cargo::nightly());
    cargo::succeed(build, "cargo fuzz build")?;
    Ok(folder.join(host).join("release"))
}

/// The platform that the nightly toolchain builds for.
fn host(root: &Path) -> Result<String, String> {
    let output = cargo::toolchain(root, &cargo::nightly(), "rustc")
        .arg("-vV")
        .output()
        .map_err(|error| format!("cannot start `rustup run`: {error}"))?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| "`rustc -vV` names no host".to_owned())
}

fn run_target(root: &Path, programs: &Path, target: &str, seconds: u32) -> Result<Outcome, String> {
    let own = root.join("target/fuzz");
    let folder = |name: &str| {
        let folder = own.join(name).join(target);
        fs::create_dir_all(&folder)
            .map_err(|error| format!("{}: {error}", folder.display()))
            .map(|()| folder)
    };
    let (corpus, found) = (folder("corpus")?, folder("found")?);
    let log = own.join(format!("{target}.log"));
    let unusable = |error: std::io::Error| format!("{}: {error}", log.display());
    let file = File::create(&log).map_err(unusable)?;
    let program = programs.join(target);
    let started = Instant::now();
    let status = Command::new(&program)
        // New inputs go to the first folder.
        .arg(&corpus)
        .arg(root.join("fixtures/fuzz").join(target))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", found.display()))
        .args(["-print_final_stats=1", "-max_len=4096", "-timeout=10"])
        .env("RUST_BACKTRACE", "0")
        .current_dir(root)
        .stdout(file.try_clone().map_err(unusable)?)
        .stderr(file)
        .status()
        .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    let said = fs::read(&log).map_err(unusable)?;
    let said = String::from_utf8_lossy(&said);
    Ok(Outcome::read(
        status.success(),
        &said,
        started.elapsed().as_secs(),
        &program,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_run_for_ten_seconds_unless_told_otherwise() {
        let options = |target, seconds| Ok(Options { target, seconds });
        assert_eq!(Options::parse(&[]), options(None, 10));
        assert_eq!(Options::parse(&["link"]), options(Some("link"), 10));
        for arguments in [["--seconds", "60", "link"], ["link", "--seconds", "60"]] {
            assert_eq!(Options::parse(&arguments), options(Some("link"), 60));
        }
    }

    #[test]
    fn malformed_arguments_are_refused() {
        for arguments in [
            &["--seconds"][..],
            &["--seconds", "0"],
            &["--seconds", "soon"],
            &["--minutes", "1"],
            &["link", "location"],
        ] {
            assert!(Options::parse(arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn targets_are_the_programs_of_the_fuzz_crate() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let targets = targets(&root).expect("readable");
        assert!(targets.contains(&"challenge".to_owned()), "{targets:?}");
        assert!(targets.is_sorted());
    }
}
