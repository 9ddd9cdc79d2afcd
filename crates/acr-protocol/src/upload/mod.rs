//! Uploading a blob: start, chunks, status, completion, cancellation; and mounting one that another repository has.
//!
//! Every response of an upload has a new [`UploadLocation`], which goes into the next request as it is: it is opaque,
//! and an old one makes the service refuse the chunk.

mod chunk_range;
mod location;

pub use chunk_range::ChunkRange;
pub use location::{InvalidUploadLocation, UploadLocation};

use bytes::Bytes;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use http::{HeaderValue, Method, Request, Response, StatusCode, request, response};

use crate::auth::scope::{Action, Scope, ScopeSet};
use crate::blob::respond_created;
use crate::digest::Digest;
use crate::error::{DecodeError, InvalidRequest};
use crate::http_parts::{
    JSON_UTF8, OCTET_STREAM, check_digest, check_taken, content_digest, empty_response, headers,
    insert, number, required_text, text,
};
use crate::operation::{DELETE, Operation, OperationClass as Class, PULL, PUSH, Spec};
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
        response.headers_mut().insert(CONTENT_TYPE, JSON_UTF8);
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

/// Takes a blob over from another repository without sending it: `POST /v2/{name}/blobs/uploads/?mount=&from=`.
///
/// Where the source does not hold it, the registry begins an ordinary upload in its stead.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MountBlob {
    /// The repository that shall hold it.
    pub repository: RepositoryName,
    /// Which blob.
    pub digest: Digest,
    /// The repository that holds it. Optional in OCI; ACR then always begins an upload.
    pub from: Option<RepositoryName>,
}

impl Operation for MountBlob {
    /// Mounted twice is mounted once; an upload that is opened instead and not gone on with expires.
    const SPEC: Spec = Spec::new("mount_blob", Class::Blob, PUSH)
        .success(&[StatusCode::CREATED, StatusCode::ACCEPTED]);
    type Output = UploadStart;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn reference(&self) -> Option<&str> {
        Some(self.digest.as_str())
    }

    fn scope(&self) -> ScopeSet {
        let target = Scope::repository(&self.repository, [Action::PULL, Action::PUSH]);
        let source = self
            .from
            .as_ref()
            .map(|source| Scope::repository(source, [Action::PULL]));
        std::iter::once(target).chain(source).collect()
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        uploads_path(&self.repository)
            .query_opt("from", self.from.as_ref())
            .query("mount", self.digest.as_str())
            .request(Method::POST)
    }

    fn read(&self, head: &response::Parts, _body: Bytes) -> Result<Self::Output, DecodeError> {
        UploadStart::decode(head, Some(&self.digest))
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        output.respond(&self.repository)
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

impl Operation for StartUpload {
    /// An upload that nobody goes on with is noticed by nobody, and expires.
    const SPEC: Spec = Spec::new("start_upload", Class::Blob, PUSH).success(STEP);
    type Output = UploadStart;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        let mut request = uploads_path(&self.repository)
            .query_opt("digest", self.digest.as_ref())
            .builder(Method::POST);
        if self.digest.is_some() {
            request = request.header(CONTENT_TYPE, OCTET_STREAM);
        }
        Ok(request.body(Bytes::new())?)
    }

    fn read(&self, head: &response::Parts, _body: Bytes) -> Result<Self::Output, DecodeError> {
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

impl Operation for UploadChunk {
    const SPEC: Spec = Spec::new("upload_chunk", Class::Blob, PUSH)
        .success(STEP)
        .not_idempotent();
    type Output = UploadProgress;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        content_request(Request::patch(self.location.as_str()), self.range)
    }

    fn read(&self, head: &response::Parts, _body: Bytes) -> Result<Self::Output, DecodeError> {
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

impl Operation for GetUploadStatus {
    const SPEC: Spec = Spec::new("get_upload_status", Class::Blob, PULL).success(&[
        StatusCode::NO_CONTENT,
        StatusCode::ACCEPTED,
        StatusCode::OK,
    ]);
    type Output = UploadProgress;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        Ok(Request::get(self.location.as_str()).body(Bytes::new())?)
    }

    fn read(&self, head: &response::Parts, _body: Bytes) -> Result<Self::Output, DecodeError> {
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

impl Operation for CompleteUpload {
    const SPEC: Spec = Spec::new("complete_upload", Class::Blob, PUSH)
        .success(&[StatusCode::CREATED, StatusCode::OK, StatusCode::NO_CONTENT])
        .not_idempotent();
    /// The digest of the blob.
    type Output = Digest;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn reference(&self) -> Option<&str> {
        self.digest.as_ref().map(Digest::as_str)
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        let request = match &self.digest {
            Some(digest) => Request::put(self.location.with_digest(digest)),
            None => Request::put(self.location.as_str()),
        };
        content_request(request, self.range)
    }

    fn read(&self, head: &response::Parts, _body: Bytes) -> Result<Self::Output, DecodeError> {
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

impl Operation for CancelUpload {
    const SPEC: Spec =
        Spec::new("cancel_upload", Class::Delete, DELETE).success(&[StatusCode::NO_CONTENT]);
    type Output = ();

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        Ok(Request::delete(self.location.as_str()).body(Bytes::new())?)
    }

    fn read(&self, _head: &response::Parts, _body: Bytes) -> Result<Self::Output, DecodeError> {
        Ok(())
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

fn uploads_path(repository: &RepositoryName) -> PathBuilder {
    PathBuilder::new("/v2")
        .name(repository.as_str())
        .fixed("/blobs/uploads/")
}

/// A request whose body, with the bytes of this range, is the caller's to add.
fn content_request(
    mut request: request::Builder,
    range: Option<ChunkRange>,
) -> Result<Request<Bytes>, InvalidRequest> {
    request = request.header(CONTENT_TYPE, OCTET_STREAM);
    if let Some(range) = range {
        request = request.header(CONTENT_RANGE, range.to_string());
    }
    Ok(request.body(Bytes::new())?)
}
