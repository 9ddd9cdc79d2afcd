//! Many callers and a server with a limit, on a clock that takes no time.

#![allow(clippy::future_not_send, reason = "all of it runs on one thread")]

use std::cell::{Cell, RefCell};
use std::time::SystemTime;

use fastrand::Rng;
use futures_util::future::join_all;

use super::*;

/// Lets so many calls through in each window, and refuses the rest.
struct Server {
    clock: VirtualClock,
    limit: u32,
    window: Duration,
    /// The windows do not begin with the seconds of the client's clock.
    phase: Duration,
    tells_what_is_left: bool,
    /// Of window and calls in it.
    count: Cell<(u128, u32)>,
    rng: RefCell<Rng>,
}

struct Report {
    refused: u32,
    /// Calls that came through, of those that could have in the time it took.
    share: f64,
}

impl Server {
    fn per_second(limit: u32, clock: &VirtualClock) -> Self {
        Self {
            clock: clock.clone(),
            limit,
            window: millis(1000),
            phase: millis(130),
            tells_what_is_left: false,
            count: Cell::new((0, 0)),
            rng: RefCell::new(Rng::with_seed(7)),
        }
    }

    /// Takes 20 to 60 ms each way.
    async fn call(&self) -> (StatusCode, HeaderMap) {
        self.travel().await;
        let since = self.clock.now().duration_since(SystemTime::UNIX_EPOCH);
        let window = (since.unwrap() + self.phase).as_nanos() / self.window.as_nanos();
        let (last, count) = self.count.get();
        let count = if window == last { count + 1 } else { 1 };
        self.count.set((window, count));
        let mut headers = HeaderMap::new();
        if self.tells_what_is_left {
            let left = (self.limit + 1).saturating_sub(count);
            let text = format!("{left}.000000");
            headers.insert(RATE_LIMIT_REMAINING, HeaderValue::try_from(text).unwrap());
        }
        self.travel().await;
        if count > self.limit {
            (StatusCode::TOO_MANY_REQUESTS, headers)
        } else {
            (StatusCode::ACCEPTED, headers)
        }
    }

    async fn travel(&self) {
        let latency = self.rng.borrow_mut().u64(20..60);
        self.clock.sleep(millis(latency)).await;
    }

    /// Has so many calls made by so many callers, each again until it is let through.
    fn serve(&self, calls: u32, callers: usize) -> Report {
        let limiter = Limiter::new(
            Arc::new(self.clock.clone()),
            Some(LimiterOptions::default()),
        );
        let (begun, refused) = (Cell::new(0), Cell::new(0));
        let start = self.clock.now();
        let work = (0..callers).map(|_| async {
            while begun.get() < calls {
                begun.set(begun.get() + 1);
                loop {
                    let permit = limiter.admit(DELETE).await;
                    let (status, headers) = self.call().await;
                    limiter.learn(&permit, status, &headers, None);
                    if status.is_success() {
                        break;
                    }
                    refused.set(refused.get() + 1);
                }
            }
        });
        self.clock.drive(join_all(work));
        let took = self.clock.now().duration_since(start).unwrap();
        let possible = f64::from(self.limit) * took.as_secs_f64() / self.window.as_secs_f64();
        let report = Report {
            refused: refused.get(),
            share: f64::from(calls) / possible,
        };
        println!(
            "{} in {:?}, told: {}: {calls} calls in {took:?}, {} refused, {:.0} % of the limit used",
            self.limit,
            self.window,
            self.tells_what_is_left,
            report.refused,
            report.share * 100.0
        );
        report
    }
}

#[test]
fn an_untold_limit_is_found_and_mostly_used() {
    for (limit, calls) in [(8, 2000), (30, 5000), (200, 20_000)] {
        let report = Server::per_second(limit, &clock()).serve(calls, 64);
        assert!(report.refused < calls / 20, "{limit}: {}", report.refused);
        assert!(report.share > 0.7, "{limit}: {}", report.share);
    }
}

#[test]
fn below_a_told_limit_only_the_first_storm_is_refused() {
    for limit in [8, 32] {
        let mut server = Server::per_second(limit, &clock());
        server.tells_what_is_left = true;
        let report = server.serve(2000, 64);
        assert!(report.refused <= 64 - limit, "{limit}: {}", report.refused);
        assert!(report.share > 0.8, "{limit}: {}", report.share);
    }
}

#[test]
fn callers_that_begin_one_by_one_are_never_refused_below_a_told_limit() {
    let mut server = Server::per_second(8, &clock());
    server.tells_what_is_left = true;
    for callers in [1, 4] {
        assert_eq!(server.serve(500, callers).refused, 0);
    }
}

#[test]
fn a_limit_by_the_minute_that_is_used_up_is_not_tried_each_second() {
    let mut server = Server::per_second(100, &clock());
    server.window = millis(60_000);
    let report = server.serve(1000, 64);
    assert!(report.refused < 150, "{}", report.refused);
    assert!(report.share > 0.8, "{}", report.share);
}

#[test]
fn a_registry_that_was_enlarged_is_used_in_full_again() {
    let clock = clock();
    let limiter = limiter(&clock, 64);
    let server = Server::per_second(8, &clock);
    let wide = Server::per_second(1_000_000, &clock);
    let run = |server: Server, calls: u32| {
        let limiter = &limiter;
        let left = Cell::new(calls);
        let start = clock.now();
        let work = (0..64).map(|_| async {
            while left.get() > 0 {
                left.set(left.get() - 1);
                let permit = limiter.admit(DELETE).await;
                let (status, headers) = server.call().await;
                limiter.learn(&permit, status, &headers, None);
            }
        });
        clock.drive(join_all(work));
        clock.now().duration_since(start).unwrap()
    };
    run(server, 500);
    let took = run(wide, 5000);
    assert!(took < Duration::from_secs(120), "{took:?}");
    // Without a limit, the callers do nothing but wait for responses: 80 ms each.
    let wide = Server::per_second(1_000_000, &clock);
    let took = run(wide, 6400);
    assert!(took < Duration::from_secs(10), "{took:?}");
}
