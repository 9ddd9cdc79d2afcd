use std::error::Error as StdError;
use std::fmt;

use http::uri::Scheme;
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

/// Where a proxy is, and who it is told to be asked by.
#[derive(Clone)]
pub(super) struct Proxy {
    /// Scheme, host and port alone.
    uri: Uri,
    authorization: Option<HeaderValue>,
}

impl Proxy {
    /// Reads `http://user:password@host:port` and less: the scheme is `http` and the port the scheme's unless said
    /// otherwise. Any character may stand in a user name or password that cannot end them.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidProxy> {
        let with_scheme = match text.contains("://") {
            true => text.to_owned(),
            false => format!("http://{text}"),
        };
        // What is before such a character in a password would be taken for a port, and shown as one.
        let after_scheme = with_scheme.split_once("://").map_or("", |(_, rest)| rest);
        let end = after_scheme.find(['/', '\\', '?', '#']);
        if end.is_some_and(|end| after_scheme[end..].contains('@')) {
            return Err(InvalidProxy(Reason::Unescaped));
        }
        let url =
            Url::parse(&with_scheme).map_err(|error| InvalidProxy(Reason::Malformed(error)))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidProxy(Reason::Scheme(url.scheme().to_owned())));
        }
        // The matcher knows how credentials become a header.
        let any = Matcher::builder().all(url.as_str()).build();
        let intercept = any
            .intercept(&Uri::from_static("https://registry.example"))
            .ok_or(InvalidProxy(Reason::Host))?;
        Ok(Self {
            uri: intercept.uri().clone(),
            authorization: intercept.basic_auth().cloned(),
        })
    }

    pub(super) const fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(super) fn is_https(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    /// The value of `Proxy-Authorization`, for the proxy alone.
    pub(super) const fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }
}

impl fmt::Display for Proxy {
    /// Scheme, host and port, without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self
            .uri
            .authority()
            .map_or("", |authority| authority.as_str());
        write!(
            f,
            "{}://{authority}",
            self.uri.scheme_str().unwrap_or("http")
        )
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A proxy's URL is of no use. The text never shows the URL, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidProxy(Reason);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    Malformed(url::ParseError),
    Host,
    Scheme(String),
    Unescaped,
}

impl fmt::Display for InvalidProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the proxy's URL is of no use: ")?;
        match &self.0 {
            Reason::Malformed(error) => {
                write!(f, "{error}; it has the form http://user:password@host:port")
            }
            Reason::Host => f.write_str("its host has a character that no host has"),
            Reason::Scheme(scheme) => {
                write!(
                    f,
                    "proxies are spoken to by http and https, not by {scheme}"
                )
            }
            Reason::Unescaped => f.write_str(
                "its user name or password has a character that must be percent-encoded there, \
                 one of / \\ ? #",
            ),
        }
    }
}

impl StdError for InvalidProxy {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_name_and_password_become_a_header_as_they_are_meant() {
        // The words were encoded with other software.
        for (url, expected) in [
            (
                "http://Aladdin:open%20sesame@p:1",
                Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ),
            (
                "Aladdin:open sesame@p:1",
                Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ),
            ("http://u:p@ss@p:1", Some("Basic dTpwQHNz")),
            ("http://u@p:1", Some("Basic dTo=")),
            ("http://p:1", None),
        ] {
            let proxy = Proxy::parse(url).unwrap();
            let header = proxy.authorization();
            assert_eq!(header.map(|value| value.to_str().unwrap()), expected);
            assert!(header.is_none_or(HeaderValue::is_sensitive));
            assert_eq!(
                format!("{proxy:?} {}", proxy.uri()),
                "http://p:1 http://p:1/"
            );
        }
    }
}
