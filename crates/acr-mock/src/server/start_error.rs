//! Why a server did not start.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another program (or another server of this one) listens there.
    #[error(
        "cannot listen on {address}: the address is in use; choose another port, or 0 for a free one"
    )]
    AddressInUse {
        /// The address that is taken.
        address: SocketAddr,
    },
    /// The address cannot be listened on: it is not an address of this machine, or its port is reserved.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// Other machines can reach the address, and the registry lets everybody do everything though nobody said so.
    #[error(
        "cannot serve at {address}, which other machines can reach, a registry that asks for no credentials: listen at \
         127.0.0.1, leave `authentication` on, or let everybody in with `accept_any_entra_token`"
    )]
    Unprotected {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// The local port was to listen where other machines can reach it, and nothing there asks for credentials.
    #[error(
        "cannot serve the local port at {address}, which other machines can reach: listen at 127.0.0.1, or at no address"
    )]
    NotLocal {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// A registry that has a production name is reached by it through the local port, over https.
    #[error(
        "a registry with a production name, {name}, needs the local port, which is its proxy, and https: leave both on"
    )]
    NoProxy {
        /// The login server.
        name: String,
    },
    /// Other machines can reach the address, and the authority would let in who has shown no secret.
    #[error(
        "cannot serve the authority at {address}, which other machines can reach: an application takes tokens of a cluster, \
         whose signature is not checked here; listen at 127.0.0.1, or give it a secret or a certificate instead"
    )]
    OpenAuthority {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// A name given to [`AcrMockBuilder::host`](super::AcrMockBuilder::host) is neither a host name nor an IP address.
    #[error(
        "`{name}` is neither a host name nor an IP address; give it without scheme, port or path"
    )]
    InvalidHost {
        /// The name as it was given.
        name: String,
    },
    /// The CA or the certificate could not be made.
    #[error("cannot make the server's certificate")]
    Certificate(#[source] Box<dyn Error + Send + Sync>),
    /// The operating system refused what the server's thread needs.
    #[error("cannot start the server's thread")]
    Thread(#[source] io::Error),
}
