//! The figures: in all, and by category.

use super::results::{Counts, Outcome, Results};
use crate::table::table;

/// The last line: what the suite counted in each profile, and how many failures and skips of `acr` stand in the list.
#[must_use]
pub fn last_line(oci: Counts, acr: Counts, listed: usize) -> String {
    format!("conformance: oci {oci}, acr {acr} ({listed} listed)")
}

/// The test cases by category.
#[must_use]
pub fn categories(oci: &Results, acr: &Results) -> String {
    let mut names: Vec<&str> = Vec::new();
    for case in oci.cases.iter().chain(&acr.cases) {
        if !names.contains(&case.category()) {
            names.push(case.category());
        }
    }
    let row = |name: &str, category: Option<&str>| {
        let cells = [oci, acr].map(|results| {
            let counts = cases(results, category);
            if counts == Counts::default() {
                "-".to_owned()
            } else {
                counts.to_string()
            }
        });
        let [oci, acr] = cells;
        [name.to_owned(), oci, acr]
    };
    let mut rows = vec![["category", "oci", "acr"].map(str::to_owned)];
    rows.extend(names.iter().map(|name| row(name, Some(name))));
    rows.push(row("test cases", None));
    format!(
        "Test cases, passed/failed/skipped/disabled:\n\n{}",
        table(&rows)
    )
}

fn cases(results: &Results, category: Option<&str>) -> Counts {
    let of = |outcome| results.cases_of(category, outcome);
    Counts {
        passed: of(Outcome::Passed),
        failed: of(Outcome::Failed),
        skipped: of(Outcome::Skipped),
        disabled: of(Outcome::Disabled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::results::Case;

    #[test]
    fn the_last_line_has_the_figures_of_both_profiles() {
        let counts = |passed, failed, skipped, disabled| Counts {
            passed,
            failed,
            skipped,
            disabled,
        };
        assert_eq!(
            last_line(counts(1032, 0, 0, 0), counts(813, 1, 42, 2), 43),
            "conformance: oci 1032/0/0/0, acr 813/1/42/2 (43 listed)"
        );
    }

    #[test]
    fn cases_are_counted_by_category() {
        let results = |cases: &[(&str, Outcome)]| Results {
            registry: String::new(),
            version: String::new(),
            counts: Counts::default(),
            cases: cases
                .iter()
                .map(|(name, outcome)| Case {
                    name: (*name).to_owned(),
                    outcome: *outcome,
                    says: String::new(),
                })
                .collect(),
        };
        let oci = results(&[("image/push", Outcome::Passed), ("ping", Outcome::Passed)]);
        let acr = results(&[
            ("image/push", Outcome::Passed),
            ("image/delete", Outcome::Skipped),
            ("image/tag", Outcome::Failed),
            ("odd/one", Outcome::Disabled),
        ]);
        let text = categories(&oci, &acr);
        for line in [
            "category   | oci     | acr\n",
            "-----------|---------|--------\n",
            "image      | 1/0/0/0 | 1/1/1/0\n",
            "ping       | 1/0/0/0 | -\n",
            "odd        | -       | 0/0/0/1\n",
            "test cases | 2/0/0/0 | 1/1/1/1\n",
        ] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
    }
}
