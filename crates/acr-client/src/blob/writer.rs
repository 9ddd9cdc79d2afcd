//! A thread that writes a file, and what waits for it without a runtime.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread::{self, JoinHandle};

use acr_clock::Clock;
use acr_protocol::{Digest, Digester};
use bytes::Bytes;

use crate::error::{Error, ErrorKind};
use crate::partial_file::{PartialFile, Paths};

/// Writes a file on a thread of its own, or where it is called where no thread can be started. A file that
/// is not completed is removed, unless it is one to be resumed.
pub(super) struct FileWriter {
    shared: Arc<Shared>,
    worker: Worker,
    paths: Paths,
    /// Whether a file that is not complete stays, for the next download.
    stays: bool,
    clock: Arc<dyn Clock>,
}

enum Worker {
    Thread(Option<JoinHandle<()>>),
    /// `None` while a thread is started.
    Here(Option<PartialFile>),
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to do.
    work: Condvar,
}

#[derive(Default)]
struct State {
    steps: VecDeque<Step>,
    is_busy: bool,
    /// The bytes that are not written yet.
    pending: usize,
    hashed: Option<Digester>,
    /// How long the file is that has got its name.
    completed: Option<u64>,
    failed: Option<Error>,
    /// Whether the writer is gone.
    is_closed: bool,
    /// Who waits.
    waker: Option<Waker>,
}

/// What is done in turn.
enum Step {
    Hash(Box<Digester>),
    Reserve(u64),
    Write(Bytes),
    Complete,
}

impl FileWriter {
    /// Begins a new file beside `target`.
    pub(super) fn create(target: &Path, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Ok(Self::start(PartialFile::create(target)?, clock))
    }

    /// Goes on with the file that an earlier download has left, or begins a new one.
    pub(super) fn resume(
        target: &Path,
        digest: &Digest,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        match PartialFile::resume(target, digest)? {
            Some(file) => Ok(Self::start(file, clock)),
            None => Self::create(target, clock),
        }
    }

    fn start(file: PartialFile, clock: Arc<dyn Clock>) -> Self {
        let mut writer = Self::here(file, clock);
        let Worker::Here(file) = &mut writer.worker else {
            return writer;
        };
        // In a cell, so that it is still here when no thread can be started.
        let cell = Arc::new(Mutex::new(file.take()));
        let (shared, given) = (writer.shared.clone(), cell.clone());
        let take = |cell: &Mutex<Option<PartialFile>>| {
            let mut file = cell.lock().unwrap_or_else(PoisonError::into_inner);
            file.take()
        };
        let thread = thread::Builder::new()
            .name("acr-client-save".to_owned())
            .spawn(move || {
                if let Some(file) = take(&given) {
                    shared.run(file);
                }
            });
        writer.worker = match thread {
            Ok(thread) => Worker::Thread(Some(thread)),
            Err(_) => Worker::Here(take(&cell)),
        };
        writer
    }

    /// One that writes where it is called.
    fn here(file: PartialFile, clock: Arc<dyn Clock>) -> Self {
        Self {
            shared: Arc::default(),
            paths: file.paths().clone(),
            stays: file.stays(),
            worker: Worker::Here(Some(file)),
            clock,
        }
    }

    /// Removes the file unless it is completed, whatever it is for.
    pub(super) const fn discard(&mut self) {
        self.stays = false;
    }

    /// Hashes what is in the file already.
    pub(super) async fn hash(&mut self, digester: Digester) -> Result<Digester, Error> {
        self.push(Step::Hash(Box::new(digester))).await?;
        self.done().await?;
        let hashed = self.shared.lock().hashed.take();
        hashed.ok_or_else(lost)
    }

    /// Takes the room for so many more bytes.
    pub(super) async fn reserve(&mut self, more: u64) -> Result<(), Error> {
        self.push(Step::Reserve(more)).await
    }

