//! The figures, by category and beside those of other registries.

use std::fmt;

use super::results::{Counts, Outcome, Results};

/// The last line.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// What the suite counted in the profile `oci`.
    pub oci: Counts,
    /// What it counted in the profile `acr`.
    pub acr: Counts,
    /// How many failures and skips of `acr` stand in the list.
    pub listed: usize,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { oci, acr, listed } = self;
        write!(f, "conformance: oci {oci}, acr {acr} ({listed} listed)")
    }
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

/// What the suite counts, beside what it counted with other registries.
#[must_use]
pub fn peers(oci: Counts, acr: Counts) -> String {
    let mut rows = vec![
        ["registry", "1.1, defaults", "dev, everything"].map(str::to_owned),
        [
            "acr-mock, profile oci".to_owned(),
            String::new(),
            oci.to_string(),
        ],
        [
            "acr-mock, profile acr".to_owned(),
            acr.to_string(),
            String::new(),
        ],
    ];
    for (name, stable, all) in PEERS {
        rows.push([(*name).to_owned(), stable.to_string(), all.to_string()]);
    }
    format!(
        "What the suite counts (a test case may hold several demands), passed/failed/skipped/disabled; the others as \
         measured with the suite of 2026-07-16, without a login:\n\n{}",
        table(&rows)
    )
}

/// Name, specification 1.1 with the suite's defaults, specification dev with everything on.
const PEERS: &[(&str, Counts, Counts)] = &[
    ("olareg 0.2.2", counts(854, 0, 2, 2), counts(1026, 0, 2, 0)),
    ("zot 2.1.20", counts(848, 0, 4, 2), counts(997, 15, 4, 0)),
    (
        "distribution 3.1.2",
        counts(749, 87, 16, 2),
        counts(870, 145, 25, 0),
    ),
    (
        "docker-registry 2.8.2",
        counts(710, 92, 46, 2),
        counts(812, 159, 63, 0),
    ),
    (
        "crane registry 0.22.1",
        counts(566, 437, 10, 2),
        counts(670, 541, 10, 0),
    ),
];

const fn counts(passed: usize, failed: usize, skipped: usize, disabled: usize) -> Counts {
    Counts {
        passed,
        failed,
        skipped,
        disabled,
    }
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

/// Rows with columns of one width, a rule below the first.
fn table(rows: &[[String; 3]]) -> String {
    let widths: [usize; 3] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let padded: [String; 3] =
            std::array::from_fn(|column| format!("{:1$}", row[column], widths[column]));
        text.push_str(padded.join(" | ").trim_end());
        text.push('\n');
        if number == 0 {
            text.push_str(&widths.map(|width| "-".repeat(width)).join("-|-"));
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::results::Case;

    #[test]
    fn the_last_line_has_the_figures_of_both_profiles() {
        let figures = Figures {
            oci: counts(1032, 0, 0, 0),
            acr: counts(813, 1, 42, 2),
            listed: 43,
        };
        assert_eq!(
            figures.to_string(),
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

    #[test]
    fn the_peers_stand_beside_our_figures() {
        let text = peers(counts(5, 0, 0, 0), counts(4, 3, 2, 1));
        for line in [
            "acr-mock, profile oci |               | 5/0/0/0\n",
            "acr-mock, profile acr | 4/3/2/1       |\n",
            "olareg 0.2.2          | 854/0/2/2     | 1026/0/2/0\n",
        ] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
    }
}
