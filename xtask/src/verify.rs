//! Starts a program of acr-verify, which is built for it. What such a program needs would be too much for xtask.

use std::path::Path;
use std::process::ExitCode;

use crate::cargo;

/// Runs `PROGRAM ARGUMENTS` and ends as it ends: 0 passed, 3 skipped, anything else failed.
pub(crate) fn run(root: &Path, program: &str, arguments: &[&str]) -> ExitCode {
    start(root, program, &[], arguments)
}

/// The same, built with `--release`: for programs that measure.
pub(crate) fn run_fast(root: &Path, program: &str, arguments: &[&str]) -> ExitCode {
    start(root, program, &["--release"], arguments)
}

fn start(root: &Path, program: &str, profile: &[&str], arguments: &[&str]) -> ExitCode {
    let mut command = cargo::command(root);
    // Paths among the arguments are those of the caller's folder.
    if let Ok(folder) = std::env::current_dir() {
        command.current_dir(folder);
    }
    command
        .args(["run", "--quiet", "--locked"])
        .args(profile)
        .arg("--manifest-path")
        .arg(root.join("Cargo.toml"))
        .args(["--package", "acr-verify", "--bin", program, "--"])
        .args(arguments);
    match command.status() {
        Ok(status) => status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!("xtask {program}: cannot start cargo: {error}");
            ExitCode::FAILURE
        }
    }
}