    /// Writes bytes, as soon as those before are on their way.
    pub(super) async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.push(Step::Write(bytes)).await
    }

    /// Gives the file its name; returns how many bytes it has.
    pub(super) async fn complete(mut self) -> Result<u64, Error> {
        self.push(Step::Complete).await?;
        self.done().await?;
        let completed = self.shared.lock().completed;
        completed.ok_or_else(lost)
    }

    async fn push(&mut self, step: Step) -> Result<(), Error> {
        self.wait_until(|state| state.pending <= MAX_PENDING)
            .await?;
        match &mut self.worker {
            Worker::Here(Some(file)) => self.shared.execute(step, file),
            _ => {
                let mut state = self.shared.lock();
                state.pending += step.size();
                state.steps.push_back(step);
                drop(state);
                self.shared.work.notify_one();
                Ok(())
            }
        }
    }

    /// Waits until all of it is done.
    async fn done(&self) -> Result<(), Error> {
        self.wait_until(|state| state.steps.is_empty() && !state.is_busy)
            .await
    }

    async fn wait_until(&self, is_so: impl Fn(&State) -> bool + Send + Sync) -> Result<(), Error> {
        // A clock that is moved by hand knows nothing of the thread.
        let mut hold = None;
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if let Some(error) = &state.failed {
                return Poll::Ready(Err(error.clone()));
            }
            if is_so(&state) {
                return Poll::Ready(Ok(()));
            }
            let before = state.waker.replace(cx.waker().clone());
            drop(state);
            drop(before);
            hold.get_or_insert_with(|| self.clock.hold());
            Poll::Pending
        })
        .await
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_closed = true;
        let is_completed = state.completed.is_some();
        let given_up = if self.stays || is_completed {
            VecDeque::new()
        } else {
            std::mem::take(&mut state.steps)
        };
        drop(state);
        drop(given_up);
        self.shared.work.notify_one();
        if is_completed {
            return;
        }
        if !self.stays {
            self.paths.remove();
        } else if let Worker::Thread(thread) = &mut self.worker
            && let Some(thread) = thread.take()
        {
            // What comes next for this file must find it whole and free.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: does what there is to do until the writer is gone.
    fn run(&self, mut file: PartialFile) {
        let ended = Ended(self);
        loop {
            let mut state = self.lock();
            while state.steps.is_empty() && !state.is_closed {
                let woken = self.work.wait(state);
                state = woken.unwrap_or_else(PoisonError::into_inner);
            }
            let Some(step) = state.steps.pop_front() else {
                break;
            };
            state.is_busy = true;
            drop(state);
            let size = step.size();
            let failed = self.execute(step, &mut file).err();
            let mut state = self.lock();
            state.is_busy = false;
            state.pending -= size;
            if let Some(error) = failed {
                state.steps.clear();
                state.failed = Some(error);
            } else if state.pending > MAX_PENDING / 2 {
                // Not one by one: each time costs a change of threads.
                continue;
            }
            wake(state);
        }
        drop(ended);
    }

    fn execute(&self, step: Step, file: &mut PartialFile) -> Result<(), Error> {
        match step {
            Step::Hash(mut digester) => {
                file.hash(&mut digester, || self.lock().is_closed)?;
                self.lock().hashed = Some(*digester);
            }
            Step::Reserve(more) => file.reserve(more)?,
            Step::Write(bytes) => file.write(&bytes)?,
            Step::Complete => {
                file.sync()?;
                let mut state = self.lock();
                // Whoever dropped the writer was told that nothing is there.
                if state.is_closed {
                    return Ok(());
                }
                file.rename()?;
                state.completed = Some(file.length());
                drop(state);
                file.sync_name();
            }
        }
        Ok(())
    }
}

impl Step {
    fn size(&self) -> usize {
        match self {
            Self::Write(bytes) => bytes.len(),
            _ => 0,
        }
    }
}

/// Tells that the thread has ended before its time.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.failed.get_or_insert_with(lost);
        wake(state);
    }
}

