use std::path::Path;

/// How the program of a target ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// How many inputs it has tried.
    pub(super) runs: u64,
    seconds: u64,
    /// What it has found, and how to see it again.
    failure: Option<String>,
}

impl Outcome {
    /// Reads what libFuzzer and the program have said.
    pub(super) fn read(has_succeeded: bool, said: &str, seconds: u64, program: &Path) -> Self {
        let runs = said
            .lines()
            .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))
            .and_then(|number| number.trim().parse().ok());
        let failure = (!has_succeeded).then(|| {
            let input = said
                .lines()
                .find_map(|line| Some(line.split_once("Test unit written to ")?.1.trim()));
            let again = match input {
                Some(input) => format!("again by: {} {input}", program.display()),
                None => "no input was kept".to_owned(),
            };
            format!("{}\n    {again}", reason(said).join("\n    "))
        });
        Self {
            runs: runs.unwrap_or(0),
            seconds,
            failure,
        }
    }

    pub(super) fn is_ok(&self) -> bool {
        self.failure.is_none()
    }

    /// One line; where something was found, more that tell what.
    pub(super) fn line(&self, target: &str) -> String {
        let Self { runs, seconds, .. } = self;
        let result = match &self.failure {
            None => "ok".to_owned(),
            Some(failure) => format!("FAILED\n    {failure}"),
        };
        format!("{target:<16} {runs:>10} runs {seconds:>4} s  {result}")
    }
}

/// What the panic said, or libFuzzer where nothing has panicked: it also ends programs that take too long or too much.
fn reason(said: &str) -> Vec<&str> {
    let lines: Vec<&str> = said.lines().collect();
    if let Some(panic) = lines.iter().position(|line| line.contains("panicked at ")) {
        return lines[panic..]
            .iter()
            .take_while(|line| {
                !line.is_empty() && !line.starts_with("note:") && !line.starts_with("==")
            })
            .take(MAX_LINES)
            .copied()
            .collect();
    }
    let errors = lines.iter().filter(|line| line.contains("ERROR: "));
    let errors: Vec<&str> = errors.take(MAX_LINES).copied().collect();
    if errors.is_empty() {
        // A program that did not start has said why in its last lines.
        return lines[lines.len().saturating_sub(MAX_LINES)..].to_vec();
    }
    errors
}

const MAX_LINES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(has_succeeded: bool, said: &str) -> Outcome {
        Outcome::read(has_succeeded, said, 10, Path::new("/t/link"))
    }

    #[test]
    fn a_run_without_findings_is_one_line() {
        let outcome = outcome(
            true,
            "#2 INITED cov: 1\nDone 1234 runs in 10 second(s)\nstat::number_of_executed_units: 1234\n",
        );
        assert!(outcome.is_ok());
        assert_eq!(
            outcome.line("link"),
            "link                   1234 runs   10 s  ok"
        );
    }

    #[test]
    fn a_panic_is_told_with_the_way_to_see_it_again() {
        let outcome = outcome(
            false,
            "thread '<unnamed>' (1) panicked at src/link.rs:48:9:\nassertion failed\nnote: run with\n\
             ==1== ERROR: libFuzzer: deadly signal\n\
             artifact_prefix='/t/'; Test unit written to /t/crash-1\nstat::number_of_executed_units: 7\n",
        );
        assert_eq!(outcome.runs, 7);
        assert_eq!(
            outcome.line("link"),
            "link                      7 runs   10 s  FAILED\n    \
             thread '<unnamed>' (1) panicked at src/link.rs:48:9:\n    assertion failed\n    \
             again by: /t/link /t/crash-1"
        );
    }

    #[test]
    fn what_ends_without_a_panic_is_told_in_libfuzzer_s_words() {
        let outcome = outcome(
            false,
            "==1== ERROR: libFuzzer: timeout after 10 seconds\nTest unit written to /t/timeout-1\n",
        );
        let line = outcome.line("link");
        assert!(line.contains("timeout after 10 seconds"), "{line}");
        assert!(line.ends_with("/t/timeout-1"), "{line}");
    }

    #[test]
    fn a_program_that_ends_in_silence_has_failed() {
        assert!(!outcome(false, "").is_ok());
        assert!(
            outcome(false, "")
                .line("link")
                .contains("no input was kept")
        );
    }
}
