//! Uploads of a session: they are opened and filled by requests, since locations are the registry's own.

use std::collections::BTreeMap;

use acr_protocol::{Digest, Route};
use bytes::Bytes;
use http::{Method, Request, Response};

use super::replay::Send;
use super::state::State;
use super::step::{Step, parameter, text};
use crate::Result;

/// The open uploads, by their ids in the recording.
#[derive(Default)]
pub(super) struct Uploads(BTreeMap<String, Upload>);

/// An open upload.
struct Upload {
    id: String,
    /// The locations that it had, with the bytes that it then held, the newest last.
    locations: Vec<(usize, String)>,
    /// The bytes that were sent.
    sent: Vec<u8>,
}

/// Where a request on an upload goes in the replay.
pub(super) struct Target {
    /// The upload's id.
    pub(super) id: String,
    /// Path and query.
    pub(super) path_and_query: String,
    /// The digest that the content really has, where filler stands for the recorded one.
    pub(super) digest: Option<(Digest, Digest)>,
}

impl Uploads {
    /// Leads a request on an upload to a location of the replay. An upload that no step has opened, or that holds
    /// other bytes than the step needs, is opened by `send`; nothing must lock the repository meanwhile.
    ///
    /// # Errors
    ///
    /// The upload cannot be opened.
    pub(super) fn target(
        &mut self,
        step: &Step,
        body: &Bytes,
        state: &State<'_>,
        send: &mut Send<'_>,
    ) -> Result<Option<Target>> {
        let request = &step.exchange.request;
        let (Some(route), Some(recorded)) = (&step.route, upload_id(&request.path)) else {
            return Ok(None);
        };
        let path = |id: &str| request.path.replacen(recorded, id, 1);
        let Some(repository) = route
            .repository()
            .filter(|_| !matches!(step.status(), 401 | 403 | 404))
        else {
            let known = self.0.get(recorded);
            return Ok(known.map(|upload| Target {
                id: upload.id.clone(),
                path_and_query: format!("{}?{}", path(&upload.id), request.query),
                digest: None,
            }));
        };
        let digest = match route {
            Route::CompleteUpload(operation) if step.status() == 201 => {
                operation.digest.clone().or_else(|| step.digest())
            }
            _ => None,
        };
        let held = held(step);
        let open = self.0.get(recorded).map(|upload| upload.sent.len() as u64);
        if open.is_none_or(|open| held.is_some_and(|held| held != open)) {
            let is_whole = digest.as_ref() == Some(&Digest::sha256(body)) && !body.is_empty();
            // A blob whose size is shown elsewhere was uploaded whole.
            let rest = || state.size(digest.as_ref()?)?.checked_sub(body.len() as u64);
            let held = if is_whole {
                0
            } else {
                held.or_else(rest).unwrap_or_default()
            };
            let filler = vec![b' '; usize::try_from(held.min(1 << 30))?];
            let at = first_byte(step).and_then(|first| usize::try_from(first).ok());
            let upload = Upload::open(repository.as_str(), &filler, at.unwrap_or_default(), send)?;
            self.0.insert(recorded.to_owned(), upload);
        }
        let upload = &self.0[recorded];
        let mut claimed = digest.and_then(|digest| {
            let whole = Digest::sha256([&upload.sent, &body[..]].concat());
            (digest != whole).then_some((whole, digest))
        });
        if let Some((_, digest)) = &claimed
            && body.is_empty()
            && let Some(real) = state.bytes(digest)
            && real.len() == upload.sent.len()
            && Digest::sha256(&real) == *digest
        {
            // The recorder dropped what was sent, but another step shows it.
            let upload = Upload::open(repository.as_str(), &real, 0, send)?;
            self.0.insert(recorded.to_owned(), upload);
            claimed = None;
        }
        let upload = &self.0[recorded];
        let location = upload.location(step).ok_or("the upload has no location")?;
        let state = location.split_once('?').map_or("", |(_, query)| query);
        let kept = request.query.split('&').filter(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            !["", "_state", "_nouploadcache"].contains(&name)
        });
        let mut query: Vec<String> = [state].into_iter().chain(kept).map(str::to_owned).collect();
        if let Some((whole, digest)) = &claimed {
            for pair in query.iter_mut().skip(1) {
                if parameter(pair, "digest").as_deref() == Some(digest.as_str()) {
                    *pair = format!("digest={whole}");
                }
            }
        }
        Ok(Some(Target {
            id: upload.id.clone(),
            path_and_query: format!("{}?{}", path(&upload.id), query.join("&")),
            digest: claimed,
        }))
    }

    /// Notes what has become of an upload.
    pub(super) fn note(&mut self, step: &Step, body: &Bytes, response: &Response<Bytes>) {
        let location = text(response.headers(), "Location").unwrap_or_default();
        match (&step.route, response.status().as_u16()) {
            (Some(Route::StartUpload(_) | Route::MountBlob(_)), 202) => {
                let recorded = step.header("Docker-Upload-Uuid");
                let recorded = recorded.or_else(|| upload_id(step.header("Location")?));
                if let (Some(recorded), Some(upload)) = (recorded, Upload::at(location)) {
                    self.0.insert(recorded.to_owned(), upload);
                }
            }
            (Some(_), status) => {
                let Some(recorded) = upload_id(&step.exchange.request.path) else {
                    return;
                };
                let upload = self.0.get_mut(recorded);
                match (step.exchange.request.method.as_str(), status, upload) {
                    ("PATCH", 202, Some(upload)) => upload.append(body, location),
                    ("PUT", 201, _) | ("DELETE", 200..=299, _) => {
                        self.0.remove(recorded);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

impl Upload {
    fn at(location: &str) -> Option<Self> {
        Some(Self {
            id: upload_id(location)?.to_owned(),
            locations: vec![(0, location.to_owned())],
            sent: Vec::new(),
        })
    }

    /// Opens an upload that holds these bytes, sent in two chunks of which the first has `first` bytes.
    fn open(repository: &str, bytes: &[u8], first: usize, send: &mut Send<'_>) -> Result<Self> {
        let start = format!("/v2/{repository}/blobs/uploads/");
        let started = send(request(Method::POST, &start, Bytes::new())?)?;
        let location = text(started.headers(), "Location").unwrap_or_default();
        let mut upload = Self::at(location).ok_or("no upload can be opened")?;
        let (first, rest) = bytes.split_at(first.min(bytes.len()));
        for chunk in [first, rest].into_iter().filter(|chunk| !chunk.is_empty()) {
            let (_, location) = upload
                .locations
                .last()
                .ok_or("the upload has no location")?;
            let chunk = Bytes::copy_from_slice(chunk);
            let response = send(request(Method::PATCH, location, chunk.clone())?)?;
            let location = text(response.headers(), "Location");
            upload.append(&chunk, location.ok_or("the upload takes no bytes")?);
        }
        Ok(upload)
    }

    fn append(&mut self, bytes: &[u8], location: &str) {
        self.sent.extend_from_slice(bytes);
        self.locations.push((self.sent.len(), location.to_owned()));
    }

    /// The location that a request went to: the newest, one of before, or one whose state was tampered with.
    fn location(&self, step: &Step) -> Option<String> {
        let newest = self
            .locations
            .last()
            .map(|(_, location)| location.clone())?;
        let codes = step.codes();
        if codes.iter().any(|code| code == "BLOB_UPLOAD_INVALID") {
            let (before, _) = newest.split_once("_state=")?;
            return Some(format!("{before}_state=dGFtcGVyZWQ%3D"));
        }
        if step.status() == 416 && codes.is_empty() && step.header("Range").is_some() {
            // A chunk that comes twice begins where the first of it began.
            let at = first_byte(step).unwrap_or_default();
            let same = self
                .locations
                .iter()
                .find(|(held, _)| *held as u64 == at && *held < self.sent.len());
            return same
                .or(self.locations.first())
                .map(|(_, location)| location.clone());
        }
        Some(newest)
    }
}

/// Returns the id of the upload that a location or path names.
pub(super) fn upload_id(location: &str) -> Option<&str> {
    let path = location.split('?').next()?;
    let (_, id) = path.split_once("/blobs/uploads/")?;
    Some(id).filter(|id| !id.is_empty() && !id.contains('/'))
}

fn request(method: Method, target: &str, body: Bytes) -> Result<Request<Bytes>> {
    Ok(Request::builder().method(method).uri(target).body(body)?)
}

/// The number of bytes that an upload held before a request, if that can be told.
fn held(step: &Step) -> Option<u64> {
    let last = step.header("Range").and_then(last_byte);
    match (step.exchange.request.method.as_str(), step.status()) {
        ("PATCH", 202) => {
            let length = step.sent_length();
            match (last, length) {
                // Nothing and one byte look the same.
                (Some(0), Some(0)) => Some(0),
                (Some(last), Some(length)) => Some((last + 1).saturating_sub(length)),
                _ => first_byte(step),
            }
        }
        ("GET", 204) => last.filter(|last| *last > 0).map(|last| last + 1),
        ("PUT", 201) => first_byte(step),
        (_, 416) => {
            let body = step.json();
            let reason = body["errors"][0]["detail"]["Reason"].as_str();
            let wanted = reason.and_then(|reason| reason.rsplit_once("should start at "));
            let wanted = wanted.and_then(|(_, start)| start.trim().parse().ok());
            wanted.or(last.map(|last| if last == 0 { 0 } else { last + 1 }))
        }
        _ => None,
    }
}

/// The first byte of the chunk that is sent.
fn first_byte(step: &Step) -> Option<u64> {
    let range = step.sent_header("Content-Range")?;
    range.split('-').next()?.parse().ok()
}

/// The last byte of a `Range` such as `0-21`.
fn last_byte(range: &str) -> Option<u64> {
    let range = range.trim_start_matches("bytes=");
    range.split_once('-')?.1.parse().ok()
}
