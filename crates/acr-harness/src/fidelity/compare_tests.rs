use serde_json::json;

use super::*;

fn exchange(response: Value) -> Exchange {
    let line = json!({
        "id": "x", "request": {"method": "GET", "path": "/acr/v1/a/_tags"}, "response": response
    });
    Exchange::read("f:1", &line.to_string()).expect("a line")
}

fn respond(status: u16, headers: &[(&str, &str)], body: &str) -> RawResponse {
    let headers = headers
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    RawResponse {
        status,
        headers: headers.collect(),
        body: body.as_bytes().to_vec(),
    }
}

fn kinds(exchange: &Exchange, respond: &RawResponse) -> Vec<Kind> {
    let differences = compare(exchange, respond, &Context::default());
    differences
        .iter()
        .map(|difference| difference.kind)
        .collect()
}

#[test]
fn an_answer_as_recorded_matches_and_further_headers_are_no_difference() {
    let exchange =
        exchange(json!({"status": 200, "headers": {"A": ["1", "1"]}, "body": {"t": null}}));
    let headers = [("a", "1"), ("a", "1"), ("b", "2")];
    assert_eq!(
        kinds(&exchange, &respond(200, &headers, "{\"t\":null}\n")),
        []
    );
}

#[test]
fn every_kind_of_difference_is_seen() {
    let exchange = exchange(json!({
        "status": 200, "headers": {"A": ["1", "1"], "Content-Length": "11"}, "body": {"t": null}
    }));
    let body = "{\"t\":null}\n";
    for (actual, kind) in [
        (
            respond(
                201,
                &[("a", "1"), ("a", "1"), ("content-length", "11")],
                body,
            ),
            Kind::Status,
        ),
        (
            respond(200, &[("a", "1"), ("a", "1")], body),
            Kind::HeaderMissing,
        ),
        (
            respond(200, &[("a", "1"), ("content-length", "11")], body),
            Kind::HeaderCount,
        ),
        (
            respond(
                200,
                &[("a", "1"), ("a", "2"), ("content-length", "11")],
                body,
            ),
            Kind::HeaderValue,
        ),
        (
            respond(
                200,
                &[("a", "1"), ("a", "1"), ("content-length", "10")],
                body,
            ),
            Kind::HeaderValue,
        ),
        (
            respond(
                200,
                &[("a", "1"), ("a", "1"), ("content-length", "11")],
                "{\"t\":null}",
            ),
            Kind::Body,
        ),
        (
            respond(
                200,
                &[("a", "1"), ("a", "1"), ("content-length", "11")],
                "{\"t\":[]}\n",
            ),
            Kind::Body,
        ),
        (
            respond(
                200,
                &[("a", "1"), ("a", "1"), ("content-length", "11")],
                "{\"t\": null}\n",
            ),
            Kind::Body,
        ),
        (
            respond(
                200,
                &[("a", "1"), ("a", "1"), ("content-length", "11")],
                "{}\n",
            ),
            Kind::Body,
        ),
    ] {
        assert_eq!(kinds(&exchange, &actual), [kind], "{actual:?}");
    }
}

#[test]
fn the_order_of_members_counts_also_where_a_part_is_masked() {
    let mut exchange = exchange(json!({"status": 200, "headers": {}, "body": {"a": 1, "b": 2}}));
    exchange.mask = vec!["response.body.a".to_owned()];
    assert_eq!(
        kinds(&exchange, &respond(200, &[], "{\"a\":9,\"b\":2}\n")),
        []
    );
    assert_eq!(
        kinds(&exchange, &respond(200, &[], "{\"b\":2,\"a\":9}\n")),
        [Kind::Body]
    );
    assert_eq!(
        kinds(&exchange, &respond(200, &[], "{\"a\":9,\"b\":3}\n")),
        [Kind::Body]
    );
    assert_eq!(
        kinds(&exchange, &respond(200, &[], "{\"a\": 9,\"b\":2}\n")),
        [Kind::Body]
    );
}

#[test]
fn what_the_line_masks_is_not_compared() {
    let mut exchange =
        exchange(json!({"status": 200, "headers": {"Content-Length": "1"}, "body": "x"}));
    exchange.mask = vec![
        "response.headers.content-length".to_owned(),
        "response.body".to_owned(),
    ];
    assert_eq!(kinds(&exchange, &respond(200, &[], "")), []);
}

