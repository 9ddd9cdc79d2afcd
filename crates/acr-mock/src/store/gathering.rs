use crate::store::order::Place;

/// A page in the making. It is gathered in turns, so that a long stretch of what does not fit (tags of another manifest,
/// things that no list may show) holds nobody up.
#[derive(Debug)]
pub(crate) struct Gathering<T> {
    items: Vec<T>,
    size: usize,
    /// Behind which time and name the next turn goes on.
    place: Option<Place>,
    /// The place of the last item, once there is no room for more.
    end: Option<Place>,
    has_more: bool,
    is_finished: bool,
}

/// How many records a turn looks at: less than a millisecond's work, and more than a page of the usual bound.
pub(crate) const VISITS_IN_A_TURN: usize = 2_000;

impl<T> Gathering<T> {
    /// A page of at most `size` items behind a place.
    pub(crate) fn new(size: usize, place: Option<Place>) -> Self {
        Self {
            items: Vec::new(),
            size,
            place,
            end: None,
            has_more: false,
            is_finished: size == 0,
        }
    }

    /// Takes a turn: `walk` gives the records behind a place, `take` says what of a record goes into the page, if
    /// anything does, and `place` where a record stands. The list is looked at one fitting record further than the page,
    /// so that a full last page has no link.
    pub(crate) fn go_on<R, I: Iterator<Item = R>>(
        &mut self,
        walk: impl FnOnce(Option<(u64, &str)>) -> I,
        take: impl Fn(&R) -> Option<T>,
        place: impl Fn(&R) -> Place,
    ) {
        let from = self.place.take();
        let records = walk(from.as_ref().map(|(time, name)| (*time, name.as_str())));
        let (mut visited, mut last) = (0, None);
        for record in records.take(VISITS_IN_A_TURN) {
            if let Some(item) = take(&record) {
                if self.items.len() == self.size {
                    (self.has_more, self.is_finished) = (true, true);
                    return;
                }
                self.items.push(item);
                if self.items.len() == self.size {
                    self.end = Some(place(&record));
                }
            }
            visited += 1;
            last = Some(record);
        }
        self.is_finished = visited < VISITS_IN_A_TURN;
        self.place = last.map(|record| place(&record));
    }

    /// Whether the page is complete.
    pub(crate) fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// The page, and the place that the next one begins behind, if there is more.
    pub(crate) fn into_page(self) -> (Vec<T>, Option<Place>) {
        (self.items, self.end.filter(|_| self.has_more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers below `end`, each a record of its own name; every `nth` fits.
    fn gather(
        end: usize,
        nth: usize,
        size: usize,
        behind: Option<&str>,
    ) -> (Vec<usize>, bool, usize) {
        let behind = behind.map(|name| (0, name.to_owned()));
        let mut page = Gathering::new(size, behind);
        let mut turns = 0;
        while !page.is_finished() {
            turns += 1;
            page.go_on(
                |from| from.map_or(0, |(_, name)| name.parse::<usize>().unwrap() + 1)..end,
                |number| (number % nth == 0).then_some(*number),
                |number| (0, number.to_string()),
            );
        }
        let (items, next) = page.into_page();
        if let Some((_, name)) = &next {
            assert_eq!(items.last().unwrap().to_string(), *name);
        }
        (items, next.is_some(), turns)
    }

    #[test]
    fn a_turn_ends_however_little_fits() {
        let end = 5 * VISITS_IN_A_TURN;
        let (items, has_more, turns) = gather(end, end, 10, None);
        assert_eq!((items, has_more), (vec![0], false));
        assert_eq!(turns, 6, "the last one finds the end");
        let (items, has_more, turns) = gather(end, 3 * VISITS_IN_A_TURN, 1, None);
        assert_eq!((items, has_more, turns), (vec![0], true, 4));
    }

    #[test]
    fn a_full_last_page_has_no_more_and_a_page_of_none_looks_at_nothing() {
        assert_eq!(gather(4, 1, 4, None), (vec![0, 1, 2, 3], false, 1));
        assert_eq!(gather(5, 1, 4, None), (vec![0, 1, 2, 3], true, 1));
        assert_eq!(gather(5, 1, 4, Some("2")), (vec![3, 4], false, 1));
        assert_eq!(gather(5, 1, 0, None), (vec![], false, 0));
    }
}
