//! The repository's own exchanges match on acr-mock, and a mock that answered otherwise would be noticed.

use std::path::Path;

use acr_harness::fidelity::exchange::Exchange;
use acr_harness::fidelity::report::Report;
use acr_harness::fidelity::{own_files, read, replay};
use serde_json::{Value, json};

#[test]
fn the_repository_s_exchanges_match_to_the_byte() {
    let exchanges = read(&own_files().unwrap()).unwrap();
    assert!(exchanges.len() > 150, "the fixtures are there");
    let report = replay(exchanges).unwrap();
    assert_eq!((report.mismatches(), report.skipped()), (0, 0), "{report}");
}

#[test]
fn a_recording_with_another_status_does_not_match() {
    let statuses = [200, 201, 202, 204, 307, 401, 404, 405, 416];
    every_change_is_noticed(|line| {
        let status = line["response"]["status"].as_u64().unwrap();
        // A refusal of a chunk that was taken differs from the answer only in what recorders drop.
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

#[test]
fn a_file_that_cannot_be_read_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.jsonl");
    let good = r#"{"request":{"method":"GET","path":"/v2/"},"response":{"status":401}}"#;
    std::fs::write(&path, format!("{good}\n\n{{\n")).unwrap();
    let error = read(std::slice::from_ref(&path)).unwrap_err();
    assert!(error.contains("broken.jsonl:3: is not JSON"), "{error}");
    let error = read(&[folder.path().join("absent.jsonl")]).unwrap_err();
    assert!(error.contains("absent.jsonl: cannot be read"), "{error}");
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

fn replay_line(line: &Value) -> Report {
    let exchange = Exchange::read("changed:1", &line.to_string()).expect("a line");
    replay(vec![exchange]).expect("a mock")
}
