//! The way of a source that can be read again into the bodies of requests.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use acr_clock::Clock;
use acr_protocol::{Algorithm, Digester};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::meter::Meter;
use super::options::HashOn;
use super::pieces::{Cut, Pieces, Source, ended_early};
use super::replay::Replay;
use super::source::Origin;
use crate::error::{Error, ErrorKind};
use crate::payload::Payload;
use crate::transport::{Body, TransportError, TransportErrorKind};

/// A source that can be read again, with the state of its digest where the registry stands.
///
/// One thread reads ahead from request to request, as long as each begins where the one before has ended.
pub(super) struct Feed {
    origin: Origin,
    hash_on: HashOn,
    clock: Arc<dyn Clock>,
    meter: Meter,
    state: Mutex<State>,
}

struct State {
    /// The digest of what the registry has acknowledged.
    committed: Digester,
    /// The digest of what was taken last.
    reached: Option<Digester>,
    /// What goes on behind that.
    running: Option<Running>,
    /// The bytes of one request.
    step: u64,
    /// Counts the bodies, of which the last one alone is listened to.
    turn: u64,
    /// Why the source cannot be read.
    failure: Option<Error>,
}

struct Running {
    pieces: Pieces,
    at: u64,
    /// Where the request that comes next is expected to end.
    next: u64,
}

