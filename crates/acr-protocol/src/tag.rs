//! Tags: their properties and locks, untagging, and the plain list of the OCI API.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::attributes::{Attributes, ChangeableAttributes};
use crate::auth::{Action, Scope, ScopeSet};
use crate::digest::Digest;
use crate::error::{DecodeError, ErrorCode, ErrorEnvelope, RegistryError, was_there};
use crate::json::from_json;
use crate::operation::{
    Describe, Operation, OperationClass, check_status, empty_request, empty_response, insert_link,
    json_request, json_response,
};
use crate::paging::{ListQuery, Listing, Page, PageToken};
use crate::path::PathBuilder;
use crate::reference::{RepositoryName, Tag};
use crate::repository::metadata_path;
use crate::timestamp::Timestamp;

/// What the registry knows of a tag.
#[doc(alias = "TagAttributes")]
#[doc(alias = "TagAttributesBase")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactTagProperties {
    /// The registry's login server (`registry` on the wire, around the tag).
    pub registry_login_server: String,
    /// The repository (`imageName` on the wire, around the tag).
    pub repository_name: RepositoryName,
    /// The tag.
    pub name: Tag,
    /// The manifest that it points at.
    pub digest: Digest,
    /// When it was first set (`createdTime`).
    pub created_on: Timestamp,
    /// When it last moved (`lastUpdateTime`). Locks do not count as a change.
    pub last_updated_on: Timestamp,
    /// Its locks (`changeableAttributes`).
    pub attributes: Attributes,
    /// Members that this crate does not name, such as `signed`.
    pub extra: Map<String, Value>,
}

/// In which order tags are listed.
#[doc(alias = "ArtifactTagOrderBy")]
#[doc(alias = "TagOrderBy")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ArtifactTagOrder {
    /// By name, byte by byte: the service's own order.
    #[default]
    None,
    /// The one that moved last comes first.
    LastUpdatedOnDescending,
    /// The one that moved last comes last.
    LastUpdatedOnAscending,
}

impl ArtifactTagOrder {
    /// The value of `orderby`; nothing is sent for [`ArtifactTagOrder::None`].
    #[must_use]
    pub fn as_query(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::LastUpdatedOnDescending => Some("timedesc"),
            Self::LastUpdatedOnAscending => Some("timeasc"),
        }
    }

    /// Reads `orderby`. Two of the official SDKs send `none`, and links carry an empty one; what is unknown is no order.
    #[must_use]
    pub fn from_query(value: &str) -> Self {
        match value {
            "timedesc" => Self::LastUpdatedOnDescending,
            "timeasc" => Self::LastUpdatedOnAscending,
            _ => Self::None,
        }
    }
}

/// Lists tags with their properties: `GET /acr/v1/{name}/_tags`.
#[doc(alias = "GetAllTagProperties")]
#[doc(alias = "GetTagPropertiesCollection")]
#[doc(alias = "NewListTagsPager")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListTagProperties {
    /// Which repository.
    pub repository: RepositoryName,
    /// Which page.
    pub query: ListQuery,
    /// In which order.
    pub order: ArtifactTagOrder,
    /// Only the tags of this manifest. The service drops the filter from its links, so that the pages from the second on
    /// are unfiltered: whoever follows them filters once more.
    pub digest: Option<Digest>,
}

impl Describe for ListTagProperties {
    const NAME: &'static str = "list_tag_properties";
    const CLASS: OperationClass = OperationClass::MetadataRead;
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::METADATA_READ]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for ListTagProperties {
    type Output = Listing<ArtifactTagProperties>;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::OK];

    fn request(&self) -> Request<Bytes> {
        let path = self
            .query
            .apply(metadata_path(&self.repository).fixed("/_tags"));
        empty_request(
            Method::GET,
            path.query_opt("orderby", self.order.as_query())
                .query_opt("digest", self.digest.as_ref())
                .uri(),
        )
    }

    fn decode(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        check_status(head, Self::SUCCESS)?;
        let list: TagListBody = from_json("a list of tags", &body)?;
        let next = PageToken::from_headers(&head.headers)?;
        let name = list.image_name.unwrap_or_else(|| self.repository.clone());
        let items = list
            .tags
            .into_iter()
            .map(|tag| tag.within(&list.registry, &name))
            .collect();
        Ok(Listing {
            registry_login_server: list.registry,
            repository_name: name,
            items,
            next,
        })
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        let body = TagListBody {
            registry: output.registry_login_server.clone(),
            image_name: Some(output.repository_name.clone()),
            tags: output.items.iter().map(TagAttributesBody::from).collect(),
        };
        insert_link(json_response(StatusCode::OK, &body), output.next.as_ref())
    }
}

