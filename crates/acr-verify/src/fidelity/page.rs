//! Pages of lists: how long they are, and what must be behind them.

use acr_mock::snapshot::Properties;
use acr_protocol::{Digest, Operation, PageToken, Route, Tag, Timestamp};

use super::resource::{Known, Resource};
use super::step::{Step, parameter};

/// A page of a list.
pub(super) struct Page {
    /// The number of items.
    pub(super) items: usize,
    next: Option<PageToken>,
    /// Where the list is of tags: the manifest of the last one.
    digest: Option<Digest>,
}

impl Page {
    /// Returns the page in a response, if it is one.
    pub(super) fn of(step: &Step) -> Option<Self> {
        match step.route.as_ref()? {
            Route::ListRepositoryNames(operation) => Self::read(step, operation, |_| None),
            Route::ListRepositories(operation) => Self::read(step, operation, |_| None),
            Route::ListTags(operation) => Self::read(step, operation, |_| None),
            Route::ListManifestProperties(operation) => Self::read(step, operation, |_| None),
            Route::ListTagProperties(operation) => {
                Self::read(step, operation, |last| Some(last.digest.clone()))
            }
            _ => None,
        }
    }

    fn read<T, O: Operation<Output = acr_protocol::Page<T>>>(
        step: &Step,
        operation: &O,
        digest: impl Fn(&T) -> Option<Digest>,
    ) -> Option<Self> {
        let page = step.output(operation)?;
        Some(Self {
            items: page.items.len(),
            digest: page.items.last().and_then(digest),
            next: page.next,
        })
    }

    /// Returns the size of a page that the link to the next one states.
    pub(super) fn linked_size(&self) -> Option<u32> {
        self.link("n")?.parse().ok()
    }

    /// Returns something that comes behind this page, as its link says there is.
    pub(super) fn behind(&self, step: &Step) -> Option<(Resource, Known)> {
        let order = self.link("orderby").unwrap_or_default();
        let last = self.link("last")?;
        let timed = last.split_once('&').filter(|_| order.starts_with("time"));
        let (ticks, last) = match timed {
            Some((ticks, last)) => (ticks.parse::<u64>().ok(), last),
            None => (None, last.as_str()),
        };
        let time = ticks.map(|ticks| match order.as_str() {
            "timedesc" => Timestamp::from_ticks(ticks.saturating_sub(1)),
            _ => Timestamp::from_ticks(ticks + 1),
        });
        let known = Known {
            properties: time.map(Properties::new),
            digest: self.digest.clone(),
            ..Known::default()
        };
        let next = format!("{last}-next");
        let resource = match step.route.as_ref()? {
            Route::ListRepositoryNames(_) | Route::ListRepositories(_) => {
                Resource::Repository(next.parse().ok()?)
            }
            Route::ListManifestProperties(operation) => {
                Resource::Manifest(operation.repository.clone(), following(last)?)
            }
            route => Resource::Tag(route.repository()?.clone(), Tag::new(next).ok()?),
        };
        Some((resource, known))
    }

    fn link(&self, name: &str) -> Option<String> {
        parameter(self.next.as_ref()?.as_str().split_once('?')?.1, name)
    }
}

/// Returns the digest that comes right behind another.
fn following(digest: &str) -> Option<Digest> {
    let (algorithm, hex) = digest.split_once(':')?;
    let fs = hex.len() - hex.trim_end_matches('f').len();
    let (kept, digit) = hex[..hex.len() - fs].split_at(hex.len().checked_sub(fs + 1)?);
    let digit = u32::from_str_radix(digit, 16).ok()? + 1;
    Digest::new(format!("{algorithm}:{kept}{digit:x}{}", "0".repeat(fs))).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn behind(query: &str, link: Option<&str>) -> Option<(Resource, Known)> {
        let headers = link.map_or(json!({}), |link| json!({ "Link": link }));
        let tag = json!({
            "name": "e", "digest": Digest::sha256("x"), "createdTime": "2024-01-01T00:00:00Z",
            "lastUpdateTime": "2024-01-01T00:00:00Z"
        });
        let exchange = json!({
            "request": {"method": "GET", "path": "/acr/v1/a/_tags", "query": query},
            "response": {"status": 200, "headers": headers, "body": {"imageName": "a", "tags": [tag]}}
        });
        let step = Step::new(serde_json::from_value(exchange).unwrap()).unwrap();
        Page::of(&step).unwrap().behind(&step)
    }

    #[test]
    fn behind_a_link_there_is_something() {
        let (tag, known) = behind("n=1", Some("</x?last=e&n=1&orderby=>; rel=\"next\"")).unwrap();
        let expected = Resource::Tag("a".parse().unwrap(), Tag::new("e-next").unwrap());
        assert_eq!((tag, known.digest), (expected, Some(Digest::sha256("x"))));
        let link = "</x?last=639039224611470601%26e&n=1&orderby=timedesc>; rel=\"next\"";
        let (_, known) = behind("orderby=timedesc", Some(link)).unwrap();
        let time = known.properties.unwrap().last_updated_on.to_string();
        assert_eq!(time, "2026-01-13T17:34:21.14706Z");
        assert_eq!(behind("", None), None);
    }

    #[test]
    fn digests_are_counted_up() {
        let digest = |end: &str| format!("sha256:{}{end}", "0".repeat(64 - end.len()));
        for (one, next) in [("01ff", "0200"), ("0199", "019a"), ("0", "1")] {
            assert_eq!(following(&digest(one)).unwrap().as_str(), digest(next));
        }
        assert_eq!(following(&digest(&"f".repeat(64))), None);
    }
}
