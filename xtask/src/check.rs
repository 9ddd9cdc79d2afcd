//! `cargo xtask check`: what needs no test to be run.

use crate::cargo::Steps;
use crate::tools::{DENY, DOCS_RS, EXTERNAL_TYPES, FEATURE_SETS, MINIMAL_VERSIONS, OLDEST, WASM};
use crate::{external_types, package, release, tidy, workspace};

/// Looks for what `check` needs beyond a toolchain. It comes before all else, so that nobody waits to be told.
pub(crate) fn equip(steps: &mut Steps) -> Result<(), String> {
    steps.step("tools beyond the toolchain");
    steps.equip(&[
        &FEATURE_SETS,
        &EXTERNAL_TYPES,
        &DENY,
        &WASM,
        &OLDEST,
        &DOCS_RS,
        &MINIMAL_VERSIONS,
    ])
}

pub(crate) fn run(steps: &mut Steps) -> Result<(), String> {
    steps.fetch()?;
    steps.cargo_as_given(&["fmt", "--all", "--check"])?;
    tidy::run(steps)?;
    lints(steps)?;
    steps.cargo_with(
        &[("RUSTDOCFLAGS", "-Dwarnings")],
        &["doc", "--workspace", "--no-deps", "--all-features"],
    )?;
    external_types::run(steps)?;
    release::run(steps)?;
    package::run(steps)
}

/// Clippy with all features, with none, and with every two of them.
fn lints(steps: &mut Steps) -> Result<(), String> {
    let deny = ["--", "-D", "warnings"];
    let all = ["clippy", "--workspace", "--all-targets", "--all-features"];
    steps.cargo(&[&all[..], &deny].concat())?;
    for member in workspace::published(steps.root())? {
        let bare = ["clippy", "--package", &member.name, "--no-default-features"];
        // Without `--all-targets` no development dependency can lend a feature that the library forgot to ask for.
        steps.cargo(&[&bare[..], &deny].concat())?;
        if member.has_features() {
            // The tests, too, change with the features.
            steps.cargo(&[&bare[..], &["--all-targets"], &deny].concat())?;
        }
    }
    if steps.can(&FEATURE_SETS) {
        // Only libraries are built, so that the resolver leaves out what tests would add. `default` is a name for
        // other features.
        steps.cargo(&[
            "hack",
            "clippy",
            "--workspace",
            "--ignore-private",
            "--feature-powerset",
            "--depth",
            "2",
            "--exclude-features",
            "default",
            "--keep-going",
            "--",
            "-D",
            "warnings",
        ])?;
    }
    Ok(())
}
