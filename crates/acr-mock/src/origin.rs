//! Where a request came in, and where its client finds the data origin.

use std::net::IpAddr;
use std::sync::Arc;

use http::uri::Scheme;

/// The two origins of the registry, as one client sees them: a request extension. A cheap clone.
///
/// A server inserts it into each request before [`Registry::handle`](crate::Registry::handle), because a request
/// over TCP names its authority only in `Host`, and only the server knows on which port the data origin listens.
/// A request without it (in process) is known by its own URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(Arc<Parts>);

#[derive(Debug, PartialEq, Eq)]
struct Parts {
    scheme: Scheme,
    authority: String,
    data_authority: String,
}

impl Origin {
    /// Both origins share a scheme; an authority is `host` or `host:port`, as in a URL.
    #[must_use]
    pub fn new(
        scheme: Scheme,
        authority: impl Into<String>,
        data_authority: impl Into<String>,
    ) -> Self {
        Self(Arc::new(Parts {
            scheme,
            authority: authority.into(),
            data_authority: data_authority.into(),
        }))
    }

    /// The scheme by which the client came: `https` or `http`.
    #[must_use]
    pub fn scheme(&self) -> &Scheme {
        &self.0.scheme
    }

    /// The authority by which the client came, as it wrote it: what realms and login servers are made of.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.0.authority
    }

    /// The authority of the data origin, in a form that this client can reach.
    #[must_use]
    pub fn data_authority(&self) -> &str {
        &self.0.data_authority
    }

    /// The base of the registry's URLs, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}://{}", self.0.scheme, self.0.authority)
    }

    /// The base of the data origin's URLs, without a slash at the end.
    #[must_use]
    pub fn data_base_url(&self) -> String {
        format!("{}://{}", self.0.scheme, self.0.data_authority)
    }
}

/// The address that a request came from: a request extension.
///
/// A server inserts it into each request before [`Registry::handle`](crate::Registry::handle). A request without it (in process) came from 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(
    /// The address; an IPv4 address that is written as IPv6 is taken for what it is.
    pub IpAddr,
);
