//! Lists as iterators.

use std::fmt;
use std::iter::FusedIterator;

use acr_protocol::Page;

use super::runtime::Runtime;
use crate::error::Error;

/// The items of a list, fetched page by page as they are asked for.
///
/// ```
/// # use acr_client::blocking::ContainerRegistryClient;
/// # use acr_client::{Credential, transport::from_fn};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let registry = acr_mock::Registry::new();
/// # registry.seed("samples/app")?.image("v1")?;
/// # let client = ContainerRegistryClient::builder("https://mock.azurecr.io")
/// #     .credential(Credential::entra_token("any"))
/// #     .transport(from_fn(registry.handler()))
/// #     .build_blocking()?;
/// for name in client.list_repository_names() {
///     println!("{}", name?);
/// }
/// # Ok(())
/// # }
/// ```
///
/// The twin of [`acr_client::Pager`](crate::Pager). Nothing is sent before the first item is asked
/// for. After an error the list ends.
#[must_use = "a list sends nothing until it is asked for items"]
pub struct Pager<T> {
    /// `None` after an error.
    inner: Option<crate::Pager<T>>,
    runtime: Runtime,
}

impl<T> Pager<T> {
    pub(super) fn new(inner: crate::Pager<T>, runtime: &Runtime) -> Self {
        Self {
            inner: Some(inner),
            runtime: runtime.clone(),
        }
    }

    /// Collects all items that are left.
    ///
    /// # Errors
    ///
    /// When a page cannot be had.
    pub fn collect_all(self) -> Result<Vec<T>, Error> {
        self.collect()
    }

    /// Returns the pages instead of the items. Items of a page that was begun come as a page of
    /// their own.
    pub fn by_page(self) -> Pages<T> {
        Pages {
            inner: self.inner.map(crate::Pager::by_page),
            runtime: self.runtime,
        }
    }
}

impl<T> Iterator for Pager<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.runtime.run(self.inner.as_mut()?.try_next());
        if item.is_err() {
            self.inner = None;
        }
        item.transpose()
    }
}

impl<T> FusedIterator for Pager<T> {}

impl<T> fmt::Debug for Pager<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// The pages of a list; made by [`Pager::by_page`].
///
/// Each page has a token that leads to the next one. The token is text that can be kept, and the
/// list's options take it to go on from there, in another process too:
///
/// ```
/// # use acr_client::blocking::ContainerRegistryClient;
/// # use acr_client::{Credential, transport::from_fn};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let registry = acr_mock::Registry::new();
/// # registry.seed("a")?.image("v1")?;
/// # registry.seed("b")?.image("v1")?;
/// # let client = ContainerRegistryClient::builder("https://mock.azurecr.io")
/// #     .credential(Credential::entra_token("any"))
/// #     .transport(from_fn(registry.handler()))
/// #     .build_blocking()?;
/// use acr_client::ListRepositoryNamesOptions;
/// use std::num::NonZeroU32;
///
/// let page_size = NonZeroU32::new(1);
/// let mut options = ListRepositoryNamesOptions { page_size, ..Default::default() };
/// let mut pages = client.list_repository_names_with(options.clone()).by_page();
/// if let Some(page) = pages.next() {
///     options.resume = page?.next;
///     let rest = client.list_repository_names_with(options).collect_all()?;
///     println!("{} names are left", rest.len());
/// #   assert_eq!(rest, ["b"]);
/// }
/// # Ok(())
/// # }
/// ```
///
/// The twin of [`acr_client::Pages`](crate::Pages). A page may have no items although more follow.
/// After an error the list ends.
#[must_use = "a list sends nothing until it is asked for pages"]
pub struct Pages<T> {
    /// `None` after an error.
    inner: Option<crate::Pages<T>>,
    runtime: Runtime,
}

impl<T> Iterator for Pages<T> {
    type Item = Result<Page<T>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let page = self.runtime.run(self.inner.as_mut()?.try_next());
        if page.is_err() {
            self.inner = None;
        }
        page.transpose()
    }
}

impl<T> FusedIterator for Pages<T> {}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
