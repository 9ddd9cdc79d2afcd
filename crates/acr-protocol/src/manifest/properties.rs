//! What ACR knows of a manifest beyond its bytes: sizes, platforms, tags, times, locks.

use bytes::Bytes;
use http::{Method, Request, Response, response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::attributes::{Attributes, ChangeableAttributes};
use crate::digest::Digest;
use crate::envelope::{Enveloped, item_response, list_response, read_item, read_page};
use crate::error::{DecodeError, InvalidRequest};
use crate::http_parts::json_request;
use crate::media_type::MediaType;
use crate::operation::{Operation, OperationClass as Class, READ, Spec, WRITE};
use crate::paging::{ListOrder, ListQuery, Page};
use crate::path::PathBuilder;
use crate::reference::{RepositoryName, Tag};
use crate::repository::metadata_path;
use crate::timestamp::Timestamp;

/// What the registry knows of a manifest. Much of it is optional: the service fills some of it in only seconds after a push.
#[doc(alias = "ManifestAttributes")]
#[doc(alias = "ManifestAttributesBase")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ArtifactManifestProperties {
    /// The registry's login server (`registry` on the wire, around the manifest).
    #[serde(rename = "registry")]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[serde(deserialize_with = "crate::json::null_is_default")]
    pub registry_login_server: String,
    /// The repository (`imageName` on the wire, around the manifest).
    #[serde(rename = "imageName")]
    #[serde(skip_serializing_if = "RepositoryName::is_in_envelope")]
    pub repository_name: RepositoryName,
    /// The manifest's digest.
    pub digest: Digest,
    /// The size of the content in bytes (`imageSize`). The service has changed how it counts: for an image it is about
    /// the sum of the layers; do not rely on it.
    #[serde(rename = "imageSize", default, skip_serializing_if = "Option::is_none")]
    pub size_in_bytes: Option<u64>,
    /// When it first came (`createdTime`).
    #[serde(rename = "createdTime")]
    pub created_on: Timestamp,
    /// When it last changed (`lastUpdateTime`). Locks do not count as a change.
    #[serde(rename = "lastUpdateTime")]
    pub last_updated_on: Timestamp,
    /// The processor, from the config. Absent on an index. An open set; `unknown` occurs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// The operating system (`os`), from the config. Absent on an index. An open set; `unknown` occurs.
    #[serde(rename = "os", default, skip_serializing_if = "Option::is_none")]
    pub operating_system: Option<String>,
    /// What the manifest is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// What its config is. Absent on an index, and for seconds after an import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_media_type: Option<MediaType>,
    /// The tags that point at it, by name. Empty where the member is absent: the manifest is untagged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "crate::json::null_is_default")]
    pub tags: Vec<Tag>,
    /// Its locks (`changeableAttributes`).
    #[serde(rename = "changeableAttributes")]
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    pub attributes: Attributes,
    /// The manifests of an index. Only in the response for a single manifest, not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "crate::json::null_is_default")]
    pub references: Vec<ArtifactManifestReference>,
    /// Members that this crate does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ArtifactManifestProperties {
    /// Those of an untagged manifest without locks that came at this time.
    #[must_use]
    pub fn new(repository_name: RepositoryName, digest: Digest, created_on: Timestamp) -> Self {
        Self {
            registry_login_server: String::new(),
            repository_name,
            digest,
            size_in_bytes: None,
            created_on,
            last_updated_on: created_on,
            architecture: None,
            operating_system: None,
            media_type: None,
            config_media_type: None,
            tags: Vec::new(),
            attributes: Attributes::default(),
            references: Vec::new(),
            extra: Map::new(),
        }
    }
}

impl Enveloped for ArtifactManifestProperties {
    const MEMBERS: (&str, &str) = ("manifest", "manifests");
    const EXPECTED: (&str, &str) = ("the properties of a manifest", "a list of manifests");

