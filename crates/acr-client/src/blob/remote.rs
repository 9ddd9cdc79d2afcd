//! Where a blob is, and what its server makes of the wish to go on with it.

use std::num::NonZeroU64;

use acr_protocol::blob::{BlobHead, ByteRange, ContentRange, GetBlob};
use acr_protocol::{Digest, Digester, Operation as _, UnsupportedAlgorithm};
use bytes::Bytes;
use http::header::{CONTENT_RANGE, ETAG};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::error::{Error, ErrorKind};
use crate::operation_info::OperationInfo;
use crate::pipeline::Pipeline;
use crate::response::Received;
use crate::retry::RetryState;
pub(super) use crate::transport::Body;

/// A blob of a repository.
pub(super) struct Remote {
    pub(super) pipeline: Pipeline,
    pub(super) info: OperationInfo,
    /// Gets the whole.
    operation: GetBlob,
}

/// How far a part of a blob is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) kind: Kind,
    /// Where it begins in the blob.
    pub(super) first: u64,
    /// How many bytes of it have come.
    pub(super) received: u64,
    /// How many bytes it has, where that is known.
    pub(super) length: Option<u64>,
    /// Which content they are of, where the server says so for good.
    pub(super) etag: Option<HeaderValue>,
}

/// What vouches for the bytes of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The blob's digest, for it is the whole.
    Whole,
    /// The blob's digest, for it is read with all others.
    Share,
    /// Nothing.
    Range,
}

/// A response with bytes.
pub(super) struct Opened {
    pub(super) body: Body,
    pub(super) etag: Option<HeaderValue>,
    /// How many bytes the part has, where it is known now.
    pub(super) length: Option<u64>,
    /// Whether the body begins with what has come before.
    pub(super) comes_again: bool,
}

/// A part that goes on, or `None` where it was at its end.
pub(super) type Reopened = Option<Opened>;

impl Place {
    /// The beginning of what a response has.
    pub(super) fn of(head: &BlobHead, etag: Option<HeaderValue>) -> Self {
        let range = head.content_range;
        Self {
            kind: range.map_or(Kind::Whole, |_| Kind::Range),
            first: range.map_or(0, |range| range.first),
            received: 0,
            length: range.map_or(head.content_length, |range| Some(range.length())),
            etag,
        }
    }

    /// The whole, of which the first bytes are there.
    pub(super) const fn begun(received: u64) -> Self {
        Self {
            kind: Kind::Whole,
            first: 0,
            received,
            length: None,
            etag: None,
        }
    }

    /// How many bytes are still to come, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        Some(self.length?.saturating_sub(self.received))
    }

    /// What is asked for to go on; `None` for the whole.
    fn range(&self) -> Option<ByteRange> {
        let from = self.first.saturating_add(self.received);
        match (self.kind, self.length) {
            (Kind::Whole, _) if self.received == 0 => None,
            (Kind::Whole, _) | (_, None) => Some(ByteRange::From(from)),
            (_, Some(length)) => {
                let last = self.first.saturating_add(length.saturating_sub(1));
                Some(ByteRange::FromTo(from, last))
            }
        }
    }

    /// Whether a response with this tag may be of other content than what has come.
    fn differs(&self, etag: Option<&HeaderValue>) -> bool {
        let known = self.etag.as_ref().zip(etag);
        self.received > 0 && known.is_some_and(|(before, now)| before != now)
    }

    /// What a response that has bytes makes of the wish to go on.
    fn judge(&self, head: &BlobHead, etag: Option<&HeaderValue>) -> Result<Next, Error> {
        let Some(given) = head.content_range else {
            return self.judge_whole(head);
        };
        let Some(asked) = self.range() else {
            return Err(Error::protocol(PART_OF_WHOLE));
        };
        let from = self.first.saturating_add(self.received);
        // Of the whole the last byte is the last that there is.
        let end = match self.kind {
            Kind::Whole => self.length.or(given.size),
            _ => self.length.map(|length| self.first.saturating_add(length)),
        };
        let is_right = given.first == from
            && end.is_none_or(|end| given.last.checked_add(1) == Some(end))
            && (self.kind != Kind::Whole || given.size.is_none_or(|size| end == Some(size)))
            && has_length(head, given);
        if !is_right {
            return Err(Error::protocol(format!(
                "the server gives {given}, but {asked} was asked for"
            )));
        }
        match self.kind {
            Kind::Whole if self.differs(etag) => Ok(Next::Anew),
            Kind::Range if self.differs(etag) => Err(Error::protocol(
                "the content has changed while a range of it was read (its ETag is another one)",
            )),
            _ => Ok(Next::GoOn {
                length: given.last.checked_add(1).map(|end| end - self.first),
                comes_again: false,
            }),
        }
    }

    /// The same of a response that has the whole blob.
    fn judge_whole(&self, head: &BlobHead) -> Result<Next, Error> {
        if self.kind != Kind::Whole {
            return Err(Error::protocol(WHOLE_OF_PART));
        }
        let length = head.content_length;
        if let Some((before, now)) = self.length.zip(length)
            && before != now
        {
            return Err(Error::protocol(format!(
                "the blob had {before} bytes when it was begun, and has {now} now"
            )));
        }
        Ok(Next::GoOn {
            length,
            comes_again: self.received > 0,
        })
    }

    /// What a server makes of it that has no byte from here on.
    fn judge_end(&self, headers: &HeaderMap) -> Result<Next, Error> {
        let size = headers.get(CONTENT_RANGE).and_then(|value| {
            let size = value.to_str().ok()?.strip_prefix("bytes */")?;
            size.parse::<u64>().ok()
        });
        let here = self.first.saturating_add(self.received);
        // Of the whole the digest says whether that was all.
        if size.unwrap_or(here) == here && (self.kind == Kind::Whole || self.left() == Some(0)) {
            return Ok(Next::End);
        }
        let size = size.map_or_else(String::new, |size| format!(" of {size} bytes"));
        let text = format!("the blob{size} has nothing from byte {here} on, where it broke");
        let kind = match self.kind {
            Kind::Whole => ErrorKind::DigestMismatch,
            _ => ErrorKind::Protocol,
        };
        Err(Error::new(kind, text))
    }
}

