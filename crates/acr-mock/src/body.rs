//! The body of every response the mock gives.
//!
//! A body lives in memory from the start, so it has no source to wait for and needs no runtime: it is ready at
//! every poll, but for one just before a cut, and for what a fault does to it. It may be a rope of several pieces (a
//! stored blob is kept in the pieces it came in), which are handed out one by one and never joined.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use acr_clock::{Clock, Sleep};
use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// A response's body: bytes in memory, handed out piece by piece without a copy.
///
/// `http_body_util::BodyExt::collect` reads it whole. Its length is known, so a server sends
/// `Content-Length`, unless [`chunked`](Self::chunked) hides it.
#[derive(Default)]
pub struct Body {
    chunks: VecDeque<Bytes>,
    remaining: u64,
    chunked: bool,
    /// Whether the head announces more than there is.
    is_short: bool,
    /// Bytes that may still go out before the body fails or falls silent, if it is to.
    cut: Option<u64>,
    /// Whether it falls silent there, and does not fail.
    stalls: bool,
    /// The reader was given a turn to pass on what it has, before the failure.
    paused: bool,
    /// How slowly it comes, if it is to come slowly.
    drip: Option<Drip>,
}

impl Body {
    /// A body of no bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// A body of these pieces in their order; each is one frame, and empty ones are left out.
    #[must_use]
    pub fn from_chunks(chunks: Vec<Bytes>) -> Self {
        let chunks: VecDeque<Bytes> = chunks
            .into_iter()
            .filter(|chunk| !chunk.is_empty())
            .collect();
        let remaining = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Self {
            chunks,
            remaining,
            ..Self::default()
        }
    }

    /// Hides the length, so that a server sends the body with `Transfer-Encoding: chunked`.
    ///
    /// The service responds so at its token endpoints, and for long metadata.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Makes the body fail after `bytes` bytes, while it goes on to promise its whole length.
    ///
    /// In process the reader gets a [`BodyError`]; over TCP the connection is closed there. A body that is not
    /// longer than `bytes` is left whole.
    #[must_use]
    pub fn cut_after(mut self, bytes: u64) -> Self {
        self.cut = (bytes < self.remaining).then_some(bytes);
        self
    }

    /// Makes the body fall silent after `bytes` bytes, for ever. One that is not longer is left whole.
    pub(crate) fn stall_after(self, bytes: u64) -> Self {
        Self {
            stalls: true,
            ..self.cut_after(bytes)
        }
    }

    /// Puts so many zeros behind the other bytes.
    pub(crate) fn extend(mut self, bytes: u64) -> Self {
        self.remaining = self.remaining.saturating_add(bytes);
        self
    }

    /// Leaves it to the head to say how long the body is, and the head says `length`.
    pub(crate) fn announced_as(self, length: u64) -> Self {
        Self {
            is_short: length > self.remaining,
            ..self.chunked()
        }
    }

    /// Flips the lowest bit of the byte at `offset`, if the body reaches so far: what is text mostly stays text.
    pub(crate) fn flip_byte(mut self, offset: u64) -> Self {
        let mut chunks = VecDeque::with_capacity(self.chunks.len() + 2);
        let mut start = 0;
        for mut chunk in self.chunks {
            let end = start + chunk.len() as u64;
            if (start..end).contains(&offset) {
                // Only the one byte is copied: the piece may be large, and is the registry's own.
                let mut byte = chunk.split_off(usize::try_from(offset - start).unwrap_or(0));
                let rest = byte.split_off(1);
                let flipped = byte.iter().map(|byte| byte ^ 1).collect();
                let pieces = [chunk, flipped, rest].into_iter();
                chunks.extend(pieces.filter(|piece| !piece.is_empty()));
            } else {
                chunks.push_back(chunk);
            }
            start = end;
        }
        self.chunks = chunks;
        self
    }

    /// Makes the body come at this pace.
    pub(crate) fn drip(mut self, drip: Drip) -> Self {
        self.drip = Some(drip);
        self
    }

    /// How many bytes are still to come, in all pieces.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The next piece, of at most so many bytes.
    fn next_chunk(&mut self, most: usize) -> Option<Result<Bytes, BodyError>> {
        let allowed = match self.cut {
            Some(0) => {
                // The failure is the last thing a reader sees: a failed body has ended.
                *self = Self::empty();
                return Some(Err(BodyError { _private: () }));
            }
            Some(allowed) => usize::try_from(allowed).unwrap_or(usize::MAX).min(most),
            None => most,
        };
        let mut chunk = match self.chunks.pop_front() {
            Some(chunk) => chunk,
            None if self.remaining > 0 => zeros(self.remaining),
            None => return None,
        };
        if chunk.len() > allowed {
            let rest = chunk.split_off(allowed);
            self.chunks.push_front(rest);
        }
        let length = chunk.len() as u64;
        self.remaining -= length;
        self.cut = self.cut.map(|allowed| allowed - length);
        Some(Ok(chunk))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let breaks = self.cut == Some(0) || self.is_short && self.remaining == 0;
        if breaks && !std::mem::replace(&mut self.paused, true) {
            // A server drops what it has not yet sent when the body fails or ends too early; now it sends that first.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.cut == Some(0) && self.stalls {
            return Poll::Pending;
        }
        let is_finished = self.remaining == 0 || self.cut == Some(0);
        let most = match &mut self.drip {
            Some(drip) if !is_finished => ready!(drip.poll_bytes(context)),
            _ => usize::MAX,
        };
        let chunk = self.next_chunk(most);
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0 && !self.is_short
    }

