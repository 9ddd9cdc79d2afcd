//! Referrers: the manifests (signatures, SBOMs and the like) that name another as their subject.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, response};
use serde::Deserialize;
use serde_json::Value;

use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{DecodeError, InvalidRequest};
use crate::http_parts::{headers, insert, page_response, text};
use crate::json::from_json;
use crate::manifest::{ImageIndex, InvalidManifest, Manifest};
use crate::media_type::MediaType;
use crate::operation::{Operation, OperationClass as Class, PULL, Spec};
use crate::paging::{ListQuery, Page, PageToken};
use crate::path::PathBuilder;
use crate::reference::{RepositoryName, Tag};

/// Lists the referrers of a manifest: `GET /v2/{name}/referrers/{digest}`, the latest push first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListReferrers {
    /// Which repository.
    pub repository: RepositoryName,
    /// The subject, which need not exist.
    pub digest: Digest,
    /// Only referrers of this kind. A registry need not apply the filter; [`Page::filtered`] tells.
    pub artifact_type: Option<MediaType>,
    /// Which page, where a registry leads to one by these parameters: the OCI specification leaves them to the registry,
    /// so a client follows the link and does not set them.
    pub query: ListQuery,
}

impl Operation for ListReferrers {
    const SPEC: Spec = Spec::new("list_referrers", Class::Referrers, PULL);
    /// The referrers, each with its artifact type and its annotations. ACR has not been seen to page this list.
    type Output = Page<Descriptor>;

    fn repository(&self) -> Option<&RepositoryName> {
        Some(&self.repository)
    }

    fn reference(&self) -> Option<&str> {
        Some(self.digest.as_str())
    }

    fn request(&self) -> Result<Request<Bytes>, InvalidRequest> {
        let path = PathBuilder::new("/v2")
            .name(self.repository.as_str())
            .fixed("/referrers")
            .segment(self.digest.as_str())
            .query_opt("artifactType", self.artifact_type.as_ref());
        self.query.apply(path).request(Method::GET)
    }

    fn read(&self, head: &response::Parts, body: Bytes) -> Result<Self::Output, DecodeError> {
        let index: ImageIndex = from_json("a list of referrers", &body)?;
        let applied = text(&head.headers, &headers::OCI_FILTERS_APPLIED)?.unwrap_or_default();
        let filtered = applied
            .split(',')
            .any(|filter| filter.trim() == "artifactType");
        Ok(Page {
            items: index.manifests,
            filtered,
            next: PageToken::from_headers(&head.headers)?,
            ..Page::default()
        })
    }

    fn respond(&self, output: &Self::Output) -> Response<Bytes> {
        let index = ImageIndex::new(output.items.clone());
        let mut response = page_response(&index, output.next.as_ref());
        insert(&mut response, CONTENT_TYPE, MediaType::OCI_INDEX.as_str());
        if output.filtered {
            insert(&mut response, headers::OCI_FILTERS_APPLIED, "artifactType");
        }
        response
    }
}

/// The tag under which clients keep the list of referrers where the registry has no such API: `sha256-2cf2…`.
#[must_use]
pub fn fallback_tag(subject: &Digest) -> Option<Tag> {
    // OCI cuts the algorithm to 32 characters and the hash to 64, and puts a dash for what no tag may hold.
    let (algorithm, hash) = subject.as_str().split_once(':')?;
    let cut = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    let text = format!("{}-{}", cut(algorithm, 32), cut(hash, 64));
    Tag::new(text.replace(['+', '='], "-")).ok()
}

