//! The figures with their goals, and the line that says the worst of them.

use std::fmt;

use crate::bench::goal::Goal;

/// What content costs.
#[derive(Clone, Debug, Default)]
pub struct Figures(Vec<Figure>);

#[derive(Clone, Debug)]
struct Figure {
    kind: Kind,
    name: String,
    /// `None` where it could not be measured here.
    value: Option<f64>,
    goal: Goal,
}

/// What the last line has of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Shares of the reference's speed.
    Up,
    Down,
    Save,
    /// CPU time over that of the hash.
    CpuUp,
    CpuDown,
    /// MiB over idle.
    Memory,
    /// Speed over that of the peer's best push.
    Peer,
    /// Nothing.
    Other,
}

impl Figures {
    pub(super) fn at_least(&mut self, goal: f64, kind: Kind, name: &str, value: Option<f64>) {
        self.add(Goal::AtLeast(goal), kind, name, value);
    }

    pub(super) fn at_most(&mut self, goal: f64, kind: Kind, name: &str, value: Option<f64>) {
        self.add(Goal::AtMost(goal), kind, name, value);
    }

    fn add(&mut self, goal: Goal, kind: Kind, name: &str, value: Option<f64>) {
        let name = name.to_owned();
        self.0.push(Figure {
            kind,
            name,
            value,
            goal,
        });
    }

    /// The goals that are missed by more than a tenth, each in a sentence. What was not measured is not judged.
    #[must_use]
    pub fn missed(&self) -> Vec<String> {
        let figures = self.0.iter();
        let missed = figures.filter_map(|figure| figure.goal.missed(&figure.name, figure.value?));
        missed.collect()
    }

    /// The names of what could not be measured here.
    #[must_use]
    pub fn not_measured(&self) -> Vec<&str> {
        let figures = self.0.iter().filter(|figure| figure.value.is_none());
        figures.map(|figure| &*figure.name).collect()
    }

    /// The worst figure of a kind.
    fn worst(&self, kind: Kind) -> Option<f64> {
        let figures = self.0.iter().filter(|figure| figure.kind == kind);
        let values = figures.filter_map(|figure| Some((figure.goal, figure.value?)));
        values
            .reduce(|(goal, one), (_, other)| match goal {
                Goal::AtLeast(_) => (goal, one.min(other)),
                Goal::AtMost(_) => (goal, one.max(other)),
            })
            .map(|(_, value)| value)
    }

    /// All figures beside their goals, a line each.
    #[must_use]
    pub fn table(&self) -> String {
        let mut rows = vec![["figure", "measured", "goal"].map(str::to_owned)];
        rows.extend(self.0.iter().map(|figure| {
            let goal = match figure.goal {
                Goal::AtLeast(goal) => format!("at least {goal}"),
                Goal::AtMost(goal) => format!("at most {goal}"),
            };
            [figure.name.clone(), text(figure.value, 2), goal]
        }));
        crate::table::table(&rows)
    }
}

fn text(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let worst = |kind, digits| text(self.worst(kind), digits);
        write!(
            f,
            "content: up {}, down {}, save {} of the loop; CPU {}/{} of the hash; {} MiB; {}x oci-client",
            worst(Kind::Up, 2),
            worst(Kind::Down, 2),
            worst(Kind::Save, 2),
            worst(Kind::CpuUp, 2),
            worst(Kind::CpuDown, 2),
            worst(Kind::Memory, 0),
            worst(Kind::Peer, 1),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_has_its_form_and_the_worst_of_each_kind() {
        let mut figures = Figures::default();
        assert_eq!(
            figures.to_string(),
            "content: up -, down -, save - of the loop; CPU -/- of the hash; - MiB; -x oci-client"
        );
        for (kind, value) in [
            (Kind::Up, 0.97),
            (Kind::Up, 0.954),
            (Kind::Down, 0.99),
            (Kind::Save, 1.0),
            (Kind::Peer, 1.44),
            (Kind::Other, 0.1),
        ] {
            figures.at_least(0.1, kind, "speed", Some(value));
        }
        for (kind, value) in [
            (Kind::CpuUp, 1.5),
            (Kind::CpuUp, 1.61),
            (Kind::CpuDown, 1.55),
            (Kind::Memory, 3.0),
            (Kind::Memory, 4.6),
        ] {
            figures.at_most(9.0, kind, "cost", Some(value));
        }
        figures.at_most(9.0, Kind::Memory, "what could not be measured", None);
        assert_eq!(
            figures.to_string(),
            "content: up 0.95, down 0.99, save 1.00 of the loop; CPU 1.61/1.55 of the hash; 5 MiB; 1.4x oci-client"
        );
        assert_eq!(figures.not_measured(), ["what could not be measured"]);
        assert_eq!(figures.missed(), [""; 0]);
    }

    #[test]
    fn a_goal_is_missed_by_more_than_a_tenth_either_way() {
        let mut figures = Figures::default();
        figures.at_least(0.95, Kind::Up, "near", Some(0.86));
        figures.at_most(8.0, Kind::Memory, "near", Some(8.79));
        figures.at_least(0.95, Kind::Up, "of the loop", None);
        assert_eq!(figures.missed(), [""; 0]);
        figures.at_least(0.95, Kind::Up, "of the loop", Some(0.85));
        figures.at_most(8.0, Kind::Memory, "MiB", Some(8.81));
        assert_eq!(
            figures.missed(),
            [
                "0.85 of the loop, where 0.95 is the least",
                "8.81 MiB, where 8 is the most"
            ]
        );
    }
}
