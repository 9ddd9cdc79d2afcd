//! Pages of lists: `n`, `last`, and the link to the next, in the service's spelling.

use acr_protocol::{ListOrder, ListQuery, PageToken, query_value};
use form_urlencoded::byte_serialize;

use crate::error::ErrorResponse;
use crate::pause::pause;
use crate::registry::Registry;
use crate::request_context::RequestContext;
use crate::store::{Gathering, Place, Store, marker};

impl Registry {
    /// How many items the page may hold. None at all is a page of its own kind: empty, and without a link.
    pub(crate) fn page_size(&self, query: &ListQuery) -> usize {
        let asked = query.page_size.unwrap_or(self.settings().page_size);
        asked.min(self.settings().page_size_limit) as usize
    }

    /// Gathers a page of at most `size` items behind a place, in turns; and says what the next one begins behind.
    pub(crate) async fn gather<T: Send>(
        &self,
        size: usize,
        behind: Option<Place>,
        turn: impl Fn(&Store, &mut Gathering<T>) -> Result<(), ErrorResponse>,
    ) -> Result<(Vec<T>, Option<Place>), ErrorResponse> {
        let mut page = Gathering::new(size, behind);
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
    order: ListOrder,
    end: Option<Place>,
) -> Option<PageToken> {
    // The order in the words of the request, such as `none`, which two of the official SDKs send (chosen: the service has
    // been seen to give back the two orders that it knows, and an empty one).
    let orderby =
        query_value(call.uri().query().unwrap_or_default(), "orderby").unwrap_or_default();
    let escaped = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    PageToken::new(format!(
        "{}?last={}&n={size}&orderby={}",
        call.uri().path(),
        escaped(&marker(order, &end?)),
        escaped(&orderby),
    ))
    .ok()
}
