use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use acr_protocol::Timestamp;

use crate::paging::{Marker, Order};

/// Something with a time of its last change.
pub(crate) trait Recorded {
    fn last_updated_on(&self) -> Timestamp;
}

/// Records by name and by time at once. Both hold the same record, so that a page of a list costs the same in either
/// order, however long the list is.
#[derive(Debug)]
pub(crate) struct Ordered<K, R> {
    by_name: BTreeMap<K, Arc<R>>,
    /// Times are nearly always one of a kind; records of the same time stand in the order of their names.
    by_time: BTreeMap<Timestamp, BTreeMap<K, Arc<R>>>,
}

impl<K, R> Default for Ordered<K, R> {
    fn default() -> Self {
        Self {
            by_name: BTreeMap::new(),
            by_time: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone + Borrow<str>, R: Recorded + Clone> Ordered<K, R> {
    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<R>> {
        self.by_name.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &Arc<R>)> {
        self.by_name.iter()
    }

    /// Puts a record in, in the place of one of the same name.
    pub(crate) fn insert(&mut self, name: K, record: R) -> Arc<R> {
        self.remove(name.borrow());
        let record = Arc::new(record);
        let same_time = self.by_time.entry(record.last_updated_on()).or_default();
        same_time.insert(name.clone(), Arc::clone(&record));
        self.by_name.insert(name, Arc::clone(&record));
        record
    }

    /// Changes a record. `None` where there is none of this name.
    pub(crate) fn update(&mut self, name: &str, change: impl FnOnce(&mut R)) -> Option<Arc<R>> {
        let mut record = R::clone(self.by_name.get(name)?);
        change(&mut record);
        let name = self.by_name.get_key_value(name)?.0.clone();
        Some(self.insert(name, record))
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Arc<R>> {
        let record = self.by_name.remove(name)?;
        let time = record.last_updated_on();
        if let Some(same_time) = self.by_time.get_mut(&time) {
            same_time.remove(name);
            if same_time.is_empty() {
                self.by_time.remove(&time);
            }
        }
        Some(record)
    }

    /// A page of at most `size` of the records that `fits` lets through, behind the marker; and where the next page
    /// begins, if there is one: the list is looked at one record further, so that a full last page has no link.
    pub(crate) fn page(
        &self,
        order: Order,
        marker: &Marker,
        size: usize,
        fits: impl Fn(&R) -> bool,
    ) -> (Vec<(K, Arc<R>)>, Option<Marker>) {
        if size == 0 {
            return (Vec::new(), None);
        }
        let mut page: Vec<(K, Arc<R>)> = match order {
            Order::Name => take(self.behind_name(marker), size + 1, fits),
            Order::OldestFirst => take(self.later(marker), size + 1, fits),
            Order::NewestFirst => take(self.earlier(marker), size + 1, fits),
        };
        if page.len() <= size {
            return (page, None);
        }
        page.truncate(size);
        let next = page.last().map(|(name, record)| match order {
            Order::Name => Marker::Name(name.borrow().to_owned()),
            _ => Marker::Time(record.last_updated_on(), name.borrow().to_owned()),
        });
        (page, next)
    }

    fn behind_name(&self, marker: &Marker) -> impl Iterator<Item = (&K, &Arc<R>)> {
        let from = match marker {
            Marker::Name(last) | Marker::Time(_, last) => Excluded(last.as_str()),
            Marker::Start => Unbounded,
        };
        self.by_name.range::<str, _>((from, Unbounded))
    }

    fn later(&self, marker: &Marker) -> impl Iterator<Item = (&K, &Arc<R>)> {
        let (same_time, from) = match marker {
            Marker::Time(time, name) => {
                let bounds = (Excluded(name.as_str()), Unbounded);
                (
                    self.by_time
                        .get(time)
                        .map(|names| names.range::<str, _>(bounds)),
                    Excluded(*time),
                )
            }
            _ => (None, Unbounded),
        };
        let rest = self
            .by_time
            .range((from, Unbounded))
            .flat_map(|(_, names)| names);
        same_time.into_iter().flatten().chain(rest)
    }

    fn earlier(&self, marker: &Marker) -> impl Iterator<Item = (&K, &Arc<R>)> {
        let (same_time, to) = match marker {
            Marker::Time(time, name) => {
                let bounds = (Unbounded, Excluded(name.as_str()));
                let names = self.by_time.get(time);
                (
                    names.map(|names| names.range::<str, _>(bounds).rev()),
                    Excluded(*time),
                )
            }
            _ => (None, Unbounded),
        };
        let rest = self
            .by_time
            .range((Unbounded, to))
            .rev()
            .flat_map(|(_, names)| names.iter().rev());
        same_time.into_iter().flatten().chain(rest)
    }
}

fn take<'a, K: Clone + 'a, R: 'a>(
    records: impl Iterator<Item = (&'a K, &'a Arc<R>)>,
    most: usize,
    fits: impl Fn(&R) -> bool,
) -> Vec<(K, Arc<R>)> {
    let fitting = records.filter(|(_, record)| fits(record)).take(most);
    fitting
        .map(|(name, record)| (name.clone(), Arc::clone(record)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug)]
    struct At(u64);

    impl Recorded for At {
        fn last_updated_on(&self) -> Timestamp {
            Timestamp::from_ticks(self.0)
        }
    }

    fn list() -> Ordered<String, At> {
        let mut list = Ordered::default();
        // Two of the same time, which only a seed can make.
        for (name, at) in [("c", 1), ("a", 2), ("b", 2), ("d", 9), ("e", 3)] {
            list.insert(name.to_owned(), At(at));
        }
        list.update("d", |record| record.0 = 4);
        list
    }

    fn walk(order: Order, size: usize) -> Vec<Vec<String>> {
        let list = list();
        let (mut pages, mut marker) = (Vec::new(), Some(Marker::Start));
        while let Some(from) = marker {
            let (page, next) = list.page(order, &from, size, |_| true);
            pages.push(page.into_iter().map(|(name, _)| name).collect());
            marker = next;
        }
        pages
    }

    #[test]
    fn pages_cover_the_list_once_in_every_order_and_size() {
        for (order, expected) in [
            (Order::Name, "abcde"),
            (Order::OldestFirst, "cabed"),
            (Order::NewestFirst, "debac"),
        ] {
            for size in 1..=6 {
                let pages = walk(order, size);
                assert_eq!(pages.concat().concat(), expected, "{order:?} {size}");
                assert_eq!(
                    pages.len(),
                    5_usize.div_ceil(size),
                    "a full last page has no link"
                );
            }
        }
    }

    #[test]
    fn a_marker_that_is_not_there_is_a_place() {
        let list = list();
        let (page, _) = list.page(Order::Name, &Marker::Name("bb".into()), 9, |_| true);
        assert_eq!(page[0].0, "c");
        let marker = Marker::Time(Timestamp::from_ticks(2), "aa".into());
        assert_eq!(
            list.page(Order::OldestFirst, &marker, 9, |_| true).0[0].0,
            "b"
        );
        assert_eq!(
            list.page(Order::NewestFirst, &marker, 9, |_| true).0[0].0,
            "a"
        );
    }

    #[test]
    fn what_does_not_fit_counts_for_nothing() {
        let list = list();
        let (page, next) = list.page(Order::Name, &Marker::Start, 2, |record| record.0 == 2);
        assert_eq!((page.len(), next), (2, None));
        assert_eq!(list.page(Order::Name, &Marker::Start, 0, |_| true).1, None);
    }
}
