//! The servers of one run, each in a process of its own.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use serde::{Deserialize, Serialize};

use super::place::Place;
use super::{registry, sink};
use crate::Result;
use crate::interop::process::Running;

/// Which server, and how it is set.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) kind: Kind,
    pub(super) https: bool,
    /// The bytes of the blob that it has from the start.
    pub(super) blob: u64,
    /// Whether the sink names the blob's digest in `Docker-Content-Digest`; the mock does as the service does.
    pub(super) tells_digest: bool,
    /// Milliseconds by which the mock delays each response.
    pub(super) delay: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum Kind {
    #[default]
    Sink,
    Mock,
}

/// Is the server, in the process that was started for it.
///
/// # Errors
/// The settings are malformed, or the machine has no port.
pub fn serve(settings: &str) -> Result<()> {
    let settings: Settings = serde_json::from_str(settings)?;
    match settings.kind {
        Kind::Sink => sink::serve(&settings),
        Kind::Mock => registry::serve(&settings),
    }
}

/// Says that the server is ready.
pub(super) fn announce(place: &Place) -> Result<()> {
    println!("{}", serde_json::to_string(place)?);
    Ok(())
}

/// Ends this process when its owner does.
pub(super) fn end_with_stdin() {
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    std::process::exit(0);
}

/// A server that was started. It ends when this is dropped, or with this program.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) place: Place,
    _process: Running,
    // It ends with its stdin.
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Server {
    pub(super) fn start(settings: &Settings) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "serve-content", &serde_json::to_string(settings)?]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Running::start(&mut command)?;
        let stdin = process.0.stdin.take().ok_or("the server has no stdin")?;
        let stdout = process.0.stdout.take().ok_or("the server has no stdout")?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        Ok(Self {
            place: serde_json::from_str(&line)?,
            _process: process,
            stdin,
            stdout,
        })
    }

    pub(super) fn sink(https: bool, blob: u64) -> Result<Self> {
        Self::start(&Settings {
            https,
            blob,
            ..Settings::default()
        })
    }

    pub(super) fn mock(https: bool, blob: u64) -> Result<Self> {
        Self::start(&Settings {
            kind: Kind::Mock,
            https,
            blob,
            ..Settings::default()
        })
    }

    /// How many requests the mock has had since this was asked last, by the operation.
    pub(super) fn requests(&mut self) -> Result<BTreeMap<String, u64>> {
        writeln!(self.stdin)?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}
