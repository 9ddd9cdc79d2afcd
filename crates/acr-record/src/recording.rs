//! [`Recording`]: exchanges in their order, as text and as a file.

use std::io;
use std::path::Path;

use crate::exchange::Exchange;

/// Exchanges in the order in which their requests were sent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recording {
    exchanges: Vec<Exchange>,
}

/// A line of a recording is not a valid exchange.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
#[non_exhaustive]
pub struct ReadError {
    /// The number of the line, from 1.
    pub line: usize,
    /// Where in the line the error was noticed, in bytes from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// Reads a recording line by line, each with its number. Blank lines are skipped.
///
/// [`Recording::from_jsonl`] is simpler, but ends with the first error.
pub fn read(text: &str) -> impl Iterator<Item = Result<(usize, Exchange), ReadError>> + '_ {
    let lines = (1..).zip(text.lines());
    lines
        .filter(|(_, text)| !text.trim().is_empty())
        .map(|(line, text)| Ok((line, read_line(line, text)?)))
}

fn read_line(line: usize, text: &str) -> Result<Exchange, ReadError> {
    let error = |column, message| ReadError {
        line,
        column,
        message,
    };
    let exchange: Exchange = serde_json::from_str(text).map_err(|problem| {
        let mut message = problem.to_string();
        if let Some(end) = message.rfind(" at line ") {
            message.truncate(end);
        }
        error(problem.column(), message)
    })?;
    if exchange.response.is_none() && exchange.error.is_none() && exchange.skip.is_none() {
        let message = "the exchange has none of `response`, `error` and `skip`";
        return Err(error(text.len(), message.to_owned()));
    }
    Ok(exchange)
}

impl Recording {
    /// Returns the exchanges.
    #[must_use]
    pub fn exchanges(&self) -> &[Exchange] {
        &self.exchanges
    }

    /// Returns the host of the registry where it was recorded, with the port if the URL had one.
    ///
    /// A client needs the same endpoint for the replay: the recorded challenge names it, and a client
    /// sends no credential to another host.
    #[must_use]
    pub fn registry(&self) -> Option<&str> {
        let exchanges = self.exchanges.iter();
        exchanges
            .filter(|exchange| exchange.origin.is_registry())
            .find_map(|exchange| exchange.request.host())
    }

    /// Reads a recording from text, one exchange a line. Blank lines are skipped.
    ///
    /// # Errors
    ///
    /// A line is not a valid exchange.
    pub fn from_jsonl(text: &str) -> Result<Self, ReadError> {
        read(text)
            .map(|line| line.map(|(_, exchange)| exchange))
            .collect()
    }

    /// Writes the recording as text, one exchange a line.
    #[must_use]
    pub fn to_jsonl(&self) -> String {
        let lines = self.exchanges.iter().map(|exchange| {
            // An exchange is valid JSON: all keys of its maps are texts.
            serde_json::to_string(exchange).unwrap_or_default() + "\n"
        });
        lines.collect()
    }

    /// Reads a recording from a file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or, with [`io::ErrorKind::InvalidData`], a line of it is not a valid
    /// exchange.
    pub fn load(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| with_path(path, &error))?;
        Self::from_jsonl(&text).map_err(|error| {
            let text = format!("{}: {error}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })
    }

    /// Writes the recording to a file. A file that is there is replaced.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        std::fs::write(path, self.to_jsonl()).map_err(|error| with_path(path, &error))
    }
}

impl FromIterator<Exchange> for Recording {
    fn from_iter<I: IntoIterator<Item = Exchange>>(exchanges: I) -> Self {
        Self {
            exchanges: exchanges.into_iter().collect(),
        }
    }
}

fn with_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
