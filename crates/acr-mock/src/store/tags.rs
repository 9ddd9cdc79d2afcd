use std::sync::Arc;

use acr_protocol::{Digest, ListOrder, Tag, Timestamp};
use serde_json::{Map, Value};

use crate::store::index::{Index, Key, Sorting};
use crate::store::switches::Switches;
use crate::store::waste::Waste;

/// A tag.
#[derive(Clone, Debug)]
pub(crate) struct TagRecord {
    pub(crate) name: Tag,
    pub(crate) digest: Digest,
    pub(crate) created_on: Timestamp,
    pub(crate) last_updated_on: Timestamp,
    pub(crate) switches: Switches,
    /// Further members of its properties, where they are not those of every tag.
    pub(crate) extra: Option<Box<Map<String, Value>>>,
}

impl TagRecord {
    /// A tag of this time, with the locks of a new one.
    pub(crate) fn new(name: Tag, digest: Digest, time: Timestamp) -> Self {
        Self {
            name,
            digest,
            created_on: time,
            last_updated_on: time,
            switches: Switches::enabled(),
            extra: None,
        }
    }

    /// Members of its properties beyond the named ones: `signed` in every recording, which stands for Docker content
    /// trust, which is gone.
    pub(crate) fn extra(&self) -> Map<String, Value> {
        self.extra.as_deref().cloned().unwrap_or_else(usual_extra)
    }

    /// Sets the members of its properties beyond the named ones.
    pub(crate) fn with_extra(self, extra: Map<String, Value>) -> Self {
        let extra = (extra != usual_extra()).then(|| Box::new(extra));
        Self { extra, ..self }
    }
}

fn usual_extra() -> Map<String, Value> {
    Map::from_iter([("signed".to_owned(), false.into())])
}

/// By name.
#[derive(Debug)]
struct ByName;
/// By time; those of the same time, which only a seed can make, by name.
#[derive(Debug)]
struct ByTime;
/// The tags of each manifest, by name.
#[derive(Debug)]
struct OfManifest;
/// The same by time.
#[derive(Debug)]
struct OfManifestByTime;

impl Sorting<TagRecord> for ByName {
    fn key(tag: &TagRecord) -> Key<'_> {
        ("", 0, tag.name.as_str())
    }
}

impl Sorting<TagRecord> for ByTime {
    fn key(tag: &TagRecord) -> Key<'_> {
        ("", tag.last_updated_on.ticks(), tag.name.as_str())
    }
}

impl Sorting<TagRecord> for OfManifest {
    fn key(tag: &TagRecord) -> Key<'_> {
        (tag.digest.as_str(), 0, tag.name.as_str())
    }
}

impl Sorting<TagRecord> for OfManifestByTime {
    fn key(tag: &TagRecord) -> Key<'_> {
        let (digest, name) = (tag.digest.as_str(), tag.name.as_str());
        (digest, tag.last_updated_on.ticks(), name)
    }
}

/// The tags of a repository: each record is held once, and stands in every order.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    by_name: Index<ByName, TagRecord>,
    by_time: Index<ByTime, TagRecord>,
    of_manifest: Index<OfManifest, TagRecord>,
    of_manifest_by_time: Index<OfManifestByTime, TagRecord>,
    /// Those that a lock holds.
    locked: Index<OfManifest, TagRecord>,
}

impl Tags {
    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<TagRecord>> {
        self.by_name.get(("", 0, name))
    }

    /// Whether a lock holds any.
    pub(crate) fn are_locked(&self) -> bool {
        !self.locked.is_empty()
    }

    /// Whether a lock holds any of this manifest.
    pub(crate) fn are_locked_of(&self, digest: &Digest) -> bool {
        self.locked.first(digest.as_str()).is_some()
    }

