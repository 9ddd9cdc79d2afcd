//! The repository's own exchanges match on acr-mock, and a mock that served otherwise would be noticed.

use std::path::Path;

use acr_client::transport::{HyperTransport, Transport as _};
use acr_mock::{AcrMock, Registry};
use acr_protocol::Digest;
use acr_record::Exchange;
use acr_verify::fidelity::replay::Send;
use acr_verify::fidelity::report::Report;
use acr_verify::fidelity::{own_files, read, replay, replay_on};
use http::header::HOST;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

#[test]
fn the_repository_s_exchanges_match_to_the_byte() {
    let exchanges = read(&own_files().unwrap()).unwrap();
    assert!(exchanges.len() > 150, "the fixtures are there");
    let report = replay(exchanges).unwrap();
    assert_eq!((report.mismatches(), report.skipped()), (0, 0), "{report}");
}

/// A server adds the headers of the connection, and names the framing.
#[test]
fn the_repository_s_uploads_and_pages_match_over_tls() {
    let mut files = own_files().unwrap();
    files.retain(|file| {
        ["upload", "paging"]
            .iter()
            .any(|area| file.parent().unwrap().ends_with(area))
    });
    let report = replay_on(read(&files).unwrap(), &over_tls).unwrap();
    assert!(report.matches() > 10, "{report}");
    assert_eq!((report.mismatches(), report.skipped()), (0, 0), "{report}");
}

fn over_tls(registry: Registry) -> acr_verify::Result<Box<Send<'static>>> {
    let mock = AcrMock::builder().registry(registry).start()?;
    let transport = HyperTransport::builder()
        .platform_roots(false)
        .root_certificate_pem(mock.ca_pem().unwrap_or_default())
        .build()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(Box::new(move |request: Request<bytes::Bytes>| {
        let (mut head, body) = request.into_parts();
        let host = head.uri.authority();
        let host = host.map_or("", |authority| authority.as_str());
        head.headers.insert(HOST, HeaderValue::try_from(host)?);
        let target = head.uri.path_and_query();
        let target = target.map_or("/", |target| target.as_str());
        head.uri = format!("https://{}{target}", mock.local_addr()).parse()?;
        runtime.block_on(async {
            let response = transport
                .send(Request::from_parts(head, body.into()))
                .await?;
            let (head, body) = response.into_parts();
            Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
        })
    }))
}

#[test]
fn a_recording_with_another_status_does_not_match() {
    let statuses = [200, 201, 202, 204, 307, 401, 404, 405, 416];
    every_change_is_noticed(|line| {
        let status = line["response"]["status"].as_u64().unwrap();
        // A refusal of a chunk that was taken differs from the response only in what recorders drop.
        let is_chunk = line["request"]["method"] == "PATCH" && status == 202;
        let others = statuses
            .iter()
            .filter(|other| **other != status && !(is_chunk && **other == 416));
        others
            .map(|other| {
                let mut line = line.clone();
                line["response"]["status"] = json!(other);
                (format!("status {other}"), line)
            })
            .collect()
    });
}

#[test]
fn a_recording_with_another_header_does_not_match() {
    every_change_is_noticed(|line| {
        let headers = line["response"]["headers"].as_object().unwrap();
        let masked = masked(line);
        let names = headers.keys().filter(|name| {
            let path = format!("response.headers.{name}");
            !masked.contains(&path) && !CHANGING.contains(&name.to_lowercase().as_str())
        });
        let mut changed = Vec::new();
        for name in names {
            for (what, value) in other_values(&headers[name]) {
                let mut line = line.clone();
                line["response"]["headers"][name] = value;
                changed.push((format!("{name} {what}"), line));
            }
        }
        let mut line = line.clone();
        line["response"]["headers"]["X-Never-Sent"] = json!("x");
        changed.push(("a further header".to_owned(), line));
        changed
    });
}

