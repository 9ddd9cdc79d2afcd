//! Servers that send too slowly to be waited for, and fast enough not to be silent.

use std::time::{Duration, SystemTime};

use acr_client::transport::{Body, from_fn};
use acr_client::{ClientBuilder, Credential, Digest, ErrorKind, RetryOptions};
use acr_mock::VirtualClock;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::BodyExt as _;

use crate::seeded;

const SECOND: Duration = Duration::from_secs(1);

/// A registry that sends each body in parts of one size, with a pause before each.
fn slow(time: &VirtualClock, body: &'static [u8], part: usize, pause: Duration) -> ClientBuilder {
    let sender = time.clone();
    let transport = from_fn(move |_: Request<Body>| {
        let sender = sender.clone();
        let parts = stream::iter(body.chunks(part)).then(move |part| {
            let sleep = sender.sleep(pause);
            async move {
                sleep.await;
                Ok::<_, std::io::Error>(Bytes::from_static(part))
            }
        });
        std::future::ready(
            Response::builder()
                .header("content-type", "application/vnd.oci.image.index.v1+json")
                .body(Body::stream(parts))
                .unwrap(),
        )
    });
    seeded::builder("https://r.example")
        .credential(Credential::anonymous())
        .transport(transport)
        .clock(time.clone())
        .retry(RetryOptions::none())
}

fn timed<F: Future>(time: &VirtualClock, work: F) -> (F::Output, Duration) {
    let start = time.now();
    let output = time.drive(work);
    (output, time.now().duration_since(start).unwrap())
}

fn start() -> VirtualClock {
    VirtualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
}

/// An index of so many bytes.
fn index(size: usize) -> &'static [u8] {
    let text = r#"{"schemaVersion":2,"manifests":[],"annotations":{"x":""#;
    let rest = "x".repeat(size - text.len() - 3);
    format!(r#"{text}{rest}"}}}}"#).leak().as_bytes()
}

#[test]
fn a_body_that_is_read_whole_and_drips_ends() {
    for (patience, expected) in [(None, 60 * SECOND), (Some(5 * SECOND), 5 * SECOND)] {
        let time = start();
        // A byte each two seconds is never silent for long.
        let mut client = slow(&time, index(1000), 1, 2 * SECOND);
        if let Some(patience) = patience {
            client = client.body_timeout(patience);
        }
        let app = client.build().unwrap().repository_client("app").unwrap();
        let (manifest, took) = timed(&time, app.get_manifest("v1"));
        let error = manifest.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.to_string().contains("body_timeout"), "{error}");
        assert_eq!(took, expected, "{error}");
    }
}

#[test]
fn a_large_body_over_a_slow_line_is_read_to_its_end() {
    let time = start();
    // 2 MiB at 32 KiB each second: more than the 60 seconds, less than what it may take.
    let client = slow(&time, index(2 << 20), 32 << 10, SECOND);
    let app = client.build().unwrap().repository_client("app").unwrap();
    let (manifest, took) = timed(&time, app.get_manifest("v1"));
    manifest.unwrap();
    assert_eq!(took, 64 * SECOND);
}

#[test]
fn a_body_is_not_late_because_the_program_was() {
    let time = start();
    let client = slow(&time, index(1000), 500, SECOND);
    let app = client.build().unwrap().repository_client("app").unwrap();
    time.drive(async {
        let mut manifest = Box::pin(app.get_manifest("v1"));
        // Begun, and left alone for longer than it may take.
        assert!(futures_util::poll!(&mut manifest).is_pending());
        time.sleep(600 * SECOND).await;
        manifest.await.unwrap();
    });
}

#[test]
fn a_stream_may_take_any_time_unless_a_least_rate_is_asked_for() {
    let content = index(1000);
    let digest = Digest::sha256(content);
    let time = start();
    let client = slow(&time, content, 1, 10 * SECOND).build().unwrap();
    let app = client.repository_client("app").unwrap();
    let read = async { app.download_blob(&digest).await.unwrap().bytes(1000).await };
    let (blob, took) = timed(&time, read);
    assert_eq!(
        (blob.unwrap(), took),
        (Bytes::from_static(content), 10_000 * SECOND)
    );

    // Three bytes a window, and ten are asked for.
    let client = slow(&time, content, 1, 10 * SECOND).min_stream_rate(1, 30 * SECOND);
    let client = client.build().unwrap();
    let app = client.repository_client("app").unwrap();
    let read = async { app.download_blob(&digest).await.unwrap().bytes(1000).await };
    let (blob, took) = timed(&time, read);
    let error = blob.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("min_stream_rate"), "{error}");
    assert!(took <= 30 * SECOND, "{took:?}");

    let read = async {
        let request = Request::get("/v2/app/_custom").body("").unwrap();
        let response = client.authorized_request(request, "").await.unwrap();
        response.into_body().collect().await
    };
    let (body, took) = timed(&time, read);
    let error = body.unwrap_err();
    assert!(error.to_string().contains("min_stream_rate"), "{error}");
    assert!(took <= 30 * SECOND, "{took:?}");
}

#[test]
fn a_stream_that_is_fast_enough_is_not_ended_by_a_program_that_reads_it_slowly() {
    let content = index(1000);
    let digest = Digest::sha256(content);
    let time = start();
    // 20 bytes a second, of which 10 are asked for.
    let client = slow(&time, content, 20, SECOND).min_stream_rate(10, 30 * SECOND);
    let app = client.build().unwrap().repository_client("app").unwrap();
    let read = async {
        let mut blob = app.download_blob(&digest).await.unwrap();
        let mut size = 0;
        loop {
            // Asked for, and then not polled for ten minutes.
            let mut next = Box::pin(blob.try_next());
            let _ = futures_util::poll!(&mut next);
            drop(next);
            time.sleep(600 * SECOND).await;
            match blob.try_next().await.unwrap() {
                Some(bytes) => size += bytes.len(),
                None => return size,
            }
        }
    };
    let (size, _) = timed(&time, read);
    assert_eq!(size, content.len());
}

#[test]
fn bounds_beyond_all_time_and_rates_of_nothing_are_no_bounds() {
    let content = index(100);
    let digest = Digest::sha256(content);
    for rate in [0, 1, u64::MAX] {
        let time = start();
        let client = slow(&time, content, 10, 40 * SECOND)
            .idle_timeout(Duration::MAX)
            .body_timeout(Duration::MAX)
            .min_stream_rate(rate, Duration::MAX);
        let app = client.build().unwrap().repository_client("app").unwrap();
        let (manifest, took) = timed(&time, app.get_manifest("v1"));
        assert_eq!(manifest.unwrap().digest, digest);
        assert_eq!(took, 400 * SECOND);
        let read = async { app.download_blob(&digest).await.unwrap().bytes(100).await };
        assert_eq!(timed(&time, read).0.unwrap(), content, "{rate}");
    }
    let time = start();
    let client = slow(&time, content, 10, 40 * SECOND).min_stream_rate(0, SECOND);
    let app = client.build().unwrap().repository_client("app").unwrap();
    let read = async { app.download_blob(&digest).await.unwrap().bytes(100).await };
    assert_eq!(timed(&time, read).0.unwrap(), content);
}
