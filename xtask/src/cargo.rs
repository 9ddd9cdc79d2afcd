//! Runs cargo as a child process, one printed step after the other.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::tools::{Installed, Need};

/// One part of a task. It ends at its first failure.
pub(crate) type Part = fn(&mut Steps) -> Result<(), String>;

/// A task in progress: where it runs, how many steps it has done, whether the network is still needed, what it goes
/// without.
#[derive(Debug)]
pub(crate) struct Steps {
    task: &'static str,
    root: PathBuf,
    count: usize,
    fetched: bool,
    started: Instant,
    allow_missing_tools: bool,
    unchecked: Vec<Unchecked>,
}

/// A check that is left out, and what would have to be installed for it.
#[derive(Debug)]
struct Unchecked {
    name: &'static str,
    install: String,
}

impl Steps {
    pub(crate) fn new(task: &'static str, root: PathBuf) -> Self {
        Self {
            task,
            root,
            count: 0,
            fetched: false,
            started: Instant::now(),
            allow_missing_tools: false,
            unchecked: Vec::new(),
        }
    }

    /// Lets checks whose tools are missing be left out; the task's last line then names them.
    pub(crate) fn allow_missing_tools(mut self, allow: bool) -> Self {
        self.allow_missing_tools = allow;
        self
    }

    /// Runs the parts in order and prints a last line with the count of steps, and one more if something was left out.
    pub(crate) fn run(mut self, parts: &[Part]) -> Result<(), String> {
        for part in parts {
            part(&mut self).map_err(|failure| {
                format!("xtask {}: step {}: {failure}", self.task, self.count)
            })?;
        }
        let seconds = self.started.elapsed().as_secs();
        println!("{}", self.closing(seconds));
        Ok(())
    }

    fn closing(&self, seconds: u64) -> String {
        let mut text = format!(
            "xtask {}: {} steps passed in {seconds} s",
            self.task, self.count
        );
        if !self.unchecked.is_empty() {
            let unchecked: Vec<String> = self
                .unchecked
                .iter()
                .map(|check| format!("{} ({})", check.name, check.install))
                .collect();
            text.push_str("\nnot checked, tool missing: ");
            text.push_str(&unchecked.join(", "));
        }
        text
    }

    /// Looks for the tools of all checks at once, so that a long task does not end for the want of one.
    pub(crate) fn equip(&mut self, needs: &[&Need], installed: &Installed) -> Result<(), String> {
        for need in needs {
            let lacking = installed.lacking(need);
            if !lacking.is_empty() {
                self.leave_out(need, lacking.join("; "));
            }
        }
        if self.unchecked.is_empty() || self.allow_missing_tools {
            return Ok(());
        }
        let mut text =
            "a tool is missing; install it, or say --allow-missing-tools to go without its check"
                .to_owned();
        for check in &self.unchecked {
            text.push_str(&format!("\n  {}: {}", check.name, check.install));
        }
        Err(text)
    }

    /// Whether the tools of a check are there. Asked after [`Steps::equip`].
    pub(crate) fn can(&self, need: &Need) -> bool {
        self.unchecked.iter().all(|check| check.name != need.name)
    }

    /// Ends a check whose tool is there, but is of no use with what else is installed.
    pub(crate) fn unfit(&mut self, need: &Need, install: String) -> Result<(), String> {
        if self.allow_missing_tools {
            self.leave_out(need, install);
            Ok(())
        } else {
            Err(format!("{}: {install}", need.name))
        }
    }

