//! [`Report`]: the outcomes as a table by area and by kind of difference, each mismatch as a diff, and one last line.

use std::collections::BTreeMap;
use std::fmt;

use super::compare::{Difference, KINDS};
use super::replay::{Outcome, Verdict};

/// The outcomes of all exchanges.
#[derive(Clone, Debug, Default)]
pub struct Report {
    outcomes: Vec<Outcome>,
}

impl Report {
    /// A report of these.
    pub fn new(outcomes: Vec<Outcome>) -> Self {
        Self { outcomes }
    }

    /// What has become of each exchange.
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// How many exchanges match.
    pub fn matches(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Match))
    }

    /// How many exchanges differ.
    pub fn mismatches(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Mismatch(_)))
    }

    /// How many exchanges were not replayed.
    pub fn skipped(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Skipped(_)))
    }

    fn count(&self, is: impl Fn(&Verdict) -> bool) -> usize {
        let outcomes = self.outcomes.iter();
        outcomes.filter(|outcome| is(&outcome.verdict)).count()
    }

    fn write_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut areas: BTreeMap<&str, Row> = BTreeMap::new();
        let mut total = Row::default();
        for outcome in &self.outcomes {
            for row in [areas.entry(&outcome.area).or_default(), &mut total] {
                row.add(&outcome.verdict);
            }
        }
        write!(
            f,
            "{:<14}{:>7}{:>8}{:>9}  ",
            "area", "match", "differ", "skipped"
        )?;
        for kind in KINDS {
            write!(f, "{:>11}", kind)?;
        }
        writeln!(f)?;
        for (area, row) in areas.into_iter().chain([("all", total)]) {
            writeln!(f, "{area:<14}{row}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for outcome in &self.outcomes {
            if let Verdict::Mismatch(differences) = &outcome.verdict {
                writeln!(f, "{} ({}) differs:", outcome.id, outcome.place)?;
                for difference in differences {
                    write_difference(f, difference)?;
                }
                writeln!(f)?;
            }
        }
        if self.skipped() > 0 {
            writeln!(f, "skipped:")?;
            for outcome in &self.outcomes {
                if let Verdict::Skipped(reason) = &outcome.verdict {
                    writeln!(f, "  {}: {reason}", outcome.id)?;
                }
            }
            writeln!(f)?;
        }
        self.write_table(f)?;
        let (matches, skipped) = (self.matches(), self.skipped());
        let replayed = self.outcomes.len() - skipped;
        // Rounded down: 100 % means all.
        let percent = (matches * 1000).checked_div(replayed).unwrap_or(1000);
        let percent = match percent % 10 {
            0 => format!("{}", percent / 10),
            tenths => format!("{}.{tenths}", percent / 10),
        };
        write!(
            f,
            "\nfidelity: {matches} of {replayed} exchanges match ({percent} %), {skipped} skipped"
        )
    }
}

#[derive(Default)]
struct Row {
    counts: [usize; 3],
    kinds: BTreeMap<&'static str, usize>,
}

impl Row {
    fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Match => self.counts[0] += 1,
            Verdict::Mismatch(differences) => {
                self.counts[1] += 1;
                for difference in differences {
                    *self.kinds.entry(difference.kind).or_default() += 1;
                }
            }
            Verdict::Skipped(_) => self.counts[2] += 1,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [matches, differ, skipped] = self.counts;
        write!(f, "{matches:>7}{differ:>8}{skipped:>9}  ")?;
        for kind in KINDS {
            let count = self.kinds.get(kind).copied().unwrap_or_default();
            write!(f, "{count:>11}")?;
        }
        Ok(())
    }
}

fn write_difference(f: &mut fmt::Formatter<'_>, difference: &Difference) -> fmt::Result {
    writeln!(f, "  {}: {}", difference.kind, difference.part)?;
    let recorded = lines_of(&difference.recorded);
    let actual = lines_of(&difference.actual);
    let same = recorded.iter().zip(&actual);
    let begin = same
        .take_while(|(recorded, actual)| recorded == actual)
        .count();
    let rest = (&recorded[begin..], &actual[begin..]);
    let end = rest
        .0
        .iter()
        .rev()
        .zip(rest.1.iter().rev())
        .take_while(|(recorded, actual)| recorded == actual)
        .count();
    let (recorded, actual) = (&rest.0[..rest.0.len() - end], &rest.1[..rest.1.len() - end]);
    if recorded.is_empty() && actual.is_empty() {
        // The same JSON in another form.
        writeln!(f, "    - {:?}", difference.recorded)?;
        return writeln!(f, "    + {:?}", difference.actual);
    }
    for line in recorded {
        writeln!(f, "    - {line}")?;
    }
    for line in actual {
        writeln!(f, "    + {line}")?;
    }
    Ok(())
}

/// The lines of a text; those of JSON laid out, a member a line.
fn lines_of(text: &str) -> Vec<String> {
    let pretty = serde_json::from_str::<serde_json::Value>(text)
        .ok()
        .filter(|value| value.is_object() || value.is_array())
        .and_then(|value| serde_json::to_string_pretty(&value).ok());
    pretty
        .as_deref()
        .unwrap_or(text)
        .lines()
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(id: &str, area: &str, verdict: Verdict) -> Outcome {
        Outcome {
            id: id.to_owned(),
            place: "f:1".to_owned(),
            area: area.to_owned(),
            verdict,
        }
    }

    fn body(recorded: &str, actual: &str) -> Verdict {
        Verdict::Mismatch(vec![Difference::new("body", "body", recorded, actual)])
    }

    #[test]
    fn the_last_line_counts_and_the_rest_tells() {
        let report = Report::new(vec![
            outcome("a", "tag", Verdict::Match),
            outcome(
                "b",
                "tag",
                body("{\"x\":1,\"y\":2}\n", "{\"x\":1,\"y\":3}\n"),
            ),
            outcome("c", "blob", Verdict::Skipped("no bytes".to_owned())),
            outcome("d", "blob", Verdict::Match),
        ]);
        let text = report.to_string();
        let last = text.lines().last();
        assert_eq!(
            last,
            Some("fidelity: 2 of 3 exchanges match (66.6 %), 1 skipped")
        );
        for part in [
            "b (f:1) differs:",
            "    -   \"y\": 2",
            "    +   \"y\": 3",
            "  c: no bytes",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("\"x\": 1"), "{text}");
    }

    #[test]
    fn the_same_json_in_another_form_is_shown_as_it_is() {
        let text = Report::new(vec![outcome("a", "tag", body("{}\n", "{}"))]).to_string();
        assert!(
            text.contains("- \"{}\\n\"") && text.contains("+ \"{}\""),
            "{text}"
        );
    }

    #[test]
    fn nothing_is_a_match_of_all() {
        assert!(
            Report::default()
                .to_string()
                .ends_with("0 of 0 exchanges match (100 %), 0 skipped")
        );
    }
}
