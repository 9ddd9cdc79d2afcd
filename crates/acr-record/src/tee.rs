//! [`BodyCopy`]: a copy of a body that is made while the body is read.

use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use acr_client::transport::{Body, TransportError};
use bytes::Bytes;
use futures_util::FutureExt;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use sha2::{Digest as _, Sha256};

use crate::body::Body as RecordedBody;
use crate::exchange::{BodyEnd, Failure};

/// What was read of a body so far. Clones share it.
#[derive(Clone)]
pub(crate) struct BodyCopy(Arc<Mutex<Inner>>);

struct Inner {
    limit: usize,
    /// `None` after it was taken.
    kept: Option<Kept>,
    end: BodyEnd,
}

enum Kept {
    Bytes(Vec<u8>),
    Digest(Box<Sha256>, u64),
}

impl BodyCopy {
    /// Returns a copy of at most `limit` bytes, and the body to be read in place of the given one.
    /// `at_end` is called once, when the body has ended or is dropped.
    pub(crate) fn of(
        body: Body,
        limit: usize,
        at_end: impl FnOnce(&Self) + Send + 'static,
    ) -> (Self, Body) {
        let copy = Self(Arc::new(Mutex::new(Inner {
            limit,
            kept: Some(Kept::Bytes(Vec::new())),
            end: BodyEnd::Unread,
        })));
        // A body in memory stays one, so that it can be sent again.
        let whole = body
            .try_clone()
            .and_then(|copy| copy.collect().now_or_never());
        if let Some(Ok(whole)) = whole {
            copy.push(&whole.to_bytes());
            copy.lock().end = BodyEnd::Complete;
            at_end(&copy);
            return (copy, body);
        }
        let mut tee = Tee {
            body,
            copy: copy.clone(),
            at_end: Some(Box::new(at_end)),
        };
        tee.end_if_over();
        (copy, Body::new(tee))
    }

    /// Returns what was read by now, in the form for a message with these headers. What is read later is
    /// not copied.
    pub(crate) fn take(&self, headers: &HeaderMap, is_response: bool) -> (RecordedBody, BodyEnd) {
        let mut inner = self.lock();
        let end = mem::take(&mut inner.end);
        let body = match inner.kept.take() {
            None => RecordedBody::Empty,
            Some(Kept::Bytes(bytes)) => {
                RecordedBody::from_bytes(bytes.into(), headers, is_response)
            }
            // The digest of a part is of no use.
            Some(Kept::Digest(digest, size)) => RecordedBody::Omitted {
                size: end.is_complete().then_some(size),
                sha256: end.is_complete().then(|| hex::encode(digest.finalize())),
            },
        };
        (body, end)
    }

    fn push(&self, bytes: &[u8]) {
        let inner = &mut *self.lock();
        match &mut inner.kept {
            None => {}
            Some(Kept::Bytes(kept)) => {
                kept.extend_from_slice(bytes);
                if kept.len() > inner.limit {
                    let digest = Sha256::new_with_prefix(&*kept);
                    inner.kept = Some(Kept::Digest(Box::new(digest), kept.len() as u64));
                }
            }
            Some(Kept::Digest(digest, size)) => {
                digest.update(bytes);
                *size += bytes.len() as u64;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while the lock is held; if it did, the copy would still be one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that is copied while it is read.
struct Tee {
    body: Body,
    copy: BodyCopy,
    at_end: Option<AtEnd>,
}

type AtEnd = Box<dyn FnOnce(&BodyCopy) + Send>;

impl Tee {
    fn end(&mut self, end: BodyEnd) {
        if let Some(at_end) = self.at_end.take() {
            self.copy.lock().end = end;
            at_end(&self.copy);
        }
    }

    /// A reader that knows the length does not ask for the end.
    fn end_if_over(&mut self) {
        if self.body.is_end_stream() || self.body.content_length() == Some(0) {
            self.end(BodyEnd::Complete);
        }
    }
}

impl HttpBody for Tee {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(bytes) = frame.data_ref() {
                    self.copy.push(bytes);
                }
                self.end_if_over();
            }
            Some(Err(error)) => self.end(BodyEnd::Failed(Failure::from(error))),
            None => self.end(BodyEnd::Complete),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        self.end(BodyEnd::Unread);
    }
}
