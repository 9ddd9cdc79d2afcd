//! Starts the program acr-verify, which is built for it. What it needs would be too much for xtask.

use std::path::Path;
use std::process::ExitCode;

use crate::cargo;

/// Runs it with these arguments, the first of which names what it does, and ends as it ends: 0 passed, 2 bad usage,
/// 3 skipped, anything else failed. What measures time is built with `--release`.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> ExitCode {
    let mut command = cargo::command(root);
    // Paths among the arguments are those of the caller's folder.
    if let Ok(folder) = std::env::current_dir() {
        command.current_dir(folder);
    }
    command.args(["run", "--quiet", "--locked", "--package", "acr-verify"]);
    if matches!(arguments, ["bench", "content" | "mock", ..]) {
        command.arg("--release");
    }
    command.arg("--manifest-path").arg(root.join("Cargo.toml"));
    match command.arg("--").args(arguments).status() {
        Ok(status) => status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!("cargo xtask: cannot start cargo: {error}");
            ExitCode::FAILURE
        }
    }
}
