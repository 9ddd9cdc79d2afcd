//! [`Replay`]: a transport that responds from a recording.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use acr_client::async_trait;
use acr_client::transport::{Body, Transport, TransportError, TransportErrorKind};
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use sha2::{Digest as _, Sha256};

use crate::body::sha256;
use crate::exchange::{self, BodyEnd, Exchange};
use crate::recording::Recording;
use crate::redact;
use crate::request_key::RequestKey;

/// Responds from a recording, in place of a registry.
///
/// A request gets the response of the first exchange with its method, path and query that was not
/// played yet. Neither the order of a query's parameters matters, nor how a path is escaped, nor
/// `api-version` and redacted values; headers and the host are not compared. So the user, the password
/// and the token do not matter, but the kind of credential does, because each fetches its tokens by
/// other requests, and the endpoint has to be the one of [`Recording::registry`]. A request's body is
/// read to its end before the response comes. An error that was recorded is one of its kind again;
/// delays are not played.
///
/// A request that is not in the recording ends in an error of the kind [`TransportErrorKind::Other`],
/// which names the request and the nearest of the remaining exchanges. Only token responses are played
/// again when all were played: a recorded token has mostly expired by the clock of the test, so the
/// client asks for one more often than when it was recorded.
///
/// A client knows what registries at `*.azurecr.io` ask for, and fetches its token first. A recording
/// that is written by hand without tokens is for a client of another host, or one that is built with
/// [`assume_azure_auth(false)`](acr_client::ClientBuilder::assume_azure_auth).
///
/// Clones share what was played, so that one goes into the client and one stays with the test.
#[derive(Clone)]
pub struct Replay {
    shared: Arc<Shared>,
    repeat: bool,
    strict_bodies: bool,
    /// By their sha256.
    contents: Arc<HashMap<String, Bytes>>,
}

struct Shared {
    recording: Recording,
    keys: Vec<RequestKey>,
    /// Whether each exchange was played.
    played: Mutex<Vec<bool>>,
}

impl Replay {
    /// Plays a recording.
    #[must_use]
    pub fn new(recording: Recording) -> Self {
        let requests = recording
            .exchanges()
            .iter()
            .map(|exchange| &exchange.request);
        let keys =
            requests.map(|request| RequestKey::new(&request.method, &request.path, &request.query));
        let shared = Shared {
            keys: keys.collect(),
            played: Mutex::new(vec![false; recording.exchanges().len()]),
            recording,
        };
        Self {
            shared: Arc::new(shared),
            repeat: false,
            strict_bodies: false,
            contents: Arc::default(),
        }
    }

    /// Plays the last exchange that matches a request again when all that match were played. Off
    /// otherwise.
    #[must_use]
    pub fn repeat(mut self, on: bool) -> Self {
        self.repeat = on;
        self
    }

    /// Compares the bodies of requests too. Off otherwise.
    ///
    /// A body that is redacted or was not recorded to its end matches any.
    #[must_use]
    pub fn strict_bodies(mut self, on: bool) -> Self {
        self.strict_bodies = on;
        self
    }

    /// Gives the bytes of a body that was too long for the recording.
    #[must_use]
    pub fn content(mut self, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Arc::make_mut(&mut self.contents).insert(sha256(&bytes), bytes);
        self
    }

    /// Returns the exchanges that were not played so far.
    #[must_use]
    pub fn remaining(&self) -> Vec<&Exchange> {
        let played = self.played();
        let exchanges = self.shared.recording.exchanges().iter().zip(&*played);
        let remaining = exchanges.filter(|(_, played)| !**played);
        remaining.map(|(exchange, _)| exchange).collect()
    }

    /// Finds the exchange of a request and marks it as played.
    fn play(&self, key: &RequestKey, body: &str) -> Result<&Exchange, TransportError> {
        let exchanges = self.shared.recording.exchanges();
        let mut played = self.played();
        let with_key: Vec<usize> = (0..exchanges.len())
            .filter(|at| self.shared.keys[*at].matches(key))
            .collect();
        let matching: Vec<usize> = with_key
            .iter()
            .copied()
            .filter(|at| !self.strict_bodies || matches_body(&exchanges[*at], body))
            .collect();
        let next = matching.iter().copied().find(|at| !played[*at]);
        let again = matching
            .last()
            .copied()
            .filter(|at| self.repeat || is_for_token(&exchanges[*at]));
        match next.or(again) {
            Some(at) => {
                played[at] = true;
                Ok(&exchanges[at])
            }
            None => Err(self.missing(key, &played, with_key.len(), matching.len())),
        }
    }

