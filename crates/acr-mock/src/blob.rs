//! The operations on blobs, but for uploads.

use std::fmt::Write as _;
use std::sync::Arc;

use acr_protocol::blob::{DeleteBlob, GetBlob, HeadBlob};
use acr_protocol::operation::headers::DOCKER_CONTENT_DIGEST;
use acr_protocol::upload::{MountBlob, UploadStart};
use acr_protocol::{Deletion, Descriptor, MediaType};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Response, StatusCode};

use crate::data;
use crate::error::ErrorResponse;
use crate::registry::Registry;
use crate::request_context::RequestContext;
use crate::response::respond;
use crate::{Body, locks};

impl Registry {
    /// `HEAD /v2/{name}/blobs/{digest}`: served by the registry itself; ranges are ignored.
    pub(crate) fn head_blob(&self, operation: &HeadBlob) -> Result<Response<Body>, ErrorResponse> {
        let store = self.store();
        let content = store
            .blob(&operation.repository, &operation.digest)
            .ok_or_else(|| ErrorResponse::blob_not_found(&operation.digest))?;
        if let Some(repository) = store.record(&operation.repository) {
            locks::get_blob(repository)?;
        }
        Ok(respond(
            operation,
            &Descriptor::new(
                MediaType::OCTET_STREAM,
                operation.digest.clone(),
                content.length(),
            ),
        ))
    }

    /// `GET /v2/{name}/blobs/{digest}`: 307 to the data origin, or the bytes themselves where the redirect is off.
    pub(crate) fn get_blob(
        &self,
        call: &RequestContext,
        operation: &GetBlob,
    ) -> Result<Response<Body>, ErrorResponse> {
        let content = {
            let store = self.store();
            let content = store
                .blob(&operation.repository, &operation.digest)
                .ok_or_else(|| ErrorResponse::blob_not_found(&operation.digest))?;
            if let Some(repository) = store.record(&operation.repository) {
                locks::get_blob(repository)?;
            }
            Arc::clone(content)
        };
        let digest = HeaderValue::try_from(operation.digest.as_str())
            .unwrap_or(HeaderValue::from_static(""));
        if !self.settings().redirects_to_data() {
            let mut response = self.ranged(&content, operation.range);
            response.headers_mut().insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            );
            response.headers_mut().insert(DOCKER_CONTENT_DIGEST, digest);
            return Ok(response);
        }
        let location = data::signed_url(self, call, &operation.digest);
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
                .map_err(|_| ErrorResponse::blob_not_found(&operation.digest))?,
        );
        Ok(response)
    }

    /// `DELETE /v2/{name}/blobs/{digest}`: not held back by a manifest that needs it.
    pub(crate) async fn delete_blob(
        &self,
        operation: &DeleteBlob,
    ) -> Result<Response<Body>, ErrorResponse> {
        let removed = {
            let mut store = self.store();
            if let Some(repository) = store.record(&operation.repository)
                && repository.blob(&operation.digest).is_some()
            {
                locks::delete_blob(repository)?;
            }
            store.remove_blob(&operation.repository, &operation.digest)
        };
        let deletion = Deletion::from(removed.is_some().then_some(()));
        if let Some(blob) = removed {
            self.waste().put_blob(blob);
            self.shed_all().await;
        }
        Ok(respond(operation, &deletion))
    }

    /// `POST /v2/{name}/blobs/uploads/?mount=&from=`: where the source has no such blob, an upload begins; where none is
    /// named, the profile says whether one is looked for.
    pub(crate) fn mount_blob(
        &self,
        call: &RequestContext,
        operation: &MountBlob,
    ) -> Result<Response<Body>, ErrorResponse> {
        let mut store = self.store();
        if let Some(repository) = store.record(&operation.repository) {
            locks::push(repository)?;
        }
        let source = match &operation.from {
            // Chosen: a source that must not be read has nothing to mount.
            Some(source) => store
                .record(source)
                .filter(|source| locks::get_blob(source).is_ok())
                .and_then(|source| source.blob(&operation.digest))
                .cloned(),
            None if self.settings().profile.mounts_from_anywhere() => {
                store.content(&operation.digest)
            }
            None => None,
        };
        let Some(content) = source else {
            drop(store);
            return Ok(respond(
                operation,
                &UploadStart::Started(self.open_upload(call, &operation.repository)?),
            ));
        };
        store.share_blob(&operation.repository, content);
        Ok(respond(
            operation,
            &UploadStart::AlreadyExists(operation.digest.clone()),
        ))
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
