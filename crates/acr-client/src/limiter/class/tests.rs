use super::*;

const REST: Duration = Duration::from_millis(400);
const MINUTE: Duration = Duration::from_secs(60);

fn class() -> Class {
    Class::new(MINUTE)
}

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn refused(pause: Option<Duration>) -> Feedback {
    Feedback {
        verdict: Outcome::Refused(pause),
        left: None,
    }
}

fn let_through() -> Feedback {
    left(None)
}

fn left(left: impl Into<Option<f64>>) -> Feedback {
    Feedback {
        verdict: Outcome::LetThrough,
        left: left.into(),
    }
}

impl Class {
    /// The rate at which calls go when many wait.
    fn rate(&self) -> Option<f64> {
        let spacing = self.spacing();
        (!spacing.is_zero()).then(|| 1.0 / spacing.as_secs_f64())
    }

    #[track_caller]
    fn assert_rate(&self, expected: f64) {
        let rate = self.rate().unwrap();
        assert!((rate - expected).abs() < 1e-3, "{rate}, not {expected}");
    }

    fn is_ready(&mut self, now: Duration) -> bool {
        self.ready_at(now, true) <= now
    }

    /// Admits as many as wait from now on until then, at the very moment at which each may go.
    fn admit_until(&mut self, now: Duration, end: Duration) -> Vec<Admission> {
        let mut admitted = Vec::new();
        let mut now = now;
        loop {
            now = now.max(self.ready_at(now, true));
            if now >= end {
                return admitted;
            }
            admitted.push(self.admit(now));
        }
    }
}

#[test]
fn a_class_that_was_told_nothing_has_no_limit() {
    let mut class = class();
    for _ in 0..10_000 {
        assert!(class.is_ready(Duration::ZERO));
        let admission = class.admit(Duration::ZERO);
        assert!(class.learns_nothing(let_through()));
        class.learn(admission, let_through(), Duration::ZERO, REST);
    }
    assert!(!class.is_paced());
}

#[test]
fn a_refusal_halves_what_was_being_sent_at_that_time() {
    let mut class = class();
    let sent: Vec<_> = (0..64).map(|_| class.admit(at(500))).collect();
    // The ninth was refused, and its response took three seconds.
    class.learn(sent[8], refused(None), at(3500), REST);
    class.assert_rate(4.5);
}

#[test]
fn a_storm_halves_once() {
    let mut class = class();
    let sent: Vec<_> = (0..64).map(|_| class.admit(at(500))).collect();
    for (delay, admission) in (0..).zip(&sent[8..]) {
        class.learn(*admission, refused(None), at(550 + delay), REST);
    }
    class.assert_rate(4.5);
    assert_eq!(class.closed_until, at(1550), "nor is the pause extended");
    // One that was sent since is news.
    let admission = class.admit(at(1550));
    class.learn(admission, refused(None), at(1600), REST);
    assert!(class.rate().unwrap() < 4.5);
}

#[test]
fn what_was_under_way_at_a_halving_raises_nothing() {
    let mut class = class();
    let sent: Vec<_> = (0..64).map(|_| class.admit(at(0))).collect();
    class.learn(sent[63], refused(None), at(50), REST);
    for admission in &sent[..63] {
        class.learn(*admission, let_through(), at(60), REST);
    }
    class.assert_rate(32.0);
}

#[test]
fn a_refusal_closes_for_a_second_or_for_what_was_asked_up_to_the_bound() {
    for (asked, pause) in [
        (None, 1000),
        (Some(Duration::ZERO), 1000),
        (Some(at(200)), 200),
        (Some(at(5000)), 5000),
        (Some(MINUTE * 2), 60_000),
        (Some(Duration::MAX), 60_000),
    ] {
        let mut class = class();
        let admission = class.admit(at(0));
        class.learn(admission, refused(asked), at(50), REST);
        assert!(!class.is_ready(at(50 + pause - 1)), "{asked:?}");
        // The pace leaves a second from one call to the next.
        assert!(class.is_ready(at(50 + pause).max(at(1000))), "{asked:?}");
    }
}

#[test]
fn a_later_response_of_a_storm_may_ask_for_a_longer_pause_and_not_for_a_shorter_one() {
    let mut class = class();
    let sent: Vec<_> = (0..3).map(|_| class.admit(at(0))).collect();
    class.learn(sent[0], refused(None), at(50), REST);
    class.learn(sent[1], refused(Some(at(9000))), at(60), REST);
    class.learn(sent[2], refused(Some(at(2000))), at(70), REST);
    assert_eq!(class.closed_until, at(9060));
}

#[test]
fn refusals_in_a_row_double_the_pause_and_a_success_ends_the_row() {
    let mut class = class();
    let mut now = Duration::ZERO;
    let mut pauses = Vec::new();
    for round in 0..7 {
        now = class.ready_at(now, true).max(now);
        let admission = class.admit(now);
        if round == 5 {
            class.learn(admission, let_through(), now, REST);
            continue;
        }
        class.learn(admission, refused(None), now, REST);
        pauses.push((class.closed_until - now).as_secs());
    }
    assert_eq!(pauses, [1, 2, 4, 8, 8, 1]);
}

#[test]
fn successes_raise_the_rate_until_the_limit_is_forgotten() {
    let mut class = class();
    let sent: Vec<_> = (0..16).map(|_| class.admit(at(0))).collect();
    class.learn(sent[15], refused(None), at(0), REST);
    class.assert_rate(8.0);
    let mut now = at(0);
    let mut last = 8.0;
    while let Some(rate) = class.rate() {
        assert!(rate >= last && rate < 33.0, "{rate} after {last}");
        last = rate;
        now = now.max(class.ready_at(now, true));
        let admission = class.admit(now);
        class.learn(admission, let_through(), now, REST);
        assert!(now < MINUTE, "{class:?}");
    }
    assert!(last > 31.0 && now > at(10_000), "{last} at {now:?}");
    assert!(class.is_ready(now) && !class.is_paced());
}

