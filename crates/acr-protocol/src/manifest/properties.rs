//! What ACR knows of a manifest beyond its bytes: sizes, platforms, tags, times, locks.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::attributes::{Attributes, ChangeableAttributes};
use crate::auth::{Action, Scope, ScopeSet};
use crate::digest::Digest;
use crate::error::DecodeError;
use crate::json::from_json;
use crate::media_type::MediaType;
use crate::operation::{
    Describe, Operation, OperationClass, check_status, empty_request, insert_link, json_request,
    json_response,
};
use crate::paging::{ListQuery, Listing, PageToken};
use crate::path::PathBuilder;
use crate::reference::{RepositoryName, Tag};
use crate::repository::metadata_path;
use crate::timestamp::Timestamp;

/// What the registry knows of a manifest. Much of it is optional: the service fills some of it in only seconds after a push.
#[doc(alias = "ManifestAttributes")]
#[doc(alias = "ManifestAttributesBase")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactManifestProperties {
    /// The registry's login server (`registry` on the wire, around the manifest).
    pub registry_login_server: String,
    /// The repository (`imageName` on the wire, around the manifest).
    pub repository_name: RepositoryName,
    /// The manifest's digest.
    pub digest: Digest,
    /// The tags that point at it, by name. Empty where the member is absent: the manifest is untagged.
    pub tags: Vec<Tag>,
    /// The size of the content in bytes (`imageSize`). The service has changed how it counts: for an image it is about
    /// the sum of the layers; do not rely on it.
    pub size_in_bytes: Option<u64>,
    /// When it first came (`createdTime`).
    pub created_on: Timestamp,
    /// When it last changed (`lastUpdateTime`). Locks do not count as a change.
    pub last_updated_on: Timestamp,
    /// The processor, from the config. Absent on an index. An open set; `unknown` occurs.
    pub architecture: Option<String>,
    /// The operating system (`os`), from the config. Absent on an index. An open set; `unknown` occurs.
    pub operating_system: Option<String>,
    /// What the manifest is.
    pub media_type: Option<MediaType>,
    /// What its config is. Absent on an index, and for seconds after an import.
    pub config_media_type: Option<MediaType>,
    /// The manifests of an index. Only in the response for a single manifest, not in lists.
    pub references: Vec<ArtifactManifestReference>,
    /// Its locks (`changeableAttributes`).
    pub attributes: Attributes,
    /// Members that this crate does not know.
    pub extra: Map<String, Value>,
}

/// One manifest of an index, as the properties of the index name it.
#[doc(alias = "ArtifactManifestPlatform")]
#[doc(alias = "ManifestAttributesManifestReferences")]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// In which order manifests are listed.
#[doc(alias = "ArtifactManifestOrderBy")]
#[doc(alias = "ManifestOrderBy")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ArtifactManifestOrder {
    /// By digest: the service's own order.
    #[default]
    None,
    /// The one that changed last comes first.
    LastUpdatedOnDescending,
    /// The one that changed last comes last.
    LastUpdatedOnAscending,
}

impl ArtifactManifestOrder {
    /// The value of `orderby`; nothing is sent for [`ArtifactManifestOrder::None`].
    #[must_use]
    pub fn as_query(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::LastUpdatedOnDescending => Some("timedesc"),
            Self::LastUpdatedOnAscending => Some("timeasc"),
        }
    }

    /// Reads `orderby`; what is unknown is no order.
    #[must_use]
    pub fn from_query(value: &str) -> Self {
        match value {
            "timedesc" => Self::LastUpdatedOnDescending,
            "timeasc" => Self::LastUpdatedOnAscending,
            _ => Self::None,
        }
    }
}

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

impl Describe for ListManifestProperties {
    const NAME: &'static str = "list_manifest_properties";
    const CLASS: OperationClass = OperationClass::MetadataRead;
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::METADATA_READ]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for ListManifestProperties {
    type Output = Listing<ArtifactManifestProperties>;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::OK];

    fn request(&self) -> Request<Bytes> {
        let path = self
            .query
            .apply(metadata_path(&self.repository).fixed("/_manifests"));
        empty_request(
            Method::GET,
            path.query_opt("orderby", self.order.as_query()).uri(),
        )
    }

    fn decode(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        check_status(head, Self::SUCCESS)?;
        let list: ManifestListBody = from_json("a list of manifests", &body)?;
        let next = PageToken::from_headers(&head.headers)?;
        let name = list.image_name.unwrap_or_else(|| self.repository.clone());
        let items = list
            .manifests
            .into_iter()
            .map(|manifest| manifest.within(&list.registry, &name))
            .collect();
        Ok(Listing {
            registry_login_server: list.registry,
            repository_name: name,
            items,
            next,
        })
    }

    /// A list names no references: those are only in the response for a single manifest.
    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        let body = ManifestListBody {
            registry: output.registry_login_server.clone(),
            image_name: Some(output.repository_name.clone()),
            manifests: output
                .items
                .iter()
                .map(|item| ManifestAttributesBody {
                    references: Vec::new(),
                    ..item.into()
                })
                .collect(),
        };
        insert_link(json_response(StatusCode::OK, &body), output.next.as_ref())
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

