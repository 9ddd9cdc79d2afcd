//! [`Exchange`]: one line of an exchange file, read leniently; what cannot be read is named with its place.

use std::path::Path;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::body::Body;
use super::target::Target;

/// A request and its recorded response.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The line's name; its place, if it has none.
    pub id: String,
    /// File and line.
    pub place: String,
    /// What it is about; that of its path, if the line does not say.
    pub area: String,
    /// Exchanges of one session are played in order on one registry.
    pub session: Option<String>,
    /// The place in the session.
    pub step: u64,
    /// Whether the request goes to the data origin.
    pub to_data: bool,
    /// Parts that nobody may compare, such as `response.headers.Content-Length`.
    pub mask: Vec<String>,
    /// Why the line cannot be replayed.
    pub skip: Option<String>,
    /// What was sent.
    pub request: Request,
    /// What was served.
    pub response: Response,
    /// What the request's path names.
    pub target: Target,
}

/// What was sent.
#[derive(Clone, Debug)]
pub struct Request {
    /// In upper case.
    pub method: String,
    /// As it was written.
    pub path: String,
    /// Without its `?`.
    pub query: String,
    /// Recorders drop some.
    pub headers: Headers,
    /// What of it is known.
    pub body: Body,
}

/// What was served. Its default stands for no response.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The number; 0 if there was no response.
    pub status: u16,
    /// Recorders drop some.
    pub headers: Headers,
    /// What of it is known.
    pub body: Body,
}

impl Exchange {
    /// Reads a line. `place` says where it stands.
    ///
    /// # Errors
    ///
    /// What is missing or of the wrong form, without the place.
    pub fn read(place: &str, line: &str) -> Result<Self, String> {
        let value: Value =
            serde_json::from_str(line).map_err(|error| format!("is not JSON: {error}"))?;
        let object = value.as_object().ok_or("is no JSON object")?;
        let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
        let request = member(object, "request")?;
        let response = match object.get("response") {
            // Nothing was served, as the line says.
            None | Some(Value::Null) if object.contains_key("skip") => None,
            _ => Some(member(object, "response")?),
        };
        let request = Request {
            method: string(request, "request", "method")?.to_ascii_uppercase(),
            path: string(request, "request", "path")?,
            query: optional(request, "request", "query")?
                .trim_start_matches('?')
                .to_owned(),
            headers: Headers::read(request.get("headers"))
                .map_err(|error| format!("request.{error}"))?,
            body: body(request).map_err(|error| format!("request.{error}"))?,
        };
        if !request.path.starts_with('/') {
            return Err(format!(
                "request.path {:?} does not start with a slash",
                request.path
            ));
        }
        let response = match response {
            Some(response) => Response::read(response)?,
            None => Response::default(),
        };
        let mask = match object.get("mask") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(path)) => vec![path.clone()],
            Some(Value::Array(paths)) if paths.iter().all(Value::is_string) => paths
                .iter()
                .filter_map(|path| path.as_str().map(str::to_owned))
                .collect(),
            Some(_) => return Err("mask is no list of texts".to_owned()),
        };
        let to_data = object.get("origin").and_then(Value::as_str) == Some("data")
            || request.path.contains("//docker/registry/v2/blobs/");
        let target = Target::of(&request.method, &request.path, &request.query, to_data);
        Ok(Self {
            id: text("id").unwrap_or_else(|| place.to_owned()),
            place: place.to_owned(),
            area: text("area").unwrap_or_else(|| target.area(response.status).to_owned()),
            session: text("session"),
            step: object
                .get("step")
                .and_then(Value::as_u64)
                .unwrap_or_default(),
            to_data,
            mask,
            skip: text("skip"),
            request,
            response,
            target,
        })
    }

    /// Reads a file, a line at a time; blank lines are passed over.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or a line of it; the message begins with the place.
    pub fn read_file(path: &Path) -> Result<Vec<Self>, String> {
        let text = std::fs::read(path)
            .map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
        let text = String::from_utf8(text)
            .map_err(|error| format!("{}: is not UTF-8: {error}", path.display()))?;
        let lines = text.lines().enumerate();
        let exchanges = lines
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(number, line)| {
                let place = format!("{}:{}", path.display(), number + 1);
                Self::read(&place, line).map_err(|error| format!("{place}: {error}"))
            });
        exchanges.collect()
    }

    /// Whether the line forbids to compare this part, such as `response.headers.date`.
    pub fn masks(&self, part: &str) -> bool {
        self.mask.iter().any(|path| path.eq_ignore_ascii_case(part))
    }

    /// Whether nothing is missing of what the response supposes: it is not a refusal.
    pub fn succeeds(&self) -> bool {
        (100..400).contains(&self.response.status)
    }
}

