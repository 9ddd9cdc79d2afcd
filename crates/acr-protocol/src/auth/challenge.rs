use std::fmt;

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

use crate::auth::scope::{InvalidScope, ScopeSet};
use crate::text::excerpt;

/// A demand for credentials, from a `WWW-Authenticate` header.
///
/// ```
/// use acr_protocol::Challenge;
/// let text = r#"Bearer realm="https://r.azurecr.io/oauth2/token",service="r.azurecr.io",scope="repository:a:pull""#;
/// let challenge = &Challenge::parse(text)?[0];
/// assert_eq!(challenge.realm(), Some("https://r.azurecr.io/oauth2/token"));
/// assert_eq!(challenge.to_string(), text);
/// # Ok::<(), acr_protocol::InvalidChallenge>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    scheme: Box<str>,
    parameters: Vec<(Box<str>, Box<str>)>,
}

impl Challenge {
    /// A challenge of any scheme.
    #[must_use]
    pub fn new<'a>(scheme: &str, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self {
            scheme: scheme.into(),
            parameters: parameters
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        }
    }

    /// The service's challenge for a token, with its parts in the service's order. The scope is given as text, because
    /// the service shuffles the actions within it.
    #[must_use]
    pub fn bearer(realm: &str, service: &str, scope: Option<&str>, error: Option<&str>) -> Self {
        let parts = [
            ("realm", Some(realm)),
            ("service", Some(service)),
            ("scope", scope),
            ("error", error),
        ];
        Self::new(
            "Bearer",
            parts
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?))),
        )
    }

    /// Reads one header value, which may hold several challenges.
    ///
    /// # Errors
    /// [`InvalidChallenge`] says what is malformed.
    pub fn parse(text: &str) -> Result<Vec<Self>, InvalidChallenge> {
        let mut parser = Parser { text, rest: text };
        let mut challenges: Vec<Self> = Vec::new();
        loop {
            parser.skip_separators();
            if parser.rest.is_empty() {
                return Ok(challenges);
            }
            let word = parser.token()?;
            parser.skip_blanks();
            match (parser.eat('='), challenges.last_mut()) {
                (true, Some(challenge)) => {
                    parser.skip_blanks();
                    let value = parser.value()?;
                    challenge
                        .parameters
                        .push((word.into(), value.into_boxed_str()));
                }
                (true, None) => return Err(parser.fail("a parameter stands before any scheme")),
                (false, _) => {
                    challenges.push(Self {
                        scheme: word.into(),
                        parameters: Vec::new(),
                    });
                    parser.skip_token68();
                }
            }
        }
    }

    /// Reads every `WWW-Authenticate` header of a response. Malformed ones are passed over: what matters is whether
    /// there is a challenge that can be met.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Vec<Self> {
        let values = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        values
            .filter_map(|text| Self::parse(text).ok())
            .flatten()
            .collect()
    }

    /// The scheme as it was written.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Whether a token is asked for.
    #[must_use]
    pub fn is_bearer(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("bearer")
    }

    /// Whether a user name and password are asked for.
    #[must_use]
    pub fn is_basic(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("basic")
    }

    /// A parameter by its name, without regard to case.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| &**value)
    }

    /// Where tokens are to be had.
    #[must_use]
    pub fn realm(&self) -> Option<&str> {
        self.parameter("realm")
    }

    /// For whom the token must be.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.parameter("service")
    }

    /// What the token must allow. Empty where the challenge names no scope.
    ///
    /// # Errors
    /// The scope is malformed.
    pub fn scope(&self) -> Result<ScopeSet, InvalidScope> {
        self.parameter("scope").unwrap_or("").parse()
    }

    /// Why the credentials that came were not enough: `insufficient_scope` or `invalid_token`. Absent when none came.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.parameter("error")
    }
}

/// The challenge as the service writes it: no blank after the commas, every value quoted.
impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.scheme)?;
        for (index, (name, value)) in self.parameters.iter().enumerate() {
            let separator = if index == 0 { ' ' } else { ',' };
            write!(f, "{separator}{name}=\"")?;
            for c in value.chars() {
                if matches!(c, '"' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
            f.write_str("\"")?;
        }
        Ok(())
    }
}

