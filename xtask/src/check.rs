//! `cargo xtask check`: what needs no test to be run.

use crate::cargo::Steps;
use crate::tools::{EXTERNAL_TYPES, FEATURE_SETS, Installed};
use crate::{external_types, fuzz, package, tidy};

/// Looks for what `check` needs beyond a toolchain. It comes before all else, so that nobody waits to be told.
pub(crate) fn equip(steps: &mut Steps) -> Result<(), String> {
    steps.step("tools beyond the toolchain");
    let installed = Installed::look(steps.root())?;
    steps.equip(&[&FEATURE_SETS, &EXTERNAL_TYPES], &installed)
}

pub(crate) fn run(steps: &mut Steps) -> Result<(), String> {
    steps.fetch()?;
    steps.cargo_fmt(&["--all", "--check"])?;
    steps.cargo_fmt(&["--manifest-path", fuzz::MANIFEST, "--check"])?;
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
    for name in [
        "acr-clock",
        "acr-protocol",
        "acr-client",
        "acr-mock",
        "acr-record",
    ] {
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
    if steps.can(&FEATURE_SETS) {
        feature_sets(steps)?;
    }
    steps.cargo_with(
        &[("RUSTDOCFLAGS", "-Dwarnings")],
        &["doc", "--workspace", "--no-deps", "--all-features"],
    )?;
    external_types::run(steps)?;
    package::run(steps)
}

/// Every feature, and every two of them, build without a warning. `default` is left out, being a name for others.
///
/// The development dependencies need not be taken out of the manifests, as cargo-hack offers to do: where only the
/// library is built, the resolver leaves their features out.
fn feature_sets(steps: &mut Steps) -> Result<(), String> {
    steps.cargo(&[
        "hack",
        "clippy",
        "--package",
        "acr-client",
        "--package",
        "acr-mock",
        "--feature-powerset",
        "--depth",
        "2",
        "--exclude-features",
        "default",
        "--keep-going",
        "--",
        "-D",
        "warnings",
    ])
}