impl Describe for GetManifestProperties {
    const NAME: &'static str = "get_manifest_properties";
    const CLASS: OperationClass = OperationClass::MetadataRead;
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::METADATA_READ]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for GetManifestProperties {
    type Output = ArtifactManifestProperties;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::OK];

    fn request(&self) -> Request<Bytes> {
        empty_request(
            Method::GET,
            properties_path(&self.repository, &self.digest).uri(),
        )
    }

    fn decode(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        check_status(head, Self::SUCCESS)?;
        from_json("the properties of a manifest", &body).map(ManifestBody::into_properties)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        json_response(StatusCode::OK, &ManifestBody::from(output))
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

impl Describe for UpdateManifestProperties {
    const NAME: &'static str = "update_manifest_properties";
    const CLASS: OperationClass = OperationClass::MetadataWrite;
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::METADATA_WRITE]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for UpdateManifestProperties {
    type Output = ArtifactManifestProperties;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::OK];

    fn request(&self) -> Request<Bytes> {
        json_request(
            Method::PATCH,
            properties_path(&self.repository, &self.digest).uri(),
            &self.attributes,
        )
    }

    fn decode(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        check_status(head, Self::SUCCESS)?;
        from_json("the properties of a manifest", &body).map(ManifestBody::into_properties)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        json_response(StatusCode::OK, &ManifestBody::from(output))
    }
}

fn properties_path(repository: &RepositoryName, digest: &Digest) -> PathBuilder {
    metadata_path(repository)
        .fixed("/_manifests")
        .segment(digest.as_str())
}

#[derive(Serialize, Deserialize)]
struct ManifestListBody {
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    registry: String,
    /// Absent from an empty list that is `{}`.
    #[serde(rename = "imageName", default)]
    image_name: Option<RepositoryName>,
    #[serde(
        default,
        deserialize_with = "crate::json::null_is_default",
        serialize_with = "crate::json::empty_is_null"
    )]
    manifests: Vec<ManifestAttributesBody>,
}

#[derive(Serialize, Deserialize)]
struct ManifestBody {
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    registry: String,
    #[serde(rename = "imageName")]
    image_name: RepositoryName,
    manifest: ManifestAttributesBody,
}

impl ManifestBody {
    fn into_properties(self) -> ArtifactManifestProperties {
        self.manifest.within(&self.registry, &self.image_name)
    }
}

impl From<&ArtifactManifestProperties> for ManifestBody {
    fn from(properties: &ArtifactManifestProperties) -> Self {
        Self {
            registry: properties.registry_login_server.clone(),
            image_name: properties.repository_name.clone(),
            manifest: properties.into(),
        }
    }
}

/// The members in the order of the wire.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestAttributesBody {
    digest: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image_size: Option<u64>,
    created_time: Timestamp,
    last_update_time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    architecture: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    os: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<MediaType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config_media_type: Option<MediaType>,
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::json::null_is_default"
    )]
    tags: Vec<Tag>,
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    changeable_attributes: Attributes,
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::json::null_is_default"
    )]
    references: Vec<ArtifactManifestReference>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

impl ManifestAttributesBody {
    fn within(self, registry: &str, repository: &RepositoryName) -> ArtifactManifestProperties {
        ArtifactManifestProperties {
            registry_login_server: registry.to_owned(),
            repository_name: repository.clone(),
            digest: self.digest,
            tags: self.tags,
            size_in_bytes: self.image_size,
            created_on: self.created_time,
            last_updated_on: self.last_update_time,
            architecture: self.architecture,
            operating_system: self.os,
            media_type: self.media_type,
            config_media_type: self.config_media_type,
            references: self.references,
            attributes: self.changeable_attributes,
            extra: self.extra,
        }
    }
}

impl From<&ArtifactManifestProperties> for ManifestAttributesBody {
    fn from(properties: &ArtifactManifestProperties) -> Self {
        Self {
            digest: properties.digest.clone(),
            image_size: properties.size_in_bytes,
            created_time: properties.created_on,
            last_update_time: properties.last_updated_on,
            architecture: properties.architecture.clone(),
            os: properties.operating_system.clone(),
            media_type: properties.media_type.clone(),
            config_media_type: properties.config_media_type.clone(),
            tags: properties.tags.clone(),
            changeable_attributes: properties.attributes.clone(),
            references: properties.references.clone(),
            extra: properties.extra.clone(),
        }
    }
}
