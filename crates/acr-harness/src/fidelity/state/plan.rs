//! [`plan`]: when each thing must be in the mock, over the steps of a session.
//!
//! What a step supposes and no earlier step made was there from the start, or from right after the latest step that
//! says it was not. What an earlier step made keeps what the mock made of it, but for its times: the service's clock
//! shows more digits than its answers. What a step says is gone and no earlier step removed, somebody else removed.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::super::body::{Body, digest_of, sha256};
use super::super::exchange::Exchange;
use super::content::{Content, filler};
use super::facts::{Facts, Thing};
use super::listing::Page;
use super::supposed::{HOME_OF_DATA, Supposed, pushed_bytes};
use super::upload::{Effect, Location, UploadUse, request_bytes, request_length};

/// A change of the mock's state that no client makes.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Action {
    Put {
        thing: Thing,
        facts: Facts,
    },
    Change {
        thing: Thing,
        facts: Facts,
    },
    Remove {
        thing: Thing,
    },
    /// The repository has no manifests but those that are known.
    ForgetUnseen {
        repository: String,
    },
    Upload {
        repository: String,
        id: String,
        bytes: Bytes,
    },
    /// The upload's filler counts as content of this digest.
    Claim {
        repository: String,
        id: String,
        digest: String,
    },
}

/// What is done around a step.
#[derive(Clone, Debug, Default)]
pub struct StepPlan {
    /// In this order, before the request.
    pub before: Vec<Action>,
    /// After the answer.
    pub after: Vec<Action>,
    /// Which location of an upload the request goes to.
    pub location: Location,
    /// How many bytes the upload holds before the request.
    pub held: Option<u64>,
    /// Whether the answer's content is filler.
    pub filler: bool,
}

/// Where bytes of a digest may be found beside the recording.
pub type Library = dyn Fn(&str) -> Option<Bytes>;

/// Plans a session. A step that is skipped does nothing and tells nothing.
pub fn plan(steps: &[Exchange], skipped: &[bool], library: &Library) -> Vec<StepPlan> {
    let mut planner = Planner::new(steps, skipped, library);
    for (index, step) in steps.iter().enumerate() {
        if !skipped[index] {
            planner.step(index, step);
        }
    }
    planner.finish()
}

/// What is known of a thing at some step.
#[derive(Clone, Debug)]
enum State {
    There(There),
    /// Since this step.
    Gone(usize),
}

#[derive(Clone, Debug)]
struct There {
    /// Step and place in the seeds; `None` for what the session has made.
    seed: Option<usize>,
    /// The locks, if they are known.
    attributes: Option<Map<String, Value>>,
    /// The session has changed it since its times were shown.
    touched: bool,
    /// The manifest of a tag.
    digest: Option<String>,
}

struct Seed {
    step: usize,
    thing: Thing,
    facts: Facts,
}

struct UploadState {
    held: u64,
    /// All its bytes, as long as they are known.
    bytes: Option<Vec<u8>>,
}

struct Planner<'a> {
    library: &'a Library,
    known: BTreeMap<String, Bytes>,
    /// Architecture and operating system of manifests, by digest.
    platforms: BTreeMap<String, (Value, Value)>,
    /// Sizes that are shown of blobs.
    sizes: BTreeMap<String, u64>,
    plans: Vec<StepPlan>,
    seeds: Vec<Seed>,
    things: BTreeMap<Thing, State>,
    uploads: BTreeMap<(String, String), UploadState>,
    pages: Vec<(usize, Page)>,
    /// Repositories whose counts have been set.
    counted: Vec<String>,
    /// Repositories in which the session has deleted manifests.
    thinned: Vec<String>,
}

impl<'a> Planner<'a> {
    fn new(steps: &[Exchange], skipped: &[bool], library: &'a Library) -> Self {
        let mut planner = Self {
            library,
            known: BTreeMap::new(),
            platforms: BTreeMap::new(),
            sizes: BTreeMap::new(),
            plans: vec![StepPlan::default(); steps.len()],
            seeds: Vec::new(),
            things: BTreeMap::new(),
            uploads: BTreeMap::new(),
            pages: Vec::new(),
            counted: Vec::new(),
            thinned: Vec::new(),
        };
        for (step, _) in steps.iter().zip(skipped).filter(|(_, skipped)| !**skipped) {
            planner.look_ahead(step);
        }
        planner
    }

