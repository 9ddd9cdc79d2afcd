//! Repositories: their names in the catalogue, their properties and locks, their end.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::attributes::{Attributes, ChangeableAttributes};
use crate::deletion::Deletion;
use crate::digest::Digest;
use crate::error::{DecodeError, ErrorCode, InvalidRequest, RegistryError};
use crate::http_parts::{API_VERSION, json_request, json_response, page_response};
use crate::json::from_json;
use crate::operation::{CATALOG, DELETE, Operation, OperationClass as Class, READ, Spec, WRITE};
use crate::paging::{ListQuery, Page, PageToken};
use crate::path::PathBuilder;
use crate::reference::{RepositoryName, Tag};
use crate::timestamp::Timestamp;

/// What the registry knows of a repository.
#[doc(alias = "ContainerRepositoryProperties")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RepositoryProperties {
    /// The registry's login server (`registry` on the wire).
    #[serde(rename = "registry")]
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    pub registry_login_server: String,
    /// The repository's name (`imageName`).
    #[serde(rename = "imageName")]
    pub name: RepositoryName,
    /// When its first manifest came (`createdTime`). Has been seen later than `last_updated_on`.
    #[serde(rename = "createdTime")]
    pub created_on: Timestamp,
    /// When it last changed (`lastUpdateTime`). Locks do not count as a change.
    #[serde(rename = "lastUpdateTime")]
    pub last_updated_on: Timestamp,
    /// How many manifests it holds.
    #[serde(rename = "manifestCount")]
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    pub manifest_count: u64,
    /// How many tags it holds.
    #[serde(rename = "tagCount")]
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    pub tag_count: u64,
    /// Its locks (`changeableAttributes`).
    #[serde(rename = "changeableAttributes")]
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    pub attributes: Attributes,
    /// Members that this crate does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl RepositoryProperties {
    /// Those of an empty repository without locks that came at this time.
    #[must_use]
    pub fn new(name: RepositoryName, created_on: Timestamp) -> Self {
        Self {
            registry_login_server: String::new(),
            name,
            created_on,
            last_updated_on: created_on,
            manifest_count: 0,
            tag_count: 0,
            attributes: Attributes::default(),
            extra: Map::new(),
        }
    }
}

/// What went with a repository.
#[doc(alias = "DeleteRepositoryResult")]
#[doc(alias = "ContainerRegistryClientDeleteRepositoryResponse")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeletedRepository {
    /// The manifests, by ascending digest.
    #[serde(rename = "manifestsDeleted")]
    #[serde(default, serialize_with = "crate::json::empty_is_null")]
    #[serde(deserialize_with = "crate::json::null_is_default")]
    pub deleted_manifests: Vec<Digest>,
    /// The tags. The service says `null` where there were none.
    #[serde(rename = "tagsDeleted")]
    #[serde(default, serialize_with = "crate::json::empty_is_null")]
    #[serde(deserialize_with = "crate::json::null_is_default")]
    pub deleted_tags: Vec<Tag>,
}

/// Lists the names of the repositories: `GET /acr/v1/_catalog`, by name.
#[doc(alias = "NewListRepositoriesPager")]
#[doc(alias = "GetRepositoryNames")]
#[doc(alias = "GetRepositories")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListRepositoryNames {
    /// Which page.
    pub query: ListQuery,
}

impl Operation for ListRepositoryNames {
    const SPEC: Spec = Spec::new("list_repository_names", Class::MetadataRead, CATALOG);
    type Output = Page<RepositoryName>;

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        let path = PathBuilder::new("/acr/v1/_catalog").query(API_VERSION.0, API_VERSION.1);
        self.query.apply(path).request(Method::GET)
    }

    fn read(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        decode_catalog(head, &body)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        respond_catalog(output)
    }
}

/// Docker's listing of the repositories: `GET /v2/_catalog`. The same response under another path, which
/// registries without the ACR API have too.
#[doc(alias = "_catalog")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListRepositories {
    /// Which page.
    pub query: ListQuery,
}

