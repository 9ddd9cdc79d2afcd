//! Where a record stands in a list, and the markers that say so on the wire.

use acr_protocol::{ListOrder, Timestamp};

/// A place in a list: the time in ticks, 0 where the list goes by name, and the name.
pub(crate) type Place = (u64, String);

/// Where a record of this time and name stands.
pub(crate) fn place(order: ListOrder, time: Timestamp, name: &str) -> Place {
    let ticks = match order {
        ListOrder::None => 0,
        _ => time.ticks(),
    };
    (ticks, name.to_owned())
}

/// Reads `last`. In time order it is `{ticks}&{name}`; a text of another form is taken for the list's start (chosen).
pub(crate) fn read_marker(order: ListOrder, last: Option<&str>) -> Option<Place> {
    if order == ListOrder::None {
        return Some((0, last?.to_owned()));
    }
    let (ticks, name) = last?.split_once('&')?;
    Some((ticks.parse().ok()?, name.to_owned()))
}

/// The value of `last` for the page behind a place.
pub(crate) fn marker(order: ListOrder, (ticks, name): &Place) -> String {
    match order {
        ListOrder::None => name.clone(),
        _ => format!("{ticks}&{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_in_time_order_holds_ticks_and_name() {
        let (by_name, by_time) = (ListOrder::None, ListOrder::LastUpdatedOnAscending);
        let text = "639039224611470601&v2";
        let place = read_marker(by_time, Some(text)).unwrap();
        assert_eq!(place, (639_039_224_611_470_601, "v2".to_owned()));
        assert_eq!(marker(by_time, &place), text);
        assert_eq!(read_marker(by_name, Some("v2")), Some((0, "v2".into())));
        for last in [Some("v2"), Some("x&v2"), Some("-1&v2"), None] {
            assert_eq!(read_marker(by_time, last), None);
        }
    }
}
