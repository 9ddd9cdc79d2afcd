//! Servers that go on with a download elsewhere than where it broke.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use acr_client::clock::VirtualClock;
use acr_client::transport::{Body, TransportError, TransportErrorKind, from_fn};
use acr_client::{Credential, Digest, Error, ErrorKind, RepositoryClient};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};

use crate::hostile::{SECRET, text};
use crate::seeded;

const CONTENT: &str = "0123456789";

/// A registry that gives these responses in their order, and what it was asked for.
struct Script {
    app: RepositoryClient,
    clock: VirtualClock,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn new(responses: impl IntoIterator<Item = Response<Body>>) -> Self {
        let clock = VirtualClock::new();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = asked.clone();
        let responses = Mutex::new(VecDeque::from_iter(responses));
        let transport = from_fn(move |request: Request<Body>| {
            let range = request.headers().get("range");
            let range = range.map_or("", |range| range.to_str().unwrap());
            seen.lock().unwrap().push(range.to_owned());
            let next = responses.lock().unwrap().pop_front();
            std::future::ready(next.expect("one request too many"))
        });
        let client = seeded::builder("https://r.example")
            .credential(Credential::password("robot", SECRET))
            .transport(transport)
            .clock(clock.clone())
            .build()
            .unwrap();
        Self {
            app: client.repository_client("app").unwrap(),
            clock,
            asked,
        }
    }

    fn download(&self) -> Result<Bytes, Error> {
        let digest = Digest::sha256(CONTENT);
        let read = async { self.app.download_blob(digest).await?.bytes(99).await };
        self.clock.drive(read)
    }

    fn get(&self, range: std::ops::Range<u64>) -> Result<Bytes, Error> {
        let digest = Digest::sha256(CONTENT);
        let read = async { self.app.get_blob(digest, range).await?.bytes(99).await };
        self.clock.drive(read)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn respond(status: u16, headers: &[(&str, &str)], body: Body) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body).unwrap()
}

/// A body that breaks behind these bytes.
fn broken(bytes: &'static str) -> Body {
    let gone = TransportError::new(TransportErrorKind::Interrupted, "gone");
    Body::stream(stream::iter([Ok(Bytes::from(bytes)), Err(gone)]))
}

/// The whole content, which breaks behind some of it.
fn begun(bytes: &'static str) -> Response<Body> {
    respond(
        200,
        &[("content-length", "10"), ("etag", "\"1\"")],
        broken(bytes),
    )
}

fn rest(range: &str, body: &'static str) -> Response<Body> {
    respond(
        206,
        &[("content-range", range), ("etag", "\"1\"")],
        body.into(),
    )
}

#[test]
fn the_first_bytes_of_a_server_that_ignores_ranges_are_not_given_twice() {
    let whole = || respond(200, &[("content-length", "10")], CONTENT.into());
    let script = Script::new([begun("0123"), whole()]);
    assert_eq!(script.download().unwrap(), CONTENT);
    assert_eq!(script.asked(), ["", "bytes=4-"]);

    // It breaks before it has come as far again, and behind.
    let script = Script::new([begun("0123"), begun("01"), begun("012345"), whole()]);
    assert_eq!(script.download().unwrap(), CONTENT);
    assert_eq!(script.asked(), ["", "bytes=4-", "bytes=4-", "bytes=6-"]);
}

#[test]
fn repeating_what_has_come_is_no_progress() {
    let script = Script::new(
        [begun("0123")]
            .into_iter()
            .chain((0..4).map(|_| begun("0123"))),
    );
    let error = script.download().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
    assert_eq!(script.asked().len(), 5);
}

#[test]
fn other_bytes_before_the_break_are_a_mismatch_at_once() {
    let other = respond(200, &[], "01x3456789".into());
    let script = Script::new([begun("0123"), other]);
    let error = script.download().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
    assert!(text(&error).contains("has changed"), "{error}");
}

#[test]
fn a_part_is_not_skipped_to_in_a_whole_that_nothing_vouches_for() {
    let part = respond(206, &[("content-range", "bytes 0-5/10")], broken("012"));
    let script = Script::new([part, respond(200, &[], CONTENT.into())]);
    let error = script.get(0..6).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    assert_eq!(script.asked(), ["bytes=0-5", "bytes=3-5"]);
}

#[test]
fn another_range_than_the_one_to_go_on_with_is_a_protocol_error() {
    for (range, body) in [
        ("bytes 3-9/10", "3456789"),
        ("bytes 5-9/10", "56789"),
        ("bytes 4-8/10", "45678"),
        ("bytes 4-9/11", "456789"),
        ("bytes 4-10/11", "456789x"),
        ("bytes 0-9/10", CONTENT),
        ("bytes x", "456789"),
    ] {
        let script = Script::new([begun("0123"), rest(range, body)]);
        let error = script.download().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{range}: {error}");
        assert_eq!(script.asked().len(), 2);
        text(&error);
    }
    let part = respond(206, &[("content-range", "bytes 2-7/10")], broken("23"));
    let script = Script::new([part, rest("bytes 4-9/10", "456789")]);
    let error = script.get(2..8).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
}

