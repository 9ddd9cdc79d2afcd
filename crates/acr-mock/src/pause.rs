//! A pause for others: long work is done in turns, without the lock between two of them.

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
                return std::task::Poll::Ready(());
            }
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        })
        .await;
    }
}
