//! `acr-mock run`: a command beside a mock, for as long as the command runs.

use std::io;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::thread;
use std::time::Duration;

use acr_mock::AcrMock;
use tokio::sync::oneshot;

use crate::Failure;
use crate::cli::Run;
use crate::log::{self, Log};
use crate::serving::{self, CaFile};
use crate::signals::{Signal, Signals};

/// The mock could not start, or has failed.
const MOCK_FAILED: u8 = 125;
/// The command is there and cannot be run.
const NOT_EXECUTABLE: u8 = 126;
/// There is no such command.
const NOT_FOUND: u8 = 127;
/// How long a command may take to end that was asked to.
const GRACE: Duration = Duration::from_secs(5);

pub(crate) async fn run(run: &Run) -> Result<ExitCode, Failure> {
    // First of all, so that a signal during the start ends it as later ones do.
    let mut signals = Signals::watch()?;
    let log = Log::new(run.settings.args.log);
    let settings = &run.settings;
    if let Some(file) = &settings.args.ready_file {
        // Whoever waits for it must not find that of an earlier run.
        serving::remove_stale(file).map_err(failed)?;
    }
    let mock = serving::start(settings, &log).map_err(failed)?;
    let ca = match (mock.ca_pem(), settings.args.ca_out.as_deref()) {
        (Some(pem), Some(out)) => CaFile::write(pem, Some(out), &log).map_err(failed)?,
        _ => None,
    };
    if let Some(file) = &settings.args.ready_file {
        serving::write_ready(file, &serving::ready(settings, &mock, ca.as_ref()))
            .map_err(failed)?;
    }
    let environment = mock.env(run.environment).map_err(|error| {
        failed(Failure::of(
            "cannot make the environment of the command",
            &error,
        ))
    })?;
    let Some((program, arguments)) = run.command.split_first() else {
        return Ok(ExitCode::from(crate::cli::USAGE));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    environment.apply(&mut command);
    let name = program.to_string_lossy();
    let running = match Running::start(&mut command) {
        Ok(running) => running,
        Err(error) => {
            log::complain(&format!("cannot run {name}: {error}"));
            return Ok(ExitCode::from(match error.kind() {
                io::ErrorKind::NotFound => NOT_FOUND,
                _ => NOT_EXECUTABLE,
            }));
        }
    };
    let status = running.wait(&mut signals, mock.panicked()).await;
    if run.summary {
        summarise(&mock);
    }
    // Its panic is above: the server's thread has written it.
    if mock.try_shutdown().is_err() {
        let text = format!("the mock has failed; {name} was ended, and the message is above");
        log::complain(&text);
        return Ok(ExitCode::from(MOCK_FAILED));
    }
    let status = status.map_err(|error| Failure::of(&format!("cannot wait for {name}"), &error))?;
    Ok(ExitCode::from(exit_code(status)))
}

fn failed(failure: Failure) -> Failure {
    Failure {
        exit: ExitCode::from(MOCK_FAILED),
        ..failure
    }
}

fn summarise(mock: &AcrMock) {
    let requests = mock.requests();
    let mut counts: Vec<_> = requests.iter().collect();
    counts.push(("data", requests.data()));
    eprintln!("acr-mock: requests by operation");
    for (operation, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        eprintln!("{count:>8} {operation}");
    }
}

/// As a shell has it: the code, or 128 and the number of the signal.
fn exit_code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    let code = status.code().or(signal.map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(u8::MAX)
}

/// A command that runs, in a group of processes of its own unless it needs the terminal.
struct Running {
    child: Child,
    /// Says that the command has ended. Its process is still there to be waited for, and with it its number.
    ended: oneshot::Receiver<io::Result<()>>,
    has_group: bool,
}

impl Running {
    fn start(command: &mut Command) -> io::Result<Self> {
        let has_group = own_group(command);
        let child = command.spawn()?;
        let (end, ended) = oneshot::channel();
        let id = child.id();
        let watch = move || {
            let _ = end.send(wait_for(id));
        };
        thread::Builder::new()
            .name("command".to_owned())
            .spawn(watch)?;
        Ok(Self {
            child,
            ended,
            has_group,
        })
    }

    /// Waits for its end, passes signals on, and ends it where the mock has failed.
    async fn wait(
        mut self,
        signals: &mut Signals,
        failed: impl Future<Output = ()>,
    ) -> io::Result<ExitStatus> {
        let mut failed = std::pin::pin!(failed);
        let (mut is_asked, mut has_failed) = (false, false);
        let mut last = std::pin::pin!(tokio::time::sleep(Duration::MAX));
        loop {
            tokio::select! {
                _ = &mut self.ended => break,
                signal = signals.next() => {
                    // Who asks twice does not want to wait.
                    self.send(if is_asked && signal == Signal::Terminate { Signal::Kill } else { signal });
                    is_asked |= signal == Signal::Terminate;
                }
                () = &mut failed, if !has_failed => {
                    has_failed = true;
                    self.send(Signal::Terminate);
                    last.as_mut().reset(tokio::time::Instant::now() + GRACE);
                }
                () = &mut last, if has_failed => {
                    self.send(Signal::Kill);
                    last.as_mut().reset(tokio::time::Instant::now() + GRACE);
                }
            }
        }
        // What it has left behind goes with it, as long as nobody else can have its number.
        if self.has_group {
            self.send(Signal::Kill);
        }
        self.child.wait()
    }
}

#[cfg(unix)]
mod system {
    use std::io::{self, IsTerminal as _};
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use rustix::process::{Pid, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

    use super::{Running, Signal};

    /// Gives it a group of its own, but for a terminal: only the group that the terminal knows may read from it.
    pub(super) fn own_group(command: &mut Command) -> bool {
        let has_group = !io::stdin().is_terminal();
        if has_group {
            command.process_group(0);
        }
        has_group
    }

    /// Waits until a child has ended, and leaves it to be waited for again.
    pub(super) fn wait_for(id: u32) -> io::Result<()> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        loop {
            match waitid(WaitId::Pid(pid(id)?), options) {
                Err(rustix::io::Errno::INTR) => {}
                other => return other.map(drop).map_err(io::Error::from),
            }
        }
    }

    fn pid(id: u32) -> io::Result<Pid> {
        let id = i32::try_from(id).ok().and_then(Pid::from_raw);
        id.ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    impl Running {
        /// Sends it a signal, and its group where it has one. Who has ended hears nothing.
        pub(super) fn send(&self, signal: Signal) {
            let Ok(id) = pid(self.child.id()) else { return };
            let number = match signal {
                // The terminal has told the whole group itself.
                Signal::Interrupt if !self.has_group => return,
                Signal::Interrupt => rustix::process::Signal::INT,
                Signal::Terminate => rustix::process::Signal::TERM,
                Signal::Kill => rustix::process::Signal::KILL,
            };
            let _ = match self.has_group {
                true => kill_process_group(id, number),
                false => kill_process(id, number),
            };
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;
    use std::process::Command;

    use super::{Running, Signal};

    pub(super) fn own_group(_: &mut Command) -> bool {
        false
    }

    /// Nobody can wait for a child twice here: `Running::wait` does.
    pub(super) fn wait_for(_: u32) -> io::Result<()> {
        Ok(())
    }

    impl Running {
        /// The console tells its programs of an interrupt itself.
        pub(super) fn send(&self, _: Signal) {}
    }
}

use self::system::{own_group, wait_for};
