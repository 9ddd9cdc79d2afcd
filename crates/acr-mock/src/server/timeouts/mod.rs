//! How long a peer may keep a connection waiting: with a head, between two frames of a body, with nothing at all.
//!
//! All of it is the machine's time, whatever clock the registry has: it bounds what a peer costs the machine, and a test
//! that moves the registry's clock by an hour means its tokens, not its connections.

#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// The times of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timeouts {
    /// For a whole TLS handshake, and for a whole head: from the connection's start, later from its first byte.
    pub(super) head: Duration,
    /// Between two frames of a request's body, and for the peer to take any byte of a response.
    pub(super) body: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
    /// For requests in progress to end, once the server is stopped.
    pub(super) grace: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
            body: Duration::from_secs(60),
            idle: Duration::from_secs(300),
            grace: Duration::from_millis(500),
        }
    }
}

/// What the requests of a connection tell its stream, which sees bytes and not what they belong to.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// How many requests have begun.
    begun: AtomicU64,
    /// How many parts of requests and responses are under way.
    open: AtomicUsize,
    /// Whether a request's body fell silent.
    silent: AtomicBool,
    /// Who waits for bytes of a request, and is to look again once there is none.
    waiting: Mutex<Option<Waker>>,
}

impl Activity {
    /// A head has come in whole.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        self.begun.fetch_add(1, Ordering::Relaxed);
        UnderWay::new(self.clone())
    }

    fn is_busy(&self) -> bool {
        self.open.load(Ordering::Acquire) > 0
    }
}

/// A request that is not over: as long as one of its parts is there, the connection is not idle.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Activity>);

impl UnderWay {
    fn new(activity: Arc<Activity>) -> Self {
        activity.open.fetch_add(1, Ordering::AcqRel);
        Self(activity)
    }

    /// The request's body has been silent for too long.
    pub(super) fn note_silence(&self) {
        self.0.silent.store(true, Ordering::Relaxed);
    }

    pub(super) fn fell_silent(&self) -> bool {
        self.0.silent.load(Ordering::Relaxed)
    }
}

impl Clone for UnderWay {
    fn clone(&self) -> Self {
        Self::new(self.0.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            let waiting = &self.0.waiting;
            let waker = waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

/// A response's body, which keeps its request under way until it has gone out.
#[derive(Debug)]
pub(super) struct Kept<B> {
    body: B,
    _under_way: UnderWay,
}

impl<B> Kept<B> {
    pub(super) fn new(body: B, in_progress: UnderWay) -> Self {
        Self {
            body,
            _under_way: in_progress,
        }
    }
}

impl<B: Body + Unpin> Body for Kept<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A timer that is set when it is first needed, and used again.
#[derive(Debug, Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    is_set: bool,
}

impl Timer {
    pub(super) fn unset(&mut self) {
        self.is_set = false;
    }

    /// Whether so much time has gone since the first call behind the last `unset`.
    pub(super) fn poll_over(&mut self, context: &mut Context<'_>, time: Duration) -> Poll<()> {
        // What is beyond this is beyond every timer's reach, and as good as for ever.
        let time = time.min(FOREVER);
        let was_set = std::mem::replace(&mut self.is_set, true);
        match &mut self.sleep {
            Some(sleep) => {
                if !was_set {
                    sleep.as_mut().reset(Instant::now() + time);
                }
                sleep.as_mut().poll(context)
            }
            None => self
                .sleep
                .insert(Box::pin(sleep(time)))
                .as_mut()
                .poll(context),
        }
    }
}

const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The bytes of a connection, which fail once the peer has let it wait for too long.
#[derive(Debug)]
pub(super) struct Timed<S> {
    stream: S,
    timeouts: Timeouts,
    activity: Arc<Activity>,
    /// The number of the request whose head has begun to come.
    head_of: Option<u64>,
    /// What is waited for: the request of this number, or its head if that is the second.
    waits_for: (u64, bool),
    reading: Timer,
    writing: Timer,
}

impl<S> Timed<S> {
    pub(super) fn new(stream: S, timeouts: Timeouts, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            timeouts,
            activity,
            // Who opens a connection has something to say.
            head_of: Some(0),
            waits_for: (0, true),
            reading: Timer::default(),
            writing: Timer::default(),
        }
    }

    /// The stream itself, whose time nobody watches over then.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    /// Nothing has come. Is the time over?
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        {
            let waiting = &self.activity.waiting;
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if self.activity.is_busy() {
                // The body's silence is the request's matter.
                if !waiting
                    .as_ref()
                    .is_some_and(|waker| waker.will_wake(context.waker()))
                {
                    *waiting = Some(context.waker().clone());
                }
                self.reading.unset();
                return Poll::Pending;
            }
        }
        let request = self.activity.begun.load(Ordering::Relaxed);
        let is_head = self.head_of == Some(request);
        if self.waits_for != (request, is_head) {
            self.waits_for = (request, is_head);
            self.reading.unset();
        }
        let (time, text) = match is_head {
            true => (self.timeouts.head, "the head of a request took too long"),
            false => (self.timeouts.idle, "the connection was idle for too long"),
        };
        self.reading
            .poll_over(context, time)
            .map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, text)))
    }

    /// Lets a write fail that has waited for too long.
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing.unset();
            return written;
        }
        let text = "the peer takes no byte of a response";
        self.writing
            .poll_over(context, self.timeouts.body)
            .map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, text)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(read) => {
                if !self.activity.is_busy() {
                    self.head_of = Some(self.activity.begun.load(Ordering::Relaxed));
                }
                Poll::Ready(read)
            }
            Poll::Pending => self.poll_silence(context),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, closed)
    }
}
