//! Redirects: followed here and nowhere else, because only here it is known what a request carries.
//!
//! To the registry itself a request goes with its credential, anywhere else without. It never goes
//! from https to http, and not on and on. Elsewhere goes only what can be held against a digest, manifests
//! and blobs: a list or a set of properties would be believed, whoever wrote it.

use http::header::LOCATION;
use http::response::Parts;
use http::{Method, StatusCode, Uri};
use url::Url;

use super::{Call, Pipeline, Received, Template};
use crate::endpoint::{Endpoint, origin_text, resolve, to_uri};
use crate::error::{Error, ErrorKind};
use crate::mask::Mask;
use crate::response_error;
use crate::retry::RetryState;

impl Pipeline {
    /// Follows the redirect of a response to wherever there is another response.
    pub(super) async fn follow(
        &self,
        call: &Call,
        template: &Template,
        mut response: Received,
        attempts: &mut RetryState,
    ) -> Result<Received, Error> {
        let mut template = template.clone();
        for _ in 0..MAX_REDIRECTS {
            if !is_followed(&template.parts.method, response.head.status) {
                return Ok(response);
            }
            let next = target(&response.url, &response.head)?;
            self.drain(&mut response, attempts).await;
            // The next request waits for a place of its own, which must not be this one.
            response.permit = None;
            response = if self.endpoint().is_origin_of(&next) {
                let path = self.own_path(&response.url, "Location", next.as_str())?;
                template.parts.uri = self.endpoint().absolute(&path)?;
                self.send_authorized(call, &template, attempts).await?
            } else if !call.leaves {
                return Err(leads_away(&response, self.endpoint(), &next));
            } else {
                template.parts.uri = to_uri(&next, "Location")?;
                self.send_bare(call, &template, attempts).await?
            };
        }
        if is_followed(&template.parts.method, response.head.status) {
            return Err(Error::protocol(format!(
                "the request is redirected more than {MAX_REDIRECTS} times"
            )));
        }
        Ok(response)
    }
}

/// The error of a redirect to where an operation does not go.
fn leads_away(response: &Received, endpoint: &Endpoint, to: &Url) -> Error {
    let text = format!(
        "the registry {endpoint} redirects the request to {}; only manifests and blobs are fetched \
         from another origin, so it is refused",
        origin_text(to)
    );
    let id = response_error::request_id(
        &response.head.headers,
        &Mask::of_header(response.sent.as_ref()),
    );
    Error::protocol(text).with_response(response.head.status, id, None)
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
pub(crate) fn target(from: &Uri, head: &Parts) -> Result<Url, Error> {
    let location = head.headers.get(LOCATION);
    let location = location.ok_or_else(|| Error::protocol("a redirect has no header Location"))?;
    let location = location
        .to_str()
        .map_err(|_| Error::protocol("a redirect's header Location is no text"))?;
    let next = resolve(from, "Location", location)?;
    if from.scheme_str() == Some("https") && next.scheme() != "https" {
        return Err(Error::protocol(format!(
            "the request is redirected from https to plain http, at {}; refused",
            origin_text(&next)
        )));
    }
    Ok(next)
}

/// The error of a refusal by another origin than the registry, by what kind it would be of if it came from
/// there. It says nothing about the identity, for no credential was sent there, and a storage's 404
/// nothing about what the registry offers: it has just said that the content is there.
pub(super) fn refused_elsewhere(
    endpoint: &Endpoint,
    url: &Uri,
    head: &Parts,
    kind: ErrorKind,
) -> Option<Error> {
    let url = Url::parse(&url.to_string()).ok()?;
    let refuses = kind == ErrorKind::Unsupported
        || matches!(
            head.status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        );
    if endpoint.is_origin_of(&url) || !refuses {
        return None;
    }
    let text = format!(
        "the registry keeps the content at {}, which refuses it: {}",
        origin_text(&url),
        head.status
    );
    let error = Error::new(ErrorKind::Registry, text);
    Some(error.with_response(
        head.status,
        response_error::request_id(&head.headers, &Mask::default()),
        None,
    ))
}

const MAX_REDIRECTS: u32 = 5;
