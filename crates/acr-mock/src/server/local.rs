//! The local port: plain http for this machine. It has the endpoints of managed identities,
//! and is a proxy for production names.
//!
//! What stands here acts without a token of the registry, so that no web page that is open in a browser of this machine
//! may reach it: neither by a name that it makes point here, nor across origins.

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Response, StatusCode, request};

use super::names::is_own_name;
use super::production::METADATA_HOST;
use super::proxy::Proxy;
use super::reserved;
use crate::entra::{IDENTITY_PATH, METADATA_PATH};
use crate::{Body, Registry};

/// What the local port serves.
pub(super) struct Local<S> {
    pub(super) registry: Registry,
    /// What `IDENTITY_HEADER` has.
    pub(super) identity_header: String,
    pub(super) ca_pem: Option<String>,
    /// The further names that this server was given.
    pub(super) hosts: Vec<String>,
    /// There is one where the mock has a production name.
    pub(super) proxy: Option<Proxy<S>>,
}

impl<S> Local<S> {
    /// The response to a request that came in at this address of the machine.
    pub(super) fn response(&self, head: &request::Parts, own: IpAddr) -> Response<Body> {
        if let (Some(proxy), Some(named)) = (&self.proxy, head.uri.authority())
            && !self.is_own(named.host(), own)
        {
            return self.forwarded(proxy, head, named, own);
        }
        if !self.may_come(head, own) {
            return reserved::plain(StatusCode::FORBIDDEN, FOREIGN);
        }
        let path = head.uri.path();
        match path.strip_suffix('/').unwrap_or(path) {
            IDENTITY_PATH => self
                .registry
                .entra()
                .app_service(head, &self.identity_header),
            METADATA_PATH => self.registry.entra().metadata(head),
            _ if path.starts_with(reserved::PREFIX) => {
                reserved::response(&head.method, path, self.ca_pem.as_deref())
            }
            _ => reserved::plain(StatusCode::NOT_FOUND, NO_SUCH_PATH),
        }
    }

    /// The response to a request that is meant for another host, as a proxy gets it.
    fn forwarded(
        &self,
        proxy: &Proxy<S>,
        head: &request::Parts,
        named: &Authority,
        own: IpAddr,
    ) -> Response<Body> {
        if !self.is_own_origin(&head.headers, own) {
            return reserved::plain(StatusCode::FORBIDDEN, FOREIGN);
        }
        let is_metadata = head.uri.scheme() == Some(&Scheme::HTTP)
            && (named == METADATA_HOST || named == format!("{METADATA_HOST}:80").as_str());
        if !is_metadata {
            return proxy.refusal(named.as_str());
        }
        let path = head.uri.path();
        match path.strip_suffix('/').unwrap_or(path) {
            METADATA_PATH => self.registry.entra().metadata(head),
            _ => reserved::plain(StatusCode::NOT_FOUND, NO_SUCH_PATH),
        }
    }

    /// Whether no browser has been talked into this request.
    fn may_come(&self, head: &request::Parts, own: IpAddr) -> bool {
        let mut hosts = head.headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return false;
        };
        let host = host
            .to_str()
            .ok()
            .and_then(|host| host.parse::<Authority>().ok());
        let named = head
            .uri
            .authority()
            .cloned()
            .into_iter()
            .chain(host.clone());
        host.is_some()
            && named.into_iter().all(|name| self.is_own(name.host(), own))
            && self.is_own_origin(&head.headers, own)
    }

    fn is_own_origin(&self, headers: &HeaderMap, own: IpAddr) -> bool {
        headers.get_all(ORIGIN).iter().all(|origin| {
            let origin = origin
                .to_str()
                .ok()
                .and_then(|origin| origin.parse::<http::Uri>().ok());
            origin.is_some_and(|origin| origin.host().is_some_and(|host| self.is_own(host, own)))
        })
    }

    /// Whether this is a name of the machine that nobody else can make mean it.
    fn is_own(&self, host: &str, own: IpAddr) -> bool {
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            return address.to_canonical().is_loopback()
                || address.to_canonical() == own.to_canonical();
        }
        is_own_name(host, &self.hosts)
    }
}

const FOREIGN: &str = "this port serves this machine alone: come by localhost, by an address of it, or by a name given with \
    --host NAME, and not from a web page of elsewhere\n";
const NO_SUCH_PATH: &str = "this port has no such path: the registry has a port of its own\n";

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http::Request;

    use super::*;

    fn local() -> Local<()> {
        Local {
            registry: Registry::new(),
            identity_header: "secret".to_owned(),
            ca_pem: None,
            hosts: vec!["acr".to_owned()],
            proxy: None,
        }
    }

    /// The status of a request for the health of the mock with these headers.
    fn status(target: &str, headers: &[(&str, &str)]) -> StatusCode {
        let mut request = Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let head = request.body(()).unwrap().into_parts().0;
        local()
            .response(&head, Ipv4Addr::new(192, 0, 2, 7).into())
            .status()
    }

    #[test]
    fn no_web_page_reaches_the_local_port() {
        let health = "/_mock/health";
        for (host, origin, is_let_in) in [
            ("127.0.0.1:5000", None, true),
            ("localhost", None, true),
            ("LOCALHOST.:80", None, true),
            ("mock.localhost", None, true),
            ("[::1]:5000", None, true),
            ("[::ffff:127.0.0.1]:5000", None, true),
            ("192.0.2.7:5000", None, true),
            ("acr:5000", None, true),
            ("192.0.2.8:5000", None, false),
            ("evil.example", None, false),
            ("localhost.evil.example", None, false),
            ("127.0.0.1.evil.example", None, false),
            ("a b", None, false),
            ("127.0.0.1", Some("http://localhost:5000"), true),
            ("127.0.0.1", Some("http://acr"), true),
            ("127.0.0.1", Some("http://evil.example"), false),
            ("127.0.0.1", Some("null"), false),
            ("127.0.0.1", Some(""), false),
        ] {
            let mut headers = vec![("host", host)];
            headers.extend(origin.map(|origin| ("origin", origin)));
            let expected = if is_let_in {
                StatusCode::OK
            } else {
                StatusCode::FORBIDDEN
            };
            assert_eq!(status(health, &headers), expected, "{host} {origin:?}");
        }
        for hosts in [&[][..], &[("host", "localhost"), ("host", "localhost")]] {
            assert_eq!(status(health, hosts), StatusCode::FORBIDDEN);
        }
        let absolute = "http://evil.example/_mock/health";
        assert_eq!(
            status(absolute, &[("host", "localhost")]),
            StatusCode::FORBIDDEN
        );
    }

    #[test]
    fn the_registry_is_not_served_there() {
        for path in ["/v2/", "/acr/v1/_catalog", "/oauth2/token", "/"] {
            assert_eq!(
                status(path, &[("host", "localhost")]),
                StatusCode::NOT_FOUND
            );
        }
    }
}
