//! [`RequestContext`]: one request, as the handlers see it.

use std::sync::OnceLock;

use acr_protocol::{RepositoryName, Timestamp};
use http::uri::Scheme;
use http::{HeaderMap, Method, Uri, header, request};

use crate::random::Ids;
use crate::registry::{DEFAULT_AUTHORITY, Registry};
use crate::{ClientAddress, Origin};

/// The head of a request, where it came in, and at what time.
#[derive(Debug)]
pub(crate) struct RequestContext {
    registry: Registry,
    head: request::Parts,
    /// Where a server received it, or what it says itself, which is read when it is asked for.
    origin: OnceLock<Origin>,
    address: Option<ClientAddress>,
    repository: Option<RepositoryName>,
    now: Timestamp,
}

impl RequestContext {
    /// A request, and how it came in, unless its extensions say that.
    pub(crate) fn new(
        registry: &Registry,
        head: request::Parts,
        came: Option<(Origin, ClientAddress)>,
    ) -> Self {
        let (origin, address) = match came {
            Some((origin, address)) => (Some(origin), Some(address)),
            None => {
                let told = &head.extensions;
                (told.get::<Origin>().cloned(), told.get().copied())
            }
        };
        Self {
            registry: registry.clone(),
            head,
            origin: origin.map_or_else(OnceLock::new, OnceLock::from),
            address,
            repository: None,
            now: registry.now(),
        }
    }

    /// Notes the repository in the path, which comes first where several are named.
    pub(crate) fn set_repository(&mut self, repository: Option<&RepositoryName>) {
        self.repository = repository.cloned();
    }

    pub(crate) fn head(&self) -> &request::Parts {
        &self.head
    }

    pub(crate) fn method(&self) -> &Method {
        &self.head.method
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.head.uri
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// Makes it a request for the whole content.
    pub(crate) fn ignore_range(&mut self) {
        self.head.headers.remove(header::RANGE);
    }

    pub(crate) fn origin(&self) -> &Origin {
        self.origin.get_or_init(|| origin_in_process(&self.head))
    }

    /// The address that it came from, if that is known.
    pub(crate) fn address(&self) -> Option<ClientAddress> {
        self.address
    }

    /// What the ids in its response are taken from.
    pub(crate) fn ids(&self) -> &Ids {
        self.registry.ids()
    }

    /// The name that the registry gives itself in the response to this request.
    pub(crate) fn login_server(&self) -> &str {
        let named = self.registry.settings().login_server.as_deref();
        named.unwrap_or_else(|| self.origin().authority())
    }

    pub(crate) fn repository(&self) -> Option<&RepositoryName> {
        self.repository.as_ref()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }
}

/// A request that came through no server names its origin in its URI, or in `Host`. The data origin has another host
/// name, which nobody can own, so that a request that escapes the mock reaches nothing.
fn origin_in_process(head: &request::Parts) -> Origin {
    let host = head
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let authority = head
        .uri
        .authority()
        .map(|authority| authority.as_str())
        .or(host)
        .unwrap_or(DEFAULT_AUTHORITY);
    let scheme = head.uri.scheme().cloned().unwrap_or(Scheme::HTTPS);
    let data_authority = format!(
        "{}.data.invalid",
        authority.split(['.', ':']).next().unwrap_or("mock")
    );
    Origin::new(scheme, authority, data_authority)
}
