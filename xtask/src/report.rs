//! What a rule has to say: which rule, where, and what to do.

use std::fmt;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Name of the rule, as CONTRIBUTING.md uses it.
    pub(crate) rule: &'static str,
    /// A path below the workspace's root, with a line where there is one.
    pub(crate) place: String,
    /// What is wrong and what would be right.
    pub(crate) problem: String,
}

impl Finding {
    pub(crate) fn new(
        rule: &'static str,
        place: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        Self {
            rule,
            place: place.into(),
            problem: problem.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}: {}", self.rule, self.place, self.problem)
    }
}

/// Turns findings into one failure text that lists them all, or into success.
pub(crate) fn conclude(what: &str, findings: &[Finding]) -> Result<(), String> {
    if findings.is_empty() {
        return Ok(());
    }
    let mut text = format!("{what}: {} problem(s)", findings.len());
    for finding in findings {
        text.push_str(&format!("\n  {finding}"));
    }
    Err(text)
}
