//! Manifests: their bytes, typed views of them, the operations of the OCI API, and (in [`properties`]) ACR's properties.

mod image;
mod index;
pub mod properties;
mod references;

pub use image::ImageManifest;
pub use index::ImageIndex;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode, response};

use crate::deletion::Deletion;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{DecodeError, ErrorCode, InvalidRequest, RegistryError};
use crate::http_parts::{
    check_taken, content_digest, empty_response, headers, insert, insert_length, required_length,
    required_media_type,
};
use crate::json::refuse_errors;
use crate::media_type::MediaType;
use crate::operation::{DELETE, Operation, OperationClass as Class, PULL, PUSH, Spec};
use crate::path::PathBuilder;
use crate::reference::{Reference, RepositoryName, Tag};
use crate::verify::{DigestMismatch, Verifier};

/// A manifest: its exact bytes, what they are, and their digest.
///
/// The bytes are kept because the digest is over them: reading and writing the JSON again would change it.
#[doc(alias = "GetManifestResult")]
#[doc(alias = "DownloadManifestResult")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The bytes, unchanged.
    pub bytes: Bytes,
    /// What they are, from the `Content-Type` they came with.
    pub media_type: MediaType,
    /// Their digest.
    pub digest: Digest,
}

impl Manifest {
    /// A manifest of these bytes, under their sha256 digest.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>, media_type: impl Into<MediaType>) -> Self {
        let bytes = bytes.into();
        let digest = Digest::sha256(&bytes);
        Self {
            bytes,
            media_type: media_type.into(),
            digest,
        }
    }

    /// Reads it as an image manifest.
    ///
    /// # Errors
    /// It is another kind of manifest, or not a well-formed one.
    pub fn as_image(&self) -> Result<ImageManifest, InvalidManifest> {
        if self.media_type.is_index() {
            return Err(InvalidManifest::kind("an image manifest", &self.media_type));
        }
        serde_json::from_slice(&self.bytes)
            .map_err(|error| InvalidManifest::json("an image manifest", &error))
    }

    /// Reads it as an index or a manifest list.
    ///
    /// # Errors
    /// It is another kind of manifest, or not a well-formed one.
    pub fn as_index(&self) -> Result<ImageIndex, InvalidManifest> {
        if self.media_type.is_image() {
            return Err(InvalidManifest::kind("an index", &self.media_type));
        }
        serde_json::from_slice(&self.bytes)
            .map_err(|error| InvalidManifest::json("an index", &error))
    }

    /// The descriptor that points at it.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(
            &self.media_type,
            self.digest.clone(),
            self.bytes.len() as u64,
        )
    }
}

impl TryFrom<&ImageManifest> for Manifest {
    type Error = InvalidManifest;

    fn try_from(image: &ImageManifest) -> Result<Self, Self::Error> {
        let bytes = serde_json::to_vec(image)
            .map_err(|error| InvalidManifest::json("an image manifest", &error))?;
        Ok(Self::new(
            bytes,
            image.media_type.clone().unwrap_or(MediaType::OCI_MANIFEST),
        ))
    }
}

impl TryFrom<&ImageIndex> for Manifest {
    type Error = InvalidManifest;

    fn try_from(index: &ImageIndex) -> Result<Self, Self::Error> {
        let bytes =
            serde_json::to_vec(index).map_err(|error| InvalidManifest::json("an index", &error))?;
        Ok(Self::new(
            bytes,
            index.media_type.clone().unwrap_or(MediaType::OCI_INDEX),
        ))
    }
}

/// The manifest is not of the kind that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the manifest is not {expected}: {reason}")]
pub struct InvalidManifest {
    expected: &'static str,
    reason: String,
}

impl InvalidManifest {
    fn kind(expected: &'static str, found: &MediaType) -> Self {
        let reason = match found.as_str() {
            "" => "its media type is empty".to_owned(),
            found => format!("it is of type {found}"),
        };
        Self { expected, reason }
    }

    pub(crate) fn index(error: serde_json::Error) -> Self {
        Self::json("an index", &error)
    }

    fn json(expected: &'static str, error: &serde_json::Error) -> Self {
        Self {
            expected,
            reason: error.to_string(),
        }
    }
}

/// Gets a manifest: `GET /v2/{name}/manifests/{reference}`.
#[doc(alias = "download_manifest")]
#[doc(alias = "DownloadManifest")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GetManifest {
    /// Which repository.
    pub repository: RepositoryName,
    /// Which manifest.
    pub reference: Reference,
    /// Media types to accept besides [`MediaType::ACCEPTED_MANIFESTS`].
    pub accept: Vec<MediaType>,
}

