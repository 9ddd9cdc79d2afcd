//! `cargo xtask test --repeat N [..]`: the same tests again and again, to find those that fail by chance.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use crate::cargo::{self, Call, Steps};

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options<'a> {
    runs: usize,
    /// For `cargo test`: a part of tests' names, or the targets to run.
    rest: &'a [&'a str],
}

impl<'a> Options<'a> {
    /// Reads what follows `cargo xtask test`.
    pub(crate) fn parse(arguments: &'a [&'a str]) -> Result<Self, String> {
        let [option, number, rest @ ..] = arguments else {
            return Err("test: the only option is --repeat N".to_owned());
        };
        let runs = number.parse().ok().filter(|runs| *runs > 0);
        match runs {
            Some(runs) if *option == "--repeat" => Ok(Self { runs, rest }),
            _ => Err("test: --repeat wants a number from 1 on, and comes first".to_owned()),
        }
    }
}

/// Builds once with all features, and ends at the first run in which a test fails, is missing or is new.
pub(crate) fn run(root: PathBuf, options: &Options<'_>) -> Result<(), String> {
    let mut steps = Steps::new("test --repeat", root);
    steps.fetch()?;
    let all = [
        "--workspace",
        "--exclude",
        "xtask",
        "--all-features",
        "--locked",
        "--offline",
    ];
    // Some tests start the examples.
    steps.cargo_as_given(&[&["build", "--examples"], &all[..]].concat())?;
    // Doc tests are left out, since rustdoc builds them anew each time.
    let names_targets = options
        .rest
        .iter()
        .any(|argument| argument.starts_with("--"));
    let targets: &[&str] = if names_targets { &[] } else { &["--tests"] };
    let started = Instant::now();
    let mut first = None;
    for run in 0..options.runs {
        // Alone, beside one other, and more than most machines have cores.
        let threads = ["--", "--test-threads", ["1", "2", "8"][run % 3]];
        let arguments = [&["test"], &all[..], targets, options.rest, &threads].concat();
        let call = Call::new(cargo::offline(steps.root()), "cargo").with(&[], &arguments);
        let (has_passed, said) = steps.hear(call)?;
        if !has_passed {
            return Err(said);
        }
        let tests = results(&said);
        if tests.is_empty() {
            return Err("no test's name matches".to_owned());
        }
        let first = first.get_or_insert_with(|| tests.clone());
        let differs: Vec<&str> = tests
            .symmetric_difference(first)
            .map(String::as_str)
            .collect();
        if !differs.is_empty() {
            return Err(format!("not in all runs:\n  {}", differs.join("\n  ")));
        }
    }
    println!(
        "xtask test: {} runs of {} tests passed in {} s, doc tests left out",
        options.runs,
        first.map_or(0, |first: BTreeSet<String>| first.len()),
        started.elapsed().as_secs()
    );
    Ok(())
}

/// The lines on tests in what cargo said. Tests of one name in several programs are told apart by a number.
fn results(said: &str) -> BTreeSet<String> {
    let mut results = BTreeSet::new();
    for line in said
        .lines()
        .filter(|line| line.starts_with("test ") && line.contains(" ... "))
    {
        let mut numbered = (1..).map(|number| format!("{line} ({number})"));
        numbered.find(|line| results.insert(line.clone()));
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_first_and_the_rest_is_for_cargo() {
        let arguments = ["--repeat", "20", "regressions"];
        let options = Options::parse(&arguments);
        assert_eq!(
            options,
            Ok(Options {
                runs: 20,
                rest: &["regressions"]
            })
        );
        for arguments in [
            &["a"][..],
            &["--repeat"],
            &["--repeat", "0"],
            &["a", "--repeat", "1"],
        ] {
            assert!(Options::parse(arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn tests_of_one_name_in_two_programs_are_two_tests() {
        let said = "test a ... ok\ntest b ... ignored, why\ntest result: ok.\n\ntest a ... ok\n";
        let wanted = [
            "test a ... ok (1)",
            "test a ... ok (2)",
            "test b ... ignored, why (1)",
        ];
        assert!(results(said).iter().eq(wanted.iter()));
    }
}
