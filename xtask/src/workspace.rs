//! The members of the workspace, as `cargo metadata` gives them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::cargo;

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    features: BTreeMap<String, IgnoredAny>,
    /// The registries that it may be published to; empty for `publish = false`.
    publish: Option<Vec<String>>,
    targets: Vec<Target>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev` or `build`.
    pub(crate) kind: Option<String>,
    pub(crate) req: String,
    pub(crate) path: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
struct Target {
    kind: Vec<String>,
    src_path: PathBuf,
}

/// Asks cargo for all members.
pub(crate) fn members(root: &Path) -> Result<Vec<Member>, String> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Member>,
    }
    let text = cargo::ask(root, &["metadata", "--format-version", "1", "--no-deps"])?;
    let metadata: Result<Metadata, _> = serde_json::from_str(&text);
    metadata
        .map(|metadata| metadata.packages)
        .map_err(|error| format!("cargo metadata: {error}"))
}

/// Those of them that may be published.
pub(crate) fn published(root: &Path) -> Result<Vec<Member>, String> {
    let mut members = members(root)?;
    members.retain(Member::is_published);
    Ok(members)
}

impl Member {
    pub(crate) fn is_published(&self) -> bool {
        self.publish
            .as_ref()
            .is_none_or(|registries| !registries.is_empty())
    }

    pub(crate) fn has_features(&self) -> bool {
        !self.features.is_empty()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(&self.manifest_path)
    }

    /// The root file of its library.
    pub(crate) fn lib_root(&self) -> Option<&Path> {
        let is_library = |target: &&Target| target.kind.iter().any(|kind| kind == "lib");
        let library = self.targets.iter().find(is_library)?;
        Some(&library.src_path)
    }
}

#[cfg(test)]
impl Member {
    /// A member of this name with these dependencies: name, kind, requirement.
    pub(crate) fn made_up(name: &str, dependencies: &[(&str, Option<&str>, &str)]) -> Self {
        let dependencies = dependencies.iter().map(|(name, kind, req)| Dependency {
            name: (*name).to_owned(),
            kind: kind.map(str::to_owned),
            req: (*req).to_owned(),
            path: Some("/w/x".into()),
        });
        Self {
            name: name.to_owned(),
            manifest_path: format!("/w/crates/{name}/Cargo.toml").into(),
            dependencies: dependencies.collect(),
            features: BTreeMap::new(),
            publish: None,
            targets: Vec::new(),
        }
    }
}
