//! What a test program said of its tests, and how one run differs from another.

use std::collections::BTreeMap;

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    Ignored,
}

/// The tests of one run, each named after its program and itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Results(BTreeMap<String, Outcome>);

impl Results {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds what a program said.
    pub(super) fn add(&mut self, program: &str, tests: &BTreeMap<String, Outcome>) {
        let named = tests
            .iter()
            .map(|(name, outcome)| (format!("{program}: {name}"), *outcome));
        self.0.extend(named);
    }

    /// What is not as it was in the first run.
    pub(super) fn differences(&self, first: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, was) in &first.0 {
            match self.0.get(name) {
                None => found.push(format!("missing: {name}")),
                Some(is) if is != was => found.push(format!("was {was:?}, is {is:?}: {name}")),
                Some(_) => {}
            }
        }
        let new = self.0.keys().filter(|name| !first.0.contains_key(*name));
        found.extend(new.map(|name| format!("new: {name}")));
        found
    }
}

/// Reads a test program's output.
///
/// # Errors
///
/// When the program did not come to its end, or the tests in its output are not as many as it counted: then something
/// was printed between a test's name and its result.
pub(super) fn read(output: &str) -> Result<BTreeMap<String, Outcome>, String> {
    let mut tests = BTreeMap::new();
    let mut counted = None;
    for line in output.lines() {
        if let Some(summary) = line.strip_prefix("test result: ") {
            counted = Some(count(summary));
        } else if let Some((name, outcome)) = result_of(line) {
            tests.insert(name.to_owned(), outcome);
        }
    }
    match counted {
        None => Err("ended before its tests did".to_owned()),
        Some(counted) if counted == tests.len() => Ok(tests),
        Some(counted) => Err(format!(
            "counts {counted} tests, but {} can be read in its output",
            tests.len()
        )),
    }
}

/// Reads `test NAME ... ok`.
fn result_of(line: &str) -> Option<(&str, Outcome)> {
    let (name, said) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let outcome = match said {
        "ok" => Outcome::Passed,
        "FAILED" => Outcome::Failed,
        ignored if ignored.starts_with("ignored") => Outcome::Ignored,
        _ => return None,
    };
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    Some((name, outcome))
}

/// Adds up `ok. 13 passed; 0 failed; 1 ignored; ..`.
fn count(summary: &str) -> usize {
    let words: Vec<&str> = summary.split([' ', ';']).collect();
    let numbers = words.windows(2).filter_map(|pair| match pair {
        [number, "passed" | "failed" | "ignored"] => number.parse::<usize>().ok(),
        _ => None,
    });
    numbers.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\n\
        running 4 tests\n\
        test a::holds ... ok\n\
        test a::panics - should panic ... ok\n\
        test b::breaks ... FAILED\n\
        test b::waits ... ignored, needs a live registry\n\
        test a::holds has been running for over 60 seconds\n\
        \n\
        failures:\n\
        \n\
        test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.10s\n";

    fn results(tests: &[(&str, Outcome)]) -> Results {
        let tests = tests
            .iter()
            .map(|(name, outcome)| ((*name).to_owned(), *outcome));
        let mut results = Results::default();
        results.add("acr-client regressions", &tests.collect());
        results
    }

    #[test]
    fn each_test_is_read_with_how_it_ended() {
        let tests = read(OUTPUT).expect("complete");
        let expected = [
            ("a::holds", Outcome::Passed),
            ("a::panics", Outcome::Passed),
            ("b::breaks", Outcome::Failed),
            ("b::waits", Outcome::Ignored),
        ];
        assert_eq!(
            tests,
            expected
                .map(|(name, outcome)| (name.to_owned(), outcome))
                .into()
        );
    }

    #[test]
    fn a_program_that_dies_has_no_results() {
        let (cut, _) = OUTPUT.split_once("test result").expect("has a summary");
        assert_eq!(read(cut), Err("ended before its tests did".to_owned()));
        assert!(read("").is_err());
    }

    #[test]
    fn a_test_whose_line_cannot_be_read_is_no_missing_test() {
        let mixed = OUTPUT.replace("holds ... ok", "holds ... [a child's words]ok");
        let problem = "counts 4 tests, but 3 can be read in its output";
        assert_eq!(read(&mixed), Err(problem.to_owned()));
    }

    #[test]
    fn a_run_like_the_first_has_no_differences() {
        let first = results(&[("a", Outcome::Passed), ("b", Outcome::Ignored)]);
        assert_eq!(first.differences(&first), Vec::<String>::new());
    }

    #[test]
    fn a_test_that_is_missing_new_or_ends_otherwise_is_named() {
        let first = results(&[("a", Outcome::Passed), ("b", Outcome::Passed)]);
        let now = results(&[("b", Outcome::Ignored), ("c", Outcome::Passed)]);
        assert_eq!(
            now.differences(&first),
            [
                "missing: acr-client regressions: a",
                "was Passed, is Ignored: acr-client regressions: b",
                "new: acr-client regressions: c"
            ]
        );
    }

    #[test]
    fn tests_of_one_name_in_two_programs_are_two_tests() {
        let mut both = results(&[("a", Outcome::Passed)]);
        let again = [("a".to_owned(), Outcome::Passed)].into();
        both.add("acr-mock lib", &again);
        assert_eq!(both.len(), 2);
    }
}
