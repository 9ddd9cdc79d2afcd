//! Things over the steps: when each came, what has become of it, and what the session tells of it too late.

use serde_json::{Map, Value};

use super::{Action, Planner, Seed, State, There};
use crate::fidelity::state::facts::{Facts, Thing};
use crate::fidelity::state::supposed::HOME_OF_DATA;

impl Planner<'_> {
    /// A thing that this step supposes.
    pub(super) fn suppose(&mut self, thing: &Thing, facts: Facts, index: usize) {
        if let Thing::Blob { repository, digest } = thing
            && repository == HOME_OF_DATA
            && self.is_held(digest)
        {
            // The data origin gives what any repository holds.
            let held = self
                .things
                .iter()
                .filter_map(|(thing, state)| match (thing, state) {
                    (Thing::Blob { digest: held, .. }, State::There(there)) if held == digest => {
                        there.seed
                    }
                    _ => None,
                });
            for seed in held {
                self.seeds[seed].facts.learn(facts.clone());
            }
            return;
        }
        if !matches!(thing, Thing::Repository { .. } | Thing::Blob { .. }) {
            self.suppose(&Thing::repository(thing.home()), Facts::default(), index);
        }
        if let (Thing::Repository { repository }, Some(_)) = (thing, facts.counts)
            && !self.counted.contains(repository)
        {
            // Just before the step, when the things that are known are all there.
            self.counted.push(repository.clone());
            let facts = Facts {
                counts: facts.counts,
                ..Facts::default()
            };
            self.plans[index].before.push(Action::Change {
                thing: thing.clone(),
                facts,
            });
        }
        let facts = Facts {
            counts: None,
            ..facts
        };
        match self.things.get_mut(thing) {
            Some(State::There(there)) => {
                there.digest = there.digest.take().or(facts.digest.clone());
                if there.touched && facts.updated.is_some() {
                    there.touched = false;
                    let was_made = there.seed.is_none();
                    self.plans[index].before.push(Action::Change {
                        thing: thing.clone(),
                        facts: adopted(&facts, was_made, there.attributes.is_none()),
                    });
                    if let Some(seed) = there.seed {
                        // What was so before the session changed it.
                        self.seeds[seed].facts.learn(Facts {
                            created: facts.created,
                            attributes: facts.attributes,
                            extra: facts.extra,
                            ..Facts::default()
                        });
                    }
                } else if let Some(seed) = there.seed {
                    if there.attributes.is_none() {
                        there.attributes.clone_from(&facts.attributes);
                    }
                    self.seeds[seed].facts.learn(facts);
                }
            }
            Some(State::Gone(_)) | None => {
                let seed = self.seeds.len();
                let there = There {
                    seed: Some(seed),
                    attributes: facts.attributes.clone(),
                    touched: false,
                    digest: facts.digest.clone(),
                };
                self.seeds.push(Seed {
                    step: self.start(thing, index),
                    thing: thing.clone(),
                    facts,
                });
                self.things.insert(thing.clone(), State::There(there));
            }
        }
    }

    /// Whether any repository holds a blob of this digest.
    pub(super) fn is_held(&self, wanted: &str) -> bool {
        self.things.iter().any(|(thing, state)| match thing {
            Thing::Blob { digest, .. } => digest == wanted && matches!(state, State::There(_)),
            _ => false,
        })
    }

    /// The first step before which a thing may be put in that step `index` supposes.
    pub(super) fn start(&self, thing: &Thing, index: usize) -> usize {
        let own = match self.things.get(thing) {
            Some(State::Gone(at)) => at + 1,
            _ => 0,
        };
        let home = match (thing, self.things.get(&Thing::repository(thing.home()))) {
            (Thing::Repository { .. } | Thing::Blob { .. }, _) => 0,
            (
                _,
                Some(State::There(There {
                    seed: Some(seed), ..
                })),
            ) => self.seeds[*seed].step,
            (_, Some(State::Gone(at))) => at + 1,
            _ => 0,
        };
        let left_out = self.pages.iter().filter(|(_, page)| page.leaves_out(thing));
        let listed = left_out.map(|(at, _)| at + 1).max().unwrap_or_default();
        own.max(home).max(listed).min(index)
    }

    /// A thing that this step says is not there.
    pub(super) fn absent(&mut self, thing: &Thing, index: usize) {
        let is_there = matches!(self.things.get(thing), Some(State::There(_)));
        if is_there {
            let thinned = self.thinned.iter().any(|name| name == thing.home());
            if let (Thing::Repository { repository }, true) = (thing, thinned) {
                // Its last manifest went with a step; what is left of it is what nobody has described.
                self.plans[index].before.push(Action::ForgetUnseen {
                    repository: repository.clone(),
                });
            } else {
                self.plans[index].before.push(Action::Remove {
                    thing: thing.clone(),
                });
            }
        }
        self.mark_gone(thing, index);
    }

    pub(super) fn mark_gone(&mut self, thing: &Thing, index: usize) {
        if let Thing::Repository { repository } = thing {
            for (other, state) in &mut self.things {
                if other.home() == repository && !matches!(other, Thing::Blob { .. }) {
                    *state = State::Gone(index);
                }
            }
        }
        self.things.insert(thing.clone(), State::Gone(index));
    }

    /// A thing that this step has deleted.
    pub(super) fn gone(&mut self, thing: &Thing, index: usize) {
        match thing {
            Thing::Manifest { repository, digest } => {
                self.thinned.push(repository.clone());
                for (other, state) in &mut self.things {
                    let goes = match state {
                        State::There(there) => there.digest.as_ref() == Some(digest),
                        State::Gone(_) => false,
                    };
                    if goes && matches!(other, Thing::Tag { .. }) && other.home() == repository {
                        *state = State::Gone(index);
                    }
                }
                self.touch(repository);
            }
            Thing::Tag { repository, .. } => self.touch(repository),
            Thing::Repository { .. } | Thing::Blob { .. } => {}
        }
        self.mark_gone(thing, index);
    }

    /// A thing that this step has made, or pushed once more.
    pub(super) fn made(&mut self, thing: &Thing, facts: Facts) {
        if let Thing::Manifest { repository, .. } | Thing::Tag { repository, .. } = thing {
            let home = Thing::repository(repository);
            if !matches!(self.things.get(&home), Some(State::There(_))) {
                self.things.insert(home, State::There(There::new()));
            }
            self.touch(repository);
        }
        match self.things.get_mut(thing) {
            Some(State::There(there)) => {
                there.touched = true;
                there.digest = facts.digest;
            }
            _ => {
                let there = There {
                    digest: facts.digest,
                    ..There::new()
                };
                self.things.insert(thing.clone(), State::There(there));
            }
        }
    }

    pub(super) fn touch(&mut self, repository: &str) {
        if let Some(State::There(there)) = self.things.get_mut(&Thing::repository(repository)) {
            there.touched = true;
        }
    }

    /// A lock has refused this step: one that is known, or else one that must be there.
    pub(super) fn locked(&mut self, thing: &Thing, switch: &'static str, index: usize) {
        let attributes = |thing: &Thing| match self.things.get(thing) {
            Some(State::There(there)) => there.attributes.clone(),
            _ => None,
        };
        let own = attributes(thing);
        let others = [attributes(&Thing::repository(thing.home())), own.clone()];
        let switches: &[&str] = match switch {
            "readEnabled" => &["readEnabled"],
            _ => &["writeEnabled", "deleteEnabled"],
        };
        let is_off = |attributes: &Map<String, Value>| {
            switches
                .iter()
                .any(|switch| attributes.get(*switch) == Some(&Value::Bool(false)))
        };
        if others.iter().flatten().any(is_off) {
            return;
        }
        let facts = Facts {
            locked: Some(switch),
            attributes: own.clone(),
            ..Facts::default()
        };
        match (own, self.things.get(thing)) {
            (
                None,
                Some(State::There(There {
                    seed: Some(seed), ..
                })),
            ) => {
                self.seeds[*seed].facts.learn(facts);
            }
            _ => self.plans[index].before.push(Action::Change {
                thing: thing.clone(),
                facts,
            }),
        }
    }
}

