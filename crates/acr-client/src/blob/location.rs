use std::fmt;

use acr_protocol::blob::GetBlob;
use acr_protocol::{Digest, Operation as _};
use http::{StatusCode, Uri};

use crate::argument::Argument;
use crate::error::Error;
use crate::pipeline::redirect::{is_redirect, target};
use crate::repository::RepositoryClient;
use crate::response::Received;
use crate::url::WithoutQuery;

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
    /// let location = repository.blob_url(&digest).await?;
    /// if !location.is_on_registry() {
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
    pub async fn blob_url(&self, digest: impl Argument<Digest>) -> Result<BlobLocation, Error> {
        let operation = GetBlob {
            repository: self.name.clone(),
            digest: digest.into_argument()?,
            range: None,
        };
        let mut info = self.pipeline.info(&operation);
        info.follows = false;
        let found = |response: Received| {
            if !is_redirect(response.head.status) {
                // The body is dropped unread: what comes next fetches it.
                return Ok(BlobLocation {
                    url: response.url,
                    is_on_registry: true,
                });
            }
            let target = target(&response.url, &response.head)?;
            Ok(BlobLocation {
                is_on_registry: self.pipeline.endpoint().is_origin_of(&target),
                url: target,
            })
        };
        let request = operation.request();
        self.pipeline.open(&info, request, RESPONSES, found).await
    }
}

/// Where the bytes of a blob are: the response of [`RepositoryClient::blob_url`].
#[derive(Clone, PartialEq, Eq)]
pub struct BlobLocation {
    url: Uri,
    is_on_registry: bool,
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
    pub const fn is_on_registry(&self) -> bool {
        self.is_on_registry
    }
}

impl fmt::Debug for BlobLocation {
    /// Leaves the query out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobLocation")
            .field("url", &WithoutQuery(&self.url).to_string())
            .field("is_on_registry", &self.is_on_registry)
            .finish()
    }
}

const RESPONSES: &[StatusCode] = &[
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
            is_on_registry: false,
        };
        let text = format!("{location:?}");
        assert!(
            text.contains("\"https://data.example:8443/blob\""),
            "{text}"
        );
        assert!(!text.contains("secret"), "{text}");
    }
}
