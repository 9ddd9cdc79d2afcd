//! [`Store`]: the exchanges that a recorder has kept, and the secrets that it knows.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue};

use crate::transport::record::Recording;
use crate::transport::record::exchange::{BodyEnd, RecordedBody, RecordedExchange};
use crate::transport::record::scrub::{self, Secrets};

/// What clones of a recorder share. The two locks are never held at once, but for a moment when the
/// recording is taken, the secrets' lock first.
#[derive(Default)]
pub(super) struct Store {
    secrets: Mutex<Secrets>,
    kept: Mutex<Kept>,
}

struct Kept {
    /// By the order in which they began.
    exchanges: BTreeMap<u64, Scrubbed>,
    next: u64,
    keep: Keep,
    limit: usize,
    dropped: u64,
    /// The host of the first request.
    registry: Option<String>,
}

/// An exchange without the secrets that were known when so many were.
struct Scrubbed {
    exchange: RecordedExchange,
    known: u64,
}

/// Which exchanges stay when there are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    First,
    Last,
}

impl Store {
    pub(super) fn secrets(&self) -> MutexGuard<'_, Secrets> {
        // Nothing panics while a lock is held; if it did, what is behind it would still be whole.
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keep(&self, keep: Keep, limit: usize) {
        let mut kept = self.kept();
        kept.keep = keep;
        kept.limit = limit.max(1);
        kept.shrink();
    }

    /// Gives a place to a request; tells also whether it goes to another host than the first one.
    pub(super) fn begin(&self, host: Option<&str>) -> (u64, bool) {
        let mut kept = self.kept();
        kept.next += 1;
        let is_away = match (&kept.registry, host) {
            (Some(registry), Some(host)) => !registry.eq_ignore_ascii_case(host),
            (None, Some(host)) => {
                kept.registry = Some(host.to_owned());
                false
            }
            (_, None) => false,
        };
        (kept.next, is_away)
    }

    /// Takes the secrets out of an exchange, lets it be changed, and keeps it.
    pub(super) fn put(
        &self,
        place: u64,
        mut exchange: RecordedExchange,
        change: impl FnOnce(&mut RecordedExchange),
    ) {
        let sizes = sizes(&exchange);
        let known = {
            let mut secrets = self.secrets();
            scrub::exchange(&mut exchange, &mut secrets);
            secrets.count()
        };
        change(&mut exchange);
        settle_lengths(&mut exchange, sizes);
        let mut kept = self.kept();
        kept.exchanges.insert(place, Scrubbed { exchange, known });
        kept.shrink();
    }

    pub(super) fn recording(&self) -> Recording {
        let secrets = self.secrets();
        let mut kept = self.kept();
        let kept = &mut *kept;
        for scrubbed in kept.exchanges.values_mut() {
            if scrubbed.known < secrets.count() {
                let sizes = sizes(&scrubbed.exchange);
                scrub::known(&mut scrubbed.exchange, &secrets);
                settle_lengths(&mut scrubbed.exchange, sizes);
                scrubbed.known = secrets.count();
            }
        }
        let exchanges = kept.exchanges.values();
        let exchanges = exchanges
            .map(|scrubbed| scrubbed.exchange.clone())
            .collect();
        match kept.keep {
            Keep::First => Recording::with(exchanges, 0, kept.dropped),
            Keep::Last => Recording::with(exchanges, kept.dropped, 0),
        }
    }
}

impl Kept {
    fn shrink(&mut self) {
        while self.exchanges.len() > self.limit {
            match self.keep {
                Keep::First => self.exchanges.pop_last(),
                Keep::Last => self.exchanges.pop_first(),
            };
            self.dropped += 1;
        }
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            exchanges: BTreeMap::new(),
            next: 0,
            keep: Keep::First,
            limit: 1000,
            dropped: 0,
            registry: None,
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept();
        f.debug_struct("Store")
            .field("exchanges", &kept.exchanges.len())
            .field("keep", &kept.keep)
            .field("limit", &kept.limit)
            .field("dropped", &kept.dropped)
            .finish_non_exhaustive()
    }
}

/// The sizes of both bodies.
type Sizes = (Option<u64>, Option<u64>);

