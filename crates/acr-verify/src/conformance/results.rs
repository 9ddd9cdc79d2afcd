//! The report of the suite: what it counted, and how each of its test cases ended.

use std::fmt;

use roxmltree::{Document, Node};

use crate::Result;

/// What the suite found.
#[derive(Clone, Debug)]
pub struct Results {
    /// Host and port that it says it has tested.
    pub registry: String,
    /// Version of the specification that it says it has tested.
    pub version: String,
    /// Its own figures.
    pub counts: Counts,
    /// Its test cases, in the order of the report; names may come more than once.
    pub cases: Vec<Case>,
}

/// How many of its demands ended how. A test case may hold several demands: deleting a tag is counted again for being
/// done at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Met.
    pub passed: usize,
    /// Not met, or the suite itself was at a loss.
    pub failed: usize,
    /// The registry says that it does not do that.
    pub skipped: usize,
    /// Switched off in the suite.
    pub disabled: usize,
}

/// One test case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its path in the suite's tree, without the root.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The suite's words about it; empty if it passed.
    pub says: String,
}

/// How a test case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All demands were met.
    Passed,
    /// One was not met, or the suite itself was at a loss.
    Failed,
    /// The registry does not do that.
    Skipped,
    /// Switched off in the suite.
    Disabled,
}

impl Results {
    /// Reads the suite's `junit.xml`.
    ///
    /// # Errors
    ///
    /// If it is no such report, or if its figures contradict its test cases: then nothing of it can be believed.
    pub fn parse(junit: &str) -> Result<Self> {
        let document = Document::parse(junit)?;
        let suite = document
            .descendants()
            .find(|node| node.has_tag_name("testsuite"))
            .ok_or("the report has no `testsuite`")?;
        let root = attribute(suite, "name")?;
        let configuration = suite
            .descendants()
            .filter(|node| node.has_tag_name("property"))
            .find(|node| node.attribute("name") == Some("Config"))
            .and_then(|node| node.attribute("value"))
            .ok_or("the report does not say how the suite was configured")?;
        let cases = suite
            .descendants()
            .filter(|node| node.has_tag_name("testcase"))
            .map(|node| Case::read(node, root))
            .collect::<Result<_>>()?;
        let results = Self {
            registry: setting(configuration, "registry")?,
            version: setting(configuration, "version")?,
            counts: Counts::read(suite)?,
            cases,
        };
        results.check()?;
        Ok(results)
    }

    /// How many test cases ended so, in a category or in all.
    #[must_use]
    pub fn cases_of(&self, category: Option<&str>, outcome: Outcome) -> usize {
        self.cases
            .iter()
            .filter(|case| category.is_none_or(|category| case.category() == category))
            .filter(|case| case.outcome == outcome)
            .count()
    }

    /// A suite that could not begin writes a report of nothing.
    fn check(&self) -> Result<()> {
        if self.counts.passed == 0 {
            return Err("the suite passed nothing, not even a ping".into());
        }
        for (outcome, counted) in [
            (Outcome::Failed, self.counts.failed),
            (Outcome::Skipped, self.counts.skipped),
            (Outcome::Disabled, self.counts.disabled),
        ] {
            let cases = self.cases_of(None, outcome);
            if counted < cases || (counted > 0 && cases == 0) {
                return Err(format!(
                    "the suite counts {counted} as {outcome} and names {cases} of them"
                )
                .into());
            }
        }
        Ok(())
    }
}

impl Counts {
    fn read(suite: Node<'_, '_>) -> Result<Self> {
        let number = |name: &str| -> Result<usize> {
            // Left out where it would be 0.
            let text = suite.attribute(name).unwrap_or("0");
            let number = text.parse();
            Ok(number.map_err(|_| format!("the report's `{name}` is not a number: {text:?}"))?)
        };
        let failed = number("failures")? + number("errors")?;
        let (skipped, disabled) = (number("skipped")?, number("disabled")?);
        let tests = number("tests")?;
        let passed = tests
            .checked_sub(failed + skipped + disabled)
            .ok_or_else(|| {
                format!("the report has {tests} tests, but more than that failed or were skipped")
            })?;
        Ok(Self {
            passed,
            failed,
            skipped,
            disabled,
        })
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
            disabled,
        } = self;
        f.pad(&format!("{passed}/{failed}/{skipped}/{disabled}"))
    }
}

impl Case {
    fn read(node: Node<'_, '_>, root: &str) -> Result<Self> {
        let name = attribute(node, "name")?;
        let name = name
            .strip_prefix(root)
            .and_then(|rest| rest.strip_prefix('/'))
            .unwrap_or(name);
        let text_of = |tag| {
            let child = node.children().find(|child| child.has_tag_name(tag));
            child.and_then(|child| child.text()).unwrap_or_default()
        };
        let mut says = text_of("system-out").trim().to_owned();
        if says.is_empty() {
            // What is not even tried has its reason in the log instead.
            let (_, reason) = text_of("system-err")
                .rsplit_once(LEFT_OUT)
                .unwrap_or_default();
            reason.trim().clone_into(&mut says);
        }
        let outcome = match attribute(node, "status")? {
            "passed" => Outcome::Passed,
            "failure" | "error" => Outcome::Failed,
            "skipped" if says.contains(SWITCHED_OFF) => Outcome::Disabled,
            "skipped" => Outcome::Skipped,
            other => return Err(format!("{name}: unknown status {other:?}").into()),
        };
        if outcome == Outcome::Passed {
            says.clear();
        }
        Ok(Self {
            name: name.to_owned(),
            outcome,
            says,
        })
    }

