//! Programs beyond the toolchain that some tasks need: which they are, whether they are there, how they are installed.

use std::path::Path;

use crate::cargo;

/// A check, and what it needs.
#[derive(Debug)]
pub(crate) struct Need {
    /// What the last line calls the check.
    pub(crate) name: &'static str,
    /// The subcommand of cargo that does it.
    pub(crate) subcommand: &'static str,
    /// Whether it also takes a nightly toolchain.
    pub(crate) is_nightly: bool,
    /// How the subcommand is installed.
    pub(crate) install: &'static str,
}

pub(crate) const FEATURE_SETS: Need = Need {
    name: "feature sets",
    subcommand: "hack",
    is_nightly: false,
    install: "cargo install --locked cargo-hack",
};

pub(crate) const EXTERNAL_TYPES: Need = Need {
    name: "external types",
    subcommand: "check-external-types",
    is_nightly: true,
    install: "cargo install --locked cargo-check-external-types",
};

pub(crate) const FUZZ: Need = Need {
    name: "fuzz",
    subcommand: "fuzz",
    is_nightly: true,
    install: "cargo install --locked cargo-fuzz",
};

/// What is there.
#[derive(Debug)]
pub(crate) struct Installed {
    /// Of cargo's subcommands.
    pub(crate) subcommands: Vec<String>,
    /// The name of the nightly toolchain that is wanted, and whether it is there.
    pub(crate) nightly: (String, bool),
}

impl Installed {
    /// Looks at this machine.
    pub(crate) fn look(root: &Path) -> Result<Self, String> {
        let output = cargo::command(root)
            .arg("--list")
            .output()
            .map_err(|error| format!("cannot start `cargo --list`: {error}"))?;
        // Without rustup there is no nightly toolchain that can be named.
        let nightly = cargo::nightly(root, "rustc").arg("--version").output();
        Ok(Self {
            subcommands: subcommands(&String::from_utf8_lossy(&output.stdout)),
            nightly: (
                cargo::nightly_name(),
                nightly.is_ok_and(|output| output.status.success()),
            ),
        })
    }

    /// The commands that would install what is missing.
    pub(crate) fn lacking(&self, need: &Need) -> Vec<String> {
        let mut commands = Vec::new();
        if !self.subcommands.iter().any(|name| name == need.subcommand) {
            commands.push(need.install.to_owned());
        }
        let (name, is_there) = &self.nightly;
        if need.is_nightly && !is_there {
            commands.push(format!("rustup toolchain install {name}"));
        }
        commands
    }
}

/// The names in the output of `cargo --list`: a heading, then lines of a name and what it does.
fn subcommands(list: &str) -> Vec<String> {
    list.lines()
        .filter(|line| line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_subcommands_are_read_off_cargo_s_list() {
        let list = "Installed Commands:\n    add                  Add dependencies\n    hack\n    \
                    check-external-types\n";
        let installed = Installed {
            subcommands: subcommands(list),
            nightly: ("nightly".to_owned(), true),
        };
        assert_eq!(
            installed.subcommands,
            ["add", "hack", "check-external-types"]
        );
        assert!(installed.lacking(&FEATURE_SETS).is_empty());
        assert!(installed.lacking(&EXTERNAL_TYPES).is_empty());
        assert_eq!(
            installed.lacking(&FUZZ),
            ["cargo install --locked cargo-fuzz"]
        );
    }

    #[test]
    fn a_tool_for_nightly_lacks_the_toolchain_too() {
        let installed = Installed {
            subcommands: Vec::new(),
            nightly: ("nightly".to_owned(), false),
        };
        assert_eq!(
            installed.lacking(&EXTERNAL_TYPES),
            [
                "cargo install --locked cargo-check-external-types",
                "rustup toolchain install nightly"
            ]
        );
        assert_eq!(
            installed.lacking(&FEATURE_SETS),
            ["cargo install --locked cargo-hack"]
        );
    }
}
