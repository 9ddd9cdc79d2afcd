//! Uploads and downloads under random sequences of faults: the right bytes arrive exactly once, or an error says why not and
//! nothing is where they should be.
//!
//! `PROPTEST_CASES` is the number of cases, `PROPTEST_RNG_SEED` what they are drawn from.

mod downloads;
mod uploads;

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use acr_client::transport::{Body, from_fn};
use acr_client::{ContainerRegistryClient, Credential, RepositoryClient, RetryOptions};
use acr_mock::{Fault, FaultAction, FaultResponse, Registry, VirtualClock};
use bytes::Bytes;
use http::{Request, StatusCode};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::SEED;

/// A fault that strikes once or more.
#[derive(Clone, Copy, Debug)]
struct Strike {
    /// An operation, or [`DATA`].
    on: &'static str,
    after: u64,
    times: u64,
    action: FaultAction,
}

/// Where blobs are read: the storage behind the registry, or the registry itself where that sends them.
const DATA: &str = "data";

impl Strike {
    fn at(self, scene: &Scene) {
        let fault = match self.on {
            DATA if scene.redirects => Fault::on_data(),
            DATA => Fault::on("get_blob"),
            operation => Fault::on(operation),
        };
        let fault = fault.after(self.after).times(self.times);
        // One that could never strike there is left out.
        let _unfit = scene.registry.inject(fault.then(self.action));
    }
}

/// A registry with a clock that moves by itself, and a client of it.
struct Scene {
    registry: Registry,
    /// Whether storage sends the blobs.
    redirects: bool,
    clock: VirtualClock,
    repository: RepositoryClient,
}

impl Scene {
    fn new(redirects: bool) -> Self {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let clock = VirtualClock::starting_at(start);
        let registry = Registry::builder().clock(clock.clone());
        let registry = registry.data_redirect(redirects).build();
        let handler = registry.clone();
        // The seed of the pauses between attempts is printed with that of the cases.
        let retry = RetryOptions {
            seed: Some(SEED),
            ..RetryOptions::default()
        };
        let client = ContainerRegistryClient::builder("https://mock.azurecr.io")
            .retry(retry)
            .credential(Credential::entra_token("any"))
            .transport(from_fn(move |request: Request<Body>| {
                handler.try_handle(request)
            }))
            .clock(clock.clone());
        let repository = client.build().unwrap().repository_client("app").unwrap();
        Self {
            registry,
            redirects,
            clock,
            repository,
        }
    }
}

/// Bytes that are different at every place where they might be misplaced.
fn content(size: usize) -> Bytes {
    static LONGEST: LazyLock<Bytes> = LazyLock::new(|| {
        let byte = |at: usize| (at ^ (at >> 8) ^ (at >> 16)) as u8;
        (0..MAX_SIZE).map(byte).collect()
    });
    LONGEST.slice(..size)
}

/// More than is held of a source that is read once, and more than a few pieces.
const MAX_SIZE: usize = 5_000_000;

/// Short contents mostly, and some that are longer than what is read, sent or hashed at once.
fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![
        2 => 0_usize..3,
        20 => 3_usize..20_000,
        1 => (1_usize << 20) - 1..(1 << 20) + 2,
        1 => Just(MAX_SIZE),
    ]
}

/// Places in a body: its ends, and any between.
fn places(size: usize) -> impl Strategy<Value = u64> {
    let size = size as u64;
    prop_oneof![
        Just(0),
        Just(1),
        Just(size.saturating_sub(1)),
        Just(size),
        0..=size + 1,
    ]
}

/// What becomes of a request wherever it goes, and can be tried again.
fn passing() -> impl Strategy<Value = FaultAction> {
    prop_oneof![
        Just(FaultAction::Reset),
        Just(FaultAction::DropResponse),
        Just(FaultResponse::too_many_requests().retry_after(1).into()),
        Just(FaultResponse::internal_server_error().into()),
        Just(FaultResponse::bad_gateway().into()),
        Just(FaultResponse::service_unavailable().into()),
        Just(FaultResponse::gateway_timeout().into()),
        (0_u64..600).prop_map(|delay| FaultAction::DelayResponse(Duration::from_secs(delay))),
        Just(FaultAction::Hang),
    ]
}

/// What cannot be tried again, or not for ever.
fn lasting() -> impl Strategy<Value = FaultAction> {
    let status = |status| FaultAction::from(FaultResponse::status(status));
    prop_oneof![
        Just(FaultResponse::denied().into()),
        Just(FaultResponse::not_found().into()),
        Just(FaultResponse::invalid_token().into()),
        Just(FaultAction::RedirectToSelf),
        Just(status(StatusCode::RANGE_NOT_SATISFIABLE)),
        Just(status(StatusCode::PAYLOAD_TOO_LARGE)),
        Just(status(StatusCode::METHOD_NOT_ALLOWED)),
        Just(status(StatusCode::IM_A_TEAPOT)),
    ]
}

/// Up to eight strikes on these targets.
fn strikes(
    targets: &'static [&'static str],
    action: impl Strategy<Value = FaultAction> + 'static,
) -> impl Strategy<Value = Vec<Strike>> {
    let target = prop::sample::select(targets);
    // Most transfers have few requests.
    let after = prop_oneof![3 => Just(0), 2 => 1_u64..5];
    let strike = (target, after, 1_u64..3, action);
    let strike = strike.prop_map(|(on, after, times, action)| Strike {
        on,
        after,
        times,
        action,
    });
    prop::collection::vec(strike, 0..9)
}

/// Runs the check over as many values as the environment says, or over `cases`. A failure names the smallest one found.
#[track_caller]
fn for_all<S: Strategy>(
    cases: u32,
    strategy: &S,
    check: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let asked = Config::default();
    let seed = match asked.rng_seed {
        RngSeed::Random => SEED,
        RngSeed::Fixed(seed) => seed,
    };
    println!("the cases are drawn from the seed {seed}, the pauses between attempts from {SEED}");
    let config = Config {
        cases: match std::env::var_os("PROPTEST_CASES") {
            Some(_) => asked.cases,
            None => cases,
        },
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 4_096,
        ..asked
    };
    if let Err(error) = TestRunner::new(config).run(strategy, check) {
        panic!("{error}");
    }
}
