//! A pause for others: long work is done in turns, without the lock between two of them.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Lets everything else that waits for this thread have its turn.
///
/// A server has one thread by default, so to let the lock go is not enough. It is never pending for long: whoever polls
/// the future in a loop, without a runtime, needs no waker.
pub(crate) async fn pause() {
    // The runtime's own pause, where there is one: behind a task that only wakes itself it would seldom look at sockets.
    #[cfg(feature = "server")]
    tokio::task::yield_now().await;
    #[cfg(not(feature = "server"))]
    {
        let mut paused = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut paused, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// Does at once, on this thread, what only ever pauses.
pub(crate) fn without_pause<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
            return done;
        }
    }
}
