//! Lists come in pages: [`ListQuery`] asks for one, [`Page`] is one, [`PageToken`] leads to the next.

use std::fmt;
use std::str::FromStr;

use http::header::LINK;
use http::{HeaderMap, HeaderValue, Uri};
use serde::{Deserialize, Deserializer};

use crate::error::DecodeError;
use crate::path::PathBuilder;
use crate::text::{excerpt, text_traits};

/// Which page of a list is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListQuery {
    /// The most items that the page may hold (`n`). `None`: the registry's default.
    pub page_size: Option<u32>,
    /// The marker behind which the page begins (`last`), exclusive.
    pub last: Option<String>,
}

impl ListQuery {
    pub(crate) fn apply(&self, path: PathBuilder) -> PathBuilder {
        path.query_opt("last", self.last.as_ref())
            .query_opt("n", self.page_size.map(|n| n.to_string()))
    }
}

/// In which order a list of tags or manifests comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ListOrder {
    /// The service's own order: tags by name, byte by byte, manifests by digest.
    #[default]
    None,
    /// The one that changed last comes first.
    LastUpdatedOnDescending,
    /// The one that changed last comes last.
    LastUpdatedOnAscending,
}

impl ListOrder {
    /// Returns the value of `orderby`; nothing is sent for [`ListOrder::None`].
    #[must_use]
    pub fn as_query(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::LastUpdatedOnDescending => Some("timedesc"),
            Self::LastUpdatedOnAscending => Some("timeasc"),
        }
    }

    /// Reads `orderby`. Two of the official SDKs send `none`, and links carry an empty one; what is unknown is not an order.
    #[must_use]
    pub fn from_query(value: &str) -> Self {
        match value {
            "timedesc" => Self::LastUpdatedOnDescending,
            "timeasc" => Self::LastUpdatedOnAscending,
            _ => Self::None,
        }
    }
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the registry's order. May be empty although more pages follow.
    pub items: Vec<T>,
    /// The way to the next page; `None` on the last.
    pub next: Option<PageToken>,
    /// The registry's login server, where the list says it: those of properties do (`registry` on the wire).
    pub registry_login_server: String,
    /// Whether the registry has applied the filter that was asked for. Only lists of referrers say it.
    pub filtered: bool,
}

impl<T> Page<T> {
    /// A page that is the whole list.
    #[must_use]
    pub fn complete(items: Vec<T>) -> Self {
        Self {
            items,
            next: None,
            registry_login_server: String::new(),
            filtered: false,
        }
    }
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self::complete(Vec::new())
    }
}

/// The way to a further page: the target of the `Link` header, verbatim. It can be kept as text and used later.
///
/// It is a URL reference, relative in ACR's responses. Whoever follows an absolute one with credentials must see to it
/// that it stays with the registry.
#[doc(alias = "continuation_token")]
#[doc(alias = "continuationToken")]
#[derive(Clone, PartialEq, Eq)]
pub struct PageToken(Box<str>);

impl PageToken {
    /// Takes the text of a token that was kept.
    ///
    /// # Errors
    /// The text is not a valid URL reference.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidLink> {
        let text = text.as_ref();
        let fail = |reason| InvalidLink {
            text: excerpt(text),
            reason,
        };
        // What no header can carry is refused, too.
        let fits = |b: u8| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'"');
        if text.is_empty() || !text.bytes().all(fits) {
            return Err(fail("it is empty or holds what no URL holds"));
        }
        Ok(Self(text.into()))
    }

    /// The URL reference.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The token as the path and query of a URI, where it is one: neither an absolute URL nor one that names a host
    /// after two slashes, of which the second may be a backslash to who reads it as browsers do.
    #[must_use]
    pub fn path_and_query(&self) -> Option<Uri> {
        if self.0.starts_with('/') && !self.0[1..].starts_with(['/', '\\']) {
            self.0.parse().ok()
        } else {
            None
        }
    }

    /// The value of the `Link` header that leads there, in the service's form.
    #[must_use]
    pub fn to_link(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(format!("<{}>; rel=\"next\"", self.0)).ok()
    }

    /// Reads the way to the next page from the `Link` headers of a response; `None` where there is none.
    ///
    /// # Errors
    /// A `Link` header is malformed.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, DecodeError> {
        for value in headers.get_all(LINK) {
            let fail = |reason: String| DecodeError::header(LINK, value, reason);
            let text = value.to_str().map_err(|error| fail(error.to_string()))?;
            if let Some(target) = next_target(text).map_err(|error| fail(error.to_string()))? {
                return Self::new(target)
                    .map(Some)
                    .map_err(|error| fail(error.to_string()));
            }
        }
        Ok(None)
    }
}

