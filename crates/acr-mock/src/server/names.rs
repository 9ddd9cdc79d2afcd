//! The host names of a server: which one the client came by, and by which it reaches the data origin.
//!
//! The two origins must differ in their host, not only in the port: Go's client keeps `Authorization` on a
//! redirect to the same host name, and the data origin refuses a request that carries it.

use std::net::IpAddr;

use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Uri, Version};

use crate::Origin;

/// Why a request is not for this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostError {
    /// It does not name its host, or not properly.
    Malformed,
    /// Over plain http it came by a name that this server was not given. A name can be made to mean this machine by
    /// whoever owns it, so that a web page from there could drive the registry; over TLS the certificate is in the way.
    Unknown,
    /// The connection was opened to another host.
    Another,
}

/// Whether this is a name of the machine that nobody else can make mean it: `localhost`, or one that the server was given.
pub(super) fn is_own_name(host: &str, given: &[String]) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_given = |given: &String| given.eq_ignore_ascii_case(&name);
    name == "localhost" || name.ends_with(".localhost") || given.iter().any(is_given)
}

#[derive(Debug)]
pub(super) struct Names {
    pub(super) scheme: Scheme,
    /// The registry's authority for a client that names none (HTTP/1.0).
    pub(super) authority: String,
    pub(super) data_port: u16,
    /// The further names this server was given.
    pub(super) hosts: Vec<String>,
    /// The one name that clients come by, where it is known.
    pub(super) only: Option<Origin>,
}

impl Names {
    /// The same for another port of the server, which has no data origin.
    pub(super) fn at(&self, authority: String) -> Self {
        Self {
            scheme: self.scheme.clone(),
            authority,
            data_port: self.data_port,
            hosts: self.hosts.clone(),
            only: None,
        }
    }

    /// The same for who opened a connection to a production name.
    pub(super) fn only(&self, host: &str, data_host: &str) -> Self {
        Self {
            only: Some(Origin::new(Scheme::HTTPS, host, data_host)),
            ..self.at(host.to_owned())
        }
    }

