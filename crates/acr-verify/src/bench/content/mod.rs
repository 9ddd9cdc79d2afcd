//! What content costs: uploads, downloads and files, beside the shortest client that does the same work.
//!
//! Each measure is taken in a process of its own, over loopback to a server in another one. Times depend on the machine;
//! their ratios within one run hardly do, so the programs take turns and each is held against the reference of its round.

mod bytes;
mod contest;
mod cost;
mod downloads;
mod figures;
mod images;
mod peer;
mod place;
mod python;
mod reference;
mod registry;
mod requests;
mod servers;
mod sink;
mod sizes;
mod task;
mod tls;
mod uploads;
mod waits;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub use figures::Figures;
pub use servers::serve;
pub use task::run as run_task;

use self::peer::Peer;
use crate::Result;

/// Measures everything, which takes some ten minutes, and prints what it does. A quick run takes small blobs and few
/// rounds: it shows that all of it works, and its figures say little.
///
/// # Errors
/// Something does not work as it should.
pub fn measure(is_quick: bool) -> Result<Figures> {
    println!("{}", load("before"));
    let bench = Bench::new(is_quick)?;
    let mut figures = Figures::default();
    uploads::measure(&bench, &mut figures)?;
    downloads::measure(&bench, &mut figures)?;
    sizes::measure(&bench, &mut figures)?;
    requests::measure(&bench, &mut figures)?;
    images::measure(&bench, &mut figures)?;
    waits::measure(&bench, &mut figures)?;
    python::measure(&bench)?;
    println!("{}", load("after"));
    Ok(figures)
}

/// What all measures have in common.
struct Bench {
    folder: TempDir,
    /// The bytes of a large blob.
    size: u64,
    rounds: usize,
    /// A file with a large blob.
    file: PathBuf,
    /// The other client, or why there is none.
    peer: Result<Peer, String>,
}

impl Bench {
    fn new(is_quick: bool) -> Result<Self> {
        let memory = Path::new("/dev/shm");
        let folder = match tempfile::tempdir_in(memory) {
            Ok(folder) => folder,
            Err(error) => {
                println!("files are on a disk, whose speed is part of the figures: {error}");
                tempfile::tempdir()?
            }
        };
        let (size, rounds) = if is_quick {
            (128 << 20, 2)
        } else {
            (1 << 30, 9)
        };
        let file = folder.path().join("blob");
        bytes::write(&file, size)?;
        let peer = Peer::build();
        if let Err(error) = &peer {
            println!("oci-client: skipped ({error})");
        }
        Ok(Self {
            folder,
            size,
            rounds,
            file,
            peer,
        })
    }
}

/// How busy the machine is.
fn load(when: &str) -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("load {when}: {} on {cores} cores", load.trim())
}
