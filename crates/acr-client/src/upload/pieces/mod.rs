//! The bytes of a source in pieces that are hashed: on a thread of their own, or by who takes them.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use acr_clock::{Clock, ClockHold};
use acr_protocol::Digester;
use bytes::Bytes;
use futures_util::task::AtomicWaker;

use super::options::HashOn;
use super::source::{ByteStream, Input, Origin, check_declared, unreadable};
use crate::error::{Error, ErrorKind};

/// Bytes of a source, with the state of the digest behind them.
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    pub(super) digester: Digester,
}

/// Where pieces begin and what no piece crosses, as places in the content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// The first byte that is given out. The digest's state may begin before it; a piece of no bytes says
    /// that it has come so far.
    pub(super) from: u64,
    /// The first place that no piece crosses.
    pub(super) next: u64,
    /// How far the others are from each other.
    pub(super) step: u64,
}

impl Cut {
    /// The most bytes of a piece that begins here.
    fn room(&mut self, place: u64) -> u64 {
        if place < self.from {
            return (self.from - place).min(PIECE);
        }
        while self.next <= place {
            self.next = self.next.saturating_add(self.step.max(1));
        }
        (self.next - place).min(PIECE)
    }
}

/// The pieces of a source, in turn.
pub(super) struct Pieces {
    kind: Kind,
    /// How far the places are from each other that no piece crosses.
    step: u64,
    clock: Arc<dyn Clock>,
    /// Keeps a clock of tests from moving while the thread is at work.
    hold: Option<ClockHold>,
    /// `Err` where the source has failed: whoever asks again is not told that it has ended.
    end: Option<Result<(), Error>>,
}

enum Kind {
    /// What a thread is to do that nobody has needed yet: a pipe is not read for a blob that is there already.
    Idle(Option<Box<Producer>>),
    Thread {
        receiver: Receiver<Result<Option<Piece>, Error>>,
        waker: Arc<AtomicWaker>,
    },
    Caller(Box<Producer>),
    Stream(Box<Streamed>),
}

impl Pieces {
    /// The pieces of what is read, with the state of the digest where it begins.
    pub(super) fn read(
        source: Source,
        digester: Digester,
        cut: Cut,
        hash_on: HashOn,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let rest = source
            .length()
            .map(|length| length.saturating_sub(digester.bytes()));
        let producer = Producer {
            source,
            digester,
            cut,
            has_come: false,
            has_ended: false,
            home: channel(),
        };
        // A thread costs as much as the hash of so many bytes.
        let is_small = rest.is_some_and(|rest| rest <= SMALL);
        let kind = match hash_on {
            HashOn::Thread if !is_small => Kind::Idle(Some(Box::new(producer))),
            _ => Kind::Caller(Box::new(producer)),
        };
        Self {
            kind,
            step: cut.step,
            clock,
            hold: None,
            end: None,
        }
    }

