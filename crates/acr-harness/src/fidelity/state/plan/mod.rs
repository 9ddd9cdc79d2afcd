//! [`plan`]: when each thing must be in the mock, over the steps of a session.
//!
//! What a step supposes and no earlier step made was there from the start, or from right after the latest step that
//! says it was not. What an earlier step made keeps what the mock made of it, but for its times: the service's clock
//! shows more digits than its responds. What a step says is gone and no earlier step removed, somebody else removed.

#[cfg(test)]
mod tests;
mod things;
mod uploads;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::fidelity::body::{Body, digest_of, sha256};
use crate::fidelity::exchange::Exchange;
use crate::fidelity::state::content::Content;
use crate::fidelity::state::facts::{Facts, Thing};
use crate::fidelity::state::listing::Page;
use crate::fidelity::state::supposed::{Supposed, pushed_bytes};
use crate::fidelity::state::upload::Location;

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
    /// After the response.
    pub after: Vec<Action>,
    /// Which location of an upload the request goes to.
    pub location: Location,
    /// How many bytes the upload holds before the request.
    pub held: Option<u64>,
    /// Whether the response's content is filler.
    pub filler: bool,
}

/// Where bytes of a digest may be found beside the recording.
pub type RealBytes = dyn Fn(&str) -> Option<Bytes>;

/// Plans a session. A step that is skipped does nothing and tells nothing.
pub fn plan(steps: &[Exchange], skipped: &[bool], real_bytes: &RealBytes) -> Vec<StepPlan> {
    let mut planner = Planner::new(steps, skipped, real_bytes);
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
    real_bytes: &'a RealBytes,
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
    fn new(steps: &[Exchange], skipped: &[bool], real_bytes: &'a RealBytes) -> Self {
        let mut planner = Self {
            real_bytes,
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

    /// Whether the content of a response is not what its digest says.
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
            _ => (self.real_bytes)(&digest).is_some(),
        };
        !(known || whole)
    }

    /// Real bytes of a digest.
    fn content(&self, digest: &str) -> Option<Bytes> {
        let known = self.known.get(digest).cloned();
        known.or_else(|| (self.real_bytes)(digest))
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
    use crate::fidelity::target::Target;
    match &step.target {
        Target::Blob { digest, .. } | Target::Data { digest } => Some(digest.clone()),
        _ => None,
    }
}
