//! Repositories: their names in the catalogue, their properties and locks, their end.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::attributes::{Attributes, ChangeableAttributes};
use crate::auth::{Action, Scope, ScopeSet};
use crate::digest::Digest;
use crate::error::{DecodeError, ErrorCode, ErrorEnvelope, RegistryError, was_there};
use crate::json::from_json;
use crate::operation::{
    API_VERSION, Describe, Operation, OperationClass, check_status, empty_request, insert_link,
    json_request, json_response,
};
use crate::paging::{ListQuery, Page, PageToken};
use crate::path::PathBuilder;
use crate::reference::{RepositoryName, Tag};
use crate::timestamp::Timestamp;

/// What the registry knows of a repository.
#[doc(alias = "ContainerRepositoryProperties")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryProperties {
    /// The registry's login server (`registry` on the wire).
    #[serde(
        rename = "registry",
        default,
        deserialize_with = "crate::json::null_is_default"
    )]
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
    #[serde(
        rename = "manifestCount",
        default,
        deserialize_with = "crate::json::null_is_default"
    )]
    pub manifest_count: u64,
    /// How many tags it holds.
    #[serde(
        rename = "tagCount",
        default,
        deserialize_with = "crate::json::null_is_default"
    )]
    pub tag_count: u64,
    /// Its locks (`changeableAttributes`).
    #[serde(
        rename = "changeableAttributes",
        default,
        deserialize_with = "crate::json::null_is_default"
    )]
    pub attributes: Attributes,
    /// Members that this crate does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What went with a repository.
#[doc(alias = "DeleteRepositoryResult")]
#[doc(alias = "ContainerRegistryClientDeleteRepositoryResponse")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedRepository {
    /// The manifests, by ascending digest.
    #[serde(
        rename = "manifestsDeleted",
        default,
        serialize_with = "crate::json::empty_is_null",
        deserialize_with = "crate::json::null_is_default"
    )]
    pub deleted_manifests: Vec<Digest>,
    /// The tags. The service says `null` where there were none.
    #[serde(
        rename = "tagsDeleted",
        default,
        serialize_with = "crate::json::empty_is_null",
        deserialize_with = "crate::json::null_is_default"
    )]
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

impl Describe for ListRepositoryNames {
    const NAME: &'static str = "list_repository_names";
    const CLASS: OperationClass = OperationClass::MetadataRead;
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        Scope::catalog().into()
    }
}

impl Operation for ListRepositoryNames {
    type Output = Page<RepositoryName>;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::OK];

    fn request(&self) -> Request<Bytes> {
        let path = PathBuilder::new("/acr/v1/_catalog").query(API_VERSION.0, API_VERSION.1);
        empty_request(Method::GET, self.query.apply(path).uri())
    }

    fn decode(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        check_status(head, Self::SUCCESS)?;
        decode_catalog(head, &body)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        respond_catalog(output)
    }
}

/// Docker's listing of the repositories: `GET /v2/_catalog`. The same response under another path; a client of ours uses
/// [`ListRepositoryNames`], the common registry tools use this.
#[doc(alias = "_catalog")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListRepositories {
    /// Which page.
    pub query: ListQuery,
}

impl Describe for ListRepositories {
    const NAME: &'static str = "list_repositories";
    const CLASS: OperationClass = OperationClass::MetadataRead;
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        Scope::catalog().into()
    }
}

impl Operation for ListRepositories {
    type Output = Page<RepositoryName>;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::OK];

    fn request(&self) -> Request<Bytes> {
        empty_request(
            Method::GET,
            self.query.apply(PathBuilder::new("/v2/_catalog")).uri(),
        )
    }

    fn decode(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        check_status(head, Self::SUCCESS)?;
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

impl Describe for GetRepositoryProperties {
    const NAME: &'static str = "get_repository_properties";
    const CLASS: OperationClass = OperationClass::MetadataRead;
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::METADATA_READ]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for GetRepositoryProperties {
    type Output = RepositoryProperties;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::OK];

    fn request(&self) -> Request<Bytes> {
        empty_request(Method::GET, metadata_path(&self.repository).uri())
    }

    fn decode(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        check_status(head, Self::SUCCESS)?;
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

impl Describe for UpdateRepositoryProperties {
    const NAME: &'static str = "update_repository_properties";
    const CLASS: OperationClass = OperationClass::MetadataWrite;
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::METADATA_WRITE]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for UpdateRepositoryProperties {
    type Output = RepositoryProperties;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::OK];

    fn request(&self) -> Request<Bytes> {
        json_request(
            Method::PATCH,
            metadata_path(&self.repository).uri(),
            &self.attributes,
        )
    }

    fn decode(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        check_status(head, Self::SUCCESS)?;
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

impl Describe for DeleteRepository {
    const NAME: &'static str = "delete_repository";
    const CLASS: OperationClass = OperationClass::Delete;
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::DELETE]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for DeleteRepository {
    /// What went; `None` where there was no such repository.
    type Output = Option<DeletedRepository>;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::ACCEPTED, StatusCode::NOT_FOUND];

    fn request(&self) -> Request<Bytes> {
        empty_request(Method::DELETE, metadata_path(&self.repository).uri())
    }

    fn decode(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        if was_there(head.status, &body, &[ErrorCode::NAME_UNKNOWN])? {
            from_json("what went with a repository", &body).map(Some)
        } else {
            Ok(None)
        }
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        match output {
            Some(deleted) => json_response(StatusCode::ACCEPTED, deleted),
            // Another wording than that of reading an unknown repository, and with a detail.
            None => {
                let error = RegistryError::new(
                    ErrorCode::NAME_UNKNOWN,
                    "repository name not known to registry",
                );
                json_response(
                    StatusCode::NOT_FOUND,
                    &ErrorEnvelope::from(error.with_detail(json!({ "name": self.repository }))),
                )
            }
        }
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
    #[serde(
        default,
        serialize_with = "crate::json::empty_is_null",
        deserialize_with = "crate::json::null_is_default"
    )]
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
    })
}

fn respond_catalog(page: &Page<RepositoryName>) -> Response<Bytes> {
    insert_link(
        json_response(
            StatusCode::OK,
            &Catalog {
                repositories: page.items.clone(),
            },
        ),
        page.next.as_ref(),
    )
}
