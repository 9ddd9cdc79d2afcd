//! Pages of lists: what they show, what they leave out, and what must come behind them.

use serde_json::Value;

use super::facts::{Facts, Thing};
use crate::fidelity::exchange::{Exchange, parameter};
use crate::fidelity::target::Target;

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Repositories of a registry.
    Repositories,
    /// Tags of a repository.
    Tags,
    /// Manifests of a repository.
    Manifests,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page {
    kind: Kind,
    repository: String,
    shown: Vec<String>,
    /// Behind this name; from the start, if there is none.
    from: Option<String>,
    /// Up to this name; to the end, if there is none.
    to: Option<String>,
    /// Whether the page is ordered by name and not filtered, so that what it leaves out is not there.
    tells: bool,
    next: Option<Link>,
}

/// Where the next page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The name behind which it begins.
    pub last: String,
    /// In time order, the ticks of that item.
    pub ticks: Option<u64>,
    /// `n`
    pub size: Option<u64>,
    /// Whether later pages show older items.
    pub descending: bool,
}

impl Page {
    /// The page in a response, if it holds one.
    pub fn of(exchange: &Exchange) -> Option<Self> {
        if exchange.request.method != "GET" || exchange.response.status != 200 {
            return None;
        }
        let body = exchange.response.body.json()?;
        let (kind, repository, shown) = match &exchange.target {
            Target::Catalog => (Kind::Repositories, "", texts(&body["repositories"], None)),
            Target::TagNames { repository } => {
                (Kind::Tags, repository.as_str(), texts(&body["tags"], None))
            }
            Target::Tags { repository } => (
                Kind::Tags,
                repository.as_str(),
                texts(&body["tags"], Some("name")),
            ),
            Target::Manifests { repository } => (
                Kind::Manifests,
                repository.as_str(),
                texts(&body["manifests"], Some("digest")),
            ),
            _ => return None,
        };
        let query = |name| parameter(&exchange.request.query, name).filter(|text| !text.is_empty());
        let by_time = query("orderby").is_some_and(|order| order.starts_with("time"));
        let next = exchange.response.headers.first("Link").and_then(Link::read);
        let complete = next.is_none() && query("last").is_none();
        let altered = exchange.masks("response.body") || exchange.masks("response.headers.Link");
        // A page that was shortened by hand says so by masking its framing.
        let shortened = exchange.masks("response.headers.Content-Length")
            || exchange.masks("response.headers.Transfer-Encoding");
        Some(Self {
            kind,
            repository: repository.to_owned(),
            from: query("last").filter(|_| !by_time),
            to: next.as_ref().map(|link| link.last.clone()),
            tells: (!by_time || complete) && query("digest").is_none() && !altered && !shortened,
            shown,
            next,
        })
    }

    /// Whether the page leaves the thing out although it would stand in it.
    pub fn leaves_out(&self, thing: &Thing) -> bool {
        let (kind, name) = match thing {
            Thing::Repository { repository } => (Kind::Repositories, repository),
            Thing::Tag { tag, .. } => (Kind::Tags, tag),
            Thing::Manifest { digest, .. } => (Kind::Manifests, digest),
            Thing::Blob { .. } => return false,
        };
        let same_list = kind == self.kind
            && (kind == Kind::Repositories || thing.home() == self.repository.as_str());
        self.tells
            && same_list
            && self.from.as_ref().is_none_or(|from| name > from)
            && self.to.as_ref().is_none_or(|to| name <= to)
            && !self.shown.contains(name)
    }

    /// How many items it shows.
    pub fn items(&self) -> usize {
        self.shown.len()
    }

    /// The tag that it shows last, if it is tags that it shows.
    pub fn last_tag(&self) -> Option<Thing> {
        let last = self.shown.last().filter(|_| self.kind == Kind::Tags)?;
        Some(Thing::tag(&self.repository, last))
    }

    /// The link to the next page.
    pub fn link(&self) -> Option<&Link> {
        self.next.as_ref()
    }

