use std::path::Path;

use super::exchange::RecordedExchange;
use super::jsonl;
use crate::error::{Error, ErrorKind};

/// What was recorded: exchanges in the order in which their requests were sent.
///
/// The [module](super) describes its form as text.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    name: String,
    exchanges: Vec<RecordedExchange>,
    dropped_before: u64,
    dropped_after: u64,
}

impl Recording {
    pub(super) fn with(
        exchanges: Vec<RecordedExchange>,
        dropped_before: u64,
        dropped_after: u64,
    ) -> Self {
        Self {
            name: "recorded".to_owned(),
            exchanges,
            dropped_before,
            dropped_after,
        }
    }

    /// Gives the recording a name, which its lines in the text bear. It is `recorded` otherwise.
    ///
    /// Letters, digits and hyphens stay as they are; anything else becomes a hyphen.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        let words = name.split(|c: char| !c.is_ascii_alphanumeric());
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        if !words.is_empty() {
            self.name = words.join("-").to_ascii_lowercase();
        }
        self
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the exchanges.
    #[must_use]
    pub fn exchanges(&self) -> &[RecordedExchange] {
        &self.exchanges
    }

    /// Returns how many exchanges were dropped because there were too many.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped_before + self.dropped_after
    }

    pub(super) const fn dropped_at_the_ends(&self) -> (u64, u64) {
        (self.dropped_before, self.dropped_after)
    }

    /// Returns the registry's host, with the port if its URL had one, where it was recorded.
    ///
    /// A replayed client needs the same endpoint, because the recorded challenge names it and a client
    /// sends no credential elsewhere.
    #[must_use]
    pub fn registry(&self) -> Option<&str> {
        let mut own = self.exchanges.iter().filter(|exchange| !exchange.to_data);
        own.find_map(|exchange| exchange.request.host())
    }

    /// Writes the recording as text: one exchange a line.
    #[must_use]
    pub fn to_jsonl(&self) -> String {
        jsonl::write(self)
    }

    /// Reads a recording from text. Empty lines are passed over.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](ErrorKind::InvalidInput) when a line is no exchange; the error names the line
    /// and what is wrong with it.
    pub fn from_jsonl(text: &str) -> Result<Self, Error> {
        jsonl::read(text).map_err(Error::invalid)
    }

    /// Writes the recording to a file, in place of one that is there.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        std::fs::write(path, self.to_jsonl()).map_err(|error| {
            let text = format!("the recording cannot be written to {}", path.display());
            Error::of_foreign(ErrorKind::Io, text, error)
        })
    }

    /// Reads a recording from a file.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) when the file cannot be read;
    /// [`InvalidInput`](ErrorKind::InvalidInput) when a line of it is no exchange.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let text = format!("the recording cannot be read from {}", path.display());
            Error::of_foreign(ErrorKind::Io, text, error)
        })?;
        let recording = jsonl::read(&text);
        recording.map_err(|problem| Error::invalid(format!("{}: {problem}", path.display())))
    }
}

impl FromIterator<RecordedExchange> for Recording {
    fn from_iter<I: IntoIterator<Item = RecordedExchange>>(exchanges: I) -> Self {
        Self::with(exchanges.into_iter().collect(), 0, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_words_joined_by_hyphens() {
        let recording = Recording::from_iter([]);
        assert_eq!(recording.name(), "recorded");
        for (given, name) in [
            ("Pull of v1.2", "pull-of-v1-2"),
            ("--", "recorded"),
            ("ä", "recorded"),
        ] {
            assert_eq!(recording.clone().named(given).name(), name);
        }
    }

    #[test]
    fn a_file_comes_back_as_it_was_and_errors_name_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.jsonl");
        let line = r#"{"request":{"method":"GET","path":"/v2/"},"response":{"status":200}}"#;
        let recording = Recording::from_jsonl(line).unwrap();
        recording.save(&path).unwrap();
        assert_eq!(Recording::load(&path).unwrap(), recording);

        std::fs::write(&path, "\nnonsense").unwrap();
        let error = Recording::load(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let text = error.to_string();
        assert!(text.contains("session.jsonl: line 2: "), "{text}");
        let missing = folder.path().join("missing").join("x");
        for error in [
            Recording::load(&missing).unwrap_err(),
            recording.save(&missing).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Io);
            assert!(error.to_string().contains("missing"), "{error}");
        }
    }
}