/// Wakes who waits, after the lock is given back.
fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Io, "the thread that writes the file has ended")
}

/// How many bytes may wait to be written: enough that neither side waits for the other all the time, and so few
/// that they are still in the cache of the core that received them.
const MAX_PENDING: usize = 512 << 10;

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;
    use std::path::PathBuf;

    use acr_clock::VirtualClock;

    use super::*;

    fn clock() -> Arc<dyn Clock> {
        Arc::new(VirtualClock::new())
    }

    /// A file on a thread, and one without.
    fn both(target: &Path) -> [FileWriter; 2] {
        let here = PartialFile::create(target).unwrap();
        [
            FileWriter::create(target, clock()).unwrap(),
            FileWriter::here(here, clock()),
        ]
    }

    fn names(folder: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }

    fn target() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("layer");
        fs::write(&target, "old").unwrap();
        (folder, target)
    }

    #[tokio::test]
    async fn a_file_takes_its_name_when_it_is_complete() {
        let (folder, target) = target();
        for mut file in both(&target) {
            fs::write(&target, "old").unwrap();
            file.reserve(9).await.unwrap();
            file.write("new ".into()).await.unwrap();
            file.write("layer".into()).await.unwrap();
            file.done().await.unwrap();
            assert_eq!(fs::read(&target).unwrap(), b"old");
            assert_eq!(file.complete().await.unwrap(), 9);
            assert_eq!(fs::read(&target).unwrap(), b"new layer");
        }
        assert_eq!(names(folder.path()), ["layer"]);
    }

    #[tokio::test]
    async fn a_file_that_is_not_completed_is_removed_and_the_old_one_stays() {
        let (folder, target) = target();
        for mut file in both(&target) {
            file.write("new".into()).await.unwrap();
            drop(file);
        }
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["layer"]);
    }

    #[tokio::test]
    async fn no_more_waits_to_be_written_than_the_bound_and_a_piece() {
        let (_folder, target) = target();
        let mut file = FileWriter::create(&target, clock()).unwrap();
        let piece = Bytes::from(vec![7; 300_000]);
        for _ in 0..50 {
            file.write(piece.clone()).await.unwrap();
            let pending = file.shared.lock().pending;
            assert!(pending <= MAX_PENDING + piece.len(), "{pending}");
        }
        assert_eq!(file.complete().await.unwrap(), 50 * 300_000);
    }

    #[tokio::test]
    async fn an_error_of_the_thread_is_told_and_stays() {
        let (folder, target) = target();
        fs::remove_file(&target).unwrap();
        fs::create_dir(&target).unwrap();
        for file in both(&target) {
            let error = file.complete().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io, "{error}");
            assert!(error.to_string().contains("rename"), "{error}");
        }
        assert_eq!(names(folder.path()), ["layer"]);

        let mut file = FileWriter::create(&target, clock()).unwrap();
        file.shared.lock().failed = Some(lost());
        for _ in 0..2 {
            assert_eq!(
                file.write("x".into()).await.unwrap_err().kind(),
                ErrorKind::Io
            );
        }
    }

    #[tokio::test]
    async fn a_thread_that_ends_before_its_time_is_no_wait_for_ever() {
        let shared = Shared::default();
        drop(Ended(&shared));
        assert!(shared.lock().failed.is_some());
    }

    #[test]
    fn a_path_that_cannot_be_written_is_an_error_of_its_own_kind() {
        let (folder, _) = target();
        let missing = folder.path().join("missing").join("layer");
        for (path, kind) in [
            (missing.as_path(), ErrorKind::Io),
            (Path::new("/"), ErrorKind::InvalidInput),
        ] {
            let digest = Digest::sha256("x");
            for opened in [
                FileWriter::create(path, clock()),
                FileWriter::resume(path, &digest, clock()),
            ] {
                assert_eq!(opened.err().unwrap().kind(), kind);
            }
        }
    }
}
