//! Uploading a blob: start, chunks, status, completion, cancellation.
//!
//! Every answer of an upload has a new [`UploadLocation`], which goes into the next request as it is: it is opaque,
//! and an old one makes the service refuse the chunk.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, response};
use serde::{Deserialize, Deserializer};

use crate::auth::{Action, Scope, ScopeSet};
use crate::blob::{InvalidRange, check_digest, number, respond_created};
use crate::digest::Digest;
use crate::error::{DecodeError, excerpt};
use crate::operation::{
    Describe, Operation, OperationClass, bare, check_status, content_digest, empty_response,
    headers, insert, required_text, text,
};
use crate::path::{PathBuilder, query_value, without};
use crate::reference::RepositoryName;
use crate::text::text_traits;

/// Where an upload goes on: the `Location` of its latest answer, as it came. ACR's is relative and has a query.
#[derive(Clone, PartialEq, Eq)]
pub struct UploadLocation(Box<str>);

impl UploadLocation {
    /// Takes the text of a location that was kept.
    ///
    /// # Errors
    /// The text is neither a path from the root nor an absolute URL, holds a user or a fragment, or is longer than
    /// 60,000 characters.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidUploadLocation> {
        let text = text.as_ref();
        let fits = |uri: Uri| match uri.authority() {
            // A host without a scheme, such as `name:443`, parses as well, but nothing can be appended to it.
            Some(authority) => uri.scheme().is_some() && !authority.as_str().contains('@'),
            None => text.starts_with('/'),
        };
        // The length leaves room for the digest within what a URI can hold.
        if text.len() <= 60_000 && !text.contains('#') && text.parse().is_ok_and(fits) {
            Ok(Self(text.into()))
        } else {
            let path = text.split(['?', '#']).next().unwrap_or_default();
            // A password may stand before an `@`.
            let shown = path.rsplit('@').next().unwrap_or_default();
            Err(InvalidUploadLocation {
                text: excerpt(shown),
            })
        }
    }

    /// The location that ACR gives for an upload: relative, with the state as a query parameter, whose text is opaque.
    #[must_use]
    pub fn acr(repository: &RepositoryName, uuid: &str, state: &str) -> Self {
        Self(
            upload_path(repository, uuid)
                .query("_nouploadcache", "false")
                .query("_state", state)
                .uri()
                .to_string()
                .into(),
        )
    }

    /// The URL reference.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the upload: the last segment of the path.
    #[must_use]
    pub fn uuid(&self) -> &str {
        let path = self.0.split('?').next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    }

    /// A parameter of the query, such as ACR's `_state`.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        query_value(self.0.split_once('?')?.1, name)
    }

    /// The location that a request went to, kept to the letter but for the digest. Only where the path escapes what
    /// need not be escaped is it written anew, so that the id can be read off its end.
    pub(crate) fn from_request(uri: &Uri, repository: &RepositoryName, uuid: &str) -> Self {
        let query = uri
            .query()
            .map(|query| without(query, "digest"))
            .filter(|query| !query.is_empty());
        let path = if uri.path().rsplit('/').next() == Some(uuid) {
            uri.path().to_owned()
        } else {
            upload_path(repository, uuid).uri().to_string()
        };
        Self(match query {
            Some(query) => format!("{path}?{query}").into(),
            None => path.into(),
        })
    }

    fn uri(&self) -> Uri {
        // Both ways in have parsed it.
        self.0.parse().unwrap_or_default()
    }

    /// The location with the digest behind its query: appended, since the query is there already.
    fn with_digest(&self, digest: &Digest) -> Uri {
        let separator = if self.0.contains('?') { '&' } else { '?' };
        let pair: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("digest", digest.as_str())
            .finish();
        format!("{}{separator}{pair}", self.0)
            .parse()
            .unwrap_or_default()
    }
}

text_traits!(UploadLocation);

impl FromStr for UploadLocation {
    type Err = InvalidUploadLocation;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for UploadLocation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

fn upload_path(repository: &RepositoryName, uuid: &str) -> PathBuilder {
    PathBuilder::new("/v2")
        .name(repository.as_str())
        .fixed("/blobs/uploads")
        .segment(uuid)
}

/// The text is no location of an upload. Its query is not shown: it may hold a signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the location of an upload")]
pub struct InvalidUploadLocation {
    text: String,
}

/// How far an upload is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadProgress {
    /// Where it goes on.
    pub location: UploadLocation,
    /// The last byte that the registry holds, counted from 0 and inclusive, as its `Range` says: `0-0` stands both for
    /// one byte and for none, so this alone cannot tell a fresh upload from one of a single byte. `None` where the
    /// registry sent no range.
    pub last_byte: Option<u64>,
    /// The smallest chunk that the registry takes, in bytes (but for the last), where it says so.
    pub minimum_chunk: Option<u64>,
}

