//! The thread that keeps the connections, and calls that wait for what it brings.

use std::cell::Cell;
use std::fmt;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread, ThreadId};

use futures_util::future::{AbortHandle, abortable};
use tokio::runtime::{Builder, EnterGuard, Handle, Id};

use crate::error::{Error, ErrorKind};

/// A runtime on a thread of its own; it ends with the last clone.
#[derive(Clone)]
pub(crate) struct Runtime(Arc<Driver>);

impl Runtime {
    pub(super) fn start() -> Result<Self, Error> {
        Self::start_with(|| Builder::new_current_thread().enable_all().build())
    }

    fn start_with(
        build: impl FnOnce() -> io::Result<tokio::runtime::Runtime> + Send + 'static,
    ) -> Result<Self, Error> {
        let driver = Driver::start(build).map_err(|error| {
            Error::of_foreign(
                ErrorKind::Io,
                "the thread behind the blocking client cannot be started",
                error,
            )
        })?;
        Ok(Self(Arc::new(driver)))
    }

    /// Waits for a future, which the calling thread works on.
    ///
    /// An error where that would block an async runtime. Within a future that this is waiting for,
    /// it may be called again: a reader that is read on the way may be a blob.
    pub(super) fn run<T>(
        &self,
        future: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let _entered = self.enter()?;
        wait_for(future)
    }

    fn enter(&self) -> Result<Entered<'_>, Error> {
        match Handle::try_current() {
            // Our own one: no thread of a runtime waits here, but a caller of `run`.
            Ok(current) if WAITING.get() == Some(current.id()) => {}
            Ok(_) => {
                return Err(Error::invalid(
                    "the blocking client is called within an async runtime, which it would block; \
                     use acr_client::ContainerRegistryClient there, or call it on a thread of \
                     std::thread",
                ));
            }
            Err(error) if error.is_thread_local_destroyed() => {
                return Err(Error::invalid(
                    "the blocking client is called on a thread that has ended",
                ));
            }
            Err(_) => {}
        }
        let handle = &self.0.handle;
        Ok(Entered {
            before: WAITING.replace(Some(handle.id())),
            _context: handle.enter(),
        })
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime")
    }
}

struct Driver {
    handle: Handle,
    thread: ThreadId,
    stop: AbortHandle,
    /// Hangs up when the runtime is gone. In a lock, because a receiver cannot be shared.
    end: Mutex<Receiver<io::Result<Handle>>>,
}

impl Driver {
    /// Starts the thread. The runtime is made there and stays there, so that it is dropped there
    /// too: in an async context, dropping it would be a panic.
    fn start(
        build: impl FnOnce() -> io::Result<tokio::runtime::Runtime> + Send + 'static,
    ) -> io::Result<Self> {
        let (started, end) = sync_channel(1);
        let (forever, stop) = abortable(pending::<()>());
        let thread = thread::Builder::new()
            .name(env!("CARGO_PKG_NAME").to_owned())
            .spawn(move || match build() {
                Ok(runtime) => {
                    let _ = started.send(Ok(runtime.handle().clone()));
                    // Connections and timers are at work until it is aborted.
                    let _ = runtime.block_on(forever);
                    // Without waiting for a name that is still being resolved.
                    runtime.shutdown_background();
                    drop(started);
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            })?;
        let handle = end.recv().map_err(io::Error::other)??;
        Ok(Self {
            handle,
            thread: thread.thread().id(),
            stop,
            end: Mutex::new(end),
        })
    }
}

impl Drop for Driver {
    /// Waits until the connections are closed, which takes no I/O: an async client that shares them
    /// must find them closed. The thread itself is not joined, because on some platforms that cannot
    /// be done while another thread ends, where a client may be dropped too.
    fn drop(&mut self) {
        self.stop.abort();
        if thread::current().id() != self.thread
            && let Ok(end) = self.end.get_mut()
        {
            let _ = end.recv();
        }
    }
}

/// A thread within the context of a runtime, for what looks there for its connections and timers.
struct Entered<'a> {
    before: Option<Id>,
    _context: EnterGuard<'a>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        WAITING.set(self.before);
    }
}