impl Response {
    fn read(response: &Map<String, Value>) -> Result<Self, String> {
        let status = response.get("status").and_then(Value::as_u64);
        Ok(Self {
            status: status
                .and_then(|status| u16::try_from(status).ok())
                .filter(|status| (100..600).contains(status))
                .ok_or("response.status is no status of HTTP")?,
            headers: Headers::read(response.get("headers"))
                .map_err(|error| format!("response.{error}"))?,
            body: body(response).map_err(|error| format!("response.{error}"))?,
        })
    }
}

/// Header lines by name, in the order of the recording. Names are compared without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, Vec<String>)>);

impl Headers {
    fn read(value: Option<&Value>) -> Result<Self, String> {
        let mut headers = Self::default();
        let object = match value {
            None | Some(Value::Null) => return Ok(headers),
            Some(Value::Object(object)) => object,
            Some(_) => return Err("headers is no object".to_owned()),
        };
        for (name, value) in object {
            let lines = match value {
                Value::Array(lines) => lines.iter().map(line_of).collect::<Option<Vec<_>>>(),
                value => line_of(value).map(|line| vec![line]),
            };
            let lines = lines.ok_or_else(|| format!("headers.{name} is no text"))?;
            match headers
                .0
                .iter_mut()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
            {
                Some((_, known)) => known.extend(lines),
                None => headers.0.push((name.clone(), lines)),
            }
        }
        Ok(headers)
    }

    /// Names and lines.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0
            .iter()
            .map(|(name, lines)| (name.as_str(), lines.as_slice()))
    }

    /// The lines of a header; none if it was not recorded.
    pub fn all(&self, name: &str) -> &[String] {
        let found = self
            .0
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or(&[], |(_, lines)| lines)
    }

    /// The first line of a header.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.all(name).first().map(String::as_str)
    }

    /// Changes every line.
    pub(super) fn change(&mut self, change: impl Fn(&str) -> String) {
        for line in self.0.iter_mut().flat_map(|(_, lines)| lines) {
            *line = change(line);
        }
    }

    /// Whether the header was recorded.
    pub fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }
}

/// `a=b&c=d`, decoded, in order. It is the form of queries and of the bodies at the token endpoints.
pub fn pairs(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (
                unescape(&name.replace('+', " ")),
                unescape(&value.replace('+', " ")),
            )
        })
        .collect()
}

/// The value of a parameter in a query or form.
pub fn parameter(text: &str, name: &str) -> Option<String> {
    pairs(text)
        .into_iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value)
}

/// Takes percent escapes out.
pub fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = text
            .get(at + 1..at + 3)
            .filter(|hex| bytes[at] == b'%' && !hex.starts_with('+'));
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Escapes everything but letters, digits and `-._~`.
pub fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _infallible = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