    /// The pieces of a stream, which are hashed by who takes them.
    pub(super) fn stream(
        stream: ByteStream,
        length: Option<u64>,
        digester: Digester,
        cut: Cut,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            kind: Kind::Stream(Box::new(Streamed {
                stream,
                length,
                digester,
                cut,
                rest: Bytes::new(),
            })),
            step: cut.step,
            clock,
            hold: None,
            end: None,
        }
    }

    /// For requests of which size they are cut.
    pub(super) const fn step(&self) -> u64 {
        self.step
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Piece>, Error> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Piece>, Error>> {
        if let Some(end) = &self.end {
            return Poll::Ready(end.clone().map(|()| None));
        }
        let piece = ready!(self.poll_kind(cx));
        self.end = match &piece {
            Ok(Some(_)) => None,
            Ok(None) => Some(Ok(())),
            Err(error) => Some(Err(error.clone())),
        };
        Poll::Ready(piece)
    }

    fn poll_kind(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Piece>, Error>> {
        if let Kind::Idle(producer) = &mut self.kind
            && let Some(producer) = producer.take()
        {
            self.kind = spawn(producer);
        }
        match &mut self.kind {
            // It is started once.
            Kind::Idle(_) => Poll::Ready(Err(ended_early())),
            Kind::Thread { receiver, waker } => {
                waker.register(cx.waker());
                match receiver.try_recv() {
                    Err(TryRecvError::Empty) => {
                        let clock = &self.clock;
                        self.hold.get_or_insert_with(|| clock.hold());
                        Poll::Pending
                    }
                    received => {
                        self.hold = None;
                        Poll::Ready(received.unwrap_or_else(|_| Err(ended_early())))
                    }
                }
            }
            Kind::Caller(producer) => match producer.next() {
                Ok(Step::Piece(piece)) => Poll::Ready(Ok(Some(piece))),
                // It may be many of them, and others have to have their turn.
                Ok(Step::Passed) => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Ok(Step::End) => Poll::Ready(Ok(None)),
                Err(error) => Poll::Ready(Err(error)),
            },
            Kind::Stream(streamed) => streamed.poll_next(cx),
        }
    }
}

/// Puts a producer on a thread, which ends with its work, or when nobody takes the pieces any more; with whoever
/// takes the pieces where there are no threads.
fn spawn(producer: Box<Producer>) -> Kind {
    let (sender, receiver) = sync_channel(AHEAD);
    let waker = Arc::new(AtomicWaker::new());
    let place = Arc::new(Mutex::new(Some(producer)));
    let take = |place: &Mutex<Option<Box<Producer>>>| {
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        place.take()
    };
    let (end, theirs) = (WakeAtEnd(waker.clone()), place.clone());
    let work = move || {
        let end = end;
        // Dropped before it wakes for the last time.
        let sender = sender;
        let Some(mut producer) = take(&theirs) else {
            return;
        };
        // Once alone with the waker, nobody takes the pieces.
        while Arc::strong_count(&end.0) > 1 {
            let item = match producer.next() {
                Ok(Step::Passed) => continue,
                Ok(Step::End) => Ok(None),
                Ok(Step::Piece(piece)) => Ok(Some(piece)),
                Err(error) => Err(error),
            };
            let is_last = !matches!(item, Ok(Some(_)));
            if sender.send(item).is_err() || is_last {
                return;
            }
            end.0.wake();
        }
    };
    let thread = std::thread::Builder::new().name("acr-upload".to_owned());
    let failed = thread.spawn(work).is_err();
    match failed.then(|| take(&place)).flatten() {
        Some(producer) => Kind::Caller(producer),
        None => Kind::Thread { receiver, waker },
    }
}

/// Wakes who takes the pieces when the thread ends, also by a reader that panics.
struct WakeAtEnd(Arc<AtomicWaker>);

impl Drop for WakeAtEnd {
    fn drop(&mut self) {
        self.0.wake();
    }
}

/// Where a producer reads.
pub(super) enum Source {
    /// With what was opened, which is done where it is read.
    Again(Origin, Option<Input>),
    /// With the declared length.
    Once(Input, Option<u64>),
}

impl Source {
    pub(super) const fn again(origin: Origin) -> Self {
        Self::Again(origin, None)
    }

    pub(super) fn once(reader: Box<dyn Read + Send>, length: Option<u64>) -> Self {
        Self::Once(Input::Reader(reader), length)
    }

    fn length(&self) -> Option<u64> {
        match self {
            Self::Again(origin, _) => Some(origin.length()),
            Self::Once(_, length) => *length,
        }
    }

    /// The bytes from a place on, where all before were read already.
    fn input(&mut self, place: u64) -> Result<&mut Input, Error> {
        match self {
            Self::Again(origin, none @ None) => Ok(none.insert(origin.open(place)?)),
            Self::Again(_, Some(input)) | Self::Once(input, _) => Ok(input),
        }
    }

    fn check(&self, read: u64, is_end: bool) -> Result<(), Error> {
        match self {
            Self::Again(origin, _) => origin.check(read, is_end),
            Self::Once(_, length) => check_declared(*length, read, is_end),
        }
    }
}

/// Reads and hashes pieces.
struct Producer {
    source: Source,
    digester: Digester,
    cut: Cut,
    /// Whether the first byte that is given out was reached.
    has_come: bool,
    has_ended: bool,
    /// The way of buffers back here, once their bytes were sent.
    home: (Sender<Vec<u8>>, Receiver<Vec<u8>>),
}

#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
enum Step {
    Piece(Piece),
    /// Bytes that are only hashed.
    Passed,
    End,
}

impl Producer {
    fn next(&mut self) -> Result<Step, Error> {
        let place = self.digester.bytes();
        if !self.has_come && place == self.cut.from {
            self.has_come = true;
            return Ok(Step::Piece(self.piece(Bytes::new())));
        }
        if self.has_ended {
            return Ok(Step::End);
        }
        let mut wanted = self.cut.room(place);
        if let Some(length) = self.source.length() {
            wanted = wanted.min(length.saturating_sub(place));
        }
        let bytes = self.read(place, usize::try_from(wanted).unwrap_or(usize::MAX))?;
        self.digester.update(&bytes);
        let read = self.digester.bytes();
        if (bytes.len() as u64) < wanted {
            self.has_ended = true;
            self.source.check(read, true)?;
        } else if self.source.length() == Some(read) {
            self.has_ended = true;
            self.check_end(read)?;
        }
        Ok(if !self.has_come {
            Step::Passed
        } else if bytes.is_empty() {
            Step::End
        } else {
            Step::Piece(self.piece(bytes))
        })
    }

    fn piece(&self, bytes: Bytes) -> Piece {
        Piece {
            bytes,
            digester: self.digester.clone(),
        }
    }

    /// Reads so many bytes, or as many as there are.
    fn read(&mut self, place: u64, wanted: usize) -> Result<Bytes, Error> {
        match self.source.input(place)? {
            Input::Bytes(bytes) => Ok(bytes.split_to(wanted.min(bytes.len()))),
            Input::Reader(reader) => {
                let mut buffer = self.home.1.try_recv().unwrap_or_default();
                if buffer.len() < wanted + LINE {
                    buffer.resize(wanted + LINE, 0);
                }
                // An allocator gives large memory just behind the beginning of a page, where what a file's
                // pages are copied to takes three times as long as anywhere else.
                let start = buffer.as_ptr().align_offset(LINE).min(LINE);
                let room = &mut buffer[start..start + wanted];
                let length = fill(reader, room).map_err(unreadable)?;
                let home = self.home.0.clone();
                Ok(Bytes::from_owner(Buffer {
                    buffer,
                    bytes: start..start + length,
                    home,
                }))
            }
        }
    }

    /// Makes sure that nothing comes behind the last byte.
    fn check_end(&mut self, read: u64) -> Result<(), Error> {
        let more = match self.source.input(read)? {
            Input::Reader(reader) => fill(reader, &mut [0]).map_err(unreadable)?,
            Input::Bytes(_) => 0,
        };
        self.source.check(read + more as u64, more == 0)
    }
}

/// Reads until the buffer is full or the reader ends; returns how many bytes there are.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match reader.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// The memory of a piece, which is used again by the next ones.
struct Buffer {
    buffer: Vec<u8>,
    bytes: Range<usize>,
    home: Sender<Vec<u8>>,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[self.bytes.clone()]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // With nobody there any more it is freed.
        drop(self.home.send(std::mem::take(&mut self.buffer)));
    }
}