    /// Something that comes behind this page, as its link says there is. `digest` is what a filter lets through.
    pub fn behind(&self, digest: Option<String>) -> Option<(Thing, Facts)> {
        let link = self.next.as_ref()?;
        let mut facts = Facts::default();
        if let Some(ticks) = link.ticks {
            let ticks = if link.descending {
                ticks.saturating_sub(1)
            } else {
                ticks + 1
            };
            let time = acr_protocol::Timestamp::from_ticks(ticks).to_string();
            (facts.created, facts.updated) = (Some(time.clone()), Some(time));
        }
        let thing = match self.kind {
            Kind::Repositories => Thing::repository(&format!("{}-next", link.last)),
            Kind::Tags => {
                facts.digest = digest;
                Thing::tag(&self.repository, &format!("{}-next", link.last))
            }
            Kind::Manifests => Thing::manifest(&self.repository, &following(&link.last)?),
        };
        Some((thing, facts))
    }
}

impl Link {
    fn read(header: &str) -> Option<Self> {
        let (_, rest) = header.split_once('<')?;
        let (url, _) = rest.split_once('>')?;
        let (_, query) = url.split_once('?')?;
        let last = parameter(query, "last")?;
        let order = parameter(query, "orderby").unwrap_or_default();
        let timed = order
            .starts_with("time")
            .then(|| last.split_once('&'))
            .flatten()
            .and_then(|(ticks, name)| Some((ticks.parse::<u64>().ok()?, name.to_owned())));
        Some(Self {
            size: parameter(query, "n").and_then(|size| size.parse().ok()),
            descending: order == "timedesc",
            ticks: timed.as_ref().map(|(ticks, _)| *ticks),
            last: timed.map_or(last, |(_, name)| name),
        })
    }
}

/// The digest that comes right behind another.
fn following(digest: &str) -> Option<String> {
    let (algorithm, hex) = digest.split_once(':')?;
    let mut digits: Vec<u8> = hex.bytes().collect();
    for digit in digits.iter_mut().rev() {
        match *digit {
            b'f' => *digit = b'0',
            b'9' => {
                *digit = b'a';
                return Some(format!("{algorithm}:{}", String::from_utf8(digits).ok()?));
            }
            _ => {
                *digit += 1;
                return Some(format!("{algorithm}:{}", String::from_utf8(digits).ok()?));
            }
        }
    }
    None
}

fn texts(list: &Value, member: Option<&str>) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .filter_map(|item| match member {
            Some(member) => item[member].as_str(),
            None => item.as_str(),
        })
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(query: &str, link: Option<&str>) -> Page {
        let headers = link.map_or(json!({}), |link| json!({ "Link": link }));
        let line = json!({
            "request": {"method": "GET", "path": "/acr/v1/a/_tags", "query": query},
            "response": {"status": 200, "headers": headers, "body": {"tags": [{"name": "c"}, {"name": "e"}]}}
        });
        let exchange = Exchange::read("f:1", &line.to_string()).expect("a line");
        Page::of(&exchange).expect("a page")
    }

    #[test]
    fn a_page_leaves_out_only_what_would_stand_in_it() {
        let page = page("last=b&n=2", Some("</x?last=e&n=2&orderby=>; rel=\"next\""));
        for (name, expected) in [("b", false), ("c", false), ("d", true), ("f", false)] {
            assert_eq!(page.leaves_out(&Thing::tag("a", name)), expected, "{name}");
        }
        assert!(!page.leaves_out(&Thing::tag("b", "d")));
        assert!(!page.leaves_out(&Thing::manifest("a", "d")));
    }

    #[test]
    fn behind_a_link_there_is_something() {
        let by_name = page("n=2", Some("</x?last=e&n=2&orderby=>; rel=\"next\""));
        let (thing, _) = by_name.behind(None).expect("one more");
        assert_eq!(thing, Thing::tag("a", "e-next"));
        let by_time = page(
            "orderby=timedesc",
            Some("</x?last=639039224611470601%26e&n=2&orderby=timedesc>; rel=\"next\""),
        );
        let (_, facts) = by_time.behind(None).expect("one more");
        assert_eq!(facts.updated.as_deref(), Some("2026-01-13T17:34:21.14706Z"));
        assert!(page("", None).behind(None).is_none());
    }

    #[test]
    fn digests_are_counted_up() {
        assert_eq!(following("sha256:01ff").as_deref(), Some("sha256:0200"));
        assert_eq!(following("sha256:0199").as_deref(), Some("sha256:019a"));
        assert_eq!(following("sha256:ff"), None);
    }
}
