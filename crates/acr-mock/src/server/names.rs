//! The host names of a server: which one the client came by, and by which it reaches the data origin.
//!
//! The two origins must differ in their host, not only in the port: Go's client keeps `Authorization` on a
//! redirect to the same host name, and the data origin refuses a request that carries it.

use std::net::IpAddr;

use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Uri};

use crate::Origin;

#[derive(Debug)]
pub(super) struct Names {
    pub(super) scheme: Scheme,
    /// The registry's authority for a client that names none (HTTP/1.0).
    pub(super) authority: String,
    pub(super) data_port: u16,
    /// The further names this server was given.
    pub(super) hosts: Vec<String>,
}

impl Names {
    /// The origins as the sender of this request sees them; `None` if it does not name its host properly.
    pub(super) fn origin(&self, uri: &Uri, headers: &HeaderMap) -> Option<Origin> {
        let authority = match uri.authority() {
            // The absolute form, as sent to a proxy, outranks the header.
            Some(authority) => authority.clone(),
            None => {
                let mut hosts = headers.get_all(HOST).iter();
                match (hosts.next(), hosts.next()) {
                    (None, _) => self.authority.parse().ok()?,
                    (Some(host), None) => host.to_str().ok()?.parse().ok()?,
                    (Some(_), Some(_)) => return None,
                }
            }
        };
        self.origin_at(&authority)
    }

    /// The origins for a client that came by `authority`.
    pub(super) fn origin_at(&self, authority: &Authority) -> Option<Origin> {
        let host = authority.host();
        if host.is_empty() || authority.as_str().contains('@') {
            return None;
        }
        let data_authority = format!("{}:{}", self.data_host(host), self.data_port);
        Some(Origin::new(
            self.scheme.clone(),
            authority.as_str(),
            data_authority,
        ))
    }

    /// The data origin's host for a client that reached the registry as `host`.
    ///
    /// `localhost` for one that came by a loopback address, `127.0.0.1` for one that came by `localhost`. Who came by
    /// a name this server was given gets another of those names. Else it is the same host again: the only one known
    /// to be reachable from where the client is.
    fn data_host<'a>(&'a self, host: &'a str) -> &'a str {
        if host.eq_ignore_ascii_case("localhost") {
            return "127.0.0.1";
        }
        if host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
        {
            return "localhost";
        }
        let known = |name: &String| name.eq_ignore_ascii_case(host);
        if !self.hosts.iter().any(known) {
            return host;
        }
        self.hosts
            .iter()
            .find(|name| !known(name))
            .map_or(host, String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn names(hosts: &[&str]) -> Names {
        Names {
            scheme: Scheme::HTTPS,
            authority: "127.0.0.1:5000".to_owned(),
            data_port: 6000,
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
        }
    }

    fn headers(hosts: &[&str]) -> HeaderMap {
        hosts
            .iter()
            .map(|host| (HOST, HeaderValue::from_str(host).unwrap()))
            .collect()
    }

    #[test]
    fn the_data_origin_has_another_host_than_the_one_the_client_came_by() {
        let cases = [
            ("127.0.0.1:5000", "localhost:6000"),
            ("127.1.2.3:5000", "localhost:6000"),
            ("[::1]:5000", "localhost:6000"),
            ("localhost:5000", "127.0.0.1:6000"),
            ("LocalHost", "127.0.0.1:6000"),
            ("acr:5000", "acr-data:6000"),
            ("ACR", "acr-data:6000"),
            ("acr-data:5000", "acr:6000"),
        ];
        for (host, data) in cases {
            let origin = names(&["acr", "acr-data"])
                .origin(&Uri::from_static("/v2/"), &headers(&[host]))
                .unwrap();
            assert_eq!((origin.authority(), origin.data_authority()), (host, data));
            assert_eq!(origin.base_url(), format!("https://{host}"));
            assert_eq!(origin.data_base_url(), format!("https://{data}"));
        }
    }

    #[test]
    fn a_lone_or_unknown_name_is_kept_because_it_is_reachable() {
        for (hosts, host, data) in [
            (&["acr"][..], "acr:5000", "acr:6000"),
            (&["acr"], "registry.lan:5000", "registry.lan:6000"),
            (&[], "192.0.2.7:5000", "192.0.2.7:6000"),
            (&[], "[2001:db8::7]:5000", "[2001:db8::7]:6000"),
        ] {
            let origin = names(hosts)
                .origin(&Uri::from_static("/v2/"), &headers(&[host]))
                .unwrap();
            assert_eq!(origin.data_authority(), data);
        }
    }

    #[test]
    fn a_mapped_port_is_kept_in_the_authority() {
        let origin = names(&[])
            .origin(&Uri::from_static("/v2/"), &headers(&["127.0.0.1:32768"]))
            .unwrap();
        assert_eq!(origin.authority(), "127.0.0.1:32768");
    }

    #[test]
    fn the_absolute_form_outranks_the_header_and_its_absence_means_the_endpoint() {
        let absolute = Uri::from_static("https://localhost:5000/v2/");
        assert_eq!(
            names(&[])
                .origin(&absolute, &headers(&["127.0.0.1:1"]))
                .unwrap()
                .authority(),
            "localhost:5000"
        );
        let none = names(&[])
            .origin(&Uri::from_static("/v2/"), &headers(&[]))
            .unwrap();
        assert_eq!(none.authority(), "127.0.0.1:5000");
    }

    #[test]
    fn a_malformed_or_doubled_host_is_refused() {
        for hosts in [
            &["a b"][..],
            &["user@127.0.0.1"],
            &["x\"y"],
            &[""],
            &[":80"],
            &["a/b"],
            &["one", "two"],
        ] {
            assert_eq!(
                names(&[]).origin(&Uri::from_static("/v2/"), &headers(hosts)),
                None,
                "{hosts:?}"
            );
        }
    }
}
