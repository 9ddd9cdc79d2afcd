//! What was tried, and how it ended: a line at a time, and a table at the end.

use crate::Result;

/// The checks of one program.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    client: String,
    server: String,
    check: String,
    ok: bool,
}

impl Report {
    /// Notes how a check ended, and prints a line about it. A failure does not end the program.
    pub fn note(&mut self, client: &str, server: &str, check: &str, outcome: Result<()>) {
        match &outcome {
            Ok(()) => println!("{client} on {server}: {check}: ok"),
            Err(failure) => println!(
                "{client} on {server}: {check}: FAILED: {}",
                chain(&**failure)
            ),
        }
        self.rows.push(Row {
            client: client.to_owned(),
            server: server.to_owned(),
            check: check.to_owned(),
            ok: outcome.is_ok(),
        });
    }

    /// The table, with a line of counts at its end.
    #[must_use]
    pub fn table(&self) -> String {
        let cells = |row: &Row| {
            let outcome = if row.ok { "ok" } else { "FAILED" };
            let (client, server) = (row.client.clone(), row.server.clone());
            [client, server, row.check.clone(), outcome.to_owned()]
        };
        let head = ["client", "server", "check", "outcome"].map(str::to_owned);
        let lines: Vec<_> = std::iter::once(head)
            .chain(self.rows.iter().map(cells))
            .collect();
        let widths: Vec<usize> = (0..4)
            .map(|column| {
                lines
                    .iter()
                    .map(|line| line[column].len())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for (number, line) in lines.iter().enumerate() {
            let padded: Vec<_> = line
                .iter()
                .zip(&widths)
                .map(|(cell, &width)| format!("{cell:width$}"))
                .collect();
            text.push_str(padded.join(" | ").trim_end());
            text.push('\n');
            if number == 0 {
                let rules: Vec<_> = widths.iter().map(|&width| "-".repeat(width)).collect();
                text.push_str(&rules.join("-|-"));
                text.push('\n');
            }
        }
        let passed = self.rows.iter().filter(|row| row.ok).count();
        text.push_str(&format!("\n{passed} of {} passed\n", self.rows.len()));
        text
    }

    /// Whether there were checks and all of them passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.ok)
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
