//! What every validated piece of text has in common, and what makes any text fit to be shown.

use std::borrow::Cow;

/// Brings the text of somebody else into one line that is read as it stands: with a space in the place
/// of each control character, of each mark that changes the direction of writing, and of the separators of
/// lines and paragraphs.
///
/// Whatever a server says goes through here before a person reads it, in an error, a log or a terminal: an
/// escape sequence could hide the line above, and a mark of direction could turn a name around.
///
/// ```
/// assert_eq!(acr_protocol::one_line("tag \u{202e}1v\r\n\x1b[2J"), "tag  1v   [2J");
/// ```
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unfit) {
        return Cow::Borrowed(text);
    }
    let fit = |c| if is_unfit(c) { ' ' } else { c };
    Cow::Owned(text.chars().map(fit).collect())
}

fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

/// What of a URL may be shown: there may be a signature in its query, and a password before an `@`.
pub(crate) fn without_secrets(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.rsplit('@').next().unwrap_or_default()
}

/// The beginning of a text, so that an error does not carry a megabyte.
pub(crate) fn excerpt(text: &str) -> String {
    const MAX_CHARS: usize = 160;
    match text.char_indices().nth(MAX_CHARS) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

/// Gives a `struct Name(Arc<str>)` the traits that a piece of text needs: it displays (with padding),
/// compares with and borrows as `str`, orders, hashes and serialises as its text.
macro_rules! text_newtype {
    ($name:ident, $error:ident) => {
        impl $name {
            /// Checks the text against the grammar.
            ///
            /// # Errors
            /// The text is not of this form; the error says where.
            pub fn new(text: impl AsRef<str>) -> Result<Self, $error> {
                let text = text.as_ref();
                Self::check(text)?;
                Ok(Self(std::sync::Arc::from(text)))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        $crate::text::text_traits!($name);

        impl std::str::FromStr for $name {
            type Err = $error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $error;
            fn try_from(text: &str) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        impl TryFrom<&String> for $name {
            type Error = $error;
            fn try_from(text: &String) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        impl From<&$name> for $name {
            fn from(other: &$name) -> Self {
                other.clone()
            }
        }
    };
}

/// The reading half of [`text_newtype!`], for types with an `as_str` of their own.
///
/// Order and hash are those of the text, so that maps can be searched by `&str`. Equality stays derived, because only
/// then can the constants of the open enumerations stand in a `match`; it is the same, since no text has two values.
macro_rules! text_traits {
    ($name:ident) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl std::hash::Hash for $name {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.as_str().hash(state);
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.as_str().cmp(other.as_str())
            }
        }

        $crate::text::text_equality!($name);

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.as_str().to_owned()
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

/// Lets a type with an `as_str` be compared with texts, from both sides.
macro_rules! text_equality {
    ($name:ident) => {
        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }

        impl PartialEq<String> for $name {
            fn eq(&self, other: &String) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<$name> for str {
            fn eq(&self, other: &$name) -> bool {
                self == other.as_str()
            }
        }

        impl PartialEq<$name> for &str {
            fn eq(&self, other: &$name) -> bool {
                *self == other.as_str()
            }
        }

        impl PartialEq<$name> for String {
            fn eq(&self, other: &$name) -> bool {
                self == other.as_str()
            }
        }
    };
}

/// Gives an open enumeration, which any text is a value of, what [`text_traits!`] gives, and reading.
macro_rules! open_text {
    ($name:ident) => {
        $crate::text::text_traits!($name);

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::from(text.as_str())
            }
        }

        impl From<&$name> for $name {
            fn from(other: &$name) -> Self {
                other.clone()
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::convert::Infallible;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ok(Self::from(text))
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(deserializer).map(Self::from)
            }
        }
    };
}

pub(crate) use open_text;
pub(crate) use text_equality;
pub(crate) use text_newtype;
pub(crate) use text_traits;

#[cfg(test)]
mod tests {
    use super::{excerpt, one_line, without_secrets};

    #[test]
    fn an_excerpt_cuts_between_characters() {
        assert_eq!(excerpt(&"ä".repeat(161)).chars().count(), 161);
        assert_eq!(excerpt("short"), "short");
        assert_eq!(without_secrets("/x#hunter2"), "/x");
    }

    #[test]
    fn marks_of_direction_and_ends_of_lines_are_taken_out_as_other_controls_are() {
        let marks = "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{2028}\u{2029}\
            \u{200e}\u{200f}\u{61c}\u{0}\u{1b}\u{7f}\u{85}\u{9b}\r\n\t";
        for mark in marks.chars() {
            assert_eq!(one_line(&format!("a{mark}b")), "a b", "{mark:?}");
        }
        let kept = "grüße, שלום, 日本";
        assert_eq!(one_line(kept), kept);
    }
}
