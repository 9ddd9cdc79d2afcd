//! Blobs: getting them whole or in part, asking for them, mounting them from another repository, deleting them.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, response};

use crate::auth::{Action, Scope, ScopeSet};
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{DecodeError, ErrorCode, ErrorEnvelope, RegistryError, excerpt, was_there};
use crate::media_type::MediaType;
use crate::operation::{
    Describe, Operation, OperationClass, check_status, content_digest, empty_request,
    empty_response, headers, insert, json_response, required_length, required_text, text,
};
use crate::path::PathBuilder;
use crate::reference::RepositoryName;
use crate::upload::UploadStart;
use crate::verify::DigestMismatch;

/// Gets a blob or a part of it: `GET /v2/{name}/blobs/{digest}`.
///
/// ACR responds with 307 to a storage origin, which must not be sent the registry's token; others respond to 200 or 206 at once.
/// The content is a stream, so there is [`GetBlob::decode_head`] in the place of an `Operation`.
#[doc(alias = "download_blob")]
#[doc(alias = "DownloadBlobContent")]
#[doc(alias = "DownloadBlobStreaming")]
#[doc(alias = "DownloadBlobTo")]
#[doc(alias = "downloadStream")]
#[doc(alias = "GetChunk")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GetBlob {
    /// Which repository.
    pub repository: RepositoryName,
    /// Which blob.
    pub digest: Digest,
    /// Which part; `None` for the whole.
    pub range: Option<ByteRange>,
}

impl Describe for GetBlob {
    const NAME: &'static str = "get_blob";
    const CLASS: OperationClass = OperationClass::Blob;
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::PULL]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl GetBlob {
    /// The statuses that mean success.
    pub const SUCCESS: &'static [StatusCode] = &[StatusCode::OK, StatusCode::PARTIAL_CONTENT];

    /// The request: method, path, and the range.
    #[must_use]
    pub fn request(&self) -> Request<Bytes> {
        let mut request =
            empty_request(Method::GET, blob_path(&self.repository, &self.digest).uri());
        if let Some(range) = self.range {
            insert_header(request.headers_mut(), RANGE, &range.to_string());
        }
        request
    }

    /// Reads the head of the response. A server may respond to a range with the whole (200).
    ///
    /// # Errors
    /// [`DecodeError`]: the status is no success, or a header is missing or malformed.
    pub fn decode_head(&self, head: &response::Parts) -> Result<BlobHead, DecodeError> {
        check_status(head, Self::SUCCESS)?;
        let content_length = match required_length(&head.headers) {
            Ok(length) => Some(length),
            Err(DecodeError::MissingHeader(_)) => None,
            Err(error) => return Err(error),
        };
        let content_range = if head.status == StatusCode::PARTIAL_CONTENT {
            let range = required_text(&head.headers, &CONTENT_RANGE)?;
            Some(range.parse().map_err(|error: InvalidRange| {
                DecodeError::header(CONTENT_RANGE, &head.headers[&CONTENT_RANGE], error)
            })?)
        } else {
            None
        };
        Ok(BlobHead {
            content_length,
            content_range,
        })
    }
}

/// What the head of a blob's response says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobHead {
    /// How many bytes follow, where it is said.
    pub content_length: Option<u64>,
    /// Which part follows; `None` where it is the whole blob.
    pub content_range: Option<ContentRange>,
}

/// The part of a blob that is asked for, as a `Range` header of one range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteRange {
    /// From the first byte to the last, both inclusive, counted from 0 (`bytes=0-999`).
    FromTo(u64, u64),
    /// From this byte on (`bytes=1000-`).
    From(u64),
    /// The last so many bytes (`bytes=-500`).
    Last(u64),
}

impl ByteRange {
    /// The first and the last byte of this part of a blob of `size` bytes, clipped to its end; `None` where no byte fits.
    #[must_use]
    pub fn within(self, size: u64) -> Option<(u64, u64)> {
        let last = size.checked_sub(1)?;
        match self {
            Self::FromTo(from, to) if from <= to && from <= last => Some((from, to.min(last))),
            Self::From(from) if from <= last => Some((from, last)),
            Self::Last(count) if count > 0 => Some((size.saturating_sub(count), last)),
            _ => None,
        }
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromTo(from, to) => write!(f, "bytes={from}-{to}"),
            Self::From(from) => write!(f, "bytes={from}-"),
            Self::Last(count) => write!(f, "bytes=-{count}"),
        }
    }
}

