//! [`Step`]: an exchange, and what its request asks for.

use acr_protocol::{Digest, Operation, Route, RouteError};
use acr_record::{Body, Exchange, Origin, Request, Response};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use super::placeholder::is_placeholder;

/// An exchange that can be replayed.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// The exchange, without what a recorder has hidden in names and digests.
    pub(super) exchange: Exchange,
    /// The response.
    pub(super) response: Response,
    /// The operation; `None` where the path is that of none.
    pub(super) route: Option<Route>,
    /// The blob that is read at the storage that downloads are redirected to.
    pub(super) data: Option<Digest>,
}

impl Step {
    /// Reads what an exchange asks for.
    ///
    /// # Errors
    ///
    /// The reason why it cannot be replayed.
    pub(super) fn new(mut exchange: Exchange) -> Result<Self, String> {
        let unfinished = Body::Omitted {
            sha256: None,
            size: None,
        };
        if !exchange.request.end.is_complete() {
            exchange.request.body = unfinished.clone();
        }
        let response = exchange.response.clone();
        let (None, Some(mut response)) = (&exchange.skip, response) else {
            let reason = exchange.skip.as_deref();
            return Err(reason.unwrap_or("there was no response").to_owned());
        };
        if !response.end.is_complete() {
            response.body = unfinished;
        }
        let is_data = exchange.origin == Origin::Data || exchange.request.path.contains(DATA);
        let data = is_data.then(|| data_digest(&exchange.request.path));
        let step = Self {
            route: route(&exchange.request).filter(|_| !is_data),
            exchange,
            response,
            data: data.flatten(),
        };
        let depends = match &step.route {
            Some(Route::SetManifest(_)) => step.manifest().is_none(),
            Some(Route::StartUpload(operation)) => {
                operation.digest.is_some() && step.sent().is_none()
            }
            Some(Route::CompleteUpload(_)) => step.sent().is_none(),
            _ => false,
        };
        if depends && step.status() == 201 {
            let reason = "the request's bytes are unknown and the response depends on their digest";
            return Err(reason.to_owned());
        }
        Ok(step)
    }

    /// Returns the status of the response.
    pub(super) fn status(&self) -> u16 {
        self.response.status.as_u16()
    }

    /// Returns whether the response is not an error.
    pub(super) fn succeeds(&self) -> bool {
        self.status() < 400
    }

    /// Returns whether it is a request for a token.
    pub(super) fn is_token_request(&self) -> bool {
        self.exchange.request.path.starts_with("/oauth2/")
    }

    /// Returns a header of the response.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        text(&self.response.headers, name)
    }

    /// Returns a header of the request.
    pub(super) fn sent_header(&self, name: &str) -> Option<&str> {
        text(&self.exchange.request.headers, name)
    }

    /// Returns the value of a parameter of the query.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        parameter(&self.exchange.request.query, name)
    }

    /// Returns the value of a member of the request's form.
    pub(super) fn form(&self, name: &str) -> Option<String> {
        parameter(self.form_text()?, name)
    }

    /// Returns the request's form, unless a recorder has hidden it.
    pub(super) fn form_text(&self) -> Option<&str> {
        let text = match &self.exchange.request.body {
            Body::Text(text) => text,
            Body::Exact(bytes) => std::str::from_utf8(bytes).ok()?,
            _ => return None,
        };
        (!is_placeholder(text)).then_some(text)
    }

    /// Returns the bytes of the request, if they are known.
    pub(super) fn sent(&self) -> Option<Bytes> {
        let request = &self.exchange.request;
        let is_dropped = request.body == Body::Empty && self.sent_length().is_some_and(|n| n > 0);
        request.bytes().filter(|_| !is_dropped)
    }

    /// Returns the number of bytes of the request, if it is known.
    pub(super) fn sent_length(&self) -> Option<u64> {
        let request = &self.exchange.request;
        let stated = || {
            let length = self.sent_header("Content-Length");
            length.and_then(|length| length.parse().ok()).or_else(|| {
                let (first, last) = self.sent_header("Content-Range")?.split_once('-')?;
                let span = last.parse::<u64>().ok()?.checked_sub(first.parse().ok()?)?;
                Some(span + 1)
            })
        };
        match &request.body {
            Body::Empty => stated().or(Some(0)),
            _ => request.size().or_else(stated),
        }
    }

    /// Returns the bytes of a manifest that is pushed. JSON has them only if it has the digest that was accepted.
    pub(super) fn manifest(&self) -> Option<Bytes> {
        let bytes = self.sent().filter(|bytes| !bytes.is_empty())?;
        let is_json = matches!(self.exchange.request.body, Body::Json(_));
        let accepted = self.header("Docker-Content-Digest");
        let differs = |digest: &str| Digest::sha256(&bytes).as_str() != digest;
        (!(is_json && accepted.is_some_and(differs))).then_some(bytes)
    }

    /// Returns the digest in the response's headers.
    pub(super) fn digest(&self) -> Option<Digest> {
        let header = self.header("Docker-Content-Digest").or(self.header("ETag"));
        Digest::new(header?.trim_matches('"')).ok()
    }

    /// Returns the response's body as JSON; `null` if it is not.
    pub(super) fn json(&self) -> Value {
        self.response.body.json().unwrap_or_default()
    }

    /// Returns the codes of the errors in the response.
    pub(super) fn codes(&self) -> Vec<String> {
        let body = self.json();
        let errors = body["errors"].as_array().into_iter().flatten();
        let codes = errors.filter_map(|error| error["code"].as_str());
        codes.map(str::to_owned).collect()
    }

    /// Returns what the response to an operation says, if it is a success in the operation's form.
    pub(super) fn output<O: Operation>(&self, operation: &O) -> Option<O::Output> {
        let bytes = self.response.bytes().filter(|_| self.succeeds())?;
        let (head, bytes) = self.response.to_http(bytes).into_parts();
        operation.decode(&head, bytes).ok()
    }
}

/// Returns the value of a parameter of a query or form.
pub(super) fn parameter(text: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(text.as_bytes());
    let pair = pairs.find(|(known, _)| known == name);
    pair.map(|(_, value)| value.into_owned())
}

/// Returns a header as text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn route(request: &Request) -> Option<Route> {
    let (head, ()) = request.to_http(()).ok()?.into_parts();
    let route = match Route::parse(&head) {
        Ok(route) => route,
        Err(RouteError::Invalid { route, .. }) => *route,
        Err(_) => return None,
    };
    if !route.has_small_body() {
        return Some(route);
    }
    let bytes = request.bytes().unwrap_or_default();
    Some(route.clone().with_body(bytes).unwrap_or(route))
}

const DATA: &str = "//docker/registry/v2/blobs/";

/// Reads `/{registry}//docker/registry/v2/blobs/sha256/65/654b../data`.
fn data_digest(path: &str) -> Option<Digest> {
    let (_, rest) = path.split_once("/blobs/")?;
    let mut parts = rest.split('/');
    let (algorithm, _, hex) = (parts.next()?, parts.next()?, parts.next()?);
    Digest::new(format!("{algorithm}:{hex}")).ok()
}
