use std::fs::File;
use std::io::Cursor;
use std::path::Path;
use std::time::SystemTime;

use acr_clock::VirtualClock;
use acr_protocol::Digest;
use futures_util::{FutureExt as _, stream};

use super::super::chunks::Chunks;
use super::super::source::{BlobSource, OpenedKind};
use super::*;

const CONTENT: &[u8] = b"0123456789";

/// The pieces of a source that is cut every `step` bytes.
fn pieces(source: BlobSource, step: u64, hash_on: HashOn) -> Result<Pieces, Error> {
    let cut = Cut {
        from: 0,
        next: step,
        step,
    };
    let clock = Arc::new(VirtualClock::new());
    let read = |source| Pieces::read(source, Digester::sha256(), cut, hash_on, clock.clone());
    Ok(match source.open()?.kind {
        OpenedKind::Again(origin) => read(Source::again(origin)),
        OpenedKind::Once(super::super::source::Once::Reader(reader), length) => {
            read(Source::once(reader, length))
        }
        OpenedKind::Once(super::super::source::Once::Stream(stream), length) => {
            Pieces::stream(stream, length, Digester::sha256(), cut, clock)
        }
    })
}

/// All pieces with bytes, and the digest behind the last.
async fn all(mut pieces: Pieces) -> Result<(Vec<Bytes>, Digest), Error> {
    let (mut all, mut digester) = (Vec::new(), Digester::sha256());
    while let Some(piece) = pieces.next().await? {
        digester = piece.digester;
        all.extend(Some(piece.bytes).filter(|bytes| !bytes.is_empty()));
    }
    Ok((all, digester.finish()))
}

/// Gives one byte at a time, as a slow pipe does.
struct Trickle(&'static [u8]);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.len().min(buffer.len()).min(1);
        buffer[..length].copy_from_slice(&self.0[..length]);
        self.0 = &self.0[length..];
        Ok(length)
    }
}

fn sources(path: &Path, content: &'static [u8]) -> Vec<BlobSource> {
    std::fs::write(path, content).unwrap();
    let parts: Vec<_> = content.chunks(3).map(Bytes::from_static).map(Ok).collect();
    vec![
        BlobSource::from(content),
        BlobSource::from(path),
        BlobSource::from(File::open(path).unwrap()),
        BlobSource::reopen(content.len() as u64, move |at| {
            Ok(Box::new(Trickle(&content[at as usize..])))
        }),
        BlobSource::reader(Trickle(content)),
        BlobSource::stream(stream::iter(parts)),
    ]
}

#[tokio::test]
async fn every_source_comes_whole_and_no_piece_crosses_a_cut() {
    let folder = tempfile::tempdir().unwrap();
    for content in [&b""[..], b"0", b"0123", CONTENT] {
        for hash_on in [HashOn::Thread, HashOn::Caller] {
            for source in sources(&folder.path().join("layer"), content) {
                let text = format!("{source:?} of {content:?}");
                let (pieces, digest) = all(pieces(source, 4, hash_on).unwrap()).await.unwrap();
                assert_eq!(pieces.concat(), content, "{text}");
                assert_eq!(digest, Digest::sha256(content), "{text}");
                let mut at = 0;
                for piece in pieces {
                    assert_eq!(at / 4, (at + piece.len() - 1) / 4, "{text}");
                    at += piece.len();
                }
            }
        }
    }
}

#[tokio::test]
async fn a_thread_reads_what_is_large_and_uses_its_memory_again() {
    let content = vec![7; 5 * PIECE as usize + 3];
    let read = Source::once(Box::new(Cursor::new(content.clone())), None);
    let cut = Cut {
        from: 0,
        next: u64::MAX,
        step: u64::MAX,
    };
    let clock = Arc::new(VirtualClock::new());
    let mut pieces = Pieces::read(read, Digester::sha256(), cut, HashOn::Thread, clock);
    let (mut places, mut length) = (Vec::new(), 0);
    while let Some(piece) = pieces.next().await.unwrap() {
        length += piece.bytes.len();
        places.push(piece.bytes.as_ptr() as usize);
    }
    assert_eq!(length, content.len());
    places.sort_unstable();
    places.dedup();
    assert!(places.len() <= AHEAD + 4, "{places:?}");
}

