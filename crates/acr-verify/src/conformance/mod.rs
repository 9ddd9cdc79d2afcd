//! The OCI conformance suite on acr-mock, in both profiles, over TLS and with a login: `cargo xtask conformance`.
//!
//! The suite is a program of opencontainers/distribution-spec. It is built elsewhere and named by its path; nothing of
//! it is here. What it finds is read from its report and never from its exit code, because it ends with 0 when it
//! could not even begin.
//!
//! | profile | what is asked of it | what passes |
//! |---|---|---|
//! | `oci` | everything that the suite can ask, the specification to come included | nothing failed, skipped or disabled |
//! | `acr` | the released specification, with the suite's defaults | every failure and skip is one that the service shows too, and stands in [`expected`] |

pub mod expected;
pub mod results;
pub mod suite;
pub mod summary;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use self::expected::{Comparison, Expected};
use self::results::{Outcome, Results};
use self::suite::{Suite, Target};
use crate::Result;
use crate::interop::mock::MockProcess;

/// What the suite is asked for, besides where the registry is.
#[derive(Clone, Copy, Debug)]
struct Plan {
    profile: &'static str,
    /// Of the specification, as the suite spells it.
    version: &'static str,
    switches: &'static [(&'static str, &'static str)],
}

const OCI: Plan = Plan {
    profile: "oci",
    version: "dev",
    // The one switch that this version leaves off.
    switches: &[("OCI_DATA_SPARSE", "true")],
};

const ACR: Plan = Plan {
    profile: "acr",
    version: "1.1",
    switches: &[],
};

/// Runs the suite on both profiles, prints what it found, and says whether that is as it should be.
///
/// `keep` is a folder for the suite's reports and output; without it they are removed in the end.
///
/// # Errors
///
/// If the mock or the suite does not start, or if the suite leaves no report that can be believed.
pub fn run(suite: &Path, keep: Option<&Path>) -> Result<bool> {
    let suite = Suite::at(suite)?;
    let expected = Expected::of_acr()?;
    let temporary = TempDir::with_prefix("acr-conformance-")?;
    let folder = keep.unwrap_or_else(|| temporary.path());

    let oci = run_plan(&suite, OCI, folder)?;
    let acr = run_plan(&suite, ACR, folder)?;
    let comparison = expected.compare(&acr);

    println!("\n{}", summary::categories(&oci, &acr));
    print!("{}", named("oci", &oci));
    print!("{comparison}");
    let listed = comparison.listed();
    println!("\n{}", summary::last_line(oci.counts, acr.counts, listed));
    Ok(passes(&oci, &comparison))
}

fn run_plan(suite: &Suite, plan: Plan, folder: &Path) -> Result<Results> {
    let folder: PathBuf = folder.join(plan.profile);
    let mock = MockProcess::start(&["--profile", plan.profile])?;
    let registry = mock.ready("login_server")?;
    println!(
        "{}: the suite of specification {} runs on acr-mock {} at {registry}",
        plan.profile,
        plan.version,
        mock.ready("version")?
    );
    let results = suite.run(
        &Target {
            registry,
            ca: mock.ca()?,
            username: mock.ready("username")?,
            password: mock.ready("password")?,
            version: plan.version,
            switches: plan.switches,
        },
        &folder,
    );
    // In any case, so that it leaves no file behind. If it has panicked meanwhile, it does not end with 0.
    let stopped = mock.stop();
    let results = results.map_err(|error| format!("profile {}: {error}", plan.profile))?;
    stopped?;
    Ok(results)
}

fn passes(oci: &Results, acr: &Comparison<'_>) -> bool {
    let rest = oci.counts.failed + oci.counts.skipped + oci.counts.disabled;
    rest == 0 && acr.is_as_expected()
}

/// A line for each case that did not pass.
fn named(profile: &str, results: &Results) -> String {
    let mut text = String::new();
    for case in &results.cases {
        if case.outcome != Outcome::Passed {
            text.push_str(&format!("{profile}: {case}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::results::{Case, Counts};

    fn results(counts: Counts, cases: Vec<Case>) -> Results {
        Results {
            registry: "127.0.0.1:1".to_owned(),
            version: "1.1".to_owned(),
            counts,
            cases,
        }
    }

    #[test]
    fn oci_passes_only_with_nothing_failed_skipped_or_disabled() {
        let all = Counts {
            passed: 1000,
            ..Counts::default()
        };
        let expected = Expected::from_json("[]").unwrap();
        let acr = results(all, Vec::new());
        let fine = expected.compare(&acr);
        assert!(passes(&results(all, Vec::new()), &fine));
        for counts in [
            Counts { failed: 1, ..all },
            Counts { skipped: 1, ..all },
            Counts { disabled: 1, ..all },
        ] {
            assert!(!passes(&results(counts, Vec::new()), &fine), "{counts:?}");
        }
        let worse = results(Counts { skipped: 1, ..all }, Vec::new());
        assert!(!passes(
            &results(all, Vec::new()),
            &expected.compare(&worse)
        ));
    }

    #[test]
    fn what_did_not_pass_is_named() {
        let case = |name: &str, outcome| Case {
            name: name.to_owned(),
            outcome,
            says: "why".to_owned(),
        };
        let cases = vec![
            case("ping", Outcome::Passed),
            case("image/delete/tag-delete", Outcome::Skipped),
        ];
        let text = named("oci", &results(Counts::default(), cases));
        assert_eq!(text, "oci: skipped: image/delete/tag-delete: why\n");
    }
}
