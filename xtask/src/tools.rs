//! What some checks need beyond the toolchain: whether it is there, and how it is had.

use std::path::Path;

use crate::cargo;

/// A check, and what it needs.
#[derive(Debug)]
pub(crate) struct Need {
    /// What the last line calls the check.
    pub(crate) name: &'static str,
    pub(crate) tools: &'static [Tool],
}

/// Something that may be missing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tool {
    /// A subcommand of cargo. The package `cargo-<name>` has it.
    Subcommand(&'static str),
    /// The toolchain that [`cargo::nightly`] names.
    Nightly,
    /// The toolchain of the minimum supported Rust version.
    Oldest,
    /// The standard library for another platform.
    Target(&'static str),
    /// Downloads beyond Cargo.lock.
    Network,
}

pub(crate) const FEATURE_SETS: Need = Need {
    name: "feature sets",
    tools: &[Tool::Subcommand("hack")],
};

pub(crate) const EXTERNAL_TYPES: Need = Need {
    name: "external types",
    tools: &[Tool::Subcommand("check-external-types"), Tool::Nightly],
};

pub(crate) const DENY: Need = Need {
    name: "licences, sources, bans",
    tools: &[Tool::Subcommand("deny")],
};

pub(crate) const MINIMAL_VERSIONS: Need = Need {
    name: "minimal versions",
    tools: &[Tool::Nightly, Tool::Network],
};

pub(crate) const DOCS_RS: Need = Need {
    name: "docs.rs",
    tools: &[Tool::Nightly],
};

pub(crate) const OLDEST: Need = Need {
    name: "minimum Rust version",
    tools: &[Tool::Oldest],
};

pub(crate) const WASM: Need = Need {
    name: "wasm32",
    tools: &[Tool::Target("wasm32-unknown-unknown")],
};

pub(crate) const FUZZ: Need = Need {
    name: "fuzz",
    tools: &[Tool::Subcommand("fuzz"), Tool::Nightly],
};

impl Need {
    /// The commands that bring what is missing.
    pub(crate) fn lacking(&self, root: &Path) -> Vec<String> {
        let missing = self.tools.iter().filter(|tool| !tool.is_there(root));
        missing.map(|tool| tool.install()).collect()
    }
}

impl Tool {
    fn is_there(self, root: &Path) -> bool {
        let has_toolchain = |name: &str| {
            // Without rustup there is no other toolchain.
            let mut rustc = cargo::toolchain(root, name, "rustc");
            let output = rustc.arg("--version").output();
            output.is_ok_and(|output| output.status.success())
        };
        match self {
            Self::Subcommand(name) => {
                let output = cargo::command(root).arg("--list").output();
                output.is_ok_and(|output| {
                    let list = String::from_utf8_lossy(&output.stdout).into_owned();
                    // A heading, then indented lines of a name and what it does.
                    list.lines().any(|line| {
                        line.starts_with(' ') && line.split_whitespace().next() == Some(name)
                    })
                })
            }
            Self::Nightly => has_toolchain(&cargo::nightly()),
            Self::Oldest => has_toolchain(&cargo::oldest()),
            Self::Target(name) => cargo::sysroot(root)
                .is_some_and(|folder| folder.join("lib/rustlib").join(name).is_dir()),
            Self::Network => !cargo::network_is_off(),
        }
    }

    fn install(self) -> String {
        match self {
            Self::Subcommand(name) => format!("cargo install --locked cargo-{name}"),
            Self::Nightly => format!("rustup toolchain install {}", cargo::nightly()),
            Self::Oldest => format!("rustup toolchain install {}", cargo::oldest()),
            Self::Target(name) => format!("rustup target add {name}"),
            Self::Network => "unset CARGO_NET_OFFLINE".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_command_that_brings_it() {
        let need = Need {
            name: "made up",
            tools: &[
                Tool::Subcommand("build"),
                Tool::Subcommand("no-such-subcommand"),
                Tool::Target("no-such-target"),
            ],
        };
        assert_eq!(
            need.lacking(Path::new(".")),
            [
                "cargo install --locked cargo-no-such-subcommand",
                "rustup target add no-such-target"
            ]
        );
    }
}
