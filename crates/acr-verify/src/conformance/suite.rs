//! The suite as a program: where it is, what it is told, and whether what it leaves can be believed.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::results::Results;
use crate::Result;

/// A built suite.
#[derive(Clone, Debug)]
pub struct Suite {
    path: PathBuf,
}

/// The registry to test, and what to ask of it.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Host and port.
    pub registry: &'a str,
    /// The certificate to trust, as a PEM file.
    pub ca: &'a Path,
    /// Who logs in.
    pub username: &'a str,
    /// With which password.
    pub password: &'a str,
    /// The version of the specification, which the report must name too.
    pub version: &'a str,
    /// Further variables for the suite.
    pub switches: &'a [(&'a str, &'a str)],
}

// By hand, because of the password.
impl fmt::Debug for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("registry", &self.registry)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Suite {
    /// Takes the program at this path.
    ///
    /// # Errors
    ///
    /// If no file is there.
    pub fn at(path: &Path) -> Result<Self> {
        let found = path.canonicalize();
        let path = found.map_err(|error| format!("no suite at {}: {error}", path.display()))?;
        if !path.is_file() {
            return Err(format!("no suite at {}: it is not a file", path.display()).into());
        }
        Ok(Self { path })
    }

    /// Runs it, and reads the report that it leaves in the folder beside its output.
    ///
    /// # Errors
    ///
    /// If it does not start, does not end in time, or leaves no report; if the report is about something else, or
    /// contradicts the exit code.
    pub fn run(&self, target: &Target<'_>, folder: &Path) -> Result<Results> {
        fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        let report = folder.join(REPORT);
        // A report of an earlier run is none of this one.
        remove(&report)?;
        // Elsewhere a configuration file might lie about.
        let elsewhere = tempfile::tempdir()?;
        let mut command = self.command(target, &folder);
        command.current_dir(elsewhere.path());
        let output = folder.join("output.txt");
        let status = run_within(command, TIME_LIMIT, &output)
            .map_err(|error| format!("{}: {error}{}", self.path.display(), last_lines(&output)))?;
        let text = fs::read_to_string(&report).map_err(|error| {
            format!(
                "the suite ended with {status} and left no report, as it does when it cannot begin: {}: {error}{}",
                report.display(),
                last_lines(&output)
            )
        })?;
        let results = Results::parse(&text)
            .map_err(|error| format!("{}: {error}{}", report.display(), last_lines(&output)))?;
        check(&results, target, status)?;
        Ok(results)
    }

    fn command(&self, target: &Target<'_>, folder: &Path) -> Command {
        let mut command = Command::new(&self.path);
        // A setting of the caller's would make it another test.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OCI_") {
                command.env_remove(name);
            }
        }
        command
            .env("OCI_REGISTRY", target.registry)
            .env("OCI_VERSION", target.version)
            .env("OCI_TLS", "enabled")
            .env("OCI_REPO1", "conformance/first")
            .env("OCI_REPO2", "conformance/second")
            .env("OCI_USERNAME", target.username)
            .env("OCI_PASSWORD", target.password)
            .env("OCI_RESULTS_DIR", folder)
            .env("SSL_CERT_FILE", target.ca)
            .envs(target.switches.iter().copied());
        command
    }
}

/// It takes seconds; a machine that is busy with other things may need some more.
const TIME_LIMIT: Duration = Duration::from_secs(10 * 60);

/// The only one of its reports that names the test cases.
const REPORT: &str = "junit.xml";

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {error}", file.display()).into())
        }
        _ => Ok(()),
    }
}

/// Runs a command to its end with its output in a file, or ends it itself when the time is over.
fn run_within(mut command: Command, limit: Duration, output: &Path) -> Result<ExitStatus> {
    let file = File::create(output)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .map_err(|error| format!("it does not start: {error}"))?;
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Err(
                format!("it did not end within {} s and was killed", limit.as_secs()).into(),
            );
        }
        sleep(Duration::from_millis(20));
    }
}

/// What the report says must be what was asked, and what the exit code says.
fn check(results: &Results, target: &Target<'_>, status: ExitStatus) -> Result<()> {
    for (what, is, wanted) in [
        ("registry", &*results.registry, target.registry),
        ("specification", &*results.version, target.version),
    ] {
        if is != wanted {
            return Err(
                format!("the report is about the {what} {is:?} instead of {wanted:?}").into(),
            );
        }
    }
    let failed = results.counts.failed > 0;
    if status.code() != Some(i32::from(failed)) {
        let failed = results.counts.failed;
        return Err(
            format!("the suite ended with {status}, but reports {failed} as failed").into(),
        );
    }
    Ok(())
}

