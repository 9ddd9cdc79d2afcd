//! [`Report`]: each mismatch as a diff, the outcomes as a table by area and by kind of difference, and one last line.

use std::collections::BTreeMap;
use std::fmt;

use super::compare::{Difference, KINDS};
use super::replay::{Outcome, Verdict};

/// The outcomes of all exchanges.
#[derive(Clone, Debug, Default)]
pub struct Report(Vec<Outcome>);

impl Report {
    /// Creates a report of these.
    pub fn new(outcomes: Vec<Outcome>) -> Self {
        Self(outcomes)
    }

    /// Returns how many exchanges match.
    pub fn matches(&self) -> usize {
        Row::of(&self.0).counts[0]
    }

    /// Returns how many exchanges differ.
    pub fn mismatches(&self) -> usize {
        Row::of(&self.0).counts[1]
    }

    /// Returns how many exchanges were not replayed.
    pub fn skipped(&self) -> usize {
        Row::of(&self.0).counts[2]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut areas: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
        let mut skipped = String::new();
        for outcome in &self.0 {
            areas.entry(&outcome.area).or_default().push(outcome);
            match &outcome.verdict {
                Verdict::Match => {}
                Verdict::Skipped(reason) => skipped += &format!("  {}: {reason}\n", outcome.id),
                Verdict::Mismatch(differences) => {
                    writeln!(f, "{} ({}) differs:", outcome.id, outcome.place)?;
                    for difference in differences {
                        write_difference(f, difference)?;
                    }
                    writeln!(f)?;
                }
            }
        }
        if !skipped.is_empty() {
            writeln!(f, "skipped:\n{skipped}")?;
        }
        let columns = ["match", "differ", "skipped"];
        write!(
            f,
            "{:<14}{:>7}{:>8}{:>9}  ",
            "area", columns[0], columns[1], columns[2]
        )?;
        writeln!(f, "{}", KINDS.map(|kind| format!("{kind:>11}")).concat())?;
        for (area, outcomes) in areas {
            writeln!(f, "{area:<14}{}", Row::of(outcomes))?;
        }
        let all = Row::of(&self.0);
        writeln!(f, "{:<14}{all}\n", "all")?;
        let [matches, differ, skipped] = all.counts;
        let replayed = matches + differ;
        // Rounded down: 100 % means all.
        let percent = (matches * 1000).checked_div(replayed).unwrap_or(1000);
        let tenths = Some(percent % 10).filter(|tenths| *tenths > 0);
        let tenths = tenths.map_or_else(String::new, |tenths| format!(".{tenths}"));
        write!(
            f,
            "fidelity: {matches} of {replayed} exchanges match ({}{tenths} %), {skipped} skipped",
            percent / 10
        )
    }
}

/// How many exchanges match, differ and were skipped, and the kinds of differences.
#[derive(Default)]
struct Row {
    counts: [usize; 3],
    kinds: [usize; KINDS.len()],
}

impl Row {
    fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let mut row = Self::default();
        for outcome in outcomes {
            match &outcome.verdict {
                Verdict::Match => row.counts[0] += 1,
                Verdict::Skipped(_) => row.counts[2] += 1,
                Verdict::Mismatch(differences) => {
                    row.counts[1] += 1;
                    for (kind, count) in KINDS.iter().zip(&mut row.kinds) {
                        *count += differences
                            .iter()
                            .filter(|found| found.kind == *kind)
                            .count();
                    }
                }
            }
        }
        row
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [matches, differ, skipped] = self.counts;
        let kinds = self.kinds.map(|count| format!("{count:>11}")).concat();
        write!(f, "{matches:>7}{differ:>8}{skipped:>9}  {kinds}")
    }
}

/// Writes the lines in which two texts differ; those of JSON laid out, a member a line.
fn write_difference(f: &mut fmt::Formatter<'_>, difference: &Difference) -> fmt::Result {
    writeln!(f, "  {}: {}", difference.kind, difference.part)?;
    let lines = |text: &str| -> Vec<String> {
        let value = serde_json::from_str::<serde_json::Value>(text).ok();
        let value = value.filter(|value| value.is_object() || value.is_array());
        let text = value.map_or_else(|| text.to_owned(), |value| format!("{value:#}"));
        text.lines().map(str::to_owned).collect()
    };
    let (recorded, actual) = (lines(&difference.recorded), lines(&difference.actual));
    if recorded == actual {
        // The same JSON in another form.
        writeln!(f, "    - {:?}", difference.recorded)?;
        return writeln!(f, "    + {:?}", difference.actual);
    }
    let pairs = || recorded.iter().zip(&actual);
    let begin = pairs()
        .take_while(|(recorded, actual)| recorded == actual)
        .count();
    let rest = recorded[begin..]
        .iter()
        .rev()
        .zip(actual[begin..].iter().rev());
    let end = rest
        .take_while(|(recorded, actual)| recorded == actual)
        .count();
    for line in &recorded[begin..recorded.len() - end] {
        writeln!(f, "    - {line}")?;
    }
    for line in &actual[begin..actual.len() - end] {
        writeln!(f, "    + {line}")?;
    }
    Ok(())
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
        let last = "fidelity: 2 of 3 exchanges match (66.6 %), 1 skipped";
        assert_eq!(text.lines().last(), Some(last));
        let row = "tag                 1       1        0            0          0          0          0          1          0";
        for part in [
            "b (f:1) differs:",
            "    -   \"y\": 2",
            "    +   \"y\": 3",
            "  c: no bytes",
            row,
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
        let text = Report::default().to_string();
        assert!(text.ends_with("0 of 0 exchanges match (100 %), 0 skipped"));
    }
}
