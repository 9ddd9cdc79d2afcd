//! The manifests of an image, with those that it refers to and those that refer to it.

use std::collections::{HashMap, HashSet};

use acr_protocol::referrers::{fallback_tag, referrer};
use acr_protocol::{Descriptor, Digest, Manifest};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::kept_list::KeptList;
use super::limits::Limits;
use super::platforms::Root;
use super::referrers::Referrers;
use super::side::Side;
use crate::error::{Error, ErrorKind};

/// The manifests, in batches: those of a batch may be put at once, and all that they need is in earlier ones.
pub(super) struct Graph {
    /// The image's own manifest, and whether it was made here.
    pub(super) root: Digest,
    pub(super) is_new: bool,
    /// The image and what it refers to. The last batch is the image's own manifest alone.
    pub(super) image: Vec<Vec<Manifest>>,
    /// What refers to these, and so on.
    pub(super) referrers: Vec<Vec<Manifest>>,
    /// The referrers without what they refer to, as they are listed.
    pub(super) listed: Vec<Descriptor>,
    /// What the source has in lists that clients keep.
    pub(super) kept: Vec<KeptList>,
}

/// Which referrers go along with an image.
pub(super) struct Along<'a> {
    /// Those that name their subject.
    pub(super) referrers: Option<&'a Referrers>,
    /// Those in the lists that clients keep under tags.
    pub(super) kept_lists: bool,
}

impl Graph {
    /// Reads an image's manifests, each once. What is in `known` was seen to before.
    pub(super) async fn gather(
        from: &Side,
        Root { manifest, is_new }: Root,
        known: &HashSet<Digest>,
        along: &Along<'_>,
        limits: &mut Limits,
        concurrency: usize,
    ) -> Result<Self, Error> {
        limits.count(1)?;
        limits.hold(&manifest)?;
        let mut graph = Self {
            root: manifest.digest.clone(),
            is_new,
            image: Vec::new(),
            referrers: Vec::new(),
            listed: Vec::new(),
            kept: Vec::new(),
        };
        if known.contains(&manifest.digest) {
            graph.image.push(vec![manifest]);
            return Ok(graph);
        }
        let mut gathering = Gathering {
            from,
            limits,
            known,
            seen: HashSet::from([manifest.digest.clone()]),
            concurrency,
        };
        graph.image = gathering.tree(vec![manifest]).await?;
        if along.referrers.is_some() || along.kept_lists {
            gathering.referrers(&mut graph, along).await?;
        }
        Ok(graph)
    }

    /// The image's own manifest.
    pub(super) fn root(&self) -> Option<&Manifest> {
        self.manifests()
            .find(|manifest| manifest.digest == self.root)
    }

    /// All manifests in the order in which they are put.
    pub(super) fn manifests(&self) -> impl Iterator<Item = &Manifest> {
        self.image.iter().chain(&self.referrers).flatten()
    }
}

/// What a manifest refers to, as manifests and as blobs. The entries of an index are manifests, but for those whose
/// type says otherwise, such as the layers in an index of BuildKit's cache.
///
/// What it refers to is not known of Docker's schema 1, and what is not known is not left out in silence.
pub(super) fn references(manifest: &Manifest) -> Result<(Vec<Descriptor>, Vec<Descriptor>), Error> {
    if manifest.media_type.begins_with(SCHEMA_1) {
        let text = format!("{} is a manifest of Docker's schema 1", manifest.digest);
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    let is_index = manifest.media_type.is_index();
    if !is_index && lists_manifests(manifest) {
        let Manifest {
            digest, media_type, ..
        } = manifest;
        let text = format!("{digest} is of type {media_type}, but lists manifests as an index");
        return Err(Error::protocol(text));
    }
    let references = manifest.references()?.into_iter();
    Ok(references.partition(|reference| {
        let media_type = &reference.media_type;
        is_index && (media_type.is_manifest() || media_type.as_str().is_empty())
    }))
}

struct Gathering<'a> {
    from: &'a Side,
    limits: &'a mut Limits,
    known: &'a HashSet<Digest>,
    seen: HashSet<Digest>,
    concurrency: usize,
}

