//! Where the registry is, whether another URL is there too, and how a URL is resolved and shown: only here
//! [`Url`] and [`Uri`] become each other.

use std::fmt;

use http::Uri;
use http::uri::PathAndQuery;
use url::Url;

use crate::error::Error;

/// The origin of the registry: scheme, host and port.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Endpoint(Url);

impl Endpoint {
    /// Reads `https://name.azurecr.io`; without a scheme it is `https`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let fail = |reason: &str| {
            // A password in the user part is left out of the error.
            let shown = text.rsplit_once('@').map_or(text, |(_, rest)| rest);
            Error::invalid(format!(
                "{shown:?} is not an endpoint such as \"https://name.azurecr.io\": {reason}"
            ))
        };
        let text = text.trim();
        let url = if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("https://{text}"))
        };
        let url = url.map_err(|error| fail(&error.to_string()))?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(fail("the scheme is neither https nor http"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(fail("there is no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(fail("it holds a user; give a credential instead"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(fail(
                "there is something behind the host; repositories are named later",
            ));
        }
        Ok(Self(url))
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    pub(crate) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The host with the port, if it is not the scheme's own: the name of the token service.
    pub(crate) fn authority(&self) -> String {
        let host = self.host();
        self.0
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The URL of a path and query on the registry, which is kept to the letter.
    pub(crate) fn absolute(&self, path_and_query: &Uri) -> Result<Uri, Error> {
        let mut parts = path_and_query.clone().into_parts();
        parts.scheme = self.0.scheme().parse().ok();
        parts.authority = self.authority().parse().ok();
        Uri::from_parts(parts)
            .map_err(|error| Error::invalid("the request has no valid URL").with_source(error))
    }

    /// Whether a URL is on the registry, so that credentials may go there.
    pub(crate) fn is_origin_of(&self, url: &Uri) -> bool {
        Url::parse(&url.to_string()).is_ok_and(|url| self.0.origin() == url.origin())
    }

    /// Resolves a URL that a response named, such as the next page, and refuses one that leads away
    /// from the registry. Returns its path and query.
    pub(crate) fn own_path(&self, base: &Uri, header: &str, target: &str) -> Result<Uri, Error> {
        let url = resolve(base, header, target)?;
        if !self.is_origin_of(&url) {
            return Err(Error::protocol(format!(
                "the response's header {header} leads away from the registry, to {}; refused",
                origin_text(&url)
            )));
        }
        let path = url.into_parts().path_and_query;
        Ok(path
            .unwrap_or_else(|| PathAndQuery::from_static("/"))
            .into())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.authority())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads an absolute URL that a server named. The reasons do not repeat it, because it may hold a signature.
pub(crate) fn absolute(text: &str) -> Result<Uri, String> {
    checked(Url::parse(text))
}

/// Resolves what a header names, such as `Location`, against the URL of the request.
pub(crate) fn resolve(base: &Uri, header: &str, reference: &str) -> Result<Uri, Error> {
    let base = Url::parse(&base.to_string());
    checked(base.and_then(|base| base.join(reference))).map_err(|reason| {
        Error::protocol(format!(
            "the response's header {header} is not a usable URL: {reason}"
        ))
    })
}

fn checked(url: Result<Url, url::ParseError>) -> Result<Uri, String> {
    let mut url = url.map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err("the scheme is neither https nor http".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds a user".to_owned());
    }
    url.set_fragment(None);
    Uri::try_from(url.as_str()).map_err(|error| error.to_string())
}

/// The origin of a URL, for messages.
pub(crate) fn origin_text(url: &Uri) -> String {
    let (scheme, host) = (url.scheme_str().unwrap_or_default(), url.host());
    let port = url.port().map(|port| format!(":{port}"));
    format!(
        "{scheme}://{}{}",
        host.unwrap_or_default(),
        port.unwrap_or_default()
    )
}

/// A URL for a person to read: without the query, which may hold signatures and tokens.
pub(crate) struct WithoutQuery<'a>(pub(crate) &'a Uri);

impl fmt::Display for WithoutQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.host().is_some() {
            f.write_str(&origin_text(self.0))?;
        }
        f.write_str(self.0.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn an_endpoint_is_an_origin_with_https_unless_it_says_otherwise() {
        for (text, shown) in [
            ("https://name.azurecr.io", "https://name.azurecr.io"),
            ("https://NAME.azurecr.io/", "https://name.azurecr.io"),
            ("name.azurecr.io", "https://name.azurecr.io"),
            ("localhost:5000", "https://localhost:5000"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
            ("https://[::1]:5000", "https://[::1]:5000"),
            (" https://name.azurecr.io:443 ", "https://name.azurecr.io"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn anything_but_an_origin_is_refused() {
        for text in [
            "",
            "https://",
            "ftp://name.azurecr.io",
            "https://name.azurecr.io/v2/",
            "name.azurecr.io/app:v1",
            "https://name.azurecr.io?x=1",
            "https://user:hunter2@name.azurecr.io",
            "https://a b",
        ] {
            let error = Endpoint::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_path_is_kept_to_the_letter() {
        let endpoint = Endpoint::parse("https://r.example:8443").unwrap();
        let path = Uri::from_static("/v2/a%2Fb//c/sha256:0?x=%2F&y");
        let url = endpoint.absolute(&path).unwrap();
        assert_eq!(url, "https://r.example:8443/v2/a%2Fb//c/sha256:0?x=%2F&y");
    }

    #[test]
    fn a_reference_is_resolved_against_the_request() {
        let base = Uri::from_static("https://r.example/v2/a/blobs/uploads/");
        let endpoint = Endpoint::parse("r.example").unwrap();
        for (reference, expected, own) in [
            ("/v2/a/b?x=%3D&y", "https://r.example/v2/a/b?x=%3D&y", true),
            ("id", "https://r.example/v2/a/blobs/uploads/id", true),
            ("?x", "https://r.example/v2/a/blobs/uploads/?x", true),
            ("https://r.example:443/x#y", "https://r.example/x", true),
            ("https://r.example:444/", "https://r.example:444/", false),
            ("http://r.example/", "http://r.example/", false),
            ("//evil.example/x", "https://evil.example/x", false),
        ] {
            let url = resolve(&base, "location", reference).unwrap();
            assert_eq!(url, expected);
            assert_eq!(endpoint.is_origin_of(&url), own, "{reference}");
        }
    }

    #[test]
    fn an_unusable_reference_is_refused_without_being_repeated() {
        let base = Uri::from_static("https://r.example/");
        for reference in [
            "ftp://x/?sig=1",
            "https://u:sig@x/",
            "https://a b/?sig=1",
            "data:sig",
        ] {
            let error = resolve(&base, "location", reference).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol);
            assert!(!error.to_string().contains("sig"), "{error}");
        }
    }
}
