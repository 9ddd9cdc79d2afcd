//! The orders of lists, and where a page begins.

use acr_protocol::Timestamp;

/// In which order a list comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Name,
    NewestFirst,
    OldestFirst,
}

impl Order {
    /// Where a record of this time and name stands.
    pub(crate) fn place(self, time: Timestamp, name: &str) -> (u64, String) {
        let ticks = if self == Self::Name { 0 } else { time.ticks() };
        (ticks, name.to_owned())
    }

    /// The value of `orderby` in a link, which has the parameter also where there is no order.
    pub(crate) fn as_query(self) -> &'static str {
        match self {
            Self::Name => "",
            Self::NewestFirst => "timedesc",
            Self::OldestFirst => "timeasc",
        }
    }
}

/// Where a page begins: behind this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Marker {
    Start,
    Name(String),
    Time(Timestamp, String),
}

impl Marker {
    /// Where a record of this time and name stands in the order.
    pub(crate) fn at(order: Order, time: Timestamp, name: &str) -> Self {
        match order {
            Order::Name => Self::Name(name.to_owned()),
            _ => Self::Time(time, name.to_owned()),
        }
    }

    /// Reads `last`. In time order it is `{ticks}&{name}`; a text of another form is taken for the list's start (chosen).
    pub(crate) fn read(order: Order, last: Option<&str>) -> Self {
        match (order, last) {
            (_, None) => Self::Start,
            (Order::Name, Some(last)) => Self::Name(last.to_owned()),
            (_, Some(last)) => match last
                .split_once('&')
                .and_then(|(ticks, name)| Some((ticks.parse().ok()?, name)))
            {
                Some((ticks, name)) => Self::Time(Timestamp::from_ticks(ticks), name.to_owned()),
                None => Self::Start,
            },
        }
    }

    pub(crate) fn as_query(&self) -> String {
        match self {
            Self::Start => String::new(),
            Self::Name(name) => name.clone(),
            Self::Time(time, name) => format!("{}&{name}", time.ticks()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_in_time_order_holds_ticks_and_name() {
        let marker = Marker::read(Order::OldestFirst, Some("639039224611470601&v2"));
        assert_eq!(
            marker,
            Marker::Time(Timestamp::from_ticks(639_039_224_611_470_601), "v2".into())
        );
        assert_eq!(marker.as_query(), "639039224611470601&v2");
        assert_eq!(
            Marker::read(Order::Name, Some("v2")),
            Marker::Name("v2".into())
        );
        for last in ["v2", "x&v2", "-1&v2"] {
            assert_eq!(Marker::read(Order::NewestFirst, Some(last)), Marker::Start);
        }
        assert_eq!(Marker::read(Order::NewestFirst, None), Marker::Start);
    }
}