    /// The error that there is no response, with the requests that may have been meant.
    fn missing(
        &self,
        key: &RequestKey,
        played: &[bool],
        with_key: usize,
        matching: usize,
    ) -> TransportError {
        let mut text = format!("the recording has no remaining response to {key}");
        text += &match (with_key, matching) {
            (0, _) => String::new(),
            (_, 0) => " with this body, only with others".to_owned(),
            (_, count) => format!(" (all {count} that it has were played)"),
        };
        let keys = self.shared.keys.iter().zip(1..).zip(played);
        let mut remaining: Vec<_> = keys.filter(|(_, played)| !**played).collect();
        remaining.sort_by_key(|((other, _), _)| std::cmp::Reverse(other.similarity(key)));
        text += match remaining.is_empty() {
            true => "; nothing remains in it",
            false => "; the nearest that remain:",
        };
        for ((other, number), _) in remaining.iter().take(MAX_NEAREST) {
            text += &format!("\n  {number}. {other}");
        }
        TransportError::new(TransportErrorKind::Other, text)
    }

    fn response(&self, exchange: &Exchange) -> Result<Response<Body>, TransportError> {
        let Some(recorded) = &exchange.response else {
            let error = exchange.error.as_ref().map(TransportError::from);
            return Err(
                error.unwrap_or_else(|| other("the recording has no response to this request"))
            );
        };
        if exchange.request.method == Method::HEAD {
            return Ok(recorded.to_http(Body::empty()));
        }
        let Some(bytes) = self.bytes(recorded) else {
            return Ok(recorded.to_http(failing(Bytes::new(), other(OMITTED))));
        };
        Ok(match &recorded.end {
            BodyEnd::Complete => {
                // A body that was edited may have another length.
                let length = HeaderValue::from(bytes.len());
                let mut response = recorded.to_http(Body::bytes(bytes));
                if let Some(value) = response.headers_mut().get_mut(CONTENT_LENGTH) {
                    *value = length;
                }
                response
            }
            BodyEnd::Unread => recorded.to_http(failing(bytes, other(UNREAD))),
            BodyEnd::Failed(failure) => recorded.to_http(failing(bytes, failure.into())),
        })
    }

    fn bytes(&self, response: &exchange::Response) -> Option<Bytes> {
        let given = || self.contents.get(&response.sha256()?).cloned();
        response.bytes().or_else(given)
    }

    fn played(&self) -> MutexGuard<'_, Vec<bool>> {
        // Nothing panics while the lock is held; if it did, the marks would still be right.
        let played = self.shared.played.lock();
        played.unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Transport for Replay {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (parts, mut body) = request.into_parts();
        let mut digest = Sha256::new();
        while let Some(frame) = body.frame().await {
            if let Ok(bytes) = frame?.into_data() {
                digest.update(bytes);
            }
        }
        let query = parts.uri.query().unwrap_or_default();
        let key = RequestKey::new(&parts.method, parts.uri.path(), query);
        self.response(self.play(&key, &hex::encode(digest.finalize()))?)
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("exchanges", &self.shared.keys.len())
            .field("remaining", &self.remaining().len())
            .field("repeat", &self.repeat)
            .field("strict_bodies", &self.strict_bodies)
            .finish_non_exhaustive()
    }
}

fn is_for_token(exchange: &Exchange) -> bool {
    redact::is_token_request(exchange.operation.as_deref(), &exchange.request.path)
}

/// Returns whether the request may have a body with this sha256.
fn matches_body(exchange: &Exchange, sha256: &str) -> bool {
    let request = &exchange.request;
    let is_known = request.end.is_complete() && !exchange.is_masked("request.body");
    let recorded = request.sha256().filter(|_| is_known);
    recorded.is_none_or(|recorded| recorded == sha256)
}

/// A body that ends in an error.
fn failing(bytes: Bytes, error: TransportError) -> Body {
    let bytes = Some(Ok(bytes)).filter(|bytes| bytes.as_ref().is_ok_and(|bytes| !bytes.is_empty()));
    Body::stream(stream::iter(bytes.into_iter().chain([Err(error)])))
}

fn other(text: &'static str) -> TransportError {
    TransportError::new(TransportErrorKind::Other, text)
}

const MAX_NEAREST: usize = 3;
const OMITTED: &str = "the recording has only the digest of this body; give the bytes by \
                       `Replay::content`, or record with a larger `body_limit`";
const UNREAD: &str = "the recording ends here: the body was read no further when it was recorded";