/// What is taken over of a thing that the session has made or changed: times, what an index counts as its size, and
/// attributes beyond the four switches.
fn adopted(facts: &Facts, was_made: bool, is_unlocked: bool) -> Facts {
    let member = |name: &str| facts.properties.as_ref()?.get(name)?.as_str();
    let media_type = member("mediaType").unwrap_or_default();
    let is_index = media_type.contains("index") || media_type.contains("manifest.list");
    let mut attributes = facts.attributes.clone().unwrap_or_default();
    for switch in SWITCHES {
        if let Some(value) = attributes.get_mut(switch) {
            *value = Value::Bool(true);
        }
    }
    let lags = facts
        .properties
        .as_ref()
        .is_some_and(|properties| !properties.contains_key("configMediaType"));
    let has_more = attributes
        .keys()
        .any(|name| !SWITCHES.contains(&name.as_str()));
    Facts {
        created: facts.created.clone().filter(|_| was_made),
        updated: facts.updated.clone(),
        properties: facts.properties.clone().filter(|_| is_index),
        lags,
        attributes: Some(attributes).filter(|_| has_more && was_made && is_unlocked),
        ..Facts::default()
    }
}

/// The switches of `changeableAttributes`.
const SWITCHES: [&str; 4] = [
    "deleteEnabled",
    "writeEnabled",
    "readEnabled",
    "listEnabled",
];
