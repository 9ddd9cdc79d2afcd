mod clock;
mod model;
mod simulated;

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{join, join_all, select};
use http::HeaderValue;

use self::clock::{Task, TestClock};
use super::*;

const DELETE: OperationClass = OperationClass::Delete;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn limiter(clock: &TestClock, max_in_flight: usize) -> Limiter {
    let options = LimiterOptions {
        max_in_flight,
        ..LimiterOptions::default()
    };
    Limiter::new(clock.dynamic(), options)
}

/// A limiter whose class for deletes was refused at two calls a second, and is open again.
fn limited(clock: &TestClock, max_in_flight: usize) -> Limiter {
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
    let clock = TestClock::new();
    let limiter = limiter(&clock, 3);
    let mut permits: Vec<_> = (0..3).map(|_| now(&limiter, DELETE)).collect();
    let mut fourth = Task::new(limiter.admit(DELETE));
    assert!(fourth.poll().is_none());
    assert_eq!(clock.sleepers(), 0, "no time has to pass");
    clock.advance(millis(70));
    permits.pop();
    assert_eq!(fourth.woken(), 1);
    assert_eq!(fourth.poll().unwrap().waited(), millis(70));
}

#[test]
fn off_is_free() {
    let clock = crate::clock::from_fn(
        || -> std::time::SystemTime { panic!("asks for the time") },
        |_| async { panic!("sleeps") },
    );
    let limiter = Limiter::new(Arc::new(clock), LimiterOptions::off());
    let permits: Vec<_> = (0..1000).map(|_| now(&limiter, DELETE)).collect();
    for permit in &permits {
        refuse(&limiter, permit, Some(millis(1000)));
        tell(&limiter, permit, "0");
        assert_eq!(permit.waited(), Duration::ZERO);
    }
}

#[test]
fn those_who_wait_for_a_place_are_served_in_order_and_woken_one_by_one() {
    let clock = TestClock::new();
    let limiter = limiter(&clock, 1);
    let mut held = Some(now(&limiter, DELETE));
    let mut waiting: Vec<_> = (0..20).map(|_| Task::new(limiter.admit(DELETE))).collect();
    for task in &mut waiting {
        assert!(task.poll().is_none());
    }
    for turn in 0..20 {
        held.take();
        let woken: Vec<_> = waiting.iter().map(Task::woken).collect();
        let expected: Vec<_> = (0..20).map(|index| usize::from(index == turn)).collect();
        assert_eq!(woken, expected);
        // Whoever is polled before it is not served before it.
        for later in &mut waiting[turn + 1..] {
            assert!(later.poll().is_none());
        }
        held = waiting[turn].poll();
        assert!(held.is_some());
    }
}

#[test]
fn those_who_wait_for_their_time_are_served_in_order() {
    let clock = TestClock::new();
    let limiter = limited(&clock, 64);
    let order = Mutex::new(Vec::new());
    let calls = (0..10).map(|index| {
        let (limiter, order) = (&limiter, &order);
        async move {
            let permit = limiter.admit(DELETE).await;
            order.lock().unwrap().push((index, permit.waited()));
        }
    });
    clock.drive(join_all(calls));
    let order = order.into_inner().unwrap();
    let expected: Vec<_> = (0..10).map(|index| (index, millis(1000) * index)).collect();
    // The first makes up for a timer that might have been late.
    for ((index, waited), expected) in order.iter().zip(expected) {
        assert_eq!(*index, expected.0);
        assert!(expected.1.abs_diff(*waited) <= millis(50), "{order:?}");
    }
}

#[test]
fn nobody_overtakes_the_queue_when_the_time_has_come() {
    let clock = TestClock::new();
    let limiter = limited(&clock, 64);
    drop(now(&limiter, DELETE));
    let (mut first, mut second) = (
        Task::new(limiter.admit(DELETE)),
        Task::new(limiter.admit(DELETE)),
    );
    assert!(first.poll().is_none());
    clock.advance(millis(1000));
    assert!(second.poll().is_none(), "the turn is that of the first");
    assert!(first.poll().is_some());
}

#[test]
fn one_who_leaves_the_queue_at_any_stage_leaves_no_hole() {
    // Dropped before its first poll, as the first, in the middle, as the last.
    for dropped in [None, Some(0), Some(2), Some(4)] {
        let clock = TestClock::new();
        let limiter = limited(&clock, 64);
        drop(now(&limiter, DELETE));
        let mut waiting: Vec<_> = (0..5)
            .map(|_| Some(Task::new(limiter.admit(DELETE))))
            .collect();
        for task in waiting.iter_mut().flatten() {
            assert!(task.poll().is_none());
        }
        match dropped {
            None => drop(limiter.admit(DELETE)),
            Some(index) => waiting[index] = None,
        }
        let left = waiting.into_iter().flatten();
        let calls = left.map(Task::into_inner);
        let start = clock.now();
        let permits = clock.drive(join_all(calls));
        let took = clock.now().duration_since(start).unwrap();
        let count = u32::try_from(permits.len()).unwrap();
        assert!(took <= millis(1000) * count, "{dropped:?}: {took:?}");
    }
}

