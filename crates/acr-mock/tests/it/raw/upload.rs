//! Uploads: their states, their ranges, their locations that grow old, and their end.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value, json};

use crate::raw::support::{
    DELETE, PULL, PUSH, Raw, RawResponse, digest, error, error_with, nowhere,
};

fn start(raw: &Raw) -> String {
    let response = raw.post("/v2/app/blobs/uploads/").scope(PUSH);
    let response = response.expect_empty(202);
    response.header("location").to_owned()
}

fn chunk(raw: &Raw, location: &str, range: Option<&str>, bytes: &[u8]) -> RawResponse {
    let ask = raw.patch(location).scope(PUSH);
    let mut ask = ask.header("content-type", "application/octet-stream");
    if let Some(range) = range {
        ask = ask.header("content-range", range);
    }
    ask.body(bytes.to_vec()).send()
}

fn finish(raw: &Raw, location: &str, digest: &str, bytes: &[u8]) -> RawResponse {
    raw.put(format!("{location}&digest={}", digest.replace(':', "%3A")))
        .scope(PUSH)
        .body(bytes.to_vec())
        .send()
}

fn location(response: &RawResponse) -> String {
    response.header("location").to_owned()
}

/// What `_state` holds behind its signature.
fn state(location: &str) -> Value {
    let query = location.split_once('?').unwrap().1;
    let text = form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "_state")
        .unwrap()
        .1
        .into_owned();
    serde_json::from_slice(&URL_SAFE.decode(text).unwrap()[32..]).unwrap()
}

#[test]
fn an_upload_begins_at_a_relative_location_with_a_query() {
    let raw = Raw::new();
    for path in [
        "/v2/samples/app/blobs/uploads/",
        "/v2/samples%2Fapp/blobs/uploads/",
    ] {
        let response = raw.post(path).scope("repository:samples/app:pull,push");
        let response = response.expect_empty(202);
        let id = response.header("docker-upload-uuid");
        response.expect_header("range", "0-0");
        let location = response.header("location");
        let beginning = format!("/v2/samples/app/blobs/uploads/{id}?_nouploadcache=false&_state=");
        assert!(location.starts_with(&beginning), "{location}");
        let expected = json!({ "Name": "samples/app", "UUID": id, "Offset": 0, "StartedAt": "2023-02-15T08:59:14.3176692Z" });
        assert_eq!(state(location).to_string(), expected.to_string());
        assert!(!response.has("docker-content-digest") && !response.has("content-type"));
    }
}

#[test]
fn chunks_of_any_size_become_a_blob() {
    let raw = Raw::new();
    let first = start(&raw);
    let response = chunk(&raw, &first, Some("0-2"), b"abc").expect_empty(202);
    response.expect_header("range", "0-2");
    assert_eq!(
        response.header("docker-upload-uuid"),
        state(&first)["UUID"].as_str().unwrap()
    );
    let second = location(&response);
    assert_ne!(second, first);
    assert_eq!(
        state(&second)["StartedAt"],
        "2023-02-15T08:59:14Z",
        "whole seconds from the second on"
    );
    // Without a range the bytes are appended.
    let response = chunk(&raw, &second, None, b"d").expect_empty(202);
    response.expect_header("range", "0-3");
    let response = chunk(&raw, &location(&response), Some("4-9"), b"efghij").expect_empty(202);
    response.expect_header("range", "0-9");
    let digest = digest(b"abcdefghij");
    let done = finish(&raw, &location(&response), &digest, b"").expect_empty(201);
    done.expect_header("docker-content-digest", &digest);
    done.expect_header("location", format!("/v2/app/blobs/{digest}"));
    assert!(!done.has("range") && !done.has("docker-upload-uuid"));
    let head = raw.head(format!("/v2/app/blobs/{digest}")).scope(PULL);
    let head = head.expect(200);
    head.expect_header("content-length", "10");
}

#[test]
fn the_last_or_the_only_bytes_may_come_with_the_end() {
    let raw = Raw::new();
    let only = finish(&raw, &start(&raw), &digest(b"only"), b"only");
    only.expect_empty(201);
    let response = chunk(&raw, &start(&raw), None, b"first ");
    finish(&raw, &location(&response), &digest(b"first last"), b"last").expect_empty(201);
    finish(&raw, &start(&raw), &digest(b""), b"").expect_empty(201);
    for content in [&b"only"[..], b"first last", b""] {
        let head = raw.head(format!("/v2/app/blobs/{}", digest(content)));
        let head = head.scope(PULL).expect(200);
        head.expect_header("content-length", content.len().to_string());
    }
}

