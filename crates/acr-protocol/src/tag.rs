//! Tags: their properties and locks, untagging, and the plain list of the OCI API.

use bytes::Bytes;
use http::{Method, Request, Response, response};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::attributes::{Attributes, ChangeableAttributes};
use crate::deletion::Deletion;
use crate::digest::Digest;
use crate::envelope::{Enveloped, item_response, list_response, read_item, read_page};
use crate::error::{DecodeError, ErrorCode, InvalidRequest, RegistryError};
use crate::http_parts::{headers, insert, json_request, page_response, text};
use crate::json::from_json;
use crate::operation::{DELETE, Operation, OperationClass as Class, READ, Spec, WRITE};
use crate::paging::{ListOrder, ListQuery, Page, PageToken};
use crate::path::PathBuilder;
use crate::reference::{RepositoryName, Tag};
use crate::repository::metadata_path;
use crate::timestamp::Timestamp;

/// What the registry knows of a tag.
#[doc(alias = "TagAttributes")]
#[doc(alias = "TagAttributesBase")]
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ArtifactTagProperties {
    /// The registry's login server (`registry` on the wire, around the tag).
    #[serde(rename = "registry")]
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    pub registry_login_server: String,
    /// The repository (`imageName` on the wire, around the tag).
    #[serde(rename = "imageName")]
    pub repository_name: RepositoryName,
    /// The tag.
    pub name: Tag,
    /// The manifest that it points at.
    pub digest: Digest,
    /// When it was first set (`createdTime`).
    #[serde(rename = "createdTime")]
    pub created_on: Timestamp,
    /// When it last moved (`lastUpdateTime`). Locks do not count as a change.
    #[serde(rename = "lastUpdateTime")]
    pub last_updated_on: Timestamp,
    /// Members that this crate does not name, such as `signed`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
    /// Its locks (`changeableAttributes`).
    #[serde(rename = "changeableAttributes")]
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    pub attributes: Attributes,
}

impl ArtifactTagProperties {
    /// Those of a tag without locks that was set at this time.
    #[must_use]
    pub fn new(
        repository_name: RepositoryName,
        name: Tag,
        digest: Digest,
        created_on: Timestamp,
    ) -> Self {
        Self {
            registry_login_server: String::new(),
            repository_name,
            name,
            digest,
            created_on,
            last_updated_on: created_on,
            extra: Map::new(),
            attributes: Attributes::default(),
        }
    }
}

/// In the service's order: `signed` stands before the locks. Members that are newer are written behind them.
impl Serialize for ArtifactTagProperties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.registry_login_server.is_empty() {
            map.serialize_entry("registry", &self.registry_login_server)?;
        }
        if !self.repository_name.is_in_envelope() {
            map.serialize_entry("imageName", &self.repository_name)?;
        }
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("digest", &self.digest)?;
        map.serialize_entry("createdTime", &self.created_on)?;
        map.serialize_entry("lastUpdateTime", &self.last_updated_on)?;
        if let Some(signed) = self.extra.get("signed") {
            map.serialize_entry("signed", signed)?;
        }
        map.serialize_entry("changeableAttributes", &self.attributes)?;
        for (name, value) in self.extra.iter().filter(|(name, _)| *name != "signed") {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Enveloped for ArtifactTagProperties {
    const MEMBERS: (&str, &str) = ("tag", "tags");
    const EXPECTED: (&str, &str) = ("the properties of a tag", "a list of tags");

    fn split(&mut self) -> (String, RepositoryName) {
        let registry = std::mem::take(&mut self.registry_login_server);
        let in_envelope = RepositoryName::in_envelope();
        (
            registry,
            std::mem::replace(&mut self.repository_name, in_envelope),
        )
    }
}

/// In which order tags are listed.
#[doc(alias = "ArtifactTagOrderBy")]
#[doc(alias = "TagOrderBy")]
pub type ArtifactTagOrder = ListOrder;

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

impl Operation for ListTagProperties {
    const SPEC: Spec = Spec::new("list_tag_properties", Class::MetadataRead, READ);
    type Output = Page<ArtifactTagProperties>;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        let path = metadata_path(&self.repository).fixed("/_tags");
        self.query
            .apply(path)
            .query_opt("orderby", self.order.as_query())
            .query_opt("digest", self.digest.as_ref())
            .request(Method::GET)
    }

    fn read(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        read_page(&self.repository, head, &body)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        list_response(&self.repository, output)
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

impl Operation for GetTagProperties {
    const SPEC: Spec = Spec::new("get_tag_properties", Class::MetadataRead, READ);
    type Output = ArtifactTagProperties;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn reference(&self) -> Option<&str> {
        Some(self.tag.as_str())
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        tag_path(&self.repository, &self.tag).request(Method::GET)
    }

    fn read(&self, _head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        read_item(&body)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        item_response(output)
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

impl Operation for UpdateTagProperties {
    const SPEC: Spec = Spec::new("update_tag_properties", Class::MetadataWrite, WRITE);
    type Output = ArtifactTagProperties;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn reference(&self) -> Option<&str> {
        Some(self.tag.as_str())
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        let path = tag_path(&self.repository, &self.tag);
        json_request(path.builder(Method::PATCH), &self.attributes)
    }

    fn read(&self, _head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        read_item(&body)
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        item_response(output)
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

impl Operation for DeleteTag {
    const SPEC: Spec =
        Spec::new("delete_tag", Class::Delete, DELETE).success(Deletion::<()>::SUCCESS);
    /// The digest that it pointed at, where the registry says it; ACR does.
    type Output = Deletion<Option<Digest>>;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn reference(&self) -> Option<&str> {
        Some(self.tag.as_str())
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        tag_path(&self.repository, &self.tag).request(Method::DELETE)
    }

    fn read(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        let absence = [ErrorCode::TAG_UNKNOWN, ErrorCode::NAME_UNKNOWN];
        Deletion::read(head, &body, &absence, || {
            let digest = text(&head.headers, &headers::INT_DOCKER_CONTENT_DIGEST);
            Ok(digest
                .ok()
                .flatten()
                .and_then(|text| Digest::new(text).ok()))
        })
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        let mut response = output.respond(|| {
            RegistryError::new(ErrorCode::TAG_UNKNOWN, "the specified tag does not exist")
        });
        if let Deletion::Deleted(Some(digest)) = output {
            let name = headers::INT_DOCKER_CONTENT_DIGEST;
            insert(&mut response, name, digest.as_str());
        }
        response
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

impl Operation for ListTags {
    const SPEC: Spec = Spec::new("list_tags", Class::MetadataRead, READ);
    type Output = Page<Tag>;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        let path = PathBuilder::new("/v2").name(self.repository.as_str());
        self.query
            .apply(path.fixed("/tags/list"))
            .request(Method::GET)
    }

    fn read(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        let list: TagNames = from_json("a list of tag names", &body)?;
        Ok(Page {
            items: list.tags,
            next: PageToken::from_headers(&head.headers)?,
            ..Page::default()
        })
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        let body = TagNames {
            name: self.repository.to_string(),
            tags: output.items.clone(),
        };
        page_response(&body, output.next.as_ref())
    }
}

fn tag_path(repository: &RepositoryName, tag: &Tag) -> PathBuilder {
    metadata_path(repository)
        .fixed("/_tags")
        .segment(tag.as_str())
}

#[derive(Serialize, Deserialize)]
struct TagNames {
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    name: String,
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    #[serde(serialize_with = "crate::json::empty_is_null")]
    tags: Vec<Tag>,
}
