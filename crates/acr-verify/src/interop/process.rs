//! Servers that are other programs.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Result;

/// A child process. It ends when this is dropped.
#[derive(Debug)]
pub struct Running(pub Child);

impl Running {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// If there is no such program.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn();
        Ok(Self(child.map_err(|error| {
            format!("{name} does not start: {error}")
        })?))
    }

    /// Starts a server on a free port: `command` makes its call for one.
    pub(super) fn listening(
        command: impl Fn(SocketAddr) -> Result<Command>,
    ) -> Result<(Self, SocketAddr)> {
        // The server cannot be asked to take any free port, and another program may take the one found for it.
        for _ in 0..5 {
            let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
            let mut command = command(address)?;
            let mut server = Self::start(command.stdin(Stdio::null()).stdout(Stdio::null()))?;
            if server.is_up(address)? {
                return Ok((server, address));
            }
        }
        Err("the server does not come up".into())
    }

    /// Waits until it listens; `false` if it ended before.
    fn is_up(&mut self, address: SocketAddr) -> Result<bool> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if self.0.try_wait()?.is_some() {
                return Ok(false);
            }
            if TcpStream::connect(address).is_ok() {
                // Still there, so the port is its own and not that of the program it lost it to.
                return Ok(self.0.try_wait()?.is_none());
            }
            sleep(Duration::from_millis(20));
        }
        Err(format!("the server runs, but does not listen on {address}").into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail for a child that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