#[test]
fn one_request_is_enough_for_a_whole_blob() {
    let raw = Raw::new();
    let digest = digest(b"content");
    for _ in 0..2 {
        // The second time the blob is there already.
        let path = format!(
            "/v2/app/blobs/uploads/?digest={}",
            digest.replace(':', "%3A")
        );
        let response = raw.post(path).scope(PUSH).body(&b"content"[..]);
        let response = response.expect_empty(201);
        response.expect_header("docker-content-digest", &digest);
        response.expect_header("location", format!("/v2/app/blobs/{digest}"));
    }
    let path = format!("/v2/app/blobs/uploads/?digest={}", nowhere());
    let refused = raw.post(path).scope(PUSH).body(&b"content"[..]).expect(400);
    refused.has_code("DIGEST_INVALID");
}

#[test]
fn a_sha512_digest_is_held_against_the_bytes_too() {
    let raw = Raw::new();
    let hash = |content: &[u8]| {
        format!(
            "sha512:{}",
            hex::encode(<sha2::Sha512 as sha2::Digest>::digest(content))
        )
    };
    let response = chunk(&raw, &start(&raw), None, b"cont");
    finish(&raw, &location(&response), &hash(b"other"), b"ent").expect(400);
    finish(&raw, &location(&response), &hash(b"content"), b"ent").expect_empty(201);
    raw.head(format!("/v2/app/blobs/{}", hash(b"content")))
        .scope(PULL)
        .expect(200);
}

#[test]
fn the_status_tells_what_is_held() {
    let raw = Raw::new();
    let begun = start(&raw);
    let status = |location: &str| {
        let response = raw.get(location).scope(PULL).expect(204);
        assert!(response.body.is_empty() && !response.has("content-length"));
        assert!(response.has("docker-upload-uuid"));
        (
            response.header("range").to_owned(),
            response.header("location").to_owned(),
        )
    };
    // None and one look the same.
    assert_eq!(status(&begun).0, "0-0");
    let one = location(&chunk(&raw, &begun, None, b"x"));
    assert_eq!(status(&one).0, "0-0");
    let many = location(&chunk(&raw, &one, None, b"yz"));
    assert_eq!(status(&many).0, "0-2");
    // An old location gives the true range, and a location that goes on.
    let (range, fresh) = status(&begun);
    assert_eq!(range, "0-2");
    chunk(&raw, &fresh, Some("3-3"), b"!").expect(202);
}

#[test]
fn a_stale_location_is_refused_without_a_body_and_with_the_true_state() {
    let raw = Raw::new();
    let begun = start(&raw);
    let held = chunk(&raw, &begun, Some("0-21"), &[b'x'; 22]).expect(202);
    for (range, bytes) in [(Some("0-21"), 22), (Some("22-41"), 20), (None, 1)] {
        let response = chunk(&raw, &begun, range, &vec![b'x'; bytes]).expect_empty(416);
        response.expect_header("content-type", "application/json; charset=utf-8");
        response.expect_header("range", "0-21");
        response.expect_header("docker-upload-uuid", held.header("docker-upload-uuid"));
        assert_eq!(state(response.header("location"))["Offset"], 22);
    }
    // The upload lives on, from the location that was valid and from the one just given.
    let response = chunk(&raw, &location(&held), Some("22-22"), b"y").expect(202);
    response.expect_header("range", "0-22");
}

#[test]
fn a_chunk_out_of_order_is_refused_with_where_to_begin() {
    let raw = Raw::new();
    let begun = start(&raw);
    let out_of_order = |range: &str, offset: u64| {
        let reason = format!("out of order chunk: content range should start at {offset}");
        error_with(
            "BLOB_UPLOAD_RANGE_INVALID",
            "blob upload range invalid",
            json!({ "Range": range, "Reason": reason }),
        )
    };
    let response =
        chunk(&raw, &begun, Some("22-41"), &[b'x'; 20]).expect_json(416, &out_of_order("22-41", 0));
    assert!(!response.has("location") && !response.has("range"));
    // The location that was valid before still is.
    let held = chunk(&raw, &begun, Some("0-9"), &[b'x'; 10]).expect(202);
    // Behind what is held, and before it. Chosen: the service's number for these is not known.
    for range in ["11-12", "9-10"] {
        chunk(&raw, &location(&held), Some(range), b"yy")
            .expect_json(416, &out_of_order(range, 10));
    }
    chunk(&raw, &location(&held), Some("10-11"), b"yy").expect(202);
}

