//! Writes the request of an exchange as bytes, with what the replay puts in the place of what was hidden.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::Value;

use super::body::Body;
use super::exchange::{Exchange, escape, pairs};
use super::state::content::filler;
use super::state::service::has_no_form;
use super::state::supposed::{codes, pushed_bytes};
use super::state::upload::{request_bytes, request_length};
use super::target::Target;

/// A request that is ready to be sent.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// In upper case.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The host.
    pub host: String,
    /// The header lines beside `Host`, `Authorization` and `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// The credential, if one is sent.
    pub authorization: Option<String>,
    /// The body.
    pub body: Bytes,
}

impl Prepared {
    /// The request of an exchange, as recorded but for its credential.
    pub fn of(exchange: &Exchange, host: &str) -> Self {
        let request = &exchange.request;
        let mut headers: Vec<(String, String)> = request
            .headers
            .iter()
            .filter(|(name, _)| !OWN.iter().any(|own| own.eq_ignore_ascii_case(name)))
            .flat_map(|(name, lines)| lines.iter().map(|line| (name.to_owned(), line.clone())))
            .collect();
        // The service gives the client's id back: who got one has sent it.
        let echoed = exchange.response.headers.first(CLIENT_ID);
        if let Some(id) = echoed.filter(|id| !id.is_empty() && !request.headers.has(CLIENT_ID)) {
            headers.push((CLIENT_ID.to_owned(), id.to_owned()));
        }
        if exchange.response.headers.first("Connection") == Some("close") {
            headers.push(("Connection".to_owned(), "close".to_owned()));
        }
        let body = body_of(exchange);
        let is_push = matches!(exchange.target, Target::Manifest { .. }) && request.method == "PUT";
        if is_push && !request.headers.has("Content-Type") {
            headers.push(("Content-Type".to_owned(), stated_type(&body)));
        }
        let mut target = request.path.clone();
        if !request.query.is_empty() {
            let _infallible = write!(target, "?{}", request.query);
        }
        Self {
            method: request.method.clone(),
            target,
            host: host.to_owned(),
            headers,
            authorization: None,
            body,
        }
    }

    /// The client's id that is sent.
    pub fn client_id(&self) -> Option<String> {
        let found = self
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(CLIENT_ID));
        found.map(|(_, value)| value.clone())
    }

    /// The bytes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\n",
            self.method,
            sendable(&self.target),
            self.host
        );
        let mut line = |name: &str, value: &str| {
            let value: String = value.chars().filter(|c| !c.is_control()).collect();
            let _infallible = write!(head, "{name}: {value}\r\n");
        };
        if let Some(authorization) = &self.authorization {
            line("Authorization", authorization);
        }
        for (name, value) in &self.headers {
            line(name, value);
        }
        if !self.body.is_empty() || matches!(self.method.as_str(), "POST" | "PUT" | "PATCH") {
            line("Content-Length", &self.body.len().to_string());
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

const CLIENT_ID: &str = "X-Ms-Client-Request-Id";

/// Headers that the replay writes by itself, and those of a connection that is no longer.
const OWN: &[&str] = &[
    "Host",
    "Authorization",
    "Content-Length",
    "Transfer-Encoding",
    "Expect",
    "Connection",
];

/// The body: the recorded bytes, or what they must have been in so far as the response tells.
fn body_of(exchange: &Exchange) -> Bytes {
    let request = &exchange.request;
    match (&exchange.target, request.method.as_str()) {
        (Target::Manifest { .. }, "PUT") => {
            let length = request_length(request).unwrap_or_default();
            pushed_bytes(exchange)
                .or_else(|| manifest_with_missing(exchange))
                .unwrap_or_else(|| filler(length))
        }
        (
            Target::Repository { .. } | Target::Tag { .. } | Target::ManifestProperties { .. },
            "PATCH",
        ) if request.body == Body::None && exchange.succeeds() => shown_attributes(exchange),
        _ => {
            let length = request_length(request).unwrap_or_default();
            request_bytes(request).unwrap_or_else(|| filler(length))
        }
    }
}

/// The type that a manifest says it has, for a push whose `Content-Type` the recorder has dropped.
fn stated_type(manifest: &[u8]) -> String {
    let manifest: Value = serde_json::from_slice(manifest).unwrap_or_default();
    let usual = match manifest.get("manifests") {
        Some(_) => "application/vnd.oci.image.index.v1+json",
        None => "application/vnd.oci.image.manifest.v1+json",
    };
    manifest["mediaType"].as_str().unwrap_or(usual).to_owned()
}

/// A manifest that names what a refusal says is missing: the config first, then the layers.
fn manifest_with_missing(exchange: &Exchange) -> Option<Bytes> {
    let is_missing = |code: &String| code == "MANIFEST_BLOB_UNKNOWN";
    if !codes(exchange).iter().any(is_missing) {
        return None;
    }
    let body = exchange.response.body.json()?;
    let digests = body["errors"].as_array()?.iter();
    let mut blobs = digests.filter_map(|error| error["detail"].as_str()).map(|digest| {
        serde_json::json!({ "mediaType": "application/octet-stream", "size": 1, "digest": digest })
    });
    let config = blobs.next()?;
    let media_type = exchange.request.headers.first("Content-Type");
    let media_type = media_type.unwrap_or("application/vnd.oci.image.manifest.v1+json");
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": blobs.collect::<Vec<_>>()
    });
    Some(manifest.to_string().into())
}

