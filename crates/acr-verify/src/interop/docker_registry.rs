//! `docker-registry`, the registry of the distribution project as Debian packages it: a server that we did not write.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::process::Running;
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
    process: Running,
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
        Self::start_in(&std::env::temp_dir(), with_password)
    }

    /// The same, with what it holds in a new folder there.
    ///
    /// # Errors
    ///
    /// As for [`DockerRegistry::start`].
    pub fn start_in(place: &Path, with_password: bool) -> Result<Self> {
        let folder = tempfile::tempdir_in(place)?;
        let log = folder.path().join("log");
        let started = Running::listening(|address| {
            let config = configure(folder.path(), address, with_password)?;
            let mut command = Command::new("docker-registry");
            command
                .arg("serve")
                .arg(config)
                .stderr(fs::File::create(&log)?);
            Ok(command)
        });
        let (process, address) = started.map_err(|error| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            format!("docker-registry: {error}: {}", said.trim())
        })?;
        Ok(Self {
            process,
            address,
            _folder: folder,
        })
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
        self.process.0.id()
    }
}

/// Writes the configuration; returns its path.
fn configure(folder: &Path, address: SocketAddr, with_password: bool) -> Result<PathBuf> {
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