#[test]
fn a_turn_that_is_given_and_not_come_for_goes_to_the_next() {
    let clock = TestClock::new();
    let limiter = limited(&clock, 1);
    let held = now(&limiter, DELETE);
    let (mut first, mut second) = (
        Task::new(limiter.admit(DELETE)),
        Task::new(limiter.admit(DELETE)),
    );
    assert!(first.poll().is_none() && second.poll().is_none());
    clock.advance(millis(1000));
    drop(held);
    assert!(first.woken() > 0);
    second.woken();
    drop(first);
    assert_eq!(second.woken(), 1);
    let permit = second
        .poll()
        .expect("neither the place nor the time is lost");
    assert_eq!(permit.waited(), millis(1000));
}

#[test]
fn a_future_that_nobody_polls_any_more_holds_up_nobody() {
    let clock = TestClock::new();
    // For their time.
    let limiter = limited(&clock, 64);
    drop(now(&limiter, DELETE));
    let mut left_alone: Vec<_> = (0..10).map(|_| Task::new(limiter.admit(DELETE))).collect();
    for task in &mut left_alone {
        assert!(task.poll().is_none());
    }
    let permit = clock.drive(limiter.admit(DELETE));
    // Its own turn would be after ten seconds; noticing that nobody else comes takes as long again.
    assert!(permit.waited() <= millis(23_000), "{:?}", permit.waited());
    // For a place, while the class becomes limited.
    let limiter = self::limiter(&clock, 2);
    let held = [now(&limiter, DELETE), now(&limiter, DELETE)];
    let mut alone = Task::new(limiter.admit(DELETE));
    assert!(alone.poll().is_none());
    let (permit, ()) = clock.drive(join(limiter.admit(DELETE), async {
        refuse(&limiter, &held[0], None);
        drop(held);
    }));
    assert!(permit.waited() <= millis(3000), "{:?}", permit.waited());
}

#[test]
fn a_class_that_closes_while_the_first_waits_for_a_place_wakes_it_when_it_opens() {
    let clock = TestClock::new();
    let limiter = limited(&clock, 1);
    let held = now(&limiter, DELETE);
    clock.advance(millis(5000));
    let (permit, ()) = clock.drive(join(limiter.admit(DELETE), async {
        refuse(&limiter, &held, Some(millis(7000)));
        drop(held);
    }));
    assert_eq!(permit.waited(), millis(7000));
}

#[test]
fn what_was_refused_waits_as_long_as_the_registry_asks_within_the_bound() {
    for (asked, waited) in [(3, 3), (3600, 300)] {
        let clock = TestClock::new();
        let limiter = limiter(&clock, 64);
        let permit = now(&limiter, DELETE);
        refuse(&limiter, &permit, Some(Duration::from_secs(asked)));
        let next = clock.drive(limiter.admit(DELETE));
        assert_eq!(next.waited(), Duration::from_secs(waited));
    }
}

#[test]
fn a_count_of_calls_left_closes_until_the_next_second_of_the_clock() {
    let clock = TestClock::new();
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
    let clock = TestClock::new();
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
fn classes_do_not_influence_each_other() {
    let clock = TestClock::new();
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
    let clock = TestClock::new();
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
    let clock = TestClock::new();
    let limiter = limiter(&clock, 0);
    let held = now(&limiter, DELETE);
    assert!(Task::new(limiter.admit(DELETE)).poll().is_none());
    drop(held);
    drop(now(&limiter, DELETE));
}

#[test]
fn a_clock_whose_sleeps_take_no_time_ends_every_wait() {
    let time = std::time::SystemTime::UNIX_EPOCH;
    let clock = crate::clock::from_fn(move || time, |_| std::future::ready(()));
    let options = LimiterOptions {
        max_in_flight: 1,
        ..LimiterOptions::default()
    };
    let limiter = Limiter::new(Arc::new(clock), options);
    let held = now(&limiter, DELETE);
    refuse(&limiter, &held, None);
    let (mut first, mut second) = (
        Task::new(limiter.admit(DELETE)),
        Task::new(limiter.admit(DELETE)),
    );
    // There is no place for them, so a poll has to end without one.
    assert!(first.poll().is_none() && second.poll().is_none());
    drop(held);
    drop(first.poll().unwrap());
    drop(second.poll().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_on_many_threads_lose_no_wake_up_and_keep_the_bound() {
    // Every sleep is over at once, so the pace costs no time.
    let clock = crate::clock::from_fn(std::time::SystemTime::now, |_| tokio::task::yield_now());
    let options = LimiterOptions {
        max_in_flight: 3,
        ..LimiterOptions::default()
    };
    let limiter = Limiter::new(Arc::new(clock), options);
    let in_flight = Arc::new(AtomicUsize::new(0));
    let callers = (0..16).map(|caller| {
        let (limiter, in_flight) = (limiter.clone(), in_flight.clone());
        tokio::spawn(async move {
            for call in 0..200 {
                if (caller + call) % 7 == 0 {
                    // Begun, and given up while it waits or as soon as it has its turn.
                    let admit = Box::pin(limiter.admit(DELETE));
                    select(admit, Box::pin(tokio::task::yield_now())).await;
                    continue;
                }
                let permit = limiter.admit(DELETE).await;
                assert!(in_flight.fetch_add(1, Ordering::SeqCst) < 3);
                tokio::task::yield_now().await;
                match call % 50 {
                    10 => refuse(&limiter, &permit, None),
                    20 => tell(&limiter, &permit, "1"),
                    _ => limiter.learn(&permit, StatusCode::OK, &HeaderMap::new(), None),
                }
                in_flight.fetch_sub(1, Ordering::SeqCst);
            }
        })
    });
    for caller in join_all(callers).await {
        caller.unwrap();
    }
    assert_eq!(in_flight.load(Ordering::SeqCst), 0);
}