text_traits!(PageToken);

impl FromStr for PageToken {
    type Err = InvalidLink;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for PageToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The text is no `Link` header or no target of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidLink {
    text: String,
    reason: &'static str,
}

impl fmt::Display for InvalidLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a link such as \"</v2/_catalog?last=a&n=1>; rel=\\\"next\\\"\": {}",
            self.text, self.reason
        )
    }
}

impl std::error::Error for InvalidLink {}

/// The target of the link whose relation is `next`, among the links of one header value.
fn next_target(text: &str) -> Result<Option<&str>, InvalidLink> {
    let fail = |reason| InvalidLink {
        text: excerpt(text),
        reason,
    };
    let mut rest = text.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let (target, after) = rest
            .strip_prefix('<')
            .and_then(|rest| rest.split_once('>'))
            .ok_or_else(|| fail("a target is not in angle brackets"))?;
        rest = after;
        let mut is_next = false;
        loop {
            rest = rest.trim_start_matches([' ', '\t']);
            let Some(parameter) = rest.strip_prefix(';') else {
                break;
            };
            let (name, value, after) =
                parameter_of(parameter).ok_or_else(|| fail("a parameter is malformed"))?;
            rest = after;
            is_next |= name.eq_ignore_ascii_case("rel")
                && value
                    .split_ascii_whitespace()
                    .any(|relation| relation.eq_ignore_ascii_case("next"));
        }
        if is_next {
            return Ok(Some(target));
        }
        if !rest.is_empty() && !rest.starts_with(',') {
            return Err(fail("there is no comma between two links"));
        }
        rest = rest.trim_start_matches([' ', '\t', ',']);
    }
    Ok(None)
}

/// `name=value` or `name="value"` (or a bare name), and what follows it.
fn parameter_of(text: &str) -> Option<(&str, &str, &str)> {
    let text = text.trim_start_matches([' ', '\t']);
    let end = text.find(['=', ';', ',']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let Some(value) = rest.strip_prefix('=') else {
        return Some((name.trim(), "", rest));
    };
    let value = value.trim_start_matches([' ', '\t']);
    if let Some(quoted) = value.strip_prefix('"') {
        let (value, rest) = quoted.split_at(end_of_quoted(quoted)?);
        return Some((name.trim(), value, &rest[1..]));
    }
    let end = value.find([';', ',', ' ', '\t']).unwrap_or(value.len());
    let (value, rest) = value.split_at(end);
    Some((name.trim(), value, rest))
}

/// Where the quote is that ends a quoted text; a backslash takes the meaning from the character behind it.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|b| {
        let ends = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(link: &str) -> Result<Option<PageToken>, DecodeError> {
        let mut headers = HeaderMap::new();
        headers.insert(LINK, HeaderValue::from_str(link).unwrap());
        PageToken::from_headers(&headers)
    }

    #[test]
    fn the_service_s_link_is_read_and_written() {
        let link = "</acr/v1/alpine/_manifests?last=sha256%3A01a4&n=1&orderby=>; rel=\"next\"";
        let token = next(link).unwrap().unwrap();
        assert_eq!(
            token,
            "/acr/v1/alpine/_manifests?last=sha256%3A01a4&n=1&orderby="
        );
        assert_eq!(token.to_link().unwrap(), link);
        assert_eq!(
            token.path_and_query().unwrap().path(),
            "/acr/v1/alpine/_manifests"
        );
    }

    #[test]
    fn other_forms_of_links_are_read() {
        for link in [
            "<x>;rel=next",
            "<a>; rel=prev, <x> ; title=\"a, b; c\" ; REL=\"first NEXT\"",
            ", <x>;foo;rel=next,<y>",
            r#"<x>; title="a \"b\" \\"; rel="next""#,
        ] {
            assert_eq!(next(link).unwrap().unwrap(), "x", "{link}");
        }
        assert_eq!(next("<x>; rel=\"prev\"").unwrap(), None);
        assert_eq!(
            next("<https://other.example/v2/_catalog?n=1>; rel=next")
                .unwrap()
                .unwrap()
                .path_and_query(),
            None
        );
        for elsewhere in ["//other.example/v2", "/\\other.example/v2"] {
            let token = PageToken::new(elsewhere).unwrap();
            assert_eq!(token.path_and_query(), None, "{token}");
        }
    }

    #[test]
    fn malformed_links_are_errors_not_ends() {
        for link in [
            "x; rel=next",
            "<x; rel=next",
            "<x>; rel=\"next",
            "<>; rel=next",
            "<a b>; rel=next",
            "<x> <y>; rel=next",
        ] {
            assert!(next(link).is_err(), "{link}");
        }
    }
}
