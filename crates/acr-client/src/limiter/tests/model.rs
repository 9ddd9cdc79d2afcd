//! Callers that do anything at any time, and what holds whatever they do.

#![allow(clippy::future_not_send, reason = "all of it runs on one thread")]

use std::cell::{Cell, RefCell};

use fastrand::Rng;
use futures_util::future::{Either, join_all, select};

use super::*;

const CLASSES: [OperationClass; 2] = [OperationClass::Delete, OperationClass::Referrers];

/// What the model knows of one class.
#[derive(Default)]
struct Seen {
    in_flight: Cell<usize>,
    arrived: Cell<u32>,
    /// Who has been served last; numbers are given in the order of arrival.
    served: Cell<u32>,
    longest: Cell<Duration>,
}

/// One caller: arrives at some time, may give up, makes a call, and gets some response.
async fn caller(
    clock: &VirtualClock,
    limiter: &Limiter,
    bound: usize,
    seen: &[Seen; 2],
    seed: u64,
) {
    let rng = RefCell::new(Rng::with_seed(seed));
    let random = |most: u64| rng.borrow_mut().u64(0..most);
    clock.sleep(millis(random(20_000))).await;
    let class = usize::from(random(2) == 0);
    let seen = &seen[class];
    let arrival = seen.arrived.get() + 1;
    seen.arrived.set(arrival);
    let admit = limiter.admit(CLASSES[class]);
    let permit = if random(4) == 0 {
        let patience = clock.sleep(millis(random(5000)));
        match select(Box::pin(admit), patience).await {
            Either::Left((permit, _)) => permit,
            Either::Right(_) => return,
        }
    } else {
        admit.await
    };
    assert!(seen.served.replace(arrival) < arrival, "overtaken: {seed}");
    seen.in_flight.set(seen.in_flight.get() + 1);
    assert!(seen.in_flight.get() <= bound, "too many: {seed}");
    seen.longest.set(seen.longest.get().max(permit.waited()));
    clock.sleep(millis(random(300))).await;
    match random(12) {
        0 => refuse(limiter, &permit, None),
        1 => refuse(limiter, &permit, Some(millis(random(3000)))),
        2 => tell(limiter, &permit, "20"),
        3 => tell(limiter, &permit, "1"),
        4 => tell(limiter, &permit, "nonsense"),
        5 => limiter.learn(&permit, StatusCode::BAD_GATEWAY, &HeaderMap::new(), None),
        6 => {}
        _ => limiter.learn(&permit, StatusCode::OK, &HeaderMap::new(), None),
    }
    seen.in_flight.set(seen.in_flight.get() - 1);
}

#[test]
fn whatever_callers_do_nobody_starves_or_is_overtaken_and_the_bound_holds() {
    for seed in 0..60 {
        let clock = clock();
        let bound = [1, 2, 5, 64][usize::try_from(seed % 4).unwrap()];
        let limiter = limiter(&clock, bound);
        let seen = <[Seen; 2]>::default();
        let callers =
            (0..100).map(|index| caller(&clock, &limiter, bound, &seen, seed * 1000 + index));
        // Fails at a lost wake-up, and ends when all are served or have given up.
        clock.drive(join_all(callers));
        for seen in &seen {
            // Each of the 100 is refused at worst, and asks for 8 seconds at most.
            assert!(seen.longest.get() < Duration::from_secs(800), "{seed}");
            assert_eq!(seen.in_flight.get(), 0);
        }
        // All places are free again, and nobody is left who would be woken.
        assert_eq!(clock.sleepers(), 0);
        clock.advance(Duration::from_secs(3600));
        for class in CLASSES {
            let permit = now(&limiter, class);
            limiter.learn(&permit, StatusCode::OK, &HeaderMap::new(), None);
        }
    }
}