impl Operation for ListRepositories {
    const SPEC: Spec = Spec::new("list_repositories", Class::MetadataRead, CATALOG);
    type Output = Page<RepositoryName>;

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        let path = PathBuilder::new("/v2/_catalog");
        self.query.apply(path).request(Method::GET)
    }

    fn read(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        decode_catalog(head, &body)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        respond_catalog(output)
    }
}

/// Reads a repository's properties: `GET /acr/v1/{name}`.
#[doc(alias = "GetProperties")]
#[doc(alias = "ContainerRepository")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GetRepositoryProperties {
    /// Which repository.
    pub repository: RepositoryName,
}

impl Operation for GetRepositoryProperties {
    const SPEC: Spec = Spec::new("get_repository_properties", Class::MetadataRead, READ);
    type Output = RepositoryProperties;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        metadata_path(&self.repository).request(Method::GET)
    }

    fn read(&self, _head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        from_json("the properties of a repository", &body)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        json_response(StatusCode::OK, output)
    }
}

/// Changes a repository's locks: `PATCH /acr/v1/{name}`.
#[doc(alias = "UpdateProperties")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpdateRepositoryProperties {
    /// Which repository.
    pub repository: RepositoryName,
    /// The change.
    pub attributes: ChangeableAttributes,
}

impl Operation for UpdateRepositoryProperties {
    const SPEC: Spec = Spec::new("update_repository_properties", Class::MetadataWrite, WRITE);
    type Output = RepositoryProperties;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        let path = metadata_path(&self.repository);
        json_request(path.builder(Method::PATCH), &self.attributes)
    }

    fn read(&self, _head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        from_json("the properties of a repository", &body)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        json_response(StatusCode::OK, output)
    }
}

/// Deletes a repository with everything in it: `DELETE /acr/v1/{name}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeleteRepository {
    /// Which repository.
    pub repository: RepositoryName,
}

impl Operation for DeleteRepository {
    const SPEC: Spec =
        Spec::new("delete_repository", Class::Delete, DELETE).success(Deletion::<()>::SUCCESS);
    type Output = Deletion<DeletedRepository>;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        metadata_path(&self.repository).request(Method::DELETE)
    }

    fn read(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        Deletion::read(head, &body, &[ErrorCode::NAME_UNKNOWN], || {
            from_json("what went with a repository", &body)
        })
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        if let Deletion::Deleted(deleted) = output {
            return json_response(StatusCode::ACCEPTED, deleted);
        }
        // Another wording than that of reading an unknown repository, and with a detail.
        output.respond(|| {
            let message = "repository name not known to registry";
            RegistryError::new(ErrorCode::NAME_UNKNOWN, message)
                .with_detail(json!({ "name": self.repository }))
        })
    }
}

/// `/acr/v1/{name}` with the API's version, which every piece of metadata of a repository begins with.
pub(crate) fn metadata_path(repository: &RepositoryName) -> PathBuilder {
    PathBuilder::new("/acr/v1")
        .name(repository.as_str())
        .query(API_VERSION.0, API_VERSION.1)
}

#[derive(Serialize, Deserialize)]
struct Catalog {
    /// `null`, not an empty list, where there is none (recorded).
    #[serde(default, serialize_with = "crate::json::empty_is_null")]
    #[serde(deserialize_with = "crate::json::null_is_default")]
    repositories: Vec<RepositoryName>,
}

fn decode_catalog(
    head: &response::Parts,
    body: &[u8],
) -> Result<Page<RepositoryName>, DecodeError> {
    let catalog: Catalog = from_json("a list of repositories", body)?;
    Ok(Page {
        items: catalog.repositories,
        next: PageToken::from_headers(&head.headers)?,
        ..Page::default()
    })
}

fn respond_catalog(page: &Page<RepositoryName>) -> Response<Bytes> {
    let repositories = page.items.clone();
    page_response(&Catalog { repositories }, page.next.as_ref())
}
