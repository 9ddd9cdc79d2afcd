//! What the mock costs, beside a bare server that gives the same bytes and beside docker-registry.
//!
//! Rates and CPU times depend on the machine; their ratios hardly do. All servers take turns within one run, each in a
//! process that is held to one core, while the load comes from the other.

mod bare;
mod figures;
mod in_process;
mod load;
mod servers;
pub(super) mod waits;

pub use bare::serve as serve_bare;
pub use figures::Figures;

use self::load::{CONNECTIONS, GENERATOR};
use self::servers::{Cost, Server};
use super::spread::Spread;
use super::{memory, usage};
use crate::Result;

/// How often the servers take turns.
const ROUNDS: usize = 9;

/// Measures everything, which takes some minutes, and prints what it does.
///
/// # Errors
/// A server does not start or gives a wrong response.
pub fn measure() -> Result<Figures> {
    let mut figures = Figures::default();
    for (thing, figure) in [
        ("tag", &mut figures.tag),
        ("repository", &mut figures.repository),
        ("referrer", &mut figures.referrer),
    ] {
        *figure = memory::measure_apart(thing);
        if let Some(bytes) = figure {
            println!("memory: {bytes} B a {thing}");
        }
    }
    if let Some([manifest, page]) = in_process::measure()? {
        let least = |name, micros: &[f64]| {
            let spread = Spread::of(micros)?;
            println!("in process, us of CPU: {name} {spread}");
            Some(spread.least)
        };
        figures.in_process = least("a manifest", &manifest);
        figures.page = least("a page of 100 tags", &page);
    }
    figures.wait = Some(waits::measure()?);
    over_http(&mut figures)?;
    Ok(figures)
}

/// The rounds over HTTP, one load after the other.
fn over_http(figures: &mut Figures) -> Result<()> {
    println!("load: {CONNECTIONS} connections of {}", *GENERATOR);
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
    let mut rounds = Vec::new();
    for number in 1..=ROUNDS {
        let round = Round {
            bare: bare.load(&bare.manifest)?,
            mock: mock.load(&mock.manifest)?,
            logging: logging.load(&logging.manifest)?,
            docker: match &docker {
                Ok(docker) => Some(docker.load(&docker.manifest)?),
                Err(_) => None,
            },
            bare_page: bare.load(&bare.page)?,
            mock_page: mock.load(&mock.page)?,
        };
        println!("round {number} of {ROUNDS}: {round}");
        rounds.push(round);
    }
    // The median of a ratio, which is printed with its spread.
    let ratio = |name: &str, ratio: fn(&Round) -> Option<f64>| {
        let ratios: Vec<f64> = rounds.iter().filter_map(ratio).collect();
        let spread = Spread::of(&ratios)?;
        println!("{name}: {spread}");
        Some(spread.middle)
    };
    figures.of_bare = ratio("rate of bare", |round| {
        Some(round.mock.rate / round.bare.rate)
    });
    figures.with_log = ratio("with log", |round| {
        Some(round.logging.rate / round.bare.rate)
    });
    figures.cpu = ratio("CPU of bare", |round| {
        Some(round.mock.micros? / round.bare.micros?)
    });
    figures.docker_registry = ratio("rate of docker-registry", |round| {
        Some(round.mock.rate / round.docker?.rate)
    });
    figures.page_of_bare = ratio("a page, rate of bare", |round| {
        Some(round.mock_page.rate / round.bare_page.rate)
    });
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
            let Some(Cost { rate, micros }) = cost else {
                continue;
            };
            let separator = if at == 0 { "" } else { ", " };
            write!(f, "{separator}{name} {rate:.0}/s")?;
            if let Some(micros) = micros {
                write!(f, " {micros:.1} us")?;
            }
        }
        Ok(())
    }
}
