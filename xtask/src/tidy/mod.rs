//! The rules of the repository that no compiler holds: who may depend on whom, what may be in a dependency tree, which
//! way imports go, and what a source file may look like.

mod circles;
mod dependencies;
mod sources;
mod words;

use std::path::Path;

use serde_json::Value;

use crate::cargo::{self, Steps};
use crate::report::conclude;

pub(crate) fn run(steps: &mut Steps) -> Result<(), String> {
    steps.step("tidy: dependencies, import circles, words, source files");
    let metadata = metadata(steps.root())?;
    let mut findings = dependencies::check(steps.root(), &metadata)?;
    findings.extend(circles::check(&metadata)?);
    findings.extend(sources::check(steps.root(), &metadata)?);
    conclude("tidy", &findings)
}

/// `cargo metadata` of the members, without their dependencies' own metadata.
pub(crate) fn metadata(root: &Path) -> Result<Value, String> {
    let text = cargo::ask(root, &["metadata", "--format-version", "1", "--no-deps"])?;
    serde_json::from_str(&text).map_err(|error| format!("cargo metadata is not JSON: {error}"))
}

/// The members of the workspace.
pub(crate) fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

/// The members that may be published: their manifests do not say `publish = false`.
pub(crate) fn published(metadata: &Value) -> impl Iterator<Item = &Value> {
    packages(metadata).filter(|package| {
        let registries = package["publish"].as_array();
        registries.is_none_or(|registries| !registries.is_empty())
    })
}
