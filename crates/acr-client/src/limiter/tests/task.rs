//! Tasks that the tests poll by hand.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A task by hand: a future, and how often it was woken.
pub(super) struct Task<F: Future> {
    future: Pin<Box<F>>,
    woken: Arc<Count>,
    waker: Waker,
}

impl<F: Future> Task<F> {
    pub(super) fn new(future: F) -> Self {
        let woken = Arc::new(Count(AtomicUsize::new(0)));
        Self {
            future: Box::pin(future),
            waker: Waker::from(woken.clone()),
            woken,
        }
    }

    pub(super) fn poll(&mut self) -> Option<F::Output> {
        let mut context = Context::from_waker(&self.waker);
        match self.future.as_mut().poll(&mut context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    /// Goes on without the hand.
    pub(super) fn into_inner(self) -> Pin<Box<F>> {
        self.future
    }

    /// How often it was woken since the last call.
    pub(super) fn woken(&self) -> usize {
        self.woken.0.swap(0, Ordering::SeqCst)
    }
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
