//! Which requests go through a proxy, and through which.

use std::error::Error as StdError;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use super::proxy::{InvalidProxy, Proxy};

/// The rules of one transport. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct ProxyRules(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    http: Choice,
    https: Choice,
    no_proxy: NoProxy,
    /// Whether this machine's own addresses are reached directly.
    spare_loopback: bool,
}

type Choice = Option<Result<Proxy, InvalidVariable>>;

impl ProxyRules {
    /// All requests go through one proxy, but for those to hosts in `no_proxy`.
    pub(super) fn all(proxy: Proxy, no_proxy: &str) -> Self {
        Self(Arc::new(Rules {
            http: Some(Ok(proxy.clone())),
            https: Some(Ok(proxy)),
            no_proxy: NoProxy::new(no_proxy),
            spare_loopback: false,
        }))
    }

    /// All requests go directly.
    pub(super) fn none() -> Self {
        Self(Arc::new(Rules {
            http: None,
            https: None,
            no_proxy: NoProxy::new(""),
            spare_loopback: false,
        }))
    }

    /// What the variables say, as hyper-util's matcher reads them, but for two things: a value that is of
    /// no use is an error where it is meant to be used, and this machine is not looked for behind a proxy.
    pub(super) fn from_lookup(
        lookup: impl Fn(&str) -> Option<String>,
        no_proxy: Option<&str>,
    ) -> Self {
        // Run by a web server (CGI), where HTTP_PROXY is what a request's header `Proxy` says.
        if lookup("REQUEST_METHOD").is_some() {
            return Self::none();
        }
        let first = |names: [&'static str; 2]| {
            names
                .into_iter()
                .find_map(|name| Some((name, lookup(name)?)))
        };
        let choice = |names| {
            let (variable, value) = first(names).filter(|(_, value)| !value.is_empty())?;
            Some(Proxy::parse(&value).map_err(|reason| InvalidVariable { variable, reason }))
        };
        let all = choice(["ALL_PROXY", "all_proxy"]);
        let from_variable = || first(["NO_PROXY", "no_proxy"]).map(|(_, value)| value);
        let no_proxy = no_proxy.map(str::to_owned).or_else(from_variable);
        Self(Arc::new(Rules {
            http: choice(["HTTP_PROXY", "http_proxy"]).or_else(|| all.clone()),
            https: choice(["HTTPS_PROXY", "https_proxy"]).or(all),
            no_proxy: NoProxy::new(&no_proxy.unwrap_or_default()),
            spare_loopback: true,
        }))
    }

    /// The proxy for requests to this URL, where there is one.
    pub(super) fn of(&self, uri: &Uri) -> Result<Option<&Proxy>, InvalidVariable> {
        let choice = match uri.scheme_str() {
            Some("http") => &self.0.http,
            Some("https") => &self.0.https,
            _ => &None,
        };
        match choice {
            None => Ok(None),
            Some(_) if self.goes_directly(uri) => Ok(None),
            Some(Ok(proxy)) => Ok(Some(proxy)),
            Some(Err(error)) => Err(error.clone()),
        }
    }

    fn goes_directly(&self, uri: &Uri) -> bool {
        self.0.no_proxy.holds(uri) || (self.0.spare_loopback && is_loopback(uri))
    }
}

/// A variable of the environment names a proxy that is of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidVariable {
    variable: &'static str,
    reason: InvalidProxy,
}

impl fmt::Display for InvalidVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the variable {}: {}", self.variable, self.reason)
    }
}

impl StdError for InvalidVariable {}

/// A list of hosts as in `NO_PROXY`.
struct NoProxy {
    hosts: String,
    matcher: Matcher,
}

impl NoProxy {
    fn new(hosts: &str) -> Self {
        Self {
            hosts: hosts.to_owned(),
            // It judges the list only together with a proxy; which one makes no difference.
            matcher: Matcher::builder().all("http://proxy").no(hosts).build(),
        }
    }

    fn holds(&self, uri: &Uri) -> bool {
        self.matcher.intercept(uri).is_none()
    }
}

impl fmt::Debug for NoProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.hosts, f)
    }
}