#[test]
fn other_failures_change_nothing() {
    let mut class = class();
    let admission = class.admit(at(0));
    class.learn(admission, refused(None), at(0), REST);
    let before = format!("{class:?}");
    let lesson = Feedback {
        verdict: Outcome::Unclear,
        left: None,
    };
    class.learn(admission, lesson, at(0), REST);
    assert_eq!(format!("{class:?}"), before);
}

#[test]
fn after_a_refusal_calls_are_evenly_spaced() {
    let mut class = class();
    let sent: Vec<_> = (0..16).map(|_| class.admit(at(0))).collect();
    class.learn(sent[15], refused(None), at(0), REST);
    let count = class.admit_until(at(1000), at(3000)).len();
    assert!((16..=17).contains(&count), "{count}");
    let now = at(3000);
    let ready = class.ready_at(now, false);
    class.admit(now.max(ready));
    assert!(class.ready_at(now, false) > now, "with or without a queue");
}

#[test]
fn late_timers_do_not_lower_the_rate_and_pauses_are_not_made_up_for() {
    let mut class = class();
    let sent: Vec<_> = (0..200).map(|_| class.admit(at(0))).collect();
    class.learn(sent[199], refused(None), at(0), REST);
    let mut now = at(1000);
    let mut count = 0;
    while now < at(2000) {
        class.admit(now);
        count += 1;
        // Each timer is late by 2 ms, at a spacing of 10.
        let ready = class.ready_at(now, true);
        now = now.max(ready) + at(if ready > now { 2 } else { 0 });
    }
    assert!((98..=106).contains(&count), "{count}");
    assert!(class.admit_until(at(60_000), at(60_000) + at(1)).len() <= 6);
}

#[test]
fn the_highest_count_left_is_the_most_that_any_second_gets() {
    let mut class = class();
    let first = class.admit(at(0));
    class.learn(first, left(3.0), at(10), REST);
    let second = class.admit(at(10));
    class.learn(second, left(8.0), at(20), REST);
    // Six more may go at once, then it is full until the first ones are a second old.
    for _ in 0..6 {
        assert!(class.ready_at(at(30), false) <= at(30));
        class.admit(at(30));
    }
    let ready = class.ready_at(at(30), false);
    assert!((at(1000)..=at(1063)).contains(&ready), "{ready:?}");
    // Those who wait go one by one, and keep below the ceiling.
    let later = class.admit_until(at(30), at(11_000));
    assert!((70..=74).contains(&later.len()), "{}", later.len());
    class.assert_rate(7.2);
}

#[test]
fn a_count_of_less_than_one_more_call_closes_for_the_rest_of_the_second() {
    for (count, closes) in [
        (8.0, false),
        (2.0, false),
        (1.0, true),
        (0.5, true),
        (0.0, true),
    ] {
        let mut class = class();
        let first = class.admit(at(0));
        class.learn(first, left(8.0), at(10), REST);
        class.learn(first, left(count), at(10), REST);
        assert_eq!(class.closed_until > at(0), closes, "{count}");
        if closes {
            assert_eq!(class.closed_until, at(10) + REST);
        }
    }
}

#[test]
fn a_count_that_cannot_be_is_ignored() {
    for nonsense in [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -1.0,
        f64::MIN,
        1e7,
        f64::MAX,
    ] {
        let mut class = class();
        let admission = class.admit(at(0));
        class.learn(admission, left(nonsense), at(0), REST);
        assert!(!class.is_paced(), "{nonsense}");
    }
    for tiny in [0.0, -0.0, f64::MIN_POSITIVE, 1e6] {
        let mut class = class();
        let admission = class.admit(at(0));
        class.learn(admission, left(tiny), at(0), REST);
        assert!(class.spacing() <= Duration::from_millis(1112), "{tiny}");
    }
}

#[test]
fn below_a_ceiling_a_limit_ends_at_it() {
    let mut class = class();
    let first = class.admit(at(0));
    class.learn(first, left(8.0), at(0), REST);
    let sent: Vec<_> = (0..8).map(|_| class.admit(at(10))).collect();
    class.learn(sent[7], refused(None), at(20), REST);
    class.assert_rate(4.5);
    let mut now = at(1020);
    while class.limit.is_some() {
        now = now.max(class.ready_at(now, true));
        let admission = class.admit(now);
        class.learn(admission, left(7.0), now, REST);
        assert!(now < at(10_000), "{class:?}");
    }
    class.assert_rate(7.2);
}

#[test]
fn a_turn_that_is_taken_back_leaves_no_hole() {
    let mut class = class();
    let sent: Vec<_> = (0..16).map(|_| class.admit(at(0))).collect();
    class.learn(sent[15], refused(None), at(0), REST);
    let mut now = at(1000);
    let ready = class.ready_at(now, true);
    assert!(ready <= now);
    class.admit(now);
    now = class.ready_at(now, true);
    let taken = class.admit(now);
    assert!(!class.is_ready(now));
    class.take_back(taken);
    assert!(class.is_ready(now), "the next may go instead");
}

#[test]
fn the_end_of_time_is_no_trouble() {
    let mut class = Class::new(Duration::MAX);
    let admission = class.admit(Duration::MAX);
    let lesson = Feedback {
        verdict: Outcome::Refused(Some(Duration::MAX)),
        left: Some(0.0),
    };
    class.learn(admission, lesson, Duration::MAX, SECOND);
    class.admit(Duration::MAX);
    assert_eq!(class.ready_at(Duration::ZERO, true), Duration::MAX);
}
