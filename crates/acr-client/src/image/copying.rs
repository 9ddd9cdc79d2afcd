//! A copy in progress.

use std::collections::{HashMap, HashSet, VecDeque};

use acr_protocol::referrers::{fallback_tag, is_fallback_tag};
use acr_protocol::{Descriptor, Digest, Manifest, Platform};
use futures_util::{StreamExt as _, stream};

use super::graph::{Along, Graph, references};
use super::kept_list::KeptList;
use super::layout::{REF_NAME, SIGNATURE_SUFFIXES};
use super::limits::Limits;
use super::location::ImageLocation;
use super::options::{Copied, CopiedImage, CopyOptions};
use super::referrers::Referrers;
use super::side::{Nearness, Side};
use super::tally::Tally;
use super::{platforms, transfer};
use crate::error::Error;
use crate::progress::Outcome;

pub(super) struct Copying {
    from: ImageLocation,
    to: ImageLocation,
    nearness: Nearness,
    options: CopyOptions,
    tally: Tally,
    /// The referrers of the source, if they are copied.
    referrers: Option<Referrers>,
    /// The blobs that were seen to.
    blobs: HashSet<Digest>,
    /// The manifests that were seen to. The same bytes may be both: a layer of one image and a manifest of their own.
    manifests: HashSet<Digest>,
    /// What a layout is to list.
    listed: Vec<Descriptor>,
    copied: Copied,
}

impl Copying {
    pub(super) fn new(from: ImageLocation, to: ImageLocation, options: CopyOptions) -> Self {
        Self {
            nearness: from.side.nearness(&to.side),
            tally: Tally::new(options.on_progress.clone()),
            from,
            to,
            options,
            referrers: None,
            blobs: HashSet::new(),
            manifests: HashSet::new(),
            listed: Vec::new(),
            copied: Copied::default(),
        }
    }

    pub(super) async fn run(mut self) -> Result<Copied, Error> {
        if let Side::Layout(layout) = &mut self.from.side {
            *layout = layout.as_it_is()?;
        }
        let platforms = std::mem::take(&mut self.options.platforms);
        let names = self.names().await?;
        if self.options.referrers {
            self.referrers = Some(Referrers::of(&self.from.side)?);
        }
        let mut known: HashSet<_> = names.iter().map(|(source, _)| source.clone()).collect();
        for (source, target) in names {
            // An image is bounded with all that belongs to it by its tag, and what belongs to that by its tag.
            let mut limits = Limits::new(self.options.max_manifests, self.options.max_depth);
            let mut open = VecDeque::from([(source, target, platforms.as_slice(), 0)]);
            while let Some((source, target, platforms, depth)) = open.pop_front() {
                limits.check_depth(depth)?;
                let manifests = self.image(source, target, platforms, &mut limits).await?;
                for tag in self.tags_of(manifests).await? {
                    if known.insert(Some(tag.clone())) {
                        // What belongs to an image is for no platform, also where it is in an index.
                        open.push_back((Some(tag.clone()), Some(tag), &[], depth + 1));
                    }
                }
            }
        }
        // What one image names as foreign may be another one's own.
        let Self { blobs, copied, .. } = &mut self;
        copied.left_out.retain(|blob| !blobs.contains(&blob.digest));
        if let Side::Layout(layout) = &self.to.side {
            layout.list(&self.listed)?;
        }
        Ok(self.copied)
    }

    /// The names of the images to copy: at the source and, where it is given, at the target.
    async fn names(&self) -> Result<Vec<(Option<String>, Option<String>)>, Error> {
        if !self.options.all_tags {
            return Ok(vec![(self.from.name.clone(), self.to.name.clone())]);
        }
        if self.from.name.is_some() || self.to.name.is_some() {
            let text = "with `all_tags` neither side has a name";
            return Err(Error::invalid(text));
        }
        let names = self.from.side.names().await?;
        let mut seen = HashSet::new();
        let names = names.into_iter();
        let names = names.filter(|name| !is_fallback_tag(name) && seen.insert(name.clone()));
        let checked = names.map(|name| {
            let name = self.to.side.check_tag(name)?;
            Ok((Some(name.clone()), Some(name)))
        });
        checked.collect()
    }

