//! Packages every published crate and builds what was packaged, as users will get it.

use std::path::Path;

use crate::cargo::{self, Call, Steps};
use crate::report::{Finding, conclude};
use crate::workspace::{self, Member};

pub(crate) fn run(steps: &mut Steps) -> Result<(), String> {
    let root = steps.root().to_path_buf();
    let published = workspace::published(&root)?;
    for member in &published {
        let name = member.name.as_str();
        let list = cargo::ask(
            &root,
            &["package", "--list", "--allow-dirty", "--package", name],
        )?;
        conclude("contents of packages", &check_contents(name, &list))?;
        // Members that are not yet on crates.io come from their folders. Cargo can also take them from each other's
        // packages (`cargo package --workspace`), but it keeps those by name and version: from the second run on it
        // would build against packages of before the last change.
        let needed = needs(member, &published).into_iter();
        let patches: Vec<String> = needed.map(|member| patch(&root, member)).collect();
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

/// The members that `member` depends on, at any distance, tests not counted.
fn needs<'a>(member: &Member, published: &'a [Member]) -> Vec<&'a Member> {
    let mut found: Vec<&Member> = Vec::new();
    for dependency in &member.dependencies {
        let needed = published.iter().find(|other| other.name == dependency.name);
        if let Some(needed) = needed
            && dependency.kind.as_deref() != Some("dev")
        {
            found.push(needed);
            found.extend(needs(needed, published));
        }
    }
    found.sort_unstable_by_key(|member| &member.name);
    found.dedup_by_key(|member| &member.name);
    found
}

/// The setting that has cargo take a member from its folder, by a path from the root.
fn patch(root: &Path, member: &Member) -> String {
    let folder = member
        .folder()
        .strip_prefix(root)
        .unwrap_or(member.folder());
    // A path in TOML quotes: forward slashes need no escape.
    let folder = folder.display().to_string().replace('\\', "/");
    format!("patch.crates-io.{}.path=\"{folder}\"", member.name)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let published = [
            Member::made_up("top", &[("middle", None, "^0.1.0"), ("serde", None, "^1")]),
            Member::made_up("middle", &[("bottom", None, "^0.1.0")]),
            Member::made_up("bottom", &[("top", Some("dev"), "*")]),
        ];
        let names = |member: &Member| {
            let needed = needs(member, &published).into_iter();
            needed.map(|member| member.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&published[0]), ["bottom", "middle"]);
        assert_eq!(names(&published[2]), Vec::<String>::new());
        let patch = patch(Path::new("/w"), &published[1]);
        assert_eq!(patch, "patch.crates-io.middle.path=\"crates/middle\"");
    }
}
