//! oci-client, the other client of the field: a program of a package with its own lock file, which is built here.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cost::Cost;
use super::place::Place;
use super::task;
use crate::Result;
use crate::interop::output_of;

/// Its ways to push: bytes in memory, a stream in chunks that is hashed as it is sent, and a stream in one request, of
/// whose bytes the digest has to be known before.
pub(super) const PUSHES: [&str; 3] = ["push", "push-stream", "push-in-one"];
/// Its ways to pull: to a writer, and as a stream.
pub(super) const PULLS: [&str; 2] = ["pull", "pull-stream"];

/// The program.
#[derive(Debug)]
pub(super) struct Peer(PathBuf);

impl Peer {
    /// Builds it, beside what is built of the workspace. The error says why that cannot be done here.
    pub(super) fn build() -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let target = own
            .ancestors()
            .nth(2)
            .ok_or("this program is in no target folder")?;
        let target = target.join("peers");
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/oci-client/Cargo.toml");
        println!("building oci-client");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args([
            "build",
            "--release",
            "--locked",
            "--quiet",
            "--manifest-path",
        ]);
        cargo.arg(manifest).arg("--target-dir").arg(&target);
        output_of(&mut cargo)?;
        let name = format!("peer-oci-client{}", std::env::consts::EXE_SUFFIX);
        Ok(Self(target.join("release").join(name)))
    }

    /// Has it do one of its works, with a file or a digest.
    pub(super) fn run(&self, work: &str, place: &Place, what: &str) -> Result<Cost> {
        let (name, password) = place.login.clone().unwrap_or_default();
        let host = place.endpoint.trim_start_matches("http://");
        task::cost(Command::new(&self.0).args([work, host, &name, &password, what]))
    }
}
