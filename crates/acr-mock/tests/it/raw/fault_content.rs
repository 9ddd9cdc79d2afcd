//! What a fault does to the length of a body, and to what a response says of its content and of where it is.

use acr_mock::{Body, Fault, FaultAction, FaultResponse};
use futures_util::FutureExt as _;
use http::Response;
use http_body_util::BodyExt as _;

use crate::raw::support::{Ask, HOST, PULL, PUSH, Raw, digest, error, error_with};

/// A registry with a fault, and the URL of its ten bytes at the data origin.
fn struck(fault: impl FnOnce(Fault) -> Fault) -> (Raw, String) {
    let raw = Raw::new();
    let digest = raw.push_blob("app", b"0123456789");
    let redirect = raw.get(format!("/v2/app/blobs/{digest}")).scope(PULL);
    let url = redirect.expect(307).header("location").to_owned();
    raw.registry.inject(fault(Fault::on_data())).unwrap();
    (raw, url)
}

/// The response as it is in process, whose body need not be as long as announced.
#[track_caller]
fn now(ask: Ask<'_>) -> (Response<()>, String) {
    let response = ask.attempt().now_or_never().expect("nothing is waited for");
    let (head, mut body) = response.expect("a response").into_parts();
    let mut text = String::new();
    while let Some(frame) = next(&mut body) {
        text.push_str(std::str::from_utf8(&frame).unwrap());
    }
    (Response::from_parts(head, ()), text)
}

fn next(body: &mut Body) -> Option<bytes::Bytes> {
    // A body gives its reader one turn before it ends too early.
    let frame = body.frame().now_or_never();
    let frame = frame.or_else(|| body.frame().now_or_never());
    Some(
        frame
            .expect("nothing is waited for")?
            .unwrap()
            .into_data()
            .unwrap(),
    )
}

fn start(raw: &Raw) -> String {
    let response = raw.post("/v2/app/blobs/uploads/").scope(PUSH).send();
    response.expect(202).header("location").to_owned()
}

fn chunk<'a>(raw: &'a Raw, location: &str, bytes: &'static str) -> Ask<'a> {
    raw.patch(location).scope(PUSH).body(bytes)
}

#[test]
fn an_extended_body_has_zeros_behind_it_and_is_announced_with_them() {
    let (raw, url) = struck(|fault| fault.then(FaultAction::ExtendBody(3)));
    let whole = raw.get(&url).expect(200);
    whole.expect_header("content-length", "13");
    assert_eq!(whole.text(), "0123456789\0\0\0");
    let part = raw.get(&url).header("range", "bytes=2-3").expect(206);
    part.expect_header("content-range", "bytes 2-3/10");
    assert_eq!(part.text(), "23\0\0\0");
    raw.head(&url)
        .expect(200)
        .expect_header("content-length", "13");
    // What has no body gets none.
    let fault = Fault::on("start_upload").then(FaultAction::ExtendBody(3));
    raw.registry.inject(fault).unwrap();
    let started = raw.post("/v2/app/blobs/uploads/").scope(PUSH).send();
    started.expect_empty(202);
}

#[test]
fn an_extended_body_takes_no_memory_for_what_it_is_extended_by() {
    let (raw, url) = struck(|fault| fault.then(FaultAction::ExtendBody(u64::MAX)));
    let response = raw.get(&url).attempt().now_or_never().unwrap().unwrap();
    let mut body = response.into_body();
    let first: usize = (0..100).map(|_| next(&mut body).unwrap().len()).sum();
    assert_eq!(first, 10 + 99 * 64 * 1024);
}

#[test]
fn an_announced_length_says_nothing_of_the_body() {
    for announced in ["0", "4", "25"] {
        let length = announced.parse().unwrap();
        let (raw, url) = struck(|fault| fault.then(FaultAction::AnnounceLength(length)));
        let (head, body) = now(raw.get(&url));
        assert_eq!(head.headers()["content-length"], announced);
        assert_eq!(body, "0123456789");
        let head = raw.head(&url).expect(200);
        head.expect_header("content-length", announced);
        let fault = Fault::any().then(FaultAction::AnnounceLength(length));
        raw.registry.inject(fault).unwrap();
        let started = raw.post("/v2/app/blobs/uploads/").scope(PUSH).send();
        started.expect_empty(202);
        let path = format!("/v2/app/blobs/{}", digest(b"0123456789"));
        let head = raw.head(path).scope(PULL).expect(200);
        head.expect_header("content-length", announced);
    }
}

#[test]
fn an_ignored_range_is_200_with_everything_and_waits_for_a_range() {
    let (raw, url) = struck(|fault| fault.times(1).then(FaultAction::IgnoreRange));
    raw.get(&url).expect(200);
    let ranged = || raw.get(&url).header("range", "bytes=4-").send();
    let whole = ranged().expect(200);
    assert_eq!(whole.text(), "0123456789");
    assert!(!whole.has("content-range"));
    whole.expect_header("content-length", "10");
    assert_eq!(ranged().expect(206).text(), "456789");
}

#[test]
fn a_range_is_ignored_where_the_registry_serves_blobs_itself_too() {
    let raw = Raw::with(|builder| builder.data_redirect(false));
    let path = format!("/v2/app/blobs/{}", raw.push_blob("app", b"0123456789"));
    let fault = Fault::on("get_blob")
        .times(1)
        .then(FaultAction::IgnoreRange);
    raw.registry.inject(fault).unwrap();
    raw.get(&path).scope(PULL).expect(200);
    let ranged = || {
        raw.get(&path)
            .scope(PULL)
            .header("range", "bytes=4-")
            .send()
    };
    assert_eq!(ranged().expect(200).text(), "0123456789");
    assert_eq!(ranged().expect(206).text(), "456789");
}