impl Operation for GetManifest {
    const SPEC: Spec = Spec::new("get_manifest", Class::Manifest, PULL);
    type Output = Manifest;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn reference(&self) -> Option<&str> {
        Some(self.reference.as_str())
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        Ok(manifest_path(&self.repository, &self.reference)
            .builder(Method::GET)
            .header(ACCEPT, MediaType::accept_manifests(&self.accept))
            .body(Bytes::new())?)
    }

    /// The bytes are held against the digest that was asked for, and against the header's where one is sent. A registry
    /// that converted the manifest for want of an `Accept` fails here, as it must.
    fn read(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        let media_type = required_media_type(&head.headers)?;
        let promised = content_digest(&head.headers)?;
        for expected in self.reference.digest().into_iter().chain(promised.as_ref()) {
            verify(expected, &body)?;
        }
        let digest = match self.reference.digest().cloned().or(promised) {
            Some(digest) => digest,
            None => {
                refuse_errors("a manifest", &body)?;
                Digest::sha256(&body)
            }
        };
        Ok(Manifest {
            bytes: body,
            media_type,
            digest,
        })
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        let mut response = Response::new(output.bytes.clone());
        insert_manifest_headers(&mut response, &output.media_type, &output.digest);
        response
    }
}

/// Asks whether a manifest is there, and what it is: `HEAD /v2/{name}/manifests/{reference}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeadManifest {
    /// Which repository.
    pub repository: RepositoryName,
    /// Which manifest.
    pub reference: Reference,
    /// Media types to accept besides [`MediaType::ACCEPTED_MANIFESTS`].
    pub accept: Vec<MediaType>,
}

impl Operation for HeadManifest {
    const SPEC: Spec = Spec::new("head_manifest", Class::Manifest, PULL);
    type Output = Descriptor;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn reference(&self) -> Option<&str> {
        Some(self.reference.as_str())
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        Ok(manifest_path(&self.repository, &self.reference)
            .builder(Method::HEAD)
            .header(ACCEPT, MediaType::accept_manifests(&self.accept))
            .body(Bytes::new())?)
    }

    fn read(&self, head: &response::Parts, _body: Bytes) -> Result<Self::Output, DecodeError> {
        let media_type = required_media_type(&head.headers)?;
        let size = required_length(&head.headers)?;
        let promised = content_digest(&head.headers)?;
        let digest = match (self.reference.digest(), promised) {
            (Some(asked), Some(promised))
                if promised.algorithm() == asked.algorithm() && promised != *asked =>
            {
                return Err(DigestMismatch::new(asked.clone(), promised, size).into());
            }
            (Some(asked), _) => asked.clone(),
            (None, Some(promised)) => promised,
            (None, None) => return Err(DecodeError::MissingHeader(headers::DOCKER_CONTENT_DIGEST)),
        };
        Ok(Descriptor::new(media_type, digest, size))
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        insert_manifest_headers(&mut response, &output.media_type, &output.digest);
        insert_length(&mut response, output.size);
        response
    }
}

/// Sets a manifest: `PUT /v2/{name}/manifests/{reference}`.
#[doc(alias = "upload_manifest")]
#[doc(alias = "UploadManifest")]
#[doc(alias = "PutManifest")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetManifest {
    /// Which repository.
    pub repository: RepositoryName,
    /// The tag to set, or the digest of the bytes.
    pub reference: Reference,
    /// What the bytes are.
    pub media_type: MediaType,
    /// The bytes, sent as they are.
    pub bytes: Bytes,
    /// Tags to set along with a push by digest (OCI's `?tag=`). ACR has not been seen to take them.
    pub tags: Vec<Tag>,
}

/// What a registry says to a manifest that it took.
#[doc(alias = "SetManifestResult")]
#[doc(alias = "UploadManifestResult")]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AcceptedManifest {
    /// The manifest's digest.
    pub digest: Digest,
    /// The subject that the registry took note of (`OCI-Subject`). Absent where the registry has no referrers API.
    pub subject: Option<Digest>,
    /// The tags that it has set (`OCI-Tag`). Empty where it does not say.
    pub tags: Vec<Tag>,
}

impl AcceptedManifest {
    /// Returns the response about a manifest of which nothing but its digest is told.
    #[must_use]
    pub const fn new(digest: Digest) -> Self {
        Self {
            digest,
            subject: None,
            tags: Vec::new(),
        }
    }
}

