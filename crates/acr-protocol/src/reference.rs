//! How content is named: [`RepositoryName`], [`Tag`] and [`Reference`] (a tag or a digest) and [`ImageReference`] (`host/repository:tag@digest`).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{Digest, InvalidDigest};
use crate::text::{excerpt, text_equality, text_newtype};

/// The name of a repository within its registry, such as `library/hello-world`. A cheap clone.
///
/// [`RepositoryName::new`] holds the text to the grammar of the OCI distribution specification. A name that a
/// *server* sends (deserialised, or by [`RepositoryName::from_server`]) is held only to what is safe in a URL,
/// so that one odd old name does not end a listing.
#[derive(Clone, PartialEq, Eq)]
pub struct RepositoryName(Arc<str>);

text_newtype!(RepositoryName, InvalidRepositoryName);

impl RepositoryName {
    /// A name as a registry gave it: checked only for what would lead a URL astray.
    ///
    /// # Errors
    /// The name is empty, longer than 2,000 characters, has an empty, `.` or `..` segment, or holds a control character.
    pub fn from_server(text: impl AsRef<str>) -> Result<Self, InvalidRepositoryName> {
        let text = text.as_ref();
        let fail = |reason| InvalidRepositoryName {
            text: excerpt(text),
            reason,
        };
        if text.len() > MAX_SERVER_NAME {
            return Err(fail("it is longer than 2,000 characters"));
        }
        if text
            .split('/')
            .any(|segment| matches!(segment, "" | "." | ".."))
        {
            return Err(fail("it has an empty, '.' or '..' segment"));
        }
        if text.chars().any(char::is_control) {
            return Err(fail("it holds a control character"));
        }
        Ok(Self(Arc::from(text)))
    }

    fn check(text: &str) -> Result<(), InvalidRepositoryName> {
        let fail = |reason| InvalidRepositoryName {
            text: excerpt(text),
            reason,
        };
        check_length(text).map_err(fail)?;
        text.split('/').try_for_each(check_segment).map_err(fail)
    }

    /// The name of an item that is written into an envelope, which has the true one.
    pub(crate) fn in_envelope() -> Self {
        Self(Arc::from(""))
    }

    pub(crate) fn is_in_envelope(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for RepositoryName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_server(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The text is not the name of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRepositoryName {
    text: String,
    reason: &'static str,
}

impl fmt::Display for InvalidRepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a repository name such as \"library/hello-world\": {}",
            self.text, self.reason
        )
    }
}

impl std::error::Error for InvalidRepositoryName {}

/// A tag: a name within a repository that points at a manifest and may be moved. A cheap clone.
///
/// At most 128 characters of letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`.
#[derive(Clone, PartialEq, Eq)]
pub struct Tag(Arc<str>);

text_newtype!(Tag, InvalidTag);

impl Tag {
    /// A tag as a registry gave it: checked only for what would lead a URL astray.
    ///
    /// # Errors
    /// The tag is empty, longer than 2,000 characters, `.` or `..`, or holds a slash or a control character.
    pub fn from_server(text: impl AsRef<str>) -> Result<Self, InvalidTag> {
        let text = text.as_ref();
        let fail = |reason| InvalidTag {
            text: excerpt(text),
            reason,
        };
        if text.is_empty() || text.len() > MAX_SERVER_NAME || matches!(text, "." | "..") {
            return Err(fail("it is empty, too long, or a path of its own"));
        }
        if text.chars().any(|c| c == '/' || c.is_control()) {
            return Err(fail("it holds a slash or a control character"));
        }
        Ok(Self(Arc::from(text)))
    }

    fn check(text: &str) -> Result<(), InvalidTag> {
        let fail = |reason| InvalidTag {
            text: excerpt(text),
            reason,
        };
        let Some(first) = text.bytes().next() else {
            return Err(fail("it is empty"));
        };
        if text.len() > 128 {
            return Err(fail("it is longer than 128 characters"));
        }
        if !(first.is_ascii_alphanumeric() || first == b'_') {
            return Err(fail("it does not begin with a letter, a digit or _"));
        }
        if !text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        {
            return Err(fail("it holds something other than letters, digits, _ . -"));
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_server(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The text is not a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTag {
    text: String,
    reason: &'static str,
}

impl fmt::Display for InvalidTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a tag such as \"v1.0\": {}",
            self.text, self.reason
        )
    }
}

impl std::error::Error for InvalidTag {}

/// What names a manifest within its repository: a tag, which may move, or a digest, which cannot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reference {
    /// By tag.
    Tag(Tag),
    /// By digest.
    Digest(Digest),
}

