//! A part of a blob, or the whole, that goes on where it broke.

use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use acr_protocol::blob::{BlobHead, ByteRange};
use acr_protocol::{DigestMismatch, Digester};
use bytes::{Buf, Bytes};
use http_body::Body as _;

use super::remote::{Body, Kind, Opened, Place, Remote, Reopened};
use crate::error::{Error, ErrorKind, cause};
use crate::retry::RetryState;
use crate::sender::{TooSlow, check_length};

/// The bytes of a part of a blob, in their order, whatever breaks on the way.
pub(super) struct Part {
    remote: Arc<Remote>,
    place: Place,
    state: State,
    /// Bytes of the body that have come before.
    again: Option<Again>,
    /// `None` while they are with the opening.
    attempts: Option<RetryState>,
    /// How many requests were sent before the opening.
    requests: u32,
    /// How many bytes have come that no attempt was given back for.
    moved: u64,
}

enum State {
    Reading(Body),
    /// In a mutex, which is never locked, so that a part is `Sync`.
    Opening(Mutex<Opening>),
    Ended,
}

type Opening = Pin<Box<dyn Future<Output = (RetryState, Result<Reopened, Error>)> + Send>>;

impl Part {
    /// Opens the whole of a blob, or a range of it.
    pub(super) async fn open(
        remote: Arc<Remote>,
        range: Option<ByteRange>,
    ) -> Result<(Self, BlobHead), Error> {
        let attempts = remote.begin();
        let (opened, head) = remote.open(range, &attempts).await?;
        Ok((Self::reading(remote, opened, &head, attempts), head))
    }

    /// Opens so many bytes of a blob, or the whole where the server knows no ranges; `None` where there is no
    /// such byte.
    pub(super) async fn open_first(
        remote: Arc<Remote>,
        from: u64,
        size: NonZeroU64,
    ) -> Result<Option<(Self, BlobHead)>, Error> {
        let attempts = remote.begin();
        let Some((opened, head)) = remote.open_first(from, size, &attempts).await? else {
            return Ok(None);
        };
        let mut part = Self::reading(remote, opened, &head, attempts);
        if part.place.kind == Kind::Range {
            part.place.kind = Kind::Share;
        }
        Ok(Some((part, head)))
    }

    fn reading(remote: Arc<Remote>, opened: Opened, head: &BlobHead, attempts: RetryState) -> Self {
        Self {
            remote,
            place: Place::of(head, opened.etag),
            state: State::Reading(opened.body),
            again: None,
            attempts: Some(attempts),
            requests: 0,
            moved: 0,
        }
    }

    /// A part that is opened by its first poll.
    pub(super) fn at(remote: Arc<Remote>, place: Place) -> Self {
        let mut part = Self {
            remote,
            place,
            state: State::Ended,
            again: None,
            attempts: None,
            requests: 0,
            moved: 0,
        };
        part.open_again(None);
        part
    }

    /// How many bytes it has, where that is known.
    pub(super) const fn length(&self) -> Option<u64> {
        self.place.length
    }

    /// Says how many bytes it has.
    pub(super) const fn expect_length(&mut self, length: u64) {
        self.place.length = Some(length);
    }

    /// How many requests were sent for it.
    pub(super) fn requests(&self) -> u32 {
        self.attempts
            .as_ref()
            .map_or(self.requests, RetryState::requests)
    }

    /// Whether more is to be read from where the last bytes came from.
    pub(super) fn is_live(&self) -> bool {
        matches!(&self.state, State::Reading(body) if !body.is_end_stream())
    }

    /// Is ready when the head of a response is there.
    pub(super) fn poll_opened(
        &mut self,
        cx: &mut Context<'_>,
        hashed: Option<&Digester>,
    ) -> Poll<Result<(), Error>> {
        let State::Opening(opening) = &mut self.state else {
            return Poll::Ready(Ok(()));
        };
        let opening = opening.get_mut().unwrap_or_else(PoisonError::into_inner);
        let (attempts, opened) = ready!(opening.as_mut().poll(cx));
        self.attempts = Some(attempts);
        self.state = State::Ended;
        let Some(opened) = opened? else {
            // There are no more bytes than have come.
            return Poll::Ready(Ok(()));
        };
        self.again = opened
            .comes_again
            .then(|| Again::new(self.place.received, hashed));
        self.place.length = opened.length.or(self.place.length);
        self.place.etag = opened.etag;
        self.state = State::Reading(opened.body);
        Poll::Ready(Ok(()))
    }