#[test]
fn a_changed_etag_begins_again_and_no_byte_comes_twice() {
    let changed = |status, range, body: &'static str| {
        let headers = [("etag", "\"2\""), ("content-range", range)];
        respond(
            status,
            &headers[..if status == 206 { 2 } else { 1 }],
            body.into(),
        )
    };
    let part = || changed(206, "bytes 4-9/10", "456789");
    let script = Script::new([begun("0123"), part(), changed(200, "", CONTENT)]);
    assert_eq!(script.download().unwrap(), CONTENT);
    assert_eq!(script.asked(), ["", "bytes=4-", ""]);

    // Where it is other content, that is told before the rest is read.
    let script = Script::new([begun("0123"), part(), changed(200, "", "x123456789")]);
    let error = script.download().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");

    // Nothing vouches for a range, so nothing is put together of two contents.
    let first = [("content-range", "bytes 2-7/10"), ("etag", "\"1\"")];
    let script = Script::new([
        respond(206, &first, broken("23")),
        changed(206, "bytes 4-7/10", "4567"),
    ]);
    let error = script.get(2..8).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    assert!(text(&error).contains("ETag"), "{error}");
}

#[test]
fn an_etag_that_is_weak_or_new_before_the_first_byte_changes_nothing() {
    let part = respond(
        206,
        &[("content-range", "bytes 4-9/10"), ("etag", "W/\"2\"")],
        "456789".into(),
    );
    let script = Script::new([begun("0123"), part]);
    assert_eq!(script.download().unwrap(), CONTENT);
    let other = respond(200, &[("etag", "\"2\"")], CONTENT.into());
    let script = Script::new([begun(""), other]);
    assert_eq!(script.download().unwrap(), CONTENT);
    assert_eq!(script.asked(), ["", ""]);
}

#[test]
fn a_download_of_unknown_length_that_broke_at_its_end_is_complete() {
    let unknown = |bytes| respond(200, &[], broken(bytes));
    let end = |headers: &[(&str, &str)]| respond(416, headers, Body::empty());
    for headers in [&[("content-range", "bytes */10")][..], &[]] {
        let script = Script::new([unknown(CONTENT), end(headers)]);
        assert_eq!(script.download().unwrap(), CONTENT);
        assert_eq!(script.asked(), ["", "bytes=10-"]);
    }
    let script = Script::new([unknown("0123"), end(&[])]);
    let error = script.download().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
    // A blob that is shorter now than what has come of it.
    let script = Script::new([unknown(CONTENT), end(&[("content-range", "bytes */7")])]);
    let error = script.download().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
    assert!(text(&error).contains("of 7 bytes"), "{error}");
}

#[test]
fn a_break_behind_the_last_byte_costs_nothing() {
    let script = Script::new([begun(CONTENT)]);
    assert_eq!(script.download().unwrap(), CONTENT);
    let part = respond(206, &[("content-range", "bytes 2-7/10")], broken("234567"));
    assert_eq!(Script::new([part]).get(2..8).unwrap(), "234567");
}

#[test]
fn a_length_announced_too_long_does_not_lose_the_blob() {
    let long = respond(200, &[("content-length", "12")], CONTENT.into());
    let end = respond(416, &[("content-range", "bytes */10")], Body::empty());
    let script = Script::new([long, end]);
    assert_eq!(script.download().unwrap(), CONTENT);
    assert_eq!(script.asked(), ["", "bytes=10-"]);
}

#[test]
fn a_length_announced_too_short_is_told() {
    let short = respond(200, &[("content-length", "7")], CONTENT.into());
    let error = Script::new([short]).download().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
    assert!(text(&error).contains("more than the 7 bytes"), "{error}");
}

#[test]
fn a_body_too_long_behind_a_break_is_final() {
    let script = Script::new([begun("0123"), rest("bytes 4-9/10", "456789abc")]);
    let error = script.download().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
    assert!(text(&error).contains("more than the 10 bytes"), "{error}");
}

#[test]
fn a_blob_of_another_length_than_before_is_a_protocol_error() {
    let other = respond(200, &[("content-length", "11")], "0123456789x".into());
    let error = Script::new([begun("0123"), other]).download().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    assert!(text(&error).contains("had 10 bytes"), "{error}");
}

#[test]
fn a_loop_of_redirects_behind_a_break_ends() {
    let redirect = || respond(307, &[("location", "/elsewhere")], Body::empty());
    let responses = [begun("0123")].into_iter();
    let script = Script::new(responses.chain((0..6).map(|_| redirect())));
    let error = script.download().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    assert_eq!(script.asked().len(), 7);
}
