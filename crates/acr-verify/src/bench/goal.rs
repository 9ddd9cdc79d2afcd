//! What a figure is held to.

/// A goal: at least so much, or at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    /// Says by how much the figure misses it, if that is more than a tenth: machines differ, and so do runs.
    pub(super) fn missed(self, name: &str, figure: f64) -> Option<String> {
        match self {
            Self::AtLeast(goal) if figure < goal * 0.9 => {
                Some(format!("{figure:.2} {name}, where {goal} is the least"))
            }
            Self::AtMost(goal) if figure > goal * 1.1 => {
                Some(format!("{figure:.2} {name}, where {goal} is the most"))
            }
            _ => None,
        }
    }
}