    /// The tags of a manifest, by name: all, or those behind one.
    pub(crate) fn of<'a>(
        &'a self,
        digest: &Digest,
        behind: Option<&Tag>,
    ) -> impl Iterator<Item = &'a Arc<TagRecord>> + use<'a> {
        let behind = behind.map(|tag| (0, tag.as_str()));
        self.of_manifest.walk(digest.as_str(), behind, false)
    }

    /// The tags, or those of one manifest, behind a place in this order.
    pub(crate) fn walk<'a>(
        &'a self,
        order: ListOrder,
        digest: Option<&Digest>,
        behind: Option<(u64, &str)>,
    ) -> Box<dyn Iterator<Item = &'a Arc<TagRecord>> + Send + 'a> {
        let backwards = order == ListOrder::LastUpdatedOnDescending;
        match (order, digest) {
            (ListOrder::None, None) => Box::new(self.by_name.walk("", behind, false)),
            (ListOrder::None, Some(digest)) => {
                Box::new(self.of_manifest.walk(digest.as_str(), behind, false))
            }
            (_, None) => Box::new(self.by_time.walk("", behind, backwards)),
            (_, Some(digest)) => {
                let index = &self.of_manifest_by_time;
                Box::new(index.walk(digest.as_str(), behind, backwards))
            }
        }
    }

    /// Puts a tag in, in the place of one of the same name.
    pub(crate) fn insert(&mut self, record: TagRecord) -> Arc<TagRecord> {
        self.remove(record.name.as_str());
        let record = Arc::new(record);
        self.by_name.insert(Arc::clone(&record));
        self.by_time.insert(Arc::clone(&record));
        self.of_manifest.insert(Arc::clone(&record));
        self.of_manifest_by_time.insert(Arc::clone(&record));
        if record.switches.is_locked() {
            self.locked.insert(Arc::clone(&record));
        }
        record
    }

    /// Changes a tag in any way but its name. `None` where there is none of this name.
    pub(crate) fn update(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut TagRecord),
    ) -> Option<Arc<TagRecord>> {
        let mut record = TagRecord::clone(self.get(name)?);
        change(&mut record);
        Some(self.insert(record))
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Arc<TagRecord>> {
        let record = self.by_name.remove(("", 0, name))?;
        self.by_time.remove(ByTime::key(&record));
        self.of_manifest.remove(OfManifest::key(&record));
        self.of_manifest_by_time
            .remove(OfManifestByTime::key(&record));
        self.locked.remove(OfManifest::key(&record));
        Some(record)
    }

    /// Hands everything over to be dropped bit by bit.
    pub(super) fn into_waste(self, waste: &mut Waste) {
        waste.put_index(self.by_name, |_| 1);
        waste.put_index(self.by_time, |_| 1);
        waste.put_index(self.of_manifest, |_| 1);
        waste.put_index(self.of_manifest_by_time, |_| 1);
        waste.put_index(self.locked, |_| 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Gathering;
    use crate::store::order::{Place, place};

    fn tags() -> Tags {
        let mut tags = Tags::default();
        // Two of the same time, which only a seed can make; some of another manifest.
        for (name, at, of) in [
            ("c", 1, "x"),
            ("a", 2, "y"),
            ("b", 2, "x"),
            ("d", 9, "x"),
            ("e", 3, "y"),
        ] {
            let time = Timestamp::from_ticks(at);
            tags.insert(TagRecord::new(
                Tag::new(name).unwrap(),
                Digest::sha256(of),
                time,
            ));
        }
        tags.update("d", |tag| tag.last_updated_on = Timestamp::from_ticks(4));
        tags
    }

    fn page(
        tags: &Tags,
        order: ListOrder,
        of: Option<&Digest>,
        size: usize,
        behind: Option<Place>,
    ) -> (Vec<Arc<TagRecord>>, Option<Place>) {
        let mut page = Gathering::new(size, behind);
        while !page.is_finished() {
            page.go_on(
                |behind| tags.walk(order, of, behind),
                |tag| Some(Arc::clone(tag)),
                |tag| place(order, tag.last_updated_on, tag.name.as_str()),
            );
        }
        page.into_page()
    }

    fn names(page: &[Arc<TagRecord>]) -> String {
        page.iter().map(|tag| tag.name.as_str()).collect()
    }

    #[test]
    fn pages_cover_the_list_once_in_every_order_and_size() {
        let (tags, x) = (tags(), Digest::sha256("x"));
        for (order, of, expected) in [
            (ListOrder::None, None, "abcde"),
            (ListOrder::LastUpdatedOnAscending, None, "cabed"),
            (ListOrder::LastUpdatedOnDescending, None, "debac"),
            (ListOrder::None, Some(&x), "bcd"),
            (ListOrder::LastUpdatedOnAscending, Some(&x), "cbd"),
            (ListOrder::LastUpdatedOnDescending, Some(&x), "dbc"),
        ] {
            for size in 1..=6 {
                let (mut seen, mut pages) = (String::new(), 0);
                let mut behind = None;
                loop {
                    let (page, next) = page(&tags, order, of, size, behind);
                    seen += &names(&page);
                    pages += 1;
                    if next.is_none() {
                        break;
                    }
                    behind = next;
                }
                assert_eq!(seen, expected, "{order:?} {size}");
                assert_eq!(
                    pages,
                    expected.len().div_ceil(size),
                    "a full last page has no link"
                );
            }
        }
    }

    #[test]
    fn a_marker_that_is_not_there_is_a_place() {
        let tags = tags();
        let first = |order, ticks, name: &str| {
            let behind = Some((ticks, name.to_owned()));
            names(&page(&tags, order, None, 1, behind).0)
        };
        assert_eq!(first(ListOrder::None, 0, "bb"), "c");
        assert_eq!(first(ListOrder::LastUpdatedOnAscending, 2, "aa"), "b");
        assert_eq!(first(ListOrder::LastUpdatedOnDescending, 2, "aa"), "a");
    }

    #[test]
    fn a_tag_that_moves_or_goes_leaves_no_index_behind() {
        let (mut tags, x) = (tags(), Digest::sha256("x"));
        tags.update("b", |tag| tag.digest = Digest::sha256("y"));
        assert_eq!(tags.of(&x, None).count(), 2);
        let lock = acr_protocol::ChangeableAttributes::LOCKED;
        tags.update("d", |tag| tag.switches.apply(&lock));
        assert!(tags.are_locked() && tags.are_locked_of(&x));
        assert!(!tags.are_locked_of(&Digest::sha256("y")));
        for name in ["a", "b", "c", "d", "e"] {
            assert!(tags.remove(name).is_some() && tags.remove(name).is_none());
        }
        assert!(!tags.are_locked() && tags.len() == 0);
        for order in [
            ListOrder::None,
            ListOrder::LastUpdatedOnAscending,
            ListOrder::LastUpdatedOnDescending,
        ] {
            assert_eq!(tags.walk(order, None, None).count(), 0);
            assert_eq!(tags.walk(order, Some(&x), None).count(), 0);
        }
    }

    #[test]
    fn a_tag_s_record_stays_small() {
        // With its counts and the allocator's own 8 bytes: 112. Beside it there are its name (about 40) and four places in
        // indexes (about 18 each); the text of its digest is the manifest's.
        assert!(size_of::<TagRecord>() <= 88, "{}", size_of::<TagRecord>());
    }

    #[test]
    fn the_text_of_a_digest_is_held_once_for_all_tags() {
        let registry = crate::Registry::new();
        let app = registry.seed("app").unwrap();
        let image = app.image("v1").unwrap();
        for tag in ["v2", "v3", "v1"] {
            // A digest of the same text, but not the same one.
            let again = acr_protocol::Manifest::new(image.bytes.clone(), image.media_type.clone());
            app.manifest(Some(tag), &again).unwrap();
        }
        let store = registry.store();
        let repository = store.repository(app.name()).unwrap();
        let manifest = repository.manifests().get(image.digest.as_str()).unwrap();
        assert_eq!(repository.tags().of(&image.digest, None).count(), 3);
        for tag in repository.tags().of(&image.digest, None) {
            assert_eq!(
                tag.digest.as_str().as_ptr(),
                manifest.digest.as_str().as_ptr()
            );
        }
    }
}
