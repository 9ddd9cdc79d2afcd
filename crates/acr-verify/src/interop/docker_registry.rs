//! `docker-registry`, the registry of the distribution project as Debian packages it: a server that we did not write.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Result;

/// The user that is let in where the server asks for a password.
pub const USER: &str = "interop";
/// That user's password.
pub const PASSWORD: &str = "interop-password";
/// The same as a line of an htpasswd file; the registry takes bcrypt alone.
const HTPASSWD: &str = "interop:$2y$05$HRePIEpk2zL01XqziGA/Aea6XBWCCIr7Fqhvx6zoRZDctsJ.aDl0i";

/// A running registry with a folder of its own. It ends when this is dropped.
#[derive(Debug)]
pub struct DockerRegistry {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl DockerRegistry {
    /// Starts a registry without TLS on a free port of this machine; with `Basic` authentication if asked to.
    ///
    /// # Errors
    ///
    /// If it does not come up; the error holds what it wrote.
    pub fn start(with_password: bool) -> Result<Self> {
        let mut last = String::new();
        // The server cannot be asked to take any free port, and another program may take the one found for it.
        for _ in 0..5 {
            let folder = tempfile::tempdir()?;
            let address = free_address()?;
            let config = configure(folder.path(), address, with_password)?;
            let log = folder.path().join("log");
            let child = Command::new("docker-registry")
                .arg("serve")
                .arg(config)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(fs::File::create(&log)?)
                .spawn()
                .map_err(|error| format!("docker-registry does not start: {error}"))?;
            let mut registry = Self {
                child,
                address,
                _folder: folder,
            };
            if is_up(&mut registry.child, address)? {
                return Ok(registry);
            }
            last = fs::read_to_string(log)?;
        }
        Err(format!("docker-registry does not come up: {}", last.trim()).into())
    }

    /// Host and port.
    #[must_use]
    pub fn login_server(&self) -> String {
        self.address.to_string()
    }

    /// The URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The process's number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        // Both fail for a child that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a server listens; `false` if it ended before.
pub(super) fn is_up(child: &mut Child, address: SocketAddr) -> Result<bool> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if child.try_wait()?.is_some() {
            return Ok(false);
        }
        if TcpStream::connect(address).is_ok() {
            // Still there, so the port is its own and not that of the program it lost it to.
            return Ok(child.try_wait()?.is_none());
        }
        sleep(Duration::from_millis(20));
    }
    Err(format!("the server runs, but does not listen on {address}").into())
}

pub(super) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Writes the configuration; returns its path.
fn configure(
    folder: &Path,
    address: SocketAddr,
    with_password: bool,
) -> Result<std::path::PathBuf> {
    let mut config = format!(
        "version: 0.1\n\
         log:\n  level: warn\n\
         storage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
         http:\n  addr: {address}\n",
        folder.join("data").display()
    );
    if with_password {
        let file = folder.join("htpasswd");
        fs::write(&file, HTPASSWD)?;
        config.push_str(&format!(
            "auth:\n  htpasswd:\n    realm: interop\n    path: {}\n",
            file.display()
        ));
    }
    let place = folder.join("config.yml");
    fs::write(&place, config)?;
    Ok(place)
}
