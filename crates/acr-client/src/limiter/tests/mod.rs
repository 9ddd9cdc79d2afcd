mod model;
mod order;
mod places;
mod programs;
mod simulated;
mod task;

use std::time::SystemTime;

use acr_clock::VirtualClock;
use http::HeaderValue;

use self::task::Task;
use super::*;

const DELETE: OperationClass = OperationClass::Delete;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A clock that does not stand at the beginning of a second: nothing may rely on that.
fn clock() -> VirtualClock {
    VirtualClock::starting_at(SystemTime::UNIX_EPOCH + millis(1_700_000_000_400))
}

fn limiter(clock: &VirtualClock, max_in_flight: usize) -> Limiter {
    let options = LimiterOptions {
        max_in_flight,
        ..LimiterOptions::default()
    };
    Limiter::new(Arc::new(clock.clone()), Some(options))
}

/// A limiter whose class for deletes was refused at two calls a second, and is open again.
fn limited(clock: &VirtualClock, max_in_flight: usize) -> Limiter {
    let limiter = limiter(clock, max_in_flight);
    let permit = now(&limiter, DELETE);
    refuse(&limiter, &permit, None);
    clock.advance(millis(1000));
    limiter
}

/// A permit that is there at once.
#[track_caller]
fn now(limiter: &Limiter, class: OperationClass) -> Permit {
    let permit = Task::new(limiter.admit(class)).poll();
    permit.expect("nothing to wait for")
}

fn refuse(limiter: &Limiter, permit: &Permit, retry_after: Option<Duration>) {
    let status = StatusCode::TOO_MANY_REQUESTS;
    limiter.learn(permit, status, &HeaderMap::new(), retry_after);
}

fn tell(limiter: &Limiter, permit: &Permit, left: &'static str) {
    let mut headers = HeaderMap::new();
    headers.insert(RATE_LIMIT_REMAINING, HeaderValue::from_static(left));
    limiter.learn(permit, StatusCode::ACCEPTED, &headers, None);
}

#[test]
fn a_class_without_limits_is_bounded_in_calls_at_once_alone() {
    let clock = clock();
    let limiter = limiter(&clock, 3);
    let mut permits: Vec<_> = (0..3).map(|_| now(&limiter, DELETE)).collect();
    let mut fourth = Task::new(limiter.admit(DELETE));
    assert!(fourth.poll().is_none());
    assert_eq!(
        clock.sleepers(),
        1,
        "no time has to pass, but places may be left lying"
    );
    clock.advance(millis(70));
    permits.pop();
    assert_eq!(fourth.woken(), 1);
    assert_eq!(fourth.poll().unwrap().waited(), millis(70));
}

#[derive(Debug)]
struct Unused;

impl Clock for Unused {
    fn now(&self) -> SystemTime {
        panic!("asks for the time")
    }

    fn elapsed(&self) -> Duration {
        panic!("asks for the time")
    }

    fn sleep(&self, _: Duration) -> acr_clock::Sleep {
        panic!("sleeps")
    }
}

#[test]
fn off_is_free() {
    let limiter = Limiter::new(Arc::new(Unused), None);
    let permits: Vec<_> = (0..1000).map(|_| now(&limiter, DELETE)).collect();
    for permit in &permits {
        refuse(&limiter, permit, Some(millis(1000)));
        tell(&limiter, permit, "0");
        assert_eq!(permit.waited(), Duration::ZERO);
    }
}

#[test]
fn what_was_refused_waits_as_long_as_the_registry_asks_within_the_bound() {
    for (asked, waited) in [(3, 3), (3600, 300)] {
        let clock = clock();
        let limiter = limiter(&clock, 64);
        let permit = now(&limiter, DELETE);
        refuse(&limiter, &permit, Some(Duration::from_secs(asked)));
        let next = clock.drive(limiter.admit(DELETE));
        assert_eq!(next.waited(), Duration::from_secs(waited));
    }
}

#[test]
fn a_count_of_calls_left_closes_until_the_next_second_of_the_clock() {
    let clock = clock();
    let limiter = limiter(&clock, 64);
    let permit = now(&limiter, DELETE);
    tell(&limiter, &permit, "8.000000");
    drop(now(&limiter, DELETE));
    tell(&limiter, &permit, " 0.25 ");
    // The clock began at 400 ms of a second.
    let next = clock.drive(limiter.admit(DELETE));
    assert_eq!(next.waited(), millis(600));
}

#[test]
fn counts_that_are_none_change_nothing() {
    let clock = clock();
    let limiter = limiter(&clock, 1000);
    let permit = now(&limiter, DELETE);
    for text in [
        "", "many", "-1", "NaN", "-inf", "inf", "1e300", "0x8", "8,0",
    ] {
        tell(&limiter, &permit, text);
    }
    let _permits: Vec<_> = (0..500).map(|_| now(&limiter, DELETE)).collect();
}

#[test]
fn only_a_response_that_came_after_the_count_says_that_a_call_was_let_through() {
    let pause = Some(millis(1));
    for (status, expected) in [
        (429, Outcome::Refused(pause)),
        (200, Outcome::LetThrough),
        (307, Outcome::LetThrough),
        (404, Outcome::LetThrough),
        (401, Outcome::Unclear),
        (500, Outcome::Unclear),
        (503, Outcome::Unclear),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(verdict(status, pause), expected, "{status}");
    }
}

#[test]
fn classes_do_not_influence_each_other() {
    let clock = clock();
    let limiter = limiter(&clock, 1);
    let held = now(&limiter, DELETE);
    refuse(&limiter, &held, Some(millis(60_000)));
    tell(&limiter, &held, "1");
    let mut waiting = Task::new(limiter.admit(DELETE));
    assert!(waiting.poll().is_none());
    for class in [
        OperationClass::Token,
        OperationClass::MetadataRead,
        OperationClass::MetadataWrite,
        OperationClass::Manifest,
        OperationClass::Referrers,
        OperationClass::Blob,
    ] {
        for _ in 0..100 {
            drop(now(&limiter, class));
        }
    }
}

#[test]
fn clones_share_what_they_learn() {
    let clock = clock();
    let limiter = limiter(&clock, 1);
    let other = limiter.clone();
    let held = now(&limiter, DELETE);
    let mut waiting = Task::new(other.admit(DELETE));
    assert!(waiting.poll().is_none());
    refuse(&other, &held, None);
    drop(held);
    let permit = clock.drive(waiting.into_inner());
    assert_eq!(permit.waited(), millis(1000));
}

#[test]
fn a_bound_of_none_lets_one_call_go_at_a_time() {
    let clock = clock();
    let limiter = limiter(&clock, 0);
    let held = now(&limiter, DELETE);
    assert!(Task::new(limiter.admit(DELETE)).poll().is_none());
    drop(held);
    drop(now(&limiter, DELETE));
}
