//! Copies of bodies that go through: of each no more than is to be kept, and no byte later than without.

use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use acr_protocol::Digester;
use bytes::Bytes;
use futures_util::FutureExt;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;

use crate::transport::record::exchange::{BodyEnd, RecordedBody, RecordedError};
use crate::transport::{Body, TransportError};

/// What has come through of a body so far. Clones share it.
#[derive(Clone)]
pub(super) struct Copy(Arc<Mutex<Inner>>);

struct Inner {
    limit: usize,
    /// `None` after it was taken.
    kept: Option<Kept>,
    end: BodyEnd,
}

enum Kept {
    Bytes(Vec<u8>),
    /// There were too many.
    Digest(Box<Digester>),
}

impl Copy {
    /// Of the body that comes out, at most `limit` bytes will be kept. `at_end` is called once, when it
    /// is known how the body ends.
    pub(super) fn of(
        body: Body,
        limit: usize,
        at_end: impl FnOnce(&Self) + Send + 'static,
    ) -> (Self, Body) {
        let copy = Self(Arc::new(Mutex::new(Inner {
            limit,
            kept: Some(Kept::Bytes(Vec::new())),
            end: BodyEnd::Unread,
        })));
        // A body in memory stays one, which can be sent again.
        let whole = body
            .try_clone()
            .and_then(|copy| copy.collect().now_or_never());
        if let Some(Ok(whole)) = whole {
            copy.take_in(&whole.to_bytes());
            copy.ends(BodyEnd::Complete);
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

    /// What has come through by now. Nothing that comes later is kept.
    pub(super) fn take(&self) -> (RecordedBody, BodyEnd) {
        let mut inner = self.lock();
        let end = mem::take(&mut inner.end);
        let is_whole = end == BodyEnd::Complete;
        let body = match inner.kept.take() {
            None => RecordedBody::default(),
            Some(Kept::Bytes(bytes)) => RecordedBody::Bytes(bytes.into()),
            // The digest of a part says nothing.
            Some(Kept::Digest(digester)) => RecordedBody::Digest {
                size: is_whole.then(|| digester.bytes()),
                digest: is_whole.then(|| digester.finish()),
            },
        };
        (body, end)
    }

    fn take_in(&self, bytes: &[u8]) {
        let inner = &mut *self.lock();
        match &mut inner.kept {
            None => {}
            Some(Kept::Bytes(kept)) if kept.len() + bytes.len() <= inner.limit => {
                kept.extend_from_slice(bytes);
            }
            Some(Kept::Bytes(kept)) => {
                let mut digester = Digester::sha256();
                digester.update(&*kept);
                digester.update(bytes);
                inner.kept = Some(Kept::Digest(Box::new(digester)));
            }
            Some(Kept::Digest(digester)) => digester.update(bytes),
        }
    }

    fn ends(&self, end: BodyEnd) {
        self.lock().end = end;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while the lock is held; if it did, the copy would still be one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that is copied while it is read.
struct Tee {
    body: Body,
    copy: Copy,
    at_end: Option<AtEnd>,
}

type AtEnd = Box<dyn FnOnce(&Copy) + Send>;

impl Tee {
    fn end(&mut self, end: BodyEnd) {
        if let Some(at_end) = self.at_end.take() {
            self.copy.ends(end);
            at_end(&self.copy);
        }
    }

    /// Who knows the length does not ask for the end.
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
                    self.copy.take_in(bytes);
                }
                self.end_if_over();
            }
            Some(Err(error)) => self.end(BodyEnd::Broken(RecordedError::of(error))),
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicU32, Ordering};

    use acr_protocol::Digest;
    use futures_util::stream;

    use super::*;
    use crate::transport::TransportErrorKind;

    /// A body of these parts, the last of which may be an error.
    fn parts(parts: &[Result<&'static str, &'static str>]) -> Body {
        let parts: Vec<_> = parts
            .iter()
            .map(|part| part.map(Bytes::from).map_err(io::Error::other))
            .collect();
        Body::stream(stream::iter(parts))
    }

    fn copied(body: Body, limit: usize) -> (Copy, Body) {
        Copy::of(body, limit, |_| {})
    }

    async fn next(body: &mut Body) -> Option<Bytes> {
        let frame = body.frame().await?.ok()?;
        frame.into_data().ok()
    }

    #[tokio::test]
    async fn each_part_goes_through_as_soon_as_it_is_there() {
        let never = stream::unfold(0, |count| async move {
            match count {
                0 => Some((Ok::<_, io::Error>(Bytes::from("ab")), 1)),
                _ => std::future::pending().await,
            }
        });
        let (copy, mut body) = copied(Body::stream(never), 99);
        assert_eq!(next(&mut body).await.unwrap(), "ab");
        assert!(body.frame().now_or_never().is_none());
        drop(body);
        let kept = (RecordedBody::Bytes("ab".into()), BodyEnd::Unread);
        assert_eq!(copy.take(), kept);
    }

    #[tokio::test]
    async fn beyond_the_limit_the_digest_alone_is_kept() {
        for (limit, expected) in [
            (6, RecordedBody::Bytes("abcdef".into())),
            (
                5,
                RecordedBody::Digest {
                    digest: Some(Digest::sha256(b"abcdef")),
                    size: Some(6),
                },
            ),
        ] {
            let (copy, body) = copied(parts(&[Ok("abc"), Ok(""), Ok("def")]), limit);
            assert_eq!(body.collect().await.unwrap().to_bytes(), "abcdef");
            assert_eq!(copy.take(), (expected, BodyEnd::Complete));
        }
    }

    #[tokio::test]
    async fn of_a_part_there_is_no_digest() {
        let (copy, mut body) = copied(parts(&[Ok("abc"), Ok("def")]), 2);
        next(&mut body).await.unwrap();
        drop(body);
        let nothing = RecordedBody::Digest {
            digest: None,
            size: None,
        };
        assert_eq!(copy.take(), (nothing, BodyEnd::Unread));
    }

    #[tokio::test]
    async fn a_body_that_breaks_is_kept_as_far_as_it_came() {
        let (copy, body) = copied(parts(&[Ok("abc"), Err("gone")]), 99);
        assert_eq!(
            body.collect().await.unwrap_err().kind(),
            TransportErrorKind::Interrupted
        );
        let error = RecordedError::new(TransportErrorKind::Interrupted, "gone");
        let kept = (RecordedBody::Bytes("abc".into()), BodyEnd::Broken(error));
        assert_eq!(copy.take(), kept);
    }

    #[tokio::test]
    async fn the_last_byte_of_a_known_length_is_the_end() {
        let known = Body::new(http_body_util::Full::new(Bytes::from("abc")));
        let (copy, mut body) = copied(known, 99);
        assert_eq!(body.content_length(), Some(3));
        next(&mut body).await.unwrap();
        assert_eq!(copy.take().1, BodyEnd::Complete);
    }

    #[test]
    fn a_body_in_memory_can_still_be_sent_again() {
        let (copy, body) = copied(Body::bytes("abc"), 99);
        assert!(body.try_clone().is_some());
        assert_eq!(copy.take().0, RecordedBody::Bytes("abc".into()));
    }

    #[tokio::test]
    async fn the_end_is_told_once_and_what_comes_behind_is_not_kept() {
        let count = Arc::new(AtomicU32::new(0));
        let counted = count.clone();
        let (copy, body) = Copy::of(parts(&[Ok("abc")]), 99, move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        body.collect().await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 1);
        copy.take();
        copy.take_in(b"more");
        assert_eq!(copy.take().0, RecordedBody::default());
    }
}
