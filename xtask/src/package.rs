//! Packages every published crate and builds what was packaged, as users will get it.

use std::path::Path;

use serde_json::Value;

use crate::cargo::{self, Call, Steps};
use crate::report::{Finding, conclude};
use crate::tidy;

pub(crate) fn run(steps: &mut Steps) -> Result<(), String> {
    let root = steps.root().to_path_buf();
    let metadata = tidy::metadata(&root)?;
    let published: Vec<&Value> = tidy::published(&metadata).collect();
    for package in &published {
        let name = package["name"].as_str().unwrap_or_default();
        let list = cargo::ask(
            &root,
            &["package", "--list", "--allow-dirty", "--package", name],
        )?;
        conclude("contents of packages", &check_contents(name, &list))?;
        // Members that are not yet on crates.io come from their folders. Cargo can also take them from each other's
        // packages (`cargo package --workspace`), but it keeps those by name and version: from the second run on it
        // would build against packages of before the last change.
        let patches: Vec<String> = needs(name, &published)
            .into_iter()
            .map(|member| patch(&root, member))
            .collect();
        let mut arguments = vec!["package", "--package", name, "--allow-dirty", "--locked"];
        for patch in &patches {
            arguments.extend(["--config", patch.as_str()]);
        }
        // With a network, for cargo then asks the registry which versions have been yanked.
        let call = Call::new(cargo::command(&root), "cargo").with(&[], &arguments);
        let (is_built, said) = steps.hear(call)?;
        if !is_built || said.contains(" is yanked in registry") {
            return Err(said);
        }
    }
    Ok(())
}

/// Checks the output of `cargo package --list`. Tests are left out: they need other members, and the fixtures.
fn check_contents(name: &str, list: &str) -> Vec<Finding> {
    let finding = |problem: String| Finding::new("package", name, problem);
    let missing = REQUIRED
        .iter()
        .filter(|file| list.lines().all(|line| line != **file));
    let missing = missing.map(|file| finding(format!("has no {file}")));
    let is_known = |line: &str| {
        REQUIRED.contains(&line)
            || GENERATED.contains(&line)
            || ["src/", "examples/"]
                .iter()
                .any(|folder| line.starts_with(folder))
    };
    let extra = list.lines().filter(|line| !is_known(line));
    let extra = extra.map(|file| finding(format!("has {file}; see `include` in its manifest")));
    missing.chain(extra).collect()
}

const REQUIRED: &[&str] = &[
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "src/lib.rs",
];
const GENERATED: &[&str] = &[".cargo_vcs_info.json", "Cargo.lock", "Cargo.toml.orig"];

/// The members that `name` depends on, at any distance, tests not counted.
fn needs<'a>(name: &str, published: &[&'a Value]) -> Vec<&'a Value> {
    let mut found: Vec<&Value> = Vec::new();
    let mut open = vec![name.to_owned()];
    while let Some(name) = open.pop() {
        let package = published.iter().find(|package| package["name"] == name);
        let dependencies = package.and_then(|package| package["dependencies"].as_array());
        for dependency in dependencies.into_iter().flatten() {
            let member = published
                .iter()
                .find(|member| member["name"] == dependency["name"]);
            if let Some(member) = member
                && dependency["kind"] != "dev"
                && !found.contains(member)
            {
                found.push(member);
                open.extend(member["name"].as_str().map(str::to_owned));
            }
        }
    }
    found
}

/// The setting that has cargo take a member from its folder, by a path from the root.
fn patch(root: &Path, member: &Value) -> String {
    let name = member["name"].as_str().unwrap_or_default();
    let manifest = Path::new(member["manifest_path"].as_str().unwrap_or_default());
    let folder = manifest.parent().unwrap_or(root);
    let folder = folder.strip_prefix(root).unwrap_or(folder);
    // A path in TOML quotes: forward slashes need no escape.
    let folder = folder.display().to_string().replace('\\', "/");
    format!("patch.crates-io.{name}.path=\"{folder}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_package_has_what_its_users_need_and_nothing_else() {
        let list = "Cargo.lock\nCargo.toml\nLICENSE-APACHE\nLICENSE-MIT\nREADME.md\nexamples/a.rs\nsrc/lib.rs\n";
        assert_eq!(check_contents("a", list), []);
        let other = list.replace("README.md", "tests/it/main.rs");
        let found: Vec<String> = check_contents("a", &other)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            found,
            [
                "[package] a: has no README.md",
                "[package] a: has tests/it/main.rs; see `include` in its manifest"
            ]
        );
    }

    #[test]
    fn members_are_found_at_any_distance_but_not_through_tests() {
        let member = |name: &str, kind: Option<&str>, dependency: &str| {
            json!({"name": name, "manifest_path": format!("/w/crates/{name}/Cargo.toml"),
                "dependencies": [{"name": dependency, "kind": kind}, {"name": "serde", "kind": null}]})
        };
        let (top, middle, bottom) = (
            member("top", None, "middle"),
            member("middle", None, "bottom"),
            member("bottom", Some("dev"), "top"),
        );
        let published = [&top, &middle, &bottom];
        assert_eq!(needs("top", &published), [&middle, &bottom]);
        assert_eq!(needs("bottom", &published), Vec::<&Value>::new());
        assert_eq!(
            patch(Path::new("/w"), &middle),
            "patch.crates-io.middle.path=\"crates/middle\""
        );
    }
}
