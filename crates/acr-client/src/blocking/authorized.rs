use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};

use super::ContainerRegistryClient;
use crate::error::Error;

/// Escape hatches for requests that this crate does not model.
impl ContainerRegistryClient {
    /// Sends a request of one's own with the client's credential, and gives back the response as it is,
    /// whatever its status, with a body of at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// Those of the async [`authorized_request`](crate::ContainerRegistryClient::authorized_request),
    /// [`TooLarge`](crate::ErrorKind::TooLarge) when the body has more than `limit` bytes, and
    /// [`Transport`](crate::ErrorKind::Transport) or [`Timeout`](crate::ErrorKind::Timeout) when it breaks
    /// or stops arriving.
    pub fn authorized_request(
        &self,
        request: Request<impl Into<Bytes>>,
        scope: impl AsRef<str>,
        limit: usize,
    ) -> Result<Response<Bytes>, Error> {
        let is_head = request.method() == Method::HEAD;
        let read = async {
            let response = self.inner.authorized_request(request, scope).await?;
            let (head, body) = response.into_parts();
            // Neither has a body, whatever length the head announces.
            if is_head
                || matches!(
                    head.status,
                    StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
                )
            {
                return Ok(Response::from_parts(head, Bytes::new()));
            }
            let sender = self.inner.pipeline.sender();
            let body = sender.read_body(&head.headers, body, limit).await?;
            Ok(Response::from_parts(head, body))
        };
        self.runtime.run(read)
    }
}
