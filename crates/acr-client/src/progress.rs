//! How far content is on its way, told by callback or stream.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use acr_protocol::Digest;
use futures_core::Stream;

/// How far one blob or manifest is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The digest of the content; `None` of an upload whose digest is known at its end only.
    pub digest: Option<Digest>,
    /// The bytes that are there or on their way. It goes back where bytes have to be sent again.
    pub bytes: u64,
    /// The bytes of an upload that the registry has acknowledged; the bytes of a download that have
    /// arrived.
    pub acknowledged: u64,
    /// The length of the content in bytes, where it is known.
    pub total: Option<u64>,
    /// What has become of the content, in its last event. There is none where it failed.
    pub outcome: Option<Outcome>,
    /// How far the whole image is, where the content is a part of one.
    pub image: Option<ImageProgress>,
}

/// How far an image is, over all its contents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageProgress {
    /// The bytes that are there or on their way.
    pub bytes: u64,
    /// The bytes of all contents that are known of so far.
    pub total: u64,
    /// How many blobs and manifests are done.
    pub contents_done: u64,
    /// How many blobs and manifests are known of so far.
    pub contents: u64,
}

/// What has become of content that was to be somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It was sent to a registry.
    Sent,
    /// It came from a registry.
    Received,
    /// The registry took it from another of its repositories.
    Mounted,
    /// It was there already.
    Present,
}

/// Who is told of [`Progress`]: nobody by default, which costs nothing.
///
/// A callback is called from where the bytes pass, so it should be short.
///
/// ```
/// use acr_client::OnProgress;
///
/// let on_progress = OnProgress::new(|progress| eprintln!("{} bytes", progress.bytes));
/// # drop(on_progress);
/// ```
#[derive(Clone, Default)]
pub struct OnProgress(Option<Arc<Listener>>);

type Listener = dyn Fn(&Progress) + Send + Sync;

impl OnProgress {
    /// A callback. The same as `From`, which cannot tell the compiler what a closure takes.
    #[must_use]
    pub fn new(listener: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    /// Creates a listener whose events come as a stream, which ends when the last clone of the listener is
    /// dropped.
    ///
    /// A slow reader gets the newest event of each content, so what waits is one event for each content
    /// that is under way, and one for each that is done. Contents whose digest is not known yet are told apart
    /// by their length alone.
    #[must_use]
    pub fn stream() -> (Self, ProgressStream) {
        let events = Arc::new(Mutex::new(Events::default()));
        let sender = Sender(events.clone());
        let listener = Self::from(move |progress: &Progress| sender.send(progress));
        (listener, ProgressStream(events))
    }

    /// Whether anybody listens.
    pub(crate) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn tell(&self, progress: &Progress) {
        if let Some(listener) = &self.0 {
            listener(progress);
        }
    }
}

impl<F: Fn(&Progress) + Send + Sync + 'static> From<F> for OnProgress {
    fn from(listener: F) -> Self {
        Self::new(listener)
    }
}

impl fmt::Debug for OnProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_on() {
            "OnProgress(listener)"
        } else {
            "OnProgress(nobody)"
        })
    }
}

/// The events of an [`OnProgress`], as a [`Stream`].
pub struct ProgressStream(Arc<Mutex<Events>>);

impl ProgressStream {
    /// Returns the next event, or `None` when nobody can tell of one any more.
    pub async fn next(&mut self) -> Option<Progress> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for ProgressStream {
    type Item = Progress;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Progress>> {
        let mut events = lock(&self.0);
        if let Some(progress) = events.unread.pop_front() {
            return Poll::Ready(Some(progress));
        }
        if events.has_ended {
            return Poll::Ready(None);
        }
        events.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for ProgressStream {
    /// What nobody reads is not kept for the life of the listener.
    fn drop(&mut self) {
        let mut events = lock(&self.0);
        events.is_closed = true;
        events.unread = VecDeque::new();
    }
}

impl fmt::Debug for ProgressStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgressStream").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Events {
    unread: VecDeque<Progress>,
    reader: Option<Waker>,
    has_ended: bool,
    /// Whether nobody reads any more.
    is_closed: bool,
}

/// The other end of a stream of events.
struct Sender(Arc<Mutex<Events>>);

impl Sender {
    fn send(&self, progress: &Progress) {
        let mut events = lock(&self.0);
        if events.is_closed {
            return;
        }
        let is_older = |other: &&mut Progress| {
            other.outcome.is_none()
                && (&other.digest, other.total) == (&progress.digest, progress.total)
        };
        match events.unread.iter_mut().find(is_older) {
            Some(older) => *older = progress.clone(),
            None => events.unread.push_back(progress.clone()),
        }
        wake(events);
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut events = lock(&self.0);
        events.has_ended = true;
        wake(events);
    }
}

fn lock(events: &Mutex<Events>) -> MutexGuard<'_, Events> {
    events.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes the reader after the lock is given back, because it may read at once.
fn wake(mut events: MutexGuard<'_, Events>) {
    let reader = events.reader.take();
    drop(events);
    if let Some(reader) = reader {
        reader.wake();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn event(content: &str, bytes: u64, outcome: Option<Outcome>) -> Progress {
        Progress {
            digest: Some(Digest::sha256(content)),
            bytes,
            acknowledged: 0,
            total: Some(9),
            outcome,
            image: None,
        }
    }

    #[test]
    fn a_slow_reader_gets_the_newest_event_of_each_content_and_every_outcome() {
        let (listener, mut events) = OnProgress::stream();
        assert!(events.next().now_or_never().is_none());
        let sent = Some(Outcome::Sent);
        for (content, bytes, outcome) in [
            ("a", 1, None),
            ("b", 2, None),
            ("a", 3, sent),
            ("b", 4, None),
            ("a", 5, None),
        ] {
            listener.tell(&event(content, bytes, outcome));
        }
        drop(listener);
        let mut next = || events.next().now_or_never().flatten();
        assert_eq!(next(), Some(event("a", 3, sent)));
        assert_eq!(next(), Some(event("b", 4, None)));
        assert_eq!(next(), Some(event("a", 5, None)));
        assert_eq!(next(), None);
    }

    #[test]
    fn what_nobody_reads_any_more_is_not_kept() {
        let (listener, events) = OnProgress::stream();
        let kept = events.0.clone();
        listener.tell(&event("a", 1, Some(Outcome::Sent)));
        assert_eq!(kept.lock().unwrap().unread.len(), 1);
        drop(events);
        assert!(kept.lock().unwrap().unread.is_empty());
        listener.tell(&event("b", 1, Some(Outcome::Sent)));
        assert!(kept.lock().unwrap().unread.is_empty());
    }

    #[tokio::test]
    async fn a_reader_is_woken_by_an_event_and_by_the_end() {
        let (listener, mut events) = OnProgress::stream();
        let read = tokio::spawn(async move {
            assert_eq!(events.next().await, Some(event("a", 1, None)));
            assert_eq!(events.next().await, None);
        });
        tokio::task::yield_now().await;
        listener.tell(&event("a", 1, None));
        tokio::task::yield_now().await;
        drop(listener);
        read.await.unwrap();
    }

    #[test]
    fn a_callback_is_called_and_nobody_need_listen() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = seen.clone();
        let listener = OnProgress::from(move |progress: &Progress| {
            kept.lock().unwrap().push(progress.bytes);
        });
        for listener in [listener, OnProgress::default()] {
            listener.tell(&event("a", 7, None));
        }
        assert_eq!(*seen.lock().unwrap(), [7]);
        assert_eq!(format!("{:?}", OnProgress::default()), "OnProgress(nobody)");
    }
}
