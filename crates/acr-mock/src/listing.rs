//! Pages of tags, written from their records: what acr-protocol would write of clones of them, byte for byte.

use std::sync::Arc;

use acr_protocol::{RepositoryName, Timestamp};
use serde::Serialize;

use crate::Body;
use crate::store::TagRecord;

/// About what a tag takes, in bytes, so that the text seldom has to grow.
const USUAL_LENGTH: usize = 352;

/// The body of a page of tags with their properties.
pub(crate) fn tags(
    login_server: &str,
    repository: &RepositoryName,
    page: &[Arc<TagRecord>],
) -> Body {
    let mut text = Vec::with_capacity(128 + page.len() * USUAL_LENGTH);
    text.extend_from_slice(b"{\"registry\":");
    push_text(&mut text, login_server);
    text.extend_from_slice(b",\"imageName\":");
    push_text(&mut text, repository.as_str());
    text.extend_from_slice(b",\"tags\":");
    if page.is_empty() {
        text.extend_from_slice(b"null");
    }
    for (at, tag) in page.iter().enumerate() {
        text.push(if at == 0 { b'[' } else { b',' });
        push_tag(&mut text, tag);
    }
    if !page.is_empty() {
        text.push(b']');
    }
    text.extend_from_slice(b"}\n");
    Body::from(text)
}

fn push_tag(text: &mut Vec<u8>, tag: &TagRecord) {
    text.extend_from_slice(b"{\"name\":");
    push_text(text, tag.name.as_str());
    text.extend_from_slice(b",\"digest\":");
    // The grammar of digests leaves nothing to escape.
    push_quoted(text, tag.digest.as_str());
    let mut buffer = [0; Timestamp::MAX_TEXT];
    let created = tag.created_on.encode(&mut buffer);
    text.extend_from_slice(b",\"createdTime\":");
    push_quoted(text, created);
    text.extend_from_slice(b",\"lastUpdateTime\":");
    match tag.last_updated_on == tag.created_on {
        true => push_quoted(text, created),
        false => push_quoted(text, tag.last_updated_on.encode(&mut buffer)),
    }
    let extra = tag.extra.as_deref();
    match extra.map(|extra| extra.get("signed")) {
        None => text.extend_from_slice(b",\"signed\":false"),
        Some(None) => {}
        Some(Some(signed)) => push_member(text, "signed", signed),
    }
    text.extend_from_slice(b",\"changeableAttributes\":");
    if tag.switches.are_all_on() {
        text.extend_from_slice(ALL_ON);
    } else {
        push_json(text, &tag.switches.to_attributes());
    }
    for (name, value) in extra.into_iter().flatten() {
        if name != "signed" {
            push_member(text, name, value);
        }
    }
    text.push(b'}');
}

const ALL_ON: &[u8] =
    br#"{"deleteEnabled":true,"writeEnabled":true,"readEnabled":true,"listEnabled":true}"#;

fn push_member(text: &mut Vec<u8>, name: &str, value: &serde_json::Value) {
    text.push(b',');
    push_text(text, name);
    text.push(b':');
    push_json(text, value);
}

/// Writes a JSON string; one with nothing to escape, as nearly all are, in one piece.
fn push_text(text: &mut Vec<u8>, value: &str) {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if !value.bytes().all(is_plain) {
        return push_json(text, value);
    }
    push_quoted(text, value);
}

fn push_quoted(text: &mut Vec<u8>, value: &str) {
    text.push(b'"');
    text.extend_from_slice(value.as_bytes());
    text.push(b'"');
}

fn push_json(text: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Texts, numbers and maps of such: nothing in them can fail to be written.
    let _infallible = serde_json::to_writer(text, value);
}

#[cfg(test)]
mod tests {
    use acr_protocol::tag::ListTagProperties;
    use acr_protocol::{
        ArtifactTagOrder, Attributes, ChangeableAttributes, Digest, ListQuery, Operation as _,
        Page, Tag,
    };
    use futures_util::FutureExt as _;
    use http_body_util::BodyExt as _;
    use serde_json::json;

    use super::*;
    use crate::tag::properties;

    /// What acr-protocol writes.
    fn expected(
        login_server: &str,
        repository: &RepositoryName,
        page: &[Arc<TagRecord>],
    ) -> String {
        let operation = ListTagProperties {
            repository: repository.clone(),
            query: ListQuery::default(),
            order: ArtifactTagOrder::None,
            digest: None,
        };
        let items = page
            .iter()
            .map(|tag| properties(login_server, repository, tag));
        let response = operation.respond(&Page {
            registry_login_server: login_server.to_owned(),
            ..Page::complete(items.collect())
        });
        String::from_utf8(response.into_body().into()).unwrap()
    }

    #[test]
    fn a_page_written_from_its_records_is_what_the_protocol_writes() {
        let usual = |name: &str| {
            let name = Tag::from_server(name).unwrap();
            TagRecord::new(
                name,
                Digest::sha256("x"),
                Timestamp::new(1_700_000_000, 927_259_000),
            )
        };
        let mut locked = usual("locked");
        locked.switches.apply(&ChangeableAttributes::LOCKED);
        let mut recorded = usual("odd \"name\" \\ é");
        recorded.last_updated_on = Timestamp::new(1_700_000_001, 0);
        let extra = json!({ "more": [1], "signed": true, "quoted \"": null });
        recorded.extra = Some(Box::new(extra.as_object().unwrap().clone()));
        let text = r#"{"writeEnabled":false,"quarantineState":"Passed"}"#;
        recorded.switches = serde_json::from_str::<Attributes>(text).unwrap().into();
        let mut unsigned = usual("unsigned");
        unsigned.extra = Some(Box::default());
        let all: Vec<Arc<TagRecord>> = [usual("v1"), locked, recorded, unsigned]
            .map(Arc::new)
            .into();
        let repository = RepositoryName::from_server("odd \"name\"").unwrap();
        for count in 0..=all.len() {
            for login_server in ["mock.azurecr.io", "\"\\\u{1}"] {
                let page = &all[..count];
                let body = tags(login_server, &repository, page).collect();
                let bytes = body.now_or_never().unwrap().unwrap().to_bytes();
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                assert_eq!(text, expected(login_server, &repository, page));
            }
        }
    }
}
