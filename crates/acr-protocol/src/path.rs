//! The one place where names become paths and queries, and where paths are taken apart again.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Method, Request, request};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::error::InvalidRequest;

/// Everything but what may stand bare in a path segment. `:` stays, as in `sha256:…`.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A path under construction: each piece is escaped, a repository's slashes stay slashes.
pub(crate) struct PathBuilder {
    path: String,
    query: Option<form_urlencoded::Serializer<'static, String>>,
}

impl PathBuilder {
    /// Begins with a fixed piece, such as `/v2`.
    pub(crate) fn new(fixed: &str) -> Self {
        Self {
            path: fixed.to_owned(),
            query: None,
        }
    }

    /// Appends a fixed piece, such as `/manifests`.
    pub(crate) fn fixed(mut self, piece: &str) -> Self {
        self.path.push_str(piece);
        self
    }

    /// Appends a slash and a name whose own slashes separate segments.
    pub(crate) fn name(mut self, name: &str) -> Self {
        for segment in name.split('/') {
            self = self.segment(segment);
        }
        self
    }

    /// Appends a slash and one segment.
    pub(crate) fn segment(mut self, segment: &str) -> Self {
        self.path.push('/');
        self.path.extend(utf8_percent_encode(segment, SEGMENT));
        self
    }

    /// Appends a query parameter.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        let mut query = self
            .query
            .take()
            .unwrap_or_else(|| form_urlencoded::Serializer::new(String::new()));
        query.append_pair(name, value);
        self.query = Some(query);
        self
    }

    /// Appends a query parameter where there is a value.
    pub(crate) fn query_opt(self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.query(name, value.as_ref()),
            None => self,
        }
    }

    /// The path and query.
    pub(crate) fn text(self) -> String {
        match self.query {
            Some(mut query) => format!("{}?{}", self.path, query.finish()),
            None => self.path,
        }
    }

    pub(crate) fn builder(self, method: Method) -> request::Builder {
        Request::builder().method(method).uri(self.text())
    }

    /// A request without a body.
    pub(crate) fn request(self, method: Method) -> Result<Request<Bytes>, InvalidRequest> {
        Ok(self.builder(method).body(Bytes::new())?)
    }
}

/// The path with its escapes undone. An escape that is malformed or not UTF-8 stays as it is, and so fits no grammar.
pub(crate) fn decoded(path: &str) -> Cow<'_, str> {
    percent_decode_str(path)
        .decode_utf8()
        .unwrap_or(Cow::Borrowed(path))
}

/// Returns the value of a parameter of a query or form, the first if there are several.
#[must_use]
pub fn query_value(query: impl AsRef<[u8]>, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_ref());
    let (_, value) = pairs.find(|(key, _)| key == name)?;
    Some(value.into_owned())
}

/// Every value of a parameter, in order.
pub(crate) fn query_values(query: impl AsRef<[u8]>, name: &str) -> Vec<String> {
    form_urlencoded::parse(query.as_ref())
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .collect()
}

/// The query without one parameter, every other pair kept to the letter.
pub(crate) fn without(query: &str, name: &str) -> String {
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| {
            !pair.is_empty()
                && pair
                    .split('=')
                    .next()
                    .is_none_or(|key| decoded(key) != name)
        })
        .collect();
    kept.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_cannot_leave_its_place() {
        let uri = PathBuilder::new("/acr/v1")
            .name("a?b/c#d%2F")
            .segment("x/../y")
            .query("last", "a&b=c d")
            .text();
        assert_eq!(uri, "/acr/v1/a%3Fb/c%23d%252F/x%2F..%2Fy?last=a%26b%3Dc+d");
    }

    #[test]
    fn a_digest_keeps_its_colon() {
        assert_eq!(
            PathBuilder::new("/v2").segment("sha256:ab").text(),
            "/v2/sha256:ab"
        );
    }

    #[test]
    fn a_parameter_is_cut_out_and_the_rest_kept_to_the_letter() {
        assert_eq!(
            without(
                "_nouploadcache=false&_state=a%3D&digest=sha256%3Aab",
                "digest"
            ),
            "_nouploadcache=false&_state=a%3D"
        );
        assert_eq!(without("digest=x", "digest"), "");
        assert_eq!(without("di%67est=x&y", "digest"), "y");
    }

    #[test]
    fn malformed_escapes_stay() {
        assert_eq!(decoded("a%2Fb"), "a/b");
        assert_eq!(decoded("%zz"), "%zz");
        assert_eq!(decoded("%ff"), "%ff");
    }
}
