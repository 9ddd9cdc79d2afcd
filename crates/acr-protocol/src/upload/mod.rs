//! Uploading a blob: start, chunks, status, completion, cancellation.
//!
//! Every response of an upload has a new [`UploadLocation`], which goes into the next request as it is: it is opaque,
//! and an old one makes the service refuse the chunk.

mod chunk_range;
mod location;

pub use chunk_range::ChunkRange;
pub use location::{InvalidUploadLocation, UploadLocation};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use http::{HeaderValue, Method, Request, Response, StatusCode, response};

use crate::auth::{Action, Scope, ScopeSet};
use crate::blob::{check_digest, number, respond_created};
use crate::digest::Digest;
use crate::error::DecodeError;
use crate::operation::{
    Describe, Operation, OperationClass, check_status, content_digest, empty_request,
    empty_response, headers, insert, required_text, text,
};
use crate::path::PathBuilder;
use crate::reference::RepositoryName;

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

    /// The response to a chunk that was sent to an old location: 416 without a body, but with the true state.
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
pub enum UploadStart {
    /// An upload is open.
    Started(UploadProgress),
    /// The blob is there already: it was mounted, or came whole with the start.
    AlreadyExists(Digest),
}

impl UploadStart {
    pub(crate) fn decode(
        head: &response::Parts,
        expected: Option<&Digest>,
    ) -> Result<Self, DecodeError> {
        if head.status != StatusCode::CREATED {
            return UploadProgress::decode(head).map(Self::Started);
        }
        if let Some(expected) = expected {
            check_digest(&head.headers, expected, 0)?;
            return Ok(Self::AlreadyExists(expected.clone()));
        }
        match content_digest(&head.headers)? {
            Some(digest) => Ok(Self::AlreadyExists(digest)),
            // What was created is the upload then.
            None => UploadProgress::decode(head).map(Self::Started),
        }
    }

    pub(crate) fn respond(&self, repository: &RepositoryName) -> Response<Bytes> {
        match self {
            Self::Started(progress) => progress.respond(StatusCode::ACCEPTED),
            Self::AlreadyExists(digest) => respond_created(repository, digest),
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
    /// An upload that nobody goes on with is noticed by nobody, and expires.
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::PULL, Action::PUSH]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for StartUpload {
    type Output = UploadStart;
    const SUCCESS: &'static [StatusCode] = STEP;

    fn request(&self) -> Request<Bytes> {
        let path = PathBuilder::new("/v2")
            .name(self.repository.as_str())
            .fixed("/blobs/uploads/");
        let mut request = empty_request(
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
        UploadStart::decode(head, self.digest.as_ref())
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
    const SUCCESS: &'static [StatusCode] = STEP;

    fn request(&self) -> Request<Bytes> {
        let mut request = empty_request(Method::PATCH, self.location.uri());
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

/// Asks how far an upload is: `GET` of its location, also of an old one. This is how to recover after a lost response.
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
    const SUCCESS: &'static [StatusCode] =
        &[StatusCode::NO_CONTENT, StatusCode::ACCEPTED, StatusCode::OK];

    fn request(&self) -> Request<Bytes> {
        empty_request(Method::GET, self.location.uri())
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
    const SUCCESS: &'static [StatusCode] =
        &[StatusCode::CREATED, StatusCode::OK, StatusCode::NO_CONTENT];

    fn request(&self) -> Request<Bytes> {
        let uri = self.digest.as_ref().map_or_else(
            || self.location.uri(),
            |digest| self.location.with_digest(digest),
        );
        let mut request = empty_request(Method::PUT, uri);
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
        check_taken(head)?;
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
        empty_request(Method::DELETE, self.location.uri())
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

/// The statuses of a step: the one that is due, and those of other registries (Pulp, ECR, `crane registry serve`).
/// With each of them a `Location` says where the upload goes on.
const STEP: &[StatusCode] = &[
    StatusCode::ACCEPTED,
    StatusCode::CREATED,
    StatusCode::NO_CONTENT,
    StatusCode::OK,
];

/// Whether a response that is not the 201 that is due says that something was taken: by its address or its digest.
/// A portal on the way responds to everything with 200.
pub(crate) fn check_taken(head: &response::Parts) -> Result<(), DecodeError> {
    let names = |name| head.headers.contains_key(name);
    if head.status == StatusCode::CREATED
        || names(&LOCATION)
        || names(&headers::DOCKER_CONTENT_DIGEST)
    {
        return Ok(());
    }
    Err(DecodeError::MissingHeader(LOCATION))
}

const OCTET_STREAM: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The announced length of a body, for callers that hold it against a chunk's range.
#[must_use]
pub fn content_length(headers: &http::HeaderMap) -> Option<u64> {
    number(headers.get(CONTENT_LENGTH)?.to_str().ok()?)
}
