//! Runs cargo as a child process, one printed step after the other.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::tools::Need;

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
    pub(crate) fn equip(&mut self, needs: &[&Need]) -> Result<(), String> {
        for need in needs {
            let lacking = need.lacking(&self.root);
            if !lacking.is_empty() {
                self.leave_out(need.name, lacking.join("; "));
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
            self.leave_out(need.name, install);
            Ok(())
        } else {
            Err(format!("{}: {install}", need.name))
        }
    }

    /// Has the last line name a check that was not made.
    pub(crate) fn leave_out(&mut self, name: &'static str, install: String) {
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
        self.cargo_as_given(&["fetch", "--locked"])
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
        let call = Call::new(offline(&self.root), "cargo");
        self.start(call.with(environment, &locked(arguments)))
    }

    /// Runs `cargo <arguments>`.
    pub(crate) fn cargo_as_given(&mut self, arguments: &[&str]) -> Result<(), String> {
        self.start(Call::new(command(&self.root), "cargo").with(&[], arguments))
    }

    /// Runs another toolchain's `cargo <arguments>`, which builds in a folder of its own below `target`.
    pub(crate) fn cargo_of(
        &mut self,
        toolchain: &str,
        environment: &[(&str, &str)],
        arguments: &[&str],
    ) -> Result<(), String> {
        self.start(Call::of(toolchain, &self.root).with(environment, arguments))
    }

    fn start(&mut self, call: Call) -> Result<(), String> {
        self.step(&call.shown);
        succeed(call.command, &call.shown)
    }

    /// Runs a call, and gives whether it succeeded and what it said.
    pub(crate) fn hear(&mut self, mut call: Call) -> Result<(bool, String), String> {
        self.step(&call.shown);
        let output = call.command.output();
        let output = output.map_err(|error| format!("cannot start `{}`: {error}", call.shown))?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok((output.status.success(), text))
    }
}

/// A command, and how it is shown.
#[derive(Debug)]
pub(crate) struct Call {
    command: Command,
    shown: String,
}

impl Call {
    pub(crate) fn new(command: Command, program: &str) -> Self {
        let shown = program.to_owned();
        Self { command, shown }
    }

    /// A call of another toolchain's cargo, which builds in a folder of its own below `target`.
    pub(crate) fn of(name: &str, root: &Path) -> Self {
        let mut command = toolchain(root, name, "cargo");
        command.env("CARGO_TARGET_DIR", root.join("target").join(name));
        Self::new(command, &format!("cargo +{name}"))
    }

    pub(crate) fn with(mut self, environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        self.command
            .envs(environment.iter().copied())
            .args(arguments);
        for (name, value) in environment.iter().rev() {
            self.shown = format!("{name}={value:?} {}", self.shown);
        }
        self.shown = format!("{} {}", self.shown, arguments.join(" "));
        self
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

/// A call of another toolchain's program.
pub(crate) fn toolchain(root: &Path, toolchain: &str, program: &str) -> Command {
    let mut command = Command::new("rustup");
    in_folder(&mut command, root);
    command
        .args(["run", toolchain, program])
        .env_remove("CARGO");
    command
}

/// The name of the toolchain for what only a nightly one does.
pub(crate) fn nightly() -> String {
    std::env::var("XTASK_NIGHTLY").unwrap_or_else(|_| "nightly".to_owned())
}

/// The name of the toolchain of the minimum supported Rust version, which is this package's too.
pub(crate) fn oldest() -> String {
    format!("{}.0", env!("CARGO_PKG_RUST_VERSION"))
}

/// Where the toolchain is that builds everything else.
pub(crate) fn sysroot(root: &Path) -> Option<PathBuf> {
    let mut command = Command::new("rustc");
    in_folder(&mut command, root);
    let output = command.args(["--print", "sysroot"]).output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().into())
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

/// The same as [`command`] without the network.
pub(crate) fn offline(root: &Path) -> Command {
    let mut command = command(root);
    command.env("CARGO_NET_OFFLINE", "true");
    command
}

/// Whether `CARGO_NET_OFFLINE` forbids downloads.
pub(crate) fn network_is_off() -> bool {
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
    use crate::tools::Tool;

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

    const MISSING: Need = Need {
        name: "a check",
        tools: &[Tool::Subcommand("no-such-subcommand")],
    };
    const PRESENT: Need = Need {
        name: "another",
        tools: &[Tool::Subcommand("build")],
    };

    fn steps(allow_missing_tools: bool) -> Steps {
        Steps::new("check", PathBuf::from(".")).allow_missing_tools(allow_missing_tools)
    }

    #[test]
    fn a_missing_tool_is_a_failure_that_names_the_command() {
        let failure = steps(false)
            .equip(&[&MISSING, &PRESENT])
            .expect_err("missing");
        assert!(failure.contains("--allow-missing-tools"), "{failure}");
        assert!(failure.ends_with("\n  a check: cargo install --locked cargo-no-such-subcommand"));
    }

    #[test]
    fn the_last_line_names_what_was_not_checked() {
        let mut steps = steps(true);
        steps.equip(&[&MISSING, &PRESENT]).expect("allowed");
        assert!(!steps.can(&MISSING) && steps.can(&PRESENT));
        assert_eq!(
            steps.closing(7),
            "xtask check: 0 steps passed in 7 s\nnot checked, tool missing: \
             a check (cargo install --locked cargo-no-such-subcommand)"
        );
    }

    #[test]
    fn with_every_tool_the_last_line_counts_the_steps() {
        let mut steps = steps(false);
        steps.equip(&[&PRESENT]).expect("there");
        assert_eq!(steps.closing(7), "xtask check: 0 steps passed in 7 s");
    }

    #[test]
    fn an_unfit_tool_is_a_failure_unless_tools_may_be_missing() {
        let what = || "another version".to_owned();
        let failure = steps(false).unfit(&PRESENT, what());
        assert_eq!(failure, Err("another: another version".to_owned()));
        let mut steps = steps(true);
        assert_eq!(steps.unfit(&PRESENT, what()), Ok(()));
        assert!(
            steps
                .closing(0)
                .ends_with("tool missing: another (another version)")
        );
    }
}