impl UploadProgress {
    fn decode(head: &response::Parts) -> Result<Self, DecodeError> {
        let location = required_text(&head.headers, &LOCATION)?;
        let location = UploadLocation::new(location).map_err(|error| {
            // The value may hold a signature in its query, so the error names only what comes before.
            DecodeError::Header {
                name: LOCATION,
                value: String::new(),
                reason: error.to_string(),
            }
        })?;
        let last_byte = match text(&head.headers, &RANGE)? {
            Some(range) => {
                // `bytes=0-9` is seen from other servers.
                let ends = range
                    .strip_prefix("bytes=")
                    .unwrap_or(&range)
                    .split_once('-');
                let last =
                    ends.and_then(|(first, last)| (number(first)? == 0).then_some(number(last)?));
                Some(last.ok_or_else(|| {
                    DecodeError::header(RANGE, &head.headers[&RANGE], "not \"0-last\"")
                })?)
            }
            None => None,
        };
        let minimum_chunk = text(&head.headers, &headers::OCI_CHUNK_MIN_LENGTH)?
            .as_deref()
            .and_then(number);
        Ok(Self {
            location,
            last_byte,
            minimum_chunk,
        })
    }

    fn respond(&self, status: StatusCode) -> Response<Bytes> {
        let mut response = empty_response(status);
        insert(
            &mut response,
            headers::DOCKER_UPLOAD_UUID,
            self.location.uuid(),
        );
        insert(&mut response, LOCATION, self.location.as_str());
        if let Some(last) = self.last_byte {
            insert(&mut response, RANGE, &format!("0-{last}"));
        }
        if let Some(minimum) = self.minimum_chunk {
            response
                .headers_mut()
                .insert(headers::OCI_CHUNK_MIN_LENGTH, HeaderValue::from(minimum));
        }
        response
    }

    /// The answer to a chunk that was sent to an old location: 416 without a body, but with the true state.
    #[must_use]
    pub fn respond_stale(&self) -> Response<Bytes> {
        let mut response = self.respond(StatusCode::RANGE_NOT_SATISFIABLE);
        response
            .headers_mut()
            .insert(CONTENT_TYPE, crate::operation::JSON_UTF8);
        response
    }
}

/// What a start or a mount has led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartedUpload {
    /// An upload is open.
    Open(UploadProgress),
    /// The blob is there already: it was mounted, or came whole with the start.
    Created(Digest),
}

impl StartedUpload {
    pub(crate) fn decode(
        head: &response::Parts,
        expected: Option<&Digest>,
    ) -> Result<Self, DecodeError> {
        if head.status != StatusCode::CREATED {
            return UploadProgress::decode(head).map(Self::Open);
        }
        if let Some(expected) = expected {
            check_digest(&head.headers, expected, 0)?;
            return Ok(Self::Created(expected.clone()));
        }
        let digest = content_digest(&head.headers)?;
        digest
            .map(Self::Created)
            .ok_or(DecodeError::MissingHeader(headers::DOCKER_CONTENT_DIGEST))
    }

    pub(crate) fn respond(&self, repository: &RepositoryName) -> Response<Bytes> {
        match self {
            Self::Open(progress) => progress.respond(StatusCode::ACCEPTED),
            Self::Created(digest) => respond_created(repository, digest),
        }
    }
}

/// Begins an upload, or with a digest sends the whole blob at once: `POST /v2/{name}/blobs/uploads/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StartUpload {
    /// The repository that shall hold the blob.
    pub repository: RepositoryName,
    /// The digest of the blob that follows in the body; `None` to send it later. The request's body is the caller's to add.
    pub digest: Option<Digest>,
}

impl Describe for StartUpload {
    const NAME: &'static str = "start_upload";
    const CLASS: OperationClass = OperationClass::Blob;
    const IDEMPOTENT: bool = false;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::PULL, Action::PUSH]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for StartUpload {
    type Output = StartedUpload;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::ACCEPTED, StatusCode::CREATED];

    fn request(&self) -> Request<Bytes> {
        let path = PathBuilder::new("/v2")
            .name(self.repository.as_str())
            .fixed("/blobs/uploads/");
        let mut request = bare(
            Method::POST,
            path.query_opt("digest", self.digest.as_ref()).uri(),
        );
        if self.digest.is_some() {
            request.headers_mut().insert(CONTENT_TYPE, OCTET_STREAM);
        }
        request
    }

    fn decode(&self, head: &response::Parts, _body: Bytes) -> Result<Self::Output, DecodeError> {
        check_status(head, Self::SUCCESS)?;
        StartedUpload::decode(head, self.digest.as_ref())
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        output.respond(&self.repository)
    }
}

