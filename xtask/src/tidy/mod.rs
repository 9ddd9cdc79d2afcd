//! The rules of the repository that no compiler holds: who may depend on whom, what may be in a dependency tree, which
//! way imports go, and what a source file may look like.

mod circles;
mod layering;
mod sources;
mod tree;

use std::path::Path;

use serde_json::Value;

use crate::cargo::{self, Steps};
use crate::report::conclude;

pub(crate) fn run(steps: &mut Steps) -> Result<(), String> {
    steps.step("tidy: layering, dependency trees, import circles, source files");
    let metadata = metadata(steps.root())?;
    let mut findings = layering::check(&metadata);
    findings.extend(tree::check(steps.root())?);
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

/// Whether a member may be published: its manifest does not say `publish = false`.
pub(crate) fn is_published(package: &Value) -> bool {
    package["publish"]
        .as_array()
        .is_none_or(|registries| !registries.is_empty())
}