impl Operation for SetManifest {
    const SPEC: Spec = Spec::new("set_manifest", Class::Manifest, PUSH).success(&[
        StatusCode::CREATED,
        StatusCode::OK,
        StatusCode::ACCEPTED,
        StatusCode::NO_CONTENT,
    ]);
    type Output = AcceptedManifest;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn reference(&self) -> Option<&str> {
        Some(self.reference.as_str())
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        let path = self.tags.iter().fold(
            manifest_path(&self.repository, &self.reference),
            |path, tag| path.query("tag", tag.as_str()),
        );
        Ok(path
            .builder(Method::PUT)
            .header(CONTENT_TYPE, self.media_type.as_str())
            .body(self.bytes.clone())?)
    }

    fn read(&self, head: &response::Parts, _body: Bytes) -> Result<Self::Output, DecodeError> {
        check_taken(head)?;
        let promised = content_digest(&head.headers)?;
        if let Some(promised) = &promised {
            verify(promised, &self.bytes)?;
        }
        let digest = self
            .reference
            .digest()
            .cloned()
            .or(promised)
            .unwrap_or_else(|| Digest::sha256(&self.bytes));
        let subject = head
            .headers
            .get(headers::OCI_SUBJECT)
            .and_then(|value| Digest::new(value.to_str().ok()?).ok());
        let values = head
            .headers
            .get_all(headers::OCI_TAG)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let tags = values
            .flat_map(|value| value.split(','))
            .filter_map(|tag| Tag::new(tag.trim()).ok())
            .collect();
        Ok(AcceptedManifest {
            digest,
            subject,
            tags,
        })
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        let mut response = empty_response(StatusCode::CREATED);
        insert(
            &mut response,
            headers::DOCKER_CONTENT_DIGEST,
            output.digest.as_str(),
        );
        // Always by digest and relative, also after a push by tag.
        let location = manifest_path(&self.repository, &Reference::from(&output.digest)).text();
        insert(&mut response, LOCATION, &location);
        if let Some(subject) = &output.subject {
            insert(&mut response, headers::OCI_SUBJECT, subject.as_str());
        }
        for tag in &output.tags {
            if let Ok(value) = HeaderValue::try_from(tag.as_str()) {
                response.headers_mut().append(headers::OCI_TAG, value);
            }
        }
        response
    }
}

/// Deletes a manifest with all its tags: `DELETE /v2/{name}/manifests/{digest}`.
///
/// The request can also carry a tag, because others send that; ACR refuses it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeleteManifest {
    /// Which repository.
    pub repository: RepositoryName,
    /// Which manifest.
    pub reference: Reference,
}

impl Operation for DeleteManifest {
    const SPEC: Spec =
        Spec::new("delete_manifest", Class::Delete, DELETE).success(Deletion::<()>::SUCCESS);
    type Output = Deletion;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn reference(&self) -> Option<&str> {
        Some(self.reference.as_str())
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        manifest_path(&self.repository, &self.reference).request(Method::DELETE)
    }

    fn read(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        let mut absence = vec![ErrorCode::MANIFEST_UNKNOWN, ErrorCode::NAME_UNKNOWN];
        if self.reference.digest().is_none() {
            absence.push(ErrorCode::TAG_UNKNOWN);
        }
        Deletion::read(head, &body, &absence, || Ok(()))
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        // Without the detail that a GET of the same digest has.
        output.respond(|| {
            let message = format!("manifest {} is not found", self.reference);
            RegistryError::new(ErrorCode::MANIFEST_UNKNOWN, message)
        })
    }
}

fn manifest_path(repository: &RepositoryName, reference: &Reference) -> PathBuilder {
    PathBuilder::new("/v2")
        .name(repository.as_str())
        .fixed("/manifests")
        .segment(reference.as_str())
}

fn insert_manifest_headers(
    response: &mut Response<Bytes>,
    media_type: &MediaType,
    digest: &Digest,
) {
    insert(response, CONTENT_TYPE, media_type.as_str());
    insert(response, headers::DOCKER_CONTENT_DIGEST, digest.as_str());
    insert(response, ETAG, &format!("\"{digest}\""));
}

fn verify(expected: &Digest, bytes: &[u8]) -> Result<(), DecodeError> {
    let mut verifier = Verifier::new(expected.clone())?;
    verifier.update(bytes);
    verifier.finish()?;
    Ok(())
}
