//! [`Replay`]: a transport that answers from a recording.

mod matching;

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use acr_protocol::{Digest, Digester};
use async_trait::async_trait;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Request, Response};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;

use self::matching::Key;
use crate::transport::record::Recording;
use crate::transport::record::exchange::{BodyEnd, RecordedBody, RecordedExchange};
use crate::transport::{Body, Transport, TransportError, TransportErrorKind};

/// Answers requests from a recording, in place of a registry.
///
/// A request gets the answer of the first exchange with its method, path and query that was not played
/// yet. The order of a query's parameters does not matter, nor how a path is escaped, nor `api-version`
/// and what was hidden; headers and the host do not count. So the user, the password and the token do
/// not matter, but the kind of credential does, because each fetches its tokens by other requests, and
/// the endpoint has to be the one of [`Recording::registry`]. The body of a request is read to its end
/// before the answer comes. What was a broken connection is one again; delays are not played.
///
/// A request that is not in the recording ends in an error of the kind [`TransportErrorKind::Other`],
/// which says what was asked for and which of the remaining exchanges are nearest. The answers of token
/// endpoints alone are given again when all were played: a recorded token is mostly over by the clock of
/// the test, so the client, which keeps no such token, asks for one more often than when it was recorded.
///
/// A client knows what registries at `*.azurecr.io` ask for, and fetches its token first. A recording
/// that is written by hand without tokens is for a client of another host, or one with
/// [`known_realm(false)`](crate::ClientBuilder::known_realm).
///
/// Clones share what was played, so that one goes into the client and one stays with the test.
#[derive(Clone)]
pub struct Replay {
    shared: Arc<Shared>,
    repeat: bool,
    strict_bodies: bool,
    contents: Arc<HashMap<Digest, Bytes>>,
}

struct Shared {
    recording: Recording,
    keys: Vec<Key>,
    /// How often each exchange was played.
    played: Mutex<Vec<u64>>,
}

impl Replay {
    /// Plays a recording.
    #[must_use]
    pub fn new(recording: Recording) -> Self {
        let exchanges = recording.exchanges().iter();
        let shared = Shared {
            keys: exchanges
                .map(|exchange| Key::of(&exchange.request))
                .collect(),
            played: Mutex::new(vec![0; recording.exchanges().len()]),
            recording,
        };
        Self {
            shared: Arc::new(shared),
            repeat: false,
            strict_bodies: false,
            contents: Arc::default(),
        }
    }

    /// Has the last exchange that fits a request played again when all that fit were played. Off
    /// otherwise.
    #[must_use]
    pub fn repeat(mut self, on: bool) -> Self {
        self.repeat = on;
        self
    }

    /// Has the bodies of requests compared too. Off otherwise.
    ///
    /// Bodies that the recorder has changed or has not seen whole, such as forms with a token, fit any.
    #[must_use]
    pub fn strict_bodies(mut self, on: bool) -> Self {
        self.strict_bodies = on;
        self
    }

    /// Gives a body that was too long for the recording, so that it can be answered with.
    #[must_use]
    pub fn content(mut self, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Arc::make_mut(&mut self.contents).insert(Digest::sha256(&bytes), bytes);
        self
    }

    /// Returns the recording.
    #[must_use]
    pub fn recording(&self) -> &Recording {
        &self.shared.recording
    }

    /// Returns the exchanges that were not played so far.
    #[must_use]
    pub fn remaining(&self) -> Vec<&RecordedExchange> {
        let played = self.played();
        let exchanges = self.shared.recording.exchanges().iter().zip(&*played);
        let remaining = exchanges.filter(|(_, played)| **played == 0);
        remaining.map(|(exchange, _)| exchange).collect()
    }

    /// Finds the exchange of a request and takes note that it is played.
    fn play(&self, key: &Key, body: &Digest) -> Result<&RecordedExchange, TransportError> {
        let exchanges = self.shared.recording.exchanges();
        let mut played = self.played();
        let with_key: Vec<usize> = (0..exchanges.len())
            .filter(|at| self.shared.keys[*at].is_for(key))
            .collect();
        let fitting: Vec<usize> = with_key
            .iter()
            .copied()
            .filter(|at| !self.strict_bodies || takes_body(&exchanges[*at], body))
            .collect();
        let next = fitting.iter().copied().find(|at| played[*at] == 0);
        let repeats = self.repeat || key.is_for_tokens();
        let again = fitting.last().copied().filter(|_| repeats);
        match next.or(again) {
            Some(at) => {
                played[at] += 1;
                Ok(&exchanges[at])
            }
            None => Err(self.missing(key, &played, with_key.len(), fitting.len())),
        }
    }

