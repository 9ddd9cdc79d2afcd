//! Uploads of a file, to the sink and to the mock.

use std::path::Path;

use super::Bench;
use super::contest::{Contest, Contestant};
use super::cost::Cost;
use super::figures::{Figures, Kind};
use super::peer::PUSHES;
use super::place::Place;
use super::servers::Server;
use super::task::{Task, Work};
use crate::Result;
use crate::interop::docker_registry::DockerRegistry;

pub(super) fn measure(bench: &Bench, figures: &mut Figures) -> Result<()> {
    for https in [false, true] {
        let scheme = if https { "https" } else { "http" };
        let sink = Server::sink(https, 0)?;
        let title = format!("upload to the sink over {scheme}");
        let to_sink = |run: &Run<'_>| run(&sink.place);
        contest(bench, figures, &title, 1.6, &to_sink)?;
        let title = format!("upload to the mock over {scheme}");
        // A new one each time, which has as much memory to get as the others had.
        let to_mock = |run: &Run<'_>| run(&Server::mock(https, 0)?.place);
        contest(bench, figures, &title, 1.4, &to_mock)?;
    }
    to_docker_registry(bench, figures)
}

/// What is done at a registry.
type Run<'a> = dyn Fn(&Place) -> Result<Cost> + 'a;

/// One contest at a registry, of which `at` gives one for each run; with the peer over plain http, to which the client is
/// to be so many times as fast.
fn contest(
    bench: &Bench,
    figures: &mut Figures,
    title: &str,
    of_peer: f64,
    at: &dyn Fn(&Run<'_>) -> Result<Cost>,
) -> Result<()> {
    let file = &bench.file;
    let is_http = title.ends_with("http");
    let mut contestants: Vec<Contestant<'_>> = vec![
        ("loop", Box::new(|| at(&|place| upload_loop(place, file)))),
        ("client", Box::new(|| at(&|place| upload(place, file)))),
    ];
    if is_http {
        contestants.push(("hash", Box::new(|| hash(file))));
        if let Ok(peer) = &bench.peer {
            let what = file.to_string_lossy();
            contestants.extend(PUSHES.map(|push| -> Contestant<'_> {
                let what = what.clone();
                let run = move || at(&|place| peer.run(push, place, &what));
                (push, Box::new(run))
            }));
        }
    }
    let contest = Contest::run(title, bench.rounds, contestants)?;
    let (goal, kind) = match is_http {
        true => (0.95, Kind::Up),
        false => (0.92, Kind::Other),
    };
    let speed = contest.speed("client", "loop");
    figures.at_least(goal, kind, &format!("of the loop, {title}"), speed);
    if !is_http {
        return Ok(());
    }
    contest.speed("client", "hash");
    contest.cpu("loop", "hash");
    let cpu = contest.cpu("client", "hash");
    figures.at_most(1.65, Kind::CpuUp, &format!("CPU of the hash, {title}"), cpu);
    let memory = contest.memory("client");
    figures.at_most(
        8.0,
        Kind::Memory,
        &format!("MiB over idle, {title}"),
        memory,
    );
    let pushes = PUSHES.map(|push| contest.speed("client", push));
    let least = pushes.into_iter().flatten().reduce(f64::min);
    let name = format!("times oci-client's best push, {title}");
    figures.at_least(of_peer, Kind::Peer, &name, least);
    let memory = contest.memory_ratio("client", "push");
    let name = format!("of the memory of oci-client's push, {title}");
    figures.at_most(0.01, Kind::Other, &name, memory);
    Ok(())
}

fn to_docker_registry(bench: &Bench, figures: &mut Figures) -> Result<()> {
    let title = "upload to docker-registry";
    let share = match DockerRegistry::start_in(bench.folder.path(), false) {
        Err(error) => {
            println!("{title}: skipped ({error})");
            None
        }
        Ok(registry) => {
            let place = Place::open(registry.endpoint());
            let (place, file) = (&place, &bench.file);
            let contestants: Vec<Contestant<'_>> = vec![
                ("loop", Box::new(|| upload_loop(place, file))),
                ("client", Box::new(|| upload(place, file))),
            ];
            Contest::run(title, bench.rounds.min(5), contestants)?.speed("client", "loop")
        }
    };
    figures.at_least(0.95, Kind::Other, &format!("of the loop, {title}"), share);
    Ok(())
}

pub(super) fn upload_loop(place: &Place, file: &Path) -> Result<Cost> {
    let file = file.to_owned();
    Task::at(place, Work::UploadLoop { file }).run()
}

pub(super) fn upload(place: &Place, file: &Path) -> Result<Cost> {
    let work = Work::Upload {
        file: file.to_owned(),
        chunk: None,
        at_once: 1,
    };
    Task::at(place, work).run()
}

fn hash(file: &Path) -> Result<Cost> {
    let file = file.to_owned();
    Task::at(&Place::open(String::new()), Work::Hash { file }).run()
}