thread_local! {
    /// The runtime in whose context `run` has put this thread.
    static WAITING: Cell<Option<Id>> = const { Cell::new(None) };
}

/// Polls a future on this thread, which sleeps while there is nothing to do. Unlike that of a
/// runtime it can be nested.
fn wait_for<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let caller = Arc::new(Caller {
        thread: thread::current(),
        woken: AtomicBool::new(false),
    });
    let waker = Waker::from(caller.clone());
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        // A call within this one may have used up the token of `unpark`, so the flag decides.
        while !caller.woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

struct Caller {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_runtime_that_cannot_be_made_is_a_typed_error() {
        let error = Runtime::start_with(|| Err(io::Error::other("no more files"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), "no more files");
    }

    #[test]
    fn a_thread_that_dies_before_it_has_begun_is_a_typed_error() {
        // Not by a panic, which would be printed.
        let error = Driver::start(|| std::panic::resume_unwind(Box::new("gone")));
        assert!(error.is_err());
    }

    #[test]
    fn timers_and_tasks_run_while_nobody_waits() {
        let runtime = Runtime::start().unwrap();
        let (sender, receiver) = mpsc::channel();
        let spawned = runtime.run(async move {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                sender.send(7)
            });
            Ok(())
        });
        spawned.unwrap();
        assert_eq!(receiver.recv(), Ok(7));
    }

    #[test]
    fn the_thread_ends_with_the_last_clone_and_drops_what_it_held() {
        let runtime = Runtime::start().unwrap();
        let clone = runtime.clone();
        let (sender, receiver) = mpsc::channel::<()>();
        let spawned = clone.run(async move {
            tokio::spawn(async move {
                let _held = sender;
                pending::<()>().await;
            });
            Ok(())
        });
        spawned.unwrap();
        drop(runtime);
        assert_eq!(receiver.try_recv(), Err(mpsc::TryRecvError::Empty));
        drop(clone);
        assert_eq!(receiver.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }

    #[test]
    fn the_last_clone_may_be_dropped_on_the_thread_itself() {
        let runtime = Runtime::start().unwrap();
        let (sender, receiver) = mpsc::channel::<()>();
        let last = runtime.clone();
        let (go, gone) = abortable(pending::<()>());
        let spawned = runtime.run(async move {
            tokio::spawn(async move {
                let _held = sender;
                let _ = go.await;
                drop(last);
            });
            Ok(())
        });
        spawned.unwrap();
        drop(runtime);
        gone.abort();
        assert_eq!(receiver.recv(), Err(mpsc::RecvError));
    }

    #[test]
    fn a_call_within_a_call_is_served_and_the_outer_one_goes_on() {
        let (outer, inner) = (Runtime::start().unwrap(), Runtime::start().unwrap());
        let wait = || async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(())
        };
        let response = outer.run(async {
            let nested = inner.run(async { outer.run(wait()) });
            wait().await?;
            nested.map(|()| 7)
        });
        assert_eq!(response.unwrap(), 7);
        assert_eq!(WAITING.get(), None);
        assert!(Handle::try_current().is_err());
    }

    #[test]
    fn a_foreign_runtime_is_not_blocked_even_within_a_call() {
        let runtime = Runtime::start().unwrap();
        let foreign = Builder::new_current_thread().build().unwrap();
        let refused =
            runtime.run(async { foreign.block_on(async { runtime.run(async { Ok(()) }) }) });
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
        runtime.run(async { Ok(()) }).unwrap();
    }

    #[test]
    fn a_panic_on_the_way_leaves_the_thread_as_it_was() {
        let runtime = Runtime::start().unwrap();
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.run::<()>(async { std::panic::resume_unwind(Box::new("gone")) })
        }));
        assert!(unwound.is_err());
        assert!(Handle::try_current().is_err());
        runtime.run(async { Ok(()) }).unwrap();
    }
}
