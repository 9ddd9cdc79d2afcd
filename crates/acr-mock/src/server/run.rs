//! The server's thread: accepts connections, notes panics, and stops in time.

use std::any::Any;
use std::io;
use std::net::{self, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinSet};

use super::StartError;
use super::connection::{self, Service};

/// An open port, and what is served there.
pub(super) type Port = (net::TcpListener, Arc<Service>);

/// What a panic carried.
pub(super) type Panic = Box<dyn Any + Send>;

/// A thread that serves until it is stopped or dropped.
#[derive(Debug)]
pub(super) struct ServerThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Option<Panic>>>,
    workers: Workers,
    /// Turns true with the first panic of a connection.
    panicked: watch::Receiver<bool>,
}

/// The threads that the server's own has started beside itself.
type Workers = Arc<Mutex<Vec<ThreadId>>>;

impl ServerThread {
    pub(super) fn start(
        ports: Vec<Port>,
        grace: Duration,
        workers: NonZeroUsize,
    ) -> Result<Self, StartError> {
        let (runtime, workers) = runtime(workers).map_err(StartError::Thread)?;
        let ports = {
            let _context = runtime.enter();
            let open = |(listener, service)| Ok((TcpListener::from_std(listener)?, service));
            let ports = ports.into_iter().map(open);
            ports
                .collect::<io::Result<Vec<_>>>()
                .map_err(StartError::Thread)?
        };
        let (stop, stopped) = oneshot::channel();
        let (tell, panicked) = watch::channel(false);
        let thread = thread::Builder::new()
            .name("acr-mock".to_owned())
            .spawn(move || run(&runtime, ports, grace, stopped, tell))
            .map_err(StartError::Thread)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
            workers,
            panicked,
        })
    }

    pub(super) fn panicked(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut panicked = self.panicked.clone();
        async move {
            if panicked.wait_for(|panicked| *panicked).await.is_err() {
                // It has ended without.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Stops within a second, and returns the first panic of a connection if there was one.
    pub(super) fn stop(&mut self) -> Result<(), Panic> {
        // The end of the channel is the signal, as it is when this value is dropped without a word.
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        let current = thread::current().id();
        if thread.thread().id() == current || ids(&self.workers).contains(&current) {
            // Dropped by a handler: the thread cannot wait for its own end.
            return Ok(());
        }
        thread.join().and_then(|panic| panic.map_or(Ok(()), Err))
    }
}

/// How long to wait before accepting again when the machine is out of something, such as file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One worker is the server's own thread; more are threads beside it, which then only accepts.
fn runtime(workers: NonZeroUsize) -> io::Result<(Runtime, Workers)> {
    let started = Workers::default();
    let mut builder = match workers.get() {
        1 => tokio::runtime::Builder::new_current_thread(),
        workers => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let started = started.clone();
            builder
                .worker_threads(workers)
                .thread_name("acr-mock-worker")
                .on_thread_start(move || ids(&started).push(thread::current().id()));
            builder
        }
    };
    Ok((builder.enable_all().build()?, started))
}

fn ids(workers: &Workers) -> MutexGuard<'_, Vec<ThreadId>> {
    workers.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(
    runtime: &Runtime,
    ports: Vec<(TcpListener, Arc<Service>)>,
    grace: Duration,
    stopped: oneshot::Receiver<()>,
    tell: watch::Sender<bool>,
) -> Option<Panic> {
    runtime.block_on(serve(ports, grace, stopped, tell))
}

async fn serve(
    ports: Vec<(TcpListener, Arc<Service>)>,
    grace: Duration,
    mut stopped: oneshot::Receiver<()>,
    tell: watch::Sender<bool>,
) -> Option<Panic> {
    let mut connections = JoinSet::new();
    let mut panic = None;
    let (close, closing) = watch::channel(false);
    let mut turn = 0;
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(ended) = connections.join_next() => {
                note(&mut panic, ended);
                if panic.is_some() {
                    tell.send_replace(true);
                }
            }
            accepted = accept_any(&ports, &mut turn) => match accepted {
                Ok((service, stream, peer)) => {
                    connections.spawn(connection::serve(service, stream, peer, closing.clone()));
                }
                Err(error) if is_about_one_connection(&error) => {}
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(ports);
    let _ = close.send(true);
    let finish = async {
        while let Some(ended) = connections.join_next().await {
            note(&mut panic, ended);
        }
    };
    if tokio::time::timeout(grace, finish).await.is_err() {
        connections.shutdown().await;
    }
    panic
}

/// Accepts from whichever listener has a connection, each in its turn so that none waits behind a busy one.
async fn accept_any(
    ports: &[(TcpListener, Arc<Service>)],
    turn: &mut usize,
) -> io::Result<(Arc<Service>, TcpStream, SocketAddr)> {
    std::future::poll_fn(|context| {
        for _ in ports {
            *turn = (*turn + 1) % ports.len();
            let (listener, service) = &ports[*turn];
            if let Poll::Ready(accepted) = listener.poll_accept(context) {
                return Poll::Ready(accepted.map(|(stream, peer)| (service.clone(), stream, peer)));
            }
        }
        Poll::Pending
    })
    .await
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// Keeps the first panic: the others are mostly its consequences.
fn note(panic: &mut Option<Panic>, ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(payload) = error.try_into_panic()
    {
        panic.get_or_insert(payload);
    }
}