/// What comes next after a response to the wish to go on.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Its body.
    GoOn {
        length: Option<u64>,
        comes_again: bool,
    },
    /// The whole, from its first byte.
    Anew,
    /// Nothing.
    End,
}

impl Remote {
    pub(super) fn new(pipeline: Pipeline, operation: GetBlob) -> Self {
        let info = pipeline.info(&operation);
        Self {
            pipeline,
            info,
            operation,
        }
    }

    pub(super) const fn digest(&self) -> &Digest {
        &self.operation.digest
    }

    /// What the bytes are hashed by. A digest that cannot be verified is refused before anything is sent.
    pub(super) fn digester(&self) -> Result<Digester, Error> {
        let algorithm = self.digest().algorithm();
        Digester::new(&algorithm).ok_or_else(|| {
            let error = UnsupportedAlgorithm(algorithm);
            let error = Error::invalid(format!("{}: {error}", self.digest()));
            self.info.annotate(error, 0)
        })
    }

    /// Begins the attempts at opening.
    pub(super) fn begin(&self) -> RetryState {
        self.pipeline.begin(&self.info)
    }

    /// Opens the whole or a range.
    pub(super) async fn open(
        &self,
        range: Option<ByteRange>,
        attempts: &RetryState,
    ) -> Result<(Opened, BlobHead), Error> {
        let begin = |response: Received| {
            let head = self.head(&response)?;
            check_range(range, &head)?;
            let opened = self.opened(response, None, false);
            Ok((opened, head))
        };
        self.ask(range, GetBlob::SPEC.success, begin, attempts)
            .await
    }

    /// Opens so many bytes, or the whole where it is given instead; `None` where there is no such byte.
    pub(super) async fn open_first(
        &self,
        from: u64,
        size: NonZeroU64,
        attempts: &RetryState,
    ) -> Result<Option<(Opened, BlobHead)>, Error> {
        let range = ByteRange::FromTo(from, from.saturating_add(size.get() - 1));
        let begin = |response: Received| {
            if response.head.status == StatusCode::RANGE_NOT_SATISFIABLE {
                return Ok(None);
            }
            let head = self.head(&response)?;
            if head.content_range.is_some() {
                check_range(Some(range), &head)?;
            }
            Ok(Some((self.opened(response, None, false), head)))
        };
        self.ask(Some(range), SUCCESS_OR_END, begin, attempts).await
    }

    /// Opens a part where it is.
    pub(super) async fn reopen(
        &self,
        place: &Place,
        attempts: &RetryState,
    ) -> Result<Reopened, Error> {
        // What has not begun has no end to be at.
        let success = match place.received {
            0 => GetBlob::SPEC.success,
            _ => SUCCESS_OR_END,
        };
        let go_on = |response: Received| {
            let headers = &response.head.headers;
            let next = if response.head.status == StatusCode::RANGE_NOT_SATISFIABLE {
                place.judge_end(headers)
            } else {
                place.judge(&self.head(&response)?, strong_etag(headers).as_ref())
            };
            match next.map_err(|error| response.annotate(error))? {
                Next::GoOn {
                    length,
                    comes_again,
                } => Ok(Some(Some(self.opened(response, length, comes_again)))),
                Next::End => Ok(Some(None)),
                Next::Anew => Ok(None),
            }
        };
        let opened = self.ask(place.range(), success, go_on, attempts).await?;
        if let Some(opened) = opened {
            return Ok(opened);
        }
        let anew = |response: Received| {
            let next = place.judge_whole(&self.head(&response)?)?;
            let Next::GoOn { length, .. } = next else {
                return Ok(None);
            };
            Ok(Some(self.opened(response, length, true)))
        };
        self.ask(None, &[StatusCode::OK], anew, attempts).await
    }