impl FromStr for ByteRange {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = || InvalidRange {
            text: excerpt(text),
            expected: "one range such as \"bytes=0-999\"",
        };
        let (from, to) = text
            .strip_prefix("bytes=")
            .and_then(|range| range.trim().split_once('-'))
            .ok_or_else(fail)?;
        match (from, to) {
            ("", count) => number(count).map(Self::Last),
            (from, "") => number(from).map(Self::From),
            (from, to) => number(from)
                .zip(number(to))
                .map(|(from, to)| Self::FromTo(from, to)),
        }
        .ok_or_else(fail)
    }
}

/// The part of a blob that a response holds, as a `Content-Range` header: `bytes 0-999/1472`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentRange {
    /// The first byte, counted from 0.
    pub first: u64,
    /// The last byte, inclusive.
    pub last: u64,
    /// How long the whole blob is, where it is said.
    pub size: Option<u64>,
}

impl ContentRange {
    /// How many bytes it spans; none where the last comes before the first.
    #[must_use]
    pub const fn length(self) -> u64 {
        match self.last.checked_sub(self.first) {
            // A server may send the largest number there is, where it does not say how long the blob is.
            Some(behind_first) => behind_first.saturating_add(1),
            None => 0,
        }
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes {}-{}/", self.first, self.last)?;
        match self.size {
            Some(size) => write!(f, "{size}"),
            None => f.write_str("*"),
        }
    }
}

impl FromStr for ContentRange {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
            let (first, last) = range.split_once('-')?;
            let (first, last) = (number(first)?, number(last)?);
            let size = if size == "*" {
                None
            } else {
                Some(number(size)?)
            };
            (first <= last && size.is_none_or(|size| last < size)).then_some(Self {
                first,
                last,
                size,
            })
        };
        parse().ok_or_else(|| InvalidRange {
            text: excerpt(text),
            expected: "\"bytes first-last/size\"",
        })
    }
}

/// The text is no range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct InvalidRange {
    pub(crate) text: String,
    pub(crate) expected: &'static str,
}

/// Asks whether a blob is there, and how long it is: `HEAD /v2/{name}/blobs/{digest}`. Never redirected, ranges are ignored.
#[doc(alias = "CheckBlobExists")]
#[doc(alias = "CheckChunkExists")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeadBlob {
    /// Which repository.
    pub repository: RepositoryName,
    /// Which blob.
    pub digest: Digest,
}

impl Describe for HeadBlob {
    const NAME: &'static str = "head_blob";
    const CLASS: OperationClass = OperationClass::Blob;
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::PULL]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for HeadBlob {
    type Output = Descriptor;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::OK];

    fn request(&self) -> Request<Bytes> {
        empty_request(
            Method::HEAD,
            blob_path(&self.repository, &self.digest).uri(),
        )
    }

    fn decode(&self, head: &response::Parts, _body: Bytes) -> Result<Self::Output, DecodeError> {
        check_status(head, Self::SUCCESS)?;
        let size = required_length(&head.headers)?;
        check_digest(&head.headers, &self.digest, size)?;
        let media_type = text(&head.headers, &CONTENT_TYPE)?;
        let media_type = media_type.map(|value| MediaType::from_content_type(&value));
        let media_type = media_type.filter(|media_type| !media_type.as_str().is_empty());
        let media_type = media_type.unwrap_or(MediaType::OCTET_STREAM);
        Ok(Descriptor::new(media_type, self.digest.clone(), size))
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        insert(&mut response, CONTENT_TYPE, output.media_type.as_str());
        insert(
            &mut response,
            headers::DOCKER_CONTENT_DIGEST,
            output.digest.as_str(),
        );
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(output.size));
        response
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

impl Describe for MountBlob {
    const NAME: &'static str = "mount_blob";
    const CLASS: OperationClass = OperationClass::Blob;
    /// Mounted twice is mounted once; an upload that is opened instead and not gone on with expires.
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        let target = Scope::repository(&self.repository, [Action::PULL, Action::PUSH]);
        let source = self
            .from
            .as_ref()
            .map(|source| Scope::repository(source, [Action::PULL]));
        std::iter::once(target).chain(source).collect()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for MountBlob {
    type Output = UploadStart;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::CREATED, StatusCode::ACCEPTED];

    fn request(&self) -> Request<Bytes> {
        let path = PathBuilder::new("/v2")
            .name(self.repository.as_str())
            .fixed("/blobs/uploads/");
        empty_request(
            Method::POST,
            path.query_opt("from", self.from.as_ref())
                .query("mount", self.digest.as_str())
                .uri(),
        )
    }

    fn decode(&self, head: &response::Parts, _body: Bytes) -> Result<Self::Output, DecodeError> {
        check_status(head, Self::SUCCESS)?;
        UploadStart::decode(head, Some(&self.digest))
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        output.respond(&self.repository)
    }
}