#[test]
fn a_malformed_range_is_refused() {
    let raw = Raw::new();
    let begun = start(&raw);
    for range in [
        "-1--1",
        "",
        "5",
        "5-4",
        "0-",
        "bytes=0-1",
        "a-b",
        "0-99999999999999999999999",
    ] {
        let reason = "the Content-Range header format is invalid";
        let detail = json!({ "Range": range, "Reason": reason });
        let expected = error_with(
            "BLOB_UPLOAD_RANGE_INVALID",
            "blob upload range invalid",
            detail,
        );
        let response = chunk(&raw, &begun, Some(range), b"xx").expect_json(416, &expected);
        assert!(!response.has("location") && !response.has("range"));
    }
    chunk(&raw, &begun, Some("0-1"), b"xx").expect(202);
}

#[test]
fn a_range_that_is_not_as_long_as_the_body_is_refused() {
    // Chosen, after the distribution's own registry.
    let raw = Raw::new();
    let begun = start(&raw);
    for range in ["0-0", "0-2", "0-18446744073709551615"] {
        let response = chunk(&raw, &begun, Some(range), b"xx").expect(400);
        response.has_code("SIZE_INVALID");
    }
    raw.get(&begun)
        .scope(PULL)
        .send()
        .expect_header("range", "0-0");
    chunk(&raw, &begun, Some("0-1"), b"xx").expect(202);
}

#[test]
fn a_wrong_digest_at_the_end_leaves_the_upload_as_it_was() {
    let raw = Raw::new();
    let held = location(&chunk(&raw, &start(&raw), None, b"con"));
    let parsing = error_with(
        "DIGEST_INVALID",
        "provided digest did not match uploaded content",
        json!("digest parsing failed"),
    );
    for malformed in ["sha256:00000000", "none", "sha256:"] {
        finish(&raw, &held, malformed, b"tent").expect_json(400, &parsing);
    }
    let wrong = finish(&raw, &held, &nowhere(), b"tent").expect(400);
    wrong.has_code("DIGEST_INVALID");
    assert_eq!(
        wrong.json()["errors"][0]["message"],
        "provided digest did not match uploaded content"
    );
    // Chosen, after the distribution's own registry.
    let missing = raw.put(&held).scope(PUSH).body(&b"tent"[..]).send();
    missing.expect_json(
        400,
        &error_with(
            "DIGEST_INVALID",
            "provided digest did not match uploaded content",
            json!("digest missing"),
        ),
    );
    raw.get(&held)
        .scope(PULL)
        .send()
        .expect_header("range", "0-2");
    finish(&raw, &held, &digest(b"content"), b"tent").expect(201);
}

#[test]
fn the_end_knows_stale_locations_and_ranges_too() {
    let raw = Raw::new();
    let begun = start(&raw);
    let held = location(&chunk(&raw, &begun, None, b"con"));
    let whole = digest(b"content");
    finish(&raw, &begun, &whole, b"tent").expect_empty(416);
    let out_of_order = raw
        .put(format!("{held}&digest={whole}"))
        .scope(PUSH)
        .header("content-range", "0-3")
        .body(&b"tent"[..]);
    out_of_order.expect_code(416, "BLOB_UPLOAD_RANGE_INVALID");
    let right = raw.put(format!("{held}&digest={whole}")).scope(PUSH);
    let right = right.header("content-range", "3-6").body(&b"tent"[..]);
    right.expect(201);
}

#[test]
fn a_location_is_no_credential() {
    let raw = Raw::new();
    let begun = start(&raw);
    let refused = raw.patch(&begun).header("content-range", "0-2");
    let refused = refused.body(&b"abc"[..]).expect(401);
    assert!(refused.has("www-authenticate"));
    chunk(&raw, &begun, Some("0-2"), b"abc").expect(202);
}

#[test]
fn a_cancelled_upload_is_gone() {
    let raw = Raw::new();
    let begun = start(&raw);
    let id = state(&begun)["UUID"].as_str().unwrap().to_owned();
    // A newer location has been handed out meanwhile; the first works all the same.
    raw.get(&begun).scope(PULL).expect(204);
    raw.delete(&begun).scope(PUSH).expect(401);
    let response = raw.delete(&begun).scope(DELETE).expect(204);
    response.expect_header("docker-upload-uuid", id);
    assert!(response.body.is_empty() && !response.has("content-length"));
    assert_unknown(&raw, &begun);
}

