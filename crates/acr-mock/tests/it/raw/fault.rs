//! What a fault does to a connection, to a body and to an upload.

use std::time::Duration;

use acr_mock::{Body, BodyError, ConnectionReset, Fault, FaultAction};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::Response;
use http_body_util::BodyExt as _;

use crate::raw::support::{Ask, DELETE, OCI_MANIFEST, PULL, PUSH, Raw, RawResponse, digest, error};

/// The response that is there at once.
#[track_caller]
fn now(ask: Ask<'_>) -> Result<Response<Body>, ConnectionReset> {
    let response = ask.attempt().now_or_never();
    response.expect("nothing is waited for")
}

#[track_caller]
fn assert_lost(ask: Ask<'_>) {
    let error = now(ask).unwrap_err();
    assert!(error.to_string().contains("without a response"), "{error}");
}

/// The next piece of a body; `None` where there is none yet.
fn piece(body: &mut Body) -> Option<Option<Result<Bytes, BodyError>>> {
    let frame = body.frame().now_or_never()?;
    Some(frame.map(|frame| frame.map(|frame| frame.into_data().unwrap())))
}

/// The bytes of a body up to where it waits, breaks or ends; and whether it breaks.
fn read(body: &mut Body) -> (Vec<u8>, Option<Result<(), BodyError>>) {
    let mut bytes = Vec::new();
    loop {
        // A body gives its reader one turn before it breaks.
        match piece(body).or_else(|| piece(body)) {
            None => return (bytes, None),
            Some(None) => return (bytes, Some(Ok(()))),
            Some(Some(Err(error))) => return (bytes, Some(Err(error))),
            Some(Some(Ok(more))) => bytes.extend_from_slice(&more),
        }
    }
}

fn start(raw: &Raw) -> String {
    let response = raw.post("/v2/app/blobs/uploads/").scope(PUSH).send();
    response.expect(202).header("location").to_owned()
}

fn chunk<'a>(raw: &'a Raw, location: &str, range: &str, bytes: &'static [u8]) -> Ask<'a> {
    let ask = raw.patch(location).scope(PUSH);
    ask.header("content-range", range).body(bytes)
}

/// `GET` of an upload's location.
fn status(raw: &Raw, location: &str) -> RawResponse {
    raw.get(location).scope(PULL).send()
}

/// The URL of a blob at the data origin.
fn data_url(raw: &Raw, content: &[u8]) -> String {
    let digest = raw.push_blob("app", content);
    let path = format!("/v2/app/blobs/{digest}");
    let redirect = raw.get(path).scope(PULL).expect(307);
    redirect.header("location").to_owned()
}

#[test]
fn a_reset_ends_the_connection_and_nothing_is_done() {
    let raw = Raw::new();
    raw.push_image("app", "v1");
    let fault = raw
        .registry
        .inject(Fault::on("delete_tag").times(1).then(FaultAction::Reset))
        .unwrap();
    let delete = || raw.delete("/acr/v1/app/_tags/v1").scope(DELETE);
    assert_lost(delete());
    assert_eq!((fault.count(), raw.registry.statistics().tags), (1, 1));
    assert_eq!(now(delete()).unwrap().status(), 202);
    assert_eq!(raw.registry.statistics().tags, 0);
}

#[test]
fn a_lost_response_leaves_the_deed_done() {
    let raw = Raw::new();
    let manifest = raw.image("app", "v1");
    let fault = Fault::on("set_manifest")
        .times(1)
        .then(FaultAction::DropResponse);
    raw.registry.inject(fault).unwrap();
    let ask = raw.put("/v2/app/manifests/v1").scope(PUSH);
    let ask = ask.header("content-type", OCI_MANIFEST);
    assert_lost(ask.body(manifest.clone()));
    let get = raw.get("/v2/app/manifests/v1").scope(PULL).send();
    assert_eq!(get.expect(200).text(), manifest);
}