    fn split(&mut self) -> (String, RepositoryName) {
        let registry = std::mem::take(&mut self.registry_login_server);
        let in_envelope = RepositoryName::in_envelope();
        (
            registry,
            std::mem::replace(&mut self.repository_name, in_envelope),
        )
    }

    fn shorten(&mut self) {
        self.references.clear();
    }
}

/// One manifest of an index, as the properties of the index name it.
#[doc(alias = "ArtifactManifestPlatform")]
#[doc(alias = "ManifestAttributesManifestReferences")]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ArtifactManifestReference {
    /// The manifest's digest.
    pub digest: Digest,
    /// The processor that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// The operating system that it is for (`os`).
    #[serde(rename = "os", default, skip_serializing_if = "Option::is_none")]
    pub operating_system: Option<String>,
}

impl ArtifactManifestReference {
    /// One that says of no platform.
    #[must_use]
    pub const fn new(digest: Digest) -> Self {
        Self {
            digest,
            architecture: None,
            operating_system: None,
        }
    }
}

/// In which order manifests are listed.
#[doc(alias = "ArtifactManifestOrderBy")]
#[doc(alias = "ManifestOrderBy")]
pub type ArtifactManifestOrder = ListOrder;

/// Lists manifests with their properties: `GET /acr/v1/{name}/_manifests`.
#[doc(alias = "GetAllManifestProperties")]
#[doc(alias = "GetManifestPropertiesCollection")]
#[doc(alias = "NewListManifestsPager")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListManifestProperties {
    /// Which repository.
    pub repository: RepositoryName,
    /// Which page.
    pub query: ListQuery,
    /// In which order.
    pub order: ArtifactManifestOrder,
}

impl Operation for ListManifestProperties {
    const SPEC: Spec = Spec::new("list_manifest_properties", Class::MetadataRead, READ);
    type Output = Page<ArtifactManifestProperties>;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        let path = metadata_path(&self.repository).fixed("/_manifests");
        self.query
            .apply(path)
            .query_opt("orderby", self.order.as_query())
            .request(Method::GET)
    }

    fn read(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        read_page(&self.repository, head, &body)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        list_response(&self.repository, output)
    }
}

/// Reads a manifest's properties: `GET /acr/v1/{name}/_manifests/{digest}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GetManifestProperties {
    /// Which repository.
    pub repository: RepositoryName,
    /// Which manifest. The service takes digests only.
    pub digest: Digest,
}

impl Operation for GetManifestProperties {
    const SPEC: Spec = Spec::new("get_manifest_properties", Class::MetadataRead, READ);
    type Output = ArtifactManifestProperties;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn reference(&self) -> Option<&str> {
        Some(self.digest.as_str())
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        properties_path(&self.repository, &self.digest).request(Method::GET)
    }

    fn read(&self, _head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        read_item(&body)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        item_response(output)
    }
}

/// Changes a manifest's locks: `PATCH /acr/v1/{name}/_manifests/{digest}`. Works while the manifest is locked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpdateManifestProperties {
    /// Which repository.
    pub repository: RepositoryName,
    /// Which manifest. The service takes digests only.
    pub digest: Digest,
    /// The change.
    pub attributes: ChangeableAttributes,
}

impl Operation for UpdateManifestProperties {
    const SPEC: Spec = Spec::new("update_manifest_properties", Class::MetadataWrite, WRITE);
    type Output = ArtifactManifestProperties;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn reference(&self) -> Option<&str> {
        Some(self.digest.as_str())
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        let path = properties_path(&self.repository, &self.digest);
        json_request(path.builder(Method::PATCH), &self.attributes)
    }

    fn read(&self, _head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        read_item(&body)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        item_response(output)
    }
}

fn properties_path(repository: &RepositoryName, digest: &Digest) -> PathBuilder {
    metadata_path(repository)
        .fixed("/_manifests")
        .segment(digest.as_str())
}