/// Sends a chunk: `PATCH` to the upload's location. The request's body is the caller's to add.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UploadChunk {
    /// The repository that the upload belongs to.
    pub repository: RepositoryName,
    /// Where the upload goes on.
    pub location: UploadLocation,
    /// Which bytes the chunk holds. Without it the chunk is appended.
    pub range: Option<ChunkRange>,
}

impl Describe for UploadChunk {
    const NAME: &'static str = "upload_chunk";
    const CLASS: OperationClass = OperationClass::Blob;
    const IDEMPOTENT: bool = false;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::PULL, Action::PUSH]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for UploadChunk {
    type Output = UploadProgress;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::ACCEPTED];

    fn request(&self) -> Request<Bytes> {
        let mut request = bare(Method::PATCH, self.location.uri());
        request.headers_mut().insert(CONTENT_TYPE, OCTET_STREAM);
        if let Some(Ok(value)) = self
            .range
            .map(|range| HeaderValue::try_from(range.to_string()))
        {
            request.headers_mut().insert(CONTENT_RANGE, value);
        }
        request
    }

    fn decode(&self, head: &response::Parts, _body: Bytes) -> Result<Self::Output, DecodeError> {
        check_status(head, Self::SUCCESS)?;
        UploadProgress::decode(head)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        output.respond(StatusCode::ACCEPTED)
    }
}

/// Asks how far an upload is: `GET` of its location, also of an old one. This is how to recover after a lost answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GetUploadStatus {
    /// The repository that the upload belongs to.
    pub repository: RepositoryName,
    /// A location of the upload.
    pub location: UploadLocation,
}

impl Describe for GetUploadStatus {
    const NAME: &'static str = "get_upload_status";
    const CLASS: OperationClass = OperationClass::Blob;
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::PULL]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for GetUploadStatus {
    type Output = UploadProgress;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::NO_CONTENT];

    fn request(&self) -> Request<Bytes> {
        bare(Method::GET, self.location.uri())
    }

    fn decode(&self, head: &response::Parts, _body: Bytes) -> Result<Self::Output, DecodeError> {
        check_status(head, Self::SUCCESS)?;
        UploadProgress::decode(head)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        output.respond(StatusCode::NO_CONTENT)
    }
}

/// Ends an upload and commits the blob: `PUT` to its location with `digest=`. The body may hold the last, or the only, bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CompleteUpload {
    /// The repository that the upload belongs to.
    pub repository: RepositoryName,
    /// Where the upload goes on.
    pub location: UploadLocation,
    /// The digest of the whole blob. `None` only where a server parses a request that lacks it.
    pub digest: Option<Digest>,
    /// Which bytes the body holds, where it holds any.
    pub range: Option<ChunkRange>,
}

impl Describe for CompleteUpload {
    const NAME: &'static str = "complete_upload";
    const CLASS: OperationClass = OperationClass::Blob;
    const IDEMPOTENT: bool = false;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::PULL, Action::PUSH]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for CompleteUpload {
    /// The digest of the blob.
    type Output = Digest;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::CREATED];

    fn request(&self) -> Request<Bytes> {
        let uri = self.digest.as_ref().map_or_else(
            || self.location.uri(),
            |digest| self.location.with_digest(digest),
        );
        let mut request = bare(Method::PUT, uri);
        request.headers_mut().insert(CONTENT_TYPE, OCTET_STREAM);
        if let Some(Ok(value)) = self
            .range
            .map(|range| HeaderValue::try_from(range.to_string()))
        {
            request.headers_mut().insert(CONTENT_RANGE, value);
        }
        request
    }

    fn decode(&self, head: &response::Parts, _body: Bytes) -> Result<Self::Output, DecodeError> {
        check_status(head, Self::SUCCESS)?;
        let promised = content_digest(&head.headers)?;
        match (&self.digest, promised) {
            (Some(digest), _) => check_digest(&head.headers, digest, 0).map(|()| digest.clone()),
            (None, Some(promised)) => Ok(promised),
            (None, None) => Err(DecodeError::MissingHeader(headers::DOCKER_CONTENT_DIGEST)),
        }
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        respond_created(&self.repository, output)
    }
}

/// Gives an upload up: `DELETE` of its location. ACR asks for `delete` here, not for `push`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CancelUpload {
    /// The repository that the upload belongs to.
    pub repository: RepositoryName,
    /// A location of the upload.
    pub location: UploadLocation,
}

impl Describe for CancelUpload {
    const NAME: &'static str = "cancel_upload";
    const CLASS: OperationClass = OperationClass::Delete;
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::DELETE]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for CancelUpload {
    type Output = ();
    const SUCCESS: &'static [StatusCode] = &[StatusCode::NO_CONTENT];

    fn request(&self) -> Request<Bytes> {
        bare(Method::DELETE, self.location.uri())
    }

    fn decode(&self, head: &response::Parts, _body: Bytes) -> Result<Self::Output, DecodeError> {
        check_status(head, Self::SUCCESS)
    }

    fn respond(&self, _output: &Self::Output) -> Response<Bytes> {
        let mut response = empty_response(StatusCode::NO_CONTENT);
        insert(
            &mut response,
            headers::DOCKER_UPLOAD_UUID,
            self.location.uuid(),
        );
        response
    }
}

