//! What the binary says on stderr.

use std::error::Error;
use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use acr_mock::ServerEvent;
use clap::ValueEnum;

/// How much is said on stderr; each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
}

/// The log: lines on stderr, none of which holds a secret.
///
/// They are written by a thread of their own. Whoever starts the program with a pipe for stderr and does not read it
/// would otherwise stop the registry once the pipe is full; so lines are lost instead, and counted.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    level: Level,
    entries: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Entry {
    Line(String),
    /// All that came before is written; told by dropping this.
    Flush(#[expect(dead_code, reason = "its end is the message")] SyncSender<()>),
}

/// How many lines may wait to be written.
const WAITING: usize = 1024;

/// How long the end of the program waits for lines to be read.
const FLUSH_TIME: Duration = Duration::from_millis(200);

impl Log {
    pub(crate) fn new(level: Level) -> Self {
        let (entries, receiver) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = lost.clone();
        // Without a thread there is no log, and no reason to end: nobody receives, so all lines are lost.
        let _ = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(&receiver, &counter));
        Self {
            level,
            entries,
            lost,
        }
    }

    pub(crate) fn write(&self, level: Level, text: &dyn Display) {
        if level <= self.level {
            let line = line(level, text);
            if self.entries.try_send(Entry::Line(line)).is_err() {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Waits until all that was said is written, or for a moment if nobody reads it.
    pub(crate) fn flush(&self) {
        let (done, written) = sync_channel(0);
        if self.entries.try_send(Entry::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH_TIME);
        }
    }

    pub(crate) fn event(&self, event: &ServerEvent<'_>) {
        match event {
            ServerEvent::Request {
                method,
                path,
                status,
                ..
            } => {
                self.write(
                    Level::Info,
                    &format_args!("{method} {path} {}", status.as_u16()),
                );
            }
            ServerEvent::HandshakeFailed { peer, error, .. } => self.write(
                Level::Warn,
                &format_args!(
                    "no TLS with {peer}: {} (does the client trust the CA?)",
                    chain(*error)
                ),
            ),
            ServerEvent::ConnectionFailed { peer, error, .. } => {
                self.write(
                    Level::Debug,
                    &format_args!("the connection of {peer} broke: {}", chain(*error)),
                );
            }
            other => self.write(Level::Debug, &format_args!("{other:?}")),
        }
    }
}

/// Why the program ends: told at every level, since it is the last word.
pub(crate) fn complain(text: &str) {
    let log = Log::new(Level::Error);
    log.write(Level::Error, &text);
    log.flush();
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

fn line(level: Level, text: &dyn Display) -> String {
    let level = format!("{level:?}").to_lowercase();
    let mut line = format!("acr-mock: {level}: {text}").replace(['\n', '\r'], " ");
    line.push('\n');
    line
}

fn write_all(entries: &Receiver<Entry>, lost: &AtomicU64) {
    // Nobody is left to be told when stderr is closed.
    let write = |line: &str| drop(std::io::stderr().write_all(line.as_bytes()));
    for entry in entries {
        if let Entry::Line(line) = entry {
            write(&line);
        }
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let text = format_args!("{lost} lines are lost, because stderr was not read in time");
            write(&line(Level::Warn, &text));
        }
    }
}
