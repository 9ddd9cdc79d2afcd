//! How long others wait at the mock while a large blob comes in one request.

use super::Bench;
use super::figures::{Figures, Kind};
use super::servers::Server;
use super::uploads::upload_loop;
use crate::Result;
use crate::bench::mock::waits::{head, longest};
use crate::bench::spread::Spread;

/// How many runs there are with the blob, and as many without it.
const RUNS: usize = 5;

pub(super) fn measure(bench: &Bench, figures: &mut Figures) -> Result<()> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let mock = Server::mock(false, 0)?;
        let address = mock.place.endpoint.trim_start_matches("http://").parse()?;
        let head = head(address, mock.place.token.as_deref().unwrap_or_default());
        without.push(longest(address, &head, || Ok(()))?.0);
        let upload = || upload_loop(&mock.place, &bench.file).map(drop);
        with.push(longest(address, &head, upload)?.0);
    }
    let wait = Spread::of(&with);
    if let Some((with, without)) = wait.zip(Spread::of(&without)) {
        println!(
            "longest wait beside an upload in one request, ms: {with}, of an idle mock {without}"
        );
    }
    let name = "ms longest wait at the mock beside an upload in one request";
    figures.at_most(60.0, Kind::Other, name, wait.map(|wait| wait.middle));
    Ok(())
}