    /// The origins as the sender of this request sees them.
    pub(super) fn origin(
        &self,
        uri: &Uri,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<Origin, HostError> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (None, _) if version < Version::HTTP_11 => None,
            (Some(host), None) => Some(
                host.to_str()
                    .ok()
                    .and_then(|host| host.parse::<Authority>().ok())
                    .ok_or(HostError::Malformed)?,
            ),
            _ => return Err(HostError::Malformed),
        };
        // The absolute form, as sent to a proxy, outranks the header; but neither may be a name of another's.
        let named = uri.authority().into_iter().chain(&host);
        if named.clone().any(|authority| !self.may_come_by(authority)) {
            return Err(HostError::Unknown);
        }
        if let Some(only) = &self.only {
            let mut named = named;
            if named.clone().any(|named| self.origin_at(named).is_none()) {
                return Err(HostError::Malformed);
            }
            let is_it = named.all(|named| is_at(named, only.authority()));
            return is_it.then(|| only.clone()).ok_or(HostError::Another);
        }
        let origin = match named.into_iter().next() {
            Some(authority) => self.origin_at(authority),
            None => self
                .authority
                .parse()
                .ok()
                .and_then(|authority| self.origin_at(&authority)),
        };
        origin.ok_or(HostError::Malformed)
    }

    /// Whether a client may come by this name: addresses and this machine's own names cannot be made to mean another.
    fn may_come_by(&self, authority: &Authority) -> bool {
        let host = authority.host();
        self.scheme != Scheme::HTTP
            || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
            || is_own_name(host, &self.hosts)
    }

    /// The origins for a client that came by `authority`.
    pub(super) fn origin_at(&self, authority: &Authority) -> Option<Origin> {
        let host = authority.host();
        if host.is_empty() || authority.as_str().contains('@') {
            return None;
        }
        // What stands behind the host is not looked at by who took it for an authority.
        let port = authority.as_str().strip_prefix(host)?;
        let is_port = |port: &str| {
            port.bytes().all(|byte| byte.is_ascii_digit())
                && (port.is_empty() || port.parse::<u16>().is_ok())
        };
        if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
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

/// Whether this is the host at its usual port.
fn is_at(named: &Authority, host: &str) -> bool {
    let name = named.host();
    let name = name.strip_suffix('.').unwrap_or(name);
    name.eq_ignore_ascii_case(host) && named.port_u16().is_none_or(|port| port == HTTPS)
}

const HTTPS: u16 = 443;

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
            only: None,
        }
    }

    fn headers(hosts: &[&str]) -> HeaderMap {
        hosts
            .iter()
            .map(|host| (HOST, HeaderValue::from_str(host).unwrap()))
            .collect()
    }

    /// The origins for a request of HTTP/1.1 that names these hosts.
    fn origin(names: &Names, target: &str, hosts: &[&str]) -> Result<Origin, HostError> {
        names.origin(&target.parse().unwrap(), Version::HTTP_11, &headers(hosts))
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
            let origin = origin(&names(&["acr", "acr-data"]), "/v2/", &[host]).unwrap();
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
            let origin = origin(&names(hosts), "/v2/", &[host]).unwrap();
            assert_eq!(origin.data_authority(), data);
        }
    }

    #[test]
    fn a_mapped_port_is_kept_in_the_authority() {
        let origin = origin(&names(&[]), "/v2/", &["127.0.0.1:32768"]).unwrap();
        assert_eq!(origin.authority(), "127.0.0.1:32768");
    }

    #[test]
    fn the_absolute_form_outranks_the_header_and_its_absence_means_the_endpoint_before_http_1_1() {
        let absolute = "https://localhost:5000/v2/";
        let both = origin(&names(&[]), absolute, &["127.0.0.1:1"]).unwrap();
        assert_eq!(both.authority(), "localhost:5000");
        let none = names(&[])
            .origin(&Uri::from_static("/v2/"), Version::HTTP_10, &headers(&[]))
            .unwrap();
        assert_eq!(none.authority(), "127.0.0.1:5000");
    }

    #[test]
    fn a_malformed_doubled_or_missing_host_is_refused_whatever_the_target_says() {
        for target in ["/v2/", "https://localhost:5000/v2/"] {
            for hosts in [
                &["a b"][..],
                &["x\"y"],
                &[""],
                &["a/b"],
                &["one", "two"],
                &["one", "one"],
                &[],
            ] {
                let refused = origin(&names(&[]), target, hosts);
                assert_eq!(refused, Err(HostError::Malformed), "{target} {hosts:?}");
            }
        }
        for host in [
            "user@127.0.0.1",
            ":80",
            "127.0.0.1:x",
            "127.0.0.1:65536",
            "127.0.0.1:+1",
            "[::1]evil",
        ] {
            let refused = origin(&names(&[]), "/v2/", &[host]);
            assert_eq!(refused, Err(HostError::Malformed), "{host}");
        }
    }

    #[test]
    fn a_name_that_somebody_else_owns_is_unknown_over_plain_http_alone() {
        let plain = Names {
            scheme: Scheme::HTTP,
            ..names(&["acr", "Acr-Data.example"])
        };
        let own = [
            "127.0.0.1",
            "127.8.8.8:1",
            "[::1]:80",
            "192.0.2.7:5000",
            "[2001:db8::7]",
            "localhost:5000",
            "LOCALHOST.",
            "registry.localhost:1",
            "ACR:5000",
            "acr-data.example.:443",
        ];
        let foreign = [
            "evil.example",
            "evil.example:5000",
            "notlocalhost",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "acr.evil.example",
            "0x7f.1",
            "2130706433",
            "127.1",
            "acr-data",
        ];
        let origin =
            |names: &Names, target: &str, host: &str| origin(names, target, &[host]).map(drop);
        for host in own {
            assert_eq!(origin(&plain, "/v2/", host), Ok(()), "{host}");
        }
        for host in foreign {
            let unknown = Err(HostError::Unknown);
            assert_eq!(origin(&plain, "/v2/", host), unknown, "{host}");
            let absolute = format!("http://{host}/v2/");
            assert_eq!(origin(&plain, &absolute, "127.0.0.1"), unknown, "{host}");
            let own = "http://127.0.0.1/v2/";
            assert_eq!(origin(&plain, own, host), unknown, "{host}");
            let tls = names(&["acr", "Acr-Data.example"]);
            assert_eq!(origin(&tls, "/v2/", host), Ok(()), "{host}");
        }
    }
}
