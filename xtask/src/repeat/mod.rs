//! `cargo xtask test --repeat N [FILTER]`: the same tests again and again, to find those that fail by chance.
//!
//! The programs are built once, with all features, and then started as cargo starts them: one after the other, each in
//! its package's folder. Doc tests are left out, since rustdoc builds them anew each time.

mod program;
mod results;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use self::program::{Program, Selection};
use self::results::{Outcome, Results};
use crate::cargo::{self, Steps};
use crate::tidy;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options<'a> {
    runs: u32,
    /// The name of a target, or a part of tests' names; `None` for all of them.
    filter: Option<&'a str>,
}

impl<'a> Options<'a> {
    /// Reads what follows `cargo xtask test`.
    pub(crate) fn parse(arguments: &[&'a str]) -> Result<Self, String> {
        let (mut runs, mut filter) = (None, None);
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match *argument {
                "--repeat" if runs.is_none() => {
                    let number = rest.next().and_then(|text| text.parse().ok());
                    let number = number.filter(|number| *number > 0);
                    runs = Some(number.ok_or("test: --repeat wants a number from 1 on")?);
                }
                text if !text.starts_with('-') && filter.is_none() => filter = Some(text),
                extra => return Err(format!("test: unexpected argument `{extra}`")),
            }
        }
        match runs {
            Some(runs) => Ok(Self { runs, filter }),
            None => Err("test: what is to be run is chosen with --repeat N only".to_owned()),
        }
    }
}

/// Runs the task; what went wrong is printed.
pub(crate) fn run(root: &Path, options: &Options<'_>) -> ExitCode {
    match repeat(root, options) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("xtask test: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn repeat(root: &Path, options: &Options<'_>) -> Result<String, String> {
    Steps::new("test", root.to_owned()).fetch()?;
    let metadata = tidy::metadata(root)?;
    let selection = Selection::of(&metadata, options.filter);
    let programs = program::build(root, &selection)?;
    let logs = root.join("target/repeat");
    fs::create_dir_all(&logs).map_err(|error| format!("{}: {error}", logs.display()))?;
    let started = Instant::now();
    let mut first: Option<Results> = None;
    for number in 1..=options.runs {
        let threads = threads_of(number);
        let begun = Instant::now();
        let results = run_all(&programs, &selection, threads, &logs)?;
        let tests = results.len();
        println!(
            "run {number} of {}: {threads} thread(s), {tests} tests, {:.1} s",
            options.runs,
            begun.elapsed().as_secs_f64()
        );
        if tests == 0 {
            let filter = options.filter.unwrap_or_default();
            return Err(format!("no test's or target's name matches `{filter}`"));
        }
        let first = first.get_or_insert_with(|| results.clone());
        let differences = results.differences(first);
        if !differences.is_empty() {
            return Err(format!(
                "run {number} differs, with {threads} thread(s):\n  {}",
                differences.join("\n  ")
            ));
        }
    }
    Ok(format!(
        "xtask test: {} runs of {} tests passed in {} s, doc tests left out",
        options.runs,
        first.map_or(0, |first| first.len()),
        started.elapsed().as_secs()
    ))
}

/// One, two and eight in turn: alone, beside one other, and more than most machines have cores.
fn threads_of(run: u32) -> u32 {
    [1, 2, 8][(run as usize - 1) % 3]
}

/// Runs every program once. Ends at the first that fails, with what it printed.
fn run_all(
    programs: &[Program],
    selection: &Selection<'_>,
    threads: u32,
    logs: &Path,
) -> Result<Results, String> {
    let mut results = Results::default();
    for program in programs {
        let log = logs.join(format!("{}.log", program.label().replace(' ', "-")));
        let status = run_one(program, selection.tests(), threads, &log)?;
        let said = fs::read(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let said = String::from_utf8_lossy(&said);
        let read = results::read(&said);
        if let (Some(status), Ok(tests)) = (status, &read)
            && status.success()
        {
            results.add(&program.label(), tests);
            continue;
        }
        println!("{said}");
        let failed = read.as_ref().ok().into_iter().flatten();
        let failed = failed.filter(|(_, outcome)| **outcome == Outcome::Failed);
        let mut again: Vec<String> = failed
            .map(|(name, _)| program.again(Some(name), threads))
            .collect();
        if again.is_empty() {
            again.push(program.again(None, threads));
        }
        let how = match (status, read) {
            (None, _) => format!("did not end within {} s", MAX_RUN_TIME.as_secs()),
            (Some(status), Err(problem)) => format!("{problem} ({status})"),
            (Some(status), Ok(_)) => format!("failed ({status})"),
        };
        return Err(format!(
            "{} {how}, with {threads} thread(s); again by:\n  {}",
            program.label(),
            again.join("\n  ")
        ));
    }
    Ok(results)
}

/// Runs a program with its output in a file, which what it starts may keep open. `None`: it had to be ended.
fn run_one(
    program: &Program,
    tests: Option<&str>,
    threads: u32,
    log: &Path,
) -> Result<Option<ExitStatus>, String> {
    let unusable = |error: std::io::Error| format!("{}: {error}", log.display());
    let file = File::create(log).map_err(unusable)?;
    let mut command = Command::new(program.path());
    cargo::in_folder(&mut command, program.folder());
    command
        .args(tests)
        .args(["--test-threads", &threads.to_string()])
        // As cargo says it to them.
        .env("CARGO_MANIFEST_DIR", program.folder())
        .stdin(Stdio::null())
        .stdout(file.try_clone().map_err(unusable)?)
        .stderr(file);
    let lost = |error: std::io::Error| format!("{}: {error}", program.path().display());
    let mut child = command.spawn().map_err(lost)?;
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(lost)? {
            return Ok(Some(status));
        }
        if started.elapsed() > MAX_RUN_TIME {
            child.kill().map_err(lost)?;
            child.wait().map_err(lost)?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// How long one program may run. The slowest takes half a minute on two cores.
const MAX_RUN_TIME: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_one_filter_are_taken_in_any_order() {
        let options = |runs, filter| Ok(Options { runs, filter });
        assert_eq!(Options::parse(&["--repeat", "3"]), options(3, None));
        for arguments in [
            ["--repeat", "20", "regressions"],
            ["regressions", "--repeat", "20"],
        ] {
            assert_eq!(Options::parse(&arguments), options(20, Some("regressions")));
        }
    }

    #[test]
    fn malformed_arguments_are_refused() {
        for arguments in [
            &["regressions"][..],
            &["--repeat"],
            &["--repeat", "0"],
            &["--repeat", "often"],
            &["--repeat", "1", "--repeat", "2"],
            &["--repeat", "1", "regressions", "suite"],
            &["--repeat", "1", "--release"],
        ] {
            assert!(Options::parse(arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn runs_have_one_two_and_eight_threads_in_turn() {
        let threads: Vec<u32> = (1..=7).map(threads_of).collect();
        assert_eq!(threads, [1, 2, 8, 1, 2, 8, 1]);
    }
}
