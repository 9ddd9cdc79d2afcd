//! Circles in a graph of files.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Files that all reach each other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Knot {
    pub(super) files: BTreeSet<String>,
    /// A shortest way from a file back to itself, which stands at both ends.
    pub(super) circle: Vec<String>,
}

type Ways<'a> = BTreeMap<&'a str, Vec<&'a str>>;

/// The knots of the graph with these arrows.
pub(super) fn knots<'a>(arrows: impl Iterator<Item = &'a (String, String)>) -> Vec<Knot> {
    let mut ways = Ways::new();
    for (from, to) in arrows {
        ways.entry(from).or_default().push(to);
    }
    let mut knots: Vec<Knot> = Vec::new();
    for file in ways.keys() {
        let known = knots.iter_mut().find(|knot| knot.files.contains(*file));
        let Some(circle) = way(&ways, file, file) else {
            continue;
        };
        match known {
            Some(knot) if circle.len() < knot.circle.len() => knot.circle = circle,
            Some(_) => {}
            None => {
                let back = |other: &&&str| {
                    way(&ways, file, other).is_some() && way(&ways, other, file).is_some()
                };
                let files = ways.keys().filter(back).map(ToString::to_string).collect();
                knots.push(Knot { files, circle });
            }
        }
    }
    knots
}

/// A shortest way of at least one arrow.
fn way(ways: &Ways<'_>, from: &str, to: &str) -> Option<Vec<String>> {
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut open = VecDeque::from([(from, vec![from.to_owned()])]);
    while let Some((file, so_far)) = open.pop_front() {
        for next in ways.get(file).into_iter().flatten() {
            if found.contains_key(next) {
                continue;
            }
            let longer = [so_far.as_slice(), &[(*next).to_owned()]].concat();
            if *next == to {
                return Some(longer);
            }
            found.insert(next, longer.clone());
            open.push_back((next, longer));
        }
    }
    None
}