    fn leave_out(&mut self, need: &Need, install: String) {
        let name = need.name;
        self.unchecked.push(Unchecked { name, install });
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Announces a step that is done in this program.
    pub(crate) fn step(&mut self, what: &str) {
        self.count += 1;
        println!("[{}] {what}", self.count);
    }

    /// Downloads what Cargo.lock names, once a task, unless the network is declared off. Every later call of cargo
    /// is `--offline`, so that a test cannot come to depend on the network unnoticed.
    pub(crate) fn fetch(&mut self) -> Result<(), String> {
        if self.fetched || network_is_off() {
            return Ok(());
        }
        self.fetched = true;
        let mut command = command(&self.root);
        command.args(["fetch", "--locked"]);
        self.start(command, "cargo fetch --locked")
    }

    /// Runs `cargo <arguments> --locked --offline`; what follows a `--` stays at the end.
    pub(crate) fn cargo(&mut self, arguments: &[&str]) -> Result<(), String> {
        self.cargo_with(&[], arguments)
    }

    /// The same with further environment variables.
    pub(crate) fn cargo_with(
        &mut self,
        environment: &[(&str, &str)],
        arguments: &[&str],
    ) -> Result<(), String> {
        let arguments = locked(arguments);
        let mut command = offline(&self.root);
        command.args(&arguments).envs(environment.iter().copied());
        let variables: String = environment
            .iter()
            .map(|(name, value)| format!("{name}={value} "))
            .collect();
        self.start(
            command,
            &format!("{variables}cargo {}", arguments.join(" ")),
        )
    }

    /// Runs `cargo fmt`, which takes neither `--locked` nor `--offline`.
    pub(crate) fn cargo_fmt(&mut self, arguments: &[&str]) -> Result<(), String> {
        let mut command = offline(&self.root);
        command.arg("fmt").args(arguments);
        self.start(command, &format!("cargo fmt {}", arguments.join(" ")))
    }

    fn start(&mut self, command: Command, shown: &str) -> Result<(), String> {
        self.step(shown);
        succeed(command, shown)
    }
}

/// Runs a command to its end, which must be a good one.
pub(crate) fn succeed(mut command: Command, shown: &str) -> Result<(), String> {
    let status = command
        .status()
        .map_err(|error| format!("cannot start `{shown}`: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{shown}` failed ({status})"))
    }
}

/// A call of cargo from the workspace's root, in an environment like that of the user's shell.
pub(crate) fn command(root: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    in_folder(&mut command, root);
    command
}

/// A call of the nightly toolchain's program, without the network: `rustup run` and the toolchain come before it.
pub(crate) fn nightly(root: &Path, program: &str) -> Command {
    let mut command = Command::new("rustup");
    in_folder(&mut command, root);
    command
        .args(["run", &nightly_name(), program])
        .env_remove("CARGO")
        .env("CARGO_NET_OFFLINE", "true");
    command
}

/// Which toolchain is asked for what only a nightly one does.
pub(crate) fn nightly_name() -> String {
    std::env::var("XTASK_NIGHTLY").unwrap_or_else(|_| "nightly".to_owned())
}

/// Prepares a command to run in a folder, in an environment like that of the user's shell.
pub(crate) fn in_folder(command: &mut Command, folder: &Path) {
    command.current_dir(folder);
    // `cargo run` describes xtask itself to the program it starts. Build scripts that look at these variables
    // (ring's does) would run again after each change between a plain `cargo` and `cargo xtask`.
    for (name, _) in std::env::vars_os() {
        let shown = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"]
            .iter()
            .any(|prefix| shown.starts_with(prefix))
            || shown == "CARGO_CRATE_NAME"
            || shown == "CARGO_PRIMARY_PACKAGE"
        {
            command.env_remove(&name);
        }
    }
}