#[test]
fn the_recorded_length_tells_whether_a_newline_ends_the_body() {
    let exchange = exchange(json!({"status": 401, "headers": {"Content-Length": "2"}, "body": {}}));
    let headers = [("Content-Length", "2")];
    assert_eq!(kinds(&exchange, &respond(401, &headers, "{}")), []);
    assert_eq!(
        kinds(&exchange, &respond(401, &headers, "{}\n")),
        [Kind::Body]
    );
}

#[test]
fn a_body_that_was_dropped_has_its_recorded_size() {
    let dropped =
        exchange(json!({"status": 404, "headers": {"Content-Length": "3"}, "body": null}));
    let headers = [("Content-Length", "3")];
    assert_eq!(kinds(&dropped, &respond(404, &headers, "abc")), []);
    assert_eq!(
        kinds(&dropped, &respond(404, &headers, "abcd")),
        [Kind::Body]
    );
    let none = exchange(json!({"status": 202, "headers": {}, "body": null}));
    assert_eq!(kinds(&none, &respond(202, &[], "x")), [Kind::Body]);
}

#[test]
fn content_is_compared_by_digest_unless_it_is_filler() {
    let exchange = exchange(
        json!({"status": 200, "headers": {}, "body": {"sha256": sha256(b"abc"), "size": 3}}),
    );
    assert_eq!(kinds(&exchange, &respond(200, &[], "abc")), []);
    assert_eq!(kinds(&exchange, &respond(200, &[], "abd")), [Kind::Body]);
    let filler = Context {
        filler: true,
        ..Context::default()
    };
    assert_eq!(compare(&exchange, &respond(200, &[], "abd"), &filler), []);
    assert_eq!(
        compare(&exchange, &respond(200, &[], "ab"), &filler).len(),
        1
    );
}

#[test]
fn lines_that_a_recorder_has_joined_are_the_same_lines() {
    let joined = exchange(json!({"status": 200, "headers": {"A": "1, 2"}, "body": null}));
    assert_eq!(
        kinds(&joined, &respond(200, &[("A", "1"), ("A", "2")], "")),
        []
    );
    assert_eq!(
        kinds(&joined, &respond(200, &[("A", "1"), ("A", "1")], "")),
        [Kind::HeaderCount]
    );
    let once = exchange(json!({"status": 200, "headers": {"A": "1"}, "body": null}));
    assert_eq!(
        kinds(&once, &respond(200, &[("A", "1"), ("A", "1")], "")),
        [Kind::HeaderCount]
    );
}

#[test]
fn an_answer_on_an_upload_names_the_upload_that_was_asked() {
    let line = json!({
        "request": {"method": "GET", "path": "/v2/a/blobs/uploads/1"},
        "response": {"status": 204, "headers": {
            "Docker-Upload-Uuid": "1", "Location": "/v2/a/blobs/uploads/1?_state=REDACTED"
        }}
    });
    let exchange = Exchange::read("f:1", &line.to_string()).expect("a line");
    let context = Context {
        upload_id: Some("2".to_owned()),
        ..Context::default()
    };
    let respond = |id: &str| {
        let location = format!("/v2/a/blobs/uploads/{id}?_state=xyz");
        respond(
            204,
            &[("docker-upload-uuid", id), ("location", &location)],
            "",
        )
    };
    assert_eq!(compare(&exchange, &respond("2"), &context), []);
    assert_eq!(compare(&exchange, &respond("3"), &context).len(), 2);
}

#[test]
fn a_redirect_has_the_recorded_length_but_for_its_signature() {
    let location = |signature: &str| format!("https://h/i//docker/x?se=1&sig={signature}&sp=r");
    let recorded = exchange(json!({
        "status": 307, "headers": {"Location": location("ab%3D"), "Content-Length": "100"}
    }));
    let redirect = |length: &str| {
        let location = location("a%2B%3D");
        respond(
            307,
            &[("location", location.as_str()), ("content-length", length)],
            "",
        )
    };
    let differs = |length| kinds(&recorded, &redirect(length)).contains(&Kind::HeaderValue);
    assert!(!differs("102"));
    assert!(differs("100"));
}