    /// Copies one image; returns the digests of its manifests.
    async fn image(
        &mut self,
        source: Option<String>,
        target: Option<String>,
        platforms: &[Platform],
        limits: &mut Limits,
    ) -> Result<Vec<Digest>, Error> {
        let from = &self.from.side;
        let (image, own_name) = from.image(source.as_deref()).await?;
        let source = image.descriptor();
        let root = platforms::choose(from, image, platforms, &self.options).await?;
        let name = match target {
            Some(target) => self.to.side.tag(target, &root.manifest)?,
            None => own_name
                .map(|name| self.to.side.check_tag(name))
                .transpose()?,
        };
        let descriptor = root.manifest.descriptor();
        let along = Along {
            referrers: self.referrers.as_ref(),
            kept_lists: self.carries_tags(),
        };
        let at_once = self.options.concurrency.max(1);
        let graph = Graph::gather(from, root, &self.manifests, &along, limits, at_once).await?;

        let present = self.present(&graph, name.as_deref()).await?;
        self.transfer(&graph, &present).await?;
        let tag = self.put(&graph, &present, name.as_deref()).await?;
        self.add_to_kept(&graph).await?;
        if let (Some(tag), Side::Repository(_), Some(root)) = (tag, &self.to.side, graph.root()) {
            self.to.side.put(root, Some(tag)).await?;
        }
        if let Side::Layout(_) = &self.to.side {
            let named = |name: &str| descriptor.clone().with_annotation(REF_NAME, name);
            let listed = name.as_deref().map_or_else(|| descriptor.clone(), named);
            self.listed.push(listed);
            self.listed.extend(graph.listed.iter().cloned());
        }
        let manifests = graph.manifests();
        let digests = manifests.map(|manifest| manifest.digest.clone()).collect();
        self.copied.images.push(CopiedImage {
            name,
            source,
            descriptor,
        });
        Ok(digests)
    }

    /// Asks the target what it has.
    async fn present(&self, graph: &Graph, name: Option<&str>) -> Result<Present, Error> {
        let (to, root) = (&self.to.side, &graph.root);
        let mut present = Present::default();
        // A layout's list is written at the end in any case.
        if let (Some(name), Side::Repository(_)) = (name, to) {
            present.is_tagged = to.find(name).await?.as_ref() == Some(root);
        }
        let (mut known, mut asked) = (HashSet::new(), Vec::new());
        let new = graph.manifests();
        for manifest in new.filter(|new| !self.manifests.contains(&new.digest)) {
            let is_root = manifest.digest == *root;
            if self.nearness == Nearness::SameRepository && !(is_root && graph.is_new)
                || is_root && present.is_tagged
            {
                known.insert(manifest.digest.clone());
            } else if !(is_root && name.is_some()) {
                asked.push(manifest.descriptor());
            }
        }
        let mut asking = stream::iter(asked)
            .map(|asked| async move { (to.has_manifest(&asked).await, asked.digest) })
            .buffer_unordered(self.options.concurrency.max(1));
        while let Some((has, digest)) = asking.next().await {
            if has? {
                known.insert(digest);
            }
        }
        present.manifests = known;
        Ok(present)
    }

    /// Sees to the blobs, each once.
    async fn transfer(&mut self, graph: &Graph, present: &Present) -> Result<(), Error> {
        let Self {
            from,
            to,
            nearness,
            options,
            tally,
            blobs,
            manifests,
            copied,
            ..
        } = self;
        let mut plan: Vec<(Descriptor, bool)> = Vec::new();
        let mut places = HashMap::new();
        let new = graph.manifests();
        for manifest in new.filter(|new| !manifests.contains(&new.digest)) {
            tally.announce(&manifest.descriptor());
            // Mounting what is there does no harm, so that is asked only where it is likely.
            let ask = *nearness == Nearness::Apart || present.manifests.contains(&manifest.digest);
            for blob in references(manifest)?.1 {
                let is_foreign = blob.media_type.is_foreign() && !blob.urls.is_empty();
                if blobs.contains(&blob.digest) {
                    continue;
                }
                if is_foreign && !options.foreign_layers {
                    if !copied.left_out.iter().any(|b| b.digest == blob.digest) {
                        copied.left_out.push(blob);
                    }
                } else if let Some(&place) = places.get(&blob.digest) {
                    let (_, asked): &mut (_, bool) = &mut plan[place];
                    *asked |= ask;
                } else {
                    tally.announce(&blob);
                    places.insert(blob.digest.clone(), plan.len());
                    plan.push((blob, ask));
                }
            }
        }
        let (from, to, tally, nearness) = (&from.side, &to.side, &*tally, *nearness);
        if let Side::Layout(layout) = from {
            // What can be seen to be wrong is found before anything is written.
            for (blob, _) in &plan {
                layout.stored(blob)?;
            }
        }
        let at_once = options.concurrency.max(1).min(to.max_writers());
        let mut transfers = stream::iter(plan)
            .map(|(blob, ask)| async move {
                let content = tally.content(&blob);
                let outcome = match nearness {
                    Nearness::SameRepository => Outcome::Present,
                    _ => transfer::transfer(from, to, &blob, ask, &content).await?,
                };
                content.done(outcome);
                Ok::<_, Error>((blob, outcome))
            })
            .buffer_unordered(at_once);
        while let Some(transferred) = transfers.next().await {
            let (blob, outcome) = transferred?;
            blobs.insert(blob.digest.clone());
            copied.contents.push((blob, outcome));
        }
        Ok(())
    }

