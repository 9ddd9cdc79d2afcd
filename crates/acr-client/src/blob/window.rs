//! Several ranges of a blob at once, whose bytes come in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};

use super::options::ParallelRanges;
use super::part::Part;
use super::remote::{Kind, Place, Remote};
use crate::error::Error;

/// The ranges that are read, the first of them being the one whose turn it is.
pub(super) struct Window {
    remote: Arc<Remote>,
    ranges: ParallelRanges,
    ahead: VecDeque<Ahead>,
    /// Where the range behind the last one begins.
    next: u64,
    /// How many bytes the blob has.
    size: u64,
    /// How many requests were sent for ranges that are done.
    requests: u32,
}

/// A range, and what has come of it before its turn.
struct Ahead {
    part: Part,
    bytes: VecDeque<Bytes>,
    /// The small ones that came last, in one: each by itself takes many times its length of memory.
    small: BytesMut,
    has_ended: bool,
}

impl Window {
    /// Begins at a byte of a blob of `size` bytes, with a range that is open already.
    pub(super) fn new(
        remote: Arc<Remote>,
        ranges: ParallelRanges,
        from: u64,
        first: Part,
        size: u64,
    ) -> Self {
        Self {
            remote,
            ranges,
            next: from.saturating_add(first.length().unwrap_or_default()),
            ahead: VecDeque::from([Ahead::new(first)]),
            size,
            requests: 0,
        }
    }

    pub(super) fn requests(&self) -> u32 {
        let sent = self.ahead.iter().map(|ahead| ahead.part.requests());
        sent.fold(self.requests, u32::saturating_add)
    }

    /// Begins ranges until there are as many as may be.
    fn fill(&mut self) {
        while self.ahead.len() < self.ranges.count.get() && self.next < self.size {
            let length = self.ranges.size.get().min(self.size - self.next);
            let place = Place {
                kind: Kind::Share,
                first: self.next,
                received: 0,
                length: Some(length),
                etag: None,
            };
            let part = Part::at(self.remote.clone(), place);
            self.ahead.push_back(Ahead::new(part));
            self.next += length;
        }
    }

    pub(super) fn poll_bytes(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            self.fill();
            // Each once, so that none waits while another one has much to give.
            let mut has_moved = false;
            for (at, ahead) in self.ahead.iter_mut().enumerate() {
                has_moved |= ahead.poll(cx, at > 0)?;
            }
            let Some(first) = self.ahead.front_mut() else {
                return Poll::Ready(None);
            };
            if let Some(bytes) = first.next() {
                return Poll::Ready(Some(Ok(bytes)));
            }
            if first.has_ended {
                self.requests = self.requests.saturating_add(first.part.requests());
                self.ahead.pop_front();
            } else if !has_moved {
                return Poll::Pending;
            }
        }
    }
}

impl Ahead {
    fn new(part: Part) -> Self {
        Self {
            part,
            bytes: VecDeque::new(),
            small: BytesMut::new(),
            has_ended: false,
        }
    }

    /// Takes what has come, which has to wait or not; returns whether anything has.
    fn poll(&mut self, cx: &mut Context<'_>, waits: bool) -> Result<bool, Error> {
        if self.has_ended {
            return Ok(false);
        }
        match self.part.poll_bytes(cx, None) {
            Poll::Pending => return Ok(false),
            Poll::Ready(None) => self.has_ended = true,
            Poll::Ready(Some(bytes)) => self.keep(bytes?, waits),
        }
        Ok(true)
    }

    fn keep(&mut self, bytes: Bytes, waits: bool) {
        if waits && bytes.len() < SMALL {
            self.small.extend_from_slice(&bytes);
            if self.small.len() >= SMALL {
                self.close();
            }
            return;
        }
        self.close();
        self.bytes.push_back(bytes);
    }

    /// Ends what comes in small pieces.
    fn close(&mut self) {
        if !self.small.is_empty() {
            // No longer than it is: what it has been given for more would wait as well.
            self.bytes.push_back(Bytes::copy_from_slice(&self.small));
            self.small.clear();
        }
    }

    /// The bytes that came first.
    fn next(&mut self) -> Option<Bytes> {
        if self.bytes.is_empty() {
            self.close();
        }
        self.bytes.pop_front()
    }
}

/// Smaller pieces that have to wait are copied together.
const SMALL: usize = 16 << 10;