    /// Says that there is no answer, and which one may have been meant.
    fn missing(
        &self,
        key: &Key,
        played: &[u64],
        with_key: usize,
        fitting: usize,
    ) -> TransportError {
        let mut text = format!("the recording has no remaining answer to {key}");
        text += &match (with_key, fitting) {
            (0, _) => String::new(),
            (_, 0) => " with this body, only with others".to_owned(),
            (_, count) => format!(" (all {count} that it has were played)"),
        };
        let keys = self.shared.keys.iter().enumerate();
        let mut remaining: Vec<_> = keys.filter(|(at, _)| played[*at] == 0).collect();
        remaining.sort_by_key(|(at, other)| (std::cmp::Reverse(other.likeness(key)), *at));
        if remaining.is_empty() {
            text += "; nothing in it is remaining";
        } else {
            text += "; the nearest remaining:";
            for (at, other) in remaining.iter().take(MOST_NEAREST) {
                text += &format!("\n  {}. {other}", at + 1);
            }
        }
        TransportError::new(TransportErrorKind::Other, text)
    }

    fn answer(&self, exchange: &RecordedExchange) -> Result<Response<Body>, TransportError> {
        let recorded = match &exchange.outcome {
            Ok(response) => response,
            Err(error) => return Err(error.to_transport_error()),
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = recorded.status;
        *response.headers_mut() = recorded.headers.clone();
        if exchange.request.method == Method::HEAD {
            return Ok(response);
        }
        let bytes = match &recorded.body {
            RecordedBody::Bytes(bytes) => bytes.clone(),
            RecordedBody::Digest { digest, .. } => {
                let found = digest.as_ref().and_then(|digest| self.contents.get(digest));
                match found {
                    Some(bytes) => bytes.clone(),
                    None => {
                        let error = TransportError::new(TransportErrorKind::Other, NOT_KEPT);
                        *response.body_mut() = broken(Bytes::new(), error);
                        return Ok(response);
                    }
                }
            }
        };
        *response.body_mut() = match &recorded.end {
            BodyEnd::Complete => {
                // A body that was changed since may have another length.
                if let Some(length) = response.headers_mut().get_mut(CONTENT_LENGTH) {
                    *length = HeaderValue::from(bytes.len());
                }
                Body::bytes(bytes)
            }
            BodyEnd::Unread => broken(
                bytes,
                TransportError::new(TransportErrorKind::Other, UNREAD),
            ),
            BodyEnd::Broken(error) => broken(bytes, error.to_transport_error()),
        };
        Ok(response)
    }

    fn played(&self) -> MutexGuard<'_, Vec<u64>> {
        // Nothing panics while the lock is held; if it did, the counts would still be some.
        let played = self.shared.played.lock();
        played.unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Transport for Replay {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (parts, mut body) = request.into_parts();
        let mut digester = Digester::sha256();
        while let Some(frame) = body.frame().await {
            if let Ok(bytes) = frame?.into_data() {
                digester.update(bytes);
            }
        }
        let query = parts.uri.query().unwrap_or_default();
        let key = Key::new(&parts.method, parts.uri.path(), query);
        self.answer(self.play(&key, &digester.finish())?)
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

/// Whether a request may have a body of this digest.
fn takes_body(exchange: &RecordedExchange, digest: &Digest) -> bool {
    let request = &exchange.request;
    let is_known = request.end == BodyEnd::Complete && !exchange.is_masked("request.body");
    let recorded = request.body.digest().filter(|_| is_known);
    recorded.is_none_or(|recorded| recorded == *digest)
}

/// A body that ends in an error.
fn broken(bytes: Bytes, error: TransportError) -> Body {
    Body::new(Broken {
        bytes,
        error: Some(error),
    })
}

struct Broken {
    bytes: Bytes,
    error: Option<TransportError>,
}

impl HttpBody for Broken {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.is_empty() {
            return Poll::Ready(self.error.take().map(Err));
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

const MOST_NEAREST: usize = 3;
const NOT_KEPT: &str = "the recording has only the digest of this body; give the bytes by \
                        `Replay::content`, or record with a larger `body_limit`";
const UNREAD: &str = "the recording ends here: when it was made, the body was read no further";

#[cfg(test)]
mod tests;