    /// The next bytes, never none of them. `hashed` has taken in all that came before, where a digest says
    /// whether they are the right ones.
    pub(super) fn poll_bytes(
        &mut self,
        cx: &mut Context<'_>,
        hashed: Option<&Digester>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            ready!(self.poll_opened(cx, hashed))?;
            let State::Reading(body) = &mut self.state else {
                return Poll::Ready(None);
            };
            let failure = match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => match self.take(bytes)? {
                        bytes if bytes.is_empty() => continue,
                        bytes => return Poll::Ready(Some(Ok(bytes))),
                    },
                    Err(_) => continue,
                },
                // Whatever broke behind the last byte.
                _ if self.place.left() == Some(0) => None,
                Some(Err(error)) => Some(error.into()),
                None => {
                    let missing = self.again.as_ref().map_or(0, |again| again.left);
                    check_length(self.place.length, self.place.received - missing).err()
                }
            };
            match failure {
                Some(failure) => self.open_again(Some(failure)),
                None => self.state = State::Ended,
            }
        }
    }

    /// Takes note of bytes of the body; returns those that have not come before.
    fn take(&mut self, mut bytes: Bytes) -> Result<Bytes, Error> {
        if let Some(again) = &mut self.again
            && again.pass(&mut bytes, &self.remote)?
        {
            self.again = None;
        }
        if bytes.is_empty() {
            return Ok(bytes);
        }
        let count = bytes.len() as u64;
        if let (Some(left), Some(length)) = (self.place.left(), self.place.length)
            && count > left
        {
            // Nobody knows how long it would go on.
            let text = format!("the server sends more than the {length} bytes it announced");
            return Err(Error::new(ErrorKind::Transport, text));
        }
        self.place.received += count;
        self.moved += count;
        Ok(bytes)
    }

    /// Begins to open it where it is, after a failure if there was one.
    fn open_again(&mut self, failure: Option<Error>) {
        let (remote, place) = (self.remote.clone(), self.place.clone());
        let begun = self.attempts.take();
        let mut attempts = begun.unwrap_or_else(|| remote.begin());
        self.requests = attempts.requests();
        let is_too_slow = |failure: &Error| cause::find::<TooSlow>(failure).is_some();
        // Where a rate is asked for, one that breaks after each byte must not get round it.
        let enough = self.remote.pipeline.sender().bytes_of_progress();
        if self.moved >= enough && !failure.as_ref().is_some_and(is_too_slow) {
            self.moved = 0;
            attempts.progressed();
        }
        let opening = async move {
            let opened = async {
                if let Some(failure) = failure {
                    attempts.next_attempt(failure).await?;
                }
                remote.reopen(&place, &attempts).await
            };
            let opened = opened.await;
            (attempts, opened)
        };
        self.state = State::Opening(Mutex::new(Box::pin(opening)));
    }
}

/// Bytes that have come before, which are held against those of then, where they were hashed.
struct Again {
    left: u64,
    hash: Option<(Digester, Digester)>,
}

impl Again {
    fn new(left: u64, hashed: Option<&Digester>) -> Self {
        let anew = hashed.and_then(|before| Digester::new(&before.algorithm()));
        Self {
            left,
            hash: anew.zip(hashed.cloned()),
        }
    }

    /// Takes off what has come before; returns whether that was all of it.
    fn pass(&mut self, bytes: &mut Bytes, remote: &Remote) -> Result<bool, Error> {
        let known = usize::try_from(self.left).unwrap_or(usize::MAX);
        let known = known.min(bytes.len());
        if let Some((anew, _)) = &mut self.hash {
            anew.update(&bytes[..known]);
        }
        bytes.advance(known);
        self.left -= known as u64;
        if self.left > 0 {
            return Ok(false);
        }
        let Some((anew, before)) = self.hash.take() else {
            return Ok(true);
        };
        let (count, anew, before) = (anew.bytes(), anew.finish(), before.finish());
        if anew == before {
            return Ok(true);
        }
        let mismatch = DigestMismatch::new(before, anew, count);
        let text = format!(
            "the blob {} has changed while it was read: {mismatch}",
            remote.digest()
        );
        Err(Error::new(ErrorKind::DigestMismatch, text))
    }
}
