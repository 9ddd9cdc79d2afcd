//! Blobs that are fetched in several ranges at once, and what is told of how far they are.

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use acr_client::transport::{Body, from_fn};
use acr_client::{
    Credential, Digest, DownloadBlobOptions, Error, ErrorKind, OnProgress, Outcome, ParallelRanges,
    Progress, RepositoryClient,
};
use acr_mock::{Fault, FaultAction, FaultResponse};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::{Request, Response};

use crate::regressions::downloads::content;
use crate::regressions::support::Scene;
use crate::seeded;

fn ranges(count: usize, size: u64) -> DownloadBlobOptions {
    DownloadBlobOptions {
        parallel: Some(ParallelRanges {
            count: NonZeroUsize::new(count).unwrap(),
            size: NonZeroU64::new(size).unwrap(),
        }),
        ..Default::default()
    }
}

struct Stored {
    scene: Scene,
    app: RepositoryClient,
    digest: Digest,
}

fn stored(content: &[u8]) -> Stored {
    let scene = Scene::new();
    let blob = scene
        .seed("app")
        .blob("application/octet-stream", content.to_vec());
    let app = scene.owner().repository_client("app").unwrap();
    Stored {
        scene,
        app,
        digest: blob.digest,
    }
}

impl Stored {
    fn download(&self, options: DownloadBlobOptions) -> Result<Bytes, Error> {
        let opened = self.app.download_blob_with(&self.digest, options);
        let read = async { opened.await?.bytes(usize::MAX).await };
        self.scene.drive(read)
    }

    fn inject(&self, fault: Fault) {
        self.scene.registry.inject(fault).unwrap();
    }

    fn requests(&self) -> u64 {
        self.scene.registry.requests().data()
    }
}

#[test]
fn ranges_at_once_come_in_order_whatever_their_size() {
    let content = content();
    for (count, size, requests) in [
        (1, 3_000, 4),
        (4, 1_000, 10),
        (4, 9_999, 2),
        (4, 10_000, 1),
        (4, 20_000, 1),
        (64, 100, 100),
    ] {
        let stored = stored(&content);
        assert!(stored.download(ranges(count, size)).unwrap() == content);
        assert_eq!(stored.requests(), requests, "{count} of {size}");
    }
    assert_eq!(stored(b"x").download(ranges(4, 10)).unwrap(), "x");
    // There is no first byte to ask for.
    assert_eq!(stored(b"").download(ranges(4, 10)).unwrap(), "");
}

#[test]
fn each_range_goes_on_by_itself() {
    let content = content();
    let stored = stored(&content);
    let expired = FaultResponse::expired_url();
    stored.inject(Fault::on_data().after(5).times(2).then(expired));
    stored.inject(Fault::on_data().after(9).times(2).then(FaultAction::Reset));
    stored.inject(Fault::on_data().then(FaultAction::CutBody(300)));
    assert!(stored.download(ranges(4, 1_000)).unwrap() == content);
}

#[test]
fn a_range_that_fails_for_good_ends_all_of_them() {
    let stored = stored(&content());
    stored.inject(Fault::on_data().after(2).then(FaultResponse::not_found()));
    let error = stored.download(ranges(4, 1_000)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Registry, "{error}");
    assert!(stored.requests() <= 5);
}

