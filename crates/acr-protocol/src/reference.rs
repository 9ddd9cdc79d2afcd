//! How content is named: [`RepositoryName`], [`Tag`], [`Reference`] (a tag or a digest) and [`ImageReference`] (`host/repository:tag@digest`).

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{Digest, InvalidDigest};
use crate::error::excerpt;
use crate::text::text_newtype;

/// The name of a repository within its registry, such as `library/hello-world`. A cheap clone.
///
/// [`RepositoryName::new`] holds the text to the grammar of the OCI distribution specification. A name that a
/// *server* sends (deserialised, or by [`RepositoryName::from_server`]) is held only to what is safe in a URL,
/// so that one odd old name does not end a listing.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryName(Arc<str>);

text_newtype!(RepositoryName, InvalidRepositoryName);

impl RepositoryName {
    /// A name as a registry gave it: checked only for what would lead a URL astray.
    ///
    /// # Errors
    /// The name is empty, longer than 255 characters, has an empty, `.` or `..` segment, or holds a control character.
    pub fn from_server(text: impl AsRef<str>) -> Result<Self, InvalidRepositoryName> {
        let text = text.as_ref();
        let fail = |reason| InvalidRepositoryName {
            text: excerpt(text),
            reason,
        };
        check_length(text).map_err(fail)?;
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
}

impl Borrow<str> for RepositoryName {
    fn borrow(&self) -> &str {
        &self.0
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
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Arc<str>);

text_newtype!(Tag, InvalidTag);

impl Tag {
    /// A tag as a registry gave it: checked only for what would lead a URL astray.
    ///
    /// # Errors
    /// The tag is empty, longer than 255 characters, `.` or `..`, or holds a slash or a control character.
    pub fn from_server(text: impl AsRef<str>) -> Result<Self, InvalidTag> {
        let text = text.as_ref();
        let fail = |reason| InvalidTag {
            text: excerpt(text),
            reason,
        };
        if text.is_empty() || text.len() > 255 || matches!(text, "." | "..") {
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

impl Borrow<str> for Tag {
    fn borrow(&self) -> &str {
        &self.0
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

/// Where an image is, in full: `registry/repository[:tag][@digest]`.
///
/// Unlike docker, no registry and no tag are made up: both `registry` and at least one of tag and digest must be there.
///
/// ```
/// use acr_protocol::ImageReference;
/// let image: ImageReference = "myregistry.azurecr.io/samples/app:v1".parse()?;
/// assert_eq!(image.registry(), "myregistry.azurecr.io");
/// assert_eq!(image.repository(), "samples/app");
/// assert_eq!(image.reference().as_str(), "v1");
/// # Ok::<(), acr_protocol::InvalidImageReference>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageReference {
    registry: Box<str>,
    repository: RepositoryName,
    /// The tag that stands before a digest: a remark, since the digest decides.
    remark: Option<Tag>,
    reference: Reference,
}

impl ImageReference {
    /// Joins the parts. The registry is a host, with a port where it needs one; it is kept in lower case.
    ///
    /// # Errors
    /// The registry is not a host.
    pub fn new(
        registry: &str,
        repository: RepositoryName,
        reference: Reference,
    ) -> Result<Self, InvalidImageReference> {
        check_registry(registry).map_err(|reason| InvalidImageReference::new(registry, reason))?;
        Ok(Self {
            registry: registry.to_ascii_lowercase().into(),
            repository,
            remark: None,
            reference,
        })
    }

    /// The host, with a port where there is one, in lower case.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository.
    #[must_use]
    pub fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// The tag, which is only a remark where there is a digest too.
    #[must_use]
    pub fn tag(&self) -> Option<&Tag> {
        self.remark.as_ref().or(self.reference.tag())
    }

    /// The digest.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.reference.digest()
    }

    /// What to ask the registry for: the digest if there is one, else the tag.
    #[must_use]
    pub fn reference(&self) -> &Reference {
        &self.reference
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = self.tag() {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = self.digest() {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for ImageReference {
    type Err = InvalidImageReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |reason| InvalidImageReference::new(text, reason);
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(Digest::new(digest)?)),
            None => (text, None),
        };
        let (registry, path) = rest
            .split_once('/')
            .ok_or_else(|| fail("there is no '/' between registry and repository"))?;
        check_registry(registry).map_err(fail)?;
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(Tag::new(tag)?)),
            None => (path, None),
        };
        let (remark, reference) = match (tag, digest) {
            (tag, Some(digest)) => (tag, Reference::Digest(digest)),
            (Some(tag), None) => (None, Reference::Tag(tag)),
            (None, None) => return Err(fail("there is neither ':tag' nor '@digest'")),
        };
        Ok(Self {
            registry: registry.to_ascii_lowercase().into(),
            repository: RepositoryName::new(repository)?,
            remark,
            reference,
        })
    }
}

impl Serialize for ImageReference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ImageReference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// The text is not `registry/repository:tag` or `registry/repository@digest`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidImageReference {
    /// The whole is not of that form.
    #[error(
        "{text:?} is not an image reference such as \"myregistry.azurecr.io/samples/app:v1\": {reason}"
    )]
    #[non_exhaustive]
    Form {
        /// The beginning of the text.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The repository is malformed.
    #[error(transparent)]
    Repository(#[from] InvalidRepositoryName),
    /// The tag is malformed.
    #[error(transparent)]
    Tag(#[from] InvalidTag),
    /// The digest is malformed.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
}

impl InvalidImageReference {
    fn new(text: &str, reason: &'static str) -> Self {
        Self::Form {
            text: excerpt(text),
            reason,
        }
    }
}

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

fn check_registry(text: &str) -> Result<(), &'static str> {
    let host = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
                return Err("the port of the registry is not a number");
            }
            host
        }
        _ => text,
    };
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let fine = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
                && !host.contains("..")
        }
    };
    // As docker reads it: the first part is a host only where it cannot be a repository's first segment.
    let unmistakable = text.contains(['.', ':']) || host.eq_ignore_ascii_case("localhost");
    match (fine, unmistakable) {
        (false, _) => Err("the registry is not a host name"),
        (_, false) => {
            Err("the first part is not a registry's host (it has neither a dot nor a port)")
        }
        _ => Ok(()),
    }
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
        for name in ["Old_Name", "a..b", "with blank", "q?x#y%"] {
            assert!(RepositoryName::from_server(name).is_ok(), "{name}");
        }
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
    fn image_references_round_trip() {
        let digest = Digest::sha256(b"");
        for text in [
            "r.azurecr.io/a/b:v1".to_owned(),
            format!("localhost:5000/a@{digest}"),
            format!("r.azurecr.io/a:v1@{digest}"),
            "[::1]:5000/a:b".to_owned(),
        ] {
            let image: ImageReference = text.parse().unwrap();
            assert_eq!(image.to_string(), text);
        }
        assert_eq!(
            "R.azurecr.io/a:v1"
                .parse::<ImageReference>()
                .unwrap()
                .registry(),
            "r.azurecr.io"
        );
        for text in [
            "",
            "a",
            "a:v1",
            "a/b:v1",
            "r.azurecr.io/a",
            "r.azurecr.io/A:v1",
            "r.azurecr.io/a:",
            "r.azurecr.io/a@x",
            "r io/a:v1",
            "r.io:x/a:v1",
            "/a:v1",
        ] {
            assert!(text.parse::<ImageReference>().is_err(), "{text}");
        }
    }

    #[test]
    fn text_pads_like_text() {
        assert_eq!(format!("[{:>6}]", Tag::new("v1").unwrap()), "[    v1]");
    }
}
