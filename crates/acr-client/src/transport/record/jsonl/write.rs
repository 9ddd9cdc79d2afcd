use http::HeaderMap;
use serde_json::{Map, Value, json};

use super::KINDS;
use super::body::{self, Place};
use super::read::has_newline;
use crate::transport::record::Recording;
use crate::transport::record::exchange::{BodyEnd, RecordedError, RecordedExchange};

/// Writes a recording, a line for each exchange.
pub(crate) fn write(recording: &Recording) -> String {
    let (before, after) = recording.dropped_at_the_ends();
    let last = recording.exchanges().len();
    let lines = recording
        .exchanges()
        .iter()
        .zip(1..)
        .map(|(exchange, step)| {
            let mut line = line(recording.name(), step, exchange);
            for (name, dropped, place) in [
                ("dropped_before", before, 1),
                ("dropped_after", after, last),
            ] {
                if dropped > 0 && step == place {
                    line.insert(name.to_owned(), dropped.into());
                }
            }
            format!("{}\n", Value::Object(line))
        });
    lines.collect()
}

fn line(name: &str, step: usize, exchange: &RecordedExchange) -> Map<String, Value> {
    let mut line = Map::new();
    let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
    let operation = exchange.operation.as_deref().unwrap_or("exchange");
    put(
        "id",
        format!("{name}-{step:04}-{}", operation.replace('_', "-")).into(),
    );
    put(
        "source",
        concat!("recorded by acr-client ", env!("CARGO_PKG_VERSION")).into(),
    );
    put("session", name.into());
    put("step", step.into());
    if let Some(operation) = &exchange.operation {
        put("operation", operation.as_str().into());
    }
    if exchange.to_data {
        put("origin", "data".into());
    }
    let request = &exchange.request;
    let place = Place {
        headers: &request.headers,
        newline: false,
    };
    let mut sent = json!({
        "method": request.method.as_str(),
        "path": request.path,
        "query": request.query,
        "headers": headers(&request.headers),
        "body": body::write(&request.body, place),
    });
    put_end(&mut sent, &request.end);
    put("request", sent);
    match &exchange.outcome {
        Ok(response) => {
            let place = Place {
                headers: &response.headers,
                newline: has_newline(&request.path, response.status),
            };
            let mut answered = json!({
                "status": response.status.as_u16(),
                "headers": headers(&response.headers),
                "body": body::write(&response.body, place),
            });
            put_end(&mut answered, &response.end);
            put("response", answered);
        }
        Err(failure) => {
            put("response", Value::Null);
            put("error", error(failure));
            put("skip", "there was no answer".into());
        }
    }
    if !exchange.mask.is_empty() {
        put("mask", exchange.mask.clone().into());
    }
    line
}

fn put_end(side: &mut Value, end: &BodyEnd) {
    match end {
        BodyEnd::Complete => {}
        BodyEnd::Unread => side["end"] = "unread".into(),
        BodyEnd::Broken(failure) => side["end"] = error(failure),
    }
}

fn error(error: &RecordedError) -> Value {
    let kind = KINDS.iter().find(|(kind, _)| *kind == error.kind);
    let kind = kind.map_or("other", |(_, name)| name);
    json!({"kind": kind, "message": error.message})
}

fn headers(headers: &HeaderMap) -> Value {
    let mut lines = Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter();
        let mut values: Vec<Value> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into())
            .collect();
        let value = match values.len() {
            1 => values.remove(0),
            _ => Value::Array(values),
        };
        lines.insert(name.as_str().to_owned(), value);
    }
    Value::Object(lines)
}