#[test]
fn a_recording_with_another_body_does_not_match() {
    every_change_is_noticed(|line| {
        let body = &line["response"]["body"];
        if masked(line).contains(&"response.body".to_owned()) || is_token(body) {
            return Vec::new();
        }
        let mut changed = Vec::new();
        let mut change = |what: &str, body: Value| {
            let mut line = line.clone();
            line["response"]["body"] = body;
            changed.push((what.to_owned(), line));
        };
        match body {
            Value::Null if line["request"]["method"] != "HEAD" => change("some", json!("x")),
            Value::String(text) => change("longer", json!(format!("{text}."))),
            Value::Object(members) if !members.contains_key("sha256") => {
                let mut more = members.clone();
                more.insert("further".to_owned(), json!(1));
                change("with a further member", Value::Object(more));
                if members.len() > 1 {
                    let turned = members.iter().rev();
                    let turned = turned.map(|(name, value)| (name.clone(), value.clone()));
                    change("in another order", Value::Object(turned.collect()));
                }
                let less = members.iter().take(members.len().saturating_sub(1));
                let less = less
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                change("without its last member", Value::Object(less));
            }
            _ => {}
        }
        changed
    });
}

/// Shapes that the fixtures do not have: other years of the service, and what other recorders hide.
#[test]
fn recordings_of_other_years_and_recorders_match() {
    let unauthorised = |message: &str, detail: Value| json!({"errors": [{"code": "UNAUTHORIZED", "message": message, "detail": detail}]});
    let (short, long) = (
        "authentication required",
        "authentication required, visit https://aka.ms/acr/authorization for more information.",
    );
    let names = json!([{"type": "repository", "name": "a", "action": "pull"}]);
    let denied = |message: &str| json!({"errors": [{"code": "DENIED", "message": message}]});
    let hidden = json!({"registry": "Sanitized.azurecr.io", "imageName": "a", "tags": null});
    let push_and_pull = json!([
        {"Type": "repository", "Name": "a", "Action": "pull"}, {"Type": "repository", "Name": "a", "Action": "push"},
        {"Type": "repository", "Name": "b", "Action": "pull"}
    ]);
    let source_first = "Bearer realm=\"https://r.azurecr.io/oauth2/token\",service=\"r.azurecr.io\",scope=\"repository:b:pull repository:a:push,pull\"";
    let transport = "max-age=31536000; includeSubDomains";
    for (what, request, response) in [
        (
            "a challenge of old",
            json!({"method": "GET", "path": "/v2/a/manifests/x"}),
            json!({"status": 401, "body": unauthorised(short, names)}),
        ),
        (
            "scopes in another order",
            json!({"method": "POST", "path": "/v2/a/blobs/uploads/", "query": "mount=sha256%3A00&from=b"}),
            json!({"status": 401, "headers": {"WWW-Authenticate": source_first}, "body": unauthorised(long, push_and_pull)}),
        ),
        (
            "a firewall that names the correlation",
            json!({"method": "GET", "path": "/v2/"}),
            json!({"status": 403, "body": denied("client with IP '192.0.2.7' is not allowed access. Refer https://aka.ms/acr/firewall to grant access. CorrelationId: 8d1e3bc5-df83-49c2-b5c6-0d03432bd614.")}),
        ),
        (
            "an identity without a role",
            json!({"method": "POST", "path": "/oauth2/exchange", "body": "grant_type=access_token&access_token=x"}),
            json!({"status": 403, "body": denied("retrieving permissions failed")}),
        ),
        (
            "an audience that was refused in 2021",
            json!({"method": "POST", "path": "/oauth2/exchange"}),
            json!({
                "status": 401, "headers": {"content-length": "78", "Retry-After": "0"},
                "body": "{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"retrieving permissions failed\"}]}"
            }),
        ),
        (
            "a token that was written anew",
            json!({"method": "POST", "path": "/oauth2/token"}),
            json!({"status": 200, "headers": {"Transfer-Encoding": "chunked"}, "body": "{\"access_token\":\"REDACTED\"}"}),
        ),
        (
            "joined lines of an empty catalogue on a connection that closes",
            json!({"method": "GET", "path": "/acr/v1/_catalog"}),
            json!({
                "status": 200, "body": {"repositories": null},
                "headers": {"Connection": "close", "Strict-Transport-Security": format!("{transport},{transport}")}
            }),
        ),
        (
            "a login server of which only the length is known",
            json!({"method": "GET", "path": "/acr/v1/a/_tags"}),
            json!({"status": 200, "headers": {"Content-Length": "78"}, "body": hidden}),
        ),
        (
            "a digest that was cut short",
            json!({"method": "GET", "path": "/v2/a/blobs/sha256:00", "headers": {"Range": "bytes=0-9"}}),
            json!({
                "status": 206, "body": {"sha256": null, "size": 10},
                "headers": {"Content-Range": "bytes 0-9/417", "x-ms-blob-type": "BlockBlob", "Server": ["Windows-Azure-Blob/1.0", "Microsoft-HTTPAPI/2.0"]}
            }),
        ),
        (
            "an update whose body was dropped",
            json!({"method": "PATCH", "path": "/acr/v1/a"}),
            json!({"status": 200, "body": {
                "registry": "r.azurecr.io", "imageName": "a", "createdTime": "2024-01-01T00:00:00Z",
                "lastUpdateTime": "2024-01-01T00:00:00Z", "manifestCount": 3, "tagCount": 1,
                "changeableAttributes": {"deleteEnabled": true, "writeEnabled": false, "readEnabled": true, "listEnabled": true}
            }}),
        ),
        (
            "a push that was refused, of which only the refusal is known",
            json!({"method": "PUT", "path": "/v2/a/manifests/v1"}),
            json!({"status": 400, "body": {"errors": [
                {"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown to registry", "detail": format!("sha256:{}", "a".repeat(64))},
                {"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown to registry", "detail": format!("sha256:{}", "b".repeat(64))}
            ]}}),
        ),
    ] {
        let report = replay_line(&json!({ "request": request, "response": response }));
        assert_eq!(report.matches(), 1, "{what}: {report}");
    }
}

