//! Redirects: followed here and nowhere else, because only here it is known what a request carries.
//!
//! To the registry itself a request goes with its credential, anywhere else without. It never goes
//! from https to http, and not on and on. Elsewhere goes only what can be held against a digest, manifests
//! and blobs: a list or a set of properties would be believed, whoever wrote it.

use http::header::LOCATION;
use http::response::Parts;
use http::{Method, Request, StatusCode, Uri};

use super::Pipeline;
use crate::error::Error;
use crate::operation_info::OperationInfo;
use crate::payload::Payload;
use crate::response::Received;
use crate::retry::RetryState;
use crate::url::{origin_text, resolve};

impl Pipeline {
    /// Follows the redirect of a response to wherever there is another response.
    pub(super) async fn follow(
        &self,
        info: &OperationInfo,
        request: &Request<Payload>,
        mut response: Received,
        attempts: &RetryState,
    ) -> Result<Received, Error> {
        let info = &OperationInfo {
            is_redirect: true,
            ..info.clone()
        };
        let mut request = request.clone();
        for _ in 0..MAX_REDIRECTS {
            if !is_followed(request.method(), response.head.status) {
                return Ok(response);
            }
            let next = target(&response.url, &response.head)?;
            // The next request waits for a place of its own, which must not be this one.
            self.sender().drain(&mut response, attempts).await;
            *request.uri_mut() = next;
            response = if self.endpoint().is_origin_of(request.uri()) {
                self.send_authorized(info, &request, attempts).await?
            } else if info.leaves {
                let bare = request.clone();
                self.sender().send(bare, info, None, attempts).await?
            } else {
                let text = format!(
                    "the registry {} redirects the request to {}; only manifests and blobs are \
                     fetched from another origin, so it is refused",
                    self.endpoint(),
                    origin_text(request.uri())
                );
                return Err(response.annotate(Error::protocol(text)));
            };
        }
        if is_followed(request.method(), response.head.status) {
            return Err(Error::protocol(format!(
                "the request is redirected more than {MAX_REDIRECTS} times"
            )));
        }
        Ok(response)
    }
}

/// Whether a response says that what is asked for is elsewhere, to a request that may be sent there.
pub(super) fn is_followed(method: &Method, status: StatusCode) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && is_redirect(status)
}

/// Whether a status says that what is asked for is elsewhere.
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

/// Where a redirect leads. From https to http is refused.
pub(crate) fn target(from: &Uri, head: &Parts) -> Result<Uri, Error> {
    let location = head.headers.get(LOCATION);
    let location = location.ok_or_else(|| Error::protocol("a redirect has no header Location"))?;
    let location = location
        .to_str()
        .map_err(|_| Error::protocol("a redirect's header Location is not text"))?;
    let next = resolve(from, "Location", location)?;
    if from.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
        return Err(Error::protocol(format!(
            "the request is redirected from https to plain http, at {}; refused",
            origin_text(&next)
        )));
    }
    Ok(next)
}

const MAX_REDIRECTS: u32 = 5;
