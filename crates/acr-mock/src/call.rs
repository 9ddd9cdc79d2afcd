//! [`Call`]: one request, as the handlers see it.

use acr_protocol::{RepositoryName, Timestamp};
use http::uri::Scheme;
use http::{HeaderMap, Method, Uri, header, request};

use crate::Origin;

/// The head of a request, where it came in, and at what time.
#[derive(Debug)]
pub(crate) struct Call {
    head: request::Parts,
    origin: Origin,
    login_server: String,
    repository: Option<RepositoryName>,
    now: Timestamp,
}

impl Call {
    pub(crate) fn new(head: request::Parts, login_server: Option<&str>, now: Timestamp) -> Self {
        let origin = match head.extensions.get::<Origin>() {
            Some(origin) => origin.clone(),
            None => origin_in_process(&head),
        };
        let login_server = login_server.unwrap_or(origin.authority()).to_owned();
        Self {
            head,
            origin,
            login_server,
            repository: None,
            now,
        }
    }

    /// Notes the repository in the path, which comes first where several are named.
    pub(crate) fn within(&mut self, repository: Option<&RepositoryName>) {
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

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The name that the registry gives itself in the answer to this request.
    pub(crate) fn login_server(&self) -> &str {
        &self.login_server
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

const DEFAULT_AUTHORITY: &str = "mock.azurecr.io";
