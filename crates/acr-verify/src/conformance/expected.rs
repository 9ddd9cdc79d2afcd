//! What the profile `acr` is to fail and to skip, because the service does: the list in
//! `conformance/acr-expected.json`, each entry with the fact that demands it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::results::{Case, Outcome, Results};
use crate::Result;

/// The list.
#[derive(Debug)]
pub struct Expected {
    facts: Vec<Fact>,
}

/// One way in which the service differs from what the suite asks for, and the test cases that show it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// What the service does.
    pub fact: String,
    /// How that is known.
    pub known: String,
    /// The ids of the exchanges in `fixtures` that show it; none where the service's behaviour is chosen.
    pub fixtures: Vec<String>,
    /// How the test cases end.
    pub outcome: Outcome,
    /// A part of the suite's words about them.
    pub says: String,
    /// As how many demands the suite counts one of them.
    pub demands: usize,
    /// Their names, and how often each comes.
    pub tests: BTreeMap<String, usize>,
}

/// A run beside the list.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// Facts in the list's order with the test cases that show them.
    shown: Vec<(&'a Fact, Vec<&'a Case>)>,
    unlisted: Vec<&'a Case>,
    disabled: Vec<&'a Case>,
    /// Names that are listed more often than they came, and how many are missing.
    gone: Vec<(&'a Fact, &'a str, usize)>,
    /// Outcome, what the suite counts, what the list accounts for.
    miscounted: Vec<(Outcome, usize, usize)>,
}

impl Expected {
    /// The list for the profile `acr`.
    ///
    /// # Errors
    ///
    /// If it is malformed.
    pub fn of_acr() -> Result<Self> {
        Self::from_json(include_str!("../../conformance/acr-expected.json"))
    }

    pub(super) fn from_json(text: &str) -> Result<Self> {
        let facts: Vec<Fact> = serde_json::from_str(text)
            .map_err(|error| format!("conformance/acr-expected.json: {error}"))?;
        Ok(Self { facts })
    }

    /// Finds for each failure and skip the fact that demands it.
    #[must_use]
    pub fn compare<'a>(&'a self, results: &'a Results) -> Comparison<'a> {
        let mut shown: Vec<(&Fact, Vec<&Case>)> =
            self.facts.iter().map(|fact| (fact, Vec::new())).collect();
        let (mut unlisted, mut disabled) = (Vec::new(), Vec::new());
        for case in &results.cases {
            match case.outcome {
                Outcome::Passed => {}
                Outcome::Disabled => disabled.push(case),
                Outcome::Failed | Outcome::Skipped => {
                    match shown
                        .iter_mut()
                        .find(|(fact, cases)| fact.wants(case, cases))
                    {
                        Some((_, cases)) => cases.push(case),
                        None => unlisted.push(case),
                    }
                }
            }
        }
        let mut gone = Vec::new();
        for (fact, cases) in &shown {
            for (name, &times) in &fact.tests {
                let came = cases.iter().filter(|case| case.name == *name).count();
                if came < times {
                    gone.push((*fact, name.as_str(), times - came));
                }
            }
        }
        let mut comparison = Comparison {
            shown,
            unlisted,
            disabled,
            gone,
            miscounted: Vec::new(),
        };
        let counts = [
            (Outcome::Failed, results.counts.failed),
            (Outcome::Skipped, results.counts.skipped),
        ];
        comparison.miscounted = counts
            .map(|(outcome, counted)| (outcome, counted, comparison.listed_as(outcome)))
            .into_iter()
            .filter(|(_, counted, listed)| counted != listed)
            .collect();
        comparison
    }
}

impl Fact {
    /// Whether a case shows this fact, one more than those that do already.
    fn wants(&self, case: &Case, cases: &[&Case]) -> bool {
        let came = cases.iter().filter(|other| other.name == case.name).count();
        self.outcome == case.outcome
            && case.says.contains(&self.says)
            && self
                .tests
                .get(&case.name)
                .is_some_and(|&times| came < times)
    }
}

impl Comparison<'_> {
    /// Whether nothing failed or was skipped but what is listed, and all that is listed.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.unlisted.is_empty() && self.gone.is_empty() && self.miscounted.is_empty()
    }

    /// How many demands the listed test cases hold, counted as the suite counts them.
    #[must_use]
    pub fn listed(&self) -> usize {
        self.listed_as(Outcome::Failed) + self.listed_as(Outcome::Skipped)
    }

    fn listed_as(&self, outcome: Outcome) -> usize {
        self.shown
            .iter()
            .filter(|(fact, _)| fact.outcome == outcome)
            .map(|(fact, cases)| fact.demands * cases.len())
            .sum()
    }
}

