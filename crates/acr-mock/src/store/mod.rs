//! The registry's state: repositories, their tags, manifests and blobs, and the open uploads.
//!
//! A std mutex around it is held for one operation at a time and never across an await: everything here is quick, and
//! bodies are read before.

mod content;
mod gathering;
mod index;
mod manifests;
mod order;
mod repository;
mod snapshot;
mod statistics;
mod switches;
mod tags;
mod tally;
mod upload;
mod waste;

pub(crate) use content::Content;
pub(crate) use gathering::Gathering;
pub(crate) use manifests::{ManifestRecord, PlatformWords, RareMembers};
pub(crate) use order::{Place, marker, place, read_marker};
pub(crate) use repository::RepositoryRecord;
pub use statistics::Statistics;
pub(crate) use switches::Switches;
pub(crate) use tags::TagRecord;
pub(crate) use tally::Held;
pub(crate) use upload::Upload;
pub(crate) use waste::Waste;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Weak};

use acr_protocol::{Digest, RepositoryName, Timestamp};
use bytes::Bytes;

use tally::Tally;

/// Everything that a registry holds. The maps are trees: a table of hashes that grows moves all its entries at once, and
/// nobody could come in meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Store {
    repositories: BTreeMap<RepositoryName, Box<RepositoryRecord>>,
    /// Every content that somebody still holds, by digest: the same bytes are held once.
    contents: BTreeMap<Digest, Weak<Held>>,
    /// Behind which digest contents that nobody holds are looked for next.
    swept: Option<Digest>,
    tally: Arc<Tally>,
    /// What the repositories hold, but for their blobs.
    counts: Counts,
    uploads: HashMap<String, Upload>,
    /// How many of them each repository has, if any.
    uploads_in: HashMap<RepositoryName, usize>,
    upload_ends: BTreeSet<(Timestamp, String)>,
    last_write: Timestamp,
    /// How many seeds were put in.
    seeds: u64,
}

/// How many contents that may be left by all are looked at for each that is put in: they go in the end, and no write looks
/// at all of them.
const SWEPT_AT_ONCE: usize = 4;

impl Store {
    /// The time of a write: later than that of every write before, in the wire's units of 100 ns, so that newest first is
    /// a total order.
    pub(crate) fn write_time(&mut self, now: Timestamp) -> Timestamp {
        let time = Timestamp::from_ticks(now.ticks().max(self.last_write.ticks() + 1));
        self.last_write = time;
        time
    }

    /// A number that no seed had before, so that each has content of its own.
    pub(crate) fn next_seed(&mut self) -> u64 {
        self.seeds += 1;
        self.seeds
    }

