use std::fmt;

use acr_protocol::Digest;
use acr_protocol::blob::GetBlob;
use http::{StatusCode, Uri};

use crate::endpoint::to_uri;
use crate::error::Error;
use crate::pipeline::redirect::{is_redirect, target};
use crate::repository::RepositoryClient;

impl RepositoryClient {
    /// Finds where the bytes of a blob are, without getting them: `GET /v2/{name}/blobs/{digest}`,
    /// whose redirect is not followed.
    ///
    /// For another downloader. On ACR it is a URL on the registry's storage, signed for 20 minutes:
    /// who has it may read the blob, so it is as good as a password until then. What comes from there
    /// has to be verified by who fetches it.
    ///
    /// ```
    /// # use acr_client::{Digest, Error, RepositoryClient};
    /// # async fn example(repository: RepositoryClient, digest: Digest) -> Result<(), Error> {
    /// let location = repository.blob_location(&digest).await?;
    /// if !location.needs_credential() {
    ///     println!("curl '{}' | sha256sum", location.url());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no such blob;
    /// [`Protocol`](crate::ErrorKind::Protocol) when the registry sends to plain `http`.
    pub async fn blob_location(
        &self,
        digest: impl TryInto<Digest, Error: Into<Error>>,
    ) -> Result<BlobLocation, Error> {
        let operation = GetBlob {
            repository: self.name.clone(),
            digest: digest.try_into().map_err(Into::into)?,
            range: None,
        };
        let mut call = self.pipeline.call(&operation);
        call.follows = false;
        let found = async {
            let opened = self.pipeline.open(&call, operation.request(), ANSWERS);
            let answer = opened.await?;
            if !is_redirect(answer.head.status) {
                // The body is dropped unread: what comes next fetches it.
                return Ok(BlobLocation {
                    url: answer.url,
                    needs_credential: true,
                });
            }
            let target = target(&answer.url, &answer.head)?;
            Ok(BlobLocation {
                needs_credential: self.pipeline.endpoint().is_origin_of(&target),
                url: to_uri(&target, "Location")?,
            })
        };
        let found: Result<_, Error> = found.await;
        found.map_err(|error| call.own(error, 1).about(operation.digest.as_str()))
    }
}

/// Where the bytes of a blob are: the answer of [`RepositoryClient::blob_location`].
#[derive(Clone, PartialEq, Eq)]
pub struct BlobLocation {
    url: Uri,
    needs_credential: bool,
}

impl BlobLocation {
    /// Returns the absolute URL. Its query may hold a signature that lets everybody read.
    #[must_use]
    pub const fn url(&self) -> &Uri {
        &self.url
    }

    /// Returns whether it is on the registry itself, which wants a credential there. One on another
    /// origin must not get any: storage refuses a request with an `Authorization` header.
    #[must_use]
    pub const fn needs_credential(&self) -> bool {
        self.needs_credential
    }
}

impl fmt::Debug for BlobLocation {
    /// Leaves the query out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.url.port().map(|port| format!(":{port}"));
        let url = format!(
            "{}://{}{}{}",
            self.url.scheme_str().unwrap_or_default(),
            self.url.host().unwrap_or_default(),
            port.unwrap_or_default(),
            self.url.path()
        );
        f.debug_struct("BlobLocation")
            .field("url", &url)
            .field("needs_credential", &self.needs_credential)
            .finish()
    }
}

const ANSWERS: &[StatusCode] = &[
    StatusCode::OK,
    StatusCode::MOVED_PERMANENTLY,
    StatusCode::FOUND,
    StatusCode::SEE_OTHER,
    StatusCode::TEMPORARY_REDIRECT,
    StatusCode::PERMANENT_REDIRECT,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_port_and_hides_the_query() {
        let location = BlobLocation {
            url: Uri::from_static("https://data.example:8443/blob?sig=secret"),
            needs_credential: false,
        };
        let text = format!("{location:?}");
        assert!(
            text.contains("\"https://data.example:8443/blob\""),
            "{text}"
        );
        assert!(!text.contains("secret"), "{text}");
    }
}