/// What recorders drop of uploads is taken for any bytes of the size, unless another step shows them.
#[test]
fn uploads_of_which_only_the_sizes_are_known_match() {
    let (content, upload) = (
        "later",
        "/v2/a/blobs/uploads/5f47a34c-a896-4a74-99ee-b0cff529fd28",
    );
    let digest = Digest::sha256(content);
    let blob = format!("/v2/a/blobs/{digest}");
    let location = format!("{upload}?_nouploadcache=false&_state=REDACTED");
    let uploaded = |body: Value| {
        let shown = json!({"Docker-Content-Digest": digest, "Location": blob});
        [
            json!({
                "request": {"method": "PATCH", "path": upload, "body": body},
                "response": {"status": 202, "headers": {"Range": "0-4", "Location": location}}
            }),
            json!({
                "request": {"method": "PUT", "path": upload, "query": format!("digest={digest}")},
                "response": {"status": 201, "headers": shown}
            }),
        ]
    };
    let head = json!({
        "request": {"method": "HEAD", "path": blob},
        "response": {"status": 200, "headers": {"Content-Length": "5"}}
    });
    let get = json!({
        "request": {"method": "GET", "path": blob}, "response": {"status": 200, "body": content}
    });
    for (body, shown) in [
        (json!(content), &get),
        (json!({"sha256": null, "size": 5}), &head),
        (json!(null), &get),
    ] {
        let mut session = uploaded(body.clone()).to_vec();
        session.push(shown.clone());
        let report = replay_session(&session);
        assert_eq!(report.matches(), 3, "{body} {report}");
    }
}

