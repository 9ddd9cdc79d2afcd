//! Opens the ports of both origins.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

use super::StartError;

/// The open ports of a server: one of the registry, one of the data origin.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) registry: TcpListener,
    pub(super) registry_address: SocketAddr,
    /// More than one where the data origin listens on both loopback families; all of the same port.
    pub(super) data: Vec<TcpListener>,
    pub(super) data_port: u16,
}

/// Opens one port; returns the address that it came to have.
pub(super) fn open(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let listener = bind(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (own, listener) = listener.map_err(|source| start_error(address, source))?;
    Ok((listener, own))
}

impl Listeners {
    pub(super) fn open(listen: SocketAddr) -> Result<Self, StartError> {
        let (registry, registry_address) = open(listen)?;
        let (data, data_port) = open_data(registry_address.ip())?;
        Ok(Self {
            registry,
            registry_address,
            data,
            data_port,
        })
    }
}

/// How often a free port of one family is looked for in the other, before giving up.
const ATTEMPTS: usize = 64;

/// Opens the data origin at a free port: wherever the registry listens, and on both loopback families if that
/// includes loopback, because `localhost` means either.
fn open_data(ip: IpAddr) -> Result<(Vec<TcpListener>, u16), StartError> {
    let (first, second) = match ip {
        // Bound to `::`, a socket takes IPv4 too.
        IpAddr::V6(v6) if v6.is_unspecified() => (ip, None),
        IpAddr::V4(v4) if v4.is_unspecified() => (ip, Some(Ipv6Addr::LOCALHOST)),
        _ if ip.is_loopback() => (Ipv4Addr::LOCALHOST.into(), Some(Ipv6Addr::LOCALHOST)),
        _ => (ip, None),
    };
    let any_port = SocketAddr::new(first, 0);
    let mut taken = any_port;
    for _ in 0..ATTEMPTS {
        let listener = bind(any_port).map_err(|source| start_error(any_port, source))?;
        let port = listener
            .local_addr()
            .map_err(|source| start_error(any_port, source))?
            .port();
        let Some(second) = second else {
            return Ok((vec![listener], port));
        };
        taken = SocketAddr::new(second.into(), port);
        match bind(taken) {
            Ok(other) => return Ok((vec![listener, other], port)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            // A machine (or a container) without IPv6: `localhost` means 127.0.0.1 alone there.
            Err(_) => return Ok((vec![listener], port)),
        }
    }
    Err(StartError::AddressInUse { address: taken })
}

/// How many connections may wait to be accepted. Beyond it a client's greeting is dropped, and it tries again after a
/// second; the standard library's 128 are fewer than one test with a pool may open at once.
const BACKLOG: i32 = 1024;

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // As the standard library does: the port of a server that has just ended can be listened on again.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn start_error(address: SocketAddr, source: io::Error) -> StartError {
    match source.kind() {
        io::ErrorKind::AddrInUse => StartError::AddressInUse { address },
        _ => StartError::Listen { address, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_origin_has_a_port_of_its_own() {
        let listeners = Listeners::open(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        assert_ne!(listeners.registry_address.port(), listeners.data_port);
        for listener in &listeners.data {
            let address = listener.local_addr().unwrap();
            assert!(address.ip().is_loopback());
            assert_eq!(address.port(), listeners.data_port);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_burst_of_connections_does_not_wait_for_the_first_to_be_accepted() {
        let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
        let most: usize = most.trim().parse().unwrap();
        let listeners = Listeners::open(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        // Nobody accepts. Beyond the backlog a connection takes a second, and then another.
        let connect = |_| {
            let time = std::time::Duration::from_secs(10);
            std::net::TcpStream::connect_timeout(&listeners.registry_address, time)
        };
        let waiting: io::Result<Vec<_>> = (0..most.min(400)).map(connect).collect();
        waiting.expect("all of them find room");
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = Listeners::open(address).unwrap_err();
        assert!(matches!(error, StartError::AddressInUse { address: named } if named == address));
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }

    #[test]
    fn an_address_of_another_machine_is_refused_with_its_cause() {
        // 192.0.2.0/24 is reserved for documentation: no machine has it.
        let error = Listeners::open(SocketAddr::from(([192, 0, 2, 1], 0))).unwrap_err();
        assert!(matches!(error, StartError::Listen { .. }), "{error:?}");
        assert!(std::error::Error::source(&error).is_some());
    }
}