/// The text is not a challenge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a WWW-Authenticate challenge: {reason} at byte {at}")]
pub struct InvalidChallenge {
    text: String,
    reason: &'static str,
    at: usize,
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn fail(&self, reason: &'static str) -> InvalidChallenge {
        InvalidChallenge {
            text: excerpt(self.text),
            reason,
            at: self.text.len() - self.rest.len(),
        }
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn skip_separators(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
    }

    fn eat(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn token(&mut self) -> Result<&'a str, InvalidChallenge> {
        let end = self
            .rest
            .find(|c: char| !is_token(c))
            .unwrap_or(self.rest.len());
        if end == 0 {
            return Err(self.fail("a name is missing"));
        }
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(token)
    }

    fn value(&mut self) -> Result<String, InvalidChallenge> {
        if !self.eat('"') {
            return self.token().map(str::to_owned);
        }
        let mut value = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(value);
                }
                '\\' => match chars.next() {
                    Some((_, escaped)) => value.push(escaped),
                    None => break,
                },
                c => value.push(c),
            }
        }
        Err(self.fail("a quoted value does not end"))
    }

    /// Some schemes (`Negotiate`) have a bare token instead of parameters: passed over.
    fn skip_token68(&mut self) {
        let end = self
            .rest
            .find(|c: char| {
                !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '+' | '/' | '='))
            })
            .unwrap_or(self.rest.len());
        let (word, after) = self.rest.split_at(end);
        let ends = after.trim_start_matches([' ', '\t']);
        let is_parameter = word.trim_end_matches('=').contains('=')
            || after.starts_with('"')
            || ends.starts_with('=')
            || (word.ends_with('=') && ends.starts_with('"'));
        if end > 0 && !is_parameter && (ends.is_empty() || ends.starts_with(',')) {
            self.rest = after;
        }
    }
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_s_form_is_read_and_written() {
        let text = r#"Bearer realm="https://r.azurecr.io/oauth2/token",service="r.azurecr.io",scope="repository:a:pull,push",error="insufficient_scope""#;
        let [challenge] = &Challenge::parse(text).unwrap()[..] else {
            panic!()
        };
        assert!(challenge.is_bearer());
        assert_eq!(challenge.error(), Some("insufficient_scope"));
        assert_eq!(
            challenge.scope().unwrap().to_string(),
            "repository:a:pull,push"
        );
        assert_eq!(challenge.to_string(), text);
        assert_eq!(
            Challenge::bearer(
                "https://r.azurecr.io/oauth2/token",
                "r.azurecr.io",
                Some("repository:a:pull,push"),
                Some("insufficient_scope")
            ),
            *challenge
        );
    }

    #[test]
    fn other_orders_blanks_cases_and_quotes_are_read() {
        let text = r#"bearer  SERVICE = plain ,  realm="a \"b\" \\ ,c=d", scope="", Basic realm="x", Negotiate a3Vlcg==, NTLM"#;
        let challenges = Challenge::parse(text).unwrap();
        let schemes: Vec<_> = challenges.iter().map(Challenge::scheme).collect();
        assert_eq!(schemes, ["bearer", "Basic", "Negotiate", "NTLM"]);
        assert_eq!(challenges[0].service(), Some("plain"));
        assert_eq!(challenges[0].realm(), Some(r#"a "b" \ ,c=d"#));
        assert!(challenges[0].scope().unwrap().is_empty());
        assert!(challenges[1].is_basic());
    }

    #[test]
    fn malformed_challenges_are_refused() {
        for text in [
            "=",
            "realm=\"x\"",
            "Bearer realm=\"x",
            "Bearer realm=\"x\\",
            "Bearer \u{e9}",
            "\"x\"",
        ] {
            assert!(Challenge::parse(text).is_err(), "{text}");
        }
        assert_eq!(Challenge::parse("").unwrap(), []);
        assert_eq!(Challenge::parse(" , ,").unwrap(), []);
    }
}
