//! Lists: item by item, page by page, and from where they were left.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use acr_protocol::{Page, PageToken};
use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_util::future::poll_fn;

use crate::error::Error;

/// The items of a list, fetched page by page as they are asked for.
///
/// ```
/// # async fn example(client: acr_client::ContainerRegistryClient) -> Result<(), acr_client::Error> {
/// let mut names = client.list_repository_names();
/// while let Some(name) = names.try_next().await? {
///     println!("{name}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// It is a [`Stream`] too. Nothing is sent before the first item is asked for. After an error the
/// list ends. A registry that leads in a circle, or on and on without items, is an error of the kind
/// [`Protocol`](crate::ErrorKind::Protocol).
///
/// # Cancel safety
///
/// A future of [`try_next`](Self::try_next) may be dropped: no item is lost, and the page that is
/// under way is waited for next time.
#[must_use = "a list sends nothing until it is asked for items"]
#[doc(alias = "ItemPaged")]
#[doc(alias = "AsyncPageable")]
#[doc(alias = "PagedIterable")]
pub struct Pager<T> {
    items: VecDeque<T>,
    pages: Pages<T>,
}

impl<T> Pager<T> {
    /// Returns the next item, or `None` at the end.
    ///
    /// # Errors
    ///
    /// When the next page cannot be had; the list then ends.
    pub async fn try_next(&mut self) -> Result<Option<T>, Error> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx))
            .await
            .transpose()
    }

    /// Collects all items that are left.
    ///
    /// # Errors
    ///
    /// When a page cannot be had.
    pub async fn collect_all(mut self) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        while let Some(item) = self.try_next().await? {
            all.push(item);
        }
        Ok(all)
    }

    /// Returns the pages instead of the items. Items of a page that was begun come as a page of
    /// their own.
    #[doc(alias = "AsPages")]
    #[doc(alias = "byPage")]
    pub fn by_page(self) -> Pages<T> {
        let Self { items, mut pages } = self;
        if !items.is_empty() {
            pages.begun = Some(items.into());
        }
        pages
    }

    /// A list whose pages a function fetches; `None` stands for the first page.
    pub(crate) fn new<F>(fetch: F) -> Self
    where
        F: Fn(Option<PageToken>) -> Fetching<T> + Send + Sync + 'static,
    {
        Self {
            items: VecDeque::new(),
            pages: Pages {
                fetch: Arc::new(fetch),
                next: Next::First,
                in_progress: Mutex::default(),
                begun: None,
                seen: HashSet::new(),
                hasher: RandomState::new(),
                most_pages: MAX_PAGES,
                empty: 0,
            },
        }
    }

    /// A list that begins where a token leads.
    pub(crate) fn resumed_at(mut self, token: Option<PageToken>) -> Self {
        if let Some(token) = token {
            let hash = self.pages.hasher.hash_one(&token);
            self.pages.seen.insert(hash);
            self.pages.next = Next::At(token);
        }
        self
    }

    /// A list that fails at its first item.
    pub(crate) fn failed(error: Error) -> Self {
        Self::new(move |_| {
            let error = error.clone();
            Box::pin(async move { Err(error) })
        })
    }
}

impl<T> Stream for Pager<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(item) = self.items.pop_front() {
                return Poll::Ready(Some(Ok(item)));
            }
            match ready!(Pin::new(&mut self.pages).poll_next(cx)) {
                Some(Ok(page)) => self.items = page.items.into(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<T> fmt::Debug for Pager<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pager")
            .field("items_at_hand", &self.items.len())
            .field("next", &self.pages.next)
            .finish()
    }
}

// Items are moved out and never pinned.
impl<T> Unpin for Pager<T> {}
impl<T> Unpin for Pages<T> {}

