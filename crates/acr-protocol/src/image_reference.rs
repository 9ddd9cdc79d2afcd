//! [`ImageReference`]: where an image is, in full, as `host/repository:tag@digest`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{Digest, InvalidDigest};
use crate::http_parts::number;
use crate::reference::{InvalidRepositoryName, InvalidTag, Reference, RepositoryName, Tag};
use crate::text::excerpt;

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

fn check_registry(text: &str) -> Result<(), &'static str> {
    let host = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            if number(port).is_none_or(|port| !(1..=65535).contains(&port)) {
                return Err("the port of the registry is not a number from 1 to 65535");
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
            "r.io:/a:v1",
            "r.io:65536/a:v1",
            "/a:v1",
        ] {
            assert!(text.parse::<ImageReference>().is_err(), "{text}");
        }
    }
}
