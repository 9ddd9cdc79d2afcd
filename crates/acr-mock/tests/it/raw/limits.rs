//! What is taken in: bounds, which are all chosen.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Method, Request};
use http_body::Frame;
use http_body_util::StreamBody;

use crate::raw::support::{
    DELETE, HOST, OCI_MANIFEST, PULL, PUSH, Raw, RawResponse, WRITE, digest, error, error_with,
    escape,
};

fn start(raw: &Raw) -> RawResponse {
    raw.post("/v2/app/blobs/uploads/").scope(PUSH).send()
}

#[test]
fn a_head_over_the_bound_is_431_whatever_it_asks_for() {
    let raw = Raw::with(|builder| builder.head_limit(1_000));
    let long = "x".repeat(1_000);
    for path in ["/v2/", "/v2/app/manifests/v1", "/oauth2/token", "/nothing"] {
        let response = raw.get(path).header("x-long", &long).expect(431);
        assert_eq!(response.text(), "the head of the request is too large\n");
    }
    raw.get(format!("/v2/?{long}")).expect(431);
    raw.get("/v2/").header("x-long", &long[..900]).expect(401);
}

#[test]
fn a_form_or_an_update_over_the_bound_is_413_and_changes_nothing() {
    let raw = Raw::with(|builder| builder.body_limit(2_000));
    raw.push_image("app", "v1");
    let long = "x".repeat(2_000);
    let too_large = error("SIZE_INVALID", "the request body is too large");
    for path in ["/oauth2/exchange", "/oauth2/token"] {
        let form = format!("grant_type=access_token&access_token={long}");
        raw.post(path).form(form).expect_json(413, &too_large);
    }
    let update = format!("{{\"writeEnabled\":false,\"quarantineDetails\":\"{long}\"}}");
    let token = raw.token(WRITE);
    let update = raw.patch("/acr/v1/app").bearer(&token).body(update);
    update.expect_json(413, &too_large);
    raw.push_image("app", "v2");
}

#[test]
fn a_manifest_over_the_bound_is_413_with_and_without_a_length() {
    let raw = Raw::with(|builder| builder.manifest_limit(1_000));
    let long = format!("{}{}", raw.image("app", "v1"), " ".repeat(1_000));
    let put = || raw.set_manifest("v1", OCI_MANIFEST, long.clone());
    let invalid = error_with(
        "MANIFEST_INVALID",
        "manifest invalid",
        serde_json::json!({ "Reason": {} }),
    );
    put().expect_json(413, &invalid);
    put().send_in_pieces(100).expect_json(413, &invalid);
    raw.head("/v2/app/manifests/v1").scope(PULL).expect(404);
}

#[test]
fn a_length_beyond_every_bound_is_413_whatever_is_asked_and_whoever_asks() {
    let too_large = error("SIZE_INVALID", "the request body is too large");
    let raw = Raw::with(|builder| {
        builder
            .blob_limit(5_000)
            .manifest_limit(10_000)
            .body_limit(9)
    });
    for path in [
        "/v2/",
        "/v2/app/blobs/uploads/",
        "/v2/app/manifests/v1",
        "/acr/v1/_catalog",
        "/oauth2/token",
        "/oauth2/exchange",
        "/nothing",
        "/x//docker/registry/v2/blobs/sha256/ab/abcd/data",
    ] {
        for length in ["10001", "18446744073709551616"] {
            for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH] {
                let ask = raw.ask(method, path).header("content-length", length);
                assert_eq!(ask.expect(413).text(), too_large, "{path}");
            }
        }
        let response = raw.post(path).header("content-length", "10000").send();
        assert_ne!(response.status, 413, "{path}");
    }
}

#[test]
fn a_blob_over_the_bound_is_413_in_every_way_to_send_it_and_the_upload_stays() {
    let raw = Raw::with(|builder| builder.blob_limit(10));
    let too_large = error("SIZE_INVALID", "the request body is too large");
    let whole = |content: &'static [u8]| {
        raw.post(format!("/v2/app/blobs/uploads/?digest={}", digest(content)))
            .scope(PUSH)
            .body(content)
    };
    whole(b"0123456789a").expect_json(413, &too_large);
    whole(b"0123456789a")
        .send_in_pieces(3)
        .expect_json(413, &too_large);
    whole(b"0123456789").expect(201);

    let first = raw.patch(start(&raw).header("location")).scope(PUSH);
    let first = first.body("01234567").send();
    let location = first.expect(202).header("location").to_owned();
    raw.patch(&location)
        .scope(PUSH)
        .body("89a")
        .expect_json(413, &too_large);
    let end = |content: &[u8], last: &'static str| {
        let path = format!("{location}&digest={}", escape(&digest(content)));
        raw.put(path).scope(PUSH).body(last).send()
    };
    end(b"0123456789a", "89a").expect_json(413, &too_large);
    let status = raw.get(&location).scope(PULL).expect(204);
    status.expect_header("range", "0-7");
    end(b"0123456789", "89").expect(201);
}