/// The bytes of a text.
pub fn bytes_of(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn line_of(value: &Value) -> Option<String> {
    match value {
        Value::String(line) => Some(line.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(word) => Some(word.to_string()),
        _ => None,
    }
}

/// The body of a side. One that did not come to its `end` is not known, although its beginning may be.
fn body(side: &Map<String, Value>) -> Result<Body, String> {
    let body = Body::read(side.get("body"))?;
    Ok(match side.get("end") {
        None | Some(Value::Null) => body,
        Some(_) => Body::Unknown {
            sha256: None,
            size: None,
        },
    })
}

fn member<'a>(
    object: &'a Map<String, Value>,
    name: &str,
) -> Result<&'a Map<String, Value>, String> {
    let member = object.get(name).and_then(Value::as_object);
    member.ok_or_else(|| format!("has no object `{name}`"))
}

fn string(object: &Map<String, Value>, side: &str, name: &str) -> Result<String, String> {
    let text = object.get(name).and_then(Value::as_str);
    text.filter(|text| !text.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| format!("has no text `{side}.{name}`"))
}

fn optional(object: &Map<String, Value>, side: &str, name: &str) -> Result<String, String> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(format!("{side}.{name} is no text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_least_form_is_read() {
        let line = r#"{"request":{"method":"get","path":"/v2/"},"response":{"status":200,"headers":{"A":"1","a":["2"]}}}"#;
        let exchange = Exchange::read("f:3", line).expect("a line");
        assert_eq!(
            (exchange.id.as_str(), exchange.request.method.as_str()),
            ("f:3", "GET")
        );
        assert_eq!(exchange.response.headers.all("A"), ["1", "2"]);
        assert_eq!(exchange.response.body, Body::None);
    }

    #[test]
    fn a_line_that_cannot_be_read_says_what_is_wrong() {
        for (line, problem) in [
            ("{", "is not JSON"),
            ("[]", "is no JSON object"),
            ("{}", "has no object `request`"),
            (
                r#"{"request":{"path":"/"},"response":{"status":200}}"#,
                "has no text `request.method`",
            ),
            (
                r#"{"request":{"method":"GET","path":"x"},"response":{"status":200}}"#,
                "does not start with a slash",
            ),
            (
                r#"{"request":{"method":"GET","path":"/"},"response":{"status":"200"}}"#,
                "response.status",
            ),
            (
                r#"{"request":{"method":"GET","path":"/"},"response":{"status":200,"headers":{"A":{}}}}"#,
                "response.headers.A is no text",
            ),
            (
                r#"{"request":{"method":"GET","path":"/"},"response":{"status":200,"body":{"sha256":3,"size":1}}}"#,
                "response.body.sha256",
            ),
        ] {
            let error = Exchange::read("f:1", line).expect_err(line);
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn what_a_recorder_has_not_seen_to_its_end_is_not_known() {
        let cut = r#"{"request":{"method":"PUT","path":"/","body":"ab","end":"unread"},"response":{"status":200,"body":"ab","end":{"kind":"interrupted"}}}"#;
        let exchange = Exchange::read("f:1", cut).expect("a line");
        let unknown = Body::Unknown {
            sha256: None,
            size: None,
        };
        assert_eq!(exchange.request.body, unknown);
        assert_eq!(exchange.response.body, unknown);

        let none =
            r#"{"skip":"no response","request":{"method":"GET","path":"/"},"response":null}"#;
        let exchange = Exchange::read("f:1", none).expect("a line");
        assert_eq!(exchange.response.status, 0);
        assert!(!exchange.succeeds());
        let none = none.replace("\"skip\":\"no response\",", "");
        let error = Exchange::read("f:1", &none).expect_err("no response and no reason");
        assert!(error.contains("has no object `response`"), "{error}");
    }

    #[test]
    fn escapes_are_taken_out_and_put_in() {
        assert_eq!(unescape("a%2Fb%3Ac%zz%+1%"), "a/b:c%zz%+1%");
        assert_eq!(escape("a/b c"), "a%2Fb%20c");
        assert_eq!(
            parameter("a=1&scope=x%3Ay+z&b", "scope").as_deref(),
            Some("x:y z")
        );
    }
}