#[test]
fn where_there_must_be_a_response_a_reset_is_one_that_nobody_takes_for_the_registry_s() {
    let raw = Raw::with(|builder| builder.authentication(false));
    for fault in [
        Fault::on("ping").then(FaultAction::Reset),
        Fault::on("ping").then(FaultAction::DropResponse),
    ] {
        raw.registry.inject(fault.times(1)).unwrap();
        let request = http::Request::get("https://mock.azurecr.io/v2/");
        let request = request.body(String::new()).unwrap();
        let response = raw.registry.handle(request).now_or_never().unwrap();
        assert_eq!(response.status(), 502);
        assert!(response.headers().is_empty(), "{:?}", response.headers());
        let (bytes, end) = read(&mut response.into_body());
        assert!(bytes.is_empty() && matches!(end, Some(Err(_))), "{end:?}");
    }
}

#[test]
fn a_chunk_s_first_bytes_are_kept_when_the_connection_ends_within_it() {
    let raw = Raw::new();
    let location = start(&raw);
    let fault = Fault::on("upload_chunk")
        .times(1)
        .then(FaultAction::ResetAfterTaking(3));
    raw.registry.inject(fault).unwrap();
    assert_lost(chunk(&raw, &location, "0-9", b"0123456789"));
    let status = status(&raw, &location).expect(204);
    status.expect_header("range", "0-2");
    // The client asks how far it came, and goes on from there.
    let rest = chunk(&raw, status.header("location"), "3-9", b"3456789").send();
    let rest = rest.expect(202);
    let end = format!(
        "{}&digest={}",
        rest.header("location"),
        digest(b"0123456789")
    );
    raw.put(end).scope(PUSH).expect(201);
}

#[test]
fn the_last_chunk_may_be_cut_too_and_leaves_the_upload_open() {
    let raw = Raw::new();
    let location = start(&raw);
    let fault = Fault::on("complete_upload")
        .times(1)
        .then(FaultAction::ResetAfterTaking(4));
    raw.registry.inject(fault).unwrap();
    let end = format!("{location}&digest={}", digest(b"0123456789"));
    assert_lost(raw.put(end).scope(PUSH).body(&b"0123456789"[..]));
    let statistics = raw.registry.statistics();
    assert_eq!((statistics.uploads, statistics.upload_bytes), (1, 4));
    assert_eq!(statistics.blobs, 0);
}

#[test]
fn what_needs_its_body_whole_keeps_nothing_of_it() {
    let raw = Raw::new();
    let manifest = raw.image("app", "v1");
    let fault = Fault::any().then(FaultAction::ResetAfterTaking(20));
    let token = raw.issued(PUSH);
    raw.registry.inject(fault).unwrap();
    let set = raw.put("/v2/app/manifests/v1").bearer(&token);
    let set = set.header("content-type", OCI_MANIFEST);
    assert_lost(set.body(manifest));
    let content = b"a blob in a single request";
    let path = format!("/v2/app/blobs/uploads/?digest={}", digest(content));
    assert_lost(raw.post(path).bearer(&token).body(&content[..]));
    let statistics = raw.registry.statistics();
    assert_eq!((statistics.manifests, statistics.uploads), (0, 0));
    assert_eq!(statistics.blobs, 2, "those of the image");
    // What has no body is not struck.
    let ping = raw.get("/v2/").bearer(&token);
    assert_eq!(now(ping).unwrap().status(), 200);
}

#[test]
fn a_chunk_shorter_than_what_is_taken_is_kept_whole_and_one_of_which_none_is_taken_not_at_all() {
    for (taken, kept) in [(100, 3), (3, 3), (0, 0)] {
        let raw = Raw::new();
        let location = start(&raw);
        let fault = Fault::on("upload_chunk").then(FaultAction::ResetAfterTaking(taken));
        raw.registry.inject(fault).unwrap();
        assert_lost(chunk(&raw, &location, "0-2", b"abc"));
        let held = raw.registry.statistics();
        assert_eq!((held.uploads, held.upload_bytes), (1, kept), "{taken}");
    }
}

#[test]
fn a_chunk_that_would_be_refused_keeps_nothing_when_the_connection_ends_within_it() {
    let raw = Raw::new();
    let location = start(&raw);
    let fault = Fault::on("upload_chunk").then(FaultAction::ResetAfterTaking(2));
    raw.registry.inject(fault.before_credentials()).unwrap();
    assert_lost(chunk(&raw, &location, "5-7", b"abc"));
    assert_lost(chunk(&raw, &location, "malformed", b"abc"));
    assert_lost(raw.patch(&location).body(&b"no token"[..]));
    assert_eq!(raw.registry.statistics().upload_bytes, 0);
}