#[test]
fn a_push_whose_bytes_nobody_knows_is_skipped_with_the_reason() {
    let digest = format!("sha256:{}", "a".repeat(64));
    for (method, path, body) in [
        (
            "PUT",
            "/v2/a/manifests/v1",
            json!({"sha256": "a".repeat(64), "size": 10}),
        ),
        (
            "POST",
            "/v2/a/blobs/uploads/",
            json!({"sha256": null, "size": 10}),
        ),
    ] {
        let report = replay_line(&json!({
            "request": {"method": method, "path": path, "query": format!("digest={digest}"), "body": body},
            "response": {"status": 201}
        }));
        let reason = "the request's bytes are unknown and the response depends on their digest";
        assert_eq!(report.skipped(), 1, "{report}");
        assert!(report.to_string().contains(reason), "{report}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.jsonl");
    let good = r#"{"request":{"method":"GET","path":"/v2/"},"response":{"status":401}}"#;
    std::fs::write(&path, format!("{good}\n\n{{\n")).unwrap();
    let error = read(std::slice::from_ref(&path)).unwrap_err().to_string();
    assert!(error.contains("broken.jsonl: line 3, column"), "{error}");
    let error = read(&[folder.path().join("absent.jsonl")]).unwrap_err();
    assert!(error.to_string().contains("absent.jsonl: "), "{error}");
}

/// Headers whose value changes from call to call, so that only their presence and form are compared.
const CHANGING: &[&str] = &[
    "date",
    "etag",
    "last-modified",
    "server",
    "x-ms-request-id",
    "x-ms-client-request-id",
    "x-ms-correlation-request-id",
    "x-ms-ratelimit-remaining-calls-per-second",
    "docker-upload-uuid",
];

/// What a header might have been: changed, or more or less often.
fn other_values(value: &Value) -> Vec<(&'static str, Value)> {
    match value {
        Value::String(text) => vec![
            ("changed", json!(format!("0{text}"))),
            ("twice", json!([text, text])),
        ],
        Value::Array(lines) => vec![
            ("once", lines[0].clone()),
            (
                "turned round",
                json!(lines.iter().rev().collect::<Vec<_>>()),
            ),
        ]
        .into_iter()
        .filter(|(_, other)| other != value)
        .collect(),
        _ => Vec::new(),
    }
}

fn masked(line: &Value) -> Vec<String> {
    let paths = line["mask"].as_array().into_iter().flatten();
    paths
        .filter_map(|path| path.as_str().map(str::to_owned))
        .collect()
}

fn is_token(body: &Value) -> bool {
    body.get("access_token")
        .or(body.get("refresh_token"))
        .is_some()
}

/// Replays every line of the fixtures with each of its changes, alone.
#[track_caller]
fn every_change_is_noticed(changes: impl Fn(&Value) -> Vec<(String, Value)>) {
    let (mut tried, mut unnoticed) = (0, Vec::new());
    for path in own_files().expect("the fixtures") {
        for line in lines(&path) {
            if line.get("session").is_some() {
                // Without the steps before it, it is another exchange.
                continue;
            }
            for (what, changed) in changes(&line) {
                tried += 1;
                let report = replay_line(&changed);
                if report.mismatches() != 1 {
                    unnoticed.push(format!("{}: {what}: {report}", line["id"]));
                }
            }
        }
    }
    assert!(tried > 0);
    assert!(
        unnoticed.is_empty(),
        "{} of {tried} were not noticed:\n{}",
        unnoticed.len(),
        unnoticed.join("\n")
    );
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("a file");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn replay_session(lines: &[Value]) -> Report {
    let exchanges = lines.iter().enumerate().map(|(index, line)| {
        let mut exchange: Exchange = serde_json::from_value(line.clone()).expect("a line");
        exchange.session = Some("session".to_owned());
        (format!("session:{index}"), exchange)
    });
    replay(exchanges.collect()).expect("a registry")
}

fn replay_line(line: &Value) -> Report {
    let exchange: Exchange = serde_json::from_value(line.clone()).expect("a line");
    replay(vec![("changed:1".to_owned(), exchange)]).expect("a registry")
}
