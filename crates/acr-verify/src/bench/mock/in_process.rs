//! What the registry costs without a socket: CPU time an operation.

use std::hint::black_box;
use std::time::{Duration, Instant};

use acr_mock::Registry;
use futures_util::FutureExt as _;
use http::Request;

use super::load::ACCEPT;
use crate::Result;
use crate::bench::usage;

/// How many times the operations take turns.
const ROUNDS: usize = 15;
/// How long one turn lasts at least.
const TURN: Duration = Duration::from_millis(80);
/// How many requests are made before their turn, so that making them is not part of it.
const BATCH: usize = 500;

/// Measures a manifest by tag and a page of 100 tags in turn: the CPU time in microseconds, by the round. `None` where
/// the CPU time of a thread is not known.
pub(super) fn measure() -> Result<Option<[Vec<f64>; 2]>> {
    let registry = Registry::new();
    let app = registry.seed("bench/app")?;
    let image = app.image("v000")?;
    for number in 1..150 {
        app.manifest(Some(&format!("v{number:03}")), &image)?;
    }
    let token = registry.access_token("repository:bench/app:metadata_read,pull")?;
    let mut measured = [Vec::new(), Vec::new()];
    let paths = [
        "/v2/bench/app/manifests/v000",
        "/acr/v1/bench/app/_tags?n=100",
    ];
    for _ in 0..ROUNDS {
        for (path, times) in paths.iter().zip(&mut measured) {
            let Some(time) = turn(&registry, &token, path)? else {
                return Ok(None);
            };
            times.push(time.as_secs_f64() * 1e6);
        }
    }
    Ok(Some(measured))
}

/// The CPU time of one request, on the average of a turn.
fn turn(registry: &Registry, token: &str, path: &str) -> Result<Option<Duration>> {
    let request = || {
        Request::get(format!("https://mock.azurecr.io{path}"))
            .header("Accept", ACCEPT)
            .header("Authorization", format!("Bearer {token}"))
            .body(String::new())
    };
    let (mut used, mut requests) = (Duration::ZERO, 0);
    let start = Instant::now();
    while start.elapsed() < TURN {
        let batch = (0..BATCH)
            .map(|_| request())
            .collect::<Result<Vec<_>, _>>()?;
        let before = usage::of_thread();
        for request in batch {
            let response = registry.handle(request).now_or_never();
            let response = response.ok_or("the registry waits for nothing")?;
            if response.status() != 200 {
                return Err(format!("{} to GET {path}", response.status()).into());
            }
            black_box(response);
        }
        let Some((before, after)) = before.zip(usage::of_thread()) else {
            return Ok(None);
        };
        used += after.saturating_sub(before);
        requests += BATCH as u32;
    }
    Ok(Some(used / requests))
}