fn sizes(exchange: &RecordedExchange) -> Sizes {
    let response = exchange.outcome.as_ref().ok();
    let response = response.and_then(|response| response.body.size());
    (exchange.request.body.size(), response)
}

/// Has `Content-Length` tell the length of a body that was changed.
fn settle_lengths(exchange: &mut RecordedExchange, (request, response): Sizes) {
    let RecordedExchange {
        request: sent,
        outcome,
        ..
    } = exchange;
    settle_length(&mut sent.headers, &sent.body, &sent.end, request);
    if let Ok(answer) = outcome
        && settle_length(&mut answer.headers, &answer.body, &answer.end, response)
    {
        exchange.mask("response.headers.content-length");
    }
}

fn settle_length(
    headers: &mut HeaderMap,
    body: &RecordedBody,
    end: &BodyEnd,
    before: Option<u64>,
) -> bool {
    let RecordedBody::Bytes(bytes) = body else {
        return false;
    };
    let size = bytes.len() as u64;
    let is_settled = before == Some(size) || *end != BodyEnd::Complete;
    if is_settled || !headers.contains_key(CONTENT_LENGTH) {
        return false;
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    true
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};

    use super::*;

    fn exchange(path: &str, body: &'static str) -> RecordedExchange {
        let request = Request::get(path)
            .header("content-length", 0)
            .body("".into());
        let response = Response::builder()
            .header("content-length", body.len())
            .body(body.into());
        RecordedExchange::new(request.unwrap(), response.unwrap())
    }

    fn paths(store: &Store) -> (Vec<String>, u64) {
        let recording = store.recording();
        let exchanges = recording.exchanges().iter();
        let paths = exchanges.map(|exchange| exchange.request.path.clone());
        (paths.collect(), recording.dropped())
    }

    #[test]
    fn too_many_exchanges_are_dropped_at_the_end_that_was_asked_for() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        for (keep, expected) in [(Keep::First, ["/1", "/2"]), (Keep::Last, ["/3", "/4"])] {
            let store = Store::default();
            store.keep(keep, 2);
            let places = [(); 4].map(|()| store.begin(None).0);
            // They end in another order than they began in.
            for (place, path) in [(1, "/2"), (0, "/1"), (3, "/4"), (2, "/3")] {
                store.put(places[place], exchange(path, ""), |_| {});
            }
            assert_eq!(paths(&store), (names(&expected), 2));
        }
        let store = Store::default();
        store.keep(Keep::First, 0);
        store.put(1, exchange("/1", ""), |_| {});
        assert_eq!(paths(&store), (names(&["/1"]), 0));
    }

    #[test]
    fn a_secret_that_is_learned_later_is_in_no_recording() {
        let store = Store::default();
        store.put(1, exchange("/hunter2", "<hunter2>"), |_| {});
        store.secrets().learn_for_good("hunter2");
        let recording = store.recording();
        let exchange = &recording.exchanges()[0];
        assert_eq!(exchange.request.path, "/REDACTED");
        let response = exchange.outcome.as_ref().unwrap();
        assert_eq!(response.body.bytes().unwrap(), "<REDACTED>");
        assert_eq!(response.headers[CONTENT_LENGTH], "10");
        assert!(exchange.is_masked("response.headers.content-length"));
    }

    #[test]
    fn the_length_of_a_body_that_is_changed_is_changed_too() {
        let store = Store::default();
        let change = |exchange: &mut RecordedExchange| {
            exchange.request.body = RecordedBody::Bytes("abc".into());
            exchange.outcome.as_mut().unwrap().body = RecordedBody::Bytes("abcd".into());
        };
        store.put(1, exchange("/1", "a"), change);
        let recording = store.recording();
        let exchange = &recording.exchanges()[0];
        assert_eq!(exchange.request.headers[CONTENT_LENGTH], "3");
        let response = exchange.outcome.as_ref().unwrap();
        assert_eq!(response.headers[CONTENT_LENGTH], "4");
    }

    #[test]
    fn the_first_host_is_the_registry_s() {
        let store = Store::default();
        for (host, is_away) in [
            (None, false),
            (Some("r.example"), false),
            (Some("R.example"), false),
            (Some("data.example"), true),
            (Some("r.example:444"), true),
        ] {
            assert_eq!(store.begin(host).1, is_away, "{host:?}");
        }
    }
}