#[test]
fn a_changed_etag_is_another_than_before() {
    let (raw, url) = struck(|fault| fault.after(1).times(2).then(FaultAction::ChangeEtag));
    let etags: Vec<String> = (0..4)
        .map(|_| raw.get(&url).header("range", "bytes=4-").expect(206))
        .map(|response| response.header("etag").to_owned())
        .collect();
    assert_eq!((&etags[0], &etags[1]), (&etags[3], &etags[2]));
    assert_ne!(etags[0], etags[1]);
    assert!(etags[1].starts_with("\"0x8D"), "{}", etags[1]);
}

#[test]
fn a_redirect_to_self_leads_nowhere_else() {
    let (raw, url) = struck(|fault| fault.times(2).then(FaultAction::RedirectToSelf));
    for _ in 0..2 {
        let redirect = raw.get(&url).expect(307);
        redirect.expect_header("location", &url);
        assert!(redirect.body.is_empty());
    }
    raw.get(&url).expect(200);
    let fault = Fault::on("delete_tag").then(FaultAction::RedirectToSelf);
    raw.registry.inject(fault).unwrap();
    raw.push_image("app", "v1");
    let delete = raw
        .delete("/acr/v1/app/_tags/v1")
        .scope("repository:app:delete");
    let redirect = delete.expect(307);
    redirect.expect_header("location", format!("https://{HOST}/acr/v1/app/_tags/v1"));
    assert_eq!(raw.registry.statistics().tags, 1);
}

#[test]
fn a_data_url_expires_after_so_many_requests() {
    let (raw, url) = struck(|fault| fault.after(2).times(1).then(FaultResponse::expired_url()));
    let statuses: Vec<u16> = (0..4).map(|_| raw.get(&url).send().status).collect();
    assert_eq!(statuses, [200, 200, 403, 200]);
}

/// The statuses of three chunks, of which the second is over the bound, 0 for none; and how many bytes are held then.
fn over_five(action: FaultAction) -> ([u16; 3], u64) {
    let raw = Raw::new();
    let fault = Fault::on("upload_chunk").then(action);
    raw.registry.inject(fault).unwrap();
    let mut location = start(&raw);
    let statuses = ["01234", "012345", "01234"].map(|bytes| {
        let response = chunk(&raw, &location, bytes).attempt().now_or_never();
        let Ok(response) = response.expect("nothing is waited for") else {
            return 0;
        };
        if response.status() == 202 {
            location = response.headers()["location"].to_str().unwrap().to_owned();
        }
        response.status().as_u16()
    });
    (statuses, raw.registry.statistics().upload_bytes)
}

#[test]
fn a_request_body_over_the_bound_is_refused_and_a_shorter_one_taken() {
    let refused = over_five(FaultAction::RefuseBodyOver(5));
    assert_eq!(refused, ([202, 413, 202], 10));
    // One whose length is not announced likewise.
    let raw = Raw::new();
    let fault = Fault::on("upload_chunk").then(FaultAction::RefuseBodyOver(5));
    raw.registry.inject(fault).unwrap();
    let large = error("SIZE_INVALID", "the request body is too large");
    let location = start(&raw);
    chunk(&raw, &location, "012345")
        .send_in_pieces(2)
        .expect_json(413, &large);
    chunk(&raw, &location, "01234")
        .send_in_pieces(2)
        .expect(202);
}

#[test]
fn a_request_body_over_the_bound_resets_the_connection_and_a_shorter_one_does_not() {
    let reset = over_five(FaultAction::ResetBodyOver(5));
    assert_eq!(reset, ([202, 0, 202], 10));
}

#[test]
fn a_416_at_an_upload_is_that_of_a_chunk_out_of_order_or_of_an_old_location() {
    let raw = Raw::new();
    let first = start(&raw);
    let taken = chunk(&raw, &first, "0123").expect(202);
    let location = taken.header("location");
    let refuse = |response: FaultResponse| {
        let fault = Fault::on("upload_chunk").times(1).then(response);
        raw.registry.inject(fault).unwrap();
        chunk(&raw, location, "45")
            .header("content-range", "4-5")
            .send()
    };
    let range = serde_json::json!({
        "Range": "4-5", "Reason": "out of order chunk: content range should start at 4"
    });
    let expected = error_with(
        "BLOB_UPLOAD_RANGE_INVALID",
        "blob upload range invalid",
        range,
    );
    let status = http::StatusCode::RANGE_NOT_SATISFIABLE;
    let out_of_order = refuse(FaultResponse::status(status)).expect_json(416, &expected);
    assert!(!out_of_order.has("location"));

    let stale = refuse(FaultResponse::stale_location()).expect_empty(416);
    // Word for word what an old location gets.
    let really = chunk(&raw, &first, "45").expect_empty(416);
    for name in ["content-type", "docker-upload-uuid", "range", "location"] {
        assert_eq!(stale.all(name), really.all(name), "{name}");
    }
    stale.expect_header("range", "0-3");
    chunk(&raw, stale.header("location"), "45").expect(202);
}
