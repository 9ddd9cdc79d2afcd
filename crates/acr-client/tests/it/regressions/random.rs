//! Downloads of any size in any mode, with any sequence of faults: the right bytes once, or an error and no
//! file.

use std::fs;
use std::num::{NonZeroU64, NonZeroUsize};

use acr_client::{ErrorKind, ParallelRanges, SaveBlobOptions};
use acr_mock::{Fault, FaultAction, FaultResponse};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::regressions::support::Scene;

/// How a blob is fetched.
fn modes() -> impl Strategy<Value = SaveBlobOptions> {
    let parallel = (1..5_usize, 1..900_u64).prop_map(|(count, size)| ParallelRanges {
        count: NonZeroUsize::new(count).unwrap(),
        size: NonZeroU64::new(size).unwrap(),
    });
    let parallel = proptest::option::of(parallel);
    (any::<bool>(), parallel).prop_map(|(resume, parallel)| SaveBlobOptions {
        resume,
        parallel,
        ..Default::default()
    })
}

/// What happens to one request for bytes.
fn actions() -> impl Strategy<Value = FaultAction> {
    let respond = |response: FaultResponse| Just(FaultAction::Respond(response));
    prop_oneof![
        8 => (0..2_500_u64).prop_map(FaultAction::CutBody),
        2 => (0..2_500_u64).prop_map(FaultAction::StallBody),
        2 => Just(FaultAction::Reset),
        1 => Just(FaultAction::DropResponse),
        2 => Just(FaultAction::IgnoreRange),
        2 => Just(FaultAction::ChangeEtag),
        2 => respond(FaultResponse::expired_url()),
        1 => respond(FaultResponse::too_many_requests()),
        1 => respond(FaultResponse::service_unavailable()),
        1 => (0..2_500_u64).prop_map(FaultAction::FlipByte),
        1 => (1..9_u64).prop_map(FaultAction::ExtendBody),
        1 => (0..2_500_u64).prop_map(FaultAction::AnnounceLength),
        1 => Just(FaultAction::RedirectToSelf),
        1 => respond(FaultResponse::not_found()),
    ]
}

/// The same cases in every run, unless the environment (`PROPTEST_RNG_SEED`, `PROPTEST_CASES`) asks for others.
fn config() -> Config {
    let asked = Config::default();
    let is_asked = std::env::var_os("PROPTEST_CASES").is_some();
    Config {
        cases: if is_asked { asked.cases } else { CASES },
        rng_seed: match asked.rng_seed {
            RngSeed::Random => RngSeed::Fixed(20_210_701),
            fixed @ RngSeed::Fixed(_) => fixed,
        },
        failure_persistence: None,
        ..asked
    }
}

const CASES: u32 = 64;

#[test]
fn whatever_happens_the_right_bytes_arrive_once_or_an_error_says_why_not() {
    let sizes = prop_oneof![Just(0), Just(1), 2..2_500_usize];
    let strategy = (sizes, modes(), vec(actions(), 0..9));
    let config = config();
    println!("the cases are drawn from {:?}", config.rng_seed);
    if let Err(error) = TestRunner::new(config).run(&strategy, check) {
        panic!("{error}");
    }
}

fn check(
    (size, mode, actions): (usize, SaveBlobOptions, Vec<FaultAction>),
) -> Result<(), TestCaseError> {
    let scene = Scene::new();
    let content: Vec<u8> = (0..size).map(|at| (at ^ (at >> 8)) as u8).collect();
    let blob = scene
        .seed("app")
        .blob("application/octet-stream", content.clone());
    let app = scene.owner().repository_client("app").unwrap();
    for action in actions {
        let fault = Fault::on_data().times(1).then(action);
        scene.registry.inject(fault).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("layer");
    let left = || fs::read_dir(folder.path()).unwrap().count();
    // One that ends in an error may be begun again, until no fault is left.
    for _ in 0..12 {
        let save = app.download_blob_to(&blob.digest, &file, mode.clone());
        match scene.drive(save) {
            Ok(count) => {
                prop_assert_eq!(count, size as u64);
                prop_assert!(fs::read(&file).unwrap() == content);
                prop_assert_eq!(left(), 1);
                return Ok(());
            }
            Err(error) => {
                prop_assert!(!file.exists(), "{}", error);
                let kept = mode.resume && error.kind() != ErrorKind::DigestMismatch;
                prop_assert!(left() <= usize::from(kept), "{}", error);
                prop_assert!(!format!("{error:?}").contains("sig="), "{}", error);
            }
        }
    }
    Err(TestCaseError::fail("it does not arrive"))
}
