use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value};

use super::KINDS;
use super::body::{self, Place};
use crate::transport::record::Recording;
use crate::transport::record::exchange::{
    BodyEnd, RecordedBody, RecordedError, RecordedExchange, RecordedRequest, RecordedResponse,
};

/// Reads a recording. An error names the line, and what is wrong with it.
pub(crate) fn read(text: &str) -> Result<Recording, String> {
    let mut exchanges = Vec::new();
    let mut name = None;
    let mut dropped = [0; 2];
    let lines = text.lines().zip(1..);
    for (line, number) in lines.filter(|(line, _)| !line.trim().is_empty()) {
        let here = |problem: String| format!("line {number}: {problem}");
        let line: Value =
            serde_json::from_str(line).map_err(|error| here(format!("is not JSON: {error}")))?;
        let line = line
            .as_object()
            .ok_or_else(|| here("is no JSON object".to_owned()))?;
        exchanges.push(exchange(line).map_err(here)?);
        let session = line.get("session").and_then(Value::as_str);
        name = name.or(session.map(str::to_owned));
        for (sum, member) in dropped.iter_mut().zip(["dropped_before", "dropped_after"]) {
            *sum += line.get(member).and_then(Value::as_u64).unwrap_or_default();
        }
    }
    let recording = Recording::with(exchanges, dropped[0], dropped[1]);
    Ok(match name {
        Some(name) => recording.named(&name),
        None => recording,
    })
}

/// Whether an answer in JSON ends with a newline, as far as path and status tell. All do but the ping's.
pub(super) fn has_newline(path: &str, status: StatusCode) -> bool {
    path != "/v2/" || !status.is_success()
}

fn exchange(line: &Map<String, Value>) -> Result<RecordedExchange, String> {
    let request = line
        .get("request")
        .and_then(Value::as_object)
        .ok_or("has no object `request`")?;
    let request = request_of(request).map_err(|error| format!("request.{error}"))?;
    let outcome = match (line.get("response"), line.get("error")) {
        (Some(Value::Object(response)), _) => {
            let response = response_of(response, &request.path);
            Ok(response.map_err(|error| format!("response.{error}"))?)
        }
        (_, Some(error)) => Err(error_of(error)?),
        _ => return Err("has neither an object `response` nor an `error`".to_owned()),
    };
    let mut exchange = RecordedExchange::with(request, outcome);
    exchange.operation = line
        .get("operation")
        .and_then(Value::as_str)
        .map(str::to_owned);
    exchange.to_data = line.get("origin").is_some_and(|origin| origin == "data");
    exchange.mask = match line.get("mask") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(part)) => vec![part.clone()],
        Some(parts) => texts(parts).ok_or("mask is no list of texts")?,
    };
    Ok(exchange)
}

fn request_of(object: &Map<String, Value>) -> Result<RecordedRequest, String> {
    let method = text(object, "method")?.ok_or("method is missing")?;
    let path = text(object, "path")?.ok_or("path is missing")?;
    if !path.starts_with('/') {
        return Err(format!("path {path:?} does not start with a slash"));
    }
    let headers = headers_of(object)?;
    let place = Place {
        headers: &headers,
        newline: false,
    };
    let (body, end) = body_of(object, place)?;
    Ok(RecordedRequest {
        method: Method::from_bytes(method.to_ascii_uppercase().as_bytes())
            .map_err(|error| format!("method: {error}"))?,
        path,
        query: text(object, "query")?
            .unwrap_or_default()
            .trim_start_matches('?')
            .to_owned(),
        headers,
        body,
        end,
    })
}

fn response_of(object: &Map<String, Value>, path: &str) -> Result<RecordedResponse, String> {
    let status = object.get("status").and_then(Value::as_u64);
    let status = status
        .and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok())
        .ok_or("status is no status of HTTP")?;
    let headers = headers_of(object)?;
    let place = Place {
        headers: &headers,
        newline: has_newline(path, status),
    };
    let (body, end) = body_of(object, place)?;
    Ok(RecordedResponse {
        status,
        headers,
        body,
        end,
    })
}

fn body_of(
    object: &Map<String, Value>,
    place: Place<'_>,
) -> Result<(RecordedBody, BodyEnd), String> {
    let body = body::read(object.get("body").unwrap_or(&Value::Null), place)?;
    let end = match object.get("end") {
        None | Some(Value::Null) => BodyEnd::Complete,
        Some(Value::String(end)) if end == "unread" => BodyEnd::Unread,
        Some(error) => BodyEnd::Broken(error_of(error)?),
    };
    Ok((body, end))
}

fn error_of(value: &Value) -> Result<RecordedError, String> {
    let kind = KINDS.iter().find(|(_, name)| value["kind"] == *name);
    let (kind, _) = kind.ok_or_else(|| {
        let names = KINDS.map(|(_, name)| name);
        format!("error.kind is none of {names:?}")
    })?;
    let message = value["message"].as_str().unwrap_or_default();
    Ok(RecordedError::new(*kind, message))
}

fn headers_of(object: &Map<String, Value>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let lines = match object.get("headers") {
        None | Some(Value::Null) => return Ok(headers),
        Some(lines) => lines.as_object().ok_or("headers is no object")?,
    };
    for (name, lines) in lines {
        let key = HeaderName::from_bytes(name.as_bytes());
        let key = key.map_err(|error| format!("headers: {name:?} is no name: {error}"))?;
        let lines = match lines {
            Value::String(line) => Some(vec![line.clone()]),
            lines => texts(lines),
        };
        for line in lines.ok_or_else(|| format!("headers.{name} is no text or list of texts"))? {
            let value = HeaderValue::from_bytes(line.as_bytes());
            headers.append(
                &key,
                value.map_err(|error| format!("headers.{name}: {error}"))?,
            );
        }
    }
    Ok(headers)
}

fn text(object: &Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("{name} is no text")),
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let texts = value.as_array()?.iter();
    texts.map(|text| text.as_str().map(str::to_owned)).collect()
}