    /// Notes what a step tells of content, wherever in the session it is needed.
    fn look_ahead(&mut self, step: &Exchange) {
        for body in [&step.request.body, &step.response.body] {
            if let Body::Bytes(bytes) = body {
                self.known.insert(digest_of(bytes), bytes.clone());
            }
        }
        for (thing, facts) in Supposed::of(step).there {
            match (thing, facts.properties) {
                (Thing::Manifest { digest, .. }, Some(properties)) => {
                    let member = |name: &str| properties.get(name).cloned();
                    if let Some(platform) = member("architecture").zip(member("os")) {
                        self.platforms.insert(digest, platform);
                    }
                }
                (Thing::Blob { digest, .. }, _) => {
                    let shown = step.request.method != "PUT";
                    if let (true, size @ 1..) = (shown, facts.content.bytes().len()) {
                        self.sizes.entry(digest).or_insert(size as u64);
                    }
                }
                _ => {}
            }
        }
    }

    fn step(&mut self, index: usize, step: &Exchange) {
        let supposed = Supposed::of(step);
        for thing in &supposed.absent {
            self.absent(thing, index);
        }
        self.give_platform(step);
        for (thing, facts) in supposed.there {
            self.suppose(&thing, facts, index);
        }
        if let Some((thing, switch)) = supposed.refused {
            self.locked(&thing, switch, index);
        }
        self.upload(index, step);
        if let Some(page) = Page::of(step) {
            self.page(index, page);
        }
        self.plans[index].filler = self.is_filler(step);
        for (thing, facts) in supposed.made {
            self.made(&thing, facts);
        }
        for (thing, attributes) in supposed.locks {
            if let Some(State::There(there)) = self.things.get_mut(&thing) {
                there.attributes = Some(attributes);
            }
        }
        for thing in supposed.gone {
            self.gone(&thing, index);
        }
    }