/// The pages of a list; made by [`Pager::by_page`].
///
/// Each page has a token that leads to the next one. The token is text that can be kept, and the
/// list's options take it to go on from there, in another process too:
///
/// ```
/// # use acr_client::{ContainerRegistryClient, Error, ListRepositoryNamesOptions};
/// # async fn example(client: ContainerRegistryClient) -> Result<(), Error> {
/// let mut pages = client.list_repository_names().by_page();
/// if let Some(page) = pages.try_next().await? {
///     println!("{} names", page.items.len());
///     let rest = client.list_repository_names_with(ListRepositoryNamesOptions {
///         resume: page.next,
///         ..Default::default()
///     });
/// #   drop(rest);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a list sends nothing until it is asked for pages"]
pub struct Pages<T> {
    fetch: Arc<Fetch<T>>,
    next: Next,
    /// In a mutex that is never locked, because a list is shared where its items can be.
    in_progress: Mutex<Option<Fetching<T>>>,
    begun: Option<Vec<T>>,
    /// Where the list has been, to notice a circle.
    seen: HashSet<u64>,
    hasher: RandomState,
    most_pages: usize,
    /// How many pages without items came in a row.
    empty: u32,
}

type Fetching<T> = BoxFuture<'static, Result<Page<T>, Error>>;
type Fetch<T> = dyn Fn(Option<PageToken>) -> Fetching<T> + Send + Sync;

#[derive(Debug)]
enum Next {
    First,
    At(PageToken),
    End,
}

impl<T> Pages<T> {
    /// Returns the next page, or `None` at the end. A page may have no items although more follow.
    ///
    /// # Errors
    ///
    /// When the page cannot be had; the list then ends.
    pub async fn try_next(&mut self) -> Result<Option<Page<T>>, Error> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx))
            .await
            .transpose()
    }

    /// Takes note of the way to the next page, unless it leads in a circle or nowhere.
    fn advance(&mut self, page: &Page<T>) -> Result<(), Error> {
        let Some(token) = &page.next else {
            return Ok(());
        };
        self.empty = if page.items.is_empty() {
            self.empty + 1
        } else {
            0
        };
        if self.empty >= MAX_EMPTY_PAGES {
            return Err(Error::protocol(format!(
                "the list has {MAX_EMPTY_PAGES} pages in a row without an item and does not end"
            )));
        }
        if self.seen.len() >= self.most_pages {
            return Err(Error::protocol(format!(
                "the list has more than {} pages and does not end; resume it behind its last item \
                 if that is right",
                self.most_pages
            )));
        }
        // Hashes under a key of this list's own, because a server that goes on and on must not fill
        // the memory with its tokens.
        if !self.seen.insert(self.hasher.hash_one(token)) {
            return Err(Error::protocol(
                "the list leads in a circle: a page names as the next one a page that came before",
            ));
        }
        self.next = Next::At(token.clone());
        Ok(())
    }
}

