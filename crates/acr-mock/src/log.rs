//! What the binary says on stderr.

use std::error::Error;
use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
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
/// They are written by a thread of their own, many at a time: a write for each line would cost more than most requests.
/// Whoever starts the program with a pipe for stderr and does not read it would otherwise stop the registry once the
/// pipe is full; so lines are lost instead, and counted.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    level: Level,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    held: Mutex<Held>,
    /// The writer is to look.
    news: Condvar,
    /// Nothing is held any more.
    written: Condvar,
}

/// The lines that wait to be written, and what their writer does.
#[derive(Debug, Default)]
struct Held {
    lines: String,
    lost: u64,
    writer: Writer,
    is_urgent: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// Waits for a first line, and wants to be woken by it.
    #[default]
    Idle,
    /// Waits a moment for further lines.
    Gathering,
    Writing,
}

/// How many bytes may wait to be written, and how many are written without waiting for more.
const MAX_HELD: usize = 1024 * 1024;
const ENOUGH: usize = 64 * 1024;

/// How long a line may wait for others to be written with it.
const GATHERING_TIME: Duration = Duration::from_millis(5);

/// How long the end of the program waits for lines to be read.
const FLUSH_TIME: Duration = Duration::from_millis(200);

impl Log {
    pub(crate) fn new(level: Level) -> Self {
        let shared = Arc::new(Shared::default());
        let writing = shared.clone();
        // Without a thread there is no log, and no reason to end: all lines are lost.
        let _ = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(&writing));
        Self { level, shared }
    }

    pub(crate) fn write(&self, level: Level, text: &dyn Display) {
        if level <= self.level {
            self.append(|lines| line(lines, level, text));
        }
    }

    fn append(&self, write: impl FnOnce(&mut String)) {
        let mut held = self.shared.held();
        if held.lines.len() >= MAX_HELD {
            held.lost += 1;
            return;
        }
        write(&mut held.lines);
        if held.writer == Writer::Idle
            || held.writer == Writer::Gathering && held.lines.len() >= ENOUGH
        {
            self.shared.news.notify_one();
        }
    }

    /// Waits until all that was said is written, or for a moment if nobody reads it.
    fn flush(&self) {
        let mut held = self.shared.held();
        held.is_urgent = true;
        self.shared.news.notify_one();
        let waiting = |held: &mut Held| !held.lines.is_empty() || held.writer == Writer::Writing;
        let _ = self
            .shared
            .written
            .wait_timeout_while(held, FLUSH_TIME, waiting);
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

/// The last one, beside the writer's, flushes: also when the program ends by a panic.
impl Drop for Log {
    fn drop(&mut self) {
        if Arc::strong_count(&self.shared) <= 2 {
            self.flush();
        }
    }
}

/// Why the program ends: told at every level, since it is the last word.
pub(crate) fn complain(text: &str) {
    let log = Log::new(Level::Error);
    log.write(Level::Error, &text);
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

fn line(lines: &mut String, level: Level, text: &dyn Display) {
    let start = lines.len();
    let level = match level {
        Level::Off => "off",
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    };
    let _infallible = write!(lines, "acr-mock: {level}: {text}");
    // A path is whatever a client sends: line breaks would forge lines, and control characters and marks of direction
    // would have a terminal show something else.
    if !lines.as_bytes()[start..]
        .iter()
        .all(|byte| matches!(byte, b' '..=b'~'))
    {
        let text = lines.split_off(start);
        for character in text.chars() {
            match character {
                ' '..='~' => lines.push(character),
                other => lines.extend(other.escape_default()),
            }
        }
    }
    lines.push('\n');
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines, and a moment longer for those that come right behind; takes them all.
    fn next(&self, lines: &mut String) -> u64 {
        let mut held = self.held();
        held.writer = Writer::Idle;
        let is_quiet = |held: &mut Held| held.lines.is_empty() && held.lost == 0;
        if is_quiet(&mut held) {
            self.written.notify_all();
        }
        held = self
            .news
            .wait_while(held, is_quiet)
            .unwrap_or_else(PoisonError::into_inner);
        held.writer = Writer::Gathering;
        let is_patient = |held: &mut Held| !held.is_urgent && held.lines.len() < ENOUGH;
        (held, _) = self
            .news
            .wait_timeout_while(held, GATHERING_TIME, is_patient)
            .unwrap_or_else(PoisonError::into_inner);
        held.writer = Writer::Writing;
        held.is_urgent = false;
        std::mem::swap(&mut held.lines, lines);
        std::mem::take(&mut held.lost)
    }
}

fn write_all(shared: &Shared) {
    let mut lines = String::new();
    loop {
        let lost = shared.next(&mut lines);
        if lost > 0 {
            let text = format!("{lost} lines are lost, because stderr was not read in time");
            line(&mut lines, Level::Warn, &text);
        }
        // Nobody is left to be told when stderr is closed.
        let _ = std::io::stderr().write_all(lines.as_bytes());
        lines.clear();
        lines.shrink_to(MAX_HELD);
    }
}
