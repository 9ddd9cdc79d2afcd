//! The text format: every form is read and written to the byte, and a wrong line is named.

use std::path::{Path, PathBuf};

use acr_record::{Body, BodyEnd, Exchange, Failure, FailureKind, Origin, Recording, read};
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use serde_json::{Value, json};

/// The digest of `{}`.
const EMPTY_OBJECT: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

fn exchange(body: impl Into<Bytes>, content_type: &str) -> Exchange {
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
    Exchange::new(request, response)
}

/// Writes an exchange and reads it back.
#[track_caller]
fn line(exchange: Exchange) -> Value {
    let recording = Recording::from_iter([exchange]);
    let text = recording.to_jsonl();
    assert_eq!(Recording::from_jsonl(&text).unwrap(), recording, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn an_exchange_is_one_object() {
    let mut exchange = exchange("{\"a\":1}\n", "application/json; charset=utf-8");
    exchange.id = "one".to_owned();
    exchange.session = Some("s".to_owned());
    exchange.step = Some(1);
    exchange.operation = Some("get_tag".to_owned());
    exchange.origin = Origin::Data;
    exchange.mask.push("response.body".to_owned());
    let expected = json!({
        "id": "one", "session": "s", "step": 1, "operation": "get_tag", "origin": "data",
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
    assert_eq!(line(exchange), expected);
}

#[test]
fn every_body_keeps_its_bytes_in_the_most_readable_form() {
    let manifest = "{}";
    let exact = json!({"sha256": EMPTY_OBJECT, "size": 2, "text": "{}"});
    let binary = "ea5dbf9596d187e9500f23e9a680109475341cf4e81f7e043f7d97152c10772f";
    let binary = json!({"sha256": binary, "size": 2, "base64": "/wA="});
    for (content_type, body, request, response) in [
        ("application/json", "", json!(null), json!(null)),
        (
            "application/json",
            "{\"b\":1,\"a\":2.5}",
            json!({"b": 1, "a": 2.5}),
            json!("{\"b\":1,\"a\":2.5}"),
        ),
        ("application/json", "[1]\n", json!("[1]\n"), json!([1])),
        ("application/json", "{ }\n", json!("{ }\n"), json!("{ }\n")),
        (
            "application/json",
            "\"text\"\n",
            json!("\"text\"\n"),
            json!("\"text\"\n"),
        ),
        (
            "application/json",
            "null\n",
            json!("null\n"),
            json!("null\n"),
        ),
        (
            "application/json",
            "{\"a\":1,\"a\":2}\n",
            json!("{\"a\":1,\"a\":2}\n"),
            json!("{\"a\":1,\"a\":2}\n"),
        ),
        (
            "application/json",
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
            exact.clone(),
            exact,
        ),
    ] {
        let exchange = exchange(body, content_type);
        assert_eq!(exchange.request.bytes().unwrap(), body);
        assert_eq!(exchange.request.size(), Some(body.len() as u64));
        assert_eq!(exchange.response.as_ref().unwrap().bytes().unwrap(), body);
        let line = line(exchange);
        assert_eq!(line["request"]["body"], request, "{body}");
        assert_eq!(line["response"]["body"], response, "{body}");
    }
    let exchange = exchange(vec![0xff, 0x00], "application/octet-stream");
    assert_eq!(exchange.request.sha256().unwrap(), binary["sha256"]);
    let line = line(exchange);
    assert_eq!(line["response"]["body"], binary);
}

#[test]
fn content_length_tells_whether_json_ends_with_a_newline() {
    for (body, length, form) in [
        ("{}", Some(2), json!({})),
        ("{}\n", Some(3), json!({})),
        ("{}\n", None, json!({})),
        ("{}\n", Some(2), json!("{}\n")),
        ("{}", Some(99), json!("{}")),
        ("{}", None, json!("{}")),
    ] {
        let mut response = Response::builder().header("content-type", "application/json");
        if let Some(length) = length {
            response = response.header("content-length", length);
        }
        let request = Request::new(Bytes::new());
        let exchange = Exchange::new(request, response.body(body.into()).unwrap());
        assert_eq!(exchange.response.as_ref().unwrap().bytes().unwrap(), body);
        assert_eq!(
            line(exchange)["response"]["body"],
            form,
            "{body:?} {length:?}"
        );
    }
}

#[test]
fn a_body_that_did_not_come_to_its_end_says_so() {
    let failure = Failure::new(FailureKind::Interrupted, "gone");
    let json = json!({"kind": "interrupted", "message": "gone"});
    let mut broken = exchange("abc", "");
    broken.request.end = BodyEnd::Unread;
    broken.response.as_mut().unwrap().end = BodyEnd::Failed(failure.clone());
    let broken = line(broken);
    assert_eq!(broken["request"]["end"], "unread");
    assert_eq!(broken["response"]["end"], json);

    let mut failed = exchange("abc", "");
    (failed.response, failed.error) = (None, Some(failure));
    let failed = line(failed);
    assert_eq!(failed["response"], json!(null));
    assert_eq!(failed["error"], json);
}

#[test]
fn a_body_may_be_omitted() {
    let mut exchange = exchange("", "");
    let (sha256, size) = (Some(EMPTY_OBJECT.to_owned()), Some(2));
    exchange.request.body = Body::Omitted { sha256, size };
    let (sha256, size) = (None, None);
    exchange.response.as_mut().unwrap().body = Body::Omitted { sha256, size };
    assert_eq!(exchange.request.bytes(), None);
    assert_eq!(exchange.request.size(), Some(2));
    assert_eq!(exchange.request.sha256().unwrap(), EMPTY_OBJECT);
    let response = exchange.response.as_ref().unwrap();
    assert_eq!((response.size(), response.sha256()), (None, None));
    let line = line(exchange);
    let body = json!({"sha256": EMPTY_OBJECT, "size": 2});
    assert_eq!(line["request"]["body"], body);
    let body = json!({"sha256": null, "size": null});
    assert_eq!(line["response"]["body"], body);
}

#[test]
fn a_header_that_is_not_valid_utf_8_is_written_with_replacement_characters() {
    let mut exchange = exchange("", "");
    let value = HeaderValue::from_bytes(b"a\xff").unwrap();
    exchange.request.headers.insert("x-odd", value);
    let text = Recording::from_iter([exchange]).to_jsonl();
    let again = Recording::from_jsonl(&text).unwrap();
    let value = &again.exchanges()[0].request.headers["x-odd"];
    assert_eq!(value.as_bytes(), "a\u{fffd}".as_bytes());
}

#[test]
fn a_line_that_is_not_a_valid_exchange_is_named_with_what_is_wrong() {
    let request = |members: &str| {
        format!(
            r#"{{"request":{{"method":"GET","path":"/"{members}}},"response":{{"status":200}}}}"#
        )
    };
    let with_body = |body: &str| request(&format!(r#","body":{body}"#));
    for (line, message) in [
        ("{".to_owned(), "EOF"),
        ("7".to_owned(), "expected struct Exchange"),
        ("{}".to_owned(), "missing field `request`"),
        (
            r#"{"request":{"method":"GET","path":"/"}}"#.to_owned(),
            "none of `response`",
        ),
        (
            r#"{"request":{"path":"/"},"response":{"status":200}}"#.to_owned(),
            "missing field `method`",
        ),
        (
            r#"{"request":{"method":"GET"},"response":{"status":200}}"#.to_owned(),
            "missing field `path`",
        ),
        (
            r#"{"request":{"method":"GET","path":"x"},"response":{"status":200}}"#.to_owned(),
            "start with `/`",
        ),
        (
            r#"{"request":{"method":"GET","path":"/?a"},"response":{"status":200}}"#.to_owned(),
            "no query",
        ),
        (
            r#"{"request":{"method":"G T","path":"/"},"response":{"status":200}}"#.to_owned(),
            "invalid HTTP method",
        ),
        (
            r#"{"request":{"method":"GET","path":"/"},"response":{"status":99}}"#.to_owned(),
            "invalid status code",
        ),
        (
            r#"{"request":{"method":"GET","path":"/"},"response":{"status":"200"}}"#.to_owned(),
            "expected u16",
        ),
        (
            r#"{"request":{"method":"GET","path":"/"},"error":{"kind":"x"}}"#.to_owned(),
            "unknown variant `x`",
        ),
        (r#"{"requests":{}}"#.to_owned(), "unknown field `requests`"),
        (request(r#","quer":"""#), "unknown field `quer`"),
        (request(r#","query":1"#), "expected a string"),
        (request(r#","query":"?a=b""#), "without its `?`"),
        (
            request(r#","headers":{"a b":"x"}"#),
            "\"a b\": invalid HTTP header name",
        ),
        (
            request(r#","headers":{"a":1}"#),
            "a text or a list of texts",
        ),
        (
            request(r#","headers":{"a":"x\n"}"#),
            "\"a\": failed to parse",
        ),
        (
            request(r#","headers":{"a":"x","A":"y"}"#),
            "\"A\" is there twice",
        ),
        (
            with_body(r#"{"sha256":"zz","size":1}"#),
            "body.sha256 must be 64",
        ),
        (
            with_body(r#"{"sha256":null,"size":-1}"#),
            "body: invalid value",
        ),
        (
            with_body(r#"{"sha256":null,"size":0,"txt":""}"#),
            "unknown field `txt`",
        ),
        (
            with_body(r#"{"sha256":null,"size":1,"text":""}"#),
            "body.size must be 0",
        ),
        (
            with_body(r#"{"sha256":null,"size":1,"base64":"?"}"#),
            "body.base64",
        ),
        (
            with_body(r#"{"sha256":null,"size":0,"base64":"","text":""}"#),
            "both text and base64",
        ),
        (
            with_body(r#"{"sha256":null,"size":2,"text":"{}","json":[]}"#),
            "body.json differs",
        ),
        (
            with_body(&format!(
                r#"{{"sha256":"{}","size":2,"text":"{{}}"}}"#,
                "0".repeat(64)
            )),
            EMPTY_OBJECT,
        ),
    ] {
        let error = Recording::from_jsonl(&format!("\n{line}\n")).unwrap_err();
        assert_eq!(error.line, 2);
        assert!(error.message.contains(message), "{line}: {error}");
        assert!(!error.message.contains("at line"), "{error}");
    }
    let error = Recording::from_jsonl(r#"{"request": 7}"#).unwrap_err();
    let text = "line 1, column 13: invalid type: integer `7`, expected struct Request";
    assert_eq!(error.to_string(), text);
}

#[test]
fn lines_after_a_wrong_one_are_read() {
    let good = r#"{"request":{"method":"get","path":"/"},"response":{"status":200}}"#;
    let text = format!("{good}\n\nnonsense\n{good}\n");
    let lines: Vec<_> = read(&text).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1].as_ref().unwrap_err().line, 3);
    let (line, exchange) = lines[2].as_ref().unwrap();
    assert_eq!((*line, &exchange.request.method), (4, &http::Method::GET));
}

#[test]
fn a_file_comes_back_and_errors_name_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.jsonl");
    let recording = Recording::from_iter([exchange("abc", "")]);
    recording.save(&path).unwrap();
    assert_eq!(Recording::load(&path).unwrap(), recording);
    assert_eq!(recording.registry(), Some("r.example:8443"));

    std::fs::write(&path, "\nnonsense").unwrap();
    let error = Recording::load(&path).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    let text = error.to_string();
    assert!(text.contains("session.jsonl: line 2, column "), "{text}");
    let missing = folder.path().join("missing").join("x");
    for error in [
        Recording::load(&missing).unwrap_err(),
        recording.save(&missing).unwrap_err(),
    ] {
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        assert!(error.to_string().contains("missing"), "{error}");
    }
}

#[test]
fn a_request_and_a_response_become_those_of_http() {
    let exchange = exchange("abc", "text/plain");
    let request = exchange.request.to_http(()).unwrap();
    assert_eq!(request.uri(), "/v2/a%2Fb/x?q=%2F");
    assert_eq!(request.method(), "PUT");
    assert_eq!(request.headers()["content-type"], "text/plain");
    let response = exchange.response.unwrap().to_http("abc");
    assert_eq!((response.status().as_u16(), *response.body()), (201, "abc"));
    assert_eq!(response.headers().get_all("x-twice").iter().count(), 2);
}

/// What is written is what was read, but that names of headers are in lower case and `json` is left out.
#[test]
fn every_fixture_comes_back_as_it_was() {
    let mut count = 0;
    for file in fixtures() {
        let text = std::fs::read_to_string(&file).unwrap();
        let recording = Recording::load(&file).unwrap();
        let written = recording.to_jsonl();
        for (before, after) in text.lines().zip(written.lines()) {
            assert_eq!(normal(before), normal(after), "{}", file.display());
            count += 1;
        }
        assert_eq!(recording.exchanges().len(), text.lines().count());
    }
    assert!(count > 100, "{count}");
}

fn normal(line: &str) -> Value {
    let mut line: Value = serde_json::from_str(line).unwrap();
    for side in ["request", "response"] {
        if let Some(body) = line[side]["body"]
            .as_object_mut()
            .filter(|body| body.contains_key("sha256"))
        {
            body.remove("json");
        }
        let headers = line[side]["headers"].as_object().unwrap();
        let headers: Value = headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .collect();
        line[side]["headers"] = headers;
    }
    line
}

fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let folders = entries(&root).into_iter().filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| entries(&folder));
    files
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .collect()
}

#[test]
fn a_new_body_has_its_length_in_the_headers_if_there_was_one() {
    let mut exchange = exchange("abc", "text/plain");
    exchange.request.headers.insert("content-length", 3.into());
    exchange.request.set_body("abcd");
    assert_eq!(exchange.request.headers["content-length"], "4");
    let response = exchange.response.as_mut().unwrap();
    response.set_body("{}");
    assert_eq!(response.headers.get("content-length"), None);
    assert_eq!(response.body, Body::Text("{}".into()));
}
