//! Downloads and saved files, from the sink and from the mock.

use super::Bench;
use super::bytes;
use super::contest::{Contest, Contestant};
use super::figures::{Figures, Kind};
use super::peer::PULLS;
use super::servers::{Server, Settings};
use super::task::{Task, Work};
use crate::Result;

pub(super) fn measure(bench: &Bench, figures: &mut Figures) -> Result<()> {
    let digest = bytes::digest(bench.size).to_string();
    for (name, server) in [
        ("the sink", Server::sink(false, bench.size)?),
        ("the mock", Server::mock(false, bench.size)?),
    ] {
        downloads(
            bench,
            figures,
            &format!("download from {name}"),
            &server,
            &digest,
        )?;
        saves(
            bench,
            figures,
            &format!("save from {name}"),
            &server,
            &digest,
        )?;
    }
    with_digest(bench, figures, &digest)
}

fn downloads(
    bench: &Bench,
    figures: &mut Figures,
    title: &str,
    server: &Server,
    digest: &str,
) -> Result<()> {
    let run = |work: Work| Task::at(&server.place, work).run();
    let download = |spawned| {
        let digest = digest.to_owned();
        Work::Download { digest, spawned }
    };
    let in_loop = || Work::DownloadLoop {
        digest: digest.to_owned(),
    };
    let hash = || Work::Hash {
        file: bench.file.clone(),
    };
    let mut contestants: Vec<Contestant<'_>> = vec![
        ("loop", Box::new(|| run(in_loop()))),
        ("client", Box::new(|| run(download(false)))),
        ("spawned", Box::new(|| run(download(true)))),
        ("hash", Box::new(|| run(hash()))),
    ];
    if let Ok(peer) = &bench.peer {
        contestants.extend(PULLS.map(|pull| -> Contestant<'_> {
            (
                pull,
                Box::new(move || peer.run(pull, &server.place, digest)),
            )
        }));
    }
    let contest = Contest::run(title, bench.rounds, contestants)?;
    let awaited = contest.speed("client", "loop");
    figures.at_least(0.93, Kind::Down, &format!("of the loop, {title}"), awaited);
    let spawned = contest.speed("spawned", "loop");
    let name = format!("of the loop, {title} in a spawned task");
    figures.at_least(0.85, Kind::Other, &name, spawned);
    contest.speed("client", "hash");
    contest.cpu("loop", "hash");
    let cpu = contest.cpu("client", "hash");
    figures.at_most(
        1.6,
        Kind::CpuDown,
        &format!("CPU of the hash, {title}"),
        cpu,
    );
    let memory = contest.memory("client");
    figures.at_most(
        8.0,
        Kind::Memory,
        &format!("MiB over idle, {title}"),
        memory,
    );
    let pulls = PULLS.map(|pull| contest.speed("client", pull));
    let least = pulls.into_iter().flatten().reduce(f64::min);
    let name = format!("times oci-client's better pull, {title}");
    figures.at_least(0.97, Kind::Other, &name, least);
    Ok(())
}

fn saves(
    bench: &Bench,
    figures: &mut Figures,
    title: &str,
    server: &Server,
    digest: &str,
) -> Result<()> {
    let run = |work: Work| Task::at(&server.place, work).run();
    let target = bench.folder.path().join("saved");
    let (digest, target) = (|| digest.to_owned(), || target.clone());
    let in_loop = || Work::SaveLoop {
        digest: digest(),
        target: target(),
    };
    let save = || Work::Save {
        digest: digest(),
        target: target(),
    };
    let hash = || Work::Hash {
        file: bench.file.clone(),
    };
    let contestants: Vec<Contestant<'_>> = vec![
        ("loop", Box::new(|| run(in_loop()))),
        ("client", Box::new(|| run(save()))),
        ("hash", Box::new(|| run(hash()))),
    ];
    let contest = Contest::run(title, bench.rounds, contestants)?;
    std::fs::remove_file(target())?;
    let share = contest.speed("client", "loop");
    figures.at_least(0.95, Kind::Save, &format!("of the loop, {title}"), share);
    contest.cpu("loop", "hash");
    let cpu = contest.cpu("client", "hash");
    figures.at_most(2.7, Kind::Other, &format!("CPU of the hash, {title}"), cpu);
    let memory = contest.memory("client");
    figures.at_most(
        8.0,
        Kind::Memory,
        &format!("MiB over idle, {title}"),
        memory,
    );
    Ok(())
}

/// Where the response names the digest, oci-client hashes twice.
fn with_digest(bench: &Bench, figures: &mut Figures, digest: &str) -> Result<()> {
    let title = "download with Docker-Content-Digest";
    let speed = match &bench.peer {
        Err(_) => None,
        Ok(peer) => {
            let sink = Server::start(&Settings {
                blob: bench.size,
                tells_digest: true,
                ..Settings::default()
            })?;
            let place = &sink.place;
            let download = || Work::Download {
                digest: digest.to_owned(),
                spawned: false,
            };
            let contestants: Vec<Contestant<'_>> = vec![
                ("client", Box::new(|| Task::at(place, download()).run())),
                ("pull", Box::new(|| peer.run("pull", place, digest))),
            ];
            Contest::run(title, bench.rounds.min(5), contestants)?.speed("client", "pull")
        }
    };
    let name = format!("times oci-client's pull, {title}");
    figures.at_least(1.5, Kind::Other, &name, speed);
    Ok(())
}
