//! Pages of lists: `n`, `last`, and the link to the next, in the service's spelling.

use acr_protocol::{ListQuery, PageToken, Timestamp};
use form_urlencoded::byte_serialize;

use crate::error::ErrorResponse;
use crate::pause::pause;
use crate::registry::Registry;
use crate::request_context::RequestContext;
use crate::store::{Gathering, Store};

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
    fn as_query(self) -> &'static str {
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

impl Registry {
    /// How many items the page may hold. None at all is a page of its own kind: empty, and without a link.
    pub(crate) fn page_size(&self, query: &ListQuery) -> usize {
        let asked = query.page_size.unwrap_or(self.settings().page_size);
        asked.min(self.settings().page_size_limit) as usize
    }

    /// Gathers a page of at most `size` items behind the marker, in turns; and says whether more follows it.
    pub(crate) async fn gather<T: Send>(
        &self,
        size: usize,
        marker: &Marker,
        turn: impl Fn(&Store, &mut Gathering<T>) -> Result<(), ErrorResponse>,
    ) -> Result<(Vec<T>, bool), ErrorResponse> {
        let mut page = Gathering::new(size, marker);
        loop {
            turn(&self.store(), &mut page)?;
            if page.is_finished() {
                return Ok(page.into_page());
            }
            pause().await;
        }
    }
}

/// The link behind the page: relative, under the path as the request wrote it, without the API's version and without
/// any filter; `orderby` is there even when it is empty.
pub(crate) fn next_link(
    call: &RequestContext,
    size: usize,
    order: Order,
    marker: &Marker,
) -> Option<PageToken> {
    let escaped = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    PageToken::new(format!(
        "{}?last={}&n={size}&orderby={}",
        call.uri().path(),
        escaped(&marker.as_query()),
        escaped(&asked_order(call).unwrap_or_else(|| order.as_query().to_owned())),
    ))
    .ok()
}

/// The order in the words of the request, such as `none`, which two of the official SDKs send (chosen: the service has
/// been seen to give back the two orders that it knows, and an empty one).
fn asked_order(call: &RequestContext) -> Option<String> {
    form_urlencoded::parse(call.uri().query()?.as_bytes())
        .find(|(name, _)| name == "orderby")
        .map(|(_, value)| value.into_owned())
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