#[test]
fn an_upload_too_many_is_429_until_one_has_ended() {
    let raw = Raw::with(|builder| builder.upload_limit(2).upload_life(Duration::from_secs(60)));
    let open = |raw: &Raw| start(raw).expect(202).header("location").to_owned();
    let full = |raw: &Raw| {
        let refused = start(raw);
        refused.expect_json(429, &error("TOOMANYREQUESTS", "too many requests"));
        // A mount that finds nothing begins an upload too.
        let mount = format!("/v2/app/blobs/uploads/?mount={}", digest(b"unknown"));
        raw.post(mount).scope(PUSH).expect(429);
    };
    let (first, second) = (open(&raw), open(&raw));
    full(&raw);
    // One that needs no upload is none.
    raw.push_blob("app", b"whole");
    raw.delete(first).scope(DELETE).expect(204);
    let third = open(&raw);
    full(&raw);
    let end = format!("{third}&digest={}", escape(&digest(b"third")));
    raw.put(end).scope(PUSH).body("third").expect(201);
    open(&raw);
    full(&raw);
    raw.clock.advance(Duration::from_secs(60));
    raw.get(second).scope(PULL).expect(404);
    open(&raw);
    open(&raw);
    full(&raw);
}

#[test]
fn an_upload_too_many_is_told_when_to_come_again() {
    let raw = Raw::with(|builder| builder.upload_limit(1).upload_life(Duration::from_secs(60)));
    start(&raw).expect(202);
    let wait = |raw: &Raw| start(raw).expect(429).header("retry-after").to_owned();
    // In a while, for it may end at any time; but no later than it is over by itself.
    assert_eq!(wait(&raw), "10");
    raw.clock.advance(Duration::from_secs(55));
    assert_eq!(wait(&raw), "5");
    raw.clock.advance(Duration::from_millis(4_500));
    assert_eq!(wait(&raw), "1");
    raw.clock.advance(Duration::from_secs(1));
    start(&raw).expect(202);
}

#[test]
fn a_repository_with_too_many_uploads_does_not_take_those_of_another() {
    let raw = Raw::with(|builder| {
        let builder = builder.repository_upload_limit(2).upload_limit(5);
        builder.upload_life(Duration::from_secs(60))
    });
    let open = |repository: &str| {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let scope = format!("repository:{repository}:pull,push");
        raw.post(path).scope(&scope).send()
    };
    let location = open("app").expect(202).header("location").to_owned();
    open("app").expect(202);
    let refused = open("app");
    assert!(refused.has("retry-after"), "{refused:?}");
    refused.expect_json(429, &error("TOOMANYREQUESTS", "too many requests"));
    open("other").expect(202);
    open("other").expect(202);
    open("other").expect(429);
    // A chunk is no further upload, and one that has ended is none any more.
    let chunk = raw.patch(&location).scope(PUSH).body("x").expect(202);
    open("app").expect(429);
    raw.delete(chunk.header("location"))
        .scope(DELETE)
        .expect(204);
    open("app").expect(202);
    open("app").expect(429);
    // The bound of all holds beside it.
    open("third").expect(202);
    open("third").expect(429);
    raw.clock.advance(Duration::from_secs(60));
    for repository in ["app", "other", "app", "other", "third"] {
        open(repository).expect(202);
    }
    open("third").expect(429);
}

#[test]
fn a_slow_client_blocks_nobody() {
    let raw = Raw::new();
    let blob = raw.push_blob("app", b"content");
    raw.push_image("app", "v1");
    let open = || start(&raw).header("location").to_owned();
    let (upload, ended) = (open(), open());
    let slow_content = b"slowly";
    for (method, path, content_type) in [
        (Method::PATCH, upload.clone(), ""),
        (
            Method::PUT,
            format!("{ended}&digest={}", escape(&digest(slow_content))),
            "",
        ),
        (
            Method::POST,
            format!("/v2/app/blobs/uploads/?digest={}", digest(slow_content)),
            "",
        ),
        (
            Method::PUT,
            "/v2/app/manifests/slow".to_owned(),
            OCI_MANIFEST,
        ),
        (Method::PATCH, "/acr/v1/app".to_owned(), "application/json"),
        (
            Method::POST,
            "/oauth2/token".to_owned(),
            "application/x-www-form-urlencoded",
        ),
    ] {
        // A body of which one byte comes, and then nothing for as long as the test likes.
        let sent = Arc::new(Mutex::new(VecDeque::from([Some(Bytes::from_static(b"s"))])));
        let pieces = sent.clone();
        let body = StreamBody::new(futures_util::stream::poll_fn(move |_| {
            match pieces.lock().unwrap().pop_front() {
                Some(piece) => {
                    Poll::Ready(piece.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes))))
                }
                None => Poll::Pending,
            }
        }));
        let token = raw.token(&format!("{PUSH} repository:app:metadata_write"));
        let request = Request::builder()
            .method(method.clone())
            .uri(format!("https://{HOST}{path}"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", content_type)
            .body(body)
            .unwrap();
        let mut slow = Box::pin(raw.registry.handle(request));
        assert!(slow.as_mut().now_or_never().is_none(), "{method} {path}");

        // Meanwhile all else is served: reading, writing the same things, signing in.
        raw.get(format!("/v2/app/blobs/{blob}"))
            .scope(PULL)
            .expect(307);
        raw.push_image("app", "v1");
        raw.get(&upload).scope(PULL).expect(204);
        raw.set_locks("app", "", r#"{"listEnabled":true}"#);
        start(&raw).expect(202);
        assert!(slow.as_mut().now_or_never().is_none(), "{method} {path}");

        // And the slow one is served when it is done.
        let rest = Bytes::from_static(&slow_content[1..]);
        sent.lock().unwrap().extend([Some(rest), None]);
        assert!(slow.as_mut().now_or_never().is_some(), "{method} {path}");
    }
}
