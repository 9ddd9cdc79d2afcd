use std::fmt;

use form_urlencoded::byte_serialize;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A token or password: `Debug` and `Display` hide it, and its memory is overwritten when the last copy goes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text in.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself. Named so that each use stands out.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Replaces the secret in a text: as it is, and as it is written in JSON, in a form and in a URL.
    ///
    /// ```
    /// use acr_protocol::Secret;
    ///
    /// let password = Secret::new("hunter 2");
    /// assert_eq!(password.redact("GET /token?password=hunter%202", "***"), "GET /token?password=***");
    /// ```
    #[must_use]
    pub fn redact(&self, text: &str, placeholder: &str) -> String {
        if self.is_empty() {
            return text.to_owned();
        }
        let json = serde_json::Value::from(self.expose()).to_string();
        let form: String = byte_serialize(self.expose().as_bytes()).collect();
        let url = form.replace('+', "%20");
        // The longest first: none must be left over in part where one is within another.
        [&json[1..json.len() - 1], &url, &form, self.expose()]
            .iter()
            .fold(text.to_owned(), |text, spelling| {
                text.replace(spelling, placeholder)
            })
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_itself() {
        let secret = Secret::new("hunter2");
        assert!(!format!("{secret:?} {secret}").contains("hunter2"));
        assert_eq!(secret.expose(), "hunter2");
    }
}