    async fn ask<T: Send>(
        &self,
        range: Option<ByteRange>,
        success: &[StatusCode],
        accept: impl Fn(Received) -> Result<T, Error> + Send + Sync,
        attempts: &RetryState,
    ) -> Result<T, Error> {
        let operation = GetBlob {
            range,
            ..self.operation.clone()
        };
        let request = operation.request();
        self.pipeline
            .open_within(&self.info, request, success, accept, attempts)
            .await
    }

    fn head(&self, response: &Received) -> Result<BlobHead, Error> {
        let head = self.operation.read(&response.head, Bytes::new());
        head.map_err(|error| response.undecodable(error))
    }

    fn opened(&self, response: Received, length: Option<u64>, comes_again: bool) -> Opened {
        Opened {
            body: self.pipeline.sender().paced(response.body),
            etag: strong_etag(&response.head.headers),
            length,
            comes_again,
        }
    }
}

/// The tag of a content that is the same to the byte where the tag is.
fn strong_etag(headers: &HeaderMap) -> Option<HeaderValue> {
    let etag = headers.get(ETAG)?;
    etag.as_bytes().starts_with(b"\"").then(|| etag.clone())
}

/// Whether the range that came is the one that was asked for.
fn check_range(asked: Option<ByteRange>, head: &BlobHead) -> Result<(), Error> {
    match (asked, head.content_range) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(Error::protocol(PART_OF_WHOLE)),
        (Some(_), None) => Err(Error::protocol(WHOLE_OF_PART)),
        (Some(asked), Some(given)) => {
            let right = match (asked, given.size) {
                (asked, Some(size)) => asked.within(size) == Some((given.first, given.last)),
                (ByteRange::FromTo(first, last), None) => {
                    given.first == first && given.last <= last
                }
                (ByteRange::From(first), None) => given.first == first,
                (ByteRange::Last(count), None) => given.last - given.first < count,
            };
            if right && has_length(head, given) {
                Ok(())
            } else {
                Err(Error::protocol(format!(
                    "the server gives {given}, but {asked} was asked for"
                )))
            }
        }
    }
}

/// Whether a body is announced with as many bytes as its range has.
fn has_length(head: &BlobHead, given: ContentRange) -> bool {
    head.content_length
        .is_none_or(|announced| announced == given.length())
}

const SUCCESS_OR_END: &[StatusCode] = &[
    StatusCode::OK,
    StatusCode::PARTIAL_CONTENT,
    StatusCode::RANGE_NOT_SATISFIABLE,
];
const PART_OF_WHOLE: &str = "the server gives a part of the blob, but the whole was asked for";
const WHOLE_OF_PART: &str =
    "the server gives the whole blob, but a part was asked for; it knows no ranges";

#[cfg(test)]
mod tests {
    use acr_protocol::blob::ContentRange;

    use super::*;

    #[test]
    fn the_range_that_comes_must_be_the_one_that_was_asked_for() {
        let head = |range: Option<(u64, u64, Option<u64>)>, content_length| BlobHead {
            content_length,
            content_range: range.map(|(first, last, size)| ContentRange { first, last, size }),
        };
        let part = ByteRange::FromTo(2, 9);
        for (asked, given, right) in [
            (None, head(None, None), true),
            (None, head(Some((0, 1, Some(2))), None), false),
            (Some(part), head(None, Some(20)), false),
            (Some(part), head(Some((2, 9, Some(20))), Some(8)), true),
            (Some(part), head(Some((2, 9, Some(20))), Some(7)), false),
            (Some(part), head(Some((2, 5, Some(6))), None), true),
            (Some(part), head(Some((2, 5, Some(20))), None), false),
            (Some(part), head(Some((3, 9, None)), None), false),
            (
                Some(ByteRange::From(4)),
                head(Some((4, 9, None)), None),
                true,
            ),
            (
                Some(ByteRange::Last(3)),
                head(Some((7, 9, Some(10))), None),
                true,
            ),
            (
                Some(ByteRange::Last(3)),
                head(Some((6, 9, None)), None),
                false,
            ),
        ] {
            assert_eq!(
                check_range(asked, &given).is_ok(),
                right,
                "{asked:?} {given:?}"
            );
        }
    }
}