/// Cuts and hashes what a stream gives.
struct Streamed {
    stream: ByteStream,
    /// The declared one.
    length: Option<u64>,
    digester: Digester,
    cut: Cut,
    /// What is left of the item that came last.
    rest: Bytes,
}

impl Streamed {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Piece>, Error>> {
        loop {
            let place = self.digester.bytes();
            if !self.rest.is_empty() {
                let room = usize::try_from(self.cut.room(place)).unwrap_or(usize::MAX);
                let bytes = self.rest.split_to(room.min(self.rest.len()));
                self.digester.update(&bytes);
                check_declared(self.length, self.digester.bytes(), false)?;
                return Poll::Ready(Ok(Some(Piece {
                    bytes,
                    digester: self.digester.clone(),
                })));
            }
            if let Some(item) = ready!(self.stream.as_mut().poll_next(cx)) {
                self.rest = item.map_err(unreadable)?;
                if self.rest.is_empty() {
                    // It may be many of them, and others have to have their turn.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            } else {
                check_declared(self.length, place, true)?;
                return Poll::Ready(Ok(None));
            }
        }
    }
}

/// The error of pieces that end before they should: all that a reader can do to its thread is to panic.
pub(super) fn ended_early() -> Error {
    let text = "the source of the blob cannot be read: its reader has panicked, or ended early";
    Error::new(ErrorKind::Io, text)
}

/// The bytes of a piece.
pub(super) const PIECE: u64 = 1 << 20;
const SMALL: u64 = 64 << 10;
/// The bytes of a line of the processor's cache.
const LINE: usize = 64;
/// How many pieces wait for who takes them. Beside them there is one that is read, and one that is sent.
const AHEAD: usize = 1;

#[cfg(test)]
mod tests;
