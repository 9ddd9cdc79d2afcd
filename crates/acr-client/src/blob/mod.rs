mod location;
mod save;
mod stream;

use acr_protocol::blob::{BlobHead, ByteRange, DeleteBlob, GetBlob, HeadBlob};
use acr_protocol::operation::headers::DOCKER_CONTENT_DIGEST;
use acr_protocol::upload::{MountBlob, UploadStart};
use acr_protocol::{DecodeError, Descriptor, Digest, Operation, RepositoryName, Verifier};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request};

use crate::argument::Argument;
use crate::error::Error;
use crate::manifest::{found, is_moot};
use crate::operation_info::OperationInfo;
use crate::repository::RepositoryClient;
use crate::response::Received;
use crate::upload::BlobUpload;

pub use self::location::BlobLocation;
pub use self::stream::BlobStream;

/// Blobs.
impl RepositoryClient {
    /// Downloads a blob, verified against its digest: `GET /v2/{name}/blobs/{digest}`.
    ///
    /// The stream is there when the first bytes are about to come; it has `save` and `write_to` for
    /// a file and a writer. A redirect to where the registry keeps its data is followed, without the
    /// credential.
    ///
    /// ```
    /// # use acr_client::{Digest, Error, RepositoryClient};
    /// # async fn example(repository: RepositoryClient, digest: Digest) -> Result<(), Error> {
    /// repository.download_blob(&digest).await?.save("layer.tar.gz").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no such blob;
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the digest is of an algorithm other than
    /// sha256 and sha512, which cannot be verified.
    #[doc(alias = "DownloadBlobContent")]
    #[doc(alias = "DownloadBlobStreaming")]
    #[doc(alias = "DownloadBlobTo")]
    #[doc(alias = "downloadStream")]
    pub async fn download_blob(&self, digest: impl Argument<Digest>) -> Result<BlobStream, Error> {
        let digest = digest.into_argument()?;
        self.open_blob(digest, None).await
    }

    /// Gets the bytes of a range of a blob: `GET /v2/{name}/blobs/{digest}`.
    ///
    /// The range is `0..512`, `512..`, or [`ByteRange::Last`] for the last bytes. They are not verified, because there is no digest of a part; [`download_blob`](Self::download_blob)
    /// gets the whole blob.
    ///
    /// ```
    /// # use acr_client::{Digest, Error, RepositoryClient};
    /// # async fn example(repository: RepositoryClient, digest: Digest) -> Result<(), Error> {
    /// let mut head = repository.get_blob(&digest, 0..512).await?;
    /// while let Some(bytes) = head.try_next().await? {
    ///     println!("{} bytes", bytes.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no such blob;
    /// [`Registry`](crate::ErrorKind::Registry) with the status 416 when the range begins behind its end;
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the range holds no byte of any blob;
    /// [`Protocol`](crate::ErrorKind::Protocol) when the server gives another range.
    #[doc(alias = "GetChunk")]
    pub async fn get_blob(
        &self,
        digest: impl Argument<Digest>,
        range: impl Argument<ByteRange>,
    ) -> Result<BlobStream, Error> {
        let digest = digest.into_argument()?;
        self.open_blob(digest, Some(range.into_argument()?)).await
    }

    /// Asks whether a blob is there, and how large it is: `HEAD /v2/{name}/blobs/{digest}`. `None` when the
    /// registry says that there is no such blob.
    ///
    /// A registry that does not take the `HEAD`, or does not tell the size, is asked by a `GET`, whose
    /// content is not read.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when a 404 is that of another server, such as a
    /// proxy.
    #[doc(alias = "CheckBlobExists")]
    pub async fn head_blob(
        &self,
        digest: impl Argument<Digest>,
    ) -> Result<Option<Descriptor>, Error> {
        let digest = digest.into_argument()?;
        let repository = self.name.clone();
        let operation = HeadBlob { repository, digest };
        let info = self.pipeline.info(&operation);
        let asked = self.ask_for(&operation, &info, operation.request()?).await;
        let Ok(None) = asked else {
            return found(asked).map(Option::flatten);
        };
        let HeadBlob { repository, digest } = operation.clone();
        let get = GetBlob {
            repository,
            digest,
            range: None,
        };
        // The response is dropped with its body unread.
        found(self.ask_for(&operation, &info, get.request()?).await).map(Option::flatten)
    }