/// The switches that a response shows: an update whose body the recorder dropped has set some of them.
fn shown_attributes(exchange: &Exchange) -> Bytes {
    let body = exchange.response.body.json().unwrap_or_default();
    let shown = [&body, &body["tag"], &body["manifest"]]
        .into_iter()
        .find_map(|object| object["changeableAttributes"].as_object());
    let switches = shown.into_iter().flatten();
    let switches = switches.filter(|(_, value)| value.is_boolean());
    let change: serde_json::Map<String, Value> = switches
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Value::Object(change).to_string().into()
}

/// The form of a token request, with other values for some of its members.
pub fn form(exchange: &Exchange, service: &str, tokens: &[(&str, String)]) -> Bytes {
    let mut members = match &exchange.request.body {
        body if !has_no_form(exchange) => pairs(body.text().unwrap_or_default()),
        // The recorder has taken the form out: the least that such a request needs.
        _ if exchange.target == Target::Exchange => {
            let members = [("grant_type", "access_token"), ("service", service)];
            members
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        }
        _ => {
            let members = [
                ("grant_type", "refresh_token"),
                ("service", service),
                ("scope", ""),
            ];
            members
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        }
    };
    for (name, value) in tokens {
        match members.iter_mut().find(|(member, _)| member == name) {
            Some((_, old)) => old.clone_from(value),
            None => members.push(((*name).to_owned(), value.clone())),
        }
    }
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect();
    members.join("&").into()
}

/// A target without characters that cannot stand in a request line.
fn sendable(target: &str) -> String {
    let mut text = String::with_capacity(target.len());
    for c in target.chars() {
        if c.is_ascii_graphic()
            && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
        {
            text.push(c);
        } else {
            text.push_str(&escape(c.encode_utf8(&mut [0; 4])));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn exchange(request: Value, response: Value) -> Exchange {
        let line = json!({ "request": request, "response": response });
        Exchange::read("f:1", &line.to_string()).expect("a line")
    }

    #[test]
    fn a_request_is_sent_as_recorded_with_a_credential_and_a_length_of_our_own() {
        let exchange = exchange(
            json!({
                "method": "PATCH", "path": "/acr/v1/a b/_tags/x", "query": "q=1",
                "headers": {"Authorization": "Bearer REDACTED", "content-length": "9", "A": ["1", "2"]},
                "body": {"writeEnabled": false}
            }),
            json!({"status": 202, "headers": {"x-ms-client-request-id": "7"}}),
        );
        let mut prepared = Prepared::of(&exchange, "h");
        prepared.authorization = Some("Bearer t".to_owned());
        let text = String::from_utf8(prepared.bytes()).expect("text");
        assert_eq!(
            text,
            "PATCH /acr/v1/a%20b/_tags/x?q=1 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer t\r\nA: 1\r\nA: 2\r\n\
             X-Ms-Client-Request-Id: 7\r\nContent-Length: 22\r\n\r\n{\"writeEnabled\":false}"
        );
    }

    #[test]
    fn a_body_that_is_not_known_is_what_the_answer_tells_of_it() {
        let dropped = exchange(
            json!({"method": "PATCH", "path": "/acr/v1/a"}),
            json!({"status": 200, "body": {"changeableAttributes": {"writeEnabled": true, "x": "y"}}}),
        );
        assert_eq!(Prepared::of(&dropped, "h").body, "{\"writeEnabled\":true}");
        let missing = exchange(
            json!({"method": "PUT", "path": "/v2/a/manifests/x"}),
            json!({"status": 400, "body": {"errors": [
                {"code": "MANIFEST_BLOB_UNKNOWN", "detail": "sha256:1"}, {"code": "MANIFEST_BLOB_UNKNOWN", "detail": "sha256:2"}
            ]}}),
        );
        let body: Value = serde_json::from_slice(&Prepared::of(&missing, "h").body).expect("JSON");
        assert_eq!(body["config"]["digest"], "sha256:1");
        assert_eq!(body["layers"][0]["digest"], "sha256:2");
    }

    #[test]
    fn a_form_keeps_its_members_and_their_order() {
        let exchange = exchange(
            json!({
                "method": "POST", "path": "/oauth2/token",
                "body": "grant_type=refresh_token&refresh_token=REDACTED&scope=repository%3Aa%3Apull%2Cpush+x"
            }),
            json!({"status": 200}),
        );
        let form = form(&exchange, "h", &[("refresh_token", "a/b".to_owned())]);
        assert_eq!(
            form,
            "grant_type=refresh_token&refresh_token=a%2Fb&scope=repository%3Aa%3Apull%2Cpush%20x"
        );
    }
}