    /// The first part of the name: a kind of data, or a group of requests.
    #[must_use]
    pub fn category(&self) -> &str {
        self.name
            .split_once('/')
            .map_or(&self.name, |(category, _)| category)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The suite's words may have several lines.
        let says = self.says.split_whitespace().collect::<Vec<_>>().join(" ");
        write!(f, "{}: {}: {says}", self.outcome, self.name)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Disabled => "disabled",
        })
    }
}

/// In the log, ahead of the reason why a test case was left out.
const LEFT_OUT: &str = "skipping test:";

/// In that reason, if it is the suite's own configuration; the report has the same status for both.
const SWITCHED_OFF: &str = "is disabled in the configuration";

fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Result<&'a str> {
    let value = node.attribute(name);
    Ok(value.ok_or_else(|| {
        format!(
            "the report has a `{}` without `{name}`",
            node.tag_name().name()
        )
    })?)
}

/// A member of the configuration's top level, which the report holds as YAML.
fn setting(configuration: &str, name: &str) -> Result<String> {
    let value = configuration.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        (key == name).then(|| value.trim_matches('"').to_owned())
    });
    Ok(value.ok_or_else(|| format!("the suite's configuration has no `{name}`"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report of the suite's form.
    fn report(attributes: &str, cases: &str) -> String {
        format!(
            "<testsuites><testsuite name=\"Suite\" {attributes}><properties><property name=\"Config\" \
             value=\"registry: 127.0.0.1:4&#xA;data:&#xA;  version: none&#xA;version: &#34;1.1&#34;&#xA;\">\
             </property></properties>{cases}</testsuite></testsuites>"
        )
    }

    const CASES: &str = "\
        <testcase name=\"Suite/ping\" status=\"passed\"><system-err>a long log</system-err></testcase>\
        <testcase name=\"Suite/image/delete/tag-delete\" status=\"skipped\">\
          <system-out>registry returned status 405</system-out><system-err>log</system-err></testcase>\
        <testcase name=\"Suite/blobs/cancel\" status=\"skipped\">\
          <system-err>Suite/blobs/cancel: skipping test:&#xA;  api X is disabled in the configuration&#xA;</system-err>\
        </testcase>\
        <testcase name=\"Suite/image/put\" status=\"failure\"><system-out>one &amp; two</system-out></testcase>";

    #[test]
    fn a_report_has_counts_and_named_cases() {
        let text = report(
            "tests=\"7\" failures=\"1\" errors=\"0\" skipped=\"2\" disabled=\"1\"",
            CASES,
        );
        let results = Results::parse(&text).unwrap();
        assert_eq!(results.registry, "127.0.0.1:4");
        assert_eq!(results.version, "1.1");
        assert_eq!(results.counts.to_string(), "3/1/2/1");
        let shown: Vec<_> = results.cases.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "passed: ping: ",
                "skipped: image/delete/tag-delete: registry returned status 405",
                "disabled: blobs/cancel: api X is disabled in the configuration",
                "failed: image/put: one & two",
            ]
        );
        assert_eq!(results.cases[1].category(), "image");
        assert_eq!(results.cases_of(Some("image"), Outcome::Failed), 1);
        assert_eq!(results.cases_of(Some("blobs"), Outcome::Failed), 0);
        assert_eq!(results.cases_of(None, Outcome::Passed), 1);
    }

    #[test]
    fn an_error_of_the_suite_itself_counts_as_failed() {
        let case = "<testcase name=\"Suite/ping\" status=\"error\"/>";
        let text = report("tests=\"2\" failures=\"0\" errors=\"1\"", case);
        let results = Results::parse(&text).unwrap();
        assert_eq!(results.counts.to_string(), "1/1/0/0");
        assert_eq!(results.cases[0].outcome, Outcome::Failed);
    }

    #[test]
    fn a_report_that_cannot_be_believed_is_refused() {
        for (text, says) in [
            (String::new(), "root node"),
            ("<testsuites></testsuites>".to_owned(), "no `testsuite`"),
            (report("tests=\"0\"", ""), "passed nothing"),
            (
                report("tests=\"9\" failures=\"1\"", ""),
                "1 as failed and names 0",
            ),
            (
                report("tests=\"9\" skipped=\"1\"", ""),
                "1 as skipped and names 0",
            ),
            (
                report("tests=\"9\" disabled=\"1\"", ""),
                "1 as disabled and names 0",
            ),
            (report("tests=\"9\"", CASES), "0 as failed and names 1"),
            (
                report("tests=\"1\" failures=\"2\"", CASES),
                "more than that",
            ),
            (report("tests=\"some\"", ""), "`tests` is not a number"),
            (
                report("tests=\"1\"", "<testcase name=\"Suite/x\" status=\"odd\"/>"),
                "unknown status \"odd\"",
            ),
        ] {
            let error = Results::parse(&text).unwrap_err().to_string();
            assert!(error.contains(says), "{says:?} is not in {error:?}");
        }
    }
}