    /// Asks for a blob by one request, of whose response the head counts; `None` where that of a `HEAD`
    /// says too little.
    async fn ask_for(
        &self,
        operation: &HeadBlob,
        info: &OperationInfo,
        request: Request<Bytes>,
    ) -> Result<Option<Descriptor>, Error> {
        let is_head = request.method() == Method::HEAD;
        let read = |response: Received| match operation.read(&response.head, Bytes::new()) {
            Err(DecodeError::MissingHeader(_)) if is_head => Ok(None),
            Err(DecodeError::MissingHeader(_)) => Err(Error::protocol(
                "the server tells neither by HEAD nor by GET how long the blob is",
            )),
            Err(error) => Err(response.undecodable(error)),
            // A portal on the way responds with 200 with a page of its own.
            Ok(found) if is_page(&response.head.headers) => Err(Error::protocol(format!(
                "the response is of the type {}, which is not a blob",
                found.media_type
            ))),
            Ok(found) => Ok(Some(found)),
        };
        let success = HeadBlob::SPEC.success;
        match self
            .pipeline
            .open(info, Ok::<_, Error>(request), success, read)
            .await
        {
            // What it means is in the body, which a `HEAD` has not.
            Err(error) if is_head && is_moot(&error) => Ok(None),
            other => other,
        }
    }

    /// Makes a blob of another repository one of this repository's too, without sending it:
    /// `POST /v2/{name}/blobs/uploads/?mount=&from=`.
    ///
    /// Returns `None` when it was mounted. Where the source does not have the blob, the registry starts an
    /// upload instead, which is returned.
    ///
    /// # Errors
    ///
    /// [`Denied`](crate::ErrorKind::Denied) when the identity may not pull from the source.
    pub async fn mount_blob(
        &self,
        digest: impl Argument<Digest>,
        from: impl Argument<RepositoryName>,
    ) -> Result<Option<BlobUpload>, Error> {
        let operation = MountBlob {
            repository: self.name.clone(),
            digest: digest.into_argument()?,
            from: Some(from.into_argument()?),
        };
        let info = self.pipeline.info(&operation);
        let mounted = |start| match start {
            UploadStart::AlreadyExists(_) => Ok(None),
            UploadStart::Started(progress) => {
                BlobUpload::started(self, &operation, &progress).map(Some)
            }
        };
        let request = operation.request();
        self.pipeline
            .run_with(&operation, &info, request, mounted)
            .await
    }

    /// Deletes a blob: `DELETE /v2/{name}/blobs/{digest}`.
    ///
    /// Returns whether it was there. The registry does not check whether a manifest still names it.
    ///
    /// # Errors
    ///
    /// [`Denied`](crate::ErrorKind::Denied) when the identity may not delete.
    pub async fn delete_blob(&self, digest: impl Argument<Digest>) -> Result<bool, Error> {
        let digest = digest.into_argument()?;
        let repository = self.name.clone();
        let operation = DeleteBlob { repository, digest };
        Ok(self.pipeline.run(&operation).await?.was_there())
    }

    async fn open_blob(
        &self,
        digest: Digest,
        range: Option<ByteRange>,
    ) -> Result<BlobStream, Error> {
        let operation = GetBlob {
            repository: self.name.clone(),
            digest,
            range,
        };
        let info = self.pipeline.info(&operation);
        // A digest that cannot be verified is refused before anything is sent.
        let verifier = match operation.range {
            None => Some(Verifier::new(operation.digest.clone()).map_err(|error| {
                info.annotate(Error::invalid(format!("{}: {error}", operation.digest)), 0)
            })?),
            Some(_) => None,
        };
        let begin = |response: Received| {
            let head = operation.read(&response.head, Bytes::new());
            let head = head.map_err(|error| response.undecodable(error))?;
            check_range(operation.range, &head)?;
            Ok((response.body, head))
        };
        let (request, success) = (operation.request(), GetBlob::SPEC.success);
        let opened = self.pipeline.open(&info, request, success, begin);
        let (body, head) = opened.await?;
        let body = self.pipeline.sender().paced(body);
        Ok(BlobStream::new(
            body,
            operation.digest,
            info,
            head,
            verifier,
        ))
    }
}

/// Whether a response is a page for people and no blob: no registry's header vouches for the content.
fn is_page(headers: &HeaderMap) -> bool {
    let of_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    of_type.is_some_and(|value| value.to_ascii_lowercase().starts_with(b"text/html"))
        && !headers.contains_key(DOCKER_CONTENT_DIGEST)
}

/// Whether the range that came is the one that was asked for.
fn check_range(asked: Option<ByteRange>, head: &BlobHead) -> Result<(), Error> {
    match (asked, head.content_range) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(Error::protocol(
            "the server gives a part of the blob, but the whole was asked for",
        )),
        (Some(_), None) => Err(Error::protocol(
            "the server gives the whole blob, but a part was asked for; it knows no ranges",
        )),
        (Some(asked), Some(given)) => {
            let right = match (asked, given.size) {
                (asked, Some(size)) => asked.within(size) == Some((given.first, given.last)),
                (ByteRange::FromTo(first, last), None) => {
                    given.first == first && given.last <= last
                }
                (ByteRange::From(first), None) => given.first == first,
                (ByteRange::Last(count), None) => given.last - given.first < count,
            };
            let length = given.length();
            if right
                && head
                    .content_length
                    .is_none_or(|announced| announced == length)
            {
                Ok(())
            } else {
                Err(Error::protocol(format!(
                    "the server gives {given}, but {asked} was asked for"
                )))
            }
        }
    }
}

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
