//! The rules of the repository that no compiler holds: who may depend on whom, what may be in a dependency tree, which
//! way imports go, and what a source file may look like.

mod circles;
mod dependencies;
mod sources;
mod words;

use crate::cargo::Steps;
use crate::report::conclude;
use crate::workspace;

pub(crate) fn run(steps: &mut Steps) -> Result<(), String> {
    steps.step("tidy: dependencies, import circles, words, source files");
    let members = workspace::members(steps.root())?;
    let mut findings = dependencies::check(steps.root(), &members)?;
    findings.extend(circles::check(&members)?);
    findings.extend(sources::check(steps.root(), &members)?);
    conclude("tidy", &findings)
}
