//! Beside Microsoft's Python SDK, which speaks https alone.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::contest::{Contest, Contestant};
use super::cost::Cost;
use super::servers::Server;
use super::task::{self, Task, Work};
use super::{Bench, bytes, uploads};
use crate::interop::python::environment;
use crate::{Ending, Result};

const MEBIBYTES: u64 = 64;
const ROUNDS: usize = 3;

/// Prints what both cost. Nothing of it is judged.
pub(super) fn measure(bench: &Bench) -> Result<()> {
    let folder = bench.folder.path();
    let python = match environment(folder) {
        Ok(python) => python,
        Err(Ending::Skipped(reason)) => {
            println!("Python SDK: skipped ({reason})");
            return Ok(());
        }
        Err(Ending::Failed(failure)) => return Err(failure),
        Err(Ending::BadUsage) => return Err("the environment has no options".into()),
    };
    let (file, ca) = (folder.join("for-python"), folder.join("ca.pem"));
    bytes::write(&file, MEBIBYTES << 20)?;
    let mock = std::cell::RefCell::new(Server::mock(true, MEBIBYTES << 20)?);
    let place = mock.borrow().place.clone();
    fs::write(&ca, place.ca.as_deref().unwrap_or_default())?;
    let sdk = |work: &str, what: &Path| {
        let mut command = Command::new(&python);
        // Python would write its cache into the repository.
        command
            .arg("-B")
            .arg(script())
            .args([work, &place.endpoint]);
        task::cost(command.arg(&ca).arg(what))
    };
    let digest = bytes::digest(MEBIBYTES << 20).to_string();
    let download = || {
        let (digest, spawned) = (digest.clone(), false);
        Task::at(&place, Work::Download { digest, spawned }).run()
    };
    // Prints how many requests a run has had, but for those of the small blob before it.
    let counted = |name: &str, run: &dyn Fn() -> Result<Cost>| {
        mock.borrow_mut().requests()?;
        let cost = run()?;
        println!("{name}: {:?}", mock.borrow_mut().requests()?);
        Ok(cost)
    };
    let up: Vec<Contestant<'_>> = vec![
        (
            "client",
            Box::new(|| counted("client", &|| uploads::upload(&place, &file))),
        ),
        ("SDK", Box::new(|| counted("SDK", &|| sdk("up", &file)))),
    ];
    let down: Vec<Contestant<'_>> = vec![
        ("client", Box::new(|| counted("client", &download))),
        (
            "SDK",
            Box::new(|| counted("SDK", &|| sdk("down", digest.as_ref()))),
        ),
    ];
    for (title, contestants) in [("upload", up), ("download", down)] {
        let title = format!("{title} of {MEBIBYTES} MiB beside the Python SDK");
        let contest = Contest::run(title, ROUNDS, contestants)?;
        contest.speed("client", "SDK");
        contest.cpu("client", "SDK");
        contest.memory("client");
        contest.memory("SDK");
    }
    Ok(())
}

fn script() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python/content.py")
}
