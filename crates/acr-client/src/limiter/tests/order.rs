//! Who is served when, and that nobody is forgotten.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{join, join_all, select};

use super::*;
use crate::testing::Impatient;

#[test]
fn those_who_wait_for_a_place_are_served_in_order_and_woken_one_by_one() {
    let clock = clock();
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
    let clock = clock();
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
fn those_who_wait_for_their_time_are_woken_one_by_one() {
    let clock = clock();
    let limiter = limited(&clock, 64);
    drop(now(&limiter, DELETE));
    let mut waiting: Vec<_> = (0..20).map(|_| Task::new(limiter.admit(DELETE))).collect();
    for task in &mut waiting {
        assert!(task.poll().is_none());
    }
    for turn in 0..19 {
        clock.advance(millis(1000));
        let woken: Vec<_> = waiting.iter().map(Task::woken).collect();
        assert!(woken[turn] > 0 && woken.iter().filter(|count| **count > 0).count() == 1);
        assert!(waiting[turn].poll().is_some());
        // It is first now, and sets its alarm to when its turn is.
        assert!(waiting[turn + 1].woken() > 0);
        assert!(waiting[turn + 1].poll().is_none());
    }
}

#[test]
fn nobody_overtakes_the_queue_when_the_time_has_come() {
    let clock = clock();
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
        let clock = clock();
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
    let clock = clock();
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
    let clock = clock();
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
    let limiter = super::limiter(&clock, 2);
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
    let clock = clock();
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
fn a_clock_whose_sleeps_take_no_time_ends_every_wait() {
    let options = LimiterOptions {
        max_in_flight: 1,
        ..LimiterOptions::default()
    };
    let limiter = Limiter::new(Arc::new(Impatient::default()), Some(options));
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
    // No sleep is ever over: a lost wake-up would hang.
    let in_flight = call_from_many_threads(clock(), |_, _, _| {}).await;
    assert!(in_flight <= 3, "{in_flight}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_on_many_threads_lose_no_wake_up_while_their_class_is_paced() {
    // Every sleep is over at once, so the pace costs no time. Nor does the time after which a call that
    // is not polled loses its place, so the bound is that of the other test.
    let learn = |limiter: &Limiter, permit: &Permit, call: usize| match call % 50 {
        10 => refuse(limiter, permit, None),
        20 => tell(limiter, permit, "1"),
        _ => limiter.learn(permit, StatusCode::OK, &HeaderMap::new(), None),
    };
    call_from_many_threads(Impatient::default(), learn).await;
}

/// Returns how many calls were under way at once, of a limiter with three places.
async fn call_from_many_threads(
    clock: impl Clock,
    learn: impl Fn(&Limiter, &Permit, usize) + Copy + Send + 'static,
) -> usize {
    let options = LimiterOptions {
        max_in_flight: 3,
        ..LimiterOptions::default()
    };
    let limiter = Limiter::new(Arc::new(clock), Some(options));
    let counts = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let callers = (0..16).map(|caller| {
        let (limiter, counts) = (limiter.clone(), counts.clone());
        tokio::spawn(async move {
            let (in_flight, most) = &*counts;
            for call in 0..200 {
                if (caller + call) % 7 == 0 {
                    // Begun, and given up while it waits or as soon as it has its turn.
                    let admit = Box::pin(limiter.admit(DELETE));
                    select(admit, Box::pin(tokio::task::yield_now())).await;
                    continue;
                }
                let permit = limiter.admit(DELETE).await;
                most.fetch_max(
                    in_flight.fetch_add(1, Ordering::SeqCst) + 1,
                    Ordering::SeqCst,
                );
                watch(Some(&permit), Box::pin(tokio::task::yield_now())).await;
                learn(&limiter, &permit, call);
                in_flight.fetch_sub(1, Ordering::SeqCst);
            }
        })
    });
    for caller in join_all(callers).await {
        caller.unwrap();
    }
    assert_eq!(counts.0.load(Ordering::SeqCst), 0);
    counts.1.load(Ordering::SeqCst)
}