/// The standard output of a `cargo` call that only asks.
pub(crate) fn ask(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let arguments = locked(arguments);
    let shown = arguments.join(" ");
    let output = offline(root)
        .args(&arguments)
        .output()
        .map_err(|error| format!("cannot start `cargo {shown}`: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "`cargo {shown}` failed ({}):\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    String::from_utf8(output.stdout)
        .map_err(|error| format!("`cargo {shown}` printed what is not UTF-8: {error}"))
}

/// The same without the network.
pub(crate) fn offline(root: &Path) -> Command {
    let mut command = command(root);
    command.env("CARGO_NET_OFFLINE", "true");
    command
}

fn network_is_off() -> bool {
    std::env::var("CARGO_NET_OFFLINE").is_ok_and(|value| value == "true")
}

fn locked<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let split = arguments
        .iter()
        .position(|argument| *argument == "--")
        .unwrap_or(arguments.len());
    let (own, passed_on) = arguments.split_at(split);
    [own, &["--locked", "--offline"], passed_on].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_and_offline_go_before_the_arguments_that_are_passed_on() {
        assert_eq!(
            locked(&["clippy", "--workspace", "--", "-D", "warnings"]),
            [
                "clippy",
                "--workspace",
                "--locked",
                "--offline",
                "--",
                "-D",
                "warnings"
            ]
        );
        assert_eq!(locked(&["test"]), ["test", "--locked", "--offline"]);
    }

    #[test]
    fn a_failing_part_names_the_task_the_step_and_the_reason() {
        let failure = Steps::new("test", PathBuf::from("."))
            .run(&[|steps| {
                steps.step("made up");
                Err("no luck".to_owned())
            }])
            .expect_err("the part fails");
        assert_eq!(failure, "xtask test: step 1: no luck");
    }

    const HACK: Need = Need {
        name: "feature sets",
        subcommand: "hack",
        is_nightly: false,
        install: "cargo install hack",
    };
    const TYPES: Need = Need {
        name: "external types",
        subcommand: "types",
        is_nightly: true,
        install: "cargo install types",
    };

    fn installed(subcommands: &[&str], has_nightly: bool) -> Installed {
        Installed {
            subcommands: subcommands.iter().map(ToString::to_string).collect(),
            nightly: ("nightly".to_owned(), has_nightly),
        }
    }

    fn steps(allow_missing_tools: bool) -> Steps {
        Steps::new("check", PathBuf::from(".")).allow_missing_tools(allow_missing_tools)
    }

    #[test]
    fn a_missing_tool_is_a_failure_that_names_every_command_at_once() {
        let mut steps = steps(false);
        let failure = steps
            .equip(&[&HACK, &TYPES], &installed(&[], false))
            .expect_err("nothing is installed");
        assert!(failure.contains("--allow-missing-tools"), "{failure}");
        assert!(failure.contains("\n  feature sets: cargo install hack\n"));
        assert!(failure.ends_with(
            "\n  external types: cargo install types; rustup toolchain install nightly"
        ));
    }

    #[test]
    fn the_last_line_names_what_was_not_checked() {
        let mut steps = steps(true);
        steps
            .equip(&[&HACK, &TYPES], &installed(&[], false))
            .expect("allowed");
        assert!(!steps.can(&HACK) && !steps.can(&TYPES));
        assert_eq!(
            steps.closing(7),
            "xtask check: 0 steps passed in 7 s\nnot checked, tool missing: feature sets (cargo install hack), \
             external types (cargo install types; rustup toolchain install nightly)"
        );
    }

    #[test]
    fn with_every_tool_the_last_line_counts_the_steps() {
        let mut steps = steps(false);
        steps
            .equip(&[&HACK, &TYPES], &installed(&["hack", "types"], true))
            .expect("all there");
        assert!(steps.can(&HACK) && steps.can(&TYPES));
        assert_eq!(steps.closing(7), "xtask check: 0 steps passed in 7 s");
    }

    #[test]
    fn an_unfit_tool_is_a_failure_unless_tools_may_be_missing() {
        let what = || "another version".to_owned();
        assert_eq!(
            steps(false).unfit(&TYPES, what()),
            Err("external types: another version".to_owned())
        );
        let mut steps = steps(true);
        assert_eq!(steps.unfit(&TYPES, what()), Ok(()));
        assert!(
            steps
                .closing(0)
                .ends_with("\nnot checked, tool missing: external types (another version)")
        );
    }
}
