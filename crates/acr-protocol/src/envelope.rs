//! ACR's envelope around the properties of tags and manifests: the registry and the repository are named once, and
//! belong to every item in it.

use bytes::Bytes;
use http::{Response, StatusCode, response};
use serde::de::DeserializeOwned;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::error::DecodeError;
use crate::http_parts::{json_response, page_response};
use crate::json::from_json;
use crate::paging::{Page, PageToken};
use crate::reference::RepositoryName;

/// Properties that the service puts into an envelope.
pub(crate) trait Enveloped: Clone + Serialize + DeserializeOwned {
    /// The member that holds one of them, and the member that holds a list.
    const MEMBERS: (&str, &str);
    /// What a body of one of them, and of a list, is called in errors.
    const EXPECTED: (&str, &str);

    /// Takes registry and repository out.
    fn split(&mut self) -> (String, RepositoryName);
    /// Takes out what a list does not tell.
    fn shorten(&mut self) {}
}

pub(crate) fn read_item<T: Enveloped>(body: &[u8]) -> Result<T, DecodeError> {
    let mut envelope: Envelope = from_json(T::EXPECTED.0, body)?;
    let item = envelope.content.remove(T::MEMBERS.0).unwrap_or_default();
    envelope
        .open(item)
        .map_err(DecodeError::json(T::EXPECTED.0))
}

pub(crate) fn item_response<T: Enveloped>(item: &T) -> Response<Bytes> {
    let mut content = item.clone();
    let (registry, repository) = content.split();
    let body = Written {
        registry: &registry,
        repository: &repository,
        member: T::MEMBERS.0,
        content,
    };
    json_response(StatusCode::OK, &body)
}

/// Reads a list of the properties in this repository, of which the name need not be repeated: an empty list may be `{}`.
pub(crate) fn read_page<T: Enveloped>(
    repository: &RepositoryName,
    head: &response::Parts,
    body: &[u8],
) -> Result<Page<T>, DecodeError> {
    let mut envelope: Envelope = from_json(T::EXPECTED.1, body)?;
    envelope
        .repository
        .get_or_insert_with(|| repository.clone());
    let items = envelope.content.remove(T::MEMBERS.1).unwrap_or_default();
    let items = Option::<Vec<Value>>::deserialize(items).and_then(|items| {
        let items = items.into_iter().flatten();
        items.map(|item| envelope.open(item)).collect()
    });
    Ok(Page {
        items: items.map_err(DecodeError::json(T::EXPECTED.1))?,
        next: PageToken::from_headers(&head.headers)?,
        registry_login_server: envelope.registry,
        ..Page::default()
    })
}

pub(crate) fn list_response<T: Enveloped>(
    repository: &RepositoryName,
    page: &Page<T>,
) -> Response<Bytes> {
    let mut items = page.items.clone();
    for item in &mut items {
        item.split();
        item.shorten();
    }
    let body = Written {
        registry: &page.registry_login_server,
        repository,
        member: T::MEMBERS.1,
        // `null`, not `[]`, where there are none.
        content: (!items.is_empty()).then_some(items),
    };
    page_response(&body, page.next.as_ref())
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    registry: String,
    #[serde(rename = "imageName", default)]
    repository: Option<RepositoryName>,
    #[serde(flatten)]
    content: Map<String, Value>,
}

impl Envelope {
    fn open<T: DeserializeOwned>(&self, mut item: Value) -> serde_json::Result<T> {
        if let Value::Object(members) = &mut item {
            members.insert("registry".to_owned(), self.registry.as_str().into());
            if let Some(repository) = &self.repository {
                members.insert("imageName".to_owned(), repository.as_str().into());
            }
        }
        serde_json::from_value(item)
    }
}

struct Written<'a, T> {
    registry: &'a str,
    repository: &'a RepositoryName,
    member: &'static str,
    content: T,
}

impl<T: Serialize> Serialize for Written<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("registry", self.registry)?;
        map.serialize_entry("imageName", self.repository)?;
        map.serialize_entry(self.member, &self.content)?;
        map.end()
    }
}