/// The bytes of a blob that a chunk holds, as a `Content-Range` without a unit: `0-255`. ACR refuses the form with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkRange {
    /// The first byte, counted from 0.
    pub first: u64,
    /// The last byte, inclusive.
    pub last: u64,
}

impl ChunkRange {
    /// The range of `length` bytes from `offset` on; `None` where there are none.
    #[must_use]
    pub fn new(offset: u64, length: u64) -> Option<Self> {
        let last = offset.checked_add(length.checked_sub(1)?)?;
        Some(Self {
            first: offset,
            last,
        })
    }

    /// How many bytes it spans; none where the last comes before the first.
    #[must_use]
    pub fn length(self) -> u64 {
        let behind_first = self.last.checked_sub(self.first);
        behind_first.map_or(0, |bytes| bytes.saturating_add(1))
    }
}

impl fmt::Display for ChunkRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for ChunkRange {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ends = text
            .split_once('-')
            .and_then(|(first, last)| Some((number(first)?, number(last)?)));
        match ends {
            Some((first, last)) if first <= last => Ok(Self { first, last }),
            _ => Err(InvalidRange {
                text: excerpt(text),
                expected: "the range of a chunk such as \"0-255\"",
            }),
        }
    }
}

const OCTET_STREAM: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The announced length of a body, for callers that hold it against a chunk's range.
#[must_use]
pub fn content_length(headers: &http::HeaderMap) -> Option<u64> {
    number(headers.get(CONTENT_LENGTH)?.to_str().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_appended_to_the_query_that_is_there() {
        let (repository, digest) = (RepositoryName::new("a/b").unwrap(), Digest::sha256(b""));
        let location = UploadLocation::acr(&repository, "0f30", "abc=");
        assert_eq!(
            location,
            "/v2/a/b/blobs/uploads/0f30?_nouploadcache=false&_state=abc%3D"
        );
        assert_eq!(
            (location.uuid(), location.parameter("_state").as_deref()),
            ("0f30", Some("abc="))
        );
        let uri = location.with_digest(&digest);
        assert!(uri.to_string().contains("&digest=sha256%3Ae3b0"), "{uri}");
        assert_eq!(
            UploadLocation::from_request(&uri, &repository, "0f30"),
            location
        );
        let escaped = Uri::from_static("/v2/a%2Fb%2Fblobs%2Fuploads%2F0f30?_state=abc%3D&digest=x");
        assert_eq!(
            UploadLocation::from_request(&escaped, &repository, "0f30"),
            "/v2/a/b/blobs/uploads/0f30?_state=abc%3D"
        );
        let bare = UploadLocation::new("/v2/a/b/blobs/uploads/1").unwrap();
        assert!(
            bare.with_digest(&digest)
                .to_string()
                .contains("/1?digest=sha256%3A")
        );
    }

    #[test]
    fn what_is_no_location_is_refused_without_its_query() {
        let long = format!("/{}", "a".repeat(60_000));
        for text in [
            "",
            "*",
            "a b",
            "/x#y",
            "http://[",
            "/x y?_state=secret",
            "/x y#secret",
            "https://user:secret@r.example/x",
            "r.example",
            "r.example:443",
            "mailto:x",
            "uploads/0f30",
            "?_state=secret",
            &long,
        ] {
            let error = UploadLocation::new(text).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        for text in [
            "/x",
            "/x?y",
            "https://r.example/x",
            "https://r.example",
            "//r.example/x",
        ] {
            let location = UploadLocation::new(text).unwrap();
            assert_eq!(location, text);
            let with_digest = location.with_digest(&Digest::sha512(b""));
            assert_ne!(
                with_digest.path_and_query().map(|path| path.as_str()),
                Some("/")
            );
        }
    }

    #[test]
    fn chunk_ranges_round_trip() {
        assert_eq!(ChunkRange::new(0, 256).unwrap().to_string(), "0-255");
        assert_eq!("22-41".parse::<ChunkRange>().unwrap().length(), 20);
        assert_eq!(ChunkRange::new(5, 0), None);
        assert_eq!(ChunkRange::new(u64::MAX, 2), None);
        for text in [
            "",
            "-1--1",
            "1",
            "2-1",
            "bytes 0-1/2",
            "bytes=0-1",
            "0-",
            "-5",
        ] {
            assert!(text.parse::<ChunkRange>().is_err(), "{text}");
        }
    }
}