#[tokio::test]
async fn bytes_before_the_first_are_hashed_and_not_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer");
    for source in sources(&path, CONTENT) {
        let OpenedKind::Again(origin) = source.open().unwrap().kind else {
            continue;
        };
        for (saved, from) in [(0, 0), (0, 7), (4, 4), (4, 7), (10, 10), (0, 10)] {
            let mut digester = Digester::sha256();
            digester.update(&CONTENT[..saved]);
            let cut = Cut {
                from,
                next: 10,
                step: 10,
            };
            let source = Source::again(origin.clone());
            let clock = Arc::new(VirtualClock::new());
            let mut pieces = Pieces::read(source, digester, cut, HashOn::Thread, clock);
            let begin = pieces.next().await.unwrap().unwrap();
            assert_eq!((begin.bytes.len(), begin.digester.bytes()), (0, from));
            let prefix = &CONTENT[..from as usize];
            assert_eq!(begin.digester.finish(), Digest::sha256(prefix));
            let (rest, _) = all(pieces).await.unwrap();
            assert_eq!(rest.concat(), CONTENT[from as usize..]);
        }
    }
}

/// Takes the pieces of a file of 10 bytes, and does this to it after the first 3.
async fn changed(change: impl FnOnce(&Path)) -> Result<Digest, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer");
    std::fs::write(&path, CONTENT).unwrap();
    let mut pieces = pieces(BlobSource::file(&path), 3, HashOn::Caller)?;
    pieces.next().await?;
    assert_eq!(pieces.next().await?.unwrap().bytes, "012");
    change(&path);
    Ok(all(pieces).await?.1)
}

fn append(path: &Path, bytes: &[u8]) {
    let file = std::fs::OpenOptions::new().append(true).open(path);
    std::io::Write::write_all(&mut file.unwrap(), bytes).unwrap();
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_is_no_blob() {
    assert_eq!(changed(|_| {}).await.unwrap(), Digest::sha256(CONTENT));
    let resize = |path: &Path, length| {
        let file = std::fs::OpenOptions::new().write(true).open(path);
        file.unwrap().set_len(length).unwrap();
    };
    let shrunk = changed(|path| resize(path, 4)).await.unwrap_err();
    let grown = changed(|path| append(path, &[b'x'; 30])).await.unwrap_err();
    let grown_by_one = changed(|path| append(path, b"x")).await.unwrap_err();
    let rewritten = changed(|path| {
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    });
    for (error, lengths) in [
        (shrunk, ["had 10 bytes", "now it has 4"]),
        (grown, ["had 10 bytes", "now it has 40"]),
        (grown_by_one, ["had 10 bytes", "now it has 11"]),
        (
            rewritten.await.unwrap_err(),
            ["had 10 bytes", "now it has 10"],
        ),
    ] {
        assert_eq!(error.kind(), ErrorKind::Io);
        let text = error.to_string();
        assert!(lengths.iter().all(|part| text.contains(part)), "{text}");
        assert!(text.contains("layer changed") && text.contains("nothing is committed"));
    }
}

#[tokio::test]
async fn a_file_that_was_opened_is_read_from_where_it_stands_by_each_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer");
    std::fs::write(&path, CONTENT).unwrap();
    let mut file = File::open(&path).unwrap();
    file.read_exact(&mut [0; 4]).unwrap();
    let OpenedKind::Again(origin) = BlobSource::from(file).open().unwrap().kind else {
        panic!("a file can be read again");
    };
    let readers = [0, 2, 0].map(|at| origin.open(at).unwrap());
    let texts = readers.map(|input| {
        let Input::Reader(mut reader) = input else {
            panic!("a file is read");
        };
        io::read_to_string(&mut reader).unwrap()
    });
    assert_eq!(texts, ["456789", "6789", "456789"]);
}

