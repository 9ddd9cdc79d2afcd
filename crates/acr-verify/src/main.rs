//! The programs that `cargo xtask` starts, each by its name.
//!
//! Exit codes: 0 as it should be, 1 not so, 2 bad usage or, of `fidelity`, what cannot be read, 3 skipped (the last line
//! says why).

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use acr_verify::bench::requests::Requests;
use acr_verify::bench::{content, memory, mock};
use acr_verify::interop::report::chain;
use acr_verify::interop::{languages, python, skopeo};
use acr_verify::{Ending, conformance, fidelity};

const USAGE: &str = "\
usage: bench content [--quick]
       bench mock
       bench requests
       conformance [--suite PATH] [--results FOLDER]
       fidelity [FILE...]
       interop python
       interop run [--install]
       interop skopeo [--install] [--crane PATH]

`cargo xtask help` says what each of them does";

const NO_SUITE: &str = "\
no OCI conformance suite: name a built one by --suite PATH or OCI_CONFORMANCE_SUITE \
(its source is the folder `conformance` of opencontainers/distribution-spec, its place outside of this repository)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if arguments.iter().any(|word| ["-h", "--help"].contains(word)) {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let outcome = match arguments.as_slice() {
        ["bench", rest @ ..] => bench(rest),
        ["conformance", rest @ ..] => run_conformance(Options(rest.to_vec())),
        ["fidelity", rest @ ..] => replay(Options(rest.to_vec())),
        ["interop", rest @ ..] => interop(rest),
        _ => Err(Ending::BadUsage),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Ending::Failed(failure)) => {
            eprintln!("{}: {}", arguments[0], chain(&*failure));
            ExitCode::from(if arguments[0] == "fidelity" { 2 } else { 1 })
        }
        Err(Ending::BadUsage) => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
        Err(Ending::Skipped(reason)) => {
            println!("skipped: {reason}");
            ExitCode::from(3)
        }
    }
}

fn bench(arguments: &[&str]) -> Result<bool, Ending> {
    match arguments {
        ["requests"] => println!("{}", Requests::count()?),
        ["mock"] => {
            if cfg!(debug_assertions) {
                println!("built without --release, so that the times say little");
            }
            let figures = mock::measure()?;
            let missed = figures.missed();
            for goal in &missed {
                println!("missed: {goal}");
            }
            println!("{figures}");
            return Ok(missed.is_empty());
        }
        ["content", rest @ ..] => {
            let mut options = Options(rest.to_vec());
            let is_quick = options.flag("--quick");
            options.end()?;
            return measure_content(is_quick);
        }
        // What the measurements start beside themselves.
        ["memory", name] => match memory::measure(name) {
            Some(bytes) => println!("{bytes}"),
            None => return Err(format!("`{name}` cannot be measured here").into()),
        },
        ["content-task", task] => content::run_task(task)?,
        ["serve-content", settings] => content::serve(settings)?,
        ["serve-bare", content, metadata] => {
            mock::serve_bare(Path::new(content), Path::new(metadata))?;
        }
        _ => return Err(Ending::BadUsage),
    }
    Ok(true)
}

fn measure_content(is_quick: bool) -> Result<bool, Ending> {
    if cfg!(debug_assertions) {
        println!("built without --release, so that the times say little");
    }
    let figures = content::measure(is_quick)?;
    println!("{}", figures.table());
    for name in figures.not_measured() {
        println!("not measured: {name}");
    }
    let missed = figures.missed();
    for goal in &missed {
        println!("missed: {goal}");
    }
    println!("{figures}");
    Ok(missed.is_empty())
}

fn run_conformance(mut options: Options<'_>) -> Result<bool, Ending> {
    let variable = std::env::var_os("OCI_CONFORMANCE_SUITE").filter(|path| !path.is_empty());
    let suite = options.path("--suite")?.or(variable.map(PathBuf::from));
    let results = options.path("--results")?;
    options.end()?;
    let suite = suite.ok_or_else(|| Ending::skipped(NO_SUITE))?;
    Ok(conformance::run(&suite, results.as_deref())?)
}

fn replay(options: Options<'_>) -> Result<bool, Ending> {
    let mut files: Vec<PathBuf> = options.0.iter().map(PathBuf::from).collect();
    if options.0.iter().any(|file| file.starts_with('-')) {
        return Err(Ending::BadUsage);
    }
    if files.is_empty() {
        files = fidelity::own_files()?;
    }
    let report = fidelity::replay(fidelity::read(&files)?)?;
    println!("{report}");
    Ok(report.mismatches() == 0)
}

fn interop(arguments: &[&str]) -> Result<bool, Ending> {
    match arguments {
        ["python"] => python::run()?,
        ["run", rest @ ..] => {
            let mut options = Options(rest.to_vec());
            let installs = options.flag("--install");
            options.end()?;
            // Its own last line says how many have passed.
            languages::run(installs)?;
            return Ok(true);
        }
        ["skopeo", rest @ ..] => {
            let mut options = Options(rest.to_vec());
            let (install, crane) = (options.flag("--install"), options.path("--crane")?);
            options.end()?;
            tokio::runtime::Runtime::new()?.block_on(skopeo::run(install, crane.as_deref()))?;
        }
        _ => return Err(Ending::BadUsage),
    }
    println!("interop {}: passed", arguments[0]);
    Ok(true)
}

/// Arguments of which nothing has been made yet.
struct Options<'a>(Vec<&'a str>);

impl Options<'_> {
    fn flag(&mut self, name: &str) -> bool {
        let at = self.0.iter().position(|argument| *argument == name);
        at.map(|at| self.0.remove(at)).is_some()
    }

    fn path(&mut self, name: &str) -> Result<Option<PathBuf>, Ending> {
        let Some(at) = self.0.iter().position(|argument| *argument == name) else {
            return Ok(None);
        };
        let value = self.0.get(at + 1).filter(|value| !value.is_empty());
        let path = value.map(PathBuf::from).ok_or(Ending::BadUsage)?;
        self.0.drain(at..at + 2);
        Ok(Some(path))
    }

    fn end(self) -> Result<(), Ending> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(Ending::BadUsage),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<(Option<PathBuf>, Option<PathBuf>), Ending> {
        let mut options = Options(arguments.to_vec());
        let parsed = (options.path("--suite")?, options.path("--results")?);
        options.end().map(|()| parsed)
    }

    #[test]
    fn options_are_taken_once_and_with_a_value() {
        let (suite, results) = parse(&["--results", "out", "--suite", "a suite"]).unwrap();
        assert_eq!(suite, Some(PathBuf::from("a suite")));
        assert_eq!(results, Some(PathBuf::from("out")));
        assert!(parse(&[]).unwrap().0.is_none());
        for bad in [
            &["--suite"][..],
            &["--suite", ""],
            &["--suite", "a", "--suite", "b"],
            &["suite"],
            &["--profile", "oci"],
        ] {
            assert!(matches!(parse(bad), Err(Ending::BadUsage)), "{bad:?}");
        }
    }
}