    fn size_hint(&self) -> SizeHint {
        if self.chunked {
            SizeHint::default()
        } else {
            SizeHint::with_exact(self.remaining)
        }
    }
}

/// So many zeros, or the first of them.
fn zeros(bytes: u64) -> Bytes {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    let length = usize::try_from(bytes).unwrap_or(usize::MAX);
    Bytes::from_static(&ZEROS[..length.min(ZEROS.len())])
}

macro_rules! from_bytes {
    ($($bytes:ty)*) => {
        $(impl From<$bytes> for Body {
            fn from(bytes: $bytes) -> Self {
                Self::from_chunks(vec![bytes.into()])
            }
        })*
    };
}

from_bytes!(Bytes Vec<u8> String &'static str);

/// Says how much is left, never what it is: a token response is a body too.
impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Body")
            .field("remaining", &self.remaining)
            .field("pieces", &self.chunks.len())
            .field("chunked", &self.chunked)
            .field("cut", &self.cut)
            .finish()
    }
}

/// The body was cut before its end, on purpose: see [`Body::cut_after`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the mock cut this body before its end, as it was asked to")]
pub struct BodyError {
    _private: (),
}

/// The pace of a slow body: lets a few bytes pass at a time, with a pause before each.
pub(crate) struct Drip {
    bytes: usize,
    pause: Duration,
    clock: Arc<dyn Clock>,
    /// The pause in progress. The mutex is never locked: it makes the body `Sync`, as every other body is.
    sleep: Mutex<Option<Sleep>>,
}

impl Drip {
    pub(crate) fn new(bytes: usize, pause: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            bytes: bytes.max(1),
            pause,
            clock,
            sleep: Mutex::new(None),
        }
    }

    /// Waits for the end of the pause; then so many bytes may pass.
    pub(crate) fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<usize> {
        let sleep = self.sleep.get_mut().unwrap_or_else(PoisonError::into_inner);
        let pausing = sleep.get_or_insert_with(|| self.clock.sleep(self.pause));
        pausing.as_mut().poll(context).map(|()| {
            *sleep = None;
            self.bytes
        })
    }
}

impl fmt::Debug for Drip {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Drip")
            .field("bytes", &self.bytes)
            .field("pause", &self.pause)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use http_body::Body as _;
    use http_body_util::BodyExt as _;

    use super::*;

    fn read(body: &mut Body) -> Option<Result<Bytes, BodyError>> {
        let frame = body
            .frame()
            .now_or_never()
            .expect("a body in memory is ready")?;
        Some(frame.map(|frame| frame.into_data().expect("a body has data only")))
    }

    #[test]
    fn a_rope_is_handed_out_in_its_pieces_without_a_copy() {
        let first = Bytes::from(vec![1_u8; 3]);
        let second = Bytes::from(vec![2_u8; 2]);
        let mut body = Body::from_chunks(vec![first.clone(), Bytes::new(), second.clone()]);
        assert_eq!(body.size_hint().exact(), Some(5));
        let out = read(&mut body).unwrap().unwrap();
        assert_eq!((out.as_ptr(), out.len()), (first.as_ptr(), 3));
        assert_eq!(body.size_hint().exact(), Some(2));
        assert!(!body.is_end_stream());
        assert_eq!(read(&mut body).unwrap().unwrap().as_ptr(), second.as_ptr());
        assert!(body.is_end_stream());
        assert!(read(&mut body).is_none());
    }

    #[test]
    fn an_empty_body_has_ended_from_the_start() {
        for mut body in [
            Body::empty(),
            Body::from(Bytes::new()),
            Body::from_chunks(vec![Bytes::new()]),
        ] {
            assert!(body.is_end_stream());
            assert_eq!(body.size_hint().exact(), Some(0));
            assert!(read(&mut body).is_none());
        }
    }

    #[test]
    fn a_chunked_body_hides_its_length_and_loses_nothing() {
        let body = Body::from("tokens".to_owned()).chunked();
        assert_eq!(body.size_hint().exact(), None);
        assert_eq!(body.remaining(), 6);
        let bytes = body.collect().now_or_never().unwrap().unwrap().to_bytes();
        assert_eq!(bytes, "tokens");
    }

    #[test]
    fn a_cut_body_promises_its_whole_length_and_fails_midway() {
        let mut body =
            Body::from_chunks(vec![Bytes::from_static(b"abc"), Bytes::from_static(b"def")])
                .cut_after(4);
        assert_eq!(body.size_hint().exact(), Some(6));
        assert_eq!(read(&mut body).unwrap().unwrap(), "abc");
        assert_eq!(read(&mut body).unwrap().unwrap(), "d");
        assert!(!body.is_end_stream());
        assert!(
            body.frame().now_or_never().is_none(),
            "a turn to send what was read"
        );
        read(&mut body).unwrap().unwrap_err();
        assert!(read(&mut body).is_none());
    }

    #[test]
    fn a_cut_at_or_behind_the_end_is_no_cut() {
        for cut in [3, 4, u64::MAX] {
            let body = Body::from("abc").cut_after(cut);
            assert_eq!(
                body.collect().now_or_never().unwrap().unwrap().to_bytes(),
                "abc"
            );
        }
    }

    #[test]
    fn debug_shows_no_content() {
        let text = format!("{:?}", Body::from("secret-token"));
        assert!(
            text.contains("remaining: 12") && !text.contains("secret"),
            "{text}"
        );
    }
}