#[tokio::test]
async fn a_source_must_have_the_length_that_was_declared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer");
    for (declared, is_right) in [(10, true), (9, false), (11, false), (0, false)] {
        for source in sources(&path, CONTENT) {
            let text = format!("{source:?} as of {declared}");
            let read =
                async { all(pieces(source.with_length(declared), 4, HashOn::Thread)?).await };
            match read.await {
                Ok(_) => assert!(is_right, "{text}"),
                Err(error) => {
                    assert!(!is_right, "{text}");
                    assert_eq!(error.kind(), ErrorKind::Io, "{text}");
                    let declared = format!("{declared} were declared");
                    assert!(error.to_string().contains(&declared), "{text}: {error}");
                }
            }
        }
        // What is opened again may be another length than it was said to be.
        let source = BlobSource::reopen(declared, |at| {
            Ok(Box::new(Trickle(&CONTENT[at as usize..])))
        });
        let read = all(pieces(source, 4, HashOn::Caller).unwrap()).await;
        assert_eq!(read.is_ok(), is_right, "{declared}");
    }
}

#[tokio::test]
async fn a_source_that_fails_is_an_error_of_its_own_kind() {
    let missing = pieces(BlobSource::file("/no/such/file"), 3, HashOn::Thread);
    assert_eq!(missing.err().unwrap().kind(), ErrorKind::Io);
    let gone = || io::Error::other("gone");
    let parts = [Ok(Bytes::from("a")), Err(gone())];
    let failing = [
        BlobSource::stream(stream::iter(parts)),
        BlobSource::reopen(1 << 20, move |_| Err(gone())),
    ];
    for source in failing {
        let mut pieces = pieces(source, 3, HashOn::Thread).unwrap();
        let error = loop {
            if let Err(error) = pieces.next().await {
                break error;
            }
        };
        // Whoever asks again must not take it for the end.
        let again = pieces.next().await.err().unwrap();
        for error in [error, again] {
            assert_eq!(error.kind(), ErrorKind::Io);
            let source = std::error::Error::source(&error).unwrap();
            assert_eq!(source.to_string(), "gone");
        }
    }
}

/// A reader that panics after a byte.
struct Broken(bool);

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(
            !std::mem::replace(&mut self.0, true),
            "a reader of the test"
        );
        buffer[0] = 1;
        Ok(1)
    }
}

#[tokio::test]
async fn a_reader_that_panics_is_an_error_and_no_end_of_the_content() {
    let error = all(pieces(BlobSource::reader(Broken(false)), 1, HashOn::Thread).unwrap()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Io);
}

#[tokio::test]
async fn a_chunk_of_a_source_that_can_be_read_once_has_its_size_and_the_last_is_known() {
    for size in 1..12 {
        let reader: Box<dyn Read + Send> = Box::new(Trickle(CONTENT));
        let source = super::super::source::Once::Reader(reader);
        let clock = Arc::new(VirtualClock::new());
        let digester = Digester::sha256();
        let mut chunks = Chunks::new(source, None, digester, size, HashOn::Thread, clock);
        let mut at = 0;
        loop {
            let is_last = chunks.fill(size).await.unwrap();
            assert_eq!(chunks.first(), at);
            at += chunks.chunk().length();
            assert_eq!(is_last, at == 10, "{size}");
            assert!(is_last || chunks.chunk().length() == size, "{size}");
            if is_last {
                break;
            }
            chunks.pass();
        }
        assert_eq!(chunks.digester().clone().finish(), Digest::sha256(CONTENT));
    }
}

#[test]
fn a_stream_that_is_always_ready_with_nothing_lets_others_go_on() {
    let mut left = 1000;
    let nothing = stream::repeat_with(move || {
        left -= 1;
        assert!(left > 0, "nobody else has had a turn");
        Ok(Bytes::new())
    });
    let mut pieces = pieces(BlobSource::stream(nothing), 4, HashOn::Caller).unwrap();
    assert!(pieces.next().now_or_never().is_none());
}