/// Whether a tag is one under which clients keep a list of referrers: a [`fallback_tag`] of a sha256 or sha512 digest.
/// Of the latter the tag has a part only, so that the subject cannot be read from it.
#[must_use]
pub fn is_fallback_tag(tag: &str) -> bool {
    let hash = tag.strip_prefix("sha256-").or(tag.strip_prefix("sha512-"));
    hash.is_some_and(|hash| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// What a manifest with a subject is in the list of the subject's referrers: the subject, and the entry with its
/// artifact type and annotations. `None` where it names none, or is not JSON.
#[must_use]
pub fn referrer(manifest: &Manifest) -> Option<(Digest, Descriptor)> {
    let Referring {
        subject,
        artifact_type,
        config,
        annotations,
    } = serde_json::from_slice(&manifest.bytes).ok()?;
    let mut entry = manifest.descriptor();
    entry.artifact_type = artifact_type
        .filter(|artifact_type| !artifact_type.as_str().is_empty())
        .or_else(|| Some(config?.media_type));
    entry.annotations = annotations;
    Some((subject?.digest, entry))
}

/// Changes the index that clients keep as the list of referrers: each digest has this entry from now on, or none.
/// `None` where it is as it should be already. Entries and members of other clients stay as they are.
///
/// # Errors
/// What is kept is not an index.
pub fn change_index<'a>(
    kept: Option<&Manifest>,
    changes: impl IntoIterator<Item = (&'a Digest, Option<&'a Descriptor>)>,
) -> Result<Option<Manifest>, InvalidManifest> {
    let mut index = match kept {
        Some(kept) => {
            kept.as_index()?;
            serde_json::from_slice(&kept.bytes).map_err(InvalidManifest::index)?
        }
        None => {
            serde_json::to_value(ImageIndex::new(Vec::new())).map_err(InvalidManifest::index)?
        }
    };
    let mut entries = match index.get_mut("manifests").map(Value::take) {
        Some(Value::Array(entries)) => entries,
        _ => Vec::new(),
    };
    let mut changed = false;
    for (digest, entry) in changes {
        let names = |entry: &Value| entry["digest"] == digest.as_str();
        let before = entries.len();
        // One of another size names what nobody can fetch.
        let is_right = |kept: &Value| entry.is_some_and(|entry| kept["size"] == entry.size);
        entries.retain(|kept| !names(kept) || is_right(kept));
        changed |= entries.len() != before;
        if let Some(entry) = entry
            && !entries.iter().any(names)
        {
            entries.push(serde_json::to_value(entry).map_err(InvalidManifest::index)?);
            changed = true;
        }
    }
    if !changed {
        return Ok(None);
    }
    index["manifests"] = Value::Array(entries);
    let bytes = serde_json::to_vec(&index).map_err(InvalidManifest::index)?;
    let media_type = kept.map_or(MediaType::OCI_INDEX, |kept| kept.media_type.clone());
    Ok(Some(Manifest::new(bytes, media_type)))
}

/// What of a manifest concerns its subject.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Referring {
    #[serde(default)]
    subject: Option<Descriptor>,
    #[serde(default)]
    artifact_type: Option<MediaType>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default, deserialize_with = "crate::json::texts")]
    annotations: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn referring(more: &str) -> Manifest {
        let subject = Digest::sha256(b"subject");
        let text = format!(
            r#"{{"schemaVersion":2,"subject":{{"mediaType":"a/b","digest":"{subject}","size":7}}{more}}}"#
        );
        Manifest::new(text, MediaType::OCI_MANIFEST)
    }

    #[test]
    fn a_referrer_s_entry_has_its_artifact_type_and_annotations() {
        let config = format!(
            r#","config":{{"mediaType":"application/x.config","digest":"{}","size":2}}"#,
            Digest::sha256(b"{}")
        );
        for (more, artifact_type) in [
            (config.clone(), Some("application/x.config")),
            (
                format!(r#"{config},"artifactType":"application/x""#),
                Some("application/x"),
            ),
            (
                format!(r#"{config},"artifactType":"""#),
                Some("application/x.config"),
            ),
            (String::new(), None),
        ] {
            let manifest = referring(&format!(r#"{more},"annotations":{{"k":"v"}}"#));
            let (subject, entry) = referrer(&manifest).unwrap();
            assert_eq!(subject, Digest::sha256(b"subject"));
            assert_eq!(
                (&entry.digest, entry.size),
                (&manifest.digest, manifest.bytes.len() as u64)
            );
            assert_eq!(entry.artifact_type, artifact_type.map(MediaType::from));
            assert_eq!(entry.annotations["k"], "v");
        }
        for text in ["{}", r#"{"subject":null}"#, "[", ""] {
            assert_eq!(
                referrer(&Manifest::new(text, MediaType::OCI_MANIFEST)),
                None
            );
        }
    }

    #[test]
    fn an_index_is_changed_without_loss_of_what_others_keep_in_it() {
        let (other, own) = (Digest::sha256(b"other"), referring("").descriptor());
        let text = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"a/b","digest":"{other}","size":1,"x":7}}],"y":[1]}}"#
        );
        let kept = Manifest::new(text, MediaType::OCI_INDEX);
        let added = change_index(Some(&kept), [(&own.digest, Some(&own))])
            .unwrap()
            .unwrap();
        let value: Value = serde_json::from_slice(&added.bytes).unwrap();
        assert_eq!(
            (&value["manifests"][0]["x"], &value["y"][0]),
            (&7.into(), &1.into())
        );
        assert_eq!(added.as_index().unwrap().manifests[1], own);
        let again = change_index(Some(&added), [(&own.digest, Some(&own))]);
        assert_eq!(again.unwrap(), None);
        let removed = change_index(Some(&added), [(&own.digest, None), (&other, None)]);
        assert_eq!(removed.unwrap().unwrap().as_index().unwrap().manifests, []);
        assert_eq!(change_index(None, [(&own.digest, None)]).unwrap(), None);
        let first = change_index(None, [(&own.digest, Some(&own))])
            .unwrap()
            .unwrap();
        assert_eq!(
            first.as_index().unwrap(),
            ImageIndex::new(vec![own.clone()])
        );
        let image = Manifest::new("{}", MediaType::OCI_MANIFEST);
        assert!(change_index(Some(&image), [(&own.digest, None)]).is_err());
    }

    #[test]
    fn a_fallback_tag_is_known_as_one_and_what_is_beside_it_is_not() {
        for digest in [Digest::sha256(b""), Digest::sha512(b"")] {
            let tag = fallback_tag(&digest).unwrap();
            assert!(is_fallback_tag(tag.as_str()), "{tag}");
            for suffix in [".sig", "0"] {
                assert!(!is_fallback_tag(&format!("{tag}{suffix}")));
            }
        }
        for tag in ["latest", "sha256-", "sha256-x"] {
            assert!(!is_fallback_tag(tag), "{tag}");
        }
    }

    #[test]
    fn the_fallback_tag_is_the_digest_with_a_dash() {
        let digest = Digest::sha256(b"");
        assert_eq!(
            fallback_tag(&digest).unwrap(),
            format!("sha256-{}", digest.hex()).as_str()
        );
        assert_eq!(
            fallback_tag(&Digest::sha512(b"")).unwrap().as_str().len(),
            "sha512-".len() + 64
        );
        let other =
            Digest::new("multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx=").unwrap();
        assert_eq!(
            fallback_tag(&other).unwrap(),
            "multihash-base58-QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx-"
        );
    }
}
