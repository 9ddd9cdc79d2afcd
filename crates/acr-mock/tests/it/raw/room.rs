//! The room of a bounded registry: whatever becomes of what came in, it is whole again in the end.

use std::collections::BTreeSet;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use acr_mock::Registry;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};

use crate::raw::support::{HOST, OCI_INDEX, Raw, digest};

const MAX_BYTES: usize = 200_000;
const STEPS: usize = 400;
const REPOSITORIES: [&str; 2] = ["a", "b"];

/// SplitMix64: a failure is repeated by the seed that it prints.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    /// One of few contents, so that many come twice; some are long enough to be kept as they come.
    fn content(&mut self) -> Vec<u8> {
        let lengths = [0, 1, 3_000, 5_000, 65_536, 70_000];
        let length = lengths[self.below(lengths.len())];
        vec![u8::try_from(self.below(3)).unwrap(); length]
    }
}

/// What becomes of a request's body.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Whole,
    /// The sender fails behind the last byte.
    Broken,
    /// The whole request is dropped there.
    GivenUp,
}

fn send(
    registry: &Registry,
    (method, path): (&str, &str),
    content: &[u8],
    end: End,
) -> Option<Response<Bytes>> {
    let request = Request::builder()
        .method(method)
        .uri(format!("https://{HOST}{path}"))
        .header("content-type", OCI_INDEX);
    let frames = content
        .chunks(66_000)
        .map(|piece| Ok(http_body::Frame::data(Bytes::copy_from_slice(piece))));
    let mut frames: Vec<Result<_, &str>> = frames.collect();
    let mut frames = match end {
        End::Broken => {
            frames.push(Err("broken off"));
            frames.into_iter()
        }
        _ => frames.into_iter(),
    };
    let frames = futures_util::stream::poll_fn(move |_| match frames.next() {
        None if end == End::GivenUp => Poll::Pending,
        next => Poll::Ready(next),
    });
    let response = registry.handle(request.body(StreamBody::new(frames)).unwrap());
    let Poll::Ready(response) = pin!(response).poll(&mut Context::from_waker(Waker::noop())) else {
        assert!(end == End::GivenUp, "{method} {path}");
        return None;
    };
    let (head, body) = response.into_parts();
    let body = body.collect().now_or_never().unwrap().unwrap().to_bytes();
    Some(Response::from_parts(head, body))
}

#[test]
fn whatever_becomes_of_pushes_and_deletes_no_byte_stays_counted() {
    for seed in 1..=8 {
        println!("seed {seed}");
        let raw = Raw::with(|builder| {
            builder
                .authentication(false)
                .max_bytes(MAX_BYTES as u64)
                .upload_life(Duration::from_secs(60))
        });
        let mut draw = Draw(seed);
        let (mut locations, mut digests) = (Vec::<String>::new(), BTreeSet::new());
        let mut refused = 0;
        for _ in 0..STEPS {
            let repository = REPOSITORIES[draw.below(2)];
            let content = draw.content();
            let its_own = digest(&content);
            let named = match draw.below(4) {
                0 => digest(b"another"),
                _ => its_own.clone(),
            };
            let old =
                (!locations.is_empty()).then(|| locations[draw.below(locations.len())].clone());
            let location = old.unwrap_or_else(|| "/v2/a/blobs/uploads/x?_state=x".to_owned());
            let uploads = format!("/v2/{repository}/blobs/uploads/");
            let manifest = format!(r#"{{"manifests":[],"x":"{}"}}"#, content.len());
            let by_digest = format!("/v2/{repository}/manifests/{}", digest(manifest.as_bytes()));
            let end = [
                End::Whole,
                End::Whole,
                End::Whole,
                End::Broken,
                End::GivenUp,
            ][draw.below(5)];
            let (method, path, body) = match draw.below(12) {
                0 | 1 => ("POST", format!("{uploads}?digest={named}"), content),
                2 => ("POST", uploads, Vec::new()),
                3..=5 => ("PATCH", location, content),
                6 => ("PUT", format!("{location}&digest={named}"), content),
                7 => ("DELETE", location, Vec::new()),
                8 => (
                    "DELETE",
                    format!("/v2/{repository}/blobs/{its_own}"),
                    Vec::new(),
                ),
                9 => (
                    "POST",
                    format!("{uploads}?mount={its_own}&from=a"),
                    Vec::new(),
                ),
                10 => ("PUT", by_digest, manifest.into_bytes()),
                _ => (
                    "DELETE",
                    [by_digest, format!("/acr/v1/{repository}")][draw.below(2)].clone(),
                    Vec::new(),
                ),
            };
            if draw.below(40) == 0 {
                raw.clock.advance(Duration::from_secs(60));
            }
            digests.insert(its_own);
            let end = if body.is_empty() { End::Whole } else { end };
            let Some(response) = send(&raw.registry, (method, &path), &body, end) else {
                continue;
            };
            refused += usize::from(response.status() == 405);
            if let Some(location) = response
                .headers()
                .get("location")
                .filter(|_| response.status() == 202)
            {
                locations.push(location.to_str().unwrap().to_owned());
            }
            assert!(raw.registry.statistics().held_bytes() <= MAX_BYTES as u64);
        }
        assert!(refused > 0, "the bound is never reached");
        raw.clock.advance(Duration::from_secs(60));
        for repository in REPOSITORIES {
            let path = format!("/acr/v1/{repository}");
            send(&raw.registry, ("DELETE", &path), b"", End::Whole);
            for digest in &digests {
                let path = format!("/v2/{repository}/blobs/{digest}");
                send(&raw.registry, ("DELETE", &path), b"", End::Whole);
            }
        }
        assert_eq!(raw.registry.statistics(), Registry::new().statistics());
        // All the room is there again, and not a byte more.
        for (length, status) in [(MAX_BYTES, 400), (MAX_BYTES + 1, 405)] {
            let path = format!("/v2/a/blobs/uploads/?digest={}", digest(b"another"));
            let response = send(&raw.registry, ("POST", &path), &vec![0; length], End::Whole);
            assert_eq!(response.unwrap().status(), status);
        }
    }
}
