//! How a server is set up, and why it may not start.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, Scheme};
use rustls::pki_types::ServerName;
use tokio_rustls::TlsAcceptor;

use super::connection::{Handler, Listener, Purpose, Service};
use super::listen::{self, Listeners};
use super::local::Local;
use super::names::Names;
use super::production::{LOGIN_HOSTS, RegistryName};
use super::proxy::Proxy;
use super::run::ServerThread;
use super::timeouts::Timeouts;
use super::{AcrMock, ServerEvent, StartError};
use crate::Registry;
use crate::builder::setters;
use crate::tls::Identity;

/// Settings of an [`AcrMock`]; made by [`AcrMock::builder`].
#[must_use = "nothing runs before `start`"]
pub struct AcrMockBuilder {
    registry: Registry,
    listen: SocketAddr,
    local: Option<SocketAddr>,
    authority: Option<SocketAddr>,
    plain_http: bool,
    hosts: Vec<String>,
    registry_name: Option<RegistryName>,
    listener: Option<Listener>,
    timeouts: Timeouts,
    workers: NonZeroUsize,
}

impl AcrMockBuilder {
    pub(super) fn new() -> Self {
        Self {
            registry: Registry::new(),
            listen: LOOPBACK,
            local: Some(LOOPBACK),
            authority: Some(LOOPBACK),
            plain_http: false,
            hosts: Vec::new(),
            registry_name: None,
            listener: None,
            timeouts: Timeouts::default(),
            workers: NonZeroUsize::MIN,
        }
    }

    setters! {
        /// Serves this registry; a new one with the usual settings is the default.
        ///
        /// A registry may be served by several servers at a time, and be used in process beside them.
        registry(registry: Registry) => registry = registry;

        /// Speaks plain http instead of https. Of the official SDKs only Go's sends credentials over it.
        plain_http(plain_http: bool) => plain_http = plain_http;

        /// Where the registry listens; port 0, a free one, at 127.0.0.1 by default.
        ///
        /// The data origin always takes a free port of its own, at the same address, or on both loopback families if the
        /// address is a loopback or the IPv4 wildcard one. A wildcard address is reported as 127.0.0.1.
        ///
        /// From the start beyond loopback on, the registry takes no Entra token that nobody has named, unless
        /// [`accept_any_entra_token`](crate::RegistryBuilder::accept_any_entra_token) says so.
        listen(address: SocketAddr) => listen = address;

        /// Where the local port listens, which has the endpoints of managed identities over plain http; a free port of
        /// 127.0.0.1 by default, and none with `None`. It serves this machine alone, so it has to be a loopback address.
        local(address: Option<SocketAddr>) => local = address;

        /// Where the authority of the fake Entra ID listens; a free port of 127.0.0.1 by default, and none with `None`. It
        /// speaks https, because no identity library takes another one: beside a registry over plain http there is none. Beyond
        /// loopback it serves no application with a [`FederatedCredential`](crate::FederatedCredential).
        authority(address: Option<SocketAddr>) => authority = address;
    }

