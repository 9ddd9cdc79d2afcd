//! `cargo xtask test`: everything hermetic.

use crate::cargo::Steps;
use crate::workspace;

pub(crate) fn run(steps: &mut Steps) -> Result<(), String> {
    steps.fetch()?;
    // xtask is tested alone: its features in a build of the whole workspace differ from those of `cargo xtask`, and
    // building it twice under one name would replace the program that is running.
    steps.cargo(&["test", "--package", "xtask"])?;
    // Unit, integration and doc tests (README snippets are doc tests); examples are built.
    steps.cargo(&[
        "test",
        "--workspace",
        "--exclude",
        "xtask",
        "--all-features",
    ])?;
    for member in workspace::published(steps.root())? {
        // One call a crate: in a common call the tests of one would switch on features of the other.
        if member.has_features() {
            steps.cargo(&["test", "--package", &member.name, "--no-default-features"])?;
        }
    }
    Ok(())
}
