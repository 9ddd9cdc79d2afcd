use std::collections::VecDeque;
use std::fmt;
use std::iter;
use std::sync::Arc;

use bytes::Bytes;

use crate::store::index::{Index, Sorting};
use crate::store::tally::Held;

/// What was taken out of the store, to be dropped bit by bit: to free a million records at once takes seconds.
#[derive(Default)]
pub(crate) struct Waste(VecDeque<Heap>);

/// Things that are dropped when the next one is asked for; each says how many pieces of work that is.
type Heap = Box<dyn Iterator<Item = usize> + Send>;

impl Waste {
    /// Takes a blob; its bytes are dropped too where nobody else holds them.
    pub(crate) fn put_blob(&mut self, blob: Arc<Held>) {
        self.put_blobs(iter::once(blob));
    }

    /// Takes the pieces of a blob that has not become one.
    pub(crate) fn put_chunks(&mut self, chunks: Vec<Bytes>) {
        let chunks = chunks.into_iter();
        self.0
            .push_back(Box::new(chunks.map(|chunk| pieces_of(chunk.len()))));
    }

    pub(super) fn put_index<S, R>(&mut self, index: Index<S, R>, pieces: fn(&R) -> usize)
    where
        S: Sorting<R> + 'static,
        R: Send + Sync + 'static,
    {
        let records = index.into_records();
        self.0
            .push_back(Box::new(records.map(move |record| pieces(&record))));
    }

    /// Takes blobs; their bytes are dropped too where nobody else holds them.
    pub(super) fn put_blobs(&mut self, blobs: impl Iterator<Item = Arc<Held>> + Send + 'static) {
        let chunks = blobs.flat_map(|blob| {
            let chunks = Arc::into_inner(blob).map_or_else(Vec::new, Held::into_chunks);
            // The blob itself is a piece of work, too.
            iter::once(Bytes::new()).chain(chunks)
        });
        self.0
            .push_back(Box::new(chunks.map(|chunk| pieces_of(chunk.len()))));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Drops about so many pieces. Whether anything is left.
    pub(crate) fn shed(&mut self, most: usize) -> bool {
        let mut shed = 0;
        while let Some(heap) = self.0.front_mut() {
            for pieces in heap {
                shed += pieces;
                if shed >= most {
                    return true;
                }
            }
            self.0.pop_front();
        }
        false
    }
}

/// How much work it is to free so many bytes: a large allocation goes back to the system page by page.
pub(super) fn pieces_of(bytes: usize) -> usize {
    1 + bytes / (64 * 1024)
}

impl fmt::Debug for Waste {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Waste").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use acr_protocol::{Digest, MediaType, RepositoryName, Tag, Timestamp};

    use super::*;
    use crate::quota::Quota;
    use crate::snapshot::{self, ManifestSnapshot, Properties, RepositorySnapshot, TagSnapshot};
    use crate::store::{Content, Store};

    #[test]
    fn what_was_removed_is_dropped_bit_by_bit() {
        let name = RepositoryName::new("app").unwrap();
        let (digest, properties) = (Digest::sha256("x"), Properties::new(Timestamp::default()));
        let content = snapshot::Content::default();
        let manifest = ManifestSnapshot::new(MediaType::OCI_INDEX, content, properties.clone());
        let tag = |number: u8| {
            let (digest, properties) = (digest.clone(), properties.clone());
            let name = Tag::new(format!("v{number}")).unwrap();
            (name, TagSnapshot { digest, properties })
        };
        let repository = RepositorySnapshot {
            tags: (0..100).map(tag).collect(),
            manifests: [(digest.clone(), manifest)].into(),
            properties,
        };
        let mut content = snapshot::Snapshot::default();
        content.repositories.insert(name.clone(), repository);
        let mut store = Store::from_snapshot(content, &Quota::new(None));
        let chunks = vec![Bytes::from_static(b"chunk"); 100];
        let content = Content::from_chunks(chunks);
        store.put_blob(&name, digest, content, Timestamp::default());
        let kept = store.content(&Digest::sha256("x"));
        let removed = store.remove_repository(&name).unwrap();
        assert_eq!((store.statistics().tags, store.statistics().blobs), (0, 1));
        drop(kept);
        let mut waste = Waste::default();
        removed.into_waste(&mut waste);
        let mut turns = 1;
        while waste.shed(10) {
            turns += 1;
        }
        // The manifest in two orders, each tag in four, the blob and each of its pieces.
        assert_eq!(turns, (2 + 4 * 100 + 1 + 100_usize).div_ceil(10));
        assert_eq!(store.statistics().blobs, 0);
        assert!(!waste.shed(10));
    }

    #[test]
    fn large_things_are_few_to_a_turn() {
        let mut store = Store::default();
        let name = RepositoryName::new("app").unwrap();
        let mut waste = Waste::default();
        for number in 0..4 {
            let content = Content::from_chunks(vec![vec![number; 1024 * 1024].into()]);
            let digest = Digest::sha256([number]);
            store.put_blob(&name, digest.clone(), content, Timestamp::default());
            waste.put_blob(store.remove_blob(&name, &digest).unwrap());
        }
        assert!(waste.shed(16));
        assert_eq!(store.statistics().blobs, 3);
    }
}
