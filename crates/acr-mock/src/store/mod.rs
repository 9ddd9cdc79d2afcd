//! The registry's state: repositories, their tags, manifests and blobs, and the open uploads.
//!
//! A std mutex around it is held for one operation at a time and never across an await: everything here is quick, and
//! bodies are read before.

mod content;
mod ordered;
mod repository;
mod upload;

pub(crate) use content::Content;
pub(crate) use repository::{ManifestRecord, RepositoryRecord, TagRecord};
pub(crate) use upload::Upload;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};

use acr_protocol::{Digest, RepositoryName, Timestamp};

use crate::statistics::Statistics;

/// Everything that a registry holds.
#[derive(Debug, Default)]
pub(crate) struct Store {
    repositories: BTreeMap<RepositoryName, RepositoryRecord>,
    /// Every content that somebody still holds, by digest: the same bytes are held once.
    contents: HashMap<Digest, Weak<Content>>,
    /// At how many contents those that nobody holds are looked for.
    sweep_at: usize,
    uploads: HashMap<String, Upload>,
    upload_ends: BTreeSet<(Timestamp, String)>,
    last_write: Timestamp,
}

impl Store {
    /// The time of a write: later than that of every write before, in the wire's units of 100 ns, so that newest first is
    /// a total order.
    pub(crate) fn write_time(&mut self, now: Timestamp) -> Timestamp {
        let time = Timestamp::from_ticks(now.ticks().max(self.last_write.ticks() + 1));
        self.last_write = time;
        time
    }

    /// The existing repositories whose names come behind this one.
    pub(crate) fn repositories_behind<'a>(
        &'a self,
        last: &'a str,
    ) -> impl Iterator<Item = (&'a RepositoryName, &'a RepositoryRecord)> {
        let from = (std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded);
        self.repositories
            .range::<str, _>(from)
            .filter(|(_, repository)| repository.exists())
    }

    /// A repository that exists.
    pub(crate) fn repository(&self, name: &RepositoryName) -> Option<&RepositoryRecord> {
        self.repositories
            .get(name)
            .filter(|repository| repository.exists())
    }

    /// A repository that exists, to change it.
    pub(crate) fn repository_mut(
        &mut self,
        name: &RepositoryName,
    ) -> Option<&mut RepositoryRecord> {
        self.repositories
            .get_mut(name)
            .filter(|repository| repository.exists())
    }

    /// The record of a repository, whether it exists or only holds blobs.
    pub(crate) fn record(&self, name: &RepositoryName) -> Option<&RepositoryRecord> {
        self.repositories.get(name)
    }

    /// The record of a repository; a new one where there is none.
    pub(crate) fn record_mut(&mut self, name: &RepositoryName) -> &mut RepositoryRecord {
        self.repositories.entry(name.clone()).or_default()
    }

    /// Takes a repository out with everything in it.
    pub(crate) fn remove_repository(&mut self, name: &RepositoryName) -> Option<RepositoryRecord> {
        self.repository(name)?;
        self.repositories.remove(name)
    }

    /// A blob of a repository.
    pub(crate) fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Option<&Arc<Content>> {
        self.repositories.get(repository)?.blobs.get(digest)
    }

    /// Any content that is still held, whatever repository it is in.
    pub(crate) fn content(&self, digest: &Digest) -> Option<Arc<Content>> {
        self.contents.get(digest)?.upgrade()
    }

    /// Puts a blob into a repository. Where the same bytes are held already, those are used.
    pub(crate) fn put_blob(
        &mut self,
        repository: &RepositoryName,
        digest: Digest,
        content: Content,
        now: Timestamp,
    ) {
        let content = self
            .content(&digest)
            .unwrap_or_else(|| Arc::new(content.created(now)));
        self.share_blob(repository, digest, content);
    }

    /// Puts a blob that is held already into a further repository.
    pub(crate) fn share_blob(
        &mut self,
        repository: &RepositoryName,
        digest: Digest,
        content: Arc<Content>,
    ) {
        if self.contents.len() >= self.sweep_at {
            self.contents.retain(|_, held| held.strong_count() > 0);
            // Seldom enough that putting many blobs in stays cheap for each.
            self.sweep_at = 2 * self.contents.len() + 64;
        }
        self.contents
            .insert(digest.clone(), Arc::downgrade(&content));
        self.record_mut(repository).blobs.insert(digest, content);
    }

    /// Takes a blob out of a repository. Whether it was there.
    pub(crate) fn remove_blob(&mut self, repository: &RepositoryName, digest: &Digest) -> bool {
        let Some(record) = self.repositories.get_mut(repository) else {
            return false;
        };
        let was_there = record.blobs.remove(digest).is_some();
        self.forget_if_empty(repository);
        was_there
    }

    /// A record that holds nothing any more is no record.
    pub(crate) fn forget_if_empty(&mut self, name: &RepositoryName) {
        if self
            .repositories
            .get(name)
            .is_some_and(|record| !record.exists() && record.blobs.is_empty())
        {
            self.repositories.remove(name);
        }
    }

    /// How many uploads are open.
    pub(crate) fn uploads(&self) -> usize {
        self.uploads.len()
    }

    /// Counts what is there.
    pub(crate) fn statistics(&self) -> Statistics {
        let mut statistics = Statistics::default();
        for repository in self.repositories.values() {
            statistics.repositories += usize::from(repository.exists());
            statistics.tags += repository.tags().len();
            statistics.manifests += repository.manifests().len();
            let manifests = repository.manifests().iter();
            statistics.manifest_bytes += manifests
                .map(|(_, manifest)| manifest.bytes.len() as u64)
                .sum::<u64>();
        }
        for content in self.contents.values().filter_map(Weak::upgrade) {
            statistics.blobs += 1;
            statistics.blob_bytes += content.length();
        }
        statistics.uploads = self.uploads.len();
        statistics.upload_bytes = self.uploads.values().map(Upload::offset).sum();
        statistics
    }

    /// Opens an upload, which ends at `end` unless bytes come.
    pub(crate) fn add_upload(&mut self, mut upload: Upload, end: Timestamp) {
        upload.end = end;
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
        Some(upload)
    }

    /// Drops the uploads that nobody has sent bytes to for too long.
    pub(crate) fn expire_uploads(&mut self, now: Timestamp) {
        while let Some((end, id)) = self
            .upload_ends
            .first()
            .filter(|(end, _)| *end <= now)
            .cloned()
        {
            self.upload_ends.remove(&(end, id.clone()));
            self.uploads.remove(&id);
        }
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
        store.put_blob(
            &a,
            digest.clone(),
            Content::from_chunks(vec!["x".into()]),
            Timestamp::default(),
        );
        store.put_blob(
            &b,
            digest.clone(),
            Content::from_chunks(vec!["x".into()]),
            Timestamp::default(),
        );
        assert!(Arc::ptr_eq(
            store.blob(&a, &digest).unwrap(),
            store.blob(&b, &digest).unwrap()
        ));
        assert!(store.remove_blob(&a, &digest) && !store.remove_blob(&a, &digest));
        assert!(store.content(&digest).is_some());
        assert!(store.remove_blob(&b, &digest));
        assert!(store.content(&digest).is_none());
        assert!(store.record(&a).is_none());
    }
}