    /// A further host name or IP address for the certificate, such as the name of a compose service; repeatable.
    /// Over plain http it is a name that clients may come by: but for those, `localhost` and addresses, all are
    /// refused (421), because whoever owns a name can point it here and drive the registry from a web page.
    ///
    /// `localhost`, `127.0.0.1`, `::1` and the address listened on are always in. A client that comes by a further
    /// name is redirected, for data, to another further name if there is one, because clients tell origins apart by
    /// their host; else to the same one.
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.hosts.push(name.into());
        self
    }

    /// Serves the registry by its production name too, such as `myregistry.azurecr.io`, to clients that have the local
    /// port for their proxy; so it does Entra's login hosts, and the data origin by a name of the service's form. The CA is
    /// good for these names and the mock's own alone. The last one given counts: there is one such name so far.
    pub fn registry_name(mut self, name: RegistryName) -> Self {
        self.registry_name = Some(name);
        self
    }

    setters! {
        /// How long a head may take from the connection's start or from its first byte, and a TLS handshake; 30 s by default.
        /// Then the connection is closed. This and the other two are the machine's time, whatever clock the registry has.
        head_timeout(time: Duration) => timeouts.head = time;

        /// How long the body of a request may be silent between two frames, and for how long the client may take no byte of
        /// a response; 60 s by default. A silent body gets 408, and the connection is closed.
        ///
        /// Of a body that is refused (for want of a token, say) 4 MiB are read and thrown away, for no longer than this, so
        /// that the client comes to read the response; then the connection is closed.
        body_timeout(time: Duration) => timeouts.body = time;

        /// How long a connection is kept between two requests; 5 minutes by default, as clients with a pool expect.
        idle_timeout(time: Duration) => timeouts.idle = time;

        /// How many threads serve requests; one by default, which is enough for tens of thousands of requests a second. With
        /// more of them, events are told on several threads at a time.
        workers(workers: NonZeroUsize) => workers = workers;
    }

    /// How long requests in progress may take to end once the server is stopped.
    #[cfg(test)]
    pub(super) fn grace(mut self, time: Duration) -> Self {
        self.timeouts.grace = time;
        self
    }

    /// Tells `listener` what happens, on the server's thread: it should be quick, and its panic is the server's.
    pub fn on_event(mut self, listener: impl Fn(&ServerEvent<'_>) + Send + Sync + 'static) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Opens the ports, makes CA and certificate, and starts to serve on a thread of its own.
    ///
    /// It needs no runtime and takes a few milliseconds. When it returns, the server accepts connections.
    ///
    /// # Errors
    ///
    /// [`StartError`]: a port in use, an address of another machine, a registry that asks for no credentials beyond
    /// loopback, a malformed host name, or a machine that refuses a thread.
    pub fn start(self) -> Result<AcrMock, StartError> {
        let registry = self.registry.clone();
        self.start_with(Handler::Registry(registry))
    }

    /// Starts with another handler in the registry's place.
    pub(super) fn start_with(self, handler: Handler) -> Result<AcrMock, StartError> {
        for name in &self.hosts {
            // Also over plain http: the names are written into redirects.
            if ServerName::try_from(name.as_str()).is_err() {
                return Err(StartError::InvalidHost { name: name.clone() });
            }
        }
        if let Some(name) = &self.registry_name
            && (self.plain_http || self.local.is_none())
        {
            return Err(StartError::NoProxy {
                name: name.to_string(),
            });
        }
        let listeners = Listeners::open(self.listen)?;
        let address = listeners.registry_address;
        if !address.ip().to_canonical().is_loopback() {
            if !self.registry.may_be_exposed() {
                return Err(StartError::Unprotected { address });
            }
            self.registry.settings().identities.expose();
        }
        let identity = match self.plain_http {
            true => None,
            false => Some(
                Identity::generate(&self.names(address.ip()), self.registry_name.is_some())
                    .map_err(StartError::Certificate)?,
            ),
        };
        let scheme = if self.plain_http {
            Scheme::HTTP
        } else {
            Scheme::HTTPS
        };

        let authority = reported(address).to_string();
        let names = Names {
            scheme,
            authority: authority.clone(),
            data_port: listeners.data_port,
            hosts: bracketed(&self.hosts),
            only: None,
        };
        let origin = authority
            .parse::<Authority>()
            .ok()
            .and_then(|authority| names.origin_at(&authority));
        let Some(origin) = origin else {
            return Err(StartError::Listen {
                address,
                source: io::ErrorKind::AddrNotAvailable.into(),
            });
        };
        let (tls, ca_pem) = identity
            .as_ref()
            .map(|identity| {
                (
                    TlsAcceptor::from(identity.config.clone()),
                    identity.ca_pem.clone(),
                )
            })
            .unzip();
        let service = |purpose: Purpose, tls: Option<TlsAcceptor>| {
            Arc::new(Service {
                purpose,
                tls,
                ca_pem: ca_pem.clone(),
                listener: self.listener.clone(),
                timeouts: self.timeouts,
            })
        };
        let mut ports = Vec::new();
        let mut authority = None;
        if let (Some(tls), Some(address)) = (&tls, self.authority) {
            let is_local = address.ip().to_canonical().is_loopback();
            if !is_local && !self.registry.entra().may_be_exposed() {
                return Err(StartError::OpenAuthority { address });
            }
            let (listener, address) = listen::open(address)?;
            let handler = Handler::Authority(self.registry.clone());
            let names = names.at(reported(address).to_string());
            authority = Some(format!("https://{}", names.authority));
            ports.push((
                listener,
                service(Purpose::Origin(names, handler), Some(tls.clone())),
            ));
        }
        let mut local = None;
        if let Some(address) = self.local {
            if !address.ip().to_canonical().is_loopback() {
                return Err(StartError::NotLocal { address });
            }
            let (listener, address) = listen::open(address)?;
            let identity_header = self.registry.identity_header();
            let purpose = Purpose::Local(Local {
                registry: self.registry.clone(),
                identity_header: identity_header.clone(),
                ca_pem: ca_pem.clone(),
                hosts: names.hosts.clone(),
                proxy: match (&self.registry_name, &identity) {
                    (Some(name), Some(identity)) => {
                        let served = production(name, &self.registry, &names).into_iter();
                        let served = served.map(|(name, purpose)| {
                            let tls = identity
                                .config_for(&name)
                                .map_err(StartError::Certificate)?;
                            let service = service(purpose, Some(TlsAcceptor::from(tls)));
                            Ok((name, service))
                        });
                        Some(Proxy::new(served.collect::<Result<_, StartError>>()?))
                    }
                    _ => None,
                },
            });
            local = Some((format!("http://{address}"), identity_header));
            ports.push((listener, service(purpose, None)));
        }
        let registry = service(Purpose::Origin(names, handler), tls);
        let listeners = std::iter::once(listeners.registry).chain(listeners.data);
        ports.extend(listeners.map(|listener| (listener, registry.clone())));
        let thread = ServerThread::start(ports, self.timeouts.grace, self.workers)?;
        Ok(AcrMock {
            registry: self.registry,
            thread,
            address,
            origin,
            ca_pem: ca_pem.clone(),
            authority,
            local,
            registry_name: self.registry_name,
        })
    }

    /// The names of the certificate, each once.
    fn names(&self, listen: IpAddr) -> Vec<String> {
        let mut names = BTreeSet::from(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
        if !listen.is_unspecified() {
            names.insert(listen.to_string());
        }
        names.extend(self.hosts.iter().cloned());
        if let Some(name) = &self.registry_name {
            names.extend(name.hosts().map(str::to_owned));
        }
        names.into_iter().collect()
    }
}

impl fmt::Debug for AcrMockBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AcrMockBuilder")
            .field("listen", &self.listen)
            .field("plain_http", &self.plain_http)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

/// What is served by which production name.
fn production(name: &RegistryName, registry: &Registry, names: &Names) -> Vec<(String, Purpose)> {
    let data = name.data_host();
    let mut served: Vec<(String, Purpose)> = [name.login_server(), data]
        .into_iter()
        .map(|host| {
            let handler = Handler::Registry(registry.clone());
            let purpose = Purpose::Origin(names.only(host, data), handler);
            (host.to_owned(), purpose)
        })
        .collect();
    served.extend(LOGIN_HOSTS.map(|host| {
        let handler = Handler::Authority(registry.clone());
        let purpose = Purpose::Origin(names.only(host, host), handler);
        (host.to_owned(), purpose)
    }));
    served
}

/// A free port of this machine.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The address under which a client of this machine reaches the one listened on.
fn reported(address: SocketAddr) -> SocketAddr {
    match address.ip().is_unspecified() {
        true => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
        false => address,
    }
}

/// The names in the form they have in a URL.
fn bracketed(hosts: &[String]) -> Vec<String> {
    hosts
        .iter()
        .map(|host| {
            if host.contains(':') {
                format!("[{host}]")
            } else {
                host.clone()
            }
        })
        .collect()
}