/// The end of the output, for an error; nothing if there is none.
fn last_lines(output: &Path) -> String {
    let text = fs::read(output).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(5)..].join("\n  ");
    if last.is_empty() {
        last
    } else {
        format!("\n  {last}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target<'static> {
        Target {
            registry: "127.0.0.1:1",
            ca: Path::new("/nowhere/ca.pem"),
            username: "me",
            password: "secret",
            version: "1.1",
            switches: &[("OCI_DATA_SPARSE", "true")],
        }
    }

    #[test]
    fn a_path_without_a_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = Suite::at(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("it is not a file"), "{error}");
        let error = Suite::at(&folder.path().join("suite")).unwrap_err();
        assert!(error.to_string().starts_with("no suite at "), "{error}");
    }

    #[test]
    fn a_suite_that_ends_well_without_a_report_has_failed() {
        // A program that takes no notice of its environment and ends with 0.
        let program = Path::new(env!("CARGO"));
        let folder = tempfile::tempdir().unwrap();
        let stale = folder.path().join(REPORT);
        fs::write(&stale, "<testsuites/>").unwrap();
        let suite = Suite::at(program).unwrap();
        let error = suite.run(&target(), folder.path()).unwrap_err().to_string();
        assert!(error.contains("left no report"), "{error}");
        assert!(
            !stale.exists(),
            "a report of an earlier run would be believed"
        );
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn the_password_is_not_shown() {
        let shown = format!("{:?}", target());
        assert!(
            shown.contains("127.0.0.1:1") && !shown.contains("secret"),
            "{shown}"
        );
    }

    #[test]
    fn the_suite_is_told_where_and_as_whom() {
        let suite = Suite::at(Path::new(env!("CARGO"))).unwrap();
        let command = suite.command(&target(), Path::new("/results"));
        let variable = |name: &str| {
            let mut all = command.get_envs();
            let found = all.find(|(key, _)| *key == name);
            found.and_then(|(_, value)| value)?.to_str()
        };
        assert_eq!(variable("OCI_REGISTRY"), Some("127.0.0.1:1"));
        assert_eq!(variable("OCI_TLS"), Some("enabled"));
        assert_eq!(variable("OCI_USERNAME"), Some("me"));
        assert_eq!(variable("OCI_PASSWORD"), Some("secret"));
        assert_eq!(variable("OCI_RESULTS_DIR"), Some("/results"));
        assert_eq!(variable("OCI_VERSION"), Some("1.1"));
        assert_eq!(variable("OCI_DATA_SPARSE"), Some("true"));
        assert_eq!(variable("SSL_CERT_FILE"), Some("/nowhere/ca.pem"));
    }

    #[cfg(unix)]
    #[test]
    fn a_suite_that_hangs_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("output.txt");
        let mut command = Command::new("sleep");
        command.arg("3600");
        let error = run_within(command, Duration::ZERO, &output).unwrap_err();
        assert!(error.to_string().contains("was killed"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_report_about_something_else_is_refused() {
        use std::os::unix::process::ExitStatusExt as _;

        let exit = |code: i32| ExitStatus::from_raw(code << 8);
        let results = |failed: usize| Results {
            registry: "127.0.0.1:1".to_owned(),
            version: "1.1".to_owned(),
            counts: crate::conformance::results::Counts {
                passed: 1,
                failed,
                ..Default::default()
            },
            cases: Vec::new(),
        };
        check(&results(0), &target(), exit(0)).unwrap();
        check(&results(2), &target(), exit(1)).unwrap();
        for (results, status, says) in [
            (results(0), exit(1), "reports 0 as failed"),
            (results(2), exit(0), "reports 2 as failed"),
            (results(1), exit(2), "reports 1 as failed"),
            (results(0), ExitStatus::from_raw(9), "signal"),
            (
                Results {
                    registry: "localhost:5000".to_owned(),
                    ..results(0)
                },
                exit(0),
                "about the registry \"localhost:5000\"",
            ),
            (
                Results {
                    version: "1.0".to_owned(),
                    ..results(0)
                },
                exit(0),
                "about the specification \"1.0\"",
            ),
        ] {
            let error = check(&results, &target(), status).unwrap_err().to_string();
            assert!(error.contains(says), "{says:?} is not in {error:?}");
        }
    }

    #[test]
    fn the_end_of_the_output_explains_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("output.txt");
        assert_eq!(last_lines(&output), "");
        fs::write(&output, "1\n2\n\n3\n4\n5\n6\n").unwrap();
        assert_eq!(last_lines(&output), "\n  2\n  3\n  4\n  5\n  6");
    }
}