    /// The records of repositories whose names come behind this one, whether they exist or only hold blobs.
    pub(crate) fn repositories_behind<'a>(
        &'a self,
        last: &str,
    ) -> impl Iterator<Item = (&'a RepositoryName, &'a RepositoryRecord)> + use<'a> {
        self.repositories
            .range::<str, _>((Excluded(last), Unbounded))
            .map(|(name, repository)| (name, &**repository))
    }

    /// A repository that exists.
    pub(crate) fn repository(&self, name: &RepositoryName) -> Option<&RepositoryRecord> {
        self.repositories
            .get(name)
            .map(|repository| &**repository)
            .filter(|repository| repository.exists())
    }

    /// A repository that exists, to change it.
    pub(crate) fn repository_mut(&mut self, name: &RepositoryName) -> Option<Changing<'_>> {
        let repository = self.repositories.get_mut(name);
        let repository = repository.filter(|repository| repository.exists())?;
        Some(Changing::new(repository, &mut self.counts))
    }

    /// The record of a repository, whether it exists or only holds blobs.
    pub(crate) fn record(&self, name: &RepositoryName) -> Option<&RepositoryRecord> {
        self.repositories.get(name).map(|repository| &**repository)
    }

    /// The record of a repository; a new one where there is none.
    pub(crate) fn record_mut(&mut self, name: &RepositoryName) -> Changing<'_> {
        let repository = self.repositories.entry(name.clone()).or_default();
        Changing::new(repository, &mut self.counts)
    }

    /// Takes a repository out with everything in it, which is dropped elsewhere.
    pub(crate) fn remove_repository(
        &mut self,
        name: &RepositoryName,
    ) -> Option<Box<RepositoryRecord>> {
        let counts = Counts::of(self.repository(name)?);
        self.counts.change(counts, Counts::default());
        self.repositories.remove(name)
    }

    /// A blob of a repository.
    pub(crate) fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Option<&Arc<Held>> {
        self.repositories.get(repository)?.blob(digest)
    }

    /// Any content that is still held, whatever repository it is in.
    pub(crate) fn content(&self, digest: &Digest) -> Option<Arc<Held>> {
        self.contents.get(digest)?.upgrade()
    }

    /// Puts a blob into a repository. Where the same bytes are held already, those are used, and the pieces of the new copy
    /// are returned.
    pub(crate) fn put_blob(
        &mut self,
        repository: &RepositoryName,
        digest: Digest,
        content: Content,
        now: Timestamp,
    ) -> Vec<Bytes> {
        let (held, surplus) = match self.content(&digest) {
            Some(held) => (held, content.into_chunks()),
            None => {
                let held = Held::new(digest, content.created(now), &self.tally);
                (Arc::new(held), Vec::new())
            }
        };
        self.share_blob(repository, held);
        surplus
    }

    /// Puts a blob that is held already into a further repository.
    pub(crate) fn share_blob(&mut self, repository: &RepositoryName, content: Arc<Held>) {
        self.sweep();
        let digest = content.digest().clone();
        // In the place of the text of one that nobody holds any more.
        if self.content(&digest).is_none() {
            self.contents.remove(&digest);
            self.contents
                .insert(digest.clone(), Arc::downgrade(&content));
        }
        let mut record = self.record_mut(repository);
        if record.blob(&digest).is_none() {
            record.blobs.insert(content);
        }
    }

    /// Forgets a few of the contents that nobody holds any more, going round.
    fn sweep(&mut self) {
        let from = self.swept.take().map_or(Unbounded, Excluded);
        let next = self.contents.range((from, Unbounded)).take(SWEPT_AT_ONCE);
        let next: Vec<_> = next
            .map(|(digest, held)| (digest.clone(), held.strong_count()))
            .collect();
        for (digest, holders) in next {
            if holders == 0 {
                self.contents.remove(&digest);
            }
            self.swept = Some(digest);
        }
    }

    /// Takes a blob out of a repository, if it is there.
    pub(crate) fn remove_blob(
        &mut self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Option<Arc<Held>> {
        let blobs = &mut self.repositories.get_mut(repository)?.blobs;
        let removed = blobs.remove(("", 0, digest.as_str()));
        self.forget_if_empty(repository);
        removed
    }

    /// A record that holds nothing any more is not a record.
    pub(crate) fn forget_if_empty(&mut self, name: &RepositoryName) {
        if self
            .repositories
            .get(name)
            .is_some_and(|record| !record.exists() && record.blobs.is_empty())
        {
            self.repositories.remove(name);
        }
    }

    /// How many uploads are open, in all and in a repository.
    pub(crate) fn uploads(&self, repository: &RepositoryName) -> (usize, usize) {
        let here = self.uploads_in.get(repository).copied();
        (self.uploads.len(), here.unwrap_or_default())
    }

    /// When the first of the open uploads is over, if no byte comes.
    pub(crate) fn first_upload_end(&self) -> Option<Timestamp> {
        self.upload_ends.first().map(|(end, _)| *end)
    }

    /// Counts what is there.
    pub(crate) fn statistics(&self) -> Statistics {
        let mut statistics = Statistics {
            repositories: self.counts.repositories,
            tags: self.counts.tags,
            manifests: self.counts.manifests,
            manifest_bytes: self.counts.manifest_bytes,
            blobs: self.tally.blobs(),
            blob_bytes: self.tally.bytes(),
            ..Statistics::default()
        };
        statistics.uploads = self.uploads.len();
        statistics.upload_bytes = self.uploads.values().map(Upload::offset).sum();
        statistics
    }

    /// Opens an upload, which ends at `end` unless bytes come.
    pub(crate) fn add_upload(&mut self, mut upload: Upload, end: Timestamp) {
        upload.end = end;
        if let Some(replaced) = self.uploads.remove(upload.id()) {
            self.upload_ends
                .remove(&(replaced.end, replaced.id().to_owned()));
            self.uncount_upload(&replaced);
        }
        let here = self.uploads_in.entry(upload.repository().clone());
        *here.or_default() += 1;
        self.upload_ends.insert((end, upload.id().to_owned()));
        self.uploads.insert(upload.id().to_owned(), upload);
    }

    /// An upload of this repository.
    pub(crate) fn upload(&self, repository: &RepositoryName, id: &str) -> Option<&Upload> {
        self.uploads
            .get(id)
            .filter(|upload| upload.repository() == repository)
    }

    /// Takes an upload out, to change or to end it.
    pub(crate) fn take_upload(&mut self, repository: &RepositoryName, id: &str) -> Option<Upload> {
        self.upload(repository, id)?;
        let upload = self.uploads.remove(id)?;
        self.upload_ends.remove(&(upload.end, id.to_owned()));
        self.uncount_upload(&upload);
        Some(upload)
    }

    fn uncount_upload(&mut self, upload: &Upload) {
        if let Some(here) = self.uploads_in.get_mut(upload.repository()) {
            *here -= 1;
            if *here == 0 {
                self.uploads_in.remove(upload.repository());
            }
        }
    }

    /// Takes out the uploads that nobody has sent bytes to for too long.
    pub(crate) fn expire_uploads(&mut self, now: Timestamp) -> Vec<Upload> {
        let mut expired = Vec::new();
        while let Some((end, id)) = self
            .upload_ends
            .first()
            .filter(|(end, _)| *end <= now)
            .cloned()
        {
            self.upload_ends.remove(&(end, id.clone()));
            if let Some(upload) = self.uploads.remove(&id) {
                self.uncount_upload(&upload);
                expired.push(upload);
            }
        }
        expired
    }
}

