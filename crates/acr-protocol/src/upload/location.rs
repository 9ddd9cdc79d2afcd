use std::str::FromStr;

use http::Uri;
use serde::{Deserialize, Deserializer};

use crate::digest::Digest;
use crate::path::{PathBuilder, query_value, without};
use crate::reference::RepositoryName;
use crate::text::{excerpt, text_traits, without_secrets};

/// Where an upload goes on: the `Location` of its latest response, as it came. ACR's is relative and has a query.
#[derive(Clone, PartialEq, Eq)]
pub struct UploadLocation(Box<str>);

impl UploadLocation {
    /// Takes the text of a location that was kept.
    ///
    /// # Errors
    /// The text is neither a path from the root nor an absolute URL, holds a user or a fragment, or is longer than
    /// 60,000 characters.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidUploadLocation> {
        let text = text.as_ref();
        let fits = |uri: Uri| match uri.authority() {
            // A host without a scheme, such as `name:443`, parses as well, but nothing can be appended to it.
            Some(authority) => uri.scheme().is_some() && !authority.as_str().contains('@'),
            None => text.starts_with('/'),
        };
        // The length leaves room for the digest within what a URI can hold.
        if text.len() <= 60_000 && !text.contains('#') && text.parse().is_ok_and(fits) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidUploadLocation {
                text: excerpt(without_secrets(text)),
            })
        }
    }

    /// The location that ACR gives for an upload: relative, with the state as a query parameter, whose text is opaque.
    #[must_use]
    pub fn acr(repository: &RepositoryName, uuid: &str, state: &str) -> Self {
        Self(
            upload_path(repository, uuid)
                .query("_nouploadcache", "false")
                .query("_state", state)
                .text()
                .into(),
        )
    }

    /// The URL reference.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the upload: the last segment of the path.
    #[must_use]
    pub fn uuid(&self) -> &str {
        let path = self.0.split('?').next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    }

    /// A parameter of the query, such as ACR's `_state`.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        query_value(self.0.split_once('?')?.1, name)
    }

    /// The location that a request went to, kept to the letter but for the digest. Only where the path escapes what
    /// need not be escaped is it written anew, so that the id can be read off its end.
    pub(crate) fn from_request(uri: &Uri, repository: &RepositoryName, uuid: &str) -> Self {
        let query = uri
            .query()
            .map(|query| without(query, "digest"))
            .filter(|query| !query.is_empty());
        let path = if uri.path().rsplit('/').next() == Some(uuid) {
            uri.path().to_owned()
        } else {
            upload_path(repository, uuid).text()
        };
        Self(match query {
            Some(query) => format!("{path}?{query}").into(),
            None => path.into(),
        })
    }

    /// The location with the digest behind its query: appended, since the query is there already.
    pub(super) fn with_digest(&self, digest: &Digest) -> String {
        let separator = if self.0.contains('?') { '&' } else { '?' };
        let pair: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("digest", digest.as_str())
            .finish();
        format!("{}{separator}{pair}", self.0)
    }
}

text_traits!(UploadLocation);

impl From<&Self> for UploadLocation {
    fn from(other: &Self) -> Self {
        other.clone()
    }
}

impl FromStr for UploadLocation {
    type Err = InvalidUploadLocation;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for UploadLocation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

fn upload_path(repository: &RepositoryName, uuid: &str) -> PathBuilder {
    PathBuilder::new("/v2")
        .name(repository.as_str())
        .fixed("/blobs/uploads")
        .segment(uuid)
}

/// The text is not a valid location of an upload. Its query is not shown: it may hold a signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the location of an upload")]
pub struct InvalidUploadLocation {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_appended_to_the_query_that_is_there() {
        let (repository, digest) = (RepositoryName::new("a/b").unwrap(), Digest::sha256(b""));
        let location = UploadLocation::acr(&repository, "0f30", "abc=");
        assert_eq!(
            location,
            "/v2/a/b/blobs/uploads/0f30?_nouploadcache=false&_state=abc%3D"
        );
        assert_eq!(
            (location.uuid(), location.parameter("_state").as_deref()),
            ("0f30", Some("abc="))
        );
        let uri: Uri = location.with_digest(&digest).parse().unwrap();
        assert!(uri.to_string().contains("&digest=sha256%3Ae3b0"), "{uri}");
        assert_eq!(
            UploadLocation::from_request(&uri, &repository, "0f30"),
            location
        );
        let escaped = Uri::from_static("/v2/a%2Fb%2Fblobs%2Fuploads%2F0f30?_state=abc%3D&digest=x");
        assert_eq!(
            UploadLocation::from_request(&escaped, &repository, "0f30"),
            "/v2/a/b/blobs/uploads/0f30?_state=abc%3D"
        );
        let bare = UploadLocation::new("/v2/a/b/blobs/uploads/1").unwrap();
        assert!(
            bare.with_digest(&digest)
                .to_string()
                .contains("/1?digest=sha256%3A")
        );
    }

    #[test]
    fn what_is_no_location_is_refused_without_its_query() {
        let long = format!("/{}", "a".repeat(60_000));
        for text in [
            "",
            "*",
            "a b",
            "/x#y",
            "http://[",
            "/x y?_state=secret",
            "/x y#secret",
            "https://user:secret@r.example/x",
            "r.example",
            "r.example:443",
            "mailto:x",
            "uploads/0f30",
            "?_state=secret",
            &long,
        ] {
            let error = UploadLocation::new(text).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        for text in [
            "/x",
            "/x?y",
            "https://r.example/x",
            "https://r.example",
            "//r.example/x",
        ] {
            let location = UploadLocation::new(text).unwrap();
            assert_eq!(location, text);
            let with_digest: Uri = location.with_digest(&Digest::sha512(b"")).parse().unwrap();
            assert_ne!(
                with_digest.path_and_query().map(|path| path.as_str()),
                Some("/")
            );
        }
    }
}
