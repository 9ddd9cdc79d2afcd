//! Memory, which no size of a blob changes.

use std::fs::File;

use super::Bench;
use super::figures::{Figures, Kind};
use super::servers::Server;
use super::task::{Task, Work};
use crate::Result;

/// Bytes of one request, where a caller asks for chunks.
const CHUNK: u64 = 4 << 20;

pub(super) fn measure(bench: &Bench, figures: &mut Figures) -> Result<()> {
    let sink = Server::sink(false, 0)?;
    let file = bench.folder.path().join("sparse");
    let measure = |mebibytes: u64, chunk, at_once| {
        // Nothing is written: the file is one hole, of any length.
        File::create(&file)?.set_len(mebibytes << 20)?;
        let work = Work::Upload {
            file: file.clone(),
            chunk,
            at_once,
        };
        let cost = Task::at(&sink.place, work).run()?;
        Ok::<_, crate::Failure>(Some(cost.memory as f64 / f64::from(1 << 20)))
    };
    let large = bench.size >> 20;
    for mebibytes in [64, large, 4 * large] {
        for (how, chunk) in [("streamed", None), ("in chunks of 4 MiB", Some(CHUNK))] {
            let memory = measure(mebibytes, chunk, 1)?;
            let name = format!("MiB over idle, upload of {mebibytes} MiB {how}");
            figures.at_most(8.0, Kind::Memory, &name, memory);
        }
    }
    let memory = measure(large / 4, None, 8)?;
    figures.at_most(
        40.0,
        Kind::Other,
        "MiB over idle, eight uploads at once",
        memory,
    );
    Ok(())
}