/// Reads a tag's properties: `GET /acr/v1/{name}/_tags/{tag}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GetTagProperties {
    /// Which repository.
    pub repository: RepositoryName,
    /// Which tag.
    pub tag: Tag,
}

impl Describe for GetTagProperties {
    const NAME: &'static str = "get_tag_properties";
    const CLASS: OperationClass = OperationClass::MetadataRead;
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::METADATA_READ]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for GetTagProperties {
    type Output = ArtifactTagProperties;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::OK];

    fn request(&self) -> Request<Bytes> {
        empty_request(Method::GET, tag_path(&self.repository, &self.tag).uri())
    }

    fn decode(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        check_status(head, Self::SUCCESS)?;
        from_json("the properties of a tag", &body).map(TagBody::into_properties)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        json_response(StatusCode::OK, &TagBody::from(output))
    }
}

/// Changes a tag's locks: `PATCH /acr/v1/{name}/_tags/{tag}`. Works while the tag is locked: this is how one unlocks it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpdateTagProperties {
    /// Which repository.
    pub repository: RepositoryName,
    /// Which tag.
    pub tag: Tag,
    /// The change.
    pub attributes: ChangeableAttributes,
}

impl Describe for UpdateTagProperties {
    const NAME: &'static str = "update_tag_properties";
    const CLASS: OperationClass = OperationClass::MetadataWrite;
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::METADATA_WRITE]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for UpdateTagProperties {
    type Output = ArtifactTagProperties;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::OK];

    fn request(&self) -> Request<Bytes> {
        json_request(
            Method::PATCH,
            tag_path(&self.repository, &self.tag).uri(),
            &self.attributes,
        )
    }

    fn decode(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        check_status(head, Self::SUCCESS)?;
        from_json("the properties of a tag", &body).map(TagBody::into_properties)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        json_response(StatusCode::OK, &TagBody::from(output))
    }
}

/// Takes a tag away: `DELETE /acr/v1/{name}/_tags/{tag}`. Its manifest stays.
#[doc(alias = "untag")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeleteTag {
    /// Which repository.
    pub repository: RepositoryName,
    /// Which tag.
    pub tag: Tag,
}

impl Describe for DeleteTag {
    const NAME: &'static str = "delete_tag";
    const CLASS: OperationClass = OperationClass::Delete;
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::DELETE]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for DeleteTag {
    /// Whether it was there.
    type Output = bool;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::ACCEPTED, StatusCode::NOT_FOUND];

    fn request(&self) -> Request<Bytes> {
        empty_request(Method::DELETE, tag_path(&self.repository, &self.tag).uri())
    }

    fn decode(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        let absence = [ErrorCode::TAG_UNKNOWN, ErrorCode::NAME_UNKNOWN];
        was_there(head.status, &body, &absence)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        if *output {
            empty_response(StatusCode::ACCEPTED)
        } else {
            let error =
                RegistryError::new(ErrorCode::TAG_UNKNOWN, "the specified tag does not exist");
            json_response(StatusCode::NOT_FOUND, &ErrorEnvelope::from(error))
        }
    }
}

/// Lists the names of tags by the OCI API: `GET /v2/{name}/tags/list`, by name, byte by byte.
///
/// ACR asks for `metadata_read` here, not for `pull`.
#[doc(alias = "tags/list")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListTags {
    /// Which repository.
    pub repository: RepositoryName,
    /// Which page.
    pub query: ListQuery,
}