/// Reads a variable of this process. One that is not Unicode is not passed over, because it is meant to say something.
pub(super) fn variable(name: &str) -> Option<String> {
    Some(std::env::var_os(name)?.to_string_lossy().into_owned())
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_end_matches('.');
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => {
            let host = host.to_ascii_lowercase();
            host == "localhost" || host.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(rules: &ProxyRules, uri: &str) -> String {
        match rules.of(&uri.parse().unwrap()) {
            Ok(Some(proxy)) => proxy.to_string(),
            Ok(None) => "direct".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[track_caller]
    fn check(variables: &[(&str, &str)], expected: &[(&str, &str)]) {
        let lookup = |name: &str| {
            let mut all = variables.iter();
            all.find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        let rules = ProxyRules::from_lookup(lookup, None);
        for (uri, proxy) in expected {
            assert_eq!(through(&rules, uri), *proxy, "{uri} with {variables:?}");
        }
    }

    #[test]
    fn each_scheme_has_its_variable_and_the_upper_case_comes_first() {
        let (https, http) = ("https://r.example/v2/", "http://r.example/v2/");
        check(&[], &[(https, "direct"), (http, "direct")]);
        check(
            &[("HTTPS_PROXY", "a:1"), ("https_proxy", "b:2")],
            &[(https, "http://a:1"), (http, "direct")],
        );
        check(
            &[("http_proxy", "https://b:2/"), ("all_proxy", "http://c:3")],
            &[(https, "http://c:3"), (http, "https://b:2")],
        );
        check(
            &[("HTTPS_PROXY", ""), ("ALL_PROXY", "http://u:p@[::1]:3")],
            &[(https, "http://[::1]:3"), (http, "http://[::1]:3")],
        );
        check(&[("ALL_PROXY", "a:1")], &[("ftp://r.example", "direct")]);
    }

    #[test]
    fn the_list_holds_names_with_all_below_them_addresses_and_networks() {
        let list = "one.example, .two.example,10.0.0.0/8,2001:db8::/32,192.0.2.7";
        check(
            &[("ALL_PROXY", "p:1"), ("no_proxy", list)],
            &[
                ("https://one.example", "direct"),
                ("https://ONE.example:5000", "direct"),
                ("https://x.one.example", "direct"),
                ("https://x.two.example", "direct"),
                ("https://10.1.2.3", "direct"),
                ("https://[2001:db8::1]", "direct"),
                ("https://192.0.2.7", "direct"),
                ("https://notone.example", "http://p:1"),
                ("https://one.example.net", "http://p:1"),
                ("https://192.0.2.8", "http://p:1"),
            ],
        );
        check(
            &[("ALL_PROXY", "p:1"), ("NO_PROXY", "*")],
            &[("https://r.example", "direct")],
        );
    }

    #[test]
    fn this_machine_is_not_looked_for_behind_a_proxy_of_the_environment() {
        for host in [
            "127.0.0.1:5000",
            "127.8.9.1",
            "[::1]:5000",
            "[::ffff:127.0.0.1]",
            "localhost",
            "LocalHost.:5000",
            "data.localhost",
        ] {
            let uri = format!("https://{host}/v2/");
            check(&[("HTTPS_PROXY", "p:1")], &[(&uri, "direct")]);
            let given = ProxyRules::all(Proxy::parse("p:1").unwrap(), "");
            assert_eq!(through(&given, &uri), "http://p:1");
        }
        check(
            &[("HTTPS_PROXY", "p:1")],
            &[("https://notlocalhost", "http://p:1")],
        );
    }

    #[test]
    fn a_cgi_program_takes_no_proxy_from_whoever_sends_a_request() {
        check(
            &[("HTTP_PROXY", "evil:1"), ("REQUEST_METHOD", "GET")],
            &[("http://r.example", "direct")],
        );
    }

    #[test]
    fn a_variable_of_no_use_is_named_where_it_is_needed() {
        check(
            &[("HTTPS_PROXY", "a:1"), ("ALL_PROXY", "socks://u:pw@c:3")],
            &[
                ("https://r.example", "http://a:1"),
                (
                    "http://r.example",
                    "the variable ALL_PROXY: the proxy's URL is of no use: proxies are spoken to \
                     by http and https, not by socks",
                ),
                ("http://localhost", "direct"),
            ],
        );
    }
}
