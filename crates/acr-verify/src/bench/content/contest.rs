//! Rounds in which several programs do the same work in turn.

use std::fmt::Write as _;

use super::cost::Cost;
use crate::Result;
use crate::bench::spread::Spread;

/// One of them: its name, and how it does the work once.
pub(super) type Contestant<'a> = (&'static str, Box<dyn FnMut() -> Result<Cost> + 'a>);

/// What they have cost, round by round.
#[derive(Debug)]
pub(super) struct Contest {
    title: String,
    costs: Vec<(&'static str, Vec<Cost>)>,
}

impl Contest {
    /// Runs the rounds. The order is turned with each, so that what changes slowly strikes all alike.
    pub(super) fn run(
        title: impl Into<String>,
        rounds: usize,
        mut contestants: Vec<Contestant<'_>>,
    ) -> Result<Self> {
        let title = title.into();
        let count = contestants.len();
        let mut costs: Vec<_> = contestants
            .iter()
            .map(|(name, _)| (*name, Vec::new()))
            .collect();
        for round in 1..=rounds {
            let mut line = format!("{title}, round {round} of {rounds}:");
            for at in 0..count {
                let at = if round % 2 == 0 { count - 1 - at } else { at };
                let (name, run) = &mut contestants[at];
                let cost = run().map_err(|error| format!("{title}, {name}: {error}"))?;
                costs[at].1.push(cost);
                // A text takes whatever is written to it.
                let _ = write!(line, " {name} {:.3} s,", cost.seconds);
            }
            println!("{}", line.trim_end_matches(','));
        }
        Ok(Self { title, costs })
    }

    /// How many times as fast one is as another: the median of the rounds' ratios, which is printed with its spread.
    pub(super) fn speed(&self, one: &str, other: &str) -> Option<f64> {
        self.ratio("speed", one, other, |one, other| {
            other.seconds / one.seconds
        })
    }

    /// How many times as much CPU time one takes as another.
    pub(super) fn cpu(&self, one: &str, other: &str) -> Option<f64> {
        self.ratio("CPU", one, other, |one, other| one.cpu / other.cpu)
    }

    /// How many times as much memory over idle one takes as another.
    pub(super) fn memory_ratio(&self, one: &str, other: &str) -> Option<f64> {
        self.ratio("memory", one, other, |one, other| {
            one.memory as f64 / other.memory as f64
        })
    }

    /// The most MiB over idle that one takes in a round.
    pub(super) fn memory(&self, one: &str) -> Option<f64> {
        let mebibytes = |cost: &Cost| cost.memory as f64 / f64::from(1 << 20);
        let spread = Spread::of(&self.of(one)?.iter().map(mebibytes).collect::<Vec<_>>())?;
        println!("{}, MiB over idle, {one}: {spread}", self.title);
        Some(spread.most)
    }

    fn ratio(
        &self,
        what: &str,
        one: &str,
        other: &str,
        ratio: impl Fn(&Cost, &Cost) -> f64,
    ) -> Option<f64> {
        let pairs = self.of(one)?.iter().zip(self.of(other)?);
        let ratios: Vec<f64> = pairs.map(|(one, other)| ratio(one, other)).collect();
        let spread = Spread::of(&ratios)?;
        println!("{}, {what} of {one} over {other}: {spread}", self.title);
        Some(spread.middle)
    }

    fn of(&self, name: &str) -> Option<&[Cost]> {
        let found = self
            .costs
            .iter()
            .find(|(contestant, _)| *contestant == name);
        found.map(|(_, costs)| &costs[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ratio_is_of_one_round_and_the_order_is_turned() {
        let order = std::cell::RefCell::new(String::new());
        let contestant = |name: &'static str, mut seconds: Vec<f64>| -> Contestant<'_> {
            let order = &order;
            let run = move || {
                order.borrow_mut().push_str(name);
                let seconds = seconds.remove(0);
                Ok(Cost {
                    seconds,
                    cpu: 2.0 * seconds,
                    memory: 1 << 20,
                })
            };
            (name, Box::new(run))
        };
        let contestants = vec![
            contestant("a", vec![1.0, 2.0, 4.0]),
            contestant("b", vec![2.0, 2.0, 2.0]),
        ];
        let contest = Contest::run("work", 3, contestants).expect("nothing fails");
        assert_eq!(*order.borrow(), "abbaab");
        // 2, 1 and 0.5 times as fast.
        assert_eq!(contest.speed("a", "b"), Some(1.0));
        assert_eq!(contest.cpu("b", "a"), Some(1.0));
        assert_eq!(contest.memory("a"), Some(1.0));
        assert_eq!(contest.speed("a", "nobody"), None);
    }
}