    /// A thing that this step supposes.
    fn suppose(&mut self, thing: &Thing, facts: Facts, index: usize) {
        if let Thing::Blob { repository, digest } = thing
            && repository == HOME_OF_DATA
            && self.is_held(digest)
        {
            // The data origin gives what any repository holds.
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
    fn is_held(&self, wanted: &str) -> bool {
        self.things.iter().any(|(thing, state)| match thing {
            Thing::Blob { digest, .. } => digest == wanted && matches!(state, State::There(_)),
            _ => false,
        })
    }

    /// The first step before which a thing may be put in that step `index` supposes.
    fn start(&self, thing: &Thing, index: usize) -> usize {
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
    fn absent(&mut self, thing: &Thing, index: usize) {
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

    fn mark_gone(&mut self, thing: &Thing, index: usize) {
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
    fn gone(&mut self, thing: &Thing, index: usize) {
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
    fn made(&mut self, thing: &Thing, facts: Facts) {
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

    fn touch(&mut self, repository: &str) {
        if let Some(State::There(there)) = self.things.get_mut(&Thing::repository(repository)) {
            there.touched = true;
        }
    }

    /// A lock has refused this step: one that is known, or else one that must be there.
    fn locked(&mut self, thing: &Thing, switch: &'static str, index: usize) {
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

    fn page(&mut self, index: usize, page: Page) {
        let digest = self.last_digest(&page);
        if let Some((thing, facts)) = page.behind(digest) {
            self.plans[index].before.push(Action::Put {
                thing: thing.clone(),
                facts,
            });
            self.plans[index].after.push(Action::Remove { thing });
        }
        self.pages.push((index, page));
    }

    /// The manifest of the last tag on a page: what comes behind must pass the same filter.
    fn last_digest(&self, page: &Page) -> Option<String> {
        let last = page.last_tag()?;
        match self.things.get(&last) {
            Some(State::There(there)) => there.digest.clone(),
            _ => None,
        }
    }

    fn upload(&mut self, index: usize, step: &Exchange) {
        if let Some(key) = UploadUse::opened(step) {
            let state = UploadState {
                held: 0,
                bytes: Some(Vec::new()),
            };
            self.uploads.insert(key, state);
            return;
        }
        let Some(used) = UploadUse::of(step) else {
            return;
        };
        let key = (used.repository.clone(), used.id.clone());
        let length = request_length(&step.request).unwrap_or_default();
        let sent = request_bytes(&step.request);
        // A blob whose size is shown elsewhere was uploaded whole.
        let held = used.held.or_else(|| match &used.effect {
            Effect::Completed(digest) => self.sizes.get(digest)?.checked_sub(length),
            _ => None,
        });
        let is_open = self
            .uploads
            .get(&key)
            .is_some_and(|state| used.held.is_none_or(|held| held == state.held));
        if !is_open {
            let is_whole = matches!((&used.effect, &sent), (Effect::Completed(digest), Some(sent))
                if !sent.is_empty() && digest_of(sent) == *digest);
            let held = if is_whole {
                0
            } else {
                held.unwrap_or_default()
            };
            self.plans[index].before.push(Action::Upload {
                repository: used.repository.clone(),
                id: used.id.clone(),
                bytes: filler(held),
            });
            let bytes = (held == 0).then(Vec::new);
            self.uploads
                .insert(key.clone(), UploadState { held, bytes });
        }
        let Some(state) = self.uploads.get_mut(&key) else {
            return;
        };
        self.plans[index].location = used.location;
        self.plans[index].held = Some(state.held);
        match used.effect {
            Effect::None => {}
            Effect::Holds(held) => {
                state.held = held;
                state.bytes = state.bytes.take().zip(sent).map(|(mut bytes, sent)| {
                    bytes.extend_from_slice(&sent);
                    bytes
                });
            }
            Effect::Completed(digest) => {
                let whole = state
                    .bytes
                    .take()
                    .zip(sent)
                    .map(|(bytes, sent)| [&bytes[..], &sent].concat());
                match whole.filter(|whole| digest_of(whole) == digest) {
                    Some(whole) => {
                        self.known.insert(digest, whole.into());
                    }
                    None => self.plans[index].before.push(Action::Claim {
                        repository: used.repository,
                        id: used.id,
                        digest,
                    }),
                }
                self.uploads.remove(&key);
            }
            Effect::Cancelled => {
                self.uploads.remove(&key);
            }
        }
    }

    /// Gives the config of a pushed manifest the platform that a later step shows of it.
    fn give_platform(&mut self, step: &Exchange) {
        let Some(bytes) = pushed_bytes(step).filter(|_| step.request.method == "PUT") else {
            return;
        };
        let Some((architecture, os)) = self.platforms.get(&digest_of(&bytes)).cloned() else {
            return;
        };
        let manifest: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let Some(digest) = manifest["config"]["digest"].as_str() else {
            return;
        };
        let size = manifest["config"]["size"].as_u64().unwrap_or_default();
        let text = serde_json::json!({ "architecture": architecture, "os": os }).to_string();
        let text = format!(
            "{text:<width$}",
            width = usize::try_from(size.min(1 << 20)).unwrap_or_default()
        );
        self.known
            .entry(digest.to_owned())
            .or_insert_with(|| text.into());
    }

    /// Whether the content of an answer is not what its digest says.
    fn is_filler(&self, step: &Exchange) -> bool {
        let Body::Unknown {
            sha256: Some(hex), ..
        } = &step.response.body
        else {
            return false;
        };
        let real = |bytes: &Bytes| sha256(bytes) == *hex;
        let digest = format!("sha256:{hex}");
        let known = self.known.get(&digest).is_some_and(real);
        let whole = match step.response.status {
            // A part's digest is that of real bytes only if the whole is real.
            206 => supposed_digest(step).is_some_and(|digest| self.content(&digest).is_some()),
            _ => (self.library)(&digest).is_some(),
        };
        !(known || whole)
    }

    /// Real bytes of a digest.
    fn content(&self, digest: &str) -> Option<Bytes> {
        let known = self.known.get(digest).cloned();
        known.or_else(|| (self.library)(digest))
    }

    fn finish(mut self) -> Vec<StepPlan> {
        let mut seeds = std::mem::take(&mut self.seeds);
        let manifests: Vec<(usize, Thing)> = seeds
            .iter()
            .map(|seed| (seed.step, seed.thing.clone()))
            .collect();
        for seed in &mut seeds {
            match &seed.thing {
                Thing::Blob { digest, .. } | Thing::Manifest { digest, .. } => {
                    if seed.facts.content.known().is_none()
                        && let Some(bytes) = self.content(digest)
                    {
                        seed.facts.content = Content::whole(bytes);
                    }
                }
                Thing::Tag { repository, .. } if seed.facts.digest.is_none() => {
                    // Of a tag whose manifest nobody shows, it is one that is there.
                    seed.facts.digest = manifests.iter().find_map(|(step, thing)| match thing {
                        Thing::Manifest {
                            repository: home,
                            digest,
                        } if home == repository && *step <= seed.step => Some(digest.clone()),
                        _ => None,
                    });
                }
                Thing::Tag { .. } | Thing::Repository { .. } => {}
            }
        }
        // Blobs and manifests before the tags and repositories that stand on them.
        seeds.sort_by(|a, b| a.thing.cmp(&b.thing));
        for seed in seeds.into_iter().rev() {
            self.plans[seed.step].before.insert(
                0,
                Action::Put {
                    thing: seed.thing,
                    facts: seed.facts,
                },
            );
        }
        self.plans
    }
}

impl There {
    /// Made by the session.
    fn new() -> Self {
        Self {
            seed: None,
            attributes: None,
            touched: true,
            digest: None,
        }
    }
}

/// The digest of the blob that an exchange reads.
fn supposed_digest(step: &Exchange) -> Option<String> {
    use super::super::target::Target;
    match &step.target {
        Target::Blob { digest, .. } | Target::Data { digest } => Some(digest.clone()),
        _ => None,
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