/// Deletes a blob: `DELETE /v2/{name}/blobs/{digest}`. The service does not ask whether a manifest still needs it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeleteBlob {
    /// Which repository.
    pub repository: RepositoryName,
    /// Which blob.
    pub digest: Digest,
}

impl Describe for DeleteBlob {
    const NAME: &'static str = "delete_blob";
    const CLASS: OperationClass = OperationClass::Delete;
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::DELETE]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for DeleteBlob {
    /// Whether it was there.
    type Output = bool;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::ACCEPTED, StatusCode::NOT_FOUND];

    fn request(&self) -> Request<Bytes> {
        empty_request(
            Method::DELETE,
            blob_path(&self.repository, &self.digest).uri(),
        )
    }

    fn decode(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        let absence = [ErrorCode::BLOB_UNKNOWN, ErrorCode::NAME_UNKNOWN];
        was_there(head.status, &body, &absence)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        if *output {
            return empty_response(StatusCode::ACCEPTED);
        }
        // Without the detail that a GET of the same digest has, and the same in an unknown repository.
        let error = RegistryError::new(ErrorCode::BLOB_UNKNOWN, "blob unknown to registry");
        json_response(StatusCode::NOT_FOUND, &ErrorEnvelope::from(error))
    }
}

pub(crate) fn blob_path(repository: &RepositoryName, digest: &Digest) -> PathBuilder {
    PathBuilder::new("/v2")
        .name(repository.as_str())
        .fixed("/blobs")
        .segment(digest.as_str())
}

/// A blob that has just been committed: 201 with its digest and address, relative as the service gives it.
pub(crate) fn respond_created(repository: &RepositoryName, digest: &Digest) -> Response<Bytes> {
    let mut response = empty_response(StatusCode::CREATED);
    insert(
        &mut response,
        headers::DOCKER_CONTENT_DIGEST,
        digest.as_str(),
    );
    insert(
        &mut response,
        LOCATION,
        &blob_path(repository, digest).uri().to_string(),
    );
    response
}

/// Holds the digest that the header promises against the one that is meant; one of another algorithm says nothing.
pub(crate) fn check_digest(
    headers: &HeaderMap,
    expected: &Digest,
    bytes: u64,
) -> Result<(), DecodeError> {
    match content_digest(headers)? {
        Some(actual) if actual.algorithm() == expected.algorithm() && actual != *expected => {
            Err(DigestMismatch::new(expected.clone(), actual, bytes).into())
        }
        _ => Ok(()),
    }
}

pub(crate) fn number(text: &str) -> Option<u64> {
    // `parse` alone would take a sign.
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

fn insert_header(map: &mut HeaderMap, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        map.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_round_trip() {
        for text in ["bytes=0-999", "bytes=1000-", "bytes=-500"] {
            assert_eq!(text.parse::<ByteRange>().unwrap().to_string(), text);
        }
        for text in ["bytes 0-9/10", "bytes 5-5/*"] {
            assert_eq!(text.parse::<ContentRange>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "bytes",
            "bytes=-",
            "bytes=a-b",
            "bytes=0-1,3-4",
            "bytes=+1-2",
            "0-1",
            "bytes=--1",
        ] {
            assert!(text.parse::<ByteRange>().is_err(), "{text}");
        }
        for text in [
            "",
            "0-9/10",
            "bytes 9-0/10",
            "bytes 0-10/10",
            "bytes */10",
            "bytes 0-9",
            "bytes 0-9/x",
        ] {
            assert!(text.parse::<ContentRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_length_of_a_range_is_bounded() {
        let length = |first, last| {
            ContentRange {
                first,
                last,
                size: None,
            }
            .length()
        };
        assert_eq!(length(5, 9), 5);
        assert_eq!(length(9, 5), 0);
        assert_eq!(length(0, u64::MAX), u64::MAX);
    }

    #[test]
    fn a_range_is_clipped_to_the_blob() {
        assert_eq!(
            ByteRange::FromTo(1000, 1999).within(1472),
            Some((1000, 1471))
        );
        assert_eq!(ByteRange::From(0).within(1), Some((0, 0)));
        assert_eq!(ByteRange::Last(5000).within(1472), Some((0, 1471)));
        assert_eq!(ByteRange::Last(500).within(1472), Some((972, 1471)));
        for range in [
            ByteRange::FromTo(1472, 1999),
            ByteRange::FromTo(500, 0),
            ByteRange::From(1472),
            ByteRange::Last(0),
        ] {
            assert_eq!(range.within(1472), None);
        }
        assert_eq!(ByteRange::From(0).within(0), None);
    }
}