impl Feed {
    pub(super) fn new(
        origin: Origin,
        digester: Digester,
        hash_on: HashOn,
        clock: Arc<dyn Clock>,
        meter: Meter,
    ) -> Self {
        Self {
            origin,
            hash_on,
            clock,
            meter,
            state: Mutex::new(State {
                committed: digester,
                reached: None,
                running: None,
                step: u64::MAX,
                turn: 0,
                failure: None,
            }),
        }
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(super) const fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Says how many bytes a request is to have.
    pub(super) fn set_step(&self, bytes: u64) {
        let mut state = self.state();
        if state.step != bytes {
            state.step = bytes;
            // It was cut for the other size.
            state.running = None;
        }
    }

    /// The digest's state where the registry stands.
    pub(super) fn committed(&self) -> Digester {
        self.state().committed.clone()
    }

    /// The digest's state behind what was read last.
    pub(super) fn reached(&self) -> Digester {
        let state = self.state();
        state.reached.as_ref().unwrap_or(&state.committed).clone()
    }

    /// Why a body has ended, where that was the source's fault.
    pub(super) fn failure(&self) -> Option<Error> {
        self.state().failure.clone()
    }

    /// Begins where a digest was saved, if it is one of the same algorithm; says whether the source may have
    /// what it is of. Unless that is `known`, the source is read up to there.
    pub(super) async fn resume(&self, saved: &Digester, known: bool) -> Result<bool, Error> {
        let place = saved.bytes();
        if saved.algorithm() != self.committed().algorithm() {
            return Ok(true);
        }
        if place > self.origin.length() {
            return Ok(false);
        }
        if !known {
            self.catch_up(place, place).await?;
            return Ok(self.committed().finish() == saved.clone().finish());
        }
        let mut state = self.state();
        state.committed = saved.clone();
        (state.reached, state.running) = (None, None);
        Ok(true)
    }

    /// Goes back to the beginning.
    pub(super) fn rewind(&self) {
        let mut state = self.state();
        state.committed = fresh(&state.committed.algorithm());
        (state.reached, state.running) = (None, None);
    }

    /// Makes the digest that of the bytes before this place, which may mean to read them again; `end` is where
    /// the request that begins there is to end.
    pub(super) async fn catch_up(&self, to: u64, end: u64) -> Result<(), Error> {
        if to > self.origin.length() {
            let text = format!(
                "the source of the blob has {} bytes, and the registry holds {to} already: it is not the \
                 source that the upload was begun with",
                self.origin.length()
            );
            return Err(Error::new(ErrorKind::Io, text));
        }
        let mut pieces = {
            let mut state = self.state();
            if state.committed.bytes() == to {
                return Ok(());
            }
            if let Some(reached) = state.reached.take_if(|reached| reached.bytes() == to) {
                state.committed = reached;
                return Ok(());
            }
            self.start(&mut state, to, end)
        };
        let piece = pieces.next().await?.ok_or_else(ended_early)?;
        let mut state = self.state();
        state.committed = piece.digester;
        state.running = Some(Running {
            pieces,
            at: to,
            next: end,
        });
        Ok(())
    }

    /// Reads what a small request sends.
    pub(super) async fn replay(&self, at: u64, end: u64) -> Result<Replay, Error> {
        self.catch_up(at, end).await?;
        let mut pieces = {
            let mut state = self.state();
            state.turn += 1;
            self.take(&mut state, at, end)
        };
        let (mut replay, mut reached) = (Replay::default(), None);
        while replay.length() < end - at || reached.is_none() {
            let Some(piece) = pieces.next().await? else {
                // Only of nothing there may be no piece.
                if at == end {
                    break;
                }
                return Err(ended_early());
            };
            replay.push(piece.bytes);
            reached = Some(piece.digester);
        }
        if at == self.origin.length() {
            // The end is made sure of also where there is nothing before it.
            pieces.next().await?;
        }
        replay.close();
        let mut state = self.state();
        state.reached = reached;
        self.go_on(&mut state, pieces, end);
        Ok(replay)
    }

    /// What a request sends. The digest must have come to where it begins.
    pub(super) fn payload(self: &Arc<Self>, at: u64, end: u64) -> Payload {
        let feed = self.clone();
        Payload::streamed(end - at, move || {
            let turn = {
                let mut state = feed.state();
                state.turn += 1;
                state.turn
            };
            Body::new(FeedBody {
                feed: feed.clone(),
                turn,
                pieces: None,
                at,
                end,
            })
        })
    }

    /// What was read ahead, if it is what the request sends, or what is read from there on.
    fn take(&self, state: &mut State, at: u64, end: u64) -> Pieces {
        match state.running.take() {
            Some(running) if (running.at, running.next) == (at, end) => running.pieces,
            _ => self.start(state, at, end),
        }
    }

    fn start(&self, state: &mut State, at: u64, end: u64) -> Pieces {
        (state.reached, state.running) = (None, None);
        let digester = if state.committed.bytes() <= at {
            state.committed.clone()
        } else {
            fresh(&state.committed.algorithm())
        };
        let cut = Cut {
            from: at,
            next: end,
            step: state.step,
        };
        let source = Source::again(self.origin.clone());
        Pieces::read(source, digester, cut, self.hash_on, self.clock.clone())
    }

    /// Keeps what reads ahead from here on, unless the next request is of another size by now.
    fn go_on(&self, state: &mut State, pieces: Pieces, at: u64) {
        if pieces.step() != state.step {
            return;
        }
        let next = at.saturating_add(state.step).min(self.origin.length());
        state.running = Some(Running { pieces, at, next });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fresh(algorithm: &Algorithm) -> Digester {
    // There is no digester of another kind.
    Digester::new(algorithm).unwrap_or_else(Digester::sha256)
}

/// The body of one request.
struct FeedBody {
    feed: Arc<Feed>,
    turn: u64,
    /// Taken when the first bytes are asked for: before, the request may not be on its way at all.
    pieces: Option<Pieces>,
    at: u64,
    end: u64,
}

impl FeedBody {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, TransportError>> {
        loop {
            let mut state = self.feed.state();
            if state.turn != self.turn {
                let text = "the request is sent anew";
                return Poll::Ready(Err(TransportError::new(
                    TransportErrorKind::Interrupted,
                    text,
                )));
            }
            let mut pieces = match self.pieces.take() {
                Some(pieces) => pieces,
                None => self.feed.take(&mut state, self.at, self.end),
            };
            drop(state);
            let polled = pieces.poll_next(cx);
            let polled = match polled {
                Poll::Pending => {
                    self.pieces = Some(pieces);
                    return Poll::Pending;
                }
                Poll::Ready(polled) => polled.and_then(|piece| piece.ok_or_else(ended_early)),
            };
            let mut state = self.feed.state();
            let piece = match polled {
                Ok(piece) => piece,
                Err(error) => {
                    if state.turn == self.turn {
                        state.failure = Some(error.clone());
                    }
                    return Poll::Ready(Err(TransportError::new(TransportErrorKind::Other, error)));
                }
            };
            self.at += piece.bytes.len() as u64;
            if state.turn == self.turn && self.at == self.end {
                state.reached = Some(piece.digester);
                self.feed.go_on(&mut state, pieces, self.end);
            } else {
                self.pieces = Some(pieces);
            }
            drop(state);
            if !piece.bytes.is_empty() {
                return Poll::Ready(Ok(piece.bytes));
            }
        }
    }
}

impl HttpBody for FeedBody {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        if self.at == self.end {
            return Poll::Ready(None);
        }
        let piece = ready!(self.poll_piece(cx));
        self.feed.meter.sent(self.at);
        Poll::Ready(Some(piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.at == self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}

#[cfg(test)]
mod tests {
    use acr_clock::VirtualClock;
    use http_body_util::BodyExt as _;

    use super::super::source::{BlobSource, OpenedKind};
    use super::*;

    const MIB: u64 = 1 << 20;

    #[tokio::test]
    async fn what_was_read_ahead_for_requests_of_another_size_is_not_sent() {
        let source = BlobSource::bytes(vec![7; 4 << 20]).open().unwrap();
        let OpenedKind::Again(origin) = source.kind else {
            panic!("bytes can be read again");
        };
        let clock = Arc::new(VirtualClock::new());
        let digester = Digester::sha256();
        let feed = Feed::new(origin, digester, HashOn::Caller, clock, Meter::default());
        let feed = Arc::new(feed);
        feed.set_step(2 * MIB);
        let mut body = feed.payload(0, 2 * MIB).body();
        body.frame().await.unwrap().unwrap();
        // The response has come before the end of the body, and the next request is to be a smaller one.
        feed.set_step(MIB + 5);
        while let Some(frame) = body.frame().await {
            frame.unwrap();
        }
        feed.catch_up(2 * MIB, 3 * MIB + 5).await.unwrap();
        let next = feed.payload(2 * MIB, 3 * MIB + 5).body();
        let sent = next.collect().await.unwrap().to_bytes();
        assert_eq!(sent.len() as u64, MIB + 5);
    }
}
