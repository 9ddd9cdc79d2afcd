//! `cargo xtask fuzz`: libFuzzer on the functions of the fuzz crate, from the inputs in `fixtures/fuzz`.

use std::fs;
use std::path::PathBuf;

use crate::cargo::{self, Steps};

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

/// Runs every target, and fails if something was found in one of them. Where git does not look, cargo-fuzz keeps the
/// inputs that reached something new in `corpus`, and those that break a property in `artifacts`.
pub(crate) fn run(root: PathBuf, options: &Options<'_>) -> Result<(), String> {
    let mut steps = Steps::new("fuzz", root);
    steps.fetch()?;
    let mut targets = targets(&steps)?;
    if let Some(wanted) = options.target {
        if !targets.iter().any(|target| target == wanted) {
            let known = targets.join(", ");
            return Err(format!(
                "xtask fuzz: `{wanted}` is not a target; there are {known}"
            ));
        }
        targets = vec![wanted.to_owned()];
    }
    let time = format!("-max_total_time={}", options.seconds);
    let mut failed = Vec::new();
    for target in targets {
        let corpus = format!("{CRATE}/corpus/{target}");
        fs::create_dir_all(steps.root().join(&corpus))
            .map_err(|error| format!("{corpus}: {error}"))?;
        // New inputs go to the first folder.
        let run = ["fuzz", "run", "--fuzz-dir", CRATE, &target, &corpus];
        let inputs = format!("fixtures/fuzz/{target}");
        let limits = [&inputs, "--", &time, "-max_len=4096", "-timeout=10"];
        let offline = [("CARGO_NET_OFFLINE", "true")];
        let ended = steps.cargo_of(&cargo::nightly(), &offline, &[&run[..], &limits].concat());
        failed.extend(ended.err().map(|_| target));
    }
    if failed.is_empty() {
        println!("xtask fuzz: nothing found");
        return Ok(());
    }
    Err(format!("xtask fuzz: failed: {}", failed.join(", ")))
}

/// The names of the programs, which are those of the functions.
fn targets(steps: &Steps) -> Result<Vec<String>, String> {
    let folder = steps.root().join(CRATE).join("src/bin");
    let unreadable = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut targets = Vec::new();
    for entry in fs::read_dir(&folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        targets.extend(
            path.file_stem()
                .map(|stem| stem.to_string_lossy().into_owned()),
        );
    }
    targets.sort();
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_run_for_ten_seconds_by_default() {
        let options = |target, seconds| Ok(Options { target, seconds });
        assert_eq!(Options::parse(&[]), options(None, 10));
        assert_eq!(Options::parse(&["link"]), options(Some("link"), 10));
        for arguments in [["--seconds", "60", "link"], ["link", "--seconds", "60"]] {
            assert_eq!(Options::parse(&arguments), options(Some("link"), 60));
        }
    }

    #[test]
    fn malformed_arguments_are_rejected() {
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
}
