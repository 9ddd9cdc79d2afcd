//! Runs cargo as a child process, one printed step after the other.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// One part of a task. It ends at its first failure.
pub(crate) type Part = fn(&mut Steps) -> Result<(), String>;

/// A task in progress: where it runs, how many steps it has done, whether the network is still needed.
#[derive(Debug)]
pub(crate) struct Steps {
    task: &'static str,
    root: PathBuf,
    count: usize,
    fetched: bool,
    started: Instant,
}

impl Steps {
    pub(crate) fn new(task: &'static str, root: PathBuf) -> Self {
        Self {
            task,
            root,
            count: 0,
            fetched: false,
            started: Instant::now(),
        }
    }

    /// Runs the parts in order and prints a last line with the count of steps.
    pub(crate) fn run(mut self, parts: &[Part]) -> Result<(), String> {
        for part in parts {
            part(&mut self).map_err(|failure| {
                format!("xtask {}: step {}: {failure}", self.task, self.count)
            })?;
        }
        let seconds = self.started.elapsed().as_secs();
        println!(
            "xtask {}: {} steps passed in {seconds} s",
            self.task, self.count
        );
        Ok(())
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

    fn start(&mut self, mut command: Command, shown: &str) -> Result<(), String> {
        self.step(shown);
        let status = command
            .status()
            .map_err(|error| format!("cannot start `{shown}`: {error}"))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("`{shown}` failed ({status})"))
        }
    }
}

/// A call of cargo from the workspace's root, in an environment like that of the user's shell.
pub(crate) fn command(root: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root);
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
    command
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

fn offline(root: &Path) -> Command {
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
}
