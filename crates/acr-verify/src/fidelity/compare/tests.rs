use serde_json::json;

use super::*;

fn step(response: Value) -> Step {
    let request = json!({"method": "GET", "path": "/acr/v1/a/_tags"});
    step_of(json!({ "request": request, "response": response }))
}

fn step_of(exchange: Value) -> Step {
    Step::new(serde_json::from_value(exchange).unwrap()).unwrap()
}

fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Bytes> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap()
}

fn kinds(step: &Step, response: &Response<Bytes>) -> Vec<&'static str> {
    let differences = compare(step, response, &Context::default());
    differences
        .iter()
        .map(|difference| difference.kind)
        .collect()
}

#[test]
fn a_response_as_recorded_matches_and_further_headers_are_no_difference() {
    let step = step(json!({"status": 200, "headers": {"A": ["1", "1"]}, "body": {"t": null}}));
    let headers = [("a", "1"), ("a", "1"), ("b", "2")];
    assert!(kinds(&step, &response(200, &headers, "{\"t\":null}\n")).is_empty());
}

#[test]
fn every_kind_of_difference_is_seen() {
    let step = step(json!({
        "status": 200, "headers": {"A": ["1", "1"], "Content-Length": "11"}, "body": {"t": null}
    }));
    let body = "{\"t\":null}\n";
    for (actual, kind) in [
        (
            response(
                201,
                &[("a", "1"), ("a", "1"), ("content-length", "11")],
                body,
            ),
            STATUS,
        ),
        (response(200, &[("a", "1"), ("a", "1")], body), NO_HEADER),
        (
            response(200, &[("a", "1"), ("content-length", "11")], body),
            HOW_OFTEN,
        ),
        (
            response(
                200,
                &[("a", "1"), ("a", "2"), ("content-length", "11")],
                body,
            ),
            VALUE,
        ),
        (
            response(
                200,
                &[("a", "1"), ("a", "1"), ("content-length", "10")],
                body,
            ),
            VALUE,
        ),
        (
            response(
                200,
                &[("a", "1"), ("a", "1"), ("content-length", "11")],
                "{\"t\":null}",
            ),
            BODY,
        ),
        (
            response(
                200,
                &[("a", "1"), ("a", "1"), ("content-length", "11")],
                "{\"t\":[]}\n",
            ),
            BODY,
        ),
        (
            response(
                200,
                &[("a", "1"), ("a", "1"), ("content-length", "11")],
                "{\"t\": null}\n",
            ),
            BODY,
        ),
        (
            response(
                200,
                &[("a", "1"), ("a", "1"), ("content-length", "11")],
                "{}\n",
            ),
            BODY,
        ),
    ] {
        assert_eq!(kinds(&step, &actual), [kind], "{actual:?}");
    }
}

#[test]
fn the_order_of_members_counts_also_where_a_part_is_masked() {
    let mut step = step(json!({"status": 200, "headers": {}, "body": {"a": 1, "b": 2}}));
    step.exchange.mask = vec!["response.body.a".to_owned()];
    assert!(kinds(&step, &response(200, &[], "{\"a\":9,\"b\":2}\n")).is_empty());
    assert_eq!(
        kinds(&step, &response(200, &[], "{\"b\":2,\"a\":9}\n")),
        [BODY]
    );
    assert_eq!(
        kinds(&step, &response(200, &[], "{\"a\":9,\"b\":3}\n")),
        [BODY]
    );
    assert_eq!(
        kinds(&step, &response(200, &[], "{\"a\": 9,\"b\":2}\n")),
        [BODY]
    );
}

#[test]
fn what_the_line_masks_is_not_compared() {
    let mut step = step(json!({"status": 200, "headers": {"Content-Length": "1"}, "body": "x"}));
    step.exchange.mask = vec![
        "response.headers.content-length".to_owned(),
        "response.body".to_owned(),
    ];
    assert!(kinds(&step, &response(200, &[], "")).is_empty());
}

#[test]
fn the_recorded_length_tells_whether_a_newline_ends_the_body() {
    let step = step(json!({"status": 401, "headers": {"Content-Length": "2"}, "body": {}}));
    let headers = [("Content-Length", "2")];
    assert!(kinds(&step, &response(401, &headers, "{}")).is_empty());
    assert_eq!(kinds(&step, &response(401, &headers, "{}\n")), [BODY]);
}

#[test]
fn a_body_that_was_dropped_has_its_recorded_size() {
    let dropped = step(json!({"status": 404, "headers": {"Content-Length": "3"}, "body": null}));
    let headers = [("Content-Length", "3")];
    assert!(kinds(&dropped, &response(404, &headers, "abc")).is_empty());
    assert_eq!(kinds(&dropped, &response(404, &headers, "abcd")), [BODY]);
    let none = step(json!({"status": 202, "headers": {}, "body": null}));
    assert_eq!(kinds(&none, &response(202, &[], "x")), [BODY]);
}

#[test]
fn content_is_compared_by_digest_unless_it_is_filler() {
    let step = step(
        json!({"status": 200, "headers": {}, "body": {"sha256": Digest::sha256("abc").hex(), "size": 3}}),
    );
    assert!(kinds(&step, &response(200, &[], "abc")).is_empty());
    assert_eq!(kinds(&step, &response(200, &[], "abd")), [BODY]);
    let filler = Context {
        filler: true,
        ..Context::default()
    };
    assert!(compare(&step, &response(200, &[], "abd"), &filler).is_empty());
    assert_eq!(compare(&step, &response(200, &[], "ab"), &filler).len(), 1);
}

#[test]
fn lines_that_a_recorder_has_joined_are_the_same_lines() {
    let joined = step(json!({"status": 200, "headers": {"A": "1, 2"}, "body": null}));
    assert!(kinds(&joined, &response(200, &[("A", "1"), ("A", "2")], "")).is_empty());
    assert_eq!(
        kinds(&joined, &response(200, &[("A", "1"), ("A", "1")], "")),
        [HOW_OFTEN]
    );
    let once = step(json!({"status": 200, "headers": {"A": "1"}, "body": null}));
    assert_eq!(
        kinds(&once, &response(200, &[("A", "1"), ("A", "1")], "")),
        [HOW_OFTEN]
    );
}