impl<T> Stream for Pages<T> {
    type Item = Result<Page<T>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(items) = this.begun.take() {
            let next = match &this.next {
                Next::At(token) => Some(token.clone()),
                Next::First | Next::End => None,
            };
            return Poll::Ready(Some(Ok(Page {
                next,
                ..Page::complete(items)
            })));
        }
        let in_progress = this.in_progress.get_mut();
        let in_progress = in_progress.unwrap_or_else(PoisonError::into_inner);
        let work = match (&mut *in_progress, &this.next) {
            (Some(work), _) => work,
            (None, Next::End) => return Poll::Ready(None),
            (None, Next::First) => in_progress.insert((this.fetch)(None)),
            (None, Next::At(token)) => in_progress.insert((this.fetch)(Some(token.clone()))),
        };
        let outcome = ready!(work.as_mut().poll(cx));
        *in_progress = None;
        this.next = Next::End;
        let outcome = outcome.and_then(|page| this.advance(&page).map(|()| page));
        Poll::Ready(Some(outcome))
    }
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// A filter may leave pages empty, a few in a row on a large list; a list that goes on like this is
/// one that never ends.
const MAX_EMPTY_PAGES: u32 = 1000;
/// More than any registry has, even at one item a page; a server that names ever new pages ends here.
const MAX_PAGES: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::{StreamExt, TryStreamExt};

    use super::*;
    use crate::error::ErrorKind;

    fn token(text: &str) -> PageToken {
        PageToken::new(text).unwrap()
    }

    /// A list of `pages` pages with two numbers each.
    fn numbers(pages: u32) -> Pager<u32> {
        Pager::new(move |at| {
            Box::pin(async move {
                let page = at.map_or(0, |at| at.as_str()[1..].parse().unwrap());
                let next = (page + 1 < pages).then(|| token(&format!("/{}", page + 1)));
                Ok(Page {
                    items: vec![2 * page, 2 * page + 1],
                    next,
                    ..Page::default()
                })
            })
        })
    }

    #[tokio::test]
    async fn items_come_across_pages_by_loop_and_by_stream() {
        let mut list = numbers(3);
        let mut seen = Vec::new();
        while let Some(item) = list.try_next().await.unwrap() {
            seen.push(item);
        }
        assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
        assert!(list.try_next().await.unwrap().is_none());

        let streamed: Vec<u32> = TryStreamExt::try_collect(numbers(3)).await.unwrap();
        assert_eq!(streamed, seen);
        assert_eq!(numbers(3).collect_all().await.unwrap(), seen);
    }

    #[tokio::test]
    async fn a_list_of_ever_new_pages_is_ended() {
        let count = Arc::new(AtomicU32::new(0));
        let mut list = Pager::new(move |_| {
            let number = count.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                let next = PageToken::new(format!("/v2/_catalog?last={number}")).ok();
                Ok(Page {
                    items: vec![number],
                    next,
                    ..Page::default()
                })
            })
        });
        list.pages.most_pages = 50;
        let error = list.collect_all().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.to_string().contains("does not end"), "{error}");
    }

    #[tokio::test]
    async fn a_list_is_resumed_where_a_page_led() {
        let mut pages = numbers(3).by_page();
        let first = pages.try_next().await.unwrap().unwrap();
        assert_eq!(first.items, [0, 1]);
        let rest = numbers(3).resumed_at(first.next).collect_all().await;
        assert_eq!(rest.unwrap(), [2, 3, 4, 5]);
    }

    #[tokio::test]
    async fn pages_of_a_list_that_was_begun_begin_with_the_rest_of_its_page() {
        let mut list = numbers(2);
        list.try_next().await.unwrap();
        let pages: Vec<_> = list
            .by_page()
            .map(|page| page.unwrap().items)
            .collect()
            .await;
        assert_eq!(pages, [vec![1], vec![2, 3]]);
    }

    #[tokio::test]
    async fn a_circle_is_an_error() {
        let mut list = Pager::new(|at: Option<PageToken>| {
            Box::pin(async move {
                let next = if at.is_some_and(|at| at == "/a") {
                    "/b"
                } else {
                    "/a"
                };
                Ok(Page {
                    items: vec![next.to_owned()],
                    next: Some(token(next)),
                    ..Page::default()
                })
            })
        });
        let mut count = 0;
        let error = loop {
            match list.try_next().await {
                Ok(item) => {
                    assert!(item.is_some());
                    count += 1;
                }
                Err(error) => break error,
            }
            assert!(count < 9, "the circle is not noticed");
        };
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(list.try_next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_list_without_items_and_without_end_is_an_error() {
        let page = AtomicU32::new(0);
        let mut list: Pager<u32> = Pager::new(move |_| {
            let page = page.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                Ok(Page {
                    items: Vec::new(),
                    next: Some(token(&format!("/{page}"))),
                    ..Page::default()
                })
            })
        });
        let error = list.try_next().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
    }

    #[tokio::test]
    async fn after_an_error_the_list_ends() {
        let mut list: Pager<u32> = Pager::failed(Error::invalid("page size 0"));
        assert!(list.try_next().await.is_err());
        assert!(list.try_next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_dropped_future_loses_no_item() {
        let mut list = numbers(2);
        drop(list.try_next());
        assert_eq!(list.try_next().await.unwrap(), Some(0));
    }
}