#[test]
fn a_byte_that_is_another_in_any_range_is_told() {
    for range in [0, 3, 9] {
        let stored = stored(&content());
        let flipped = Fault::on_data().after(range).times(1);
        stored.inject(flipped.then(FaultAction::FlipByte(7)));
        let error = stored.download(ranges(4, 1_000)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
    }
}

/// A registry whose bodies come in pieces of ten bytes, and which counts what it has given.
fn counting(given: &Arc<AtomicU64>, knows_ranges: bool) -> (RepositoryClient, Arc<AtomicU64>) {
    let (given, requests) = (given.clone(), Arc::new(AtomicU64::new(0)));
    let seen = requests.clone();
    let transport = from_fn(move |request: Request<Body>| {
        seen.fetch_add(1, Ordering::Relaxed);
        let content = Bytes::from(content());
        let size = content.len();
        let range = request.headers().get("range").filter(|_| knows_ranges);
        let (first, last) = match range {
            Some(range) => {
                let range = range.to_str().unwrap().strip_prefix("bytes=").unwrap();
                let (first, last) = range.split_once('-').unwrap();
                (first.parse().unwrap(), last.parse().unwrap())
            }
            None => (0, size - 1),
        };
        let part = content.slice(first..=last.min(size - 1));
        let length = part.len();
        let given = given.clone();
        let pieces = (0..length).step_by(10).map(move |at| {
            let piece = part.slice(at..length.min(at + 10));
            given.fetch_add(piece.len() as u64, Ordering::Relaxed);
            Ok::<_, std::io::Error>(piece)
        });
        let response = Response::builder()
            .status(if range.is_some() { 206 } else { 200 })
            .header("content-range", format!("bytes {first}-{last}/{size}"))
            .body(Body::stream(stream::iter(pieces)));
        std::future::ready(response.unwrap())
    });
    let client = seeded::builder("https://r.example")
        .credential(Credential::anonymous())
        .transport(transport)
        .clock(acr_client::clock::VirtualClock::new())
        .build()
        .unwrap();
    (client.repository_client("app").unwrap(), requests)
}

#[tokio::test]
async fn what_arrives_before_its_turn_is_no_more_than_the_window() {
    let given = Arc::new(AtomicU64::new(0));
    let (app, _) = counting(&given, true);
    let digest = Digest::sha256(content());
    let mut blob = app
        .download_blob_with(&digest, ranges(4, 500))
        .await
        .unwrap();
    let (mut read, mut most) = (0, 0);
    while let Some(bytes) = blob.try_next().await.unwrap() {
        // What the stream holds, and these bytes.
        most = most.max(given.load(Ordering::Relaxed) - read);
        read += bytes.len() as u64;
    }
    assert_eq!(read, 10_000);
    assert!(500 < most && most <= 4 * 500, "{most}");
}

#[tokio::test]
async fn what_arrives_at_once_is_not_kept_of_a_single_stream() {
    let given = Arc::new(AtomicU64::new(0));
    let (app, _) = counting(&given, true);
    let mut blob = app.download_blob(Digest::sha256(content())).await.unwrap();
    let mut read = 0;
    while let Some(bytes) = blob.try_next().await.unwrap() {
        read += bytes.len() as u64;
        assert_eq!(given.load(Ordering::Relaxed), read);
    }
}

#[tokio::test]
async fn a_server_that_knows_no_ranges_is_asked_once() {
    let (app, requests) = counting(&Arc::default(), false);
    let digest = Digest::sha256(content());
    let blob = app
        .download_blob_with(&digest, ranges(4, 500))
        .await
        .unwrap();
    assert!(blob.bytes(10_000).await.unwrap() == content());
    assert_eq!(requests.load(Ordering::Relaxed), 1);
}

fn listener() -> (OnProgress, Arc<Mutex<Vec<Progress>>>) {
    let seen: Arc<Mutex<Vec<Progress>>> = Arc::default();
    let kept = seen.clone();
    let listener = OnProgress::from(move |progress: &Progress| {
        kept.lock().unwrap().push(progress.clone());
    });
    (listener, seen)
}

#[test]
fn progress_counts_no_byte_twice_and_ends_with_the_outcome() {
    for parallel in [None, ranges(3, 700).parallel] {
        let stored = stored(&content());
        stored.inject(Fault::on_data().then(FaultAction::CutBody(400)));
        let (on_progress, seen) = listener();
        let options = DownloadBlobOptions {
            parallel,
            on_progress,
        };
        stored.download(options).unwrap();
        let seen = seen.lock().unwrap();
        assert!(seen.is_sorted_by_key(|progress| progress.bytes));
        let (last, before) = seen.split_last().unwrap();
        assert!(before.iter().all(|progress| progress.outcome.is_none()));
        assert_eq!(last.outcome, Some(Outcome::Received));
        for progress in &*seen {
            assert_eq!(progress.digest.as_ref(), Some(&stored.digest));
            assert_eq!(progress.total, Some(10_000));
            assert_eq!(progress.acknowledged, progress.bytes);
        }
        assert_eq!((before[0].bytes, last.bytes), (400, 10_000));
    }
}

#[test]
fn progress_of_a_blob_that_fails_has_no_outcome() {
    let stored = stored(&content());
    stored.inject(Fault::on_data().then(FaultAction::FlipByte(1)));
    let (on_progress, mut events) = OnProgress::stream();
    let options = DownloadBlobOptions {
        on_progress,
        ..Default::default()
    };
    stored.download(options).unwrap_err();
    let events: Vec<Progress> = stored.scene.drive(events.by_ref().collect());
    assert!(events.iter().all(|progress| progress.outcome.is_none()));
    assert_eq!(events.last().unwrap().bytes, 10_000);
}

/// A byte that counts how many of them are there.
struct Counted(Arc<AtomicU64>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        b"x"
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn ranges_that_come_byte_by_byte_take_no_more_memory_than_their_bytes() {
    const SIZE: u64 = 20_000;
    let (pieces, given) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (held, sent) = (pieces.clone(), given.clone());
    let transport = from_fn(move |request: Request<Body>| {
        let range = request.headers()["range"].to_str().unwrap().to_owned();
        let (first, last) = range
            .strip_prefix("bytes=")
            .unwrap()
            .split_once('-')
            .unwrap();
        let response = Response::builder().status(206).header(
            "content-range",
            format!("bytes {first}-{last}/{}", 3 * SIZE),
        );
        let (held, sent) = (held.clone(), sent.clone());
        let bytes = stream::iter(0..SIZE).map(move |_| {
            held.fetch_add(1, Ordering::Relaxed);
            sent.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(Bytes::from_owner(Counted(held.clone())))
        });
        // The others wait for the first one, which does not come.
        let body = match first {
            "0" => Body::stream(stream::pending::<Result<Bytes, std::io::Error>>()),
            _ => Body::stream(bytes),
        };
        std::future::ready(response.body(body).unwrap())
    });
    let client = seeded::builder("https://r.example")
        .credential(Credential::anonymous())
        .clock(acr_client::clock::VirtualClock::new())
        .transport(transport)
        .build()
        .unwrap();
    let app = client.repository_client("app").unwrap();
    let opened = app.download_blob_with(Digest::sha256("x"), ranges(3, SIZE));
    let mut blob = opened.await.unwrap();
    while given.load(Ordering::Relaxed) < 2 * SIZE {
        assert!(blob.try_next().now_or_never().is_none());
    }
    let held = pieces.load(Ordering::Relaxed);
    assert!(held < 10, "{held} pieces are kept");
}
