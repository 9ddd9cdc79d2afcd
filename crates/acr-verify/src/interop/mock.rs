//! The binary `acr-mock`, built and started as anybody's tests would start it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::process::Running;
use crate::Result;

/// A running `acr-mock`. It ends when this is dropped, or with this program, because its stdin ends then.
#[derive(Debug)]
pub struct MockProcess {
    process: Running,
    stdin: Option<ChildStdin>,
    // Kept open: a program must not fail because nobody reads its stdout.
    _stdout: BufReader<ChildStdout>,
    ready: Value,
}

impl MockProcess {
    /// Builds the binary, starts it with these arguments, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// If cargo cannot build it, or if it ends or prints something else before its ready line.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        Self::start_logging(arguments, "warn", Stdio::inherit())
    }

    /// The same, with the log at this level and in this place.
    ///
    /// # Errors
    ///
    /// As for [`MockProcess::start`].
    pub fn start_logging(arguments: &[&str], level: &str, log: Stdio) -> Result<Self> {
        let mut command = Command::new(build()?);
        // A setting of the caller's would make it another mock.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ACR_MOCK_") {
                command.env_remove(name);
            }
        }
        command
            .args(["--exit-on-stdin-close", "--log", level])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut process = Running::start(&mut command)?;
        let stdin = process.0.stdin.take();
        let stdout = process.0.stdout.take().ok_or("acr-mock has no stdout")?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        // Ends with the program's stdout if it never becomes ready.
        if stdout.read_line(&mut line)? == 0 {
            let status = process.0.wait()?;
            return Err(format!("acr-mock was never ready; it ended with {status}").into());
        }
        let ready = serde_json::from_str(&line).map_err(|error| {
            format!("the ready line of acr-mock is not JSON: {error}: {line:?}")
        })?;
        Ok(Self {
            process,
            stdin,
            _stdout: stdout,
            ready,
        })
    }

    /// A member of the ready line that is text, such as `endpoint`, `login_server`, `ca`, `username` or `password`.
    ///
    /// # Errors
    ///
    /// If the ready line has no such member.
    pub fn ready(&self, member: &str) -> Result<&str> {
        let text = self.ready[member].as_str();
        Ok(text.ok_or_else(|| format!("the ready line of acr-mock has no text `{member}`"))?)
    }

    /// The CA that clients must trust, as a file.
    ///
    /// # Errors
    ///
    /// If the ready line names none.
    pub fn ca(&self) -> Result<&Path> {
        Ok(Path::new(self.ready("ca")?))
    }

    /// The process's number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Ends it by closing its stdin.
    ///
    /// # Errors
    ///
    /// If it does not end soon, or not with code 0.
    pub fn stop(mut self) -> Result<()> {
        drop(self.stdin.take());
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            match self.process.0.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("acr-mock ended with {status}").into()),
                None if Instant::now() > deadline => {
                    return Err("acr-mock did not end with its stdin".into());
                }
                None => sleep(Duration::from_millis(10)),
            }
        }
    }
}

/// Builds `acr-mock` with the profile of this program, and returns where it is.
pub(crate) fn build() -> Result<PathBuf> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "build",
            "--quiet",
            "--package",
            "acr-mock",
            "--bin",
            "acr-mock",
        ])
        .arg("--message-format=json-render-diagnostics");
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let messages = super::output_of(&mut command)?;
    let executable = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "acr-mock")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    Ok(executable.ok_or("cargo built acr-mock, but does not say where")?)
}