    /// Puts the manifests in their order; returns the tag, where it is still to be put.
    async fn put<'a>(
        &mut self,
        graph: &Graph,
        present: &Present,
        name: Option<&'a str>,
    ) -> Result<Option<&'a str>, Error> {
        let is_there = |manifest: &Manifest| present.manifests.contains(&manifest.digest);
        // With referrers the tag comes after them, and so by a request of its own.
        let mut tag = name.filter(|_| !present.is_tagged);
        let with_root = graph.kept.is_empty() && graph.referrers.iter().flatten().all(is_there);
        let Self {
            to,
            nearness,
            options,
            tally,
            manifests: done,
            copied,
            ..
        } = self;
        let (to, tally) = (&to.side, &*tally);
        let sees_lists = *nearness != Nearness::SameRepository;
        let at_once = options.concurrency.max(1).min(to.max_writers());
        for batch in graph.image.iter().chain(&graph.referrers) {
            let mut plan = Vec::new();
            for manifest in batch.iter().filter(|m| !done.contains(&m.digest)) {
                let is_tagged = with_root && manifest.digest == graph.root;
                let with = tag.filter(|_| is_tagged && !is_there(manifest));
                if with.is_some() {
                    tag = None;
                }
                let with = with.map(str::to_owned);
                plan.push((manifest.clone(), with, is_there(manifest)));
            }
            let mut puts = stream::iter(plan)
                .map(|(manifest, tag, is_there)| async move {
                    let content = tally.content(&manifest.descriptor());
                    let outcome = if is_there {
                        if sees_lists {
                            to.see_listed(&manifest).await?;
                        }
                        Outcome::Present
                    } else {
                        to.put(&manifest, tag.as_deref()).await?
                    };
                    content.done(outcome);
                    Ok::<_, Error>((manifest, outcome))
                })
                .buffer_unordered(at_once);
            while let Some(put) = puts.next().await {
                let (manifest, outcome) = put?;
                done.insert(manifest.digest.clone());
                copied.contents.push((manifest.descriptor(), outcome));
            }
        }
        Ok(tag)
    }

    /// Sees to it that what the source has in lists that clients keep is in those of the target.
    async fn add_to_kept(&mut self, graph: &Graph) -> Result<(), Error> {
        for list in &graph.kept {
            let entries = list.entries.iter();
            // What is listed need not be there.
            let entries = entries.filter(|entry| self.manifests.contains(&entry.digest));
            let list = KeptList {
                tag: list.tag.clone(),
                subject: list.subject.clone(),
                entries: entries.cloned().collect(),
            };
            let listed = self.to.side.add_to_kept(&list).await?;
            self.listed.extend(listed);
        }
        Ok(())
    }

    /// Whether what belongs to images by tags is copied.
    fn carries_tags(&self) -> bool {
        self.options.signature_tags && self.nearness != Nearness::SameRepository
    }

    /// Finds the tags that belong to manifests by their names.
    async fn tags_of(&self, manifests: Vec<Digest>) -> Result<Vec<String>, Error> {
        if !self.carries_tags() {
            return Ok(Vec::new());
        }
        let tags = manifests.iter().filter_map(fallback_tag);
        let names = tags.flat_map(|own| SIGNATURE_SUFFIXES.map(|suffix| format!("{own}{suffix}")));
        let (from, names) = (&self.from.side, names.collect::<Vec<_>>());
        let mut asking = stream::iter(names)
            .map(|name| async move { Ok::<_, Error>((from.find(&name).await?, name)) })
            .buffered(self.options.concurrency.max(1));
        let mut found = Vec::new();
        while let Some(asked) = asking.next().await {
            if let (Some(_), name) = asked? {
                found.push(name);
            }
        }
        Ok(found)
    }
}

/// What the target has.
#[derive(Default)]
struct Present {
    manifests: HashSet<Digest>,
    /// Whether the image's name stands for the image.
    is_tagged: bool,
}
