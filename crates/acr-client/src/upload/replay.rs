//! Bytes of an upload in memory, to be sent again where need be.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::payload::Payload;
use crate::transport::{Body, TransportError};

/// Bytes that came in pieces.
#[derive(Clone, Default)]
pub(super) struct Replay {
    pieces: Vec<Bytes>,
    /// Small pieces in one: each by itself would take more memory than its bytes.
    small: BytesMut,
    length: u64,
}

impl Replay {
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        self.length += bytes.len() as u64;
        if bytes.len() < SMALL {
            self.small.extend_from_slice(&bytes);
            return;
        }
        self.close();
        self.pieces.push(bytes);
    }

    /// Ends what comes in small pieces, so that it can be sent.
    pub(super) fn close(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push(self.small.split().freeze());
        }
    }

    /// What a request sends: so many of the bytes from a place among them on.
    pub(super) fn payload(&self, from: u64, length: u64) -> Payload {
        let (mut passed, mut left) = (from, length);
        let mut list = VecDeque::new();
        for piece in &self.pieces {
            let skip = passed.min(piece.len() as u64);
            passed -= skip;
            let taken = left.min(piece.len() as u64 - skip);
            left -= taken;
            // Both are within the piece.
            let [skip, end] =
                [skip, skip + taken].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
            if taken > 0 {
                list.push_back(piece.slice(skip..end));
            }
        }
        match list.len() {
            0 | 1 => Payload::Bytes(list.pop_front().unwrap_or_default()),
            _ => Payload::streamed(length, move || Body::new(List(list.clone(), length))),
        }
    }
}

impl From<Bytes> for Replay {
    fn from(bytes: Bytes) -> Self {
        Self {
            length: bytes.len() as u64,
            pieces: vec![bytes],
            small: BytesMut::new(),
        }
    }
}

/// A body of pieces, and how many bytes there are.
struct List(VecDeque<Bytes>, u64);

impl HttpBody for List {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        Poll::Ready(self.0.pop_front().map(|bytes| {
            self.1 -= bytes.len() as u64;
            Ok(Frame::data(bytes))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.1)
    }
}

/// Smaller pieces are copied together.
const SMALL: usize = 16 << 10;
