use acr_protocol::Digest;
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use serde_json::{Value, json};

use crate::transport::TransportErrorKind;
use crate::transport::record::{BodyEnd, RecordedBody, RecordedError, RecordedExchange, Recording};

fn exchange(body: impl Into<Bytes>, content_type: &str) -> RecordedExchange {
    let body = body.into();
    let request = Request::put("https://r.example:8443/v2/a%2Fb/x?q=%2F")
        .header("content-type", content_type)
        .body(body.clone())
        .unwrap();
    let response = Response::builder()
        .status(201)
        .header("content-type", content_type)
        .header("x-twice", "1")
        .header("x-twice", "2")
        .body(body)
        .unwrap();
    RecordedExchange::new(request, response)
}

#[track_caller]
fn lines(recording: &Recording) -> Vec<Value> {
    let text = recording.to_jsonl();
    let again = Recording::from_jsonl(&text).unwrap();
    assert!(again == *recording, "{text}");
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

#[track_caller]
fn line(exchange: RecordedExchange) -> Value {
    lines(&Recording::from_iter([exchange])).remove(0)
}

#[test]
fn an_exchange_has_the_form_of_the_exchange_files() {
    let mut exchange = exchange("{\"a\":1}\n", "application/json; charset=utf-8");
    exchange.operation = Some("get_tag".to_owned());
    exchange.to_data = true;
    exchange.mask.push("response.body".to_owned());
    let line = line(exchange);
    let expected = json!({
        "id": "recorded-0001-get-tag",
        "source": concat!("recorded by acr-client ", env!("CARGO_PKG_VERSION")),
        "session": "recorded",
        "step": 1,
        "operation": "get_tag",
        "origin": "data",
        "request": {
            "method": "PUT", "path": "/v2/a%2Fb/x", "query": "q=%2F",
            "headers": {"content-type": "application/json; charset=utf-8", "host": "r.example:8443"},
            "body": "{\"a\":1}\n"
        },
        "response": {
            "status": 201,
            "headers": {"content-type": "application/json; charset=utf-8", "x-twice": ["1", "2"]},
            "body": {"a": 1}
        },
        "mask": ["response.body"]
    });
    assert_eq!(line, expected);
}

#[test]
fn every_body_comes_back_to_the_byte_in_the_shortest_form_that_tells_it() {
    let json_type = "application/json";
    let digest = |bytes: &[u8]| Digest::sha256(bytes).hex().to_owned();
    let manifest = "{\"schemaVersion\":2}\n";
    for (content_type, body, request, response) in [
        (json_type, "", json!(null), json!(null)),
        (
            json_type,
            "{\"b\":1,\"a\":2.5}",
            json!({"b": 1, "a": 2.5}),
            json!("{\"b\":1,\"a\":2.5}"),
        ),
        (json_type, "[1]\n", json!("[1]\n"), json!([1])),
        (json_type, "{ }\n", json!("{ }\n"), json!("{ }\n")),
        (
            json_type,
            "\"text\"\n",
            json!("\"text\"\n"),
            json!("\"text\"\n"),
        ),
        (json_type, "null\n", json!("null\n"), json!("null\n")),
        (
            json_type,
            "{\"a\":1,\"a\":2}\n",
            json!("{\"a\":1,\"a\":2}\n"),
            json!("{\"a\":1,\"a\":2}\n"),
        ),
        (
            json_type,
            "{\"sha256\":null,\"size\":1}\n",
            json!("{\"sha256\":null,\"size\":1}\n"),
            json!("{\"sha256\":null,\"size\":1}\n"),
        ),
        ("text/plain", "{}\n", json!("{}\n"), json!("{}\n")),
        (
            "",
            "a\u{0}ü\"\n",
            json!("a\u{0}ü\"\n"),
            json!("a\u{0}ü\"\n"),
        ),
        (
            "application/vnd.oci.image.manifest.v1+json",
            manifest,
            json!({"sha256": digest(manifest.as_bytes()), "size": 20, "text": manifest}),
            json!({"sha256": digest(manifest.as_bytes()), "size": 20, "text": manifest}),
        ),
    ] {
        let line = line(exchange(body, content_type));
        assert_eq!(line["request"]["body"], request, "{body}");
        assert_eq!(line["response"]["body"], response, "{body}");
    }
    let line = line(exchange(vec![0xff, 0x00], "application/octet-stream"));
    let expected = json!({"sha256": digest(&[0xff, 0x00]), "size": 2, "base64": "/wA="});
    assert_eq!(line["response"]["body"], expected);
}

#[test]
fn a_length_tells_whether_json_ends_with_a_newline() {
    for (body, length, form) in [
        ("{}", 2, json!({})),
        ("{}\n", 3, json!({})),
        ("{}\n", 2, json!("{}\n")),
        ("{}", 99, json!("{}")),
    ] {
        let mut exchange = exchange(body, "application/json");
        let response = exchange.outcome.as_mut().unwrap();
        response.headers.insert("content-length", length.into());
        assert_eq!(
            line(exchange)["response"]["body"],
            form,
            "{body:?} {length}"
        );
    }
    let ping = r#"{"request":{"method":"GET","path":"/v2/"},"response":{"status":200,"body":{}}}"#;
    let recording = Recording::from_jsonl(ping).unwrap();
    let response = recording.exchanges()[0].outcome.as_ref().unwrap();
    assert_eq!(response.body.bytes().unwrap(), "{}");
}

#[test]
fn what_did_not_come_to_its_end_says_so() {
    let error = RecordedError::new(TransportErrorKind::Interrupted, "gone");
    let mut broken = exchange("abc", "");
    broken.request.end = BodyEnd::Unread;
    broken.outcome.as_mut().unwrap().end = BodyEnd::Broken(error.clone());
    let mut failed = exchange("abc", "");
    failed.outcome = Err(error);
    let mut cut = exchange("", "");
    cut.request.body = RecordedBody::Digest {
        digest: Some(Digest::sha256(b"abc")),
        size: Some(3),
    };
    cut.outcome.as_mut().unwrap().body = RecordedBody::Digest {
        digest: None,
        size: None,
    };
    let lines = lines(&Recording::from_iter([broken, failed, cut]));
    let error = json!({"kind": "interrupted", "message": "gone"});
    assert_eq!(lines[0]["request"]["end"], "unread");
    assert_eq!(lines[0]["response"]["end"], error);
    assert_eq!(lines[1]["response"], json!(null));
    assert_eq!(lines[1]["error"], error);
    assert_eq!(lines[1]["skip"], "there was no answer");
    let body = json!({"sha256": Digest::sha256(b"abc").hex(), "size": 3});
    assert_eq!(lines[2]["request"]["body"], body);
    assert_eq!(
        lines[2]["response"]["body"],
        json!({"sha256": null, "size": null})
    );
}

#[test]
fn what_was_dropped_is_told_where_it_is_missing() {
    let exchanges = || vec![exchange("", ""), exchange("", "")];
    let before = lines(&Recording::with(exchanges(), 3, 0));
    assert_eq!(before[0]["dropped_before"], 3);
    assert_eq!(before[1].get("dropped_before"), None);
    let after = lines(&Recording::with(exchanges(), 0, 4));
    assert_eq!(after[1]["dropped_after"], 4);
    assert_eq!(Recording::with(exchanges(), 3, 4).dropped(), 7);
}

#[test]
fn a_name_comes_back_and_ids_differ() {
    let recording = Recording::from_iter([exchange("", ""), exchange("", "")]).named("Pull of v1");
    let lines = lines(&recording);
    let ids: Vec<_> = lines
        .iter()
        .map(|line| line["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids,
        ["pull-of-v1-0001-exchange", "pull-of-v1-0002-exchange"]
    );
}

#[test]
fn a_header_that_is_no_utf8_is_written_all_the_same() {
    let mut exchange = exchange("", "");
    let response = exchange.outcome.as_mut().unwrap();
    response
        .headers
        .insert("x-odd", HeaderValue::from_bytes(b"a\xff").unwrap());
    let text = Recording::from_iter([exchange]).to_jsonl();
    let again = Recording::from_jsonl(&text).unwrap();
    let response = again.exchanges()[0].outcome.as_ref().unwrap();
    assert_eq!(response.headers["x-odd"].as_bytes(), "a\u{fffd}".as_bytes());
}

#[test]
fn a_line_that_is_no_exchange_is_named_with_what_is_wrong() {
    let answered = r#""response":{"status":200}"#;
    for (line, problem) in [
        ("{", "is not JSON"),
        ("[]", "is no JSON object"),
        ("{}", "has no object `request`"),
        (
            r#"{"request":{"method":"GET","path":"/"}}"#,
            "neither an object `response`",
        ),
        (
            &format!(r#"{{"request":{{"path":"/"}},{answered}}}"#),
            "request.method is missing",
        ),
        (
            &format!(r#"{{"request":{{"method":"GET"}},{answered}}}"#),
            "request.path is missing",
        ),
        (
            &format!(r#"{{"request":{{"method":"GET","path":"x"}},{answered}}}"#),
            "slash",
        ),
        (
            &format!(r#"{{"request":{{"method":"G T","path":"/"}},{answered}}}"#),
            "request.method",
        ),
        (
            &format!(r#"{{"request":{{"method":"GET","path":"/","query":1}},{answered}}}"#),
            "query is no text",
        ),
        (
            &format!(
                r#"{{"request":{{"method":"GET","path":"/","headers":{{"a b":"x"}}}},{answered}}}"#
            ),
            "is no name",
        ),
        (
            &format!(
                r#"{{"request":{{"method":"GET","path":"/","headers":{{"a":1}}}},{answered}}}"#
            ),
            "request.headers.a is no text",
        ),
        (
            &format!(
                r#"{{"request":{{"method":"GET","path":"/","headers":{{"a":"x\n"}}}},{answered}}}"#
            ),
            "request.headers.a",
        ),
        (
            &format!(
                r#"{{"request":{{"method":"GET","path":"/","body":{{"sha256":"zz","size":1}}}},{answered}}}"#
            ),
            "body.sha256",
        ),
        (
            &format!(
                r#"{{"request":{{"method":"GET","path":"/","body":{{"sha256":null,"size":1,"text":""}}}},{answered}}}"#
            ),
            "body.size is not that of its 0 bytes",
        ),
        (
            &format!(
                r#"{{"request":{{"method":"GET","path":"/","body":{{"sha256":null,"size":1,"base64":"?"}}}},{answered}}}"#
            ),
            "body.base64",
        ),
        (
            r#"{"request":{"method":"GET","path":"/"},"response":{"status":99}}"#,
            "response.status",
        ),
        (
            r#"{"request":{"method":"GET","path":"/"},"error":{"kind":"x"}}"#,
            "error.kind is none of",
        ),
        (
            r#"{"request":{"method":"GET","path":"/"},"response":{"status":200},"mask":[1]}"#,
            "mask is no list of texts",
        ),
    ] {
        let error = Recording::from_jsonl(&format!("\n{line}\n")).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::InvalidInput);
        let text = error.to_string();
        assert!(
            text.starts_with("line 2: ") && text.contains(problem),
            "{line}: {text}"
        );
    }
}
