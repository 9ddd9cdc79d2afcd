use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use std::iter;
use std::marker::PhantomData;
use std::ops::Bound::{Excluded, Included};
use std::ops::RangeBounds;
use std::sync::Arc;

/// Where a record stands in an index: the part of the index that it belongs to, a time in ticks, and a name within that.
/// What an order does not go by is empty or 0.
pub(crate) type Key<'a> = (&'a str, u64, &'a str);

/// An order of records. The key is the record's own and never changes: a record that changes is taken out and put in anew.
pub(crate) trait Sorting<R> {
    fn key(record: &R) -> Key<'_>;
}

/// Behind every record of its part of an index: no time is so late.
const END: u64 = u64::MAX;

/// Records in one order. It holds a handle of 8 bytes for each, so that several indexes of the same records double neither
/// them nor their names.
pub(crate) struct Index<S, R>(Entries<S, R>);

/// Most repositories have one manifest and one tag, which need no tree.
enum Entries<S, R> {
    One(Option<Entry<S, R>>),
    // In a box, so that an index of one has two words in the place of four.
    #[expect(clippy::box_collection, reason = "most indexes hold one record")]
    Many(Box<BTreeSet<Entry<S, R>>>),
}

impl<S: Sorting<R>, R> Index<S, R> {
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Entries::One(entry) => usize::from(entry.is_some()),
            Entries::Many(entries) => entries.len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn get(&self, key: Key<'_>) -> Option<&Arc<R>> {
        let entry = match &self.0 {
            Entries::One(entry) => entry.as_ref().filter(|entry| entry.key() == key),
            Entries::Many(entries) => entries.get(&key as &dyn Keyed),
        };
        entry.map(|entry| &entry.record)
    }

    /// Puts a record in, where none has its key.
    pub(crate) fn insert(&mut self, record: Arc<R>) {
        let new = Entry {
            record,
            sorting: PhantomData,
        };
        match &mut self.0 {
            Entries::One(entry) => match entry.take() {
                None => *entry = Some(new),
                Some(first) => self.0 = Entries::Many(Box::new(BTreeSet::from([first, new]))),
            },
            Entries::Many(entries) => {
                entries.insert(new);
            }
        }
    }

    pub(crate) fn remove(&mut self, key: Key<'_>) -> Option<Arc<R>> {
        let entry = match &mut self.0 {
            Entries::One(entry) => entry.take_if(|entry| Keyed::key(entry) == key),
            Entries::Many(entries) => entries.take(&key as &dyn Keyed),
        };
        if self.is_empty() {
            *self = Self::default();
        }
        entry.map(|entry| entry.record)
    }

    /// The first record of a part.
    pub(crate) fn first(&self, part: &str) -> Option<&Arc<R>> {
        self.walk(part, None, false).next()
    }

    /// The records of a part in their order or against it: all, or those behind a time and name, which need not be there.
    pub(crate) fn walk<'a>(
        &'a self,
        part: &str,
        behind: Option<(u64, &str)>,
        backwards: bool,
    ) -> impl Iterator<Item = &'a Arc<R>> + use<'a, S, R> {
        let (start, end): (Key<'_>, Key<'_>) = ((part, 0, ""), (part, END, ""));
        let at = behind.map(|(time, name)| (part, time.min(END - 1), name));
        let (from, to) = match &at {
            Some(at) if backwards => (Included(&start as &dyn Keyed), Excluded(at as &dyn Keyed)),
            Some(at) => (Excluded(at as &dyn Keyed), Excluded(&end as &dyn Keyed)),
            None => (Included(&start as &dyn Keyed), Excluded(&end as &dyn Keyed)),
        };
        let (mut one, mut many) = match &self.0 {
            Entries::One(entry) => {
                let within = |entry: &&Entry<S, R>| {
                    RangeBounds::<dyn Keyed>::contains(&(from, to), *entry as &dyn Keyed)
                };
                (entry.as_ref().filter(within), None)
            }
            Entries::Many(entries) => (None, Some(entries.range::<dyn Keyed, _>((from, to)))),
        };
        iter::from_fn(move || {
            let entry = match &mut many {
                None => one.take(),
                Some(entries) if backwards => entries.next_back(),
                Some(entries) => entries.next(),
            };
            entry.map(|entry| &entry.record)
        })
    }
}