/// What repositories hold, but for their blobs: kept up to date with each change, for a count over all of them would hold
/// everybody up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    repositories: usize,
    tags: usize,
    manifests: usize,
    manifest_bytes: u64,
}

impl Counts {
    fn of(repository: &RepositoryRecord) -> Self {
        Self {
            repositories: usize::from(repository.exists()),
            tags: repository.tags().len(),
            manifests: repository.manifests().len(),
            manifest_bytes: repository.manifests().bytes(),
        }
    }

    /// Counts a repository that had `before` as one that has `after`.
    fn change(&mut self, before: Self, after: Self) {
        self.repositories = self.repositories + after.repositories - before.repositories;
        self.tags = self.tags + after.tags - before.tags;
        self.manifests = self.manifests + after.manifests - before.manifests;
        self.manifest_bytes = self.manifest_bytes + after.manifest_bytes - before.manifest_bytes;
    }
}

/// A repository's record while it is changed; in the end the change is counted.
#[derive(Debug)]
pub(crate) struct Changing<'a> {
    repository: &'a mut RepositoryRecord,
    before: Counts,
    counts: &'a mut Counts,
}

impl<'a> Changing<'a> {
    fn new(repository: &'a mut RepositoryRecord, counts: &'a mut Counts) -> Self {
        let before = Counts::of(repository);
        Self {
            repository,
            before,
            counts,
        }
    }
}

impl Deref for Changing<'_> {
    type Target = RepositoryRecord;

    fn deref(&self) -> &RepositoryRecord {
        self.repository
    }
}

impl DerefMut for Changing<'_> {
    fn deref_mut(&mut self) -> &mut RepositoryRecord {
        self.repository
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.counts.change(self.before, Counts::of(self.repository));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_write_is_later_than_the_one_before() {
        let mut store = Store::default();
        let now = Timestamp::new(1_700_000_000, 0);
        let first = store.write_time(now);
        let second = store.write_time(now);
        let third = store.write_time(Timestamp::new(1_600_000_000, 0));
        assert!(first < second && second < third);
        assert_eq!(second.ticks(), first.ticks() + 1);
    }

    #[test]
    fn content_is_held_once_and_freed_with_its_last_holder() {
        let mut store = Store::default();
        let (a, b) = (
            RepositoryName::new("a").unwrap(),
            RepositoryName::new("b").unwrap(),
        );
        let digest = Digest::sha256(b"x");
        let [first, second] = [Bytes::from(vec![b'x']), Bytes::from(vec![b'x'])];
        let mut put = |repository, bytes: &Bytes| {
            let content = Content::from_chunks(vec![bytes.clone()]);
            store.put_blob(repository, digest.clone(), content, Timestamp::default())
        };
        assert!(put(&a, &first).is_empty());
        // The new copy comes back, and the old one stays.
        let surplus = put(&b, &second);
        assert_eq!(surplus[0].as_ptr(), second.as_ptr());
        let held = store.content(&digest).unwrap();
        assert_eq!(held.chunks()[0].as_ptr(), first.as_ptr());
        drop(held);
        assert!(Arc::ptr_eq(
            store.blob(&a, &digest).unwrap(),
            store.blob(&b, &digest).unwrap()
        ));
        assert!(store.remove_blob(&a, &digest).is_some());
        assert!(store.remove_blob(&a, &digest).is_none());
        assert_eq!(
            (store.statistics().blobs, store.statistics().blob_bytes),
            (1, 1)
        );
        assert!(store.content(&digest).is_some());
        assert!(store.remove_blob(&b, &digest).is_some());
        assert_eq!(store.statistics(), Statistics::default());
        assert!(store.content(&digest).is_none());
        assert!(store.record(&a).is_none());
    }
}
