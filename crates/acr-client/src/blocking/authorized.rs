use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};

use super::ContainerRegistryClient;
use crate::authorized::AccessToken;
use crate::error::{Error, ErrorKind};

/// Ways out: for what this crate has no method for.
impl ContainerRegistryClient {
    /// Sends a request of one's own with the client's credential, and gives back the answer as it is,
    /// whatever its status, with a body of at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// Those of the async [`authorized_request`](crate::ContainerRegistryClient::authorized_request),
    /// and [`Transport`](crate::ErrorKind::Transport) when the body breaks or is larger.
    pub fn authorized_request(
        &self,
        request: Request<impl Into<Bytes>>,
        scope: impl AsRef<str>,
        limit: usize,
    ) -> Result<Response<Bytes>, Error> {
        let read = async {
            let answer = self.inner.authorized_request(request, scope).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, limit).collect().await;
            let body = body.map_err(|error| {
                Error::new(
                    ErrorKind::Transport,
                    "the answer's body broke or is too large",
                )
                .with_source(error)
            })?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        self.runtime.run(read)
    }

    /// Gives the token that the client sends along with requests of a scope; fetches one if none is at
    /// hand.
    ///
    /// # Errors
    ///
    /// Those of the async [`access_token`](crate::ContainerRegistryClient::access_token).
    pub fn access_token(&self, scope: impl AsRef<str>) -> Result<Option<AccessToken>, Error> {
        self.runtime.run(self.inner.access_token(scope))
    }
}
