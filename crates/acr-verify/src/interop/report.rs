//! What was tried, and how it ended: a line at a time, and a table at the end.

use crate::Result;
use crate::table::table;

/// The checks of one program.
#[derive(Debug, Default)]
pub struct Report {
    /// Client, server, check and outcome.
    rows: Vec<[String; 4]>,
    failed: usize,
}

impl Report {
    /// Notes how a check ended, and prints a line about it. A failure does not end the program.
    pub fn note(&mut self, client: &str, server: &str, check: &str, outcome: Result<()>) {
        let (short, long) = match &outcome {
            Ok(()) => ("ok", "ok".to_owned()),
            Err(failure) => ("FAILED", format!("FAILED: {}", chain(&**failure))),
        };
        println!("{client} on {server}: {check}: {long}");
        self.failed += usize::from(outcome.is_err());
        self.rows
            .push([client, server, check, short].map(str::to_owned));
    }

    /// The table, with a line of counts at its end.
    #[must_use]
    pub fn table(&self) -> String {
        let head = ["client", "server", "check", "outcome"].map(str::to_owned);
        let count = self.rows.len();
        format!(
            "{}\n{} of {count} passed\n",
            table(&[&[head], &self.rows[..]].concat()),
            count - self.failed
        )
    }

    /// Whether there were checks and all of them passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.rows.is_empty() && self.failed == 0
    }
}

/// An error with all its causes, in one line.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_fails_the_report_and_stands_in_the_table() {
        let mut report = Report::default();
        assert!(!report.passed(), "nothing tried is nothing shown");
        report.note("skopeo", "acr-mock", "copy", Ok(()));
        assert!(report.passed());
        report.note("acr-client", "acr-mock", "pull", Err("no luck".into()));
        assert!(!report.passed());
        let table = report.table();
        assert!(
            table.contains("acr-client | acr-mock | pull  | FAILED"),
            "{table}"
        );
        assert!(table.ends_with("1 of 2 passed\n"), "{table}");
    }
}