#[test]
fn a_lost_upload_is_404_and_really_gone() {
    let raw = Raw::new();
    let first = start(&raw);
    let fault = Fault::on("upload_chunk").after(2).times(1);
    let fault = fault.then(FaultAction::LoseUpload);
    let fault = raw.registry.inject(fault).unwrap();
    let second = chunk(&raw, &first, "0-0", b"a").expect(202);
    let third = chunk(&raw, second.header("location"), "1-1", b"b").send();
    let location = third.expect(202).header("location").to_owned();
    let unknown = error("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
    let lost = chunk(&raw, &location, "2-2", b"c").send();
    lost.expect_json(404, &unknown);
    assert_eq!(fault.count(), 1);
    assert_eq!(raw.registry.statistics().uploads, 0);
    chunk(&raw, &location, "2-2", b"c").expect_json(404, &unknown);
    status(&raw, &first).expect_json(404, &unknown);
}

#[test]
fn a_broken_upload_is_400_and_gone_likewise() {
    let raw = Raw::new();
    let (location, other) = (start(&raw), start(&raw));
    let fault = Fault::on("complete_upload")
        .times(1)
        .then(FaultAction::CorruptUpload);
    raw.registry.inject(fault).unwrap();
    let end = format!("{location}&digest={}", digest(b"abc"));
    let broken = raw.put(end).scope(PUSH).body(&b"abc"[..]).send();
    broken.expect_json(400, &error("BLOB_UPLOAD_INVALID", "blob upload invalid"));
    status(&raw, &location).expect(404);
    status(&raw, &other).expect(204);
    assert_eq!(raw.registry.statistics().blobs, 0);
}

#[test]
fn a_delayed_response_comes_when_the_clock_says_so_and_the_deed_is_done_before() {
    let raw = Raw::new();
    raw.push_image("app", "v1");
    let fault = Fault::on("delete_tag").then(FaultAction::DelayResponse(Duration::from_secs(5)));
    raw.registry.inject(fault).unwrap();
    let delete = raw.delete("/acr/v1/app/_tags/v1");
    let mut response = delete.scope(DELETE).attempt();
    assert!((&mut response).now_or_never().is_none());
    assert_eq!(raw.registry.statistics().tags, 0);
    raw.clock.advance(Duration::from_millis(4_999));
    assert!((&mut response).now_or_never().is_none());
    raw.clock.advance(Duration::from_millis(1));
    let response = response.now_or_never().expect("its time has come");
    assert_eq!(response.unwrap().status(), 202);
}

#[test]
fn a_response_that_never_comes_leaves_the_deed_done_and_others_unharmed() {
    let raw = Raw::new();
    raw.push_image("app", "v1");
    let fault = Fault::on("delete_tag").times(1).then(FaultAction::Hang);
    raw.registry.inject(fault).unwrap();
    let delete = || {
        let delete = raw.delete("/acr/v1/app/_tags/v1");
        delete.scope(DELETE)
    };
    let mut response = delete().attempt();
    assert!((&mut response).now_or_never().is_none());
    raw.clock.advance(Duration::from_secs(1 << 32));
    assert!(response.now_or_never().is_none());
    assert_eq!(raw.registry.statistics().tags, 0);
    delete().expect(404);
}

#[test]
fn a_cut_body_is_announced_whole_and_breaks() {
    let raw = Raw::new();
    let content: Vec<u8> = (0..1_472_u32).map(|at| (at % 251) as u8).collect();
    let url = data_url(&raw, &content);
    let fault = Fault::on_data().times(1).then(FaultAction::CutBody(1_000));
    raw.registry.inject(fault).unwrap();
    let response = now(raw.get(&url)).unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-length"], "1472");
    let (bytes, end) = read(&mut response.into_body());
    assert_eq!(bytes, content[..1_000]);
    let error = end.unwrap().unwrap_err();
    assert!(error.to_string().contains("cut this body"), "{error}");
    // A body that is not longer stays whole.
    let fault = Fault::on_data().times(1).then(FaultAction::CutBody(1_472));
    raw.registry.inject(fault).unwrap();
    assert_eq!(raw.get(&url).expect(200).body, content);
}

#[test]
fn a_stalled_body_gives_its_first_bytes_and_then_nothing_for_ever() {
    let raw = Raw::new();
    let url = data_url(&raw, b"0123456789");
    let fault = Fault::on_data().times(1).then(FaultAction::StallBody(4));
    raw.registry.inject(fault).unwrap();
    let response = now(raw.get(&url)).unwrap();
    assert_eq!(response.headers()["content-length"], "10");
    let mut body = response.into_body();
    assert_eq!(read(&mut body), (b"0123".to_vec(), None));
    raw.clock.advance(Duration::from_secs(1 << 32));
    assert_eq!(read(&mut body), (Vec::new(), None));
    assert!(!http_body::Body::is_end_stream(&body));
}

#[test]
fn a_flipped_byte_changes_one_bit_and_only_in_that_response() {
    let raw = Raw::new();
    let digest = raw.push_image("app", "v1");
    let get = || raw.get("/v2/app/manifests/v1").scope(PULL).send();
    let whole = get().expect(200);
    for offset in [0, 17, whole.body.len() - 1] {
        let fault = Fault::on("get_manifest").times(1);
        let fault = fault.then(FaultAction::FlipByte(offset as u64));
        raw.registry.inject(fault).unwrap();
        let flipped = get().expect(200);
        let mut expected = whole.body.to_vec();
        expected[offset] ^= 1;
        assert_eq!(flipped.body, expected);
        flipped.expect_header("docker-content-digest", &digest);
        flipped.expect_header("content-length", expected.len().to_string());
        assert_eq!(get().expect(200).body, whole.body);
    }
    let fault = Fault::on("get_manifest").then(FaultAction::FlipByte(whole.body.len() as u64));
    raw.registry.inject(fault).unwrap();
    assert_eq!(get().expect(200).body, whole.body, "behind the end");
}

#[test]
fn a_flipped_byte_is_found_in_whatever_piece_it_is() {
    let raw = Raw::with(|builder| builder.data_redirect(false));
    let first = start(&raw);
    let second = chunk(&raw, &first, "0-3", b"0123").expect(202);
    let end = format!(
        "{}&digest={}",
        second.header("location"),
        digest(b"0123456789")
    );
    let end = raw.put(end).scope(PUSH).body(&b"456789"[..]);
    end.expect(201);
    let path = format!("/v2/app/blobs/{}", digest(b"0123456789"));
    for (offset, expected) in [(3, "0122456789"), (4, "0123556789"), (9, "0123456788")] {
        let fault = Fault::on("get_blob")
            .times(1)
            .then(FaultAction::FlipByte(offset));
        raw.registry.inject(fault).unwrap();
        let response = raw.get(&path).scope(PULL).expect(200);
        assert_eq!(response.text(), expected);
    }
}

#[test]
fn a_dripping_body_waits_before_each_piece_and_comes_whole() {
    let raw = Raw::new();
    let url = data_url(&raw, b"0123456789");
    let second = Duration::from_secs(1);
    let fault = Fault::on_data().times(1).then(FaultAction::SlowBody {
        bytes: 4,
        pause: second,
    });
    raw.registry.inject(fault).unwrap();
    let response = now(raw.get(&url)).unwrap();
    assert_eq!(response.headers()["content-length"], "10");
    let mut body = response.into_body();
    for expected in ["0123", "4567", "89"] {
        assert_eq!(read(&mut body), (Vec::new(), None));
        raw.clock.advance(second - Duration::from_millis(1));
        assert_eq!(read(&mut body), (Vec::new(), None));
        raw.clock.advance(Duration::from_millis(1));
        assert_eq!(piece(&mut body).unwrap().unwrap().unwrap(), expected);
    }
    assert_eq!(read(&mut body), (Vec::new(), Some(Ok(()))));

    // At least a byte at a time, or it would never end.
    let fault = Fault::on_data().times(1).then(FaultAction::SlowBody {
        bytes: 0,
        pause: second,
    });
    raw.registry.inject(fault).unwrap();
    let dripping = raw.get(&url).attempt();
    let body = raw
        .clock
        .drive(async { dripping.await.unwrap().into_body().collect().await });
    assert_eq!(body.unwrap().to_bytes(), "0123456789");
}
