//! A response that is built is read back as the same outcome, and the bytes of responses are those of the service.

mod content;
mod hostile;
mod lenient;
mod metadata;
mod outcomes;
mod values;

use std::collections::BTreeSet;
use std::fmt::Debug;

use acr_protocol::auth::Grant;
use acr_protocol::blob::{BlobHead, ContentRange};
use acr_protocol::manifest::AcceptedManifest;
use acr_protocol::operation::headers;
use acr_protocol::operations::*;
use acr_protocol::upload::{UploadLocation, UploadProgress, UploadStart};
use acr_protocol::{
    ArtifactManifestOrder, ArtifactManifestProperties, ArtifactManifestReference, ArtifactTagOrder,
    ArtifactTagProperties, Attributes, ChangeableAttributes, DecodeError, DeletedRepository,
    Deletion, Descriptor, Digest, Digester, ErrorEnvelope, ListQuery, Manifest, MediaType,
    Operation, Page, PageToken, Reference, RepositoryName, RepositoryProperties, Route, Tag,
};
use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, LINK, LOCATION, RANGE,
};
use http::{HeaderValue, Response, StatusCode};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::support::*;

pub(crate) fn list_tag_properties(repository: RepositoryName) -> ListTagProperties {
    ListTagProperties {
        repository,
        query: ListQuery::default(),
        order: ArtifactTagOrder::None,
        digest: None,
    }
}

pub(crate) fn list_manifest_properties(repository: RepositoryName) -> ListManifestProperties {
    ListManifestProperties {
        repository,
        query: ListQuery::default(),
        order: ArtifactManifestOrder::None,
    }
}

pub(crate) fn name(text: &str) -> RepositoryName {
    valid(RepositoryName::new(text))
}

pub(crate) fn tag_named(text: &str) -> Tag {
    valid(Tag::new(text))
}

/// A response of the service, as bytes.
pub(crate) fn response(
    status: u16,
    headers: &[(&'static str, &str)],
    body: &str,
) -> Response<Bytes> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .expect("a response")
}

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

/// The service's response is read as this outcome, and this outcome is written as that response, to the byte.
#[track_caller]
pub(crate) fn golden<O: Operation<Output: PartialEq + Debug>>(
    operation: &O,
    response: Response<Bytes>,
    output: &O::Output,
) {
    let written = operation.respond(output);
    assert_eq!(written.status(), response.status());
    assert_eq!(written.headers(), response.headers());
    assert_eq!(
        String::from_utf8_lossy(written.body()),
        String::from_utf8_lossy(response.body())
    );
    let (head, body) = response.into_parts();
    assert_eq!(&operation.decode(&head, body).expect("a success"), output);
}

pub(crate) const DIGEST: &str =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
