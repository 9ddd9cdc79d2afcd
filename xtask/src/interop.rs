//! `cargo xtask interop`: starts the program of acr-harness that tries other people's software.

use std::path::Path;
use std::process::ExitCode;

use crate::cargo;

/// What can be tried.
pub(crate) const PROGRAMS: &[&str] = &["python", "skopeo"];

/// Runs `interop PROGRAM ARGUMENTS` and ends as it ends: 0 passed, 3 skipped, anything else failed.
pub(crate) fn run(root: &Path, program: &str, arguments: &[&str]) -> ExitCode {
    let mut command = cargo::command(root);
    command
        .args([
            "run",
            "--quiet",
            "--locked",
            "--package",
            "acr-harness",
            "--bin",
            "interop",
            "--",
        ])
        .arg(program)
        .args(arguments);
    match command.status() {
        Ok(status) => status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!("xtask interop: cannot start cargo: {error}");
            ExitCode::FAILURE
        }
    }
}
