//! Blobs: getting them whole or in part, asking for them, deleting them.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use http::{Method, Request, Response, StatusCode, response};

use crate::deletion::Deletion;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{DecodeError, ErrorCode, InvalidRequest, RegistryError};
use crate::http_parts::{
    check_digest, empty_response, headers, insert, insert_length, number, required_length,
    required_text, text,
};
use crate::media_type::MediaType;
use crate::operation::{DELETE, Operation, OperationClass as Class, PULL, Spec};
use crate::path::PathBuilder;
use crate::reference::RepositoryName;
use crate::text::excerpt;

/// Gets a blob or a part of it: `GET /v2/{name}/blobs/{digest}`.
///
/// ACR responds with 307 to a storage origin, which must not be sent the registry's token; others respond with 200 or 206 at once.
/// The content is a stream, which the output says the part of: neither `decode` nor `respond` has to do with it.
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

impl Operation for GetBlob {
    const SPEC: Spec = Spec::new("get_blob", Class::Blob, PULL)
        .success(&[StatusCode::OK, StatusCode::PARTIAL_CONTENT]);
    type Output = BlobHead;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn reference(&self) -> Option<&str> {
        Some(self.digest.as_str())
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        let mut request = blob_path(&self.repository, &self.digest).builder(Method::GET);
        if let Some(range) = self.range {
            request = request.header(RANGE, range.to_string());
        }
        Ok(request.body(Bytes::new())?)
    }

    /// A server may respond to a range with the whole (200).
    fn read(&self, head: &response::Parts, _body: Bytes) -> Result<Self::Output, DecodeError> {
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

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        let mut response = empty_response(StatusCode::OK);
        if let Some(length) = output.content_length {
            insert_length(&mut response, length);
        }
        if let Some(range) = output.content_range {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            insert(&mut response, CONTENT_RANGE, &range.to_string());
        }
        response
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
    /// The length in bytes; 0 if `last < first`.
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

/// The text is not a valid range.
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

impl Operation for HeadBlob {
    const SPEC: Spec = Spec::new("head_blob", Class::Blob, PULL);
    type Output = Descriptor;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn reference(&self) -> Option<&str> {
        Some(self.digest.as_str())
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        blob_path(&self.repository, &self.digest).request(Method::HEAD)
    }

    fn read(&self, head: &response::Parts, _body: Bytes) -> Result<Self::Output, DecodeError> {
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
        insert_length(&mut response, output.size);
        response
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

impl Operation for DeleteBlob {
    const SPEC: Spec =
        Spec::new("delete_blob", Class::Delete, DELETE).success(Deletion::<()>::SUCCESS);
    type Output = Deletion;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn reference(&self) -> Option<&str> {
        Some(self.digest.as_str())
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        blob_path(&self.repository, &self.digest).request(Method::DELETE)
    }

    fn read(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        let absence = [ErrorCode::BLOB_UNKNOWN, ErrorCode::NAME_UNKNOWN];
        Deletion::read(head, &body, &absence, || Ok(()))
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        // Without the detail that a GET of the same digest has, and the same in an unknown repository.
        output.respond(|| RegistryError::new(ErrorCode::BLOB_UNKNOWN, "blob unknown to registry"))
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
        &blob_path(repository, digest).text(),
    );
    response
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
