//! What the mock costs, beside a bare server that gives the same bytes and beside docker-registry.
//!
//! Rates and CPU times depend on the machine; their ratios hardly do. All servers take turns within one run, each in a
//! process that is held to one core, while the load comes from the other.

mod bare;
mod figures;
mod in_process;
mod load;
mod servers;
mod usage;
mod waits;

use std::time::Duration;

pub use bare::serve as serve_bare;
pub use figures::Figures;

use self::figures::Spread;
use self::in_process::InProcess;
use self::load::{CONNECTIONS, Generator};
use self::servers::{Cost, Server};
use self::waits::Wait;
use super::memory::Thing;
use crate::Result;

/// How often the servers take turns.
const ROUNDS: usize = 9;

/// Measures everything, which takes some minutes, and prints what it does.
///
/// # Errors
/// A server does not start or gives a wrong response.
pub fn measure() -> Result<Figures> {
    let mut figures = Figures::default();
    for thing in Thing::ALL {
        let bytes = thing.measure_apart();
        if let Some(bytes) = bytes {
            println!("memory: {bytes} B a {}", thing.name());
        }
        match thing {
            Thing::Tag => figures.tag = bytes,
            Thing::Repository => figures.repository = bytes,
            Thing::Referrer => figures.referrer = bytes,
        }
    }
    if let Some(measured) = InProcess::measure()? {
        let micros = |times: &[Duration]| {
            times
                .iter()
                .map(|time| time.as_secs_f64() * 1e6)
                .collect::<Vec<_>>()
        };
        let least = |name, times| {
            let spread = Spread::of(&micros(times))?;
            println!("in process, us of CPU: {name} {spread}");
            Some(spread.least)
        };
        figures.in_process = least("a manifest", &measured.manifest);
        figures.page = least("a page of 100 tags", &measured.page);
    }
    let waits = waits::measure(|wait| {
        let Wait {
            operation,
            with,
            without,
            took,
        } = wait;
        println!(
            "longest wait beside {operation}, which takes {took:.0} ms: {with:.1} ms, without it {without:.1} ms"
        );
    })?;
    figures.wait = waits.iter().map(Wait::added).reduce(f64::max);
    over_http(&mut figures)?;
    Ok(figures)
}

/// The rounds over HTTP, one load after the other.
fn over_http(figures: &mut Figures) -> Result<()> {
    let generator = Generator::find();
    println!("load: {CONNECTIONS} connections, sent by {generator:?}");
    usage::pin(std::process::id(), 1);
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mock, logging, docker) = runtime.block_on(async {
        let mock = Server::mock("off", &folder.path().join("off")).await?;
        let logging = Server::mock("info", &folder.path().join("log")).await?;
        let docker = Server::docker_registry().await;
        Ok::<_, crate::Failure>((mock, logging, docker))
    })?;
    if let Err(error) = &docker {
        println!("docker-registry is left out: {error}");
    }
    let bare = Server::bare(&mock, folder.path())?;
    let mut rounds = Rounds::default();
    for number in 1..=ROUNDS {
        let round = Round {
            bare: bare.load(generator, &bare.manifest)?,
            mock: mock.load(generator, &mock.manifest)?,
            logging: logging.load(generator, &logging.manifest)?,
            docker: match &docker {
                Ok(docker) => Some(docker.load(generator, &docker.manifest)?),
                Err(_) => None,
            },
            bare_page: bare.load(generator, &bare.page)?,
            mock_page: mock.load(generator, &mock.page)?,
        };
        println!("round {number} of {ROUNDS}: {round}");
        rounds.0.push(round);
    }
    rounds.sum_up(figures);
    Ok(())
}

/// One load of each kind.
#[derive(Debug)]
struct Round {
    bare: Cost,
    mock: Cost,
    logging: Cost,
    docker: Option<Cost>,
    bare_page: Cost,
    mock_page: Cost,
}

impl std::fmt::Display for Round {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let loads = [
            ("bare", Some(self.bare)),
            ("mock", Some(self.mock)),
            ("with log", Some(self.logging)),
            ("docker-registry", self.docker),
            ("bare page", Some(self.bare_page)),
            ("page", Some(self.mock_page)),
        ];
        for (at, (name, cost)) in loads.into_iter().enumerate() {
            let Some(Cost { rate, cpu }) = cost else {
                continue;
            };
            let separator = if at == 0 { "" } else { ", " };
            write!(f, "{separator}{name} {rate:.0}/s")?;
            if let Some(cpu) = cpu {
                write!(f, " {:.1} us", cpu.as_secs_f64() * 1e6)?;
            }
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Rounds(Vec<Round>);

impl Rounds {
    fn sum_up(&self, figures: &mut Figures) {
        let rate = |cost: &Cost| Some(cost.rate);
        let cpu = |cost: &Cost| Some(cost.cpu?.as_secs_f64());
        figures.of_bare = self.ratio("rate of bare", |round| {
            Some(rate(&round.mock)? / rate(&round.bare)?)
        });
        figures.with_log = self.ratio("with log", |round| {
            Some(rate(&round.logging)? / rate(&round.bare)?)
        });
        figures.cpu = self.ratio("CPU of bare", |round| {
            Some(cpu(&round.mock)? / cpu(&round.bare)?)
        });
        figures.docker_registry = self.ratio("rate of docker-registry", |round| {
            Some(rate(&round.mock)? / rate(round.docker.as_ref()?)?)
        });
        figures.page_of_bare = self.ratio("a page, rate of bare", |round| {
            Some(rate(&round.mock_page)? / rate(&round.bare_page)?)
        });
    }

    /// The median of a ratio, which is printed with its spread.
    fn ratio(&self, name: &str, ratio: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
        let ratios: Vec<f64> = self.0.iter().filter_map(ratio).collect();
        let spread = Spread::of(&ratios)?;
        println!("{name}: {spread}");
        Some(spread.middle)
    }
}