impl Reference {
    /// Reads a tag or a digest: text with a colon is a digest, since no tag can hold one.
    ///
    /// # Errors
    /// [`InvalidReference`], with what is wrong in the tag or the digest.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidReference> {
        let text = text.as_ref();
        if text.contains(':') {
            Ok(Self::Digest(Digest::new(text)?))
        } else {
            Ok(Self::Tag(Tag::new(text)?))
        }
    }

    /// The text of the tag or the digest.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Tag(tag) => tag.as_str(),
            Self::Digest(digest) => digest.as_str(),
        }
    }

    /// The tag, if it is one.
    #[must_use]
    pub fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Tag(tag) => Some(tag),
            Self::Digest(_) => None,
        }
    }

    /// The digest, if it is one.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Digest(digest) => Some(digest),
            Self::Tag(_) => None,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl AsRef<str> for Reference {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

text_equality!(Reference);

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<&str> for Reference {
    type Error = InvalidReference;
    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl TryFrom<String> for Reference {
    type Error = InvalidReference;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl TryFrom<&String> for Reference {
    type Error = InvalidReference;
    fn try_from(text: &String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<Tag> for Reference {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

impl From<&Tag> for Reference {
    fn from(tag: &Tag) -> Self {
        Self::Tag(tag.clone())
    }
}

impl From<Digest> for Reference {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

impl From<&Digest> for Reference {
    fn from(digest: &Digest) -> Self {
        Self::Digest(digest.clone())
    }
}

impl From<&Self> for Reference {
    fn from(other: &Self) -> Self {
        other.clone()
    }
}

/// The text is neither a tag nor a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidReference {
    /// It has no colon, so it would have to be a tag.
    #[error(transparent)]
    Tag(#[from] InvalidTag),
    /// It has a colon, so it would have to be a digest.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
}

/// A registry may bear longer names than the specification's clients; a URL still has to hold them.
const MAX_SERVER_NAME: usize = 2000;

fn check_length(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    // The specification names no limit; 255 is what clients commonly bear.
    if text.len() > 255 {
        Err("it is longer than 255 characters")
    } else {
        Ok(())
    }
}

/// One path segment: lower-case alphanumerics, joined by one of `.`, `_`, `__` or any number of `-`.
fn check_segment(segment: &str) -> Result<(), &'static str> {
    if segment.is_empty() {
        return Err("it has an empty segment");
    }
    if !segment
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
    {
        return Err("it holds something other than lower-case letters, digits, . _ - and /");
    }
    let mut separators = segment
        .split(|c: char| c.is_ascii_alphanumeric())
        .enumerate()
        .peekable();
    while let Some((index, separator)) = separators.next() {
        let at_an_end = index == 0 || separators.peek().is_none();
        let fine = match separator {
            "" => true,
            _ if at_an_end => false,
            "." | "_" | "__" => true,
            other => other.bytes().all(|b| b == b'-'),
        };
        if !fine {
            return Err(
                "a segment begins or ends with a separator, or has a separator that is not one of . _ __ -",
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names_follow_the_grammar() {
        for name in [
            "a",
            "hello-world",
            "library/hello-world",
            "a.b_c__d--e/f0",
            "9a81d56d-4e29-2920-cde9-c444706fff27",
            "a---b",
        ] {
            assert_eq!(RepositoryName::new(name).unwrap(), name);
        }
        for name in [
            "",
            "A",
            "Nonexistent",
            "a/",
            "/a",
            "a//b",
            "..",
            "a/../b",
            ".a",
            "a.",
            "-a",
            "a-",
            "a._b",
            "a___b",
            "a..b",
            "wrong name",
            "ä",
            "a%2Fb",
        ] {
            assert!(RepositoryName::new(name).is_err(), "{name}");
        }
        assert!(RepositoryName::new("a".repeat(255)).is_ok());
        assert!(RepositoryName::new("a".repeat(256)).is_err());
    }

    #[test]
    fn names_from_a_server_are_held_only_to_what_is_safe_in_a_url() {
        let long = "a".repeat(2000);
        for name in ["Old_Name", "a..b", "with blank", "q?x#y%", &long] {
            assert!(RepositoryName::from_server(name).is_ok(), "{name}");
            assert!(Tag::from_server(name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a\nb", &format!("{long}a")] {
            assert!(Tag::from_server(name).is_err(), "{name:?}");
        }
        assert!(RepositoryName::from_server(format!("{long}a")).is_err());
        for name in ["", "..", "a/../b", "a//b", "/a", "a/.", "a\nb"] {
            assert!(RepositoryName::from_server(name).is_err(), "{name:?}");
        }
        assert!(serde_json::from_str::<RepositoryName>("\"../x\"").is_err());
    }

    #[test]
    fn tags_follow_the_grammar() {
        for tag in ["latest", "v1.0", "_x", "A-b.C", "error-digest"] {
            assert_eq!(Tag::new(tag).unwrap(), tag);
        }
        for tag in [
            "",
            ".x",
            "-x",
            ".INVALID_MANIFEST_NAME",
            "a b",
            "a/b",
            "a:b",
        ] {
            assert!(Tag::new(tag).is_err(), "{tag}");
        }
        assert!(Tag::new("a".repeat(129)).is_err());
    }

    #[test]
    fn a_reference_with_a_colon_is_a_digest() {
        assert!(matches!(Reference::new("v1").unwrap(), Reference::Tag(_)));
        assert!(matches!(
            Reference::new(Digest::sha256(b"").as_str()).unwrap(),
            Reference::Digest(_)
        ));
        assert!(matches!(
            Reference::new("sha256:totallywrong"),
            Err(InvalidReference::Digest(_))
        ));
        assert!(matches!(Reference::new(""), Err(InvalidReference::Tag(_))));
    }

    #[test]
    fn sets_of_names_are_searched_by_text() {
        let tags = std::collections::HashSet::from([Tag::new("v1").unwrap()]);
        assert!(tags.contains("v1") && !tags.contains("v2"));
        let names = std::collections::BTreeSet::from([RepositoryName::new("a/b").unwrap()]);
        assert!(names.contains("a/b") && !names.contains("a"));
        let codes = std::collections::HashSet::from([crate::ErrorCode::TAG_UNKNOWN]);
        assert!(codes.contains("TAG_UNKNOWN"));
    }

    #[test]
    fn text_pads_like_text() {
        assert_eq!(format!("[{:>6}]", Tag::new("v1").unwrap()), "[    v1]");
    }
}