impl Gathering<'_> {
    /// Reads what manifests refer to, level by level.
    async fn tree(&mut self, roots: Vec<Manifest>) -> Result<Vec<Vec<Manifest>>, Error> {
        let (mut all, mut level, mut depth) = (Vec::new(), roots, 0);
        while !level.is_empty() {
            self.limits.check_depth(depth)?;
            let mut next = Vec::new();
            for manifest in &level {
                next.extend(references(manifest)?.0);
            }
            all.append(&mut level);
            level = self.read(next, false).await?;
            depth += 1;
        }
        batches(all)
    }

    /// Reads what refers to the image's manifests, and to those that refer to them.
    async fn referrers(&mut self, graph: &mut Graph, along: &Along<'_>) -> Result<(), Error> {
        let digests = |manifests: &[Vec<Manifest>]| -> HashSet<Digest> {
            let all = manifests.iter().flatten();
            all.map(|manifest| manifest.digest.clone()).collect()
        };
        let (mut subjects, mut depth) = (digests(&graph.image), 0);
        if graph.is_new {
            subjects.remove(&graph.root);
        }
        while !subjects.is_empty() {
            self.limits.check_depth(depth)?;
            let mut kept = self.kept(&subjects, along).await?;
            let mut listed: Vec<_> = kept.iter().flat_map(|list| list.entries.clone()).collect();
            let in_kept: HashSet<_> = listed.iter().map(|entry| entry.digest.clone()).collect();
            let mut new = HashSet::new();
            listed.retain(|entry| !self.is_seen(entry) && new.insert(entry.digest.clone()));
            if let Some(referrers) = along.referrers {
                let most = self.limits.max_manifests;
                let mut lists = stream::iter(subjects.clone())
                    .map(|subject| referrers.list(subject, most))
                    .buffer_unordered(self.concurrency);
                while let Some(list) = lists.next().await {
                    listed.extend(
                        list?.into_iter().filter(|entry| {
                            !self.is_seen(entry) && new.insert(entry.digest.clone())
                        }),
                    );
                    self.limits.check_count(listed.len())?;
                }
            }
            let (mut found, mut sizes) = (Vec::new(), HashMap::new());
            // What a list says may be out of date.
            for manifest in self.read(listed, true).await? {
                let entry = match referrer(&manifest) {
                    Some((subject, entry)) if subjects.contains(&subject) => entry,
                    // Some clients list what has no subject.
                    None if in_kept.contains(&manifest.digest) => manifest.descriptor(),
                    _ => continue,
                };
                sizes.insert(entry.digest.clone(), entry.size);
                graph.listed.push(entry);
                found.push(manifest);
            }
            for entry in kept.iter_mut().flat_map(|list| &mut list.entries) {
                // One of another size names what nobody can fetch.
                entry.size = sizes.get(&entry.digest).copied().unwrap_or(entry.size);
            }
            graph.kept.extend(kept);
            let found = self.tree(found).await?;
            subjects = digests(&found);
            graph.referrers.extend(found);
            depth += 1;
        }
        Ok(())
    }

    /// Reads the lists that clients keep of these subjects.
    async fn kept(
        &mut self,
        subjects: &HashSet<Digest>,
        along: &Along<'_>,
    ) -> Result<Vec<KeptList>, Error> {
        if !along.kept_lists {
            return Ok(Vec::new());
        }
        let tags = subjects.iter().filter_map(|subject| {
            let tag = fallback_tag(subject)?;
            Some((tag, subject.clone()))
        });
        let (from, tags) = (self.from, tags.collect::<Vec<_>>());
        let mut reading = stream::iter(tags)
            .map(|(tag, subject)| async move { (from.kept_list(&tag).await, tag, subject) })
            .buffer_unordered(self.concurrency);
        let mut kept = Vec::new();
        while let Some((list, tag, subject)) = reading.next().await {
            if let Some(list) = list? {
                self.limits.hold(&list)?;
                kept.push(KeptList {
                    tag,
                    subject,
                    entries: list.as_index()?.manifests,
                });
            }
        }
        Ok(kept)
    }

    fn is_seen(&self, manifest: &Descriptor) -> bool {
        self.known.contains(&manifest.digest) || self.seen.contains(&manifest.digest)
    }

    /// Reads the manifests that were not seen before; those that are not there are an error, unless they need not be.
    async fn read(
        &mut self,
        wanted: Vec<Descriptor>,
        may_lack: bool,
    ) -> Result<Vec<Manifest>, Error> {
        let wanted = wanted.into_iter();
        let wanted: Vec<_> = wanted
            .filter(|wanted| {
                !self.known.contains(&wanted.digest) && self.seen.insert(wanted.digest.clone())
            })
            .collect();
        self.limits.count(wanted.len())?;
        let from = self.from;
        let mut reading = stream::iter(wanted)
            .map(|wanted| async move { from.manifest(&wanted).await })
            .buffered(self.concurrency);
        let mut read = Vec::new();
        while let Some(manifest) = reading.next().await {
            match manifest {
                Err(error) if may_lack && error.kind() == ErrorKind::NotFound => {}
                manifest => {
                    let manifest = manifest?;
                    self.limits.hold(&manifest)?;
                    read.push(manifest);
                }
            }
        }
        Ok(read)
    }
}

/// Whether the bytes have what an index has. Under another type its manifests would pass for blobs, and what these refer
/// to would be left.
fn lists_manifests(manifest: &Manifest) -> bool {
    #[derive(Deserialize)]
    struct Listing {
        manifests: Option<Vec<IgnoredAny>>,
    }
    let listing = serde_json::from_slice::<Listing>(&manifest.bytes).ok();
    let manifests = listing.and_then(|listing| listing.manifests);
    manifests.is_some_and(|manifests| !manifests.is_empty())
}

/// How both of its types begin, the signed and the plain one.
const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+";

/// Sorts manifests by their height above those that refer to no other of them.
fn batches(all: Vec<Manifest>) -> Result<Vec<Vec<Manifest>>, Error> {
    let places: HashMap<_, _> = all
        .iter()
        .map(|manifest| &manifest.digest)
        .zip(0..)
        .collect();
    let mut children = Vec::new();
    for manifest in &all {
        let (manifests, _) = references(manifest)?;
        let known = manifests
            .iter()
            .filter_map(|child| places.get(&child.digest));
        children.push(known.copied().collect::<Vec<usize>>());
    }
    let mut heights = vec![0; all.len()];
    // Children mostly come later, so that one round backwards does it. There are no more rounds than manifests, even if
    // a server should have made a circle.
    for _ in 0..all.len() {
        let before = heights.clone();
        for (place, children) in children.iter().enumerate().rev() {
            let highest = children.iter().map(|&child| heights[child] + 1).max();
            heights[place] = highest.unwrap_or(0).min(all.len());
        }
        if heights == before {
            break;
        }
    }
    let mut batches = Vec::new();
    batches.resize_with(heights.iter().max().map_or(0, |most| most + 1), Vec::new);
    for (manifest, height) in all.into_iter().zip(heights) {
        batches[height].push(manifest);
    }
    batches.retain(|batch: &Vec<_>| !batch.is_empty());
    Ok(batches)
}
