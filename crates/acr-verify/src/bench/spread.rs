//! A figure over several rounds.

use std::fmt;

/// The value in the middle, and how far the values lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) middle: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Spread {
    /// Of these values; `None` if there is none.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        Some(Self {
            middle: median(values),
            least: values.iter().copied().fold(f64::INFINITY, f64::min),
            most: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            middle,
            least,
            most,
        } = self;
        write!(f, "{middle:.2} ({least:.2} to {most:.2})")
    }
}

/// The value in the middle; of two in the middle the lower one.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
        .get(sorted.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_no_average() {
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        let spread = Spread::of(&[0.5, 0.7, 0.6]).expect("there are values");
        assert_eq!(spread.to_string(), "0.60 (0.50 to 0.70)");
        assert_eq!(Spread::of(&[]), None);
    }
}
