//! The OCI conformance suite on acr-mock: `cargo xtask conformance`.
//!
//! Exit codes: 0 as it should be, 1 not so, 2 bad usage, 3 skipped (the last line says why).

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use acr_verify::conformance;
use acr_verify::interop::report;

const USAGE: &str = "\
usage: conformance [--suite PATH] [--results FOLDER]

--suite PATH      the built OCI conformance suite; otherwise the variable OCI_CONFORMANCE_SUITE names it
--results FOLDER  keep the suite's reports and output there";

const MISSING: &str = "\
skipped: no OCI conformance suite: name a built one by --suite PATH or OCI_CONFORMANCE_SUITE \
(its source is the folder `conformance` of opencontainers/distribution-spec, its place outside of this repository)";

fn main() -> ExitCode {
    let Some(arguments) = Arguments::parse(std::env::args_os().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if arguments.help {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let variable = std::env::var_os("OCI_CONFORMANCE_SUITE").filter(|path| !path.is_empty());
    let Some(suite) = arguments.suite.or(variable.map(PathBuf::from)) else {
        println!("{MISSING}");
        return ExitCode::from(3);
    };
    match conformance::run(&suite, arguments.results.as_deref()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("conformance: {}", report::chain(&*failure));
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Arguments {
    suite: Option<PathBuf>,
    results: Option<PathBuf>,
    help: bool,
}

impl Arguments {
    fn parse(mut given: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut arguments = Self::default();
        while let Some(argument) = given.next() {
            let place = match argument.to_str()? {
                "--suite" => &mut arguments.suite,
                "--results" => &mut arguments.results,
                "--help" | "-h" => {
                    arguments.help = true;
                    continue;
                }
                _ => return None,
            };
            let value = given.next().filter(|value| !value.is_empty())?;
            if place.replace(PathBuf::from(value)).is_some() {
                return None;
            }
        }
        Some(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Option<Arguments> {
        Arguments::parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn options_are_taken_once_and_with_a_value() {
        let arguments = parse(&["--results", "out", "--suite", "a suite"]).unwrap();
        assert_eq!(arguments.suite, Some(PathBuf::from("a suite")));
        assert_eq!(arguments.results, Some(PathBuf::from("out")));
        assert!(!arguments.help);
        assert!(parse(&["-h"]).unwrap().help);
        assert!(parse(&[]).unwrap().suite.is_none());
        for bad in [
            &["--suite"][..],
            &["--suite", ""],
            &["--suite", "a", "--suite", "b"],
            &["suite"],
            &["--profile", "oci"],
        ] {
            assert!(parse(bad).is_none(), "{bad:?}");
        }
    }
}