/// Chosen: what the service says of an upload that is not there is not known.
fn assert_unknown(raw: &Raw, location: &str) {
    let expected = error("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
    raw.get(location).scope(PULL).expect_json(404, &expected);
    chunk(raw, location, None, b"x").expect_json(404, &expected);
    chunk(raw, location, Some("nonsense"), b"x").expect_json(404, &expected);
    finish(raw, location, &digest(b""), b"").expect_json(404, &expected);
    finish(raw, location, "nonsense", b"").expect_json(404, &expected);
    raw.delete(location)
        .scope(DELETE)
        .expect_json(404, &expected);
}

#[test]
fn a_completed_upload_is_gone() {
    let raw = Raw::new();
    let begun = start(&raw);
    finish(&raw, &begun, &digest(b"x"), b"x").expect(201);
    assert_unknown(&raw, &begun);
}

#[test]
fn an_unknown_upload_is_unknown_in_every_repository() {
    let raw = Raw::new();
    let begun = start(&raw);
    assert_unknown(
        &raw,
        "/v2/app/blobs/uploads/0f305926-cc88-486b-a50e-563e4f94152e?_nouploadcache=false&_state=x",
    );
    // An upload belongs to its repository.
    let elsewhere = begun.replacen("/app/", "/other/", 1);
    let response = raw.get(&elsewhere).scope("repository:other:pull").send();
    response.expect_json(
        404,
        &error("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry"),
    );
    raw.get(&begun).scope(PULL).expect(204);
}

#[test]
fn an_upload_ends_an_hour_after_its_last_byte() {
    // Chosen: the service's time is not known.
    let raw = Raw::new();
    let begun = start(&raw);
    raw.clock.advance(Duration::from_secs(3_599));
    let held = location(&chunk(&raw, &begun, None, b"abc").expect(202));
    raw.clock.advance(Duration::from_secs(3_599));
    // A look is not a byte.
    raw.get(&held).scope(PULL).expect(204);
    raw.clock.advance(Duration::from_secs(1));
    assert_unknown(&raw, &held);

    let raw = Raw::with(|builder| builder.upload_life(Duration::from_secs(5)));
    let begun = start(&raw);
    raw.clock.advance(Duration::from_secs(5));
    assert_unknown(&raw, &begun);
}

#[test]
fn a_state_that_was_tampered_with_is_refused() {
    // Chosen, after the distribution's own registry.
    let raw = Raw::new();
    let begun = start(&raw);
    let other = start(&raw);
    let query = |location: &str| location.split_once('?').unwrap().1.to_owned();
    let path = begun.split_once('?').unwrap().0;
    let mut forged = URL_SAFE
        .decode(
            form_urlencoded::parse(query(&begun).as_bytes())
                .find(|(name, _)| name == "_state")
                .unwrap()
                .1
                .as_bytes(),
        )
        .unwrap();
    let at = forged.len() - 50;
    forged[at] ^= 1;
    for location in [
        path.to_owned(),
        format!("{path}?_state="),
        format!("{path}?_state=AAAA"),
        format!("{path}?_state=%ff"),
        format!("{path}?{}", query(&other)),
        format!(
            "{path}?_state={}",
            URL_SAFE.encode(&forged).replace('=', "%3D")
        ),
    ] {
        let expected = error("BLOB_UPLOAD_INVALID", "blob upload invalid");
        raw.get(&location).scope(PULL).expect_json(400, &expected);
        chunk(&raw, &location, None, b"x").expect_json(400, &expected);
        raw.delete(&location)
            .scope(DELETE)
            .expect_json(400, &expected);
    }
    chunk(&raw, &begun, None, b"x").expect(202);
}

#[test]
fn two_uploads_of_one_repository_do_not_meet() {
    let raw = Raw::new();
    let (first, second) = (start(&raw), start(&raw));
    let first = location(&chunk(&raw, &first, None, b"one"));
    let second = location(&chunk(&raw, &second, None, b"two"));
    finish(&raw, &second, &digest(b"two"), b"").expect(201);
    finish(&raw, &first, &digest(b"one"), b"").expect(201);
}
