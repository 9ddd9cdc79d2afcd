//! Places whose calls nobody polls, and what becomes of them.

use futures_util::future::{join, select};

use super::*;

/// A call that was sent and waits for its response until the time has come.
fn call<'a>(
    clock: &'a VirtualClock,
    limiter: &'a Limiter,
    takes: u64,
) -> Task<impl Future<Output = Duration> + 'a> {
    Task::new(async move {
        let permit = limiter.admit(DELETE).await;
        watch(Some(&permit), clock.sleep(millis(takes))).await;
        permit.waited()
    })
}

#[test]
fn a_call_that_waits_for_its_response_keeps_its_place() {
    let clock = clock();
    let limiter = limiter(&clock, 1);
    let mut slow = call(&clock, &limiter, 9000);
    assert!(slow.poll().is_none());
    let mut next = Task::new(limiter.admit(DELETE));
    for _ in 0..89 {
        assert!(next.poll().is_none());
        clock.advance(millis(100));
    }
    assert!(next.poll().is_none());
    clock.advance(millis(100));
    assert!(slow.woken() > 0 && slow.poll().is_some());
    assert_eq!(next.poll().unwrap().waited(), millis(9000));
}

#[test]
fn a_call_that_was_served_and_is_not_polled_lends_its_place_until_it_is() {
    let clock = clock();
    let limiter = limiter(&clock, 1);
    let mut left = call(&clock, &limiter, 50);
    assert!(left.poll().is_none());
    let permit = clock.drive(limiter.admit(DELETE));
    // The looks are at 100 ms, which sees that it was woken, and at 200 ms.
    assert_eq!(permit.waited(), millis(200));
    // It comes to its end beside the other, and does not give back a place it no longer had.
    assert_eq!(left.poll(), Some(Duration::ZERO));
    assert!(Task::new(limiter.admit(DELETE)).poll().is_none());
    drop(permit);
    drop(now(&limiter, DELETE));
}

#[test]
fn a_call_that_is_polled_again_counts_again() {
    let clock = clock();
    let limiter = limiter(&clock, 1);
    let mut left = Task::new(async {
        let permit = limiter.admit(DELETE).await;
        watch(Some(&permit), clock.sleep(millis(50))).await;
        watch(Some(&permit), clock.sleep(millis(5000))).await;
    });
    assert!(left.poll().is_none());
    drop(clock.drive(limiter.admit(DELETE)));
    assert!(left.poll().is_none());
    let mut next = Task::new(limiter.admit(DELETE));
    assert!(next.poll().is_none(), "the place is in use again");
    drop(left);
    assert!(next.poll().is_some());
}

#[test]
fn a_call_that_is_dropped_while_its_place_is_lent_gives_back_none() {
    let clock = clock();
    let limiter = limiter(&clock, 1);
    let mut left = call(&clock, &limiter, 50);
    assert!(left.poll().is_none());
    let permit = clock.drive(limiter.admit(DELETE));
    drop(left);
    assert!(Task::new(limiter.admit(DELETE)).poll().is_none());
    drop(permit);
    drop(now(&limiter, DELETE));
}

#[test]
fn a_thread_that_was_busy_takes_no_place_from_those_it_polls_now() {
    let clock = clock();
    let limiter = limiter(&clock, 1);
    let mut busy = call(&clock, &limiter, 50);
    let mut next = Task::new(limiter.admit(DELETE));
    assert!(busy.poll().is_none() && next.poll().is_none());
    // All timers are over when the thread comes back, and the one who waits is polled first.
    clock.advance(millis(60_000));
    assert!(next.poll().is_none());
    assert!(busy.poll().is_some() && next.poll().is_some());
}

#[test]
fn a_turn_that_nobody_comes_for_is_passed_on_and_is_the_next_when_somebody_does() {
    let clock = clock();
    let limiter = limiter(&clock, 1);
    let held = now(&limiter, DELETE);
    let (mut left, mut next) = (
        Task::new(limiter.admit(DELETE)),
        Task::new(limiter.admit(DELETE)),
    );
    assert!(left.poll().is_none() && next.poll().is_none());
    drop(held);
    let permit = clock.drive(next.into_inner());
    assert!(permit.waited() <= millis(200), "{:?}", permit.waited());
    let mut last = Task::new(limiter.admit(DELETE));
    assert!(last.poll().is_none() && left.poll().is_none());
    drop(permit);
    assert!(last.poll().is_none() && left.poll().is_some());
}

#[test]
fn a_call_that_waits_for_another_one_of_its_program_is_not_waited_for_for_ever() {
    let clock = clock();
    let limiter = limiter(&clock, 1);
    // Three within each other: each has the only place the one within would need.
    let nested = async {
        let outer = limiter.admit(DELETE).await;
        let work = Box::pin(async {
            let middle = limiter.admit(DELETE).await;
            let inner = Box::pin(limiter.admit(DELETE));
            let inner = watch(Some(&middle), inner).await;
            (middle.waited(), inner.waited())
        });
        watch(Some(&outer), work).await
    };
    let (middle, inner) = clock.drive(nested);
    for waited in [middle, inner] {
        assert!(
            waited >= millis(10_000) && waited <= millis(12_000),
            "{waited:?}"
        );
    }
    // All of them have left.
    drop(now(&limiter, DELETE));
    let _held = now(&limiter, DELETE);
    assert!(Task::new(limiter.admit(DELETE)).poll().is_none());
}

#[test]
fn a_call_beyond_the_bound_is_not_sent_into_a_pause() {
    let clock = clock();
    let limiter = limiter(&clock, 1);
    let held = now(&limiter, DELETE);
    refuse(&limiter, &held, Some(millis(60_000)));
    let mut left = call(&clock, &limiter, 1);
    assert!(left.poll().is_none());
    let next = clock.drive(limiter.admit(DELETE));
    assert!(next.waited() >= millis(60_000), "{:?}", next.waited());
    drop(held);
}

#[test]
fn whoever_has_waited_longest_and_is_polled_goes_beyond_the_bound_first() {
    let clock = clock();
    let limiter = limiter(&clock, 1);
    let _held = now(&limiter, DELETE);
    let mut left = Task::new(limiter.admit(DELETE));
    assert!(left.poll().is_none());
    let (first, second) = clock.drive(async {
        let first = async {
            let permit = limiter.admit(DELETE).await;
            (clock.now(), permit)
        };
        let second = async {
            let permit = limiter.admit(DELETE).await;
            (clock.now(), permit)
        };
        join(first, second).await
    });
    // One at a time.
    assert!(first.0 + Duration::from_secs(9) < second.0);
    assert!(first.1.waited() <= millis(16_000), "{:?}", first.1.waited());
}

#[test]
fn a_part_that_is_given_up_counts_as_part_of_its_call() {
    let clock = clock();
    let limiter = limiter(&clock, 1);
    let mut call = Task::new(async {
        let permit = limiter.admit(DELETE).await;
        let part = watch(Some(&permit), clock.sleep(millis(9000)));
        select(part, clock.sleep(millis(20))).await;
        watch(Some(&permit), clock.sleep(millis(20))).await;
    });
    let mut next = Task::new(limiter.admit(DELETE));
    assert!(call.poll().is_none() && next.poll().is_none());
    clock.advance(millis(20));
    assert!(call.poll().is_none() && next.poll().is_none());
    clock.advance(millis(20));
    assert!(call.poll().is_some() && next.poll().is_some());
}