impl<S, R> Index<S, R> {
    /// The records, taken out one by one.
    pub(crate) fn into_records(self) -> impl Iterator<Item = Arc<R>> {
        let (one, many) = match self.0 {
            Entries::One(entry) => (entry, None),
            Entries::Many(entries) => (None, Some(entries.into_iter())),
        };
        let entries = one.into_iter().chain(many.into_iter().flatten());
        entries.map(|entry| entry.record)
    }
}

impl<S, R> Default for Index<S, R> {
    fn default() -> Self {
        Self(Entries::One(None))
    }
}

impl<S: Sorting<R>, R> fmt::Debug for Index<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Index").field(&self.len()).finish()
    }
}

struct Entry<S, R> {
    record: Arc<R>,
    sorting: PhantomData<fn() -> S>,
}

/// What stands for an entry in a search: its key alone.
trait Keyed {
    fn key(&self) -> Key<'_>;
}

impl<S: Sorting<R>, R> Keyed for Entry<S, R> {
    fn key(&self) -> Key<'_> {
        S::key(&self.record)
    }
}

impl Keyed for Key<'_> {
    fn key(&self) -> Key<'_> {
        *self
    }
}

impl<'a, S: Sorting<R> + 'a, R: 'a> Borrow<dyn Keyed + 'a> for Entry<S, R> {
    fn borrow(&self) -> &(dyn Keyed + 'a) {
        self
    }
}

impl PartialEq for dyn Keyed + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for dyn Keyed + '_ {}

impl PartialOrd for dyn Keyed + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Keyed + '_ {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl<S: Sorting<R>, R> PartialEq for Entry<S, R> {
    fn eq(&self, other: &Self) -> bool {
        S::key(&self.record) == S::key(&other.record)
    }
}

impl<S: Sorting<R>, R> Eq for Entry<S, R> {}

impl<S: Sorting<R>, R> PartialOrd for Entry<S, R> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<S: Sorting<R>, R> Ord for Entry<S, R> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        S::key(&self.record).cmp(&S::key(&other.record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct ByNumber;

    impl Sorting<(u64, String)> for ByNumber {
        fn key(record: &(u64, String)) -> Key<'_> {
            ("", record.0, &record.1)
        }
    }

    fn index(size: u64) -> Index<ByNumber, (u64, String)> {
        let mut index = Index::default();
        for number in (0..size).rev() {
            index.insert(Arc::new((number, format!("n{number}"))));
        }
        index
    }

    fn walk(
        index: &Index<ByNumber, (u64, String)>,
        behind: Option<(u64, &str)>,
        backwards: bool,
    ) -> Vec<u64> {
        let records = index.walk("", behind, backwards);
        records.map(|record| record.0).collect()
    }

    #[test]
    fn an_index_of_one_is_walked_as_one_of_many_is() {
        for size in 0..5 {
            let mut index = index(size);
            let all: Vec<u64> = (0..size).collect();
            let reversed: Vec<u64> = all.iter().rev().copied().collect();
            assert_eq!(index.len(), all.len());
            assert_eq!(walk(&index, None, false), all);
            assert_eq!(walk(&index, None, true), reversed);
            for at in 0..size {
                let name = format!("n{at}");
                // The name itself, a place before it and one behind it.
                for (name, is_behind) in [(name.as_str(), true), ("", false), ("z", true)] {
                    let behind = Some((at, name));
                    let expected = at + u64::from(is_behind)..size;
                    assert_eq!(walk(&index, behind, false), expected.collect::<Vec<_>>());
                    let to = at + u64::from(name == "z");
                    let expected: Vec<u64> = (0..to).rev().collect();
                    assert_eq!(walk(&index, behind, true), expected);
                }
                assert_eq!(index.get(("", at, &name)).unwrap().0, at);
                assert!(index.get(("", at, "other")).is_none());
            }
            assert!(walk(&index, Some((u64::MAX, "")), false).is_empty());
            assert_eq!(walk(&index, Some((u64::MAX, "")), true), reversed);
            assert_eq!(index.walk("other", None, false).count(), 0);
            for at in 0..size {
                assert!(index.remove(("", at, "other")).is_none());
                assert_eq!(index.remove(("", at, &format!("n{at}"))).unwrap().0, at);
            }
            assert!(index.is_empty() && matches!(index.0, Entries::One(None)));
        }
    }

    #[test]
    fn an_index_costs_two_words_until_it_holds_a_second_record() {
        assert_eq!(size_of::<Index<ByNumber, (u64, String)>>(), 16);
        assert!(matches!(index(1).0, Entries::One(Some(_))));
    }
}
