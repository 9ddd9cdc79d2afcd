//! The operations on blobs, but for uploads.

use std::fmt::Write as _;
use std::sync::Arc;

use acr_protocol::blob::{DeleteBlob, GetBlob, HeadBlob};
use acr_protocol::operation::headers::DOCKER_CONTENT_DIGEST;
use acr_protocol::upload::{MountBlob, UploadStart};
use acr_protocol::{Deletion, Descriptor, MediaType};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Response, StatusCode};

use crate::error::ErrorResponse;
use crate::registry::Registry;
use crate::request_body::RequestBody;
use crate::request_context::RequestContext;
use crate::response::respond;
use crate::serve::{Outcome, Serve};
use crate::{Body, data, locks};

/// `HEAD /v2/{name}/blobs/{digest}`: served by the registry itself; ranges are ignored.
impl Serve for HeadBlob {
    const IS_IMMEDIATE: bool = true;

    async fn serve(self, registry: &Registry, _: &RequestContext, _: RequestBody) -> Outcome {
        let size = {
            let store = registry.store();
            store.find_blob(&self.repository, &self.digest)?.length()
        };
        let descriptor = Descriptor::new(MediaType::OCTET_STREAM, self.digest.clone(), size);
        Ok(respond(&self, &descriptor))
    }
}

/// `GET /v2/{name}/blobs/{digest}`: 307 to the data origin, or the bytes themselves where the redirect is off.
impl Serve for GetBlob {
    const IS_IMMEDIATE: bool = true;

    async fn serve(self, registry: &Registry, call: &RequestContext, _: RequestBody) -> Outcome {
        let content = Arc::clone(registry.store().find_blob(&self.repository, &self.digest)?);
        let digest =
            HeaderValue::try_from(self.digest.as_str()).unwrap_or(HeaderValue::from_static(""));
        if !registry.settings().redirects_to_data() {
            let mut response = registry.ranged(&content, self.range);
            response.headers_mut().insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            );
            response.headers_mut().insert(DOCKER_CONTENT_DIGEST, digest);
            return Ok(response);
        }
        let location = data::signed_url(registry, call, &self.digest);
        let mut response = Response::new(Body::from(format!(
            "<a href=\"{}\">Temporary Redirect</a>.\n\n",
            escaped(&location)
        )));
        *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        headers.insert(DOCKER_CONTENT_DIGEST, digest);
        headers.insert(
            LOCATION,
            HeaderValue::try_from(location)
                .map_err(|_| ErrorResponse::blob_not_found(&self.digest))?,
        );
        Ok(response)
    }
}

/// `DELETE /v2/{name}/blobs/{digest}`: not held back by a manifest that needs it.
impl Serve for DeleteBlob {
    async fn serve(self, registry: &Registry, _: &RequestContext, _: RequestBody) -> Outcome {
        let removed = {
            let mut store = registry.store();
            if let Some(repository) = store.record(&self.repository)
                && repository.blob(&self.digest).is_some()
            {
                locks::delete_blob(repository)?;
            }
            store.remove_blob(&self.repository, &self.digest)
        };
        let deletion = Deletion::from(removed.is_some().then_some(()));
        if let Some(blob) = removed {
            registry.waste().put_blob(blob);
            registry.shed_all().await;
        }
        Ok(respond(&self, &deletion))
    }
}

/// `POST /v2/{name}/blobs/uploads/?mount=&from=`: where the source has no such blob, an upload begins; where none is
/// named, the profile says whether one is looked for.
impl Serve for MountBlob {
    async fn serve(self, registry: &Registry, call: &RequestContext, _: RequestBody) -> Outcome {
        let mut store = registry.store();
        if let Some(repository) = store.record(&self.repository) {
            locks::push(repository)?;
        }
        let source = match &self.from {
            // Chosen: a source that must not be read has nothing to mount.
            Some(source) => store
                .record(source)
                .filter(|source| locks::get_blob(source).is_ok())
                .and_then(|source| source.blob(&self.digest))
                .cloned(),
            None if registry.settings().profile.mounts_from_anywhere() => {
                store.content(&self.digest)
            }
            None => None,
        };
        let start = match source {
            Some(content) => {
                store.share_blob(&self.repository, content);
                UploadStart::AlreadyExists(self.digest.clone())
            }
            None => {
                drop(store);
                UploadStart::Started(registry.open_upload(call, &self.repository)?)
            }
        };
        Ok(respond(&self, &start))
    }
}

/// A URL within HTML, as the web server of the service writes it.
fn escaped(url: &str) -> String {
    url.chars()
        .fold(String::with_capacity(url.len()), |mut text, c| {
            match c {
                '&' => text.push_str("&amp;"),
                '<' => text.push_str("&lt;"),
                '>' => text.push_str("&gt;"),
                '"' => text.push_str("&#34;"),
                '\'' => text.push_str("&#39;"),
                c => {
                    let _infallible = write!(text, "{c}");
                }
            }
            text
        })
}