impl fmt::Display for Comparison<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (fact, cases) in &self.shown {
            writeln!(f, "acr: listed: {fact}")?;
            for case in cases {
                writeln!(f, "  {case}")?;
            }
        }
        for case in &self.disabled {
            writeln!(f, "acr: {case}")?;
        }
        for case in &self.unlisted {
            writeln!(f, "acr: NOT LISTED: {case}")?;
        }
        for (fact, name, times) in &self.gone {
            writeln!(
                f,
                "acr: LISTED, BUT DOES NOT OCCUR ({times} times): {}: {name}: {}",
                fact.outcome, fact.says
            )?;
        }
        for (outcome, counted, listed) in &self.miscounted {
            writeln!(
                f,
                "acr: NOT ACCOUNTED FOR: the suite counts {counted} as {outcome}, the list {listed}"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.fact, self.known)?;
        if !self.fixtures.is_empty() {
            write!(f, "; fixtures: {}", self.fixtures.join(", "))?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::conformance::results::Counts;

    const LIST: &str = r#"[{
        "fact": "It does not do that.", "known": "recorded", "fixtures": ["an-id"],
        "outcome": "skipped", "says": "status 405", "demands": 2,
        "tests": {"image/delete": 1, "index/delete": 2}
    }]"#;

    fn case(name: &str, outcome: Outcome, says: &str) -> Case {
        Case {
            name: name.to_owned(),
            outcome,
            says: says.to_owned(),
        }
    }

    fn results(failed: usize, skipped: usize, cases: &[Case]) -> Results {
        Results {
            registry: String::new(),
            version: String::new(),
            counts: Counts {
                passed: 9,
                failed,
                skipped,
                disabled: 0,
            },
            cases: cases.to_vec(),
        }
    }

    fn as_listed() -> Vec<Case> {
        ["image/delete", "index/delete", "index/delete"]
            .map(|name| case(name, Outcome::Skipped, "registry returned status 405"))
            .to_vec()
    }

    #[test]
    fn what_is_listed_is_expected_as_often_as_it_is_listed() {
        let expected = Expected::from_json(LIST).unwrap();
        let run = results(0, 6, &as_listed());
        let comparison = expected.compare(&run);
        assert!(comparison.is_as_expected(), "{comparison}");
        assert_eq!(comparison.listed(), 6);
        let text = comparison.to_string();
        assert!(
            text.starts_with("acr: listed: It does not do that. (recorded; fixtures: an-id)\n"),
            "{text}"
        );
    }

    #[test]
    fn a_case_too_many_another_reason_and_another_outcome_are_not_listed() {
        let expected = Expected::from_json(LIST).unwrap();
        for (outcome, further) in [
            (
                Outcome::Skipped,
                case("image/delete", Outcome::Skipped, "status 405"),
            ),
            (
                Outcome::Skipped,
                case("index/delete", Outcome::Skipped, "status 404"),
            ),
            (
                Outcome::Failed,
                case("index/delete", Outcome::Failed, "status 405"),
            ),
            (Outcome::Failed, case("ping", Outcome::Failed, "status 405")),
        ] {
            let mut cases = as_listed();
            cases.push(further.clone());
            let (failed, skipped) = match outcome {
                Outcome::Failed => (1, 6),
                _ => (0, 7),
            };
            let run = results(failed, skipped, &cases);
            let comparison = expected.compare(&run);
            assert!(!comparison.is_as_expected());
            let text = comparison.to_string();
            assert!(
                text.contains(&format!("acr: NOT LISTED: {further}\n")),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_listed_and_does_not_occur_is_told() {
        let expected = Expected::from_json(LIST).unwrap();
        let run = results(0, 2, &as_listed()[..1]);
        let comparison = expected.compare(&run);
        assert!(!comparison.is_as_expected());
        let text = comparison.to_string();
        let line = "LISTED, BUT DOES NOT OCCUR (2 times): skipped: index/delete: status 405\n";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn a_failure_that_only_the_figures_show_is_told() {
        let expected = Expected::from_json(LIST).unwrap();
        let run = results(1, 6, &as_listed());
        let comparison = expected.compare(&run);
        assert!(!comparison.is_as_expected());
        let text = comparison.to_string();
        assert!(text.contains("counts 1 as failed, the list 0\n"), "{text}");
    }

    #[test]
    fn disabled_cases_are_named_and_no_fault() {
        let expected = Expected::from_json("[]").unwrap();
        let run = results(0, 0, &[case("cancel", Outcome::Disabled, "is disabled")]);
        let comparison = expected.compare(&run);
        assert!(comparison.is_as_expected());
        assert_eq!(
            comparison.to_string(),
            "acr: disabled: cancel: is disabled\n"
        );
    }

    #[test]
    fn every_listed_fact_is_shown_by_a_fixture_or_says_that_it_is_chosen() {
        let known = fixture_ids();
        for fact in Expected::of_acr().unwrap().facts {
            assert_eq!(
                fact.fixtures.is_empty(),
                fact.known.starts_with("chosen"),
                "{fact}"
            );
            for id in &fact.fixtures {
                assert!(known.contains(id), "no fixture has the id {id:?}: {fact}");
            }
            assert!(fact.demands > 0 && !fact.tests.is_empty(), "{fact}");
            assert!(fact.tests.values().all(|&times| times > 0), "{fact}");
            assert!(
                matches!(fact.outcome, Outcome::Failed | Outcome::Skipped),
                "{fact}"
            );
        }
    }

    /// The ids of all exchanges in the repository's fixtures.
    fn fixture_ids() -> BTreeSet<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
        let folders = std::fs::read_dir(root).unwrap();
        let folders = folders.map(|entry| entry.unwrap().path());
        let files = folders
            .filter(|path| path.is_dir())
            .flat_map(|folder| std::fs::read_dir(folder).unwrap())
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "jsonl")
            });
        let mut ids = BTreeSet::new();
        for file in files {
            for line in std::fs::read_to_string(file).unwrap().lines() {
                let exchange: Value = serde_json::from_str(line).unwrap();
                ids.insert(exchange["id"].as_str().unwrap().to_owned());
            }
        }
        ids
    }
}