impl Describe for ListTags {
    const NAME: &'static str = "list_tags";
    const CLASS: OperationClass = OperationClass::MetadataRead;
    const IDEMPOTENT: bool = true;

    fn scope(&self) -> ScopeSet {
        Scope::repository(&self.repository, [Action::METADATA_READ]).into()
    }

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }
}

impl Operation for ListTags {
    type Output = Page<Tag>;
    const SUCCESS: &'static [StatusCode] = &[StatusCode::OK];

    fn request(&self) -> Request<Bytes> {
        let path = PathBuilder::new("/v2")
            .name(self.repository.as_str())
            .fixed("/tags/list");
        empty_request(Method::GET, self.query.apply(path).uri())
    }

    fn decode(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        check_status(head, Self::SUCCESS)?;
        let list: TagNamesBody = from_json("a list of tag names", &body)?;
        Ok(Page {
            items: list.tags,
            next: PageToken::from_headers(&head.headers)?,
        })
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        let body = TagNamesBody {
            name: self.repository.to_string(),
            tags: output.items.clone(),
        };
        insert_link(json_response(StatusCode::OK, &body), output.next.as_ref())
    }
}

fn tag_path(repository: &RepositoryName, tag: &Tag) -> PathBuilder {
    metadata_path(repository)
        .fixed("/_tags")
        .segment(tag.as_str())
}

#[derive(Serialize, Deserialize)]
struct TagNamesBody {
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    name: String,
    #[serde(
        default,
        deserialize_with = "crate::json::null_is_default",
        serialize_with = "crate::json::empty_is_null"
    )]
    tags: Vec<Tag>,
}

#[derive(Serialize, Deserialize)]
struct TagListBody {
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    registry: String,
    /// Absent from an empty list that is `{}`.
    #[serde(rename = "imageName", default)]
    image_name: Option<RepositoryName>,
    /// `null`, not `[]`, where there are none.
    #[serde(
        default,
        deserialize_with = "crate::json::null_is_default",
        serialize_with = "crate::json::empty_is_null"
    )]
    tags: Vec<TagAttributesBody>,
}

#[derive(Serialize, Deserialize)]
struct TagBody {
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    registry: String,
    #[serde(rename = "imageName")]
    image_name: RepositoryName,
    tag: TagAttributesBody,
}

impl TagBody {
    fn into_properties(self) -> ArtifactTagProperties {
        self.tag.within(&self.registry, &self.image_name)
    }
}

impl From<&ArtifactTagProperties> for TagBody {
    fn from(properties: &ArtifactTagProperties) -> Self {
        Self {
            registry: properties.registry_login_server.clone(),
            image_name: properties.repository_name.clone(),
            tag: properties.into(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct TagAttributesBody {
    name: Tag,
    digest: Digest,
    #[serde(rename = "createdTime")]
    created_time: Timestamp,
    #[serde(rename = "lastUpdateTime")]
    last_update_time: Timestamp,
    /// Always false in every recording; it stands between the times and the locks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signed: Option<Value>,
    #[serde(
        rename = "changeableAttributes",
        default,
        deserialize_with = "crate::json::null_is_default"
    )]
    changeable_attributes: Attributes,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

impl TagAttributesBody {
    fn within(self, registry: &str, repository: &RepositoryName) -> ArtifactTagProperties {
        let mut extra = self.extra;
        if let Some(signed) = self.signed {
            extra.insert("signed".to_owned(), signed);
        }
        ArtifactTagProperties {
            registry_login_server: registry.to_owned(),
            repository_name: repository.clone(),
            name: self.name,
            digest: self.digest,
            created_on: self.created_time,
            last_updated_on: self.last_update_time,
            attributes: self.changeable_attributes,
            extra,
        }
    }
}

impl From<&ArtifactTagProperties> for TagAttributesBody {
    fn from(properties: &ArtifactTagProperties) -> Self {
        let mut extra = properties.extra.clone();
        Self {
            name: properties.name.clone(),
            digest: properties.digest.clone(),
            created_time: properties.created_on,
            last_update_time: properties.last_updated_on,
            signed: extra.remove("signed"),
            changeable_attributes: properties.attributes.clone(),
            extra,
        }
    }
}
