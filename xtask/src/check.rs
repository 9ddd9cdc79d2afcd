//! `cargo xtask check`: what needs no test to be run.

use crate::cargo::Steps;
use crate::{package, tidy};

pub(crate) fn run(steps: &mut Steps) -> Result<(), String> {
    steps.fetch()?;
    steps.cargo_fmt(&["--all", "--check"])?;
    tidy::run(steps)?;
    steps.cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ])?;
    for name in ["acr-protocol", "acr-client", "acr-mock"] {
        // Without `--all-targets` no development dependency can lend a feature that the library forgot to ask for.
        steps.cargo(&[
            "clippy",
            "--package",
            name,
            "--no-default-features",
            "--",
            "-D",
            "warnings",
        ])?;
    }
    for name in ["acr-client", "acr-mock"] {
        // The tests, too, change with the features.
        steps.cargo(&[
            "clippy",
            "--package",
            name,
            "--no-default-features",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ])?;
    }
    steps.cargo_with(
        &[("RUSTDOCFLAGS", "-Dwarnings")],
        &["doc", "--workspace", "--no-deps", "--all-features"],
    )?;
    package::run(steps)
}
